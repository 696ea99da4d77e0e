# SPDX-License-Identifier: Apache-2.0
"""Workers are replaced while they serve: for new code, for their age, for their number. Nobody who asks may notice."""
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from load import Load, Posts
from procs import within
from servers import by_name
from wire import request

DEMO = {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}
WORK = Path(__file__).parent


def work(place, **over):
    """Two uvicorns with work.py; `place` is where it looks for what is to go wrong."""
    return {"command": "uvicorn work:app", "working_dir": str(WORK), "workers": 2, "environment": {"WORK_PLACE": str(place)},
            **over}


def hup(edge):
    os.kill(edge.master, signal.SIGHUP)


def records(edge, *names):
    lines = [json.loads(line) for line in edge.log().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line.get("event") in names]


def rolls(edge):
    """How many rolls came to their end."""
    return len(records(edge, "rolled"))


def settled(edge, asked):
    """All orders are done, some of them perhaps together."""
    return sum(line["asked"] for line in records(edge, "reload_ok")) == asked


def executions(place):
    return Counter((place / "ledger").read_text().split()) if (place / "ledger").exists() else Counter()


@pytest.mark.parametrize("server, target", [
    pytest.param(*by_name("uvicorn")[0].values, "/slow?ms=20", id="uvicorn"),
    pytest.param(*by_name("gunicorn-sync")[0].values, "/pid", id="gunicorn-sync"),
])
def test_three_hups_a_second_apart_cost_no_get(start_edge, server, target):
    edge = start_edge({"pools": {"app": server.pool()}})
    before = set(edge.workers())
    with Load(edge, target, clients=20, pause=0.02) as load:
        for pause in (1, 1, 0):
            hup(edge)
            time.sleep(pause)  # the story is about this distance
        within(60, lambda: settled(edge, 3) and len(edge.workers()) == 2, "new workers")
        load.more(100)
    load.assert_none_failed()
    assert not set(edge.workers()) & before
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="reload") >= 2
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="crash") == 0


def test_fifty_connections_do_not_wait_for_a_slow_import(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path)}})
    before = set(edge.workers())
    (tmp_path / "delay").write_text("2.5")
    with Load(edge, "/wait?s=0.02", clients=50, pause=0.05) as load:
        hup(edge)
        within(60, lambda: rolls(edge) == 1, "the roll")
        load.more(100)
    load.assert_none_failed()
    assert load.longest_gap() < 1.5, "somebody waited for an import"
    assert not set(edge.workers()) & before


def test_code_that_does_not_import_is_not_taken_and_the_old_code_serves(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": work(tmp_path)}})
    within(30, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "both workers")
    before = edge.workers()
    (tmp_path / "broken").touch()
    with Load(edge, "/wait?s=0.02", clients=20, pause=0.02) as load:
        hup(edge)
        edge.wait_log("roll_failed", 30)
        load.more(100)
    load.assert_none_failed()
    assert edge.workers() == before, edge.tail()
    assert edge.status("/readyz") == 200
    edge.wait_log("ImportError: this deploy is broken")
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="start_failed") == 1
    (tmp_path / "broken").unlink()
    hup(edge)
    within(30, lambda: rolls(edge) == 1, "the mended deploy")
    assert not set(edge.workers()) & set(before)


@pytest.mark.parametrize("what", ["hup", "kill", "kill-all"])
def test_a_post_never_runs_twice(start_edge, tmp_path, what):
    """Each carries an id, which the application notes. Replacing costs none; a death costs at most what was read."""
    edge = start_edge({"pools": {"app": work(tmp_path)}})
    before = edge.workers()
    with Posts(edge, "/once?s=0.02", clients=20, pause=0.02) as load:
        if what == "hup":
            hup(edge)
        for pid in before[:{"hup": 0, "kill": 1, "kill-all": 2}[what]]:
            os.kill(pid, signal.SIGKILL)
        within(60, lambda: len(edge.workers()) == 2 and len(set(edge.workers()) & set(before)) == (what == "kill"), "new ones")
        load.more(60)
    ran = executions(tmp_path)
    assert max(ran.values()) == 1, "a POST ran twice"
    assert all(ran[body.decode()] == 1 for body in load.done), "an answer without a run"
    if what == "hup":
        load.assert_none_failed()
    # At most what was in flight on the dead: one for each client.
    assert len(load.failed) <= 20 and all(getattr(answer, "status", 0) == 502 for answer in load.failed), load.failed[:3]


def test_workers_that_have_served_enough_are_recycled_one_at_a_time(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "recycle": {"requests": 200, "jitter": "50%"}}}})
    first = set(edge.workers())
    most = 0

    def recycled():
        nonlocal most
        most = max(most, len(edge.workers()))
        return edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="recycle") >= 4
    with Load(edge, "/pid", clients=8) as load:
        within(60, recycled, "four workers recycled")
        load.more(100)
    load.assert_none_failed()
    assert len(load.done) > 400 and not set(edge.workers()) & first
    assert most <= 3, "more than one at a time"


def test_a_worker_that_grows_too_large_or_too_old_is_replaced(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1, "recycle": {"memory": "1MiB"}},
                                 "old": {**DEMO, "workers": 1, "recycle": {"lifetime": "1s"}}},
                       "routes": [{"path": "/old", "pool": "old", "strip_prefix": "/old"}, {"pool": "app"}]})
    for pool, words in (("app", "it holds more memory than it may"), ("old", "it is as old as it may become")):
        within(30, lambda: edge.metric("edgeproxy_worker_restarts_total", pool=pool, reason="recycle") >= 1, pool)
        edge.wait_log(words)


def test_one_worker_more_and_one_less_under_load(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    with Load(edge, "/slow?ms=20", clients=8) as load:
        os.kill(edge.master, signal.SIGTTIN)
        within(30, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 3, "three")
        load.more(50)
        for left in (2, 1):
            os.kill(edge.master, signal.SIGTTOU)
            within(30, lambda: len(edge.workers()) == left and edge.metric("edgeproxy_pool_endpoints", pool="app") == left)
            load.more(50)
        os.kill(edge.master, signal.SIGTTOU)
        edge.wait_log("the last worker stays")
    load.assert_none_failed()


def test_with_surge_0_requests_are_held_while_the_only_worker_is_replaced(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1, "surge": 0}}})
    with Load(edge, "/pid", clients=6, pause=0.01) as load:
        hup(edge)
        within(30, lambda: rolls(edge) == 1, "the roll")
        load.more(30)
    load.assert_none_failed()
    assert len({int(body) for body in load.done}) == 2


def test_a_request_in_flight_is_finished_by_the_worker_that_has_it(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1}}})
    before = edge.workers()[0]
    with edge.wire(deadline=30) as wire:
        wire.send(request("/slow?ms=1500"))
        within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 1)
        hup(edge)
        within(10, lambda: len(edge.workers()) == 2)
        got = wire.answer()
    assert got.status == 200 and str(before).encode() in got.body
    within(20, lambda: rolls(edge) == 1 and before not in edge.workers())
