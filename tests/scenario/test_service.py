# SPDX-License-Identifier: Apache-2.0
"""The host's side: what a service manager hears, the sockets it passes, what each worker may use, the shipped unit."""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import procs
from edge import CANNOT_BIND, DEMO_WORKER, ROOT, SANITIZED, free_port
from procs import within

DEMO = {"command": "edgeproxy-demo-worker", "workers": 1, "health": "/healthz"}


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket; the function gives the next message, or None when nothing came in time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))

        def hear(seconds=20):
            sock.settimeout(seconds)
            try:
                return sock.recv(4096).decode()
            except TimeoutError:
                return None
        hear.address = str(tmp_path / "notify")
        yield hear


def hear_until(manager, wanted):
    heard = []
    while not any(wanted in message for message in heard):
        heard.append(manager() or pytest.fail(f"{wanted!r} did not come after {heard}"))
    return heard


def test_the_service_manager_hears_ready_when_the_pool_can_serve_and_stopping_at_the_end(start_edge, manager):
    edge = start_edge({"pools": {"app": {**DEMO, "environment": {"DEMO_START_DELAY_MS": "400"}}}},
                      env={"NOTIFY_SOCKET": manager.address})
    heard = hear_until(manager, "READY=1")
    assert heard[-1] == "READY=1\nSTATUS=ready: 1 of 1 managed pools can serve\n"
    assert any("starting: 0 of 1" in message for message in heard[:-1]), heard
    edge.stop()
    assert "STOPPING=1\nSTATUS=stopping (SIGTERM)\n" in hear_until(manager, "STOPPING=1")


def test_a_pool_that_need_not_be_there_keeps_nobody_from_being_ready(start_edge, manager):
    start_edge({"pools": {"app": DEMO, "ill": {"command": "sh -c 'exit 1' {port}", "required": False}},
                "routes": [{"path": "/ill", "pool": "ill"}, {"pool": "app"}]}, env={"NOTIFY_SOCKET": manager.address})
    hear_until(manager, "READY=1")
    assert "pool ill is crash_looping" in hear_until(manager, "crash_looping")[-1]


def test_reloads_and_upgrades_are_told_while_they_are_under_way(start_edge, manager):
    edge = start_edge({"pools": {"app": DEMO}}, env={"NOTIFY_SOCKET": manager.address})
    hear_until(manager, "READY=1")
    for command in ("reload", "upgrade"):
        done = edge.command(command)
        assert done.returncode == 0, done.stderr
        told = hear_until(manager, "RELOADING=1")
        assert any(message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in told), told
        hear_until(manager, "READY=1")


def test_the_watchdog_is_fed_each_half_of_its_time(start_edge, manager):
    start_edge({"pools": {"app": DEMO}}, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"})
    for _ in range(5):
        hear_until(manager, "WATCHDOG=1")


def test_workers_do_not_speak_to_the_service_manager(start_edge, manager):
    edge = start_edge({"pools": {"app": DEMO}}, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "9000000"})
    for pid in [*edge.workers(), edge.proxy]:
        environ = procs.read(pid, "environ")
        assert environ and b"NOTIFY_SOCKET" not in environ and b"WATCHDOG" not in environ


# Sockets that somebody else made: the wrapper listens, then becomes edgeproxy.
PASSING = """
import os, socket, sys
names, ports, program = sys.argv[1], sys.argv[2], sys.argv[3:]
made = []
for port in ports.split(","):
    sock = socket.create_server(("127.0.0.1", int(port)))
    made.append(os.dup2(os.dup(sock.fileno()), 100 + len(made)))
    sock.close()
for number, fd in enumerate(made):
    os.dup2(fd, 3 + number, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(made)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)
os.execv(program[0], program)
"""


def passing(names, *ports):
    return {"wrapper": (sys.executable, "-c", PASSING, names, ",".join(map(str, ports))), "wrapper_becomes": True}


def test_passed_sockets_serve_the_listeners_that_name_them(start_edge):
    plain, secure, more = free_port(), free_port(), free_port()
    edge = start_edge({"listeners": {"http": {"address": "fd:web"}, "https": {"address": "fd:tls", "tls": True}},
                       "pools": {"app": DEMO}}, **passing("web:tls:web", plain, secure, more))
    edge.ports.update(http=plain, https=secure)
    with edge.client() as client:
        for url in (edge.url("/pid", "http"), edge.url("/pid"), f"http://localhost:{more}/pid"):
            assert client.get(url).status_code == 200
    with edge.tls_wire() as wire:
        from wire import request
        assert str(secure) in wire.ask(request("/headers")).body.decode(), "X-Forwarded-Port"
    for pid in edge.workers():
        assert b"LISTEN_FDS" not in procs.read(pid, "environ")


def test_a_socket_that_was_not_passed_ends_the_start_with_its_remedy(start_edge):
    edge = start_edge({"listeners": {"http": {"address": "fd:web"}}, "pools": {"app": DEMO}}, wait="ends", exits=CANNOT_BIND,
                      **passing("other", free_port()))
    assert "no listening socket of that name was passed" in edge.log() and "FileDescriptorName=web" in edge.log()


def test_a_passed_socket_that_nobody_wants_is_told_and_closed(start_edge):
    port = free_port()
    edge = start_edge({"pools": {"app": DEMO}}, **passing("stray", port))
    assert "the socket stray was passed to us" in edge.log()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps more memory than any limit")
def test_each_worker_gets_the_limits_the_priority_and_the_cpus_of_its_pool(start_edge):
    ours = sorted(os.sched_getaffinity(0))
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 2, "resources": {
        "open_files": 333, "memory": "3GiB", "nice": 3, "cpus": "auto"}}}})
    niceness = os.nice(0)
    seen = set()
    for pid in edge.workers():
        limits = procs.read(pid, "limits").decode()
        assert re.search(r"Max open files +333 ", limits)
        assert re.search(rf"Max address space +{3 << 30} ", limits)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, niceness + 3)
        seen.add(tuple(os.sched_getaffinity(pid)))
    assert all(len(cpus) == 1 for cpus in seen)
    assert len(seen) == min(2, len(ours)), "each its own CPU"
    for pid in (edge.master, edge.proxy):
        assert os.getpriority(os.PRIO_PROCESS, pid) == niceness and not re.search(r"Max open files +333 ",
                                                                                 procs.read(pid, "limits").decode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start workers as somebody else")
def test_a_worker_of_another_user_has_that_users_home_groups_and_no_capability(start_edge, tmp_path):
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    program = shutil.copy(DEMO_WORKER, tmp_path / "worker")
    (tmp_path / "extra.env").write_text("FROM_FILE=yes\nCHOSEN=file\n")
    edge = start_edge({"pools": {"app": {**DEMO, "command": str(program), "user": "nobody", "working_dir": str(tmp_path), "env_file": "extra.env",
                                         "environment": {"CHOSEN": "written"}}}}, cwd=tmp_path)
    nobody = pwd.getpwnam("nobody")
    [pid] = edge.workers()
    status = procs.read(pid, "status").decode()
    assert re.search(rf"Uid:\s+{nobody.pw_uid}\s+{nobody.pw_uid}\s", status) and re.search(r"CapEff:\s+0+\n", status)
    assert re.search(rf"Groups:\s+{nobody.pw_gid}\s*\n", status)
    environ = dict(entry.split("=", 1) for entry in procs.read(pid, "environ").decode().split("\0") if "=" in entry)
    assert environ["HOME"] == nobody.pw_dir and environ["USER"] == environ["LOGNAME"] == "nobody"
    assert environ["FROM_FILE"] == "yes" and environ["CHOSEN"] == "written"
    assert edge.get("/pid").text.strip() == str(pid)


# The shipped units.

UNITS = ROOT / "examples/systemd"
ANALYZE = shutil.which("systemd-analyze")


def unit_folder(tmp_path, dropin=None):
    """The units as they would be installed, with a program that is there."""
    for name in ("edgeproxy.service", "edgeproxy.socket"):
        (tmp_path / name).write_text((UNITS / name).read_text().replace("/usr/bin/edgeproxy", "/bin/true"))
    if dropin:
        (tmp_path / "edgeproxy.service.d").mkdir()
        shutil.copy(UNITS / dropin, tmp_path / "edgeproxy.service.d")
    return tmp_path / "edgeproxy.service"


def exposure(unit):
    said = subprocess.run([ANALYZE, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True, timeout=60)
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)[1])


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("dropin, most", [(None, 2.5), ("edgeproxy-users.conf", 3.0)])
def test_the_shipped_unit_exposes_little(tmp_path, dropin, most):
    assert exposure(unit_folder(tmp_path, dropin)) <= most


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
def test_the_shipped_units_are_understood_by_systemd(tmp_path):
    unit = unit_folder(tmp_path)
    said = subprocess.run([ANALYZE, "verify", "--man=no", unit, tmp_path / "edgeproxy.socket"], capture_output=True, text=True, timeout=60)
    ours = [line for line in said.stderr.splitlines() if "edgeproxy" in line]
    assert not ours, ours


def test_the_shipped_unit_gives_the_stop_the_time_that_it_may_take():
    text = (UNITS / "edgeproxy.service").read_text()
    value = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert value["Type"] == "notify" and value["NotifyAccess"] == "main" and value["KillMode"] == "mixed"
    assert int(value["TimeoutStopSec"]) > 30 and "2 3" in value["RestartPreventExitStatus"]
    assert value["SuccessExitStatus"] == "8", "a stop that had to cut somebody off is a stop"
    assert value["NoNewPrivileges"] == "yes" and value["LimitCORE"] == "0" and value["ProtectSystem"] == "strict"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_it_serves_whichever_standard_descriptors_are_closed(start_edge, closed):
    """A socket that took the number of one would be read and written by whoever prints."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}}},
                      wrapper=("sh", "-c", f'exec "$0" "$@" {closed}'), wrapper_becomes=True)
    proxy = edge.proxy
    for name in range(3):
        assert not os.readlink(f"/proc/{edge.master}/fd/{name}").startswith(("socket:", str(edge.folder / "run")))
    with edge.client() as client:
        assert {client.get(edge.url("/pid")).status_code for _ in range(20)} == {200}
    assert edge.proxy == proxy
