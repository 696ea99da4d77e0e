# SPDX-License-Identifier: Apache-2.0
"""Processes that die, hang, refuse to start or to stop."""
import os
import signal
import socket
import time

import procs
from chains import EdgeproxyChain, Gunicorn, NginxGunicorn, UvicornWorkers
from plan import Bars, fault
from procs import within

PATIENT = {"pools": {"app": {"restart": {"crash_loop": "1000/60s", "backoff": "100ms-200ms"}}}}


def kill(pid, by=signal.SIGKILL):
    os.kill(pid, by)


def replaced(chain, victims, seconds=40):
    """Waits for as many workers as before, none of them a victim."""
    within(seconds, lambda: len(set(chain.workers()) - set(victims)) >= 2 and not set(chain.workers()) & set(victims),
           "new workers")
    chain.settle()


def not_replaced_by(chain):
    return isinstance(chain, UvicornWorkers)


def kill_one(chain, client):
    victim = min(chain.workers())
    kill(victim)
    if not not_replaced_by(chain):
        replaced(chain, [victim])
    else:
        time.sleep(2)


@fault("kill9-worker", "processes", Bars(gap=0.1), "all", quick=True)
def kill_one_of_two(chain, client):
    """kill -9 of one of two workers, instant GETs"""
    kill_one(chain, client)


@fault("kill9-worker-20ms", "processes", Bars(gap=0.1), "all", load={"ms": 20})
def kill_one_slow(chain, client):
    """kill -9 of one of two workers, GETs of 20 ms"""
    kill_one(chain, client)


@fault("kill9-worker-post", "processes", Bars(lost=0, errors=50), "all", load={"ms": 20, "method": "POST"})
def kill_one_post(chain, client):
    """kill -9 of one of two workers, POSTs: never executed twice, lost only where they may have been read"""
    kill_one(chain, client)


@fault("kill9-all-workers", "processes", Bars(gap=None), "all", quick=True)
def kill_all(chain, client):
    """kill -9 of all workers at once: requests wait for the next ones"""
    victims = chain.workers()
    for pid in victims:
        kill(pid)
    if not not_replaced_by(chain):
        replaced(chain, victims)
    else:
        time.sleep(3)


@fault("term-worker", "processes", Bars(gap=0.1), "all")
def term_one(chain, client):
    """TERM to one worker behind the supervisor's back"""
    victim = min(chain.workers())
    kill(victim, signal.SIGTERM)
    if not not_replaced_by(chain):
        replaced(chain, [victim])
    else:
        time.sleep(2)


@fault("kill9-worker-10-times", "processes", Bars(gap=None), make=lambda: EdgeproxyChain(PATIENT))
def kill_often(chain, client):
    """a worker is killed again as soon as there are two"""
    for _ in range(10):
        victim = min(chain.workers())
        kill(victim)
        replaced(chain, [victim])


@fault("sigstop-worker", "processes", Bars(gap=0.5), [NginxGunicorn, UvicornWorkers], load={"ms": 5},
       make=lambda: EdgeproxyChain({"pools": {"app": {"health": {"path": "/work", "interval": "500ms", "timeout": "500ms"}}}}))
def stop_one(chain, client):
    """SIGSTOP of one worker: no GET lost, it is replaced"""
    victim = min(chain.workers())
    kill(victim, signal.SIGSTOP)
    try:
        within(60, lambda: victim not in chain.workers(), "the end of the stopped worker")
    finally:
        if procs.stat(victim):
            kill(victim, signal.SIGCONT)
    chain.settle()


@fault("sigstop-sigcont-worker", "processes", Bars(gap=0.5),
       make=lambda: EdgeproxyChain({"pools": {"app": {"health": {"path": "/work", "interval": "500ms", "timeout": "500ms"}}}}))
def stop_and_go(chain, client):
    """SIGSTOP for 3 s, then SIGCONT: it takes requests again, or is replaced"""
    victim = min(chain.workers())
    kill(victim, signal.SIGSTOP)
    time.sleep(3)
    kill(victim, signal.SIGCONT)
    moment = time.monotonic()
    within(40, lambda: len(client.pids_since(moment)) >= 2, "answers of two workers")


def with_second_pool(**pool):
    """The load goes to `app`; the ill pool stands beside it."""
    return lambda: EdgeproxyChain({"pools": {"ill": {"workers": 1, "required": False, **pool}}, "routes": [
        {"path": "/ill", "pool": "ill"}, {"pool": "app"}]})


@fault("exit-loop", "processes", Bars(gap=0.2), make=with_second_pool(command="sh -c 'echo no config >&2; exit 1' {port}"))
def exits_for_ever(chain, client):
    """a worker that ends right after its start, for ever: spaced out, named, the other pool unharmed"""
    time.sleep(10)
    spawns = chain.edge.log().count('"event":"worker_started","pool":"ill"') or chain.edge.log().count("ill-1 started")
    assert spawns <= 6, f"{spawns} starts in 10 s"
    assert "no config" in chain.edge.log(), "its last words are not told"


@fault("exit-loop-0", "processes", Bars(gap=0.2), make=with_second_pool(command="sh -c 'exit 0' {port}"))
def exits_with_zero(chain, client):
    """the same with exit code 0"""
    time.sleep(6)
    spawns = chain.edge.log().count("ill-1 started")
    assert 2 <= spawns <= 6, f"{spawns} starts in 6 s"


@fault("never-opens-socket", "processes", Bars(gap=0.2),
       make=with_second_pool(command="sh -c 'echo thinking >&2; sleep 1000' {port}", start_timeout="700ms"))
def never_listens(chain, client):
    """a worker that never opens its socket: its group is killed after start_timeout, its last words told"""
    chain.edge.wait_log(r"start took too long", 20)
    chain.edge.wait_log(r"thinking", 5)


@fault("ignores-term", "processes", Bars(refused=None), stops=False,
       make=lambda: EdgeproxyChain({"pools": {"app": {"stop_grace_period": "1s"}}}, {"IGNORE_TERM": True}))
def ignores_term(chain, client):
    """workers that ignore TERM at the end of all: KILL after stop_grace_period, exit code 0"""
    begun = time.monotonic()
    code = chain.edge.stop()
    took = time.monotonic() - begun
    assert code == 0, f"exit code {code}"
    assert took < 6, f"the end took {took:.1f} s"


@fault("forks-children", "processes", Bars(gap=0.5), make=lambda: EdgeproxyChain(knobs={"CHILDREN": 3}))
def forks_children(chain, client):
    """a worker with children of its own is killed: none of them is left"""
    victim = min(chain.workers())
    below = [procs.identity(pid) for pid in procs.descendants(victim)]
    assert len(below) >= 3
    kill(victim)
    within(20, lambda: not any(procs.alive(who) for who in below), "the end of its children")
    within(40, lambda: len(chain.workers()) == 2, "a second worker")
    chain.settle()


@fault("kill9-proxy-3-times", "processes", Bars(lost=None, gap=0.6), load={"fresh": True}, quick=True)
def kill_proxy(chain, client):
    """kill -9 of the proxy process three times: no connection refused, the workers untouched"""
    workers = set(chain.workers())
    for _ in range(3):
        old = chain.proxy()
        kill(old)
        within(20, lambda: chain.proxy() not in (None, old), "a new proxy")
        moment = time.monotonic()
        within(20, lambda: client.good_since(moment) > 20, "answers")
    assert set(chain.workers()) == workers, "workers were touched"


@fault("segv-proxy-3-times", "processes", Bars(lost=None, gap=0.6), load={"fresh": True})
def crash_proxy(chain, client):
    """the proxy process crashes (SIGSEGV) three times"""
    for _ in range(3):
        old = chain.proxy()
        kill(old, signal.SIGSEGV)
        within(20, lambda: chain.proxy() not in (None, old), "a new proxy")
        moment = time.monotonic()
        within(20, lambda: client.good_since(moment) > 20, "answers")


@fault("sigstop-proxy-2s", "processes", Bars(gap=2.6))
def stop_proxy(chain, client):
    """the proxy stands still for 2 s: nothing times out because of it"""
    kill(chain.proxy(), signal.SIGSTOP)
    time.sleep(2)
    kill(chain.proxy(), signal.SIGCONT)
    time.sleep(1)


@fault("sigstop-master-2s", "processes", Bars(gap=0.1))
def stop_master(chain, client):
    """the master stands still for 2 s: requests do not notice"""
    kill(chain.master(), signal.SIGSTOP)
    time.sleep(2)
    kill(chain.master(), signal.SIGCONT)
    time.sleep(1)


@fault("kill9-guard", "processes", Bars(gap=0.1))
def kill_guard(chain, client):
    """the guard process is killed: there is another, requests do not notice"""
    def guards():
        return [pid for pid in procs.children(chain.master()) if chain.edge.own(pid) and pid != chain.proxy()]
    old = guards()
    assert len(old) == 1
    kill(old[0])
    within(20, lambda: guards() and guards() != old, "a new guard")


@fault("kill9-master", "processes", Bars(lost=None, errors=None, refused=None), "all", stops=False)
def kill_master(chain, client):
    """kill -9 of the master: nothing of ours is left after 12 s, the port is free"""
    master, port = chain.master(), chain.port
    below = [procs.identity(pid) for pid in procs.descendants(master)]
    moment = time.monotonic()
    kill(master)
    client.stopping.set()
    try:
        within(12, lambda: not any(procs.alive(who) for who in below), "the end of everything")
    except TimeoutError:
        left = [procs.command_line(pid) for pid, _ in filter(procs.alive, below)]
        raise AssertionError(f"left after 12 s: {left}") from None
    took = time.monotonic() - moment
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    return f"all gone after {took:.1f} s"


@fault("term-master", "processes", Bars(refused=None), "all", load={"ms": 50}, stops=False)
def term_master(chain, client):
    """TERM under load: everything that was taken is answered, exit code 0"""
    if isinstance(chain, EdgeproxyChain):
        code = chain.edge.stop()
        assert code == 0, f"exit code {code}"
        return
    kill(chain.master(), signal.SIGTERM)
    within(30, lambda: (procs.stat(chain.master()) or "Z")[0] == "Z", "its end")


@fault("int-twice", "processes", Bars(lost=None, errors=None, refused=None), load={"ms": 3000, "rate": 20}, stops=False)
def interrupt_twice(chain, client):
    """INT ends in order, a second INT at once, with exit code 8"""
    kill(chain.master(), signal.SIGINT)
    time.sleep(0.3)
    kill(chain.master(), signal.SIGINT)
    begun = time.monotonic()
    chain.edge.expected_exit = 8
    code = chain.edge.process.wait(20)
    assert code == 8, f"exit code {code}"
    assert time.monotonic() - begun < 5


@fault("log-flood", "processes", Bars(gap=0.5))
def floods(chain, client):
    """a worker writes 200 KB without a line end again and again: nobody waits for it"""
    import urllib.request
    for _ in range(20):
        urllib.request.urlopen(f"http://127.0.0.1:{chain.port}/flood", timeout=10).read()


@fault("worker-exits-in-request", "processes", Bars(gap=0.2), make=lambda: EdgeproxyChain(PATIENT))
def leaves(chain, client):
    """a request makes its worker leave (exit 3), as a poison request does: others do not pay"""
    import urllib.error
    import urllib.request
    try:
        ask = urllib.request.Request(f"http://127.0.0.1:{chain.port}/leave", method="POST", data=b"x")
        urllib.request.urlopen(ask, timeout=20)
        raise AssertionError("it was answered")
    except urllib.error.HTTPError as error:
        assert error.code == 502, error.code
    within(40, lambda: len(chain.workers()) == 2, "a second worker")
    chain.settle()


@fault("unlink-worker-sockets", "processes", Bars(gap=0.5),
       make=lambda: EdgeproxyChain({"pools": {"app": {"keepalive": {"idle_timeout": "off"}}}}))
def unlink_sockets(chain, client):
    """somebody removes the workers' sockets: they are replaced or requests go elsewhere, none is answered wrongly"""
    from pathlib import Path
    found = [path for path in Path(chain.edge.folder / "run").rglob("*") if path.is_socket() and "control" not in path.name]
    assert found
    victim = sorted(found)[0]
    for path in found:
        if path.parent == victim.parent:
            path.unlink()
    time.sleep(2)
