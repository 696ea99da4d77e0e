# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 behind: requests of many clients on few connections, and an endpoint that is trusted no more than a client.
RFC 9113."""
import socket
import threading

import h2.settings
import pytest

from h2_origin import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, PUSH, SETTINGS, H2Peer, echoes_path, frame, h2_script)
from origin import echoes_target
from procs import within
from test_http2 import Client
from test_tls_endpoints import server_context
from wire import chunk, request

MAX_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


@pytest.fixture
def start(start_edge, start_origin):
    """edgeproxy with one thread before one scripted h2c origin."""
    def behind(script=echoes_path, context=None, settings=None, acknowledge=True, threads=1, **pool):
        options = {"settings": settings, "acknowledge": acknowledge}
        origin = start_origin(h2_script(script, **options), tls=context)
        scheme = "https" if context else "h2c"
        stack = {"endpoints": [f"{scheme}://{origin.address}"], "retries": 0, **pool}
        return start_edge({"server": {"threads": threads}, "pools": {"app": stack}}), origin
    return behind


def word_of(edge, path, status=502):
    got = edge.get(path, "http", headers={"accept": "application/json"})
    assert got.status_code == status
    return got.json()["error"]


def post(edge, path):
    """Head and body in one send, so that all of it is at hand for another attempt."""
    with edge.wire() as wire:
        return wire.ask(request(path, method="POST", body=b"x"))


def counted(edge, word):
    return edge.metric("edgeproxy_upstream_errors_total", pool="app", reason=word) or 0


# what passes

def test_a_request_of_http_1_arrives_as_http_2(start):
    edge, origin = start()
    with edge.wire() as wire:
        got = wire.ask(request("/as?a=b", fields=[("X-Mine", "c"), ("Connection", "x-hop"), ("X-Hop", "no"), ("TE", "trailers"),
                                                  ("Cookie", "a=1; b=2")]))
    assert got.status == 200 and got.body == b"/as?a=b" and got.get("server") is None
    seen = origin.requests[-1]
    assert [seen.get(name) for name in (":method", ":scheme", ":path")] == ["GET", "http", "/as?a=b"]
    assert seen.get(":authority") == "app.test" and seen.get("host") is None
    assert seen.get("x-mine") == "c" and seen.get("x-hop") is None and seen.get("connection") is None
    assert seen.get("x-forwarded-proto") == "http" and seen.get("x-forwarded-for") == "127.0.0.1"
    assert all(name == name.lower() for name, _ in seen.fields)


def test_many_requests_share_one_connection(start):
    barrier = threading.Barrier(40, timeout=30)

    def hold_until_all_are_here(peer):
        held = [peer.next() for _ in range(40)]
        for one in held:
            peer.respond(one.stream, one.path.encode())
        peer.serve()
    edge, origin = start(hold_until_all_are_here)
    answers = {}

    def ask(number):
        with edge.wire() as wire:
            barrier.wait()
            answers[number] = wire.ask(request(f"/{number}")).body
    askers = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    [asker.start() for asker in askers]
    [asker.join() for asker in askers]
    assert answers == {number: f"/{number}".encode() for number in range(40)}
    assert origin.connections == 1
    assert edge.metric("edgeproxy_upstream_connections_reused_total", pool="app") >= 39


@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
def test_bodies_and_trailers_go_both_ways(start, http2):
    def echo(peer, seen):
        fields = [("x-sum", str(len(seen.body)))]
        peer.respond(seen.stream, seen.body, fields=fields, trailers=[("x-end", dict(seen.trailers).get("x-mine", "none"))])
    edge, origin = start(lambda peer: peer.serve(echo))
    body = bytes(range(256)) * 2000
    if http2:
        with Client(edge) as client:
            stream = client.open("/up", method="POST", end=False, fields=[("te", "trailers")])
            client.data(stream, body)
            client.h2.send_headers(stream, [("x-mine", "yes")], end_stream=True)
            client.flush()
            got = client.answer(stream)
        assert got["body"] == body and got["trailers"] == {"x-end": "yes"}
    else:
        with edge.wire() as wire:
            wire.send(request("/up", method="POST", fields=[("Transfer-Encoding", "chunked"), ("TE", "trailers")]))
            for start_at in range(0, len(body), 50000):
                wire.send(chunk(body[start_at:start_at + 50000]))
            got = wire.send("0\r\nX-Mine: yes\r\n\r\n").answer()
        assert got.body == body and got.trailers == [("x-end", "yes")]


def test_interim_answers_pass(start):
    def early(peer, seen):
        peer.h2.send_headers(seen.stream, [(":status", "103"), ("link", "</a.css>")])
        peer.h2.send_headers(seen.stream, [(":status", "103"), ("link", "</b.css>")])
        peer.respond(seen.stream)
    edge, _ = start(lambda peer: peer.serve(early))
    with edge.wire() as wire:
        got = wire.ask(request("/early"))
    assert got.status == 200 and [one.get("link") for one in got.interim] == ["</a.css>", "</b.css>"]


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_a_body(start, method, status):
    edge, _ = start(lambda peer: peer.serve(lambda peer, seen: peer.respond(seen.stream, b"", status)))
    with edge.wire() as wire:
        for _ in range(2):
            got = wire.ask(request("/none", method=method), **({"method": method} if method == "HEAD" else {}))
            assert (got.status, got.body) == (status, b"")


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("body", [b"", b"what nobody may see"])
def test_answers_without_a_body_are_whole_with_their_head(start, method, status, body):
    """Whatever the endpoint says behind it, or if it says nothing: the client's connection does not wait for it."""
    def answers(peer, seen):
        peer.respond(seen.stream, body, status, end=False)
    edge, origin = start(lambda peer: peer.serve(answers))
    with edge.wire() as wire:
        for _ in range(3):
            got = wire.ask(request("/none", method=method), **({"method": method} if method == "HEAD" else {}))
            assert (got.status, got.body) == (status, b"")
    assert len(origin.requests) == 3
    assert all(line["status"] == status and not line.get("error") for line in edge.access())


def test_an_early_answer_is_delivered_and_the_upload_ends(start):
    def refuses(peer):
        seen = peer.next(ended=False)
        peer.respond(seen.stream, b"too much", 413)
        peer.until(lambda: seen.reset is not None or seen.ended)
        peer.serve()
    edge, origin = start(refuses)
    with edge.wire() as wire:
        wire.send(request("/up", method="POST", fields=[("Content-Length", "1000000")]) + b"x" * 5000)
        assert wire.answer().status == 413
    assert edge.get("/after", "http").text == "/after" and origin.connections == 1


def test_a_client_that_goes_away_resets_its_stream_only(start):
    left = threading.Event()

    def waits(peer):
        first = peer.next()
        peer.until(lambda: first.reset is not None)
        assert first.reset == 8  # CANCEL
        left.set()
        peer.serve()
    edge, origin = start(waits)
    with edge.wire() as wire:
        wire.send(request("/gone"))
        origin.wait_requests(1)
        wire.reset()
    assert left.wait(15)
    assert edge.get("/after", "http").text == "/after" and origin.connections == 1


# backpressure

def test_a_slow_reader_holds_up_nobody_else(start):
    """The window of one stream is used up; the others go on."""
    def large(peer):
        big = peer.next()
        peer.h2.send_headers(big.stream, [(":status", "200")])
        sent = 0
        while peer.h2.local_flow_control_window(big.stream) >= 16384:
            peer.h2.send_data(big.stream, b"x" * 16384)
            sent += 16384
            peer.flush()
        assert sent <= 65536
        peer.serve()
    edge, origin = start(large)
    with edge.wire() as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.send(request("/big"))
        origin.wait_requests(1)
        for i in range(5):
            assert edge.get(f"/{i}", "http").text == f"/{i}"
    assert origin.connections == 1


def test_the_window_of_the_endpoint_is_kept_to(start):
    """An endpoint that gives no window gets no more than its first; the upload goes on when it does."""
    def stingy(peer):
        seen = peer.next(ended=False)
        peer.until(lambda: len(seen.body) == 65535)
        peer.h2.increment_flow_control_window(1_000_000)
        peer.h2.increment_flow_control_window(1_000_000, seen.stream)
        peer.flush()
        peer.until(lambda: seen.ended)
        peer.respond(seen.stream, str(len(seen.body)).encode())
    edge, _ = start(stingy, acknowledge=False)
    assert edge.client().post(edge.url("/up", "http"), content=b"x" * 300_000).text == "300000"


def test_an_endpoint_that_stops_reading_is_given_up(start):
    edge, _ = start(lambda peer: peer.wait_end(), acknowledge=False, timeouts={"write": "300ms"})
    got = edge.client().post(edge.url("/up", "http"), content=b"x" * 300_000, headers={"accept": "application/json"})
    assert (got.status_code, got.json()["error"]) == (504, "connection_write_timeout")


# limits and ends

def test_the_limit_of_streams_is_kept(start):
    most = []

    def two_at_once(peer):
        while True:
            one = peer.next()
            most.append(len(peer.streams) - len(peer.answered))
            peer.respond(one.stream, one.path.encode())
    edge, origin = start(two_at_once, settings={MAX_STREAMS: 2})
    askers = [threading.Thread(target=lambda: edge.get("/x", "http")) for _ in range(12)]
    [asker.start() for asker in askers]
    [asker.join() for asker in askers]
    assert max(most) <= 2 and len(origin.requests) == 12
    assert not counted(edge, "http2_stream_refused")


def test_goaway_moves_what_was_not_looked_at(start):
    """Streams above the last one of GOAWAY go to another connection, whatever their method (section 6.8)."""
    went = []

    def goes_away(peer):
        first = peer.next()
        went.append(first.path)
        if len(went) == 1:
            peer.raw(frame(GOAWAY, payload=b"\0\0\0\0" + b"\0\0\0\0"))
            return peer.wait_end()
        peer.respond(first.stream, b"second")
        peer.serve()
    edge, origin = start(goes_away, retries=1)
    got = post(edge, "/once")
    assert (got.status, got.body) == (200, b"second") and origin.connections == 2
    assert edge.metric("edgeproxy_pool_retries_total", pool="app") == 1


def test_goaway_lets_finish_what_was_begun(start):
    def graceful(peer):
        first = peer.next()
        peer.h2.close_connection(last_stream_id=first.stream)
        peer.flush()
        peer.raw(frame(HEADERS, first.stream, b"\x88", 4))  # :status 200; the library would send nothing any more
        peer.raw(frame(DATA, first.stream, b"whole", 1))
        peer.peer.wait_end()
    edge, origin = start(graceful)
    assert edge.get("/a", "http").text == "whole"
    assert edge.get("/b", "http").text == "whole" and origin.connections == 2


def test_a_refused_stream_is_sent_again(start):
    refused = []

    def refuses_once(peer, seen):
        if not refused:
            refused.append(seen.path)
            peer.h2.reset_stream(seen.stream, 7)
            return peer.flush()
        peer.respond(seen.stream, b"again")
    edge, origin = start(lambda peer: peer.serve(refuses_once), retries=1)
    assert post(edge, "/once").body == b"again"
    assert origin.connections == 1


def test_an_endpoint_that_always_refuses(start):
    edge, _ = start(lambda peer: peer.serve(lambda peer, seen: (peer.h2.reset_stream(seen.stream, 7), peer.flush())), retries=1)
    assert word_of(edge, "/x", 503) == "http2_stream_refused"
    assert counted(edge, "http2_stream_refused") == 2


def test_a_reset_in_the_middle_is_no_clean_end(start):
    def breaks(peer, seen):
        peer.respond(seen.stream, b"half", end=False)
        peer.h2.reset_stream(seen.stream, 2)
        peer.flush()
    edge, origin = start(lambda peer: peer.serve(breaks))
    with Client(edge) as client:
        got = client.get("/half")
        assert got.get("reset") and got["body"] == b"half"
    with edge.wire() as wire:
        wire.send(request("/half"))
        while wire.more():
            pass
        assert not wire.unread.endswith(b"0\r\n\r\n")
    assert origin.connections == 1 and counted(edge, "http_response_incomplete") == 2


def test_a_connection_that_ends_takes_nobody_with_it_twice(start):
    """A GET whose connection ended without an answer is asked again, a POST is not."""
    def dies(peer):
        if peer.peer.number > 1:
            return peer.serve()
        peer.next()
    edge, origin = start(dies, retries=1)
    assert edge.get("/get", "http").text == "/get"
    edge, origin = start(dies, retries=1)
    assert post(edge, "/post").status == 502 and origin.connections == 1


def test_an_idle_connection_is_closed_in_order(start):
    ended = []

    def watch(peer):
        try:
            peer.serve()
        finally:
            ended.append(peer.ended)
    edge, origin = start(watch, keepalive={"idle_timeout": "200ms"})
    assert edge.get("/a", "http").text == "/a"
    within(15, lambda: ended, "the end of the idle connection")
    assert ended == [0]
    assert edge.get("/b", "http").text == "/b" and origin.connections == 2


def test_a_silent_endpoint_gets_no_more_requests_until_it_answers_a_ping(start):
    """A connection that went dead without a word: the next request does not go there."""
    def silent(peer):
        if peer.peer.number > 1:
            return peer.serve()
        peer.next()
        while True:
            peer.peer.more()  # read, never answered
    edge, origin = start(silent, timeouts={"response": "1s"})
    assert word_of(edge, "/x", 504) == "http_response_timeout"
    assert edge.get("/a", "http").text == "/a" and origin.connections == 2


# what is no HTTP/2, and what is an attack

def test_an_endpoint_that_speaks_http_1_is_told_apart(start_edge, start_origin):
    def http1(peer):
        peer.more()
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    origin = start_origin(http1)
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{origin.address}"], "retries": 0}}})
    assert word_of(edge, "/x") == "http2_not_spoken"
    assert counted(edge, "http2_not_spoken") >= 1


def head(status="200", *fields, end=False):
    def send(peer, stream):
        peer.h2.send_headers(stream, [(":status", status), *fields], end_stream=end)
    return send


BAD_ANSWERS = [
    ("no status", lambda peer, stream: peer.h2.send_headers(stream, [("a", "b")])),
    ("a status of two digits", head("20")),
    ("an unasked 101", head("101")),
    ("capitals in a name", head("200", ("X-Caps", "a"))),
    ("a connection-specific field", head("200", ("connection", "close"))),
    ("transfer-encoding", head("200", ("transfer-encoding", "chunked"))),
    ("two lengths", head("200", ("content-length", "1"), ("content-length", "2"))),
    ("a length that is none", head("200", ("content-length", "1x"))),
    ("a length and no body", head("200", ("content-length", "5"), end=True)),
    ("a NUL in a value", head("200", ("a", "b\0c"))),
    ("a line end in a value", head("200", ("a", "b\r\nc: d"))),
    ("an interim answer that ends", lambda peer, stream: peer.raw(frame(HEADERS, stream, b"\x08\x03103", 5))),
    ("300 fields", head("200", *[(f"a{i}", "b") for i in range(300)])),
    ("DATA before the head", lambda peer, stream: peer.raw(frame(DATA, stream, b"x"))),
    ("a storm of interim answers", lambda peer, stream: [head("103")(peer, stream) for _ in range(20)]),
]


@pytest.mark.parametrize("case, bad", BAD_ANSWERS, ids=[case for case, _ in BAD_ANSWERS])
def test_bad_answers_are_refused(start, case, bad):
    def script(peer, seen):
        if seen.path == "/bad":
            bad(peer, seen.stream)
            return peer.flush()
        peer.respond(seen.stream, seen.path.encode())
    edge, _ = start(lambda peer: peer.serve(script))
    assert word_of(edge, "/bad") == "http_protocol_error"
    assert edge.get("/good", "http").text == "/good"
    assert counted(edge, "http_protocol_error") == 1


@pytest.mark.parametrize("length, body", [(5, b"longer than that"), (50, b"shorter")], ids=["longer", "shorter"])
def test_a_body_that_disagrees_with_its_length_is_no_whole_answer(start, length, body):
    def lies(peer, seen):
        peer.h2.send_headers(seen.stream, [(":status", "200"), ("content-length", str(length))])
        peer.raw(frame(DATA, seen.stream, body, 1))
    edge, _ = start(lambda peer: peer.serve(lies))
    assert word_of(edge, "/lie") == "http_protocol_error"


FLOODS = [
    ("PING", lambda stream: frame(PING, payload=b"12345678")),
    ("SETTINGS", lambda stream: frame(SETTINGS)),
    ("empty DATA", lambda stream: frame(DATA, stream)),
    ("unknown frames", lambda stream: frame(0xbe, payload=b"x")),
    ("CONTINUATION", lambda stream: frame(CONTINUATION, stream)),
]


@pytest.mark.parametrize("case, flood", FLOODS, ids=[case for case, _ in FLOODS])
def test_floods_of_an_endpoint_end_its_connection(start, case, flood):
    """The request in flight is told; the next one gets a connection of its own."""
    def floods(peer):
        seen = peer.next()
        if seen.path != "/flood":
            peer.respond(seen.stream, b"fine")
            return peer.serve()
        if case == "CONTINUATION":
            peer.raw(frame(HEADERS, seen.stream, b"\x88"))
        elif case == "empty DATA":
            peer.h2.send_headers(seen.stream, [(":status", "200")])
        for _ in range(200):
            peer.raw(flood(seen.stream) * 50)
        peer.peer.wait_end()
    edge, origin = start(floods)
    with edge.wire() as wire:
        wire.send(request("/flood", fields=[("Connection", "close")]))
        while wire.more():
            pass
        assert b"502" in wire.unread.split(b"\r\n")[0] or not wire.unread.endswith(b"0\r\n\r\n")
    assert edge.get("/fine", "http").text == "fine" and origin.connections == 2
    assert counted(edge, "http_protocol_error") == 1


def test_pushes_are_refused(start):
    def pushes(peer):
        seen = peer.next()
        if peer.peer.number == 1:
            peer.raw(frame(PUSH, seen.stream, b"\0\0\0\2\x82\x86\x84", 4))
            return peer.peer.wait_end()
        peer.respond(seen.stream, b"fine")
        peer.serve()
    edge, origin = start(pushes)
    assert word_of(edge, "/x") == "http_protocol_error"
    assert edge.get("/y", "http").text == "fine"


# over TLS

@pytest.mark.parametrize("alpn, protocol, spoken", [
    (("h2", "http/1.1"), "auto", "h2"), (("http/1.1",), "auto", "http/1.1"), (("h2",), "h2", "h2"),
    (("h2", "http/1.1"), "http/1.1", "http/1.1")])
def test_alpn_decides(start_edge, start_origin, certificate, alpn, protocol, spoken):
    def either(peer):
        (echoes_path(H2Peer(peer)) if peer.socket.selected_alpn_protocol() == "h2" else echoes_target(peer))
    origin = start_origin(either, tls=server_context(certificate, alpn))
    edge = start_edge({"server": {"threads": 1}, "pools": {"app": {
        "endpoints": [f"https://{origin.address}"], "protocol": protocol, "tls": {"ca": str(certificate.ca)}}}})
    for i in range(3):
        assert edge.get(f"/{i}", "http").text == f"/{i}"
    assert {one["alpn"] for one in origin.handshakes} == {spoken} and origin.connections == 1


def test_http2_or_nothing(start_edge, start_origin, certificate):
    origin = start_origin(echoes_target, tls=server_context(certificate, ("http/1.1",)))
    edge = start_edge({"pools": {"app": {"endpoints": [f"https://{origin.address}"], "protocol": "h2", "retries": 0,
                                         "tls": {"ca": str(certificate.ca)}}}})
    assert word_of(edge, "/x") in ("http2_not_spoken", "tls_alert_received")
    assert not origin.requests


@pytest.mark.parametrize("over_tls", [True, False], ids=["h2", "h2c"])
def test_probes_speak_http_2_too(start, certificate, over_tls):
    pool = {"health": {"path": "/healthz", "interval": "50ms"}}
    if over_tls:
        pool |= {"protocol": "h2", "tls": {"ca": str(certificate.ca)}}
    edge, origin = start(context=server_context(certificate, ("h2",)) if over_tls else None, **pool)
    within(15, lambda: any(seen.path == "/healthz" for seen in origin.requests), "a probe")
    within(15, lambda: (edge.metric("edgeproxy_health_checks_total", pool="app", result="pass") or 0) >= 1, "a pass")
