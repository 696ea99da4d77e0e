# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that waste, flood, hold and dawdle: each is let go in time, is counted, and harms nobody else."""
import struct
import threading
import time

import pytest

from edge import SANITIZED
from http2 import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY,
                   RST_STREAM, SETTINGS, WINDOW_UPDATE, Client, Raw, frame, head, literal, open_stream)
from origin import Origin, answer, echoes_target
from procs import resident_bytes, within
from wire import request

SETTINGS_TIMEOUT = 4
MIB = 1 << 20


def number(value):
    return struct.pack(">I", value)


@pytest.fixture(scope="module")
def origin():
    with Origin(echoes_target) as running:
        yield running


@pytest.fixture(scope="module")
def edge(start_shared_edge, origin):
    return start_shared_edge({"pools": {"app": {"endpoints": [origin.address]}}})


@pytest.fixture
def friend(edge):
    """Somebody who behaves, on a connection of their own: none of their requests may fail."""
    done, failed = threading.Event(), []

    def browse():
        try:
            with Client(edge) as client:
                while not done.is_set():
                    got = client.get("/friend")
                    if (got["headers"][":status"], got["body"]) != ("200", b"/friend"):
                        failed.append(got)
        except Exception as error:
            failed.append(error)
    thread = threading.Thread(target=browse)
    thread.start()
    yield
    done.set()
    thread.join(30)
    assert not failed


def ended(edge, reason):
    return edge.metric("edgeproxy_http2_connections_ended_total", reason=reason) or 0


def glitches(edge, reason=None):
    labels = {"reason": reason} if reason else {}
    return edge.metric("edgeproxy_http2_glitches_total", **labels) or 0


def on_one_stream(turn):
    return lambda id: (open_stream(1, method="POST", flags=END_HEADERS) if id == 1 else b"") + turn


ATTACKS = {  # name -> (reason, one turn on the stream of that number, turns that cost nothing)
    "cve_2023_44487_rapid_reset": ("client_reset", lambda id: open_stream(id, "/r") + frame(RST_STREAM, 0, id, number(CANCEL)), 0),
    "cve_2025_8671_a_window_that_overflows":
        ("server_reset", lambda id: open_stream(id, "/r") + frame(WINDOW_UPDATE, 0, id, number(0x7fffffff)), 0),
    "cve_2025_8671_an_upper_case_name": ("server_reset", lambda id: open_stream(id, "/r", fields=[("X-Upper", "a")]), 0),
    "cve_2025_8671_a_length_that_is_not_kept":
        ("server_reset", lambda id: frame(HEADERS, END_HEADERS, id, head("/r", "POST", [("content-length", "5")]))
         + frame(DATA, END_STREAM, id, b"x"), 0),
    "cve_2025_8671_a_stream_that_depends_on_itself":
        ("server_reset", lambda id: frame(HEADERS, END_HEADERS, id, head("/r", "POST"))
         + frame(PRIORITY, 0, id, number(id) + b"\x10"), 0),
    "cve_2019_9512_ping": ("ping", lambda id: frame(PING, 0, 0, b"12345678"), 10),
    "cve_2019_9515_settings": ("settings", lambda id: frame(SETTINGS), 3),
    "cve_2019_9518_empty_data": ("empty_data", on_one_stream(frame(DATA, 0, 1)), 0),
    "cve_2019_9513_priority": ("priority", lambda id: frame(PRIORITY, 0, id, number(id + 2) + b"\x10"), 0),
    "unknown_frames": ("unknown_frame", lambda id: frame(200, 0, 0, b"?"), 0),
    "windows_by_the_byte": ("window_update", lambda id: frame(WINDOW_UPDATE, 0, 0, number(1)), 100),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_flood_ends_its_connection_and_nobody_elses(edge, origin, friend, attack):
    reason, turn, free = ATTACKS[attack]
    before, wasted, whole = ended(edge, "glitches"), glitches(edge, reason), glitches(edge)
    requests = len([seen for seen in origin.requests if seen.target == "/r"])
    flood = b"".join(turn(id) for id in range(1, 2 * (free + 300), 2))
    for _ in range(2):
        with Raw(edge) as client:
            client.send(flood)
            code, seconds = client.end()
            assert code in (ENHANCE_YOUR_CALM, None)  # our last word may be lost when it goes on sending
            assert seconds < 5
    within(10, lambda: ended(edge, "glitches") == before + 2)
    assert 2 * 200 <= glitches(edge) - whole <= 2 * 240
    assert glitches(edge, reason) - wasted >= 2 * 90  # streams above the hundred that may be open are refused instead
    assert len([seen for seen in origin.requests if seen.target == "/r"]) - requests <= 2 * 100


def test_streams_above_the_limit_cost_too(start_edge, start_origin):
    """REFUSED_STREAM, again and again, to a client that ignores the announced number."""
    release = threading.Event()

    def script(peer):
        peer.request()
        release.wait(20)
        peer.send(answer())
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {"https": {"http2": {"max_streams": 2}}}})
    with Raw(edge) as client:
        client.send(b"".join(open_stream(id) for id in range(1, 500, 2)))
        assert client.end()[0] == ENHANCE_YOUR_CALM
    release.set()
    assert ended(edge, "glitches") == 1 and 200 <= glitches(edge, "refused_stream") <= 202
    assert len(origin.requests) <= 2


def test_a_source_has_so_many_streams_over_all_its_connections(start_edge, start_origin):
    """Those above are refused, cost their client, and reach nobody; another source has its own."""
    release = threading.Event()

    def script(peer):
        if peer.request().target == "/held":
            release.wait(20)
        peer.send(answer())
    origin = start_origin(script)
    edge = start_edge({"limits": {"streams_per_source": 4}, "pools": {"app": {"endpoints": [origin.address]}}})

    def hits():
        return edge.metric("edgeproxy_limit_hits_total", limit="streams_per_source")
    with Raw(edge) as first, Raw(edge) as second, Client(edge) as third:
        first.send(open_stream(1, "/held") + open_stream(3, "/held"))
        second.send(open_stream(1, "/held") + open_stream(3, "/held"))
        origin.wait_requests(4)
        second.send(open_stream(5, "/more"))
        refused = next((stream, payload) for kind, _, stream, payload in second.frames() if kind == RST_STREAM)
        assert refused == (5, number(7)), "REFUSED_STREAM"
        assert hits() == 1 and glitches(edge, "refused_stream") == 1
        release.set()
        within(10, lambda: third.get("/after").get("headers", {}).get(":status") == "200", "a place that was given back")
    assert len([seen for seen in origin.requests if seen.target == "/more"]) == 0


def test_windows_are_as_wide_as_the_listener_says(start_edge, origin):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"https": {"http2": {"window": "256KiB", "connection_window": "2MiB"}}}})
    with Raw(edge) as client:
        told, wider = {}, None
        for kind, flags, stream, payload in client.frames():
            if kind == SETTINGS and not flags:
                told.update(struct.unpack(">HI", payload[at:at + 6]) for at in range(0, len(payload), 6))
            if kind == WINDOW_UPDATE and stream == 0:
                wider = struct.unpack(">I", payload)[0]
            if told and wider:
                break
    assert told[4] == 256 * 1024 and wider == 2 * MIB - 65535  # SETTINGS_INITIAL_WINDOW_SIZE


def test_a_smaller_budget_and_the_wait_before_its_end(start_edge, origin):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"https": {"http2": {"glitches": 20, "glitch_rate": 1}}}})
    with Raw(edge) as client:
        for _ in range(16):
            client.send(frame(200))
        begun = time.monotonic()
        client.send(open_stream(1))
        assert next(stream for kind, _, stream, _ in client.frames() if kind == HEADERS) == 1
        assert time.monotonic() - begun > 0.09
        client.send(frame(200) * 10)
        assert client.end()[0] == ENHANCE_YOUR_CALM
    assert edge.metric("edgeproxy_http2_delayed_streams_total") == 1 and ended(edge, "glitches") == 1


def test_cve_2024_27316_continuation_flood(edge, friend):
    before, size = ended(edge, "continuation"), resident_bytes(edge.proxy)
    with Raw(edge) as client:
        client.send(frame(HEADERS, END_STREAM, 1, head()))
        client.send(frame(CONTINUATION, 0, 1, literal("x-a", "b" * 900)) * 5000)
        assert client.end()[0] in (ENHANCE_YOUR_CALM, None)
    within(10, lambda: ended(edge, "continuation") == before + 1)
    assert glitches(edge, "continuation") >= 1
    assert resident_bytes(edge.proxy) - size < 4 * MIB


def test_a_ninth_continuation_is_too_many(edge):
    with Raw(edge) as client:
        client.send(frame(HEADERS, END_STREAM, 1, head()) + 8 * frame(CONTINUATION, 0, 1, literal("x-a", "b")))
        client.send(frame(PING, 0, 0, b"12345678"))  # in the middle of a head: the ninth would have said calm
        assert client.end()[0] == 1
    with Raw(edge) as client:
        client.send(frame(HEADERS, END_STREAM, 1, head()) + 9 * frame(CONTINUATION, 0, 1, literal("x-a", "b")))
        assert client.end()[0] == ENHANCE_YOUR_CALM


def bomb(stream):
    """147 KiB that unpack to half a gigabyte: one field of 4000 bytes in the table, then one byte each time it is named."""
    field = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000
    block = head() + field + b"\xbe" * (9 * 16384 - len(head()) - len(field))
    parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    frames = [frame(HEADERS, END_STREAM, stream, parts[0]), *(frame(CONTINUATION, 0, stream, part) for part in parts[1:-1])]
    return b"".join([*frames, frame(CONTINUATION, END_HEADERS, stream, parts[-1])])


def test_cve_2026_49975_a_bomb_of_indexed_fields(edge, friend):
    size, wasted = resident_bytes(edge.proxy), glitches(edge, "server_reset")
    for _ in range(3):
        with Raw(edge) as client:
            client.send(bomb(1) + bomb(3) + open_stream(5, "/after"))
            resets, kinds = set(), set()
            for kind, _, stream, payload in client.frames():
                kinds.add((kind, stream))
                if kind == RST_STREAM:
                    resets.add((stream, payload))
                if (HEADERS, 5) in kinds:
                    break
            assert {(1, number(ENHANCE_YOUR_CALM)), (3, number(ENHANCE_YOUR_CALM))} == resets
    assert glitches(edge, "server_reset") == wasted + 6
    assert edge.metric("edgeproxy_http_malformed_total", reason="head_too_large") >= 6
    assert resident_bytes(edge.proxy) - size < 8 * MIB


MOST_PER_CONNECTION = 45 * MIB  # proxy/http2_memory.hpp


@pytest.mark.parametrize("connections, fields, most", [
    pytest.param(10, [], 64 * MIB, id="ten connections"),
    pytest.param(2, [("x-large", "y" * 15000), ("x-more", "y" * 12000)], 2 * MOST_PER_CONNECTION, id="with large heads"),
])
def test_streams_that_nobody_reads_hold_little_and_not_for_long(start_edge, connections, fields, most):
    """Connections of a hundred streams, each with a window of nothing: proxy/http2_memory.hpp tells what they may hold."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz", "max_in_flight": 2000}},
                       "listeners": {"https": {"timeouts": {"write": "6s"}}}, "server": {"threads": 1}})  # time for all to be there at once
    edge.get("/bytes?n=100000", http2=True)
    before = resident_bytes(edge.proxy)
    attackers = [Raw(edge, settings=struct.pack(">HI", 4, 0)) for _ in range(connections)]
    try:
        for client in attackers:
            client.send(b"".join(open_large_stream(id, "/bytes?n=1000000", fields) for id in range(1, 201, 2)))
        within(30, lambda: edge.metric("edgeproxy_http_requests_in_flight") >= connections * 100)
        grown = resident_bytes(edge.proxy) - before
        print(f"{grown / MIB:.1f} MiB for {connections * 100} streams that are held")
        assert grown < most * (2 if SANITIZED else 1)  # a sanitizer adds to every piece
        within(30, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 0)
        assert edge.get("/pid", http2=True).status_code == 200
    finally:
        for client in attackers:
            client.wire.close()
    assert edge.metric("edgeproxy_http2_slow_streams_total", reason="write_timeout") >= 1


def open_large_stream(id, path, fields):
    block = head(path, fields=fields)
    parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    frames = [frame(CONTINUATION if at else HEADERS, 0 if at else END_STREAM, id, part) for at, part in enumerate(parts)]
    last = frames[-1]
    return b"".join(frames[:-1]) + last[:4] + bytes((last[4] | END_HEADERS,)) + last[5:]


def test_settings_that_are_never_acknowledged(start_edge, origin):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"https": {"timeouts": {"settings_ack": "300ms"}}}})
    with Raw(edge, acknowledge=False) as client:
        client.send(open_stream(1, "/", method="GET", flags=END_HEADERS))
        assert client.end()[0] == SETTINGS_TIMEOUT
    with Client(edge) as client:
        assert client.get("/")["headers"][":status"] == "200"
    assert ended(edge, "settings_timeout") == 1


def test_a_silent_client_with_an_open_stream(start_edge, start_origin):
    release = threading.Event()

    def script(peer):
        peer.request()
        release.wait(30)
        peer.send(answer())
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"https": {"timeouts": {"ping_interval": "200ms", "ping": "300ms"}}}})
    with Client(edge) as lively:
        waits = lively.open("/")
        for _ in range(5):
            lively.turn()  # SETTINGS, then PING after PING, which it answers
        release.set()
        assert lively.answer(waits)["headers"][":status"] == "200"
    release.clear()
    with Raw(edge) as client:
        client.send(open_stream(1))
        assert PING in [kind for kind, _, _, _ in client.frames()]
    assert ended(edge, "ping_timeout") == 1
    release.set()


def test_an_old_connection_is_asked_to_end_on_both_versions(start_edge, origin):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {
        "http": {"timeouts": {"connection_age": "1s"}}, "https": {"timeouts": {"connection_age": "1s"}}}})
    with Raw(edge) as client, edge.wire() as wire:
        client.send(open_stream(1))
        assert wire.ask(request("/")).get("connection") is None
        assert client.end()[0] == 0
        within(10, lambda: wire.ask(request("/")).get("connection") == "close")
        assert wire.ended()
    within(10, lambda: ended(edge, "age") == 1)


def test_a_body_that_drips(start_edge, origin):
    """Ten seconds of grace, then 240 bytes a second."""
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with Raw(edge) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, head("/", "POST", [("content-length", "1000")])))
        begun, over = time.monotonic(), threading.Event()

        def drip():
            while not over.wait(1):
                client.send(frame(DATA, 0, 1, b"x"))
        thread = threading.Thread(target=drip)
        thread.start()
        kinds = next(kind for kind, _, stream, _ in client.frames() if stream == 1)
        over.set()
        thread.join()
        assert kinds == HEADERS and 9 < time.monotonic() - begun < 25
    assert edge.metric("edgeproxy_http2_slow_streams_total", reason="body_rate") == 1
    assert edge.metric("edgeproxy_http_errors_total", reason="request_timeout") == 1
