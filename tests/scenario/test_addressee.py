# SPDX-License-Identifier: Apache-2.0
"""A command with -c FILE is for the edgeproxy that runs with that file, and for no other."""
import json
import os
import signal
import subprocess

import pytest

from edge import BINARY, environment, free_port, run
from procs import within

DEMO = {"command": "edgeproxy-demo-worker", "workers": 1, "health": "/healthz"}
COMMANDS = [["status"], ["reload"], ["reload", "--dry-run"], ["restart", "app"], ["scale", "app", "2"], ["drain", "app/app-1"],
            ["undrain", "app/app-1"], ["upgrade"], ["stop"]]


@pytest.fixture
def edge(start_edge):
    return start_edge({"pools": {"app": DEMO}})


def refused(done, edge, *words):
    assert done.returncode == 6 and not done.stdout, done
    for word in (str(edge.master), str(edge.stack), *words):
        assert word in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_for_another_file_on_the_same_runtime_dir_touches_nothing(edge, tmp_path, command):
    before = edge.workers()
    other = tmp_path / "other.yaml"
    other.write_text(edge.stack.read_text())
    refused(run(*command, "-c", other), edge, str(other), "runtime_dir")
    assert edge.process.poll() is None and edge.workers() == before


def test_other_names_of_its_file_are_its_file(edge, tmp_path):
    symbolic, hard = tmp_path / "symbolic.yaml", edge.folder / "hard.yaml"
    symbolic.symlink_to(edge.stack)
    os.link(edge.stack, hard)
    for name in (symbolic, hard):
        assert run("status", "-c", name).returncode == 0
    assert run("status", "-c", edge.stack.name, cwd=edge.folder).returncode == 0
    assert run("reload", "-c", edge.stack).returncode == 0
    edge.rewrite({"pools": {"app": {"workers": 2}}})  # another inode of that name, as editors make it
    assert run("reload", "-c", edge.stack).returncode == 0
    # Who names the socket means whoever is there.
    assert run("status", "--control", edge.folder / "run/control.sock", "-c", tmp_path / "none.yaml").returncode == 0


def test_it_is_known_by_its_file_after_an_upgrade_too(edge, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(edge.stack.read_text())
    assert run("upgrade", "-c", edge.stack).returncode == 0
    refused(run("stop", "-c", other), edge)
    assert json.loads(run("status", "--json", "-c", edge.stack).stdout)["config"] == str(edge.stack)


def test_a_file_named_from_its_folder_is_told_whole(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    assert edge.stop() == 0
    edge.process = subprocess.Popen([BINARY, "-c", edge.stack.name], cwd=edge.folder, env=environment(), stdout=edge.stdout,
                                    stderr=edge.stderr, stdin=subprocess.DEVNULL)
    edge.wait("ready")
    assert json.loads(run("status", "--json", "-c", edge.stack).stdout)["config"] == str(edge.stack)


@pytest.mark.parametrize("text, words", [
    (None, ["no-file"]),
    ("listen: [\n", ["syntax"]),
    ("- a list\n", ["wrong-kind"]),
    ("server: { runtime_dir: \"${NOT_SET_ANYWHERE}/run\" }\nlisten: [\n", ["syntax"]),
])
def test_a_file_that_does_not_tell_where_its_edgeproxy_is_is_told_as_such(edge, tmp_path, text, words):
    file = tmp_path / "stack.yaml"
    if text is not None:
        file.write_text(text)
    for command in ("stop", "reload", "status"):
        done = run(command, "-c", file, env={"RUNTIME_DIRECTORY": str(edge.folder / "run")})
        assert done.returncode == 3 and not done.stdout
        for word in [str(file), "--control", *words]:
            assert word in done.stderr
    assert edge.process.poll() is None


def test_a_mistake_elsewhere_in_the_file_does_not_hide_its_runtime_dir(edge):
    edge.stack.write_text(edge.stack.read_text() + "listne: ':1'\n")
    assert run("status", "-c", edge.stack).returncode == 0
    done = run("reload", "-c", edge.stack)
    assert done.returncode == 7 and "listne" in done.stderr


@pytest.fixture
def run_without_file(tmp_path):
    """`edgeproxy run` on a runtime directory of its own; its process."""
    env = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    process = subprocess.Popen([BINARY, "run", "--listen", f"127.0.0.1:{free_port()}", "--metrics", "off", "--",
                                "edgeproxy-demo-worker"], env=environment(env), cwd=tmp_path, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    within(30, lambda: run("status", env=env).returncode == 0, "edgeproxy run")
    yield process, env
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_one_without_a_file_is_no_file_s(run_without_file, tmp_path):
    process, env = run_without_file
    file = tmp_path / "stack.yaml"
    file.write_text("listen: '127.0.0.1:0'\napp: edgeproxy-demo-worker\n")
    done = run("stop", "-c", file, env=env)
    assert done.returncode == 6 and str(process.pid) in done.stderr and "edgeproxy run" in done.stderr
    assert process.poll() is None
    # Without -c it is whoever is there, as ever.
    assert run("status", env=env, cwd="/").returncode == 0


def test_a_file_started_twice_is_told_to_be_running_already(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    done = run("-c", edge.stack)
    assert done.returncode == 4 and f"already running (pid {edge.master})" in done.stderr
    assert "edgeproxy reload" in done.stderr


def test_a_second_one_without_a_file_gets_its_own_runtime_dir_by_an_option(run_without_file, tmp_path):
    process, env = run_without_file
    words = ["run", "--listen", f"127.0.0.1:{free_port()}", "--metrics", "off"]
    done = run(*words, "--", "edgeproxy-demo-worker", env=env)
    assert done.returncode == 4 and f"(pid {process.pid})" in done.stderr and "--runtime-dir" in done.stderr
    second = subprocess.Popen([BINARY, *words, "--runtime-dir", tmp_path / "second", "--", "edgeproxy-demo-worker"],
                              env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    control = tmp_path / "second/control.sock"
    within(30, lambda: run("status", "--control", control).returncode == 0, "the second one")
    assert run("stop", "--control", control).returncode == 0 and second.wait(30) == 0
    assert process.poll() is None
