# SPDX-License-Identifier: Apache-2.0
"""TLS towards endpoints: whoever answers there must prove who he is, and each way to fail has its word. RFC 8446, RFC 6125."""
import re
import socket
import ssl
import threading

import pytest

from origin import Origin, answer, echoes_target
from procs import within
from wire import request


def server_context(certificate, alpn=("http/1.1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.set_alpn_protocols(list(alpn))
    return context


@pytest.fixture
def start(start_edge, start_origin, certificate):
    """edgeproxy before one https origin; `pool` goes into its pool."""
    def behind(script=echoes_target, served=certificate, context=None, **pool):
        origin = start_origin(script, tls=context or server_context(served))
        tls = {"ca": str(certificate.ca), **pool.pop("tls", {})}
        tls = {key: value for key, value in tls.items() if value is not None}
        stack = {"endpoints": [f"https://{origin.address}"], "retries": 0, **({"tls": tls} if tls else {}), **pool}
        return start_edge({"pools": {"app": stack}}), origin
    return behind


def refused(edge, word, status=502, path="/x"):
    """A request ends in this word: in the answer, in the access log and on /metrics."""
    got = edge.get(path, "http", headers={"accept": "application/json"})
    assert got.status_code == status and got.json()["error"] == word
    assert edge.wait_access(path)["error"] == word
    assert edge.metric("edgeproxy_upstream_errors_total", pool="app", reason=word) >= 1


def test_a_verified_endpoint_serves(start):
    edge, origin = start()
    assert edge.get("/a", "http").text == "/a"
    seen = origin.requests[-1]
    assert seen.get("x-forwarded-proto") == "http" and origin.handshakes[0]["alpn"] == "http/1.1"


def test_a_name_is_asked_for_and_expected(start, make_certificate):
    asked = []
    context = server_context(make_certificate("api.test"))
    context.sni_callback = lambda _, name, __: asked.append(name)
    edge, origin = start(context=context, tls={"server_name": "api.test"}, host_header="endpoint")
    assert edge.get("/a", "http").text == "/a"
    assert asked == ["api.test"] and origin.requests[-1].get("host") == origin.address


def test_an_unknown_root_is_not_believed(start):
    """The roots of the system do not hold the CA of these tests."""
    edge, origin = start(tls={"ca": None})
    refused(edge, "tls_certificate_untrusted")
    assert not origin.requests


def test_a_certificate_for_somebody_else_is_not_believed(start, make_certificate):
    edge, origin = start(served=make_certificate("other.test"))
    refused(edge, "tls_certificate_wrong_host")
    assert not origin.requests


def test_an_expired_certificate_is_not_believed(start, make_certificate):
    edge, origin = start(served=make_certificate("127.0.0.1", days=-1))
    refused(edge, "tls_certificate_expired")
    assert not origin.requests


def test_insecure_believes_anybody_and_says_so_at_every_start(start, make_certificate):
    edge, _ = start(served=make_certificate("other.test", days=-1), tls={"ca": None, "insecure": True})
    assert edge.get("/a", "http").text == "/a"
    assert "endpoint_tls_insecure" in edge.log()


def test_an_endpoint_that_wants_a_certificate_gets_ours(start, make_certificate, certificate):
    context = server_context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate.ca)
    ours = make_certificate("edge.test")
    edge, origin = start(context=context, tls={"cert": str(ours.cert), "key": str(ours.key)})
    assert edge.get("/a", "http").text == "/a"
    assert ("DNS", "edge.test") in origin.handshakes[0]["certificate"]["subjectAltName"]


def test_an_endpoint_that_wants_a_certificate_and_gets_none_refuses(start, certificate):
    """With TLS 1.2 the alert comes within the handshake; with 1.3 only after it, when a request may have been read."""
    context = server_context(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate.ca)
    edge, origin = start(context=context)
    refused(edge, "tls_alert_received")
    assert not origin.requests


def test_an_endpoint_that_does_not_speak_tls(start_edge, start_origin):
    def plain(peer):
        peer.more()
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    origin = start_origin(plain)
    edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "retries": 0}}})
    refused(edge, "tls_protocol_error")


def test_bytes_before_the_handshake_are_fatal(start_edge, start_origin):
    """An answer that somebody injected into the connection must not become the answer to the next request."""
    spoken = threading.Event()

    def speaks_first(peer):
        peer.send(answer(b"injected"))
        spoken.set()
        peer.wait_end()
    origin = start_origin(speaks_first)
    edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "retries": 0}}})
    refused(edge, "tls_protocol_error")
    assert spoken.wait(10)


def test_a_handshake_that_never_ends_is_given_up(start_edge, start_origin):
    origin = start_origin(lambda peer: peer.wait_end())
    edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "retries": 0,
                                         "timeouts": {"connect": "300ms"}}}})
    refused(edge, "connection_timeout", status=503)


def test_sessions_are_resumed(start):
    def once(peer):
        seen = peer.request()
        peer.send(answer(seen.target.encode(), fields=[("Connection", "close")]))
    edge, origin = start(script=once)
    for i in range(6):
        assert edge.get(f"/{i}", "http").text == f"/{i}"
    # One thread's first connection cannot resume; there are few threads.
    assert sum(one["resumed"] for one in origin.handshakes) >= 1


def test_a_large_body_goes_both_ways(start):
    body = bytes(range(256)) * 8192

    def echo(peer):
        while True:
            seen = peer.request()
            peer.send(answer(seen.body))
    edge, _ = start(script=echo)
    with edge.client() as client:
        assert client.post(edge.url("/up", "https"), content=body).content == body


def test_an_answer_that_is_cut_without_close_notify_is_no_whole_answer(start):
    """RFC 8446, section 6.1: without a length only close_notify tells the end."""
    def cut(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        raw = peer.socket.detach()
        socket.socket(fileno=raw).close()
    edge, _ = start(script=cut)
    with edge.wire() as wire:
        wire.send(request("/cut"))
        while wire.more():
            pass
        assert b"half of it" in wire.unread and not wire.unread.endswith(b"0\r\n\r\n")
    assert edge.wait_access("/cut")["error"] == "http_response_incomplete"


def test_probes_use_the_same_scheme(start):
    edge, origin = start(health={"path": "/healthz", "interval": "50ms"})
    within(15, lambda: any(seen.target == "/healthz" for seen in origin.requests), "a probe")
    within(15, lambda: (edge.metric("edgeproxy_health_checks_total", pool="app", result="pass") or 0) >= 1, "a pass")
    assert edge.get("/a", "http").text == "/a"


def test_a_probe_verifies_too(start_edge, start_origin, certificate, make_certificate):
    origin = start_origin(echoes_target, tls=server_context(make_certificate("other.test")))
    edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "required": False, "hold": "100ms",
                                         "tls": {"ca": str(certificate.ca)},
                                         "health": {"path": "/healthz", "interval": "50ms"}}}})
    within(15, lambda: re.search("fails its health probes", edge.log()), "an unhealthy endpoint")
    assert not origin.requests


class SlowHandshake(Origin):
    """Takes connections, and begins each handshake when it is told to. Those of probes it takes at once."""

    def __init__(self, tls):
        self.began, self.go = threading.Event(), threading.Event()
        super().__init__(tls=tls)

    def handshake(self, sock):
        if self.armed:
            self.began.set()
            assert self.go.wait(20)
        return super().handshake(sock)

    armed = False


def test_a_client_that_leaves_while_the_connection_is_made_asks_nothing(start_edge, certificate):
    with SlowHandshake(server_context(certificate)) as origin:
        edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "tls": {"ca": str(certificate.ca)}}},
                           "routes": [{"path": "/own", "respond": {"status": 200}}, {"pool": "app"}]})
        origin.armed = True
        with edge.wire() as wire:
            wire.send(request("/order", method="POST", body=b"one of them"))
            assert origin.began.wait(20)
            wire.reset()
        assert edge.get("/own", "http").status_code == 200  # what comes behind it has been served
        origin.go.set()
        assert edge.wait_access("/order")["error"] == "client_gone"
        assert edge.get("/after", "http").text == "/after"
        assert [seen.target for seen in origin.requests if seen.method == "POST"] == []
