# SPDX-License-Identifier: Apache-2.0
"""A pool that finds its number of workers by itself, with real servers under a load that comes and goes."""
from pathlib import Path

from load import Load
from procs import within
from wire import request

WORK = Path(__file__).parent
# One worker does two requests at once, so that six clients wait for it.
POOL = {"command": "uvicorn work:app", "working_dir": str(WORK), "max_in_flight": 2,
        "workers": {"min": 1, "max": 2, "queue_time": "20ms", "up_after": "1s", "down_after": "1s"}}


def decisions(edge, decision, reason):
    return edge.metric("edgeproxy_pool_autoscale_decisions_total", pool="app", decision=decision, reason=reason)


def ready(edge):
    return edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready")


def test_it_grows_while_requests_wait_and_shrinks_when_they_do_not(start_edge):
    edge = start_edge({"pools": {"app": POOL}})
    assert "1 of 1 workers ready, autoscaling from 1 to 2" in edge.command("status").stdout
    with Load(edge, "/wait?s=0.05", clients=6) as load:
        within(60, lambda: ready(edge) == 2, "a second worker")
        within(30, lambda: decisions(edge, "held", "max") > 0, "that max is said")
        load.more(60)
        assert len(load.pids()) == 2, "both work"
    within(60, lambda: edge.metric("edgeproxy_pool_workers_wanted", pool="app") == 1, "one less")
    within(60, lambda: len(edge.workers()) == 1, "the end of the other")
    load.assert_none_failed()
    assert decisions(edge, "up", "queue_time") == 1 and decisions(edge, "down", "idle") == 1
    assert edge.metric("edgeproxy_pool_workers_min", pool="app") == 1
    assert edge.metric("edgeproxy_pool_workers_max", pool="app") == 2
    with edge.wire() as wire:
        assert wire.ask(request("/wait")).status == 200


def test_a_number_set_by_hand_pins_it_and_without_memory_there_is_no_further_worker(start_edge):
    demo = {"command": "edgeproxy-demo-worker", "health": "/healthz", "max_in_flight": 1,
            "autoscale": {"max": 3, "queue_time": "5ms", "up_after": "1s", "down_after": "1s", "memory": "1%"}}
    edge = start_edge({"pools": {"app": demo}})
    with Load(edge, "/slow?ms=20", clients=4) as load:
        within(30, lambda: decisions(edge, "held", "memory") > 0, "the guard")
        done = edge.command("scale", "app", "2")
        assert done.returncode == 0 and "until the next reload; autoscaling rests so long" in done.stdout
        within(30, lambda: ready(edge) == 2, "two ready")
        told = edge.command("status").stdout
        assert "as set by hand until the next reload" in told
        load.more(30)
    assert decisions(edge, "up", "queue_time") == 0
    assert edge.command("reload").returncode == 0
    assert edge.metric("edgeproxy_pool_workers_pinned", pool="app") == 0
    within(30, lambda: decisions(edge, "down", "memory") == 1, "the guard takes one back")
    load.assert_none_failed()
