# SPDX-License-Identifier: Apache-2.0
"""Started as root: workers and proxy run as others, and everything still works."""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import procs
from edge import BINARY, environment, free_port, run
from load import Load
from procs import within
from servers import by_name

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes as others")

NOBODY = pwd.getpwnam("nobody")
UVICORN = by_name("uvicorn")[0].values[0]
OTHERS = pytest.mark.parametrize("server", by_name("uvicorn", "gunicorn-sync", "daphne"))


@pytest.fixture
def runtime_dir():
    """One that other users may pass through to; that of pytest is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="ep-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder / "run"
    shutil.rmtree(folder)


def users(pids):
    lines = [procs.read(pid, "status").decode().splitlines() for pid in pids]
    return {pwd.getpwuid(int(line.split()[1])).pw_name for text in lines for line in text if line.startswith("Uid:")}


def two_ready(edge):
    within(60, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "two ready")


def serves_through_death_and_reload(edge, worker_user):
    two_ready(edge)
    before = set(edge.workers())
    assert users(before) == {worker_user}
    with Load(edge, "/pid") as load:
        os.kill(min(before), 9)
        within(30, lambda: len(set(edge.workers()) - {min(before)}) == 2, "a second worker")
        two_ready(edge)
        edge.rewrite({"pools": {"app": {"environment": {"DEPLOY": "2"}}}})
        told = run("reload", "-c", edge.stack)
        assert told.returncode == 0, told.stderr
        load.more(60)
    load.assert_none_failed()
    assert not set(edge.workers()) & before
    assert users(edge.workers()) == {worker_user}


@OTHERS
def test_workers_of_another_user_start_die_and_are_rolled(start_edge, runtime_dir, server):
    edge = start_edge({"server": {"runtime_dir": str(runtime_dir)}, "pools": {"app": server.pool(user="nobody")}})
    assert users([edge.master, edge.proxy]) == {"root"}
    serves_through_death_and_reload(edge, "nobody")


@OTHERS
def test_proxy_and_workers_of_another_user(start_edge, runtime_dir, server):
    edge = start_edge({"server": {"runtime_dir": str(runtime_dir), "user": "nobody"}, "pools": {"app": server.pool()}})
    assert users([edge.proxy]) == {"nobody"}
    serves_through_death_and_reload(edge, "nobody")
    before = edge.proxy
    os.kill(before, 9)
    within(30, lambda: edge.proxy not in (None, before) and edge.status("/readyz") == 200, "another proxy")
    assert users([edge.proxy]) == {"nobody"} and edge.get("/pid").status_code == 200


def test_proxy_and_workers_of_two_users(start_edge, runtime_dir):
    edge = start_edge({"server": {"runtime_dir": str(runtime_dir), "user": "nobody"},
                       "pools": {"app": UVICORN.pool(user="daemon")}})
    assert users([edge.proxy]) == {"nobody"}
    serves_through_death_and_reload(edge, "daemon")


def test_nothing_of_a_killed_master_is_left_by_the_next(start_edge, runtime_dir):
    stack = {"server": {"runtime_dir": str(runtime_dir), "user": "nobody"}, "pools": {"app": UVICORN.pool()}}
    first = start_edge(stack, exits=-9)
    two_ready(first)
    os.kill(first.master, 9)
    first.process.wait(10)
    within(30, lambda: not first.leftovers(), "the guard to end the rest")
    second = start_edge(stack)
    two_ready(second)
    assert sorted(entry.name for entry in runtime_dir.iterdir()) == sorted(["control.sock", "lock", str(second.master)])


def test_a_worker_that_listens_elsewhere_is_told_by_the_address(runtime_dir):
    """Seen by a master of its own user; root without all rights does not see the descriptors of a worker that has them."""
    folder, port = runtime_dir.parent, free_port()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    stack = folder / "stack.yaml"
    stack.write_text(f"""listen: "127.0.0.1:{free_port()}"
server: {{ runtime_dir: "{runtime_dir}" }}
metrics: off
app:
  command: ["{sys.executable}", -m, http.server, --bind, 127.0.0.1, "{port}"]
  working_dir: "{folder}"
  start_timeout: 2s
""")
    with subprocess.Popen([BINARY, "-c", stack], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, user=NOBODY.pw_uid, group=NOBODY.pw_gid,
                          extra_groups=[]) as process:
        try:
            told = next((line for line in process.stderr if "its start took too long" in line), "")
        finally:
            process.terminate()
    assert f"it listens on 127.0.0.1:{port}, but requests come to 127.0.0.1:" in told and "{port}" in told
