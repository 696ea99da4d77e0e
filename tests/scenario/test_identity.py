# SPDX-License-Identifier: Apache-2.0
"""Who is asking, over what, for whom: edgeproxy writes it, and a client cannot forge it. RFC 9110 section 7.6, RFC 7239."""
import re

import pytest

from origin import answer, answers, unused_port
from wire import Wire, request

SPOOFS = [
    [("X-Forwarded-For", "6.6.6.6")],
    [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7")],
    [("x-forwarded-for", "6.6.6.6, 7.7.7.7")],
    [("X_Forwarded_For", "6.6.6.6")],
    [("X-Forwarded_For", "6.6.6.6")],
    [("X-Real-IP", "6.6.6.6")],
    [("Forwarded", "for=6.6.6.6;proto=gopher")],
    [("X-Client-IP", "6.6.6.6"), ("True-Client-IP", "6.6.6.6")],
    [("X-Forwarded-Proto", "gopher")],
    [("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Port", "6")],
    [("X-Forwarded-For", "6.6.6.6"), ("Connection", "X-Forwarded-For")],
    [("Connection", "x-forwarded-for, X-Forwarded-Proto, host, keep-alive")],
]


@pytest.fixture
def origin(start_origin):
    return start_origin()


@pytest.fixture
def edge(start_edge, origin):
    return start_edge({"pools": {"app": {"endpoints": [origin.address]}}})


@pytest.mark.parametrize("spoof", SPOOFS, ids=lambda spoof: ", ".join(f"{name}: {value}" for name, value in spoof))
@pytest.mark.parametrize("listener, scheme", [("http", "http"), ("https", "https")])
def test_the_origin_is_told_the_truth_whatever_the_client_claims(edge, origin, spoof, listener, scheme):
    with edge.wire() if listener == "http" else edge.tls_wire() as wire:
        assert wire.ask(request(host=f"app.test:{edge.ports[listener]}", fields=spoof)).status == 200
    seen = origin.requests[-1]
    assert seen.values("x-forwarded-for") == ["127.0.0.1"]
    assert seen.values("x-forwarded-proto") == [scheme]
    assert len(seen.values("x-forwarded-host")) == 1 and seen.get("x-forwarded-host").startswith("app.test")
    assert seen.values("x-forwarded-port") == [str(edge.ports[listener])]
    assert seen.values("host") == [f"app.test:{edge.ports[listener]}"]
    for name, value in seen.fields:
        assert not re.search(r"6\.6\.6\.6|7\.7\.7\.7|gopher|evil", value), f"{name}: {value}"
        assert "_" not in name


def test_a_trusted_peer_is_believed_and_one_address_is_passed_on(start_edge, origin):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "client_ip": {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}})
    with edge.wire() as wire:
        wire.ask(request("/trusted", fields=[("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.1.2.3"),
                                             ("X-Forwarded-Proto", "https")]))
    seen = origin.requests[-1]
    assert seen.values("x-forwarded-for") == ["203.0.113.9"]
    assert seen.values("x-forwarded-proto") == ["https"]
    line = edge.wait_access("/trusted")
    assert line["client_ip"] == "203.0.113.9" and line["peer"].startswith("127.0.0.1")


@pytest.mark.parametrize("name", ["Proxy", "Script-Name", "SCRIPT_NAME", "Path-Info", "PATH_INFO", "Remote-User",
                                  "REMOTE_USER", "Daphne-Root-Path", "X-Original-URL", "X-Rewrite-URL", "X-Sendfile",
                                  "X-Accel-Redirect", "X-Accel-Buffering", "Content_Length", "Transfer_Encoding",
                                  "X-Sendfile-Type", "X-Script-Name", "X-Forwarded-Client-Cert", "Ssl-Client-Verify",
                                  "SSL_CLIENT_VERIFY", "Cf-Connecting-Ip", "X-Edgeproxy-Anything", "X-Forwarded-Prefix",
                                  "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Uri",
                                  "X-Forwarded-Method", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
                                  "Host_", "hTTP_hOST", "X-Real_IP", "Http2-Settings", "Keep-Alive", "Proxy-Connection"])
def test_names_that_servers_take_from_their_proxy_never_come_from_a_client(edge, origin, name):
    with edge.wire() as wire:
        assert wire.ask(request(fields=[(name, "evil")])).status == 200
    assert not [value for _, value in origin.requests[-1].fields if value == "evil"]


def test_what_is_left_out_is_counted(edge, origin):
    with edge.wire() as wire:
        wire.ask(request(fields=[("X_Mine", "1"), ("Content_Length", "5"), ("Proxy", "1"), ("X-Accel-Redirect", "/etc"),
                                 ("X-Sendfile", "/etc"), ("X-Real-IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"),
                                 ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7"), ("Keep-Alive", "timeout=5")]))
        wire.ask(request(method="POST", fields=[("Transfer-Encoding", "chunked")]) + b"0\r\nHost: evil.test\r\nX-Sum: 1\r\n\r\n")
    assert {reason: edge.metric("edgeproxy_http_fields_dropped_total", reason=reason) for reason in
            ("underscore", "server_only", "client_identity", "trailer")} == {
                "underscore": 2, "server_only": 3, "client_identity": 4, "trailer": 1}


def test_what_is_left_out_is_counted_once_whatever_was_tried(start_edge, start_origin):
    """The first endpoint that is tried refuses the connection, every other time or so."""
    origin = start_origin(answers(answer()))
    edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}", origin.address], "outlier": False}}})
    for _ in range(6):
        with edge.wire() as wire:
            assert wire.ask(request(fields=[("X_Mine", "1"), ("Connection", "close")])).status == 200
    assert edge.metric("edgeproxy_pool_retries_total", pool="app") > 0
    assert edge.metric("edgeproxy_http_fields_dropped_total", reason="underscore") == 6


def test_hop_by_hop_fields_stay_on_their_hop(edge, origin):
    with edge.wire() as wire:
        wire.ask(request(fields=[("Connection", "keep-alive, X-Mine, TE"), ("X-Mine", "a"), ("Keep-Alive", "timeout=5"),
                                 ("Proxy-Connection", "keep-alive"), ("Proxy-Authorization", "Basic x"),
                                 ("TE", "trailers, gzip"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
                                 ("X-Kept", "b"), ("Authorization", "Bearer t"), ("Cookie", "c=1")]))
    seen = origin.requests[-1]
    for name in ("x-mine", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "http2-settings"):
        assert not seen.values(name), name
    assert seen.get("te") in (None, "trailers")
    assert (seen.get("x-kept"), seen.get("authorization"), seen.get("cookie")) == ("b", "Bearer t", "c=1")
    assert not seen.values("connection") or "x-mine" not in seen.get("connection").lower()


def test_connection_cannot_take_away_what_the_application_relies_on(edge, origin):
    with edge.wire() as wire:
        wire.ask(request(method="POST", body=b"hello", fields=[
            ("Connection", "Authorization, Cookie, Host, Content-Length, X-Forwarded-For, X-Request-ID"),
            ("Authorization", "Bearer t"), ("Cookie", "c=1")]))
    seen = origin.requests[-1]
    assert (seen.get("authorization"), seen.get("cookie"), seen.body) == ("Bearer t", "c=1", b"hello")
    assert seen.get("host") and seen.get("x-forwarded-for") and seen.get("x-request-id")
    assert edge.metric("edgeproxy_http_fields_dropped_total", reason="connection") == 6


def test_hop_by_hop_fields_of_an_answer_stay_too(start_edge, start_origin):
    origin = start_origin(answers(answer(fields=[
        ("Connection", "X-Mine, keep-alive"), ("X-Mine", "a"), ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"), ("X-Accel-Redirect", "/secret"), ("X-Kept", "b"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        got = wire.ask(request())
    for name in ("x-mine", "keep-alive", "proxy-authenticate", "upgrade", "x-accel-redirect"):
        assert not got.values(name), name
    assert got.get("x-kept") == "b" and got.values("set-cookie") == ["a=1", "b=2"]


def test_the_order_of_fields_and_their_spelling_survive(edge, origin):
    mine = [("X-B", "1"), ("X-A", "2"), ("X-B", "3"), ("aCCept", "text/plain"), ("X-C", "a  b\tc")]
    with edge.wire() as wire:
        wire.ask(request(fields=mine))
    seen = [(name, value) for name, value in origin.requests[-1].fields if name.lower() in ("x-a", "x-b", "x-c", "accept")]
    assert seen == mine


@pytest.mark.parametrize("target", ["/a/../b", "//a//b", "/%41%2f%7e", "/a;b=c?d=%20&e=[f]|{g}", "/?", "/a?b?c", "/%E4%BD%A0"])
def test_the_target_is_forwarded_byte_for_byte(edge, origin, target):
    with edge.wire() as wire:
        assert wire.ask(request(target)).body == target.encode()
    assert origin.requests[-1].target == target


def test_an_absolute_target_becomes_path_and_host(edge, origin):
    with edge.wire() as wire:
        assert wire.ask(request("http://other.test/a?b", host="app.test")).status == 200
    seen = origin.requests[-1]
    assert (seen.target, seen.values("host")) == ("/a?b", ["other.test"])


def test_via_is_added_to_requests_only(edge, origin):
    with edge.wire() as wire:
        assert wire.ask(request()).get("via") is None
    assert re.match(r"1\.1 \S+", origin.requests[-1].get("via"))


def test_via_tells_the_version_in_which_the_request_came(edge, origin):
    with edge.wire() as wire:
        wire.ask(b"GET / HTTP/1.0\r\nHost: app.test\r\nVia: 1.1 before\r\n\r\n")
    assert re.match(r"1\.0 \S+", origin.requests[-1].values("via")[-1]) and origin.requests[-1].values("via")[0] == "1.1 before"


def test_one_request_id_for_origin_client_and_log(edge, origin):
    with edge.wire() as wire:
        got = wire.ask(request("/id", fields=[("X-Request-ID", "forged")]))
        other = wire.ask(request("/other"))
    name = got.get("x-request-id")
    assert name and name != "forged" and name != other.get("x-request-id")
    assert origin.requests[0].values("x-request-id") == [name]
    assert edge.wait_access("/id")["request_id"] == name


@pytest.mark.parametrize("chosen, expected", [("endpoint", "127.0.0.1"), ("fixed.test", "fixed.test")])
def test_the_host_of_the_origin_can_be_chosen(start_edge, origin, chosen, expected):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "host_header": chosen}}})
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200
    assert origin.requests[-1].values("host")[0].startswith(expected)
    assert origin.requests[-1].get("x-forwarded-host") == "app.test"


def test_the_admin_pages_are_not_on_the_public_port(edge, origin):
    with edge.wire() as wire:
        for path in ("/metrics", "/readyz", "/livez"):
            assert wire.ask(request(path)).body == path.encode()  # the origin's own answer


def test_the_admin_pages_are_for_those_who_mean_them(edge):
    """Only GET, only under an address or localhost: a page of another site whose name leads to us gets nothing."""
    def refused(reason):
        return edge.metric("edgeproxy_admin_requests_refused_total", reason=reason)
    for asked, status, reason in [(request("/metrics", host="evil.test"), 403, "host"),
                                  (request("/metrics", method="POST", host="localhost", body=b"x"), 405, "method"),
                                  (request("/admin", host="localhost"), 404, "not_found"),
                                  (b"GET /metrics HTTP/1.1\r\n\r\n", 400, "host"), (b"\x00\r\n\r\n", 400, "malformed")]:
        before = refused(reason)
        with Wire(edge.address("metrics")) as wire:
            wire.send(asked)
            got = wire.answer()
        assert got.status == status and b"edgeproxy_" not in got.body
        assert refused(reason) == before + 1
