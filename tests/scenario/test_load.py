# SPDX-License-Identifier: Apache-2.0
"""Waiting has an end and a bound: queue, hold and every timeout, each with its status and its word in the log."""
import threading
import time

import pytest

from origin import answer, echoes_target
from procs import within
from wire import Broken, Wire, chunk, request


class Gate:
    """An origin that answers /held requests only when the test says so."""

    def __init__(self):
        self.open = threading.Event()

    def __call__(self, peer):
        while True:
            seen = peer.request()
            if seen.target.startswith("/held"):
                self.open.wait(30)
            peer.send(answer(seen.target.encode()))


def ask_later(edge, target):
    """A request on a connection of its own, sent now, read later."""
    return edge.wire().send(request(target, fields=[("Accept", "application/json")]))


@pytest.fixture
def gated(start_edge, start_origin):
    def start(**pool):
        gate = Gate()
        origin = start_origin(gate)
        edge = start_edge({"pools": {"app": {"endpoints": [origin.address], **pool}}})
        return edge, origin, gate
    return start


def queue_length(edge):
    return edge.metric("edgeproxy_pool_queue_length", pool="app") or 0


def wait_queue(edge, length):

    within(10, lambda: queue_length(edge) == length, f"{length} in the queue")


def test_no_endpoint_gets_more_than_its_share_and_the_rest_waits_in_order(gated):
    edge, origin, gate = gated(max_in_flight=1)
    first = ask_later(edge, "/held")
    origin.wait_requests(1)
    waiting = []
    for i in range(5):
        waiting.append(ask_later(edge, f"/{i}"))
        wait_queue(edge, i + 1)
    assert len(origin.requests) == 1
    gate.open.set()
    assert first.answer().body == b"/held"
    assert [wire.answer().body for wire in waiting] == [f"/{i}".encode() for i in range(5)]
    assert [seen.target for seen in origin.requests] == ["/held", "/0", "/1", "/2", "/3", "/4"]
    assert edge.wait_access("/4")["queue_ms"] > 0
    for wire in [first, *waiting]:
        wire.close()


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(gated):
    edge, origin, gate = gated(max_in_flight=1, queue={"size": 2, "timeout": "30s"})
    held = ask_later(edge, "/held")
    origin.wait_requests(1)
    waiting = []
    for i in range(2):
        waiting.append(ask_later(edge, f"/{i}"))
        wait_queue(edge, i + 1)
    begun = time.monotonic()
    with edge.wire() as wire:
        got = wire.ask(request("/refused"))
    assert got.status == 503 and int(got.get("retry-after")) >= 1 and time.monotonic() - begun < 5
    gate.open.set()
    for wire in [held, *waiting]:
        assert wire.answer().status == 200
        wire.close()
    assert "/refused" not in [seen.target for seen in origin.requests]
    assert edge.wait_access("/refused")["error"]


def test_waiting_in_the_queue_ends_after_its_timeout(gated):
    edge, origin, gate = gated(max_in_flight=1, queue={"size": 10, "timeout": "300ms"})
    held = ask_later(edge, "/held")
    origin.wait_requests(1)
    with edge.wire() as wire:
        got = wire.ask(request("/late"))
    assert got.status == 503 and got.get("retry-after")
    line = edge.wait_access("/late")
    assert 250 <= line["queue_ms"] < 5000
    gate.open.set()
    assert held.answer().status == 200
    held.close()
    assert [seen.target for seen in origin.requests] == ["/held"]


def test_a_client_that_leaves_the_queue_is_not_served(gated):
    edge, origin, gate = gated(max_in_flight=1)
    held = ask_later(edge, "/held")
    origin.wait_requests(1)
    ask_later(edge, "/left").reset()
    last = ask_later(edge, "/last")
    wait_queue(edge, 1)
    gate.open.set()
    assert held.answer().status == last.answer().status == 200
    assert "/left" not in [seen.target for seen in origin.requests]
    held.close()
    last.close()


def test_no_answer_in_time_is_504(gated):
    edge, origin, gate = gated(timeouts={"response": "300ms"})
    with edge.wire() as wire:
        got = wire.ask(request("/held"))
        assert got.status == 504
        gate.open.set()
        assert wire.ask(request("/next")).body == b"/next"
    assert [seen.target for seen in origin.requests] == ["/held", "/next"]
    assert edge.wait_access("/held")["error"]


def test_an_answer_that_stops_is_aborted(start_edge, start_origin):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        peer.wait_end()
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "timeouts": {"idle": "300ms"}}}})
    with edge.wire() as wire, pytest.raises(Broken):
        wire.ask(request())


@pytest.fixture
def impatient(start_edge, start_origin):
    origin = start_origin(echoes_target)
    return start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {
        name: {"timeouts": {"header": "300ms", "body": "300ms", "keepalive": "400ms", "first_request": "500ms",
                            "handshake": "500ms"}} for name in ("http", "https")}}), origin


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: app.test\r\nA: b"])
def test_a_head_that_does_not_end_gets_408(impatient, start):
    edge, origin = impatient
    with edge.wire() as wire:
        assert wire.ask(start).status == 408
        assert wire.ended()
    assert not origin.requests


def test_a_head_dripped_in_gets_408_too(impatient):
    """The deadline is for the whole head: a byte now and then does not push it back."""
    edge, origin = impatient
    begun = time.monotonic()
    with edge.wire() as wire:
        wire.socket.settimeout(0.05)
        for byte in b"GET / HTTP/1.1\r\nHost: app.test\r\nX-Long: " + b"a" * 1000:
            try:
                wire.send(bytes([byte]))
                if wire.more():
                    break
            except TimeoutError:
                continue
        wire.socket.settimeout(10)
        assert wire.answer().status == 408
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("start", [
    request(method="POST", fields=[("Content-Length", "10")]) + b"half",
    request(method="POST", fields=[("Transfer-Encoding", "chunked")]) + chunk(b"half")])
def test_a_body_that_does_not_end_gets_408(impatient, start):
    edge, origin = impatient
    with edge.wire() as wire:
        assert wire.ask(start).status == 408
        assert wire.ended()
    assert not origin.requests


def test_an_idle_connection_is_closed_without_a_word(impatient):
    edge, _ = impatient
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200
        assert wire.ended()


def test_a_connection_without_a_request_is_closed_without_a_word(impatient):
    edge, _ = impatient
    with edge.wire() as wire:
        assert wire.ended()


def test_a_handshake_that_does_not_come_is_closed(impatient):
    edge, _ = impatient

    with Wire(edge.address("https")) as wire:
        assert wire.send(b"\x16\x03\x01").ended()


def test_a_client_that_does_not_read_is_given_up(start_edge, start_origin):
    gone = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                peer.send(chunk(b"x" * 65536))
        finally:
            gone.set()
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"http": {"timeouts": {"write": "500ms"}}}})
    with edge.wire() as wire:
        wire.send(request())
        assert gone.wait(20), "the answer still waits for a client that does not read"


def test_requests_of_one_connection_are_counted_and_its_end_announced(start_edge, start_origin):
    origin = start_origin(echoes_target)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "listeners": {"http": {"limits": {"requests_per_connection": 3}}}})
    with edge.wire() as wire:
        assert [wire.ask(request(f"/{i}")).get("connection", "").lower() for i in range(3)] == ["", "", "close"]
        assert wire.ended()


def test_requests_are_held_while_no_worker_is_ready(start_edge):
    """The first start: the request comes before the worker and is answered by it."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz",
                                         "environment": {"DEMO_START_DELAY_MS": "700"}}}}, wait="live")
    assert edge.status("/readyz") == 503
    with edge.wire() as wire:
        assert wire.ask(request("/pid")).status == 200
    assert edge.status("/readyz") == 200


def test_holding_ends_after_its_time(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "hold": "300ms",
                                         "environment": {"DEMO_START_DELAY_MS": "3000"}}}}, wait="live")
    with edge.wire() as wire:
        got = wire.ask(request("/pid"))
    assert got.status == 503 and got.get("retry-after")
