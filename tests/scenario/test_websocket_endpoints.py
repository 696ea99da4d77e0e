# SPDX-License-Identifier: Apache-2.0
"""WebSocket handshakes go to endpoints over HTTP/1.1, whatever they speak besides: many that speak h2c or h2 take both."""
import json

import pytest

from http2 import PREFACE, SETTINGS, frame
from origin import Ended
from test_tls_endpoints import server_context
from tunnels import Behind, Tunnels
from wire import request

HANDSHAKE = request("/ws", fields=[("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                   ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Accept", "application/json")])


@pytest.mark.parametrize("how", ["h2c", "h2c without a word", "h2"])
def test_an_endpoint_of_http_2_only_refuses_and_is_not_blamed(start_edge, start_origin, certificate, how):
    """A clear answer to who asks for it, whichever HTTP the client speaks, and nobody can have a healthy endpoint taken out
    of its pool by asking."""
    first_bytes = []

    def only_two(peer):
        if how == "h2c":
            peer.send(frame(SETTINGS))
        peer.more()
        first_bytes.append(peer.unread[:len(PREFACE)])
        if how == "h2c":
            peer.wait_end()
        raise Ended

    contexts = {"tls": server_context(certificate, ("h2",))} if how == "h2" else {}
    origins = [start_origin(only_two, **contexts) for _ in range(2)]
    pool = {"retries": 0, "outlier": {"failures": 1, "window": "60s", "eject": "60s"},
            "endpoints": [f"{'https' if contexts else 'h2c'}://{origin.address}" for origin in origins]}
    if contexts:
        pool |= {"protocol": "h2", "tls": {"ca": str(certificate.ca)}}
    edge = start_edge({"pools": {"app": pool}})
    for _ in range(4):
        with edge.wire() as wire:
            got = wire.ask(HANDSHAKE)
            assert got.status == 502 and json.loads(got.body)["error"] == "http1_not_spoken"
    with Tunnels(edge) as client:
        got = client.answer(client.handshake(fields=[("accept", "application/json")]))
        assert got["headers"][":status"] == "502" and json.loads(got["body"])["error"] == "http1_not_spoken"
    assert edge.metric("edgeproxy_http_errors_total", reason="http1_not_spoken") == 5
    assert edge.metric("edgeproxy_upstream_errors_total", pool="app", reason="http1_not_spoken") == 5
    assert edge.metric("edgeproxy_pool_endpoints", pool="app", state="unhealthy") == 0
    assert edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2
    assert PREFACE not in first_bytes


def test_an_endpoint_that_speaks_both_takes_it_and_is_blamed_for_what_it_answers(start_edge, start_origin):
    origin = start_origin(Behind(told=None))
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{origin.address}"], "retries": 0}}})
    with Tunnels(edge) as client:
        stream = client.tunnel()
        client.data(stream, b"hello")
        assert client.take(stream, 5) == b"hello"
        origin.script.told = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n"
        got = client.answer(client.handshake(fields=[("accept", "application/json")]))
        assert got["headers"][":status"] == "502" and json.loads(got["body"])["error"] == "http_protocol_error"
