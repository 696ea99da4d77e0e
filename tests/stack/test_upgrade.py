# SPDX-License-Identifier: Apache-2.0
"""Another binary in the running program: same master, same workers, and nobody notices."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import procs
from edge import BINARY, SANITIZED, environment
from load import Load
from procs import within

DEMO = {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}
STACK = {"pools": {"app": DEMO}}


@pytest.fixture
def program(tmp_path):
    """A copy of the program, at a path where another one may be put in its place."""
    path = tmp_path / "edgeproxy"
    shutil.copy2(BINARY, path)
    return path


def replace(program, text=None, mode=0o755):
    """By rename, as packages do: the same program once more, or a script."""
    beside = program.with_suffix(".new")
    if text is None:
        shutil.copy2(BINARY, beside)
    else:
        beside.write_text(text)
    beside.chmod(mode)
    beside.replace(program)


@pytest.fixture
def edge(start_edge, program):
    return start_edge(STACK, binary=program)


def proxies(edge):
    return [pid for pid in procs.children(edge.master) if "--role=proxy" in procs.command_line(pid)]


def upgraded(edge):
    return edge.metric("edgeproxy_upgrades_total", result="ok")


@contextlib.contextmanager
def asked(edge, *arguments):
    """A command that is under way; its outcome is in the list when the block has ended."""
    done = []
    thread = threading.Thread(target=lambda: done.append(edge.command(*arguments)))
    thread.start()
    try:
        yield done
    finally:
        thread.join()


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def test_an_upgrade_under_load_loses_nothing_and_everything_works_after_it(start_edge, program):
    grace = "20s" if SANITIZED else "5s"
    edge = start_edge({**STACK, "server": {"shutdown": {"grace_period": grace}}}, binary=program)
    master, workers, proxy = edge.master, edge.workers(), edge.proxy
    begun = procs.identity(master)
    with Load(edge, "/pid", clients=10) as plain, Load(edge, "/pid", clients=10, listener="https") as load, \
            connect(edge.url("/ws", "http").replace("http", "ws", 1), compression=None) as tunnel:
        replace(program)
        done = edge.command("upgrade")
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"upgraded from version \S+ to \S+ in \d+ ms", done.stderr)
        assert len(proxies(edge)) == 2 and proxy in proxies(edge), "the old one has a tunnel"
        assert f"old proxy pid {proxy} ends what it has" in edge.command("status").stdout
        tunnel.send("still there")
        assert tunnel.recv(timeout=10) == "still there"
        plain.more(60)
        load.more(60)
        assert procs.identity(edge.process.pid) == begun and edge.master == master, "the same process"
        assert os.path.samefile(f"/proc/{master}/exe", program), "another program"
        assert edge.workers() == workers
        with pytest.raises(ConnectionClosed) as closed:
            tunnel.recv(timeout=40)
        assert closed.value.rcvd.code == 1012, "before the end of the old proxy, with a frame"
    plain.assert_none_failed()
    load.assert_none_failed()
    within(20, lambda: len(proxies(edge)) == 1 and proxy not in proxies(edge), "the end of the old proxy")
    within(20, lambda: upgraded(edge) == 1)
    edge.rewrite({"routes": [{"name": "fixed", "path": "/fixed", "respond": {"status": 200, "body": "new"}},
                             {"name": "all", "pool": "app"}]})
    for command in (["reload"], ["restart", "app"], ["scale", "app", "3"]):
        done = edge.command(*command)
        assert done.returncode == 0, done.stderr
    within(20, lambda: len(edge.workers()) == 3 and not set(workers) & set(edge.workers()), "three new workers")
    assert edge.get("/fixed").text == "new" and edge.get("/pid").status_code == 200
    done = edge.command("stop")
    assert done.returncode == 0 and edge.process.wait(20) == 0
    assert not (edge.folder / "run" / "control.sock").exists() and not (edge.folder / "run" / str(master)).exists()


def test_twice_in_a_row_and_by_signal(edge, program):
    master, workers = edge.master, edge.workers()
    for number in (1, 2):
        replace(program)
        done = edge.command("upgrade")
        assert done.returncode == 0, done.stderr
        within(20, lambda: upgraded(edge) == number, "the new proxy counts it")
    replace(program)
    os.kill(edge.master, signal.SIGUSR2)
    within(30, lambda: upgraded(edge) == 3)
    within(20, lambda: len(proxies(edge)) == 1)
    assert (edge.master, edge.workers()) == (master, workers)
    assert procs.command_line(master).count("state") == 1, "only the last one's"
    os.kill(workers[0], signal.SIGKILL)
    within(20, lambda: len(set(edge.workers()) - {workers[0]}) == 2, "another worker in its place")
    assert edge.get("/pid").status_code == 200
    with httpx.Client(trust_env=False) as other:
        assert other.get(f"http://127.0.0.1:{edge.ports['metrics']}/readyz").status_code == 200


def test_a_binary_that_is_none_changes_nothing(edge, program):
    master, proxy, workers = edge.master, edge.proxy, edge.workers()
    cases = [
        ("#!/bin/sh\nexit 1\n", 0o755, "the new program ended: exit 1"),
        ("#!/bin/sh\nexit 0\n", 0o755, "did not say that it accepts the state"),
        ("#!/bin/sh\necho this one knows version 9 >&2; exit 7\n", 0o755, "this one knows version 9"),
        ("no program at all", 0o755, "cannot be started: Exec format error"),
        ("#!/bin/sh\n", 0o644, "cannot be started: Permission denied"),
    ]
    with Load(edge, "/pid", clients=4) as load:
        for text, mode, words in cases:
            replace(program, text, mode)
            done = edge.command("upgrade")
            assert done.returncode == 7 and words in done.stderr, done.stderr
            assert "nothing has changed" in done.stderr
        program.unlink()
        done = edge.command("upgrade")
        assert done.returncode == 7 and "No such file or directory" in done.stderr
        replace(program)
        text = edge.stack.read_text()
        edge.stack.write_text(text.replace("workers: 2", "worrkers: 2"))
        done = edge.command("upgrade")
        assert done.returncode == 7 and re.search(r":\d+:\d+: error: unknown key", done.stderr), done.stderr
        edge.stack.write_text(text)
        edge.rewrite({"server": {"upgrade": "off"}})
        assert edge.command("reload").returncode == 0
        done = edge.command("upgrade")
        assert done.returncode == 7 and "server.upgrade is off" in done.stderr
    load.assert_none_failed()
    assert (edge.master, edge.proxy, edge.workers()) == (master, proxy, workers)
    assert edge.metric("edgeproxy_upgrades_total", result="refused") == len(cases) + 3
    assert "last upgrade failed" in edge.command("status").stdout
    edge.rewrite()
    assert edge.command("reload").returncode == 0
    assert edge.command("upgrade").returncode == 0, "the next one is not refused for it"


def test_a_state_that_the_binary_does_not_know_is_refused(tmp_path):
    stack = tmp_path / "stack.yaml"
    stack.write_text("listen: ':0'\napp: edgeproxy-demo-worker\n")
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    for content, words in ((b"edgeproxy state\n" + (99).to_bytes(8, "little"), "the state has version 99"),
                           (b"#!/bin/sh", "no state of a master"), (b"edgeproxy state\n" + (2).to_bytes(8, "little"), "damaged")):
        state = os.memfd_create("state", os.MFD_ALLOW_SEALING)
        os.write(state, content)
        fcntl.fcntl(state, fcntl.F_ADD_SEALS, seals)
        done = subprocess.run([BINARY, "-c", stack, f"--check-state={state}"], pass_fds=(state,), capture_output=True,
                              text=True, env=environment(), timeout=60)
        assert done.returncode == 7 and words in done.stdout, done.stdout + done.stderr
        os.close(state)


def test_one_upgrade_at_a_time_and_a_reload_meanwhile(edge, program):
    replace(program, "#!/bin/sh\nsleep 1\nexit 1\n")
    with asked(edge, "upgrade") as first:
        edge.wait_log("upgrade_asked")
        second = edge.command("upgrade")
        assert second.returncode == 7 and "an upgrade is under way" in second.stderr
        assert edge.command("reload").returncode == 0
    assert first[0].returncode == 7 and "exit 1" in first[0].stderr


def test_a_new_proxy_that_does_not_come_up_leaves_the_old_one(edge, program):
    workers, old = edge.workers(), edge.proxy
    replace(program)
    with Load(edge, "/pid", clients=4) as load:
        # A worker that does not answer keeps the new proxy from taking over.
        with stopped(workers[0]), asked(edge, "upgrade") as done:
            new = within(20, lambda: set(proxies(edge)) - {old}).pop()
            os.kill(new, signal.SIGKILL)
        assert done[0].returncode == 7 and "the new proxy process ended: signal 9" in done[0].stderr, done[0].stderr
        load.more(60)
    load.assert_none_failed()
    assert proxies(edge) == [old] and edge.workers() == workers
    within(20, lambda: edge.metric("edgeproxy_upgrades_total", result="failed") == 1)
    assert edge.command("reload").returncode == 0, "the new master and the old proxy understand each other"
    assert edge.command("upgrade").returncode == 0
    within(20, lambda: old not in proxies(edge))


def test_proxies_and_workers_that_die_while_two_proxies_live(edge, program):
    workers, old = edge.workers(), edge.proxy
    replace(program)
    with stopped(workers[0]):
        with asked(edge, "upgrade") as done:
            new = within(20, lambda: set(proxies(edge)) - {old}).pop()
            os.kill(workers[1], signal.SIGKILL)
            within(20, lambda: len(edge.workers()) == 2 and workers[1] not in edge.workers(), "another worker")
            edge.wait_log(f"proxy process {new} accepts")
            os.kill(old, signal.SIGKILL)  # the new one takes its place at once
        assert done[0].returncode == 0, done[0].stderr
    assert proxies(edge) == [new]
    assert within(20, lambda: edge.status("/readyz") == 200) and edge.get("/pid").status_code == 200
    with connect(edge.url("/ws", "http").replace("http", "ws", 1), compression=None) as tunnel:
        assert edge.command("upgrade").returncode == 0
        newest = within(20, lambda: set(proxies(edge)) - {new}).pop()
        os.kill(newest, signal.SIGKILL)  # while the one before still ends what it has
        newer = within(20, lambda: set(proxies(edge)) - {new, newest}).pop()
        within(20, lambda: edge.status("/readyz") == 200)
        assert edge.get("/pid").status_code == 200
        tunnel.send("x")
        assert tunnel.recv(timeout=10) == "x"
        os.kill(new, signal.SIGKILL)
        within(20, lambda: proxies(edge) == [newer])
    assert edge.get("/pid").status_code == 200
    edge.look()
    os.kill(edge.master, signal.SIGKILL)
    edge.expected_exit = edge.process.wait()
    within(15, lambda: not edge.leftovers(), "the end of proxy and workers")
    with socket.create_server(("127.0.0.1", edge.ports["http"])):
        pass


def test_the_old_proxy_may_die_before_the_new_one_is_ready(edge, program):
    workers = edge.workers()
    for _ in range(20):  # until the new one was stopped in time
        old = edge.proxy
        replace(program)
        with asked(edge, "upgrade") as done:
            new = within(20, lambda past=old: set(proxies(edge)) - {past}).pop()
            with stopped(new):
                early = f"proxy process {new} accepts" not in edge.log()
                if early:
                    os.kill(old, signal.SIGKILL)
                    edge.wait_log("the old proxy process ended: signal 9")
        if early:
            break
        within(20, lambda gone=old: gone not in proxies(edge))
    assert early
    assert done[0].returncode == 7 and "the old proxy process ended before the new one was ready" in done[0].stderr, done[0].stderr
    within(20, lambda: proxies(edge) not in ([], [old], [new], [old, new]) and edge.status("/readyz") == 200)
    assert edge.get("/pid").status_code == 200 and edge.workers() == workers
    assert edge.command("upgrade").returncode == 0, "the next one is not refused for it"
    assert edge.get("/pid").status_code == 200 and edge.workers() == workers


def test_a_stop_while_the_old_proxy_ends_its_tunnels(edge, program):
    with connect(edge.url("/ws", "http").replace("http", "ws", 1), compression=None):
        replace(program)
        assert edge.command("upgrade").returncode == 0
        assert len(proxies(edge)) == 2
        edge.look()
        begun = time.monotonic()
        done = edge.command("stop", "--now")
        assert done.returncode == 0 and time.monotonic() - begun < 20
    edge.expected_exit = edge.process.wait(20)
    assert edge.expected_exit in (0, 8)
