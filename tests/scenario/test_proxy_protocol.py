# SPDX-License-Identifier: Apache-2.0
"""A load balancer in front says who the client is by a PROXY header, version 1 or 2: believed from trusted proxies only,
and of them it is demanded."""
import socket
import struct

import pytest

from wire import Broken, request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 4430\r\n"


def v2(source="192.0.2.7", destination="198.51.100.1", command=0x21, tail=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = (socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack("!HH", 56324, 4430)
            + tail)
    return SIGNATURE + struct.pack("!BBH", command, 0x21 if ":" in source else 0x11, len(body)) + body


@pytest.fixture(scope="module")
def balanced(start_shared_edge, module_origin):
    """Everybody on this machine is a trusted balancer."""
    required = {"proxy_protocol": "required", "timeouts": {"proxy_protocol": "300ms"}}
    return start_shared_edge({"pools": {"app": {"endpoints": [module_origin.address]}},
                              "client_ip": {"trusted_proxies": ["127.0.0.0/8"]},
                              "limits": {"connections_per_source": 3},
                              "listeners": {"http": required, "https": required}})


@pytest.fixture(scope="module")
def module_origin():
    from origin import Origin
    with Origin() as origin:
        yield origin


def connect(edge, listener, header):
    return edge.wire(first=header) if listener == "http" else edge.tls_wire(first=header)


@pytest.mark.parametrize("listener", ["http", "https"])
@pytest.mark.parametrize("header, client", [
    (V1, "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 4430\r\n", "2001:db8::7"),
    (v2(), "192.0.2.7"),
    (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    (v2(tail=b"\x01\x00\x02h2\xea\x00\x03abc"), "192.0.2.7"),
], ids=["v1", "v1-v6", "v2", "v2-v6", "v2-tlv"])
def test_the_origin_is_told_of_the_client_behind_the_balancer(balanced, module_origin, listener, header, client):
    with connect(balanced, listener, header) as wire:
        assert wire.ask(request("/behind", fields=[("X-Forwarded-For", "6.6.6.6")])).status == 200
    seen = module_origin.requests[-1]
    assert seen.values("x-forwarded-for") == [client]
    assert seen.values("x-forwarded-port") == ["4430"]
    line = balanced.wait_access("/behind")
    assert line["client_ip"] in ("192.0.2.7", "2001:db8::7")


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(command=0x20), SIGNATURE + b"\x21\x00\0\0"],
                         ids=["unknown", "local", "unspecified"])
def test_a_balancer_that_speaks_for_itself_keeps_its_own_address(balanced, module_origin, header):
    with connect(balanced, "http", header) as wire:
        assert wire.ask(request()).status == 200
    assert module_origin.requests[-1].values("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize("header", [V1, v2(tail=b"\x04\x00\x20" + bytes(32))], ids=["v1", "v2"])
def test_a_header_in_single_bytes_together_with_the_request_is_the_same(balanced, module_origin, header):
    with balanced.wire() as wire:
        for byte in header + request("/bytes"):
            wire.send(bytes([byte]))
        assert wire.answer().status == 200
    assert module_origin.requests[-1].values("x-forwarded-for") == ["192.0.2.7"]
    with connect(balanced, "http", header + request("/a") + request("/b")) as wire:
        assert [wire.answer().body for _ in range(2)] == [b"/a", b"/b"]


@pytest.mark.parametrize("first", [request(), b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n" + request(),
                                   b"PROXY TCP4 192.0.2.7" + b" " * 200, SIGNATURE + b"\x31\x11\0\0" + request()],
                         ids=["none", "malformed", "too-long", "version-3"])
def test_a_balancer_that_does_not_begin_with_it_is_refused(balanced, module_origin, first):
    before, count = len(module_origin.requests), refused(balanced, "http", "bad_proxy_header")
    with balanced.wire(first=first) as wire:
        assert wire.answer().status == 400
        assert wire.ended()
    assert len(module_origin.requests) == before
    assert refused(balanced, "http", "bad_proxy_header") == count + 1


def test_before_tls_the_refusal_is_a_close(balanced):
    with pytest.raises((OSError, Broken)):
        balanced.tls_wire()
    assert refused(balanced, "https", "bad_proxy_header") == 1


def test_a_balancer_that_says_nothing_is_let_go(balanced):
    with balanced.wire(first=V1[:20]) as wire:
        assert wire.ended()
    assert refused(balanced, "http", "late_proxy_header") == 1
    assert balanced.metric("edgeproxy_limit_hits_total", limit="proxy_protocol") == 1


def test_connections_count_for_the_client_and_not_for_the_balancer(balanced):
    source = V1.replace(b"192.0.2.7", b"192.0.2.99")
    kept = [connect(balanced, "http", source) for _ in range(3)]
    for wire in kept:
        assert wire.ask(request()).status == 200
    with connect(balanced, "http", source) as wire:
        assert wire.ended()
    with connect(balanced, "http", V1) as wire:
        assert wire.ask(request()).status == 200
    for wire in kept:
        wire.close()
    assert refused(balanced, "http", "source_limit_reached") == 1


def test_nobody_else_may_say_who_they_are(start_edge, start_origin):
    origin = start_origin()
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "client_ip": {"trusted_proxies": ["10.0.0.0/8"]},
                       "listeners": {"http": {"proxy_protocol": "required"}}})
    with edge.wire(first=V1) as wire:
        assert wire.ask(request()).status == 400
        assert wire.ended()
    assert edge.metric("edgeproxy_http_malformed_total", reason="bad_request_line") == 1
    with edge.wire(first=v2()) as wire:
        assert wire.ask(request()).status == 400
    assert not origin.requests
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200
    assert origin.requests[-1].values("x-forwarded-for") == ["127.0.0.1"]


def refused(edge, listener, reason):
    return edge.metric("edgeproxy_connections_refused_total", listener=listener, reason=reason) or 0
