# SPDX-License-Identifier: Apache-2.0
"""More than the machine has: connections, descriptors, memory, time. Who is inside goes on, and who behaves gets an answer."""
import os
import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import procs
from edge import SANITIZED
from load import Load
from origin import answer, pause
from procs import within
from wire import Broken, chunk, request

LEAST = 16  # the smallest server.max_connections


def hits(edge, limit):
    return edge.metric("edgeproxy_limit_hits_total", limit=limit)


def refused(edge, reason, listener="http"):
    return edge.metric("edgeproxy_connections_refused_total", listener=listener, reason=reason) or 0


@pytest.fixture
def origin(start_origin):
    return start_origin()


@pytest.fixture
def many():
    """Connections that a test opens and that end with it."""
    with ExitStack() as stack:
        yield lambda wire: stack.enter_context(wire)


def waits_until_told(told):
    """A script: an answer only when `told` is set."""
    def script(peer):
        while True:
            seen = peer.request()
            if seen.target == "/slow":
                told.wait(60)
            peer.send(answer(seen.target.encode()))
    return script


# connections

def test_at_the_limit_the_connection_that_is_idle_for_longest_makes_room(start_edge, origin, many):
    edge = start_edge({"server": {"threads": 1, "max_connections": LEAST}, "pools": {"app": {"endpoints": [origin.address]}}})
    first, *others = [many(edge.wire()) for _ in range(LEAST)]
    for wire in (*others, first):  # first is used last: it is the youngest now
        assert wire.ask(request()).status == 200
    newcomers = [many(edge.wire()) for _ in range(3)]
    for wire in newcomers:
        assert wire.ask(request()).status == 200
    for wire in others[:3]:
        assert wire.ended()
    for wire in (first, *others[3:]):
        assert wire.ask(request()).status == 200
    assert hits(edge, "max_connections") == 3
    assert edge.status("/readyz") == 200


@pytest.mark.parametrize("threads", [1, 2])
def test_when_nobody_is_idle_newcomers_wait_in_the_backlog(start_edge, start_origin, many, threads):
    told = threading.Event()
    origin = start_origin(waits_until_told(told))
    edge = start_edge({"server": {"threads": threads, "max_connections": LEAST},
                       "pools": {"app": {"endpoints": [origin.address]}}})
    busy = [many(edge.wire()).send(request("/slow")) for _ in range(LEAST)]
    origin.wait_requests(LEAST)
    newcomer = many(edge.wire()).send(request("/new"))
    within(10, lambda: hits(edge, "max_connections") > 0, "a pause")
    assert len(origin.requests) == LEAST
    assert edge.status("/livez") == 200  # the admin listener does not count
    told.set()
    assert [wire.answer().status for wire in busy] == [200] * LEAST
    assert newcomer.answer().body == b"/new"  # the others are idle now


def test_one_source_has_so_many_connections_and_no_more(start_edge, origin, many):
    edge = start_edge({"limits": {"connections_per_source": 4}, "pools": {"app": {"endpoints": [origin.address]}}})
    kept = [many(edge.wire()) for _ in range(2)] + [many(edge.tls_wire()) for _ in range(2)]
    for wire in kept:
        assert wire.ask(request()).status == 200
    turned_away = many(edge.wire())
    got = turned_away.answer()
    assert (got.status, got.get("retry-after")) == (429, "1") and turned_away.ended()
    with pytest.raises((OSError, Broken)):
        edge.tls_wire()
    with edge.wire(source="127.0.0.2") as other:
        assert other.ask(request()).status == 200
    kept.pop().close()

    def served():
        with edge.wire() as wire:
            return wire.ask(request()).status == 200
    within(10, served, "the place that was given back")
    assert refused(edge, "source_limit_reached") >= 1 and refused(edge, "source_limit_reached", "https") == 1
    assert hits(edge, "connections_per_source") >= 2


def test_a_trusted_proxy_is_not_counted_for_behind_it_are_many(start_edge, origin, many):
    edge = start_edge({"limits": {"connections_per_source": 2, "requests_per_source": 1},
                       "client_ip": {"trusted_proxies": ["127.0.0.1"]}, "pools": {"app": {"endpoints": [origin.address]}}})
    for i in range(8):
        asked = request(fields=[("X-Forwarded-For", f"192.0.2.{i}")])
        assert many(edge.wire()).ask(asked).status == 200
    assert hits(edge, "connections_per_source") == 0


def test_a_source_asks_no_more_than_its_rate(start_edge, origin):
    edge = start_edge({"limits": {"requests_per_source": 5}, "client_ip": {"trusted_proxies": ["127.0.0.2"]},
                       "pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        got = [wire.ask(request()) for _ in range(30)]
        statuses = [one.status for one in got]
        assert statuses[:10] == [200] * 10 and 429 in statuses
        assert next(one for one in got if one.status == 429).get("retry-after") == "1"
        within(10, lambda: wire.ask(request()).status == 200, "the next second")
    with edge.wire(source="127.0.0.3") as other:
        assert other.ask(request()).status == 200
    with edge.wire(source="127.0.0.2") as proxy:  # counts for whom it speaks
        statuses = [proxy.ask(request(fields=[("X-Forwarded-For", "192.0.2.1")])).status for _ in range(30)]
        assert 429 in statuses
        assert proxy.ask(request(fields=[("X-Forwarded-For", "192.0.2.2")])).status == 200
    assert hits(edge, "requests_per_source") >= 2
    assert edge.metric("edgeproxy_http_errors_total", reason="rate_limited") == hits(edge, "requests_per_source")


# a reload

def reload(edge, over):
    edge.rewrite(over)
    done = edge.command("reload")
    assert done.returncode == 0, done.stderr


def test_the_limits_of_sources_follow_a_reload(start_edge, origin, many):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    kept = [many(edge.wire()) for _ in range(3)]
    for wire in kept:
        assert wire.ask(request()).status == 200
    reload(edge, {"limits": {"connections_per_source": 3}})
    assert many(edge.wire()).answer().status == 429, "those of before the reload count as well"
    assert kept[0].ask(request()).status == 200, "and stay"
    reload(edge, {"limits": {"connections_per_source": "off"}})
    assert many(edge.wire()).ask(request()).status == 200
    reload(edge, {"limits": {"connections_per_source": 4}})
    assert many(edge.wire()).answer().status == 429, "nor is one forgotten that came while there was no limit"
    reload(edge, {"limits": {"requests_per_source": 2}})
    assert 429 in [kept[0].ask(request()).status for _ in range(20)]
    reload(edge, {"limits": {"requests_per_source": "off"}})
    assert {kept[0].ask(request()).status for _ in range(20)} == {200}
    assert hits(edge, "connections_per_source") == 2 and hits(edge, "requests_per_source") >= 1


def test_the_number_of_connections_follows_a_reload(start_edge, origin, many):
    edge = start_edge({"server": {"threads": 1}, "pools": {"app": {"endpoints": [origin.address]}}})
    crowd = [many(edge.wire()) for _ in range(LEAST + 4)]
    for wire in crowd:
        assert wire.ask(request()).status == 200
    reload(edge, {"server": {"threads": 1, "max_connections": LEAST}})
    for wire in crowd[:4]:
        assert wire.ended(), "those that are idle for longest"
    for wire in crowd[4:]:
        assert wire.ask(request()).status == 200
    assert hits(edge, "max_connections") == 4
    reload(edge, {"server": {"threads": 1, "max_connections": 2 * LEAST}})
    more = [many(edge.wire()) for _ in range(LEAST)]
    for wire in (*crowd[4:], *more):
        assert wire.ask(request()).status == 200
    assert hits(edge, "max_connections") == 4


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
def test_the_budget_of_memory_follows_a_reload(start_edge, start_origin, many):
    origin = start_origin(large(8_000_000))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "max_in_flight": 1000}}})
    kept = many(edge.wire())
    assert kept.ask(request("/small")).status == 200
    readers = [many(slow_reader(edge, request("/large"))) for _ in range(60)]
    within(20, lambda: edge.metric("edgeproxy_memory_used_bytes") > 20 << 20, "that they take some")
    assert kept.ask(request("/small")).status == 200
    reload(edge, {"limits": {"memory": "16MiB"}})
    within(20, lambda: hits(edge, "memory_cutting") + hits(edge, "memory_refusing") > 0
           or edge.metric("edgeproxy_memory_pressure") > 0, "pressure")
    reload(edge, {"limits": {"memory": "1GiB"}})
    within(20, lambda: edge.metric("edgeproxy_memory_pressure") == 0, "the end of it")
    assert len(readers) == 60 and edge.metric("edgeproxy_memory_budget_bytes") == 1 << 30


# descriptors

def limit_files(pid, count):
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))


def cpu(pid):
    user, system = procs.read(pid, "stat").rpartition(b")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(SANITIZED, reason="sanitizers have descriptors of their own")
def test_a_small_limit_of_files_is_shared_out_and_metrics_always_answer(start_edge, origin, many):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "limits": {"connections_per_source": "off"}},
                      wrapper=("bash", "-c", 'ulimit -n 256; "$@"; exit $?', "bash"))
    crowd = []
    for _ in range(400):
        sock = socket.create_connection(edge.address("http"))
        sock.settimeout(15)
        crowd.append(many(sock))
    within(20, lambda: hits(edge, "max_connections") > 0, "the limit")
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200  # silent ones make room
    assert edge.metric("process_open_fds") < 256


@pytest.mark.skipif(SANITIZED, reason="sanitizers have descriptors of their own")
def test_descriptors_may_be_taken_away_while_it_runs(start_edge, start_origin, many):
    told = threading.Event()
    origin = start_origin(waits_until_told(told))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "limits": {"connections_per_source": "off"}})
    inside = many(edge.wire())
    assert inside.ask(request()).status == 200
    busy = [many(edge.wire()).send(request("/slow")) for _ in range(20)]
    origin.wait_requests(21)
    limit_files(edge.proxy, 90)
    edge.wait_log('"event":"connection_limit"')
    for _ in range(60):
        many(edge.wire()).send(request("/slow"))
    within(10, lambda: hits(edge, "max_connections") + hits(edge, "descriptors") > 0, "a pause")
    before, begun = cpu(edge.proxy), time.monotonic()
    within(5, lambda: time.monotonic() - begun > 1, "a second at the limit")
    assert cpu(edge.proxy) - before < 0.25 * (time.monotonic() - begun)
    assert edge.status("/livez") == 200
    limit_files(edge.proxy, 4096)
    told.set()
    assert [wire.answer().status for wire in busy] == [200] * 20

    def served():
        try:
            with edge.wire() as wire:
                return wire.ask(request()).status == 200
        except (OSError, Broken):
            return False
    within(10, served, "room again")


@pytest.mark.skipif(SANITIZED, reason="sanitizers have descriptors of their own")
def test_without_descriptors_for_endpoints_requests_fail_fast_and_nobody_is_blamed(start_edge, start_origin, many):
    origin = start_origin()
    edge = start_edge({"server": {"threads": 1}, "pools": {"app": {"endpoints": [origin.address], "retries": 0,
                                                                   "keepalive": {"max_idle": 0}}}})
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200
        limit_files(edge.proxy, len(os.listdir(f"/proc/{edge.proxy}/fd")) // 2)
        within(10, lambda: wire.ask(request()).status == 503, "no descriptor for an endpoint")
        for _ in range(8):
            assert wire.ask(request()).status == 503
        limit_files(edge.proxy, 4096)
        within(10, lambda: wire.ask(request()).status == 200, "descriptors")
    assert edge.metric("edgeproxy_upstream_healthy", pool="app") == 1
    assert hits(edge, "descriptors") >= 8


# memory

def large(size):
    """A script: every answer has so many bytes, in chunks, which edgeproxy has to hold for a slow reader: bytes of known
    length would wait in the kernel."""
    much = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * size) + b"0\r\n\r\n"
    little = answer(b"small")

    def script(peer):
        while True:
            seen = peer.request()
            peer.send(much if seen.target == "/large" else little)
    return script


def slow_reader(edge, data=b"", listener="http"):
    """A client that asks and takes next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect(edge.address(listener))
    sock.sendall(data)
    return sock


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
def test_a_silent_client_takes_next_to_no_memory(start_edge, origin, many):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "limits": {"connections_per_source": "off"},
                       "listeners": {"https": {"limits": {"handshakes_per_source": "off"}}}})

    def open_connections():
        return edge.metric("edgeproxy_connections_accepted_total", listener="https")
    for _ in range(50):
        many(slow_reader(edge, listener="https"))
    within(10, lambda: open_connections() == 50, "50 connections")
    before = procs.resident_bytes(edge.proxy)
    for _ in range(350):
        many(slow_reader(edge, listener="https"))
    within(10, lambda: open_connections() == 400, "400 connections")
    assert procs.resident_bytes(edge.proxy) - before < 350 * 8 * 1024


@pytest.fixture
def memory_cgroup():
    """A cgroup of 96 MiB (version 1), or a skip where none can be made."""
    folder = Path(f"/sys/fs/cgroup/memory/edgeproxy-test-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(96 << 20))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield folder
    within(10, lambda: not (folder / "cgroup.procs").read_text(), "an empty cgroup")
    folder.rmdir()


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
def test_in_a_small_cgroup_slow_readers_get_nobody_killed(memory_cgroup, start_edge, start_origin, many):
    origin = start_origin(large(8_000_000))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "max_in_flight": 5000}},
                       "limits": {"connections_per_source": "off"}, "logging": {"access": False}},
                      wrapper=("bash", "-c", f'echo $$ > {memory_cgroup}/cgroup.procs; "$@"; exit $?', "bash"))
    assert edge.metric("edgeproxy_memory_budget_bytes") < 80 << 20
    for _ in range(400):
        many(slow_reader(edge, request("/large")))
    within(30, lambda: edge.metric("edgeproxy_memory_pressure") >= 1 or hits(edge, "memory_saving") > 0, "pressure")
    within(30, lambda: edge.status("/livez") == 200, "a sign of life")
    assert edge.metric("edgeproxy_memory_used_bytes") < 96 << 20
    oom = (memory_cgroup / "memory.oom_control").read_text()
    assert "oom_kill 0" in oom, oom


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
def test_slow_readers_of_much_do_not_take_the_memory(start_edge, start_origin, many):
    origin = start_origin(large(8_000_000))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "max_in_flight": 1000}},
                       "limits": {"memory": "48MiB", "connections_per_source": "off"},
                       "logging": {"access": False}})
    attackers = []
    for _ in range(240):
        attackers.append(many(slow_reader(edge, request("/large"))))
    within(30, lambda: edge.metric("edgeproxy_memory_pressure") >= 1 or hits(edge, "memory_saving") > 0, "pressure")
    within(30, lambda: edge.status("/livez") == 200, "a sign of life")
    peak = max(edge.metric("edgeproxy_memory_used_bytes") for _ in range(5))
    assert peak < 64 * 1024 * 1024, f"{peak} bytes of 48 MiB"
    for sock in attackers:
        sock.close()

    def calm():
        with edge.wire() as wire:
            return wire.ask(request()).status == 200 and edge.metric("edgeproxy_memory_pressure") == 0
    within(30, calm, "the end of the pressure")


# time

def stutter(pid, stop, still, run):
    """The process stands still for `still` seconds, then runs for `run`, again and again."""
    while not stop.is_set():
        os.kill(pid, signal.SIGSTOP)
        pause(still)
        os.kill(pid, signal.SIGCONT)
        pause(run)


@pytest.fixture
def stuttering():
    """A function that makes a process stutter until it is called again."""
    stop, threads = threading.Event(), []

    def toggle(pid=None, still=0.3, run=0.01):
        if pid is None:
            stop.set()
            return [thread.join() for thread in threads]
        threads.append(threading.Thread(target=stutter, args=(pid, stop, still, run)))
        threads[0].start()
    yield toggle
    toggle()


def test_a_loop_that_lags_refuses_new_requests_until_it_is_in_time_again(start_edge, origin, stuttering):
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    reload(edge, {"limits": {"loop_lag": "10ms"}})  # it was off
    with edge.wire() as wire:
        assert wire.ask(request()).status == 200
        stuttering(edge.proxy)
        got = within(30, lambda: next((one for one in [wire.ask(request())] if one.status == 503), None), "a refusal")
        assert got.get("retry-after")
        stuttering()
        within(30, lambda: wire.ask(request()).status == 200, "an answer")
    assert hits(edge, "loop_lag") >= 1
    assert edge.metric("edgeproxy_http_errors_total", reason="overload") == hits(edge, "loop_lag")


def test_a_proxy_that_stutters_does_not_call_its_endpoints_ill(start_edge, origin, stuttering):
    health = {"path": "/health", "interval": "100ms", "timeout": "150ms", "unhealthy_after": 1}
    edge = start_edge({"limits": {"loop_lag": "off"}, "pools": {"app": {"endpoints": [origin.address], "health": health}}})
    stuttering(edge.proxy, run=0.1)
    seen = len(origin.requests)
    origin.wait_requests(seen + 6, seconds=30)
    stuttering()
    assert edge.metric("edgeproxy_health_checks_total", pool="app", result="fail") == 0
    assert edge.metric("edgeproxy_upstream_healthy", pool="app") == 1


# slow clients

def test_a_client_that_behaves_notices_nothing_of_slow_ones(start_edge, start_origin, many):
    origin = start_origin(large(8_000_000))
    short = {"header": "1500ms", "body": "1500ms", "write": "1500ms", "first_request": "1500ms", "handshake": "1500ms",
             "keepalive": "5s"}
    edge = start_edge({"listeners": {"http": {"timeouts": short}, "https": {"timeouts": short}},
                       "limits": {"connections_per_source": "off"}, "pools": {"app": {"endpoints": [origin.address]}}})
    attacks = [b"GET / HTTP/1.1\r\nX-Slow: ", request("/", "POST", fields=[("Content-Length", "1000")]) + b"a",
               request("/large"), b""]
    attackers = []
    with Load(edge, "/", clients=3) as load:
        for i in range(320):
            listener = "https" if i % 8 == 7 else "http"  # over TLS: no ClientHello
            attackers.append(many(slow_reader(edge, attacks[i % 4] if listener == "http" else b"", listener)))
        load.more(60)
        for sock in attackers:
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    reasons = {labels: count for (name, labels), count in edge.metrics().items() if name == "edgeproxy_http_errors_total"}
    assert not load.failed, (len(load.failed), load.failed[:1], reasons)
    for limit in ("header", "body", "write", "first_request"):
        assert hits(edge, limit) > 0, limit
