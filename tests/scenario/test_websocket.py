# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/1.1 is a tunnel that begins at a verified 101 and not before. RFC 6455, RFC 9110 section 7.8."""
import base64
import hashlib

import pytest
from websockets.sync.client import connect

from origin import answer
from procs import within
from wire import Wire, request

KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]


def switches(peer, accept=ACCEPT):
    seen = peer.request()
    peer.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
    return seen


def echo_tunnel(peer):
    switches(peer)
    while True:
        if not peer.unread:
            peer.more()
        peer.send(peer.exactly(len(peer.unread)))


@pytest.fixture
def behind(start_edge, start_origin):
    def start(script=echo_tunnel, **stack):
        origin = start_origin(script)
        return start_edge({"pools": {"app": {"endpoints": [origin.address]}}, **stack}), origin
    return start


@pytest.mark.parametrize("tls", [False, True])
def test_messages_of_every_size_come_back(start_edge, tls):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    options = {"ssl": edge.context()} if tls else {}
    with connect(edge.url("/ws", "https" if tls else "http").replace("http", "ws", 1), compression=None, max_size=None, **options) as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1_000_000):
            socket.send(b"x" * size)
            assert socket.recv(timeout=10) == b"x" * size
        socket.send("żółw")
        assert socket.recv(timeout=10) == "żółw"
        assert socket.ping().wait(10)
        within(10, lambda: edge.metric("edgeproxy_websocket_tunnels", pool="app") == 1)
    within(10, lambda: edge.metric("edgeproxy_websocket_tunnels", pool="app") == 0)
    assert edge.metric("edgeproxy_websocket_opened_total", pool="app") == 1
    line = edge.wait_access("/ws")
    assert line["status"] == 101 and line["bytes_in"] > 1_000_000 and line["bytes_out"] > 1_000_000


def test_what_follows_the_upgrade_at_once_passes(behind):
    """Bytes sent with the head are the tunnel's first."""
    edge, _ = behind()
    with edge.wire() as wire:
        got = wire.ask(request("/ws", fields=UPGRADE) + b"\x81\x85....first")
        assert got.status == 101 and got.get("sec-websocket-accept") == ACCEPT
        assert wire.exactly(11) == b"\x81\x85....first"[:11]


def test_the_origin_may_speak_first(behind):
    def script(peer):
        switches(peer)
        peer.send(b"\x81\x05hello")
        peer.wait_end()
    edge, _ = behind(script)
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        assert wire.exactly(7) == b"\x81\x05hello"


def test_the_upgrade_reaches_the_origin_as_it_came(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        wire.ask(request("/ws?a=b", fields=[*UPGRADE, ("Origin", "https://app.test"), ("Sec-WebSocket-Protocol", "chat, v2"),
                                            ("Sec-WebSocket-Extensions", "permessage-deflate")]))
    seen = origin.requests[0]
    assert seen.target == "/ws?a=b" and seen.get("connection").lower() == "upgrade" and seen.get("upgrade") == "websocket"
    assert (seen.get("sec-websocket-key"), seen.get("sec-websocket-version")) == (KEY, "13")
    assert (seen.get("origin"), seen.get("sec-websocket-protocol")) == ("https://app.test", "chat, v2")
    assert seen.get("sec-websocket-extensions") == "permessage-deflate" and seen.get("x-forwarded-proto") == "http"


@pytest.mark.parametrize("who", ["client", "origin"])
def test_one_side_may_end_first(behind, who):
    """The end of one direction is passed on while the other still carries."""
    def script(peer):
        switches(peer)
        if who == "client":
            peer.wait_end()
            peer.send(b"last words")
        else:
            peer.send(b"last words")
    edge, _ = behind(script)
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        if who == "client":
            wire.half_close()
        assert wire.exactly(10) == b"last words"
        assert wire.ended()


def test_no_101_no_tunnel(behind):
    """Pipelined bytes behind an upgrade that was refused are dropped with the connection, never sent to the origin."""
    def script(peer):
        seen = peer.request()
        peer.send(answer(b"no", status="200 OK" if seen.target == "/ws" else "500 Smuggled"))
        script(peer)
    edge, origin = behind(script)
    with edge.wire() as wire:
        wire.send(request("/ws", fields=UPGRADE) + request("/inside"))
        assert wire.answer().status == 200
        assert wire.ended()
    assert [seen.target for seen in origin.requests] == ["/ws"]


def test_a_wrong_accept_is_no_tunnel(behind):
    def script(peer):
        switches(peer, accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        peer.wait_end()
    edge, _ = behind(script)
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 502


@pytest.mark.parametrize("name, change", [
    ("no key", {"Sec-WebSocket-Key": None}), ("a short key", {"Sec-WebSocket-Key": "abc"}),
    ("version 8", {"Sec-WebSocket-Version": "8"}), ("no version", {"Sec-WebSocket-Version": None}),
    ("another protocol", {"Upgrade": "foo"}), ("h2c", {"Upgrade": "h2c"}), ("no Connection", {"Connection": None})])
def test_what_is_no_websocket_makes_no_tunnel(behind, name, change):
    def script(peer):
        seen = peer.request()
        peer.send(answer(str(seen.get("upgrade")).encode()))
        script(peer)
    edge, origin = behind(script)
    fields = [(key, change.get(key, value)) for key, value in UPGRADE if change.get(key, value)]
    with edge.wire() as wire:
        got = wire.ask(request("/ws", fields=fields))
        assert got.status in (200, 400, 426)
    assert all(seen.get("upgrade") is None for seen in origin.requests)


def test_a_post_with_upgrade_is_no_tunnel(behind):
    def script(peer):
        seen = peer.request()
        peer.send(answer(seen.body + str(seen.get("upgrade")).encode()))
        script(peer)
    edge, origin = behind(script)
    with edge.wire() as wire:
        got = wire.ask(request("/ws", method="POST", fields=UPGRADE, body=b"hello"))
    assert got.status == 400 or got.body == b"helloNone"


def test_websocket_can_be_switched_off_by_route(behind):
    def script(peer):
        seen = peer.request()
        peer.send(answer(str(seen.get("upgrade")).encode()))
        script(peer)
    edge, origin = behind(script, routes=[{"pool": "app", "websocket": False}])
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status != 101
    assert all(seen.get("upgrade") is None for seen in origin.requests)


def test_an_idle_tunnel_ends(behind):
    edge, _ = behind(routes=[{"pool": "app", "websocket": {"idle_timeout": "300ms"}}])
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        while wire.more():  # a close frame may come first
            pass


def test_much_data_passes_in_order(behind):
    """Two megabytes out and back: nothing is lost, nothing is reordered."""
    edge, _ = behind()
    block = bytes(i % 251 for i in range(251 * 400))
    with edge.wire() as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        for _ in range(20):
            wire.send(block)
            assert wire.exactly(len(block)) == block


def test_open_tunnels_do_not_keep_a_stop_from_ending(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}},
                       "server": {"shutdown": {"grace_period": "8s"}}})
    with connect(edge.url("/ws", "http").replace("http", "ws", 1), compression=None) as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "hello"
        assert edge.stop() in (0, 8)
        edge.expected_exit = edge.process.returncode


def test_the_tunnel_client_of_these_tests_is_honest(start_origin):
    origin = start_origin(echo_tunnel)
    with Wire(("127.0.0.1", origin.port)) as wire:
        assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        assert wire.send(b"abc").exactly(3) == b"abc"
