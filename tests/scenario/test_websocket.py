# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/1.1 is a tunnel that begins at a verified 101 and not before. RFC 6455, RFC 9110 section 7.8."""
import asyncio
import base64
import hashlib
import socket
import threading

import pytest
from websockets.asyncio.client import connect as connect_in_loop
from websockets.sync.client import connect
from websockets.sync.server import serve

import procs
from edge import SANITIZED
from origin import Origin, answer
from procs import within
from wire import Wire, request

KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]


class Mixed:
    """/ws and /listed are tunnels that echo, /told gets what the test says, everything else its own name."""

    def __init__(self):
        self.told = b""

    def __call__(self, peer):
        seen = peer.request()
        if seen.target == "/told":
            peer.send(self.told)
        elif seen.get("upgrade"):
            peer.send(SWITCH)
            while True:
                if not peer.unread:
                    peer.more()
                peer.send(peer.exactly(len(peer.unread)))
        else:
            peer.send(answer(seen.target[1:].encode()))
        self(peer)


def mixed(peer):
    Mixed()(peer)


SWITCH = (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n").encode()


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


@pytest.fixture(scope="module")
def shared(start_shared_edge):
    with Origin(Mixed()) as origin:
        yield start_shared_edge({"pools": {"app": {"endpoints": [origin.address], "outlier": False}}, "routes": [
            {"path": "/listed", "pool": "app",
             "websocket": {"allowed_origins": ["https://app.test", "https://*.wild.test"]}}, {"pool": "app"}]}), origin


@pytest.mark.parametrize("tls", [False, True])
def test_messages_of_every_size_come_back(start_edge, tls):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    options = {"ssl": edge.context()} if tls else {}
    url = edge.url("/ws", "https" if tls else "http").replace("http", "ws", 1)

    # asyncio's: with two threads on one TLS connection, as in `websockets.sync`, a request is lost now and then.
    async def talk():
        async with connect_in_loop(url, compression=None, max_size=None, **options) as socket:
            for message in (*(b"x" * size for size in (0, 1, 125, 126, 65535, 65536, 1_000_000)), "żółw"):
                await socket.send(message)
                assert await asyncio.wait_for(socket.recv(), 10) == message
            await asyncio.wait_for(await socket.ping(), 10)
            assert edge.metric("edgeproxy_websocket_tunnels", pool="app") == 1

    asyncio.run(talk())
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


def test_426_tells_that_a_websocket_is_wanted(behind):
    """RFC 9110, section 15.5.22. The connection goes on: nobody has changed to anything."""
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nContent-Length: 2\r\n\r\nno")
        script(peer)
    edge, _ = behind(script)
    with edge.wire() as wire:
        for _ in range(2):
            got = wire.ask(request("/plain"))
            assert (got.status, got.body, got.get("upgrade"), got.get("connection")) == (426, b"no", "websocket", "upgrade")


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


@pytest.mark.parametrize("origins, status", [
    (["https://app.test"], 101), (["https://a.wild.test"], 101), ([], 101), (["https://evil.test"], 403), (["null"], 403),
    (["https://app.test.evil.test"], 403), (["http://app.test"], 403), (["https://app.test", "https://evil.test"], 403)])
def test_a_page_from_elsewhere_opens_no_tunnel(shared, origins, status):
    """`allowed_origins`: cross-site WebSocket hijacking ends here. RFC 6455 section 10.2."""
    edge, origin = shared
    before, counted = len(origin.requests), edge.metric("edgeproxy_http_errors_total", reason="origin_not_allowed") or 0
    with edge.wire() as wire:
        got = wire.ask(request("/listed", fields=[*UPGRADE, *(("Origin", one) for one in origins)]))
        assert got.status == status
        if status != 101:
            assert wire.ended()
    assert [seen.values("origin") for seen in origin.requests[before:]] == ([origins] if status == 101 else [])
    assert (edge.metric("edgeproxy_http_errors_total", reason="origin_not_allowed") or 0) == counted + (status == 403)


def test_no_more_tunnels_than_the_route_allows(behind):
    """`max_tunnels` counts handshakes as well as tunnels; a plain request on the route is served all the same."""
    edge, origin = behind(mixed, routes=[{"pool": "app", "websocket": {"max_tunnels": 2}}])
    with edge.wire() as one, edge.wire() as two, edge.wire() as three:
        for wire in (one, two):
            assert wire.ask(request("/ws", fields=UPGRADE)).status == 101
        got = three.ask(request("/ws", fields=UPGRADE))
        assert got.status == 503 and got.get("retry-after") and three.ended()
        assert edge.metric("edgeproxy_http_errors_total", reason="tunnel_limit") == 1
        with edge.wire() as wire:
            assert wire.ask(request("/plain")).body == b"plain"
        one.close()

        def free():
            with edge.wire() as wire:
                return wire.ask(request("/ws", fields=UPGRADE)).status == 101
        within(10, free, "a place for another tunnel")
    assert [seen.target for seen in origin.requests].count("/ws") == 3


SMUGGLED = [
    ("a version that the server refuses", {"Sec-WebSocket-Version": "777"}, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"),
    ("an endpoint that answers 200", {}, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("an endpoint that answers 426", {}, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"),
    ("an endpoint that answers 101 without Upgrade", {}, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ("an endpoint that switches to something else", {}, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"),
    ("a wrong accept", {}, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
    ("two accepts", {}, f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()),
    ("a handshake by POST", {"method": "POST"}, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                                + f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()),
    ("an unasked 101", {"Upgrade": None}, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          + f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()),
]


@pytest.mark.parametrize("change, told", [pytest.param(change, told, id=name) for name, change, told in SMUGGLED])
def test_no_hidden_way_to_the_endpoint_behind_a_failed_handshake(shared, change, told):
    """The old trick: make the proxy believe in a tunnel that the endpoint never opened, then speak HTTP through it."""
    edge, origin = shared
    origin.script.told = told
    before = len(origin.requests)
    fields = [(key, change.get(key, value)) for key, value in UPGRADE if change.get(key, value)]
    with edge.wire() as wire:
        wire.send(request("/told", method=change.get("method", "GET"), fields=fields))
        got = wire.answer()
        assert got.status != 101
        if b" 101 " in told:
            assert got.status == 502
        try:
            wire.send(request("/inside"))
            if not wire.ended():
                assert wire.answer().status == 200  # an ordinary request on an ordinary connection
        except OSError:
            pass
    for seen in origin.requests[before + 1:]:
        assert seen.target == "/inside" and seen.get("x-forwarded-for") == "127.0.0.1", "it went through the proxy's hands"
        assert b" 101 " not in told or seen.connection != origin.requests[before].connection


def test_at_most_16_kib_wait_behind_a_handshake(behind):
    """Bytes behind the head are held until the answer: a bounded number, and dropped with any answer but 101."""
    answered = threading.Event()

    def script(peer):
        peer.request()
        assert answered.wait(20)
        peer.send(answer(b"no"))
        peer.wait_end()
    edge, origin = behind(script)
    with edge.wire() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        wire.send(request("/ws", fields=UPGRADE))
        wire.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                sent += wire.socket.send(b"x" * 65536)
        wire.socket.settimeout(15)
        answered.set()
        assert wire.answer().body == b"no"
    assert origin.bytes_in < 4096, "nothing of it reached the endpoint"
    assert sent < 16 << 20, "and no more of it was taken than socket buffers hold"


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_sixteen_mebibytes_come_back_byte_for_byte(start_edge, compression):
    """One message, with and without permessage-deflate: edgeproxy has no opinion on frames."""
    with serve(lambda socket: [socket.send(message) for message in socket], "127.0.0.1", 0, compression="deflate",
               max_size=32 << 20) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{server.socket.getsockname()[1]}"]}}})
        message = bytes(range(256)) * (16 << 12)

        async def ask():
            async with connect_in_loop(edge.url("/ws", "https").replace("http", "ws", 1), ssl=edge.context(),
                                       compression=compression, max_size=32 << 20) as client:
                assert bool(client.response.headers.get("Sec-WebSocket-Extensions")) == bool(compression)
                await client.send(message)
                assert await asyncio.wait_for(client.recv(), 60) == message

        asyncio.run(ask())
        server.shutdown()


def test_a_thousand_tunnels_at_once(behind):
    edge, _ = behind(limits={"connections_per_source": "off"})
    wires = []
    try:
        for _ in range(1000):
            wires.append(edge.wire())
            wires[-1].send(request("/ws", fields=UPGRADE))
        for wire in wires:
            assert wire.answer().status == 101
        assert edge.metric("edgeproxy_websocket_tunnels", pool="app") == 1000
        for number, wire in enumerate(wires):
            wire.send(b"tunnel %04d" % number)
        for number, wire in enumerate(wires):
            assert wire.exactly(11) == b"tunnel %04d" % number
    finally:
        for wire in wires:
            wire.close()
    within(20, lambda: edge.metric("edgeproxy_websocket_tunnels", pool="app") == 0, "all tunnels to end")


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


def test_an_idle_tunnel_takes_little_and_its_log_line_has_everything(start_edge, start_origin):
    """The request that it began with is gone long before its line is written."""
    origin = start_origin(echo_tunnel)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "max_in_flight": 2000}}, "server": {"threads": 1},
                       "limits": {"connections_per_source": "off"}})
    fields = [*UPGRADE, ("User-Agent", "agent/1.0"), ("Referer", "http://here.test/"), ("X-Request-ID", "id-of-the-tunnel")]

    def opened(number):
        wire = edge.wire()
        wire.send(request(f"/ws/{number}?q={number}", fields=fields))
        assert wire.head().status == 101
        wire.send(b"ping")
        assert wire.exactly(4) == b"ping"
        return wire

    first = [opened(number) for number in range(50)]
    before = procs.resident_bytes(edge.proxy)
    more = [opened(number) for number in range(50, 350)]
    each = (procs.resident_bytes(edge.proxy) - before) / len(more)
    if not SANITIZED:
        assert each < 20 * 1024, f"{each:.0f} bytes"
    for wire in first + more:
        wire.send(b"still")
        assert wire.exactly(5) == b"still"
        wire.close()
    lines = within(20, lambda: (found := edge.access()) if len(edge.access()) >= 350 else None, "every line")
    assert sorted(line["query"] for line in lines) == sorted(f"q={number}" for number in range(350))
    for line in lines:
        assert line["path"] == "/ws/" + line["query"][2:] and line["status"] == 101
        assert (line["user_agent"], line["referer"], line["host"]) == ("agent/1.0", "http://here.test/", "app.test")
        assert line["client_ip"] == "127.0.0.1" and line["endpoint"] == origin.address
