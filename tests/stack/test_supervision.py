# SPDX-License-Identifier: Apache-2.0
"""Workers die, hang, refuse to start and refuse to stop; requests do not notice where it can be helped, and people are told."""
import json
import os
import re
import signal
import socket
import threading
import time

import httpx
import pytest

import procs
from edge import SANITIZED
from load import Load
from procs import within
from servers import EXAMPLES, by_name
from wire import Broken, request

DEMO = {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}


def kill(pid, by=signal.SIGKILL):
    os.kill(pid, by)


@pytest.mark.parametrize("server", by_name("uvicorn", "gunicorn-sync", "gunicorn-uvicorn", "daphne", "hypercorn", "generic-port", "generic-fd"))
@pytest.mark.parametrize("target", ["/pid", "/slow?ms=20"])
def test_a_killed_worker_costs_no_get_and_is_replaced(start_edge, server, target):
    edge = start_edge({"pools": {"app": server.pool()}})
    # Until its first answer a worker's death is a start that failed, not a crash.
    within(60, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "two ready")
    before = set(edge.workers())
    with Load(edge, target) as load:
        victim = min(before)
        kill(victim)
        within(30, lambda: len(set(edge.workers()) - {victim}) == 2, "a second worker")
        within(30, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "two ready")
        load.more(60)
    load.assert_none_failed()
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="crash") == 1
    assert len(set(edge.workers()) & before) == 1, "the other worker was not to be touched"


@pytest.mark.parametrize("server", by_name("uvicorn", "gunicorn-sync", "daphne", "generic-fd"))
def test_all_workers_killed_at_once_and_every_get_is_held(start_edge, server):
    edge = start_edge({"pools": {"app": server.pool()}})
    before = edge.workers()
    with Load(edge, "/pid", listener="https") as load:
        for pid in before:
            kill(pid)
        within(30, lambda: len(edge.workers()) == 2 and not set(edge.workers()) & set(before), "two new workers")
        load.more(60)
    load.assert_none_failed()
    assert load.slowest() < 20


DEADLY = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/die":
        os._exit(7)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def test_a_request_that_kills_its_worker_meets_three_of_them_and_no_more(start_edge, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    edge = start_edge({"pools": {"app": {"command": "uvicorn deadly:app", "working_dir": str(tmp_path), "workers": 4}}})
    within(60, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 4, "four ready")
    with edge.wire(deadline=30) as wire:
        assert wire.ask(request("/die")).status == 502
    line = edge.wait_access("/die")
    assert (line["attempts"], line["error"]) == (3, "connection_terminated")
    assert edge.get("/", "http").text == "ok"  # the fourth is there
    within(60, lambda: edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="crash") == 3, "three deaths")


def test_a_gunicorn_arbiter_is_killed_with_all_that_is_below_it(start_edge):
    server = by_name("gunicorn-sync")[0].values[0]
    edge = start_edge({"pools": {"app": server.pool(workers=1)}})
    arbiter = edge.workers()[0]
    below = [procs.identity(pid) for pid in procs.descendants(arbiter)]
    assert below
    kill(arbiter)
    within(20, lambda: not any(procs.alive(who) for who in below), "the end of its workers")
    within(30, lambda: edge.status("/readyz") == 200)
    assert edge.get("/pid").status_code == 200


def test_ten_kills_under_load_cost_nothing(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 3, "restart": {"crash_loop": "100/60s", "backoff": "10ms-20ms"}}}})
    with Load(edge, "/pid") as load:
        for _ in range(10):
            within(20, lambda: len(edge.workers()) == 3)
            kill(edge.workers()[0])
            load.more(40)
    load.assert_none_failed()


def test_a_get_in_flight_on_the_dead_worker_is_answered_by_another(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1}}})
    victim = edge.workers()[0]
    with edge.wire(deadline=30) as wire:
        wire.send(request("/slow?ms=1000"))
        within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 1)
        kill(victim)
        got = wire.answer()
    assert got.status == 200 and str(victim).encode() not in got.body
    # A dying worker's socket may take the request once more before the kernel has closed it.
    assert edge.wait_access("/slow")["attempts"] in (2, 3)


def test_a_post_in_flight_on_the_dead_worker_is_not_repeated(start_edge):
    """It was read, so nobody can know what it did: 502, and the next worker never sees it."""
    edge = start_edge({"pools": {"app": DEMO}})
    with edge.wire(deadline=30) as wire:
        got = wire.ask(request("/crash", method="POST", body=b"once"))
        assert got.status == 502
    within(20, lambda: len(edge.workers()) == 2 and edge.metric("edgeproxy_pool_endpoints", state="ready") == 2)
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="crash") == 1, "the POST killed a second worker"


def test_an_answer_that_dies_with_its_worker_is_cut_not_ended(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    for http2 in (False, True):
        with edge.client(http2) as client, pytest.raises(Exception):
            assert client.get(edge.url("/half")).status_code == 502
            raise RuntimeError
    with edge.wire() as wire, pytest.raises(Broken):
        wire.ask(request("/half?chunked=1"))


def test_the_exit_is_told_with_pid_signal_and_last_words(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    workers = edge.workers()
    with edge.wire() as wire:
        wire.ask(request("/crash", method="POST", body=b"x"))
    line = within(15, lambda: next((line for line in map(json.loads, edge.log().splitlines())
                                    if line.get("event") == "worker_exit"), None))
    assert line["pool"] == "app" and re.fullmatch("app-[12]", line["worker"]) and line["signal"] == 9
    assert line["level"] == "error" and "demo: crashing as asked" in json.dumps(line["stderr_tail"]) and line["pid"] in workers


def test_a_frozen_worker_is_left_out_until_it_answers_again(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "health": {"path": "/healthz", "interval": "100ms", "timeout": "300ms",
                                                            "unhealthy_after": 2}}}})
    within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "both ready")
    frozen = edge.workers()[0]
    kill(frozen, signal.SIGSTOP)
    try:
        within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 1, "one left out")
        with edge.wire() as wire:
            assert {wire.ask(request("/pid")).body.strip() for _ in range(20)} == {str(edge.workers()[1]).encode()}
    finally:
        kill(frozen, signal.SIGCONT)
    within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "both back")


def test_a_pool_that_never_starts_ends_the_program_with_its_story(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "environment": {"DEMO_FAIL_START": "1"},
                                         "restart": {"backoff": "10ms-50ms"}}}}, wait="ends", exits=5)
    log = edge.log()
    assert log.count("demo: failing at start as asked") >= 3, log
    assert "the master process is gone" not in log, "it ended on purpose"
    assert "app" in log and "edgeproxy-demo-worker" in log and re.search(r"exit (code|status)?\W*3|exited.{0,20}3", log), log


@pytest.mark.parametrize("command, words", [
    ("no-such-program-anywhere --flag", "no-such-program-anywhere"),
    ("uvicorn no_such_module:app", "no_such_module"),
    ("gunicorn no_such_module:app", "no_such_module"),
])
def test_a_command_that_cannot_run_is_named(start_edge, command, words):
    edge = start_edge({"pools": {"app": {"command": command, "restart": {"backoff": "10ms-50ms"}}}}, wait="ends",
                      exits=None)
    edge.expected_exit = edge.process.returncode
    assert edge.process.returncode in (3, 5)  # what `check` can see before the start is refused as configuration
    assert words in edge.log(), edge.log()


def test_a_start_that_takes_too_long_is_a_failed_start(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1, "start_timeout": "300ms", "restart": {"backoff": "10ms-50ms"},
                                         "environment": {"DEMO_START_DELAY_MS": "60000"}}}}, wait="ends", exits=5)
    assert "app-1 ended after its start took too long" in edge.log()


def test_a_pool_that_is_not_required_may_fail_while_the_others_serve(start_edge, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    edge = start_edge({"pools": {"app": DEMO, "extra": {**DEMO, "workers": 1, "required": False, "hold": "200ms",
                                                        "environment": {"DEMO_FAIL_START": str(broken)},
                                                        "restart": {"backoff": "10ms-100ms"}}},
                       "routes": [{"path": "/extra", "pool": "extra", "strip_prefix": "/extra"}, {"pool": "app"}]})
    with edge.wire(deadline=30) as wire:
        assert wire.ask(request("/pid")).status == 200
        got = wire.ask(request("/extra/pid"))
        assert got.status == 503 and got.get("retry-after")
    broken.unlink()
    def recovered():
        with edge.wire(deadline=30) as wire:
            return wire.ask(request("/extra/pid")).status == 200
    within(40, recovered, "the repaired pool")


def test_a_crash_loop_fails_fast_and_recovers(start_edge, tmp_path):
    """After a broken deploy: 503 at once with the traceback for those who asked for details, and back as soon as it works."""
    broken = tmp_path / "broken"
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1, "environment": {"DEMO_FAIL_START": str(broken)}, "hold": "20s",
                                         "restart": {"backoff": "10ms-200ms", "crash_loop": "3/60s"}}},
                       "error_pages": {"details": True}})
    broken.touch()
    kill(edge.workers()[0])
    within(20, lambda: edge.log().count("demo: failing at start as asked") >= 3)

    def refused_at_once():
        begun = time.monotonic()
        with edge.wire(deadline=30) as wire:
            got = wire.ask(request("/pid", fields=[("Accept", "text/html")]))
        return got if got.status == 503 and time.monotonic() - begun < 1 else None
    got = within(30, refused_at_once, "a 503 at once")
    assert got.get("retry-after") and "demo: failing at start as asked" in got.body.decode()
    assert edge.status("/readyz") == 503 and edge.status("/livez") == 200
    broken.unlink()
    within(40, lambda: edge.status("/readyz") == 200, "ready again")
    assert edge.get("/pid").status_code == 200


@pytest.mark.parametrize("server", by_name())
def test_term_ends_everything(start_edge, server):
    edge = start_edge({"pools": {"app": server.pool()}})
    assert edge.get("/pid").status_code == 200
    begun = time.monotonic()
    assert edge.stop() == 0
    assert time.monotonic() - begun < 20 and not edge.leftovers()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda by: by.name)
def test_what_is_in_flight_is_finished_before_the_end(start_edge, by):
    edge = start_edge({"pools": {"app": DEMO}})
    answers = []
    wires = [edge.wire(deadline=30), edge.tls_wire(deadline=30)]
    for wire in wires:
        wire.send(request("/slow?ms=1500"))
    within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 2)
    stopping = threading.Thread(target=edge.stop, args=(by,))
    stopping.start()
    for wire in wires:
        answers.append(wire.answer())
        assert wire.ended()
    stopping.join()
    assert [answer.status for answer in answers] == [200, 200] and edge.process.returncode == 0
    with pytest.raises(OSError):
        edge.wire()


def test_an_idle_client_does_not_hold_up_the_end(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    with edge.wire() as plain, edge.tls_wire() as tls, edge.wire() as silent:
        assert plain.ask(request("/pid")).status == tls.ask(request("/pid")).status == 200
        begun = time.monotonic()
        assert edge.stop() == 0
        assert time.monotonic() - begun < 10
        assert plain.ended() and tls.ended() and silent.ended()


def test_readiness_falls_first_where_a_delay_is_set(start_edge):
    edge = start_edge({"pools": {"app": DEMO}, "server": {"shutdown": {"delay": "1500ms"}}})
    kill(edge.master, signal.SIGTERM)
    within(5, lambda: edge.status("/readyz") == 503, "not ready")
    assert edge.get("/pid").status_code == 200, "still serving during the delay"
    edge.process.wait(30)
    assert edge.process.returncode == 0


def test_a_worker_that_ignores_term_is_killed_in_time(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "stop_grace_period": "500ms", "environment": {"DEMO_IGNORE_TERM": "1"}}}})
    begun = time.monotonic()
    assert edge.stop() == 0
    assert time.monotonic() - begun < 10


def test_a_request_that_never_ends_does_not_keep_the_stop_from_ending(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "drain_timeout": "1s", "stop_grace_period": "500ms"}},
                       "server": {"shutdown": {"grace_period": "7s"}}})
    with edge.wire() as wire:
        wire.send(request("/hang"))
        within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 1)
        begun = time.monotonic()
        code = edge.stop()
        assert code in (0, 8) and time.monotonic() - begun < 15
        edge.expected_exit = code


def test_grandchildren_go_with_their_worker(start_edge):
    edge = start_edge({"pools": {"app": {"command": ["sh", "-c", "sleep 1000 & sleep 1000 & exec edgeproxy-demo-worker"],
                                         "health": "/healthz"}}})
    worker = edge.workers()[0]
    below = [procs.identity(pid) for pid in within(10, lambda: procs.children(worker))]
    assert len(below) == 2
    kill(worker)
    within(20, lambda: not any(procs.alive(who) for who in below), "the end of the sleepers")
    within(20, lambda: edge.status("/readyz") == 200)


def test_a_daemon_of_a_worker_is_ended_with_the_whole(start_edge):
    """A grandchild that left the group and the session is still ours: we are the subreaper."""
    edge = start_edge({"pools": {"app": {"command": ["sh", "-c", "setsid sleep 1000 & exec edgeproxy-demo-worker"],
                                         "health": "/healthz"}}})
    within(10, lambda: "sleep 1000" in " ".join(procs.command_line(pid) for pid in procs.marked(edge.mark)))
    assert edge.stop() == 0
    assert not edge.leftovers()


def test_no_zombie_is_left_by_processes_that_workers_leave_behind(start_edge):
    edge = start_edge({"pools": {"app": {"command": ["sh", "-c", "(setsid sh -c 'exit 0' &) ; exec edgeproxy-demo-worker"],
                                         "workers": 3, "health": "/healthz"}}})
    within(10, lambda: not [pid for pid in procs.descendants(edge.master) if (procs.stat(pid) or "-")[0] == "Z"], "no zombies")


def test_a_killed_proxy_comes_back_and_the_workers_never_notice(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    workers, proxy = edge.workers(), edge.proxy
    kill(proxy)
    begun = time.monotonic()
    with edge.wire(deadline=30) as wire:  # waits in the listen backlog, is not refused
        assert wire.ask(request("/pid")).status == 200
    assert time.monotonic() - begun < 10
    within(10, lambda: edge.proxy not in (None, proxy))
    assert edge.workers() == workers
    within(10, lambda: edge.status("/readyz") == 200)
    assert edge.get("/pid", http2=True).status_code == 200


def test_a_killed_master_leaves_nothing_behind(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    port = edge.ports["http"]
    kill(edge.master)
    edge.process.wait()
    edge.expected_exit = edge.process.returncode
    within(15, lambda: not edge.leftovers(), "the end of proxy and workers")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_chatty_worker_is_never_stopped_by_its_pipe(start_edge):
    edge = start_edge({"pools": {"app": {"command": ["sh", "-c", "yes a-line-of-the-log | head -c 3000000; echo last-line; "
                                                     "exec edgeproxy-demo-worker"], "health": "/healthz"}}})
    assert edge.get("/pid").status_code == 200
    edge.wait_log("last-line")


def test_lines_of_a_worker_carry_its_name(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    def told():
        lines = [json.loads(line) for line in edge.log().splitlines(keepends=True) if line.endswith("\n")]
        return {line.get("worker") for line in lines if "demo: serving" in json.dumps(line)} == {"app-1", "app-2"}
    within(15, told, "a line of each")


def variables(pid):
    return dict(part.decode().split("=", 1) for part in procs.read(pid, "environ").split(b"\0") if b"=" in part)


def test_a_worker_gets_the_environment_that_was_promised(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "environment": {"MINE": "a b", "PYTHONUNBUFFERED": "0"}}}},
                      env={"WEB_CONCURRENCY": "8", "LISTEN_FDS": "3", "NOTIFY_SOCKET": "/nowhere"})
    seen = [variables(pid) for pid in edge.workers()]
    assert {one["EDGEPROXY_WORKER"] for one in seen} == {"1", "2"} and len({one["PORT"] for one in seen}) == 2
    for one in seen:
        assert (one["EDGEPROXY_POOL"], one["WEB_CONCURRENCY"], one["MINE"]) == ("app", "1", "a b")
        assert one["PYTHONUNBUFFERED"] == "0", "the user's environment wins"
        assert "LISTEN_FDS" not in one and "NOTIFY_SOCKET" not in one
        assert "FORWARDED_ALLOW_IPS" not in one, "anybody on the machine can reach a TCP port"


def test_servers_on_private_sockets_are_told_to_trust_us(start_edge):
    server = by_name("generic-fd")[0].values[0]
    edge = start_edge({"pools": {"app": server.pool()}})
    for pid in edge.workers():
        assert variables(pid)["FORWARDED_ALLOW_IPS"] == "*"


def test_a_worker_owns_its_session_and_nothing_of_ours(start_edge):
    server = by_name("generic-fd")[0].values[0]
    edge = start_edge({"pools": {"app": server.pool()}})
    for pid in edge.workers():
        _, parent, group, session, _ = procs.stat(pid)
        assert (parent, group, session) == (edge.master, pid, pid)
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        # stdin, stdout, stderr, its listener; the demo worker's own signalfd and open connections come on top
        names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert sum(name.startswith("pipe:") for name in names) == 2
        assert not [name for name in names if "eventpoll" in name or "memfd" in name or name.startswith("/tmp")], names
        listening = re.findall(r"^0*[0-9a-f]+: \w+ \w+ 00010000 \w+ \w+ +(\d+)", open("/proc/net/unix").read(), re.M)
        assert sum(name == f"socket:[{inode}]" for name in names for inode in listening) == 1, names


def test_the_master_is_alone_in_its_process(start_edge):
    """No threads: a fork is safe there, and the parent-death signal stays bound to a thread that lives."""
    edge = start_edge({"pools": {"app": DEMO}})
    assert len(os.listdir(f"/proc/{edge.master}/task")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace of its own needs root")
def test_it_is_a_fit_first_process_of_a_container(start_edge):
    """As PID 1: orphans are reaped, TERM is heard, the exit code is passed on."""
    edge = start_edge({"pools": {"app": {"command": ["sh", "-c", "(setsid sh -c 'exit 0' &) ; exec edgeproxy-demo-worker"],
                                         "workers": 2, "health": "/healthz"}}}, wrapper=("unshare", "--pid", "--fork", "--mount-proc"))
    assert re.search(rb"^NSpid:\s+\d+\s+1$", procs.read(edge.master, "status"), re.M)
    assert edge.get("/pid").status_code == 200
    within(10, lambda: not [pid for pid in procs.descendants(edge.master) if (procs.stat(pid) or "-")[0] == "Z"], "no zombies")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer multiplies memory")
def test_the_master_stays_small(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 8}}})
    assert procs.resident_bytes(edge.master) < 15 << 20


def memory_holds(pid, word):
    """Whether the process has these bytes anywhere in its writable memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if " rw" not in line:
                continue
            try:
                memory.seek(start)
                if word in memory.read(end - start):
                    return True
            except OSError:
                pass
    return False


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps more memory than can be read")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read another process's memory")
def test_what_only_the_workers_need_is_not_in_the_proxy(start_edge):
    """The proxy reads bytes from the network; secrets of the application are none of its business."""
    secret = "canary-" + "5f2c91aa"
    edge = start_edge({"pools": {"app": {**DEMO, "environment": {"DATABASE_PASSWORD": secret}}}})
    assert variables(edge.workers()[0])["DATABASE_PASSWORD"] == secret
    assert memory_holds(edge.workers()[0], secret.encode()), "the search itself works"
    assert not memory_holds(edge.proxy, secret.encode())
    assert secret not in edge.log() + (edge.folder / "stdout").read_text()
    # The master keeps its hard limit, so that the workers have the one that was there before us.
    for pid, limits in ((edge.master, rb"0\s"), (edge.proxy, rb"0\s+0\s")):
        assert re.search(rb"^Max core file size\s+" + limits, procs.read(pid, "limits"), re.M)


def test_the_first_thing_a_user_writes_works(start_edge, tmp_path):
    """The short form: listen, tls, app."""
    edge = start_edge({"listeners": None, "listen": "127.0.0.1:{port:https}", "tls": "dev",
                       "app": {"command": "uvicorn main:app", "working_dir": str(EXAMPLES / "fastapi"), "workers": 2}})
    with httpx.Client(http2=True, verify=False, trust_env=False) as client:
        got = client.get(edge.url("/whoami"))
    assert got.http_version == "HTTP/2" and got.json()["scheme"] == "https" and got.json()["client"] == "127.0.0.1"
