# SPDX-License-Identifier: Apache-2.0
"""Long bodies between plain connections go through a pipe in the kernel: the same bytes, the same ends, the same limits."""
import hashlib
import os
import random
import threading

import pytest

from origin import Origin, answer
from procs import within
from wire import Broken, chunk, request

BLOCK = random.Random(7).randbytes(1 << 20)
SIZES = [65536, 65537, 81920, 3 * 65536 + 5, (1 << 20) + 7, (20 << 20) + 3]


def body(size):
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def pipes(edge):
    """Ends of pipes that the proxy has open."""
    links = (os.readlink(f"/proc/{edge.proxy}/fd/{name}") for name in os.listdir(f"/proc/{edge.proxy}/fd"))
    return sum(link.startswith("pipe:") for link in links)


def serves(peer):
    """/N gives N bytes; a body is answered by its digest; /cut gives a part and hangs up."""
    while True:
        seen = peer.request()
        if seen.body:
            peer.send(answer(hashlib.sha256(seen.body).hexdigest().encode()))
        elif seen.target == "/cut":
            peer.send(answer(body(4 << 20))[:3 << 20])
            return
        else:
            peer.send(answer(body(int(seen.target[1:]))))


@pytest.fixture
def edge(start_edge, start_origin):
    return start_edge({"pools": {"app": {"endpoints": [start_origin(serves).address]}},
                       "routes": [{"pool": "app", "max_body": "1GiB"}]})


def test_answers_of_every_size_come_whole_and_the_connection_stays(edge):
    with edge.wire() as wire:
        for size in [*SIZES, 10, *reversed(SIZES)]:
            assert wire.ask(request(f"/{size}")).body == body(size)


def test_uploads_of_every_size_arrive_whole_and_the_connection_stays(edge):
    with edge.wire() as wire:
        for size in [*SIZES, 10]:
            wire.send(request("/", method="POST", body=body(size)))
            assert wire.answer().body.decode() == hashlib.sha256(body(size)).hexdigest()
        wire.send(request("/", method="POST", fields=[("Transfer-Encoding", "chunked")]) +
                  chunk(body(300_000)) + chunk(body(200_000)) + b"0\r\n\r\n")
        assert wire.answer().body.decode() == hashlib.sha256(body(300_000) + body(200_000)).hexdigest()


def test_a_reader_that_stops_has_the_answer_in_a_pipe_and_gets_the_rest(edge):
    before = pipes(edge)
    with edge.wire() as wire:
        wire.send(request(f"/{32 << 20}"))
        within(10, lambda: pipes(edge) >= before + 2, "a pipe")
        assert wire.answer().body == body(32 << 20)
    # Free ones are kept for the next, few of them.
    assert pipes(edge) <= before + 2 * 8 * 2


def test_broken_transfers_break_on_both_sides_and_leave_nothing_to_others(edge):
    for _ in range(20):
        with edge.wire() as wire:  # goes away in the middle
            wire.send(request(f"/{8 << 20}"))
            wire.exactly(1 << 20)
            wire.reset()
        with edge.wire() as wire, pytest.raises(Broken):
            wire.ask(request("/cut"))
    for _ in range(20):
        with edge.wire() as wire:
            assert wire.ask(request(f"/{(2 << 20) + 1}")).body == body((2 << 20) + 1)
    within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 0, "no request in flight")


def test_many_at_the_same_time_do_not_mix(edge):
    """More than there are pipes: the others copy."""
    wrong = []

    def one(number):
        size = (1 << 20) + number
        try:
            with edge.wire() as wire:
                for _ in range(2):
                    if wire.ask(request(f"/{size}")).body != body(size):
                        wrong.append(number)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_upload_that_stops_is_given_up_in_time(start_edge, start_origin):
    origin = start_origin(serves)
    edge = start_edge({"listeners": {"http": {"timeouts": {"body": "300ms"}}}, "pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        wire.send(request("/", method="POST", body=body(4 << 20))[:2 << 20])
        assert wire.answer().status == 408
        assert wire.ended()
    assert not origin.requests, "half a body is not a request"


def test_an_endpoint_that_answers_early_ends_the_upload(start_edge):
    def refuses(peer):
        peer.head()
        peer.send(answer(b"no\n", "413 Content Too Large", [("Connection", "close")]))

    with Origin(refuses) as origin:
        edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
        for _ in range(10):
            with edge.wire() as wire:
                wire.send(request("/", method="POST", fields=[("Content-Length", str(8 << 20))]) + body(1 << 20))
                assert wire.answer().status == 413
