# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/2 (RFC 8441) to an endpoint that speaks HTTP/1.1: a stream is a tunnel from a verified 101 on, its
END_STREAM is the endpoint's FIN, and neither what one tunnel carries nor how it ends touches the rest of the connection."""
import base64
import struct
import threading

import pytest

from edge import SANITIZED
from origin import Ended, Origin
from procs import within
from tunnels import Behind, Tunnels, chosen, echo, open_tunnels, plain, post, switch

MANY = 200 if SANITIZED else 1000


@pytest.fixture(scope="module")
def shared(start_shared_edge):
    """One edgeproxy for all that need no other; what stands behind it is chosen by each test."""
    with Origin(Behind()) as origin:
        edge = start_shared_edge({"pools": {"app": {"endpoints": [origin.address], "outlier": False}}, "routes": [
            {"path": "/listed", "pool": "app", "websocket": {"allowed_origins": ["https://app.test"]}},
            {"path": "/two", "pool": "app", "websocket": {"max_tunnels": 2}},
            {"path": "/off", "pool": "app", "websocket": False}, {"pool": "app"}]})
        yield edge, origin


@pytest.fixture
def edge(shared):
    return shared[0]


@pytest.fixture
def behind(shared):
    yield from chosen(*shared)


def errors(edge, reason):
    return edge.metric("edgeproxy_http_errors_total", reason=reason) or 0


# handshake

def test_the_endpoint_sees_an_ordinary_handshake(edge, behind):
    origin = behind(extra=[("Sec-WebSocket-Protocol", "v2"), ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Set-Cookie", "a=b")])
    with Tunnels(edge) as client:
        client.turn()
        assert client.h2.remote_settings.enable_connect_protocol == 1
        fields = [("origin", "https://app.test"), ("sec-websocket-protocol", "chat, v2"), ("cookie", "a=1"), ("cookie", "b=2"),
                  ("sec-websocket-extensions", "permessage-deflate"), ("sec-websocket-key", "bWluZSBhbmQgbm90IHlvdQ==")]
        head = client.head(client.handshake("/ws?a=b", fields))
        client.tunnel("/second")
    one, two = origin.requests
    assert (one.method, one.target, one.version, one.get("host")) == ("GET", "/ws?a=b", "HTTP/1.1", "app.test")
    assert (one.values("connection"), one.values("upgrade"), one.values("sec-websocket-version")) == (["upgrade"], ["websocket"], ["13"])
    assert (one.get("origin"), one.get("sec-websocket-protocol"), one.get("cookie")) == ("https://app.test", "chat, v2", "a=1; b=2")
    assert one.get("sec-websocket-extensions") == "permessage-deflate" and one.get("x-forwarded-proto") == "https"
    assert not one.values("transfer-encoding") and not one.values("content-length") and not one.values("te")
    keys = [value for seen in (one, two) for value in seen.values("sec-websocket-key")]
    assert len(set(keys)) == 2 and all(len(base64.b64decode(key)) == 16 for key in keys), "one key of ours for each"
    assert "bWluZSBhbmQgbm90IHlvdQ==" not in keys
    assert head[":status"] == "200" and (head["sec-websocket-protocol"], head["set-cookie"]) == ("v2", "a=b")
    assert head["sec-websocket-extensions"] == "permessage-deflate"
    assert not {"upgrade", "connection", "sec-websocket-accept", "transfer-encoding", "content-length"} & set(head)


@pytest.mark.parametrize("what, options, expected, reason", [
    ("another protocol", {"protocol": "connect-udp"}, "501", "unknown_protocol"),
    ("a protocol in capitals", {"protocol": "WebSocket"}, "501", "unknown_protocol"),
    ("version 8", {"version": "8"}, "400", "bad_field"),
    ("two versions", {"fields": [("sec-websocket-version", "13")]}, "400", "bad_field"),
    ("a length", {"fields": [("content-length", "5")]}, "400", "bad_length"),
    ("nothing to follow", {"end": True}, "400", "bad_length"),
    ("an 8-bit byte in a field", {"fields": [("x-name", "\xe9")]}, "400", "bad_upgrade_bytes")])
def test_what_is_no_websocket_makes_no_tunnel(edge, behind, what, options, expected, reason):
    origin = behind()
    before = edge.metric("edgeproxy_http_malformed_total", reason=reason) or 0
    with Tunnels(edge) as client:
        got = client.answer(client.handshake(**options))
        assert got["headers"][":status"] == expected, what
        plain(client)
    assert edge.metric("edgeproxy_http_malformed_total", reason=reason) == before + 1
    assert [seen.target for seen in origin.requests] == ["/plain"]


def test_connect_without_a_protocol_and_a_protocol_without_connect(edge, behind):
    """Neither is a tunnel: 405 for the one (RFC 9110 section 9.3.6), the other is malformed (RFC 8441 section 4)."""
    origin = behind()
    before = edge.metric("edgeproxy_http_malformed_total", reason="forbidden_method") or 0
    with Tunnels(edge) as client:
        got = client.answer(client.open(pseudo=[(":method", "CONNECT"), (":authority", "app.test:443")], end=False))
        assert got["headers"][":status"] == "405"
        get = [(":method", "GET"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "app.test"), (":path", "/ws")]
        assert client.answer(client.open(pseudo=get, end=False))["reset"]
        plain(client)
    assert edge.metric("edgeproxy_http_malformed_total", reason="forbidden_method") == before + 1
    assert [seen.target for seen in origin.requests] == ["/plain"]


REFUSED = [
    ("403", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "403", b"no"),
    # To the client of a WebSocket over HTTP/2 it would say that the tunnel is open (RFC 8441, section 5).
    ("200", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "502", None),
    ("426", b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", "426", b""),
    ("302", b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "302", b""),
    ("an early end", b"", "502", None),
    ("a wrong accept", lambda seen: switch(seen).replace(b"Accept: ", b"Accept: x"), "502", None),
    ("another protocol", lambda seen: switch(seen).replace(b": websocket", b": foo"), "502", None),
    ("a 101 of nothing", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "502", None),
    ("no HTTP", b"hello\r\n\r\n", "502", None),
]


@pytest.mark.parametrize("told, status, body", [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_a_refused_handshake_is_an_answer_like_any_other(edge, behind, told, status, body):
    """What the client has sent for the tunnel meanwhile reaches nobody, and its window comes back: 1.8 MB of it here, of a
    connection that has a window of one."""
    origin = behind(told=told)
    opened = edge.metric("edgeproxy_websocket_opened_total", pool="app") or 0
    with Tunnels(edge) as client:
        for _ in range(30):
            stream = client.handshake()
            try:
                client.data(stream, b"GET /inside HTTP/1.1\r\nHost: app.test\r\n\r\n" * 1500)
            except Exception:  # it was answered, and over, before all of it was sent
                pass
            got = client.answer(stream)
            assert got["headers"][":status"] == status and body in (None, got["body"])
            assert "upgrade" not in got["headers"] and "connection" not in got["headers"]
        plain(client)
        assert post(client, b"x" * 60000) == b"x" * 60000
    assert {seen.target for seen in origin.requests} == {"/ws", "/plain", "/post"}
    assert (edge.metric("edgeproxy_websocket_opened_total", pool="app") or 0) == opened


def test_interim_answers_pass_before_the_tunnel_opens(edge, behind):
    behind(told=lambda seen: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switch(seen))
    with Tunnels(edge) as client:
        stream = client.tunnel()
        assert [head[":status"] for head in client.got[stream]["interim"]] == ["103"]
        client.cancel(stream)


@pytest.mark.parametrize("origins, status", [(["https://app.test"], "200"), ([], "200"), (["https://evil.test"], "403"), (["null"], "403"),
                                             (["https://app.test", "https://evil.test"], "403")])
def test_a_page_from_elsewhere_opens_no_tunnel(edge, behind, origins, status):
    origin, before = behind(), errors(edge, "origin_not_allowed")
    with Tunnels(edge) as client:
        stream = client.handshake("/listed", [("origin", one) for one in origins])
        assert client.head(stream)[":status"] == status
        plain(client)
    assert errors(edge, "origin_not_allowed") == before + (status == "403")
    assert [seen.target for seen in origin.requests] == ["/listed"] * (status == "200") + ["/plain"]


def test_websocket_can_be_switched_off_by_route(edge, behind):
    origin, before = behind(), errors(edge, "websocket_off")
    with Tunnels(edge) as client:
        assert client.answer(client.handshake("/off"))["headers"][":status"] == "403"
        plain(client, "/off/plain")
    assert errors(edge, "websocket_off") == before + 1 and [seen.target for seen in origin.requests] == ["/off/plain"]


def test_no_more_tunnels_than_the_route_allows(edge, behind):
    """However many connections they come by; a stream that is reset gives its place back."""
    behind()
    before = errors(edge, "tunnel_limit")
    with Tunnels(edge) as one, Tunnels(edge) as two:
        first, _ = one.tunnel("/two"), two.tunnel("/two")
        got = two.answer(two.handshake("/two"))
        assert got["headers"][":status"] == "503" and got["headers"]["retry-after"]
        assert errors(edge, "tunnel_limit") == before + 1
        plain(two, "/two/plain")
        one.cancel(first)
        within(10, lambda: one.head(one.handshake("/two"))[":status"] == "200", "a place for another tunnel")


# bytes

def test_what_follows_the_handshake_at_once_passes_and_the_endpoint_may_speak_first(edge, behind):
    def speaks(peer):
        peer.send(b"\x81\x05hello")
        echo(peer)
    behind(speaks)
    with Tunnels(edge) as client:
        stream = client.handshake()
        client.data(stream, b"\x81\x85....first")
        assert client.head(stream)[":status"] == "200"
        assert client.take(stream, 18) == b"\x81\x05hello" + b"\x81\x85....first"
        client.cancel(stream)


def test_every_byte_of_every_size_passes(edge, behind):
    """A message of 16 MiB in one frame, there and back, and small ones around it: what comes back is what was sent."""
    behind()
    with Tunnels(edge) as client:
        stream = client.tunnel()
        for size in (0, 1, 125, 126, 65535, 65536, 16 << 20):
            length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size)
            message = b"\x82" + length + b"mask" + (bytes(range(256)) * (size // 256 + 1))[:size]
            came = []
            for start in range(0, len(message), 1 << 18):
                client.data(stream, message[start:start + (1 << 18)])
                came.append(client.take(stream, 0))
            while sum(map(len, came)) < len(message):
                came.append(client.take(stream))
            assert b"".join(came) == message
        client.cancel(stream)


def pattern(start, size):
    whole = bytes(number % 251 for number in range(251)) * (size // 251 + 2)
    return whole[start % 251:start % 251 + size]


def test_a_client_that_does_not_read_holds_back_its_endpoint_and_nobody_else(edge, behind):
    stalled, go, poured = threading.Event(), threading.Event(), []

    def pours(peer):
        peer.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 256 << 20:
                sent += peer.socket.send(pattern(sent, 65536))
        except TimeoutError:
            pass
        poured.append(sent)
        stalled.set()
        assert go.wait(30)
        peer.socket.settimeout(30)
        peer.send(pattern(sent, 100_000))

    origin = behind(pours)
    with Tunnels(edge) as client:
        stream = client.tunnel(held=True)
        origin.script.tunnel = echo
        while not stalled.is_set():
            plain(client)
        assert poured[0] < 16 << 20, "no more of it was taken than socket buffers and a window hold"
        assert client.held[stream] == 65535, "the client got what its window allows"
        other = client.tunnel("/other")
        client.cancel(other)
        client.let_go(stream)
        go.set()
        came = bytearray()
        while len(came) < poured[0] + 100_000:
            came += client.take(stream)
        assert came == pattern(0, len(came))
        assert client.answer(stream)["body"] == b"" and not client.got[stream].get("reset")
        client.cancel(stream)


def test_an_endpoint_that_does_not_read_holds_back_its_client_and_nobody_else(edge, behind):
    go, took = threading.Event(), []

    def deaf(peer):
        assert go.wait(30)
        try:
            while True:
                took.append(peer.unread)
                peer.unread = b""
                peer.more()
        except Ended:
            pass

    origin = behind(deaf)
    with Tunnels(edge) as client:
        stream, sent = client.tunnel(), 0
        for _ in range(10_000):
            room = client.h2.local_flow_control_window(stream)
            if room == 0:
                plain(client)  # and reads what is there
                if client.h2.local_flow_control_window(stream) == 0 and client.wire.silent(0.3):
                    break
                continue
            part = min(room, 16384)
            client.h2.send_data(stream, pattern(sent, part))
            client.flush()
            sent += part
        assert sent < 16 << 20, "no more of it was taken than socket buffers and a window hold"
        origin.script.tunnel = echo
        other = client.tunnel("/other")
        client.data(other, b"others go on")
        assert client.take(other, 12) == b"others go on"
        assert post(client, b"x" * 60000) == b"x" * 60000
        client.cancel(other)
        go.set()
        client.data(stream, pattern(sent, 100_000), end=True)
        client.answer(stream)
    got = b"".join(took)
    assert len(got) == sent + 100_000 and got == pattern(0, len(got))


def test_tunnels_and_plain_requests_share_a_connection(edge, behind):
    behind()
    with Tunnels(edge) as client:
        streams = [client.tunnel(f"/{number}") for number in range(10)]
        for turn in range(5):
            for stream in streams:
                client.data(stream, b"%d of %d" % (turn, stream))
            plain(client)
            for stream in streams:
                text = b"%d of %d" % (turn, stream)
                assert client.take(stream, len(text)) == text
        assert open_tunnels(edge) == 10


# many

def rss(pid):
    return next(int(line.split()[1]) << 10 for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))


def test_a_thousand_tunnels_over_four_connections(start_edge, start_origin):
    """And what each of them costs while nobody says anything: 40 KiB at most."""
    origin = start_origin(Behind())
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {"https": {"http2": {"max_streams": MANY // 4}}}})
    with Tunnels(edge) as a, Tunnels(edge) as b, Tunnels(edge) as c, Tunnels(edge) as d:
        clients = (a, b, c, d)
        plain(a)
        before = rss(edge.proxy)
        open_now = [(client, client.handshake()) for client in clients for _ in range(MANY // 4)]
        for client, stream in open_now:
            assert client.head(stream)[":status"] == "200"
        assert open_tunnels(edge) == MANY
        for client, stream in open_now:
            client.data(stream, b"%d" % stream * 100)
        for client, stream in open_now:
            text = b"%d" % stream * 100
            assert client.take(stream, len(text)) == text
        each = (rss(edge.proxy) - before) / MANY
        assert SANITIZED or each < 40 << 10, f"{each / 1024:.1f} KiB for each tunnel"
    within(20, lambda: open_tunnels(edge) == 0, "all tunnels to end")


def test_a_page_where_a_websocket_was_asked_for_is_no_failure_of_its_endpoint(start_edge, start_origin):
    """Or anybody could have an endpoint ejected by asking it for what it does not have."""
    origins = [start_origin(), start_origin()]
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address for origin in origins],
                                         "outlier": {"failures": 3, "window": "10s", "eject": "60s"}}}})
    with Tunnels(edge) as client:
        for i in range(12):
            assert client.head(client.handshake(f"/page/{i}"))[":status"] == "502"
    assert sum(len(origin.requests) for origin in origins) == 12
    assert not edge.metric("edgeproxy_upstream_errors_total", pool="app")
    assert edge.metric("edgeproxy_upstream_requests_total", pool="app", code_class="2xx") == 12
