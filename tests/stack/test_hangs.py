# SPDX-License-Identifier: Apache-2.0
"""A worker that does not read what it is sent is told from one that is only busy, taken out, and ended with its reasons."""
import os
import signal
import threading
import time

from load import Load, Posts
from procs import within
from servers import by_name
from test_rolling import executions, work
from wire import request

QUICK = {"suspect_after": "400ms", "kill_after": "1500ms"}


def ready(edge):
    return edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready")


def ask_all(edge, targets):
    """The statuses of these requests, each on a connection of its own at the same time, begun in this order."""
    answers = []

    def ask(target):
        with edge.wire(deadline=60) as wire:
            answers.append(wire.ask(request(target)).status)
    askers = [threading.Thread(target=ask, args=(target,)) for target in targets]
    for asker in askers:
        asker.start()
        time.sleep(0.05)
    for asker in askers:
        asker.join()
    return answers


def test_a_stopped_worker_costs_no_get_and_is_replaced(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path, hang=QUICK)}})
    frozen, other = edge.workers()
    # uvicorn writes head and body apart. Stopped between the two it would have begun an answer, which nobody can ask for
    # again; an answer without a body is one write.
    with Load(edge, "/wait?s=0.02&empty=1", clients=20, pause=0.02) as load:
        os.kill(frozen, signal.SIGSTOP)
        within(60, lambda: frozen not in edge.workers() and len(edge.workers()) == 2, "its successor")
        load.more(100)
    load.assert_none_failed()
    assert other in edge.workers(), "the other worker was not to be touched"
    edge.wait_log("does not read its requests: it is stopped by a signal")
    edge.wait_log("ended since it hung")
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="health") == 1
    assert edge.metric("edgeproxy_pool_retries_total", pool="app", reason="worker_suspect") >= 1


def test_an_idle_worker_that_is_stopped_is_found_without_a_request(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path, workers=1, hang=QUICK, health={"interval": "100ms"})}})
    frozen = edge.workers()[0]
    time.sleep(1)  # some touches, of which the worker makes nothing
    assert edge.workers() == [frozen] and "endpoint_hung" not in edge.log()
    os.kill(frozen, signal.SIGSTOP)
    within(60, lambda: edge.workers() not in ([], [frozen]) and edge.status("/readyz") == 200, "its successor")
    edge.wait_log("ended since it hung")
    assert "Invalid HTTP" not in edge.log()


def test_a_worker_that_stops_just_before_the_proxy_dies_is_replaced(start_edge, tmp_path):
    """The new proxy never had an answer from it, so it cannot tell that it hangs."""
    edge = start_edge({"pools": {"app": work(tmp_path, start_timeout="10s", hang=QUICK)}})
    frozen, other = edge.workers()
    proxy = edge.proxy
    os.kill(frozen, signal.SIGSTOP)
    os.kill(proxy, signal.SIGKILL)
    within(60, lambda: frozen not in edge.workers() and len(edge.workers()) == 2, "its successor")
    assert other in edge.workers(), "it has answered the new proxy"
    edge.wait_log("has not answered the new proxy process in 10000 ms")
    edge.wait_log("ended since it hung")
    within(30, lambda: ready(edge) == 2, "both")


def test_a_stopped_worker_makes_no_post_run_twice(start_edge, tmp_path):
    """They wait for it; when it is dead, what it had not read runs elsewhere, and what it had read is not repeated."""
    edge = start_edge({"pools": {"app": work(tmp_path, hang=QUICK)}})
    frozen = edge.workers()[0]
    with Posts(edge, "/once?s=0.02", clients=20, pause=0.02) as load:
        os.kill(frozen, signal.SIGSTOP)
        within(60, lambda: frozen not in edge.workers() and len(edge.workers()) == 2, "its successor")
        load.more(60)
    ran = executions(tmp_path)
    assert max(ran.values()) == 1
    assert all(ran[body.decode()] == 1 for body in load.done)
    assert all(getattr(answer, "status", 0) in (502, 504) for answer in load.failed), load.failed[:3]


def test_a_worker_that_goes_on_again_is_kept_and_nothing_ran_twice(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path, hang={"suspect_after": "400ms", "kill_after": "60s"})}})
    before = edge.workers()
    with Posts(edge, "/once?s=0.02", clients=10, pause=0.02) as posts, Load(edge, "/wait", clients=10, pause=0.02) as gets:
        os.kill(before[0], signal.SIGSTOP)
        try:
            within(30, lambda: ready(edge) == 1, "suspicion")
            gets.more(60)
        finally:
            os.kill(before[0], signal.SIGCONT)
        within(30, lambda: ready(edge) == 2, "both again")
        posts.more(60)
    gets.assert_none_failed()
    posts.assert_none_failed()
    ran = executions(tmp_path)
    assert max(ran.values()) == 1 and all(ran[body.decode()] == 1 for body in posts.done)
    assert edge.workers() == before
    edge.wait_log("reads again")


def test_what_a_stopped_worker_has_read_is_answered_by_another(start_edge, tmp_path):
    """Long before it is ended: a signal holds it, so no request of its can be the reason."""
    edge = start_edge({"pools": {"app": work(tmp_path, hang={"suspect_after": "400ms", "kill_after": "60s"})}})
    before = edge.workers()
    with edge.wire(deadline=30) as first, edge.wire(deadline=30) as second:
        for wire in (first, second):
            wire.send(request("/once?s=1"))
        ledger = tmp_path / "ledger"
        within(10, lambda: ledger.exists() and len(ledger.read_bytes().splitlines()) == 2, "both to run in their workers")
        os.kill(before[0], signal.SIGSTOP)
        try:
            with Load(edge, "/wait", clients=4, pause=0.02) as load:  # bytes that it does not read
                within(30, lambda: ready(edge) == 1, "suspicion")
                assert {wire.answer().body for wire in (first, second)} == {b"%d\n" % before[1]}
        finally:
            os.kill(before[0], signal.SIGCONT)
    load.assert_none_failed()


def test_a_blocked_event_loop_tells_where_it_stands(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path, hang=QUICK)}})
    before = set(edge.workers())
    with edge.wire(deadline=60) as wire, Load(edge, "/wait?s=0.01", clients=6, pause=0.02) as load:
        wire.send(request("/block?s=600", method="POST", body=b"x"))
        within(60, lambda: len(set(edge.workers()) - before) == 1, "a new worker")
        got = wire.answer()
        load.more(60)
    load.assert_none_failed()
    assert got.status == 504, "it was read, so it is not repeated"
    edge.wait_log("in block_the_loop")  # the stack of the worker
    assert len(set(edge.workers()) & before) == 1


def test_a_worker_that_is_only_busy_is_left_alone(start_edge, tmp_path):
    """A long request, 60 threads asleep, 4 threads that burn the interpreter: all at once, longer than `kill_after`."""
    edge = start_edge({"pools": {"app": work(tmp_path, workers=1, hang={"suspect_after": "1s", "kill_after": "2500ms"})}})
    before = edge.workers()
    with Load(edge, "/wait", clients=2, pause=0.05) as load:
        answers = ask_all(edge, ["/wait?s=4", "/sleepers?s=1.5", "/burn?s=4"])
    load.assert_none_failed()
    assert answers == [200] * 3 and edge.workers() == before and "worker_hung" not in edge.log()


def test_a_sync_worker_at_its_one_request_is_busy(start_edge):
    pool = by_name("gunicorn-sync")[0].values[0].pool(workers=1, hang=QUICK)
    del pool["health"]  # it could not answer probes meanwhile
    edge = start_edge({"pools": {"app": pool}})
    before = edge.workers()
    answers = ask_all(edge, ["/slow?ms=3000", "/pid", "/pid"])
    assert answers == [200] * 3 and edge.workers() == before and "worker_suspect" not in edge.log()
