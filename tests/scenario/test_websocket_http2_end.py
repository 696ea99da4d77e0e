# SPDX-License-Identifier: Apache-2.0
"""How a WebSocket over HTTP/2 ends (RFC 8441, section 5): END_STREAM is FIN, a reset is a reset, whoever says it; what ends one
tunnel touches nothing else of the connection; and when we end it, both sides are told between two frames."""
import signal
import struct
import threading

import pytest

from http2 import CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, frame, literal
from origin import Origin
from procs import within
from tunnels import Behind, Tunnels, chosen, open_tunnels, plain


@pytest.fixture(scope="module")
def shared(start_shared_edge):
    """One edgeproxy for all that need no other; what stands behind it is chosen by each test."""
    with Origin(Behind()) as origin:
        yield start_shared_edge({"pools": {"app": {"endpoints": [origin.address], "outlier": False}}, "routes": [
            {"path": "/idle", "pool": "app", "websocket": {"idle_timeout": "300ms"}}, {"pool": "app"}]}), origin


@pytest.fixture
def edge(shared):
    return shared[0]


@pytest.fixture
def behind(shared):
    yield from chosen(*shared)


def half_closed(peer):
    peer.socket.shutdown(1)


# theirs

@pytest.mark.parametrize("who", ["client", "endpoint"])
def test_one_side_may_end_first(edge, behind, who):
    """END_STREAM and FIN are the same thing, and the other direction goes on (RFC 8441 section 5)."""
    heard = []

    def script(peer):
        if who == "endpoint":
            half_closed(peer)
        peer.wait_end()
        heard.append(peer.unread)
        if who == "client":
            peer.send(b"last words")

    behind(script)
    with Tunnels(edge) as client:
        stream = client.tunnel()
        if who == "endpoint":
            client.answer(stream)
        client.data(stream, b"last words", end=True)
        got = client.answer(stream)
        assert got["body"] == (b"last words" if who == "client" else b"") and not got.get("reset")
        within(10, lambda: heard, "the end at the endpoint")
        plain(client)
    assert heard == [b"last words"]


@pytest.mark.parametrize("how", ["reset", "loss", "reset when the endpoint has ended", "loss when the endpoint has ended"])
def test_a_client_that_breaks_off_ends_the_endpoints_side(edge, behind, how):
    ended = threading.Event()

    def script(peer):
        if "ended" in how:
            half_closed(peer)
        peer.wait_end()
        ended.set()

    origin = behind()
    with Tunnels(edge) as client, Tunnels(edge) as bystander:
        other = bystander.tunnel()
        origin.script.tunnel = script
        stream = client.tunnel()
        if "ended" in how:
            client.answer(stream)
        if "loss" in how:
            client.wire.reset()
        else:
            client.cancel(stream)
        assert ended.wait(10)
        within(10, lambda: open_tunnels(edge) == 1, "one tunnel left")
        if "reset" in how:
            plain(client)
        bystander.data(other, b"still here")
        assert bystander.take(other, 10) == b"still here"


@pytest.mark.parametrize("how", ["reset", "reset when the client has ended", "reset in the middle of much"])
def test_an_endpoint_that_breaks_off_resets_the_stream_only(edge, behind, how):
    """A reset is never taken for the end (RFC 8441 section 5)."""
    def script(peer):
        if "ended" in how:
            peer.wait_end()
        if "much" in how:
            peer.send(b"x" * 300_000)
        peer.reset()

    behind(script)
    with Tunnels(edge) as client:
        stream = client.tunnel()
        if "ended" in how:
            client.data(stream, b"", end=True)
        got = client.answer(stream)
        assert got["reset"] and got["code"] == CANCEL
        plain(client)


def test_an_idle_tunnel_is_reset_and_the_connection_stays(edge, behind):
    ended = threading.Event()

    def script(peer):
        peer.wait_end()
        ended.set()

    behind(script)
    with Tunnels(edge) as client:
        got = client.answer(client.tunnel("/idle"))
        assert got["reset"] and got["code"] == CANCEL and ended.wait(10)
        plain(client)


# ours

def raw_handshake(stream):
    return frame(HEADERS, END_HEADERS, stream, b"".join(literal(*field) for field in [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "app.test"), (":path", "/ws")]))


def test_a_worker_that_drains_closes_its_tunnels_with_1012_and_the_connection_stays(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz", "drain_timeout": "300ms"}}})
    before = edge.workers()
    with Tunnels(edge) as client:
        stream = client.tunnel()
        client.data(stream, b"\x81\x85\0\0\0\0hello")
        assert client.take(stream, 7) == b"\x81\x05hello"
        edge.process.send_signal(signal.SIGHUP)
        got = client.answer(stream)
        assert got["body"] == b"\x88\x02" + struct.pack(">H", 1012) and not got.get("reset")
        client.data(stream, b"\x88\x82\0\0\0\0" + struct.pack(">H", 1012), end=True)
        assert client.get("/pid")["headers"][":status"] == "200", "the same connection serves on"
        again = client.tunnel()
        client.data(again, b"\x81\x85\0\0\0\0again")
        assert client.take(again, 7) == b"\x81\x05again"
        within(20, lambda: not set(before) & set(edge.workers()), "a new worker")


def test_a_stop_closes_tunnels_with_1001_between_two_frames(start_edge, start_origin):
    """The frame that is under way is finished, the next one does not follow; both sides are told. A tunnel at rest beside
    it, closed in the same turn, shows when."""
    go, heard, order = threading.Event(), {}, iter((1, 3))

    def script(peer):
        stream = next(order)
        if stream == 1:
            peer.send(b"\x82\x0a12345")
            assert go.wait(30)
            peer.send(b"67890\x81\x05after")
        else:
            peer.send(b"\x81\x02on")
        peer.wait_end()
        heard[stream] = peer.unread

    origin = start_origin(Behind(script))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "server": {"shutdown": {"delay": "0s"}}})
    goodbye = b"\x88\x02" + struct.pack(">H", 1001)
    with Raw(edge) as client:  # python's h2 takes a GOAWAY for the end of everything
        client.send(raw_handshake(1))
        body, ended = {1: b"", 3: b""}, set()
        for kind, flags, stream, payload in client.frames():
            assert kind != RST_STREAM
            if kind != DATA:
                continue
            before, body[stream] = body[stream], body[stream] + payload
            if before != body[stream] == b"\x82\x0a12345":
                client.send(raw_handshake(3))
            if before != body[stream] == b"\x81\x02on":
                edge.process.send_signal(signal.SIGTERM)
            if flags & END_STREAM:
                ended.add(stream)
                client.send(frame(DATA, END_STREAM, stream, b"\x88\x82\0\0\0\0" + struct.pack(">H", 1001)))
                if stream == 3:
                    assert body == {1: b"\x82\x0a12345", 3: b"\x81\x02on" + goodbye}, "nothing in the middle of a frame"
                    go.set()
            if ended == {1, 3}:
                break
        assert body[1] == b"\x82\x0a1234567890" + goodbye
        within(10, lambda: len(heard) == 2, "the end at the endpoint")
    for close in heard.values():
        assert close[:2] == b"\x88\x82"
        assert bytes(a ^ b for a, b in zip(close[6:], close[2:4])) == struct.pack(">H", 1001)
    assert edge.stop() == 0


def test_a_tunnel_whose_endpoint_has_said_goodbye_gets_no_second_one(start_edge, start_origin):
    def script(peer):
        peer.send(b"\x88\x02" + struct.pack(">H", 4321))
        peer.wait_end()

    origin = start_origin(Behind(script))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "server": {"shutdown": {"delay": "0s"}}})
    with Raw(edge) as client:
        client.send(raw_handshake(1))
        body, ended = b"", False
        for kind, flags, stream, payload in client.frames():
            if kind == DATA and stream == 1:
                if not body:
                    edge.process.send_signal(signal.SIGTERM)
                body, ended = body + payload, bool(flags & END_STREAM)
            assert kind != RST_STREAM, "it ends like a tunnel, not like an accident"
            if ended:
                break
        assert ended and body == b"\x88\x02" + struct.pack(">H", 4321)
    assert edge.stop() == 0
