# SPDX-License-Identifier: Apache-2.0
"""What people type and read: exit codes, `check`, help, and starts that must not happen."""
import json
import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import edge as edge_module
from edge import free_port, run
from origin import unused_port

MINIMAL = """listen: "127.0.0.1:{http}"
pools:
  app:
    endpoints: ["127.0.0.1:{origin}"]
metrics: {{ listen: "127.0.0.1:{metrics}" }}
"""


@pytest.fixture
def file(tmp_path):
    """A function that writes a stack.yaml and gives its path."""
    def write(text):
        path = tmp_path / "stack.yaml"
        path.write_text(text)
        return path
    return write


def minimal(**ports):
    return MINIMAL.format(**{"http": free_port(), "origin": unused_port(), "metrics": free_port(), **ports})


def test_version_names_the_program():
    done = run("--version")
    assert done.returncode == 0 and re.match(r"edgeproxy \d+\.\d+\.\d+", done.stdout)


@pytest.mark.parametrize("flag", ["--help", "help", "-h"])
def test_help_fits_a_terminal_and_starts_with_examples(flag):
    done = run(flag)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and 10 <= len(lines) <= 24 and all(len(line) <= 80 for line in lines)
    assert "edgeproxy -c stack.yaml" in done.stdout and "check" in done.stdout and not done.stderr
    assert re.search(r"restart, .*--timeout", done.stdout)
    assert all(f" {code} " in re.sub(r"\s", " ", done.stdout.partition("Exit codes:")[2]) for code in range(10))


@pytest.mark.parametrize("arguments, hint", [(["--confg", "x"], "--config"), (["chekc"], "check"), (["check", "--fromat", "json"], "--format")])
def test_a_slip_on_the_command_line_is_exit_2_with_a_hint(arguments, hint):
    done = run(*arguments)
    assert done.returncode == 2 and hint in done.stderr and not done.stdout


def test_check_of_a_good_file_is_exit_0(file):
    done = run("check", "-c", file(minimal()))
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_finds_stack_yaml_here_and_by_environment(file, tmp_path):
    path = file(minimal())
    assert run("check", cwd=tmp_path).returncode == 0
    assert run("check", env={"EDGEPROXY_CONFIG": str(path)}, cwd="/").returncode == 0


BROKEN = """listen: ":443"
pools:
  web:
    comand: uvicorn shop.main:app
    replicas: 4
routes:
  - pool: wbe
    max_body: 10m
logging:
  level: loud
"""


def test_check_shows_every_problem_with_its_place(file):
    path = file(BROKEN)
    done = run("check", "-c", path)
    text = done.stdout + done.stderr
    assert done.returncode == 3
    for place, words in [("4:5", 'comand'), ("5:5", 'workers'), ("7:11", 'wbe'), ("8:15", '10MiB'), ("10:10", 'loud')]:
        line = next((line for line in text.splitlines() if f":{place}: error:" in line), None)
        assert line, f"nothing about {place} in\n{text}"
        assert words in text
    assert 'did you mean "command"' in text and 'did you mean "web"' in text
    assert re.search(r"^\s+4 \|     comand: uvicorn shop.main:app$", text, re.M) and re.search(r"^\s+\|\s+\^~+", text, re.M)
    assert re.search(r"\d+ errors", text)


def test_check_can_speak_json(file):
    done = run("check", "--format", "json", "-c", file(BROKEN))
    problems = json.loads(done.stdout)
    problems = problems.get("problems", problems) if isinstance(problems, dict) else problems
    assert done.returncode == 3 and len(problems) >= 5
    assert all({"file", "line", "column", "message", "rule"} <= set(problem) for problem in problems)


@pytest.mark.parametrize("text, place, words", [
    pytest.param("listen: 8080\n  pools: x\n", ":2:", "", id="wrong indentation"),
    pytest.param("listen: ':80'\nlisten: ':81'\napp: x\n", ":2:1: error", "", id="a key twice"),
    pytest.param("listen: ':80'\napp:\n\tcommand: x\n", ":3:", "tab", id="a tab"),
    pytest.param("listen: ':80'\napp: { command: x, workers: 0755 }\n", ":2:", "", id="an octal number"),
    pytest.param("listen: ':80'\napp: { command: x, workers: yes }\n", ":2:", "", id="yes for a number"),
    pytest.param("listen: ':80'\napp: { command: x, start_timeout: 30 }\n", ":2:", "30s", id="a time without a unit"),
    pytest.param("listen: ':80'\napp: { command: x, workers: 0 }\n", ":2:", "1", id="below the range"),
    pytest.param("listen: ':80'\napp: { command: x, hash_on: ip }\n", ":2:", "not supported yet", id="not built yet"),
    pytest.param("listen: ':80'\nroutes: [{ pool: app, compress: true }]\napp: x\n", ":2:", "not supported yet", id="a route key not built yet"),
    pytest.param("listen: ':80'\nstatic: x\napp: x\n", ":2:1: error", "", id="an unknown section"),
    pytest.param("listen: ':80'\npools: { a: { command: x, endpoints: ['127.0.0.1:1'] } }\n", ":2:", "", id="managed and external"),
    pytest.param("listen: ':80'\npools: { a: { workers: 2 } }\n", ":2:", "", id="neither"),
    pytest.param("listen: ':80'\napp: gunicorn -w 4 app:app\n", ":2:", "workers", id="gunicorn -w 4"),
    pytest.param("listen: ':80'\napp: uvicorn --port 8000 main:app\n", ":2:", "--port", id="uvicorn --port"),
    pytest.param("listen: ':80'\napp: uvicorn --reload main:app\n", ":2:", "--reload", id="uvicorn --reload"),
    pytest.param("listen: ':99999'\napp: x\n", ":1:", "", id="a port beyond 65535"),
    pytest.param("listen: ':80'\nclient_ip: { trusted_proxies: [10.0.0.0/33] }\napp: x\n", ":2:", "", id="a bad network"),
    pytest.param("listen: ':80'\napp: x\n---\nlisten: ':81'\n", ":3:", "", id="two documents"),
    pytest.param("", "", "", id="an empty file"),
    pytest.param("listen: ':443'\ntls: { cert: no.pem, key: no.key }\napp: x\n", ":2:", "no.pem", id="a certificate that is not there"),
])
def test_a_broken_file_is_refused_at_its_place(file, text, place, words):
    for arguments in (("check", "-c", file(text)), ("-c", file(text))):
        done = run(*arguments)
        said = done.stdout + done.stderr
        assert done.returncode == 3, said
        assert place in said and words in said, said


def test_a_broken_file_starts_nothing(file):
    port = free_port()
    done = run("-c", file(minimal(http=port) + "nonsense: 1\n"))
    assert done.returncode == 3
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))


def test_a_missing_file_says_what_was_looked_for(tmp_path):
    done = run("-c", tmp_path / "nowhere.yaml")
    assert done.returncode in (2, 3) and "nowhere.yaml" in done.stderr


def test_a_key_that_does_not_fit_is_refused(file, make_certificate):
    one, other = make_certificate("localhost"), make_certificate("localhost")
    text = minimal() + f"tls: {{ cert: {one.cert}, key: {other.key} }}\n"
    done = run("check", "-c", file(text))
    assert done.returncode == 3 and "key" in done.stdout + done.stderr


def test_a_variable_without_a_value_is_named(file):
    done = run("check", "-c", file(minimal().replace("pools:", "x-note: ${NO_SUCH_THING:?say it in the environment}\npools:")))
    assert done.returncode in (0, 3)  # x- keys are ignored; what counts is a used one:
    done = run("check", "-c", file(minimal() + "logging: { level: \"${NO_SUCH_THING:?say it in the environment}\" }\n"))
    assert done.returncode == 3 and "say it in the environment" in done.stdout + done.stderr


def test_variables_are_expanded(file):
    text = minimal() + "logging: { level: \"${LEVEL:-warn}\" }\n"
    assert run("check", "-c", file(text)).returncode == 0
    assert run("check", "-c", file(text), env={"LEVEL": "loud"}).returncode == 3


@pytest.mark.parametrize("which", ["http", "metrics"])
def test_a_port_in_use_is_exit_4_and_names_who_has_it(file, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("-c", file(minimal(**{which: port})))
    assert done.returncode == 4, done.stderr
    assert str(port) in done.stderr and "in use" in done.stderr
    assert str(os.getpid()) in done.stderr, "the process that has the port is not named"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_missing_right_is_exit_4_and_names_the_remedy():
    """As nobody, on a port below 1024, without the right to it."""
    first_unprivileged = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read())
    if first_unprivileged <= 81:
        pytest.skip("every port is free for all on this machine")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        stack = Path(folder, "stack.yaml")
        stack.write_text(minimal(http=81))
        done = subprocess.run([edge_module.BINARY, "-c", stack], capture_output=True, text=True, timeout=30, user=65534, cwd="/",
                              group=65534, extra_groups=[], env={**edge_module.environment(), "XDG_RUNTIME_DIR": folder})
    assert done.returncode == 4, done.stderr
    assert "permission denied" in done.stderr.lower() and "cap_net_bind_service" in done.stderr.lower()


def test_a_second_one_on_the_same_runtime_dir_is_exit_4(start_edge):
    first = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    second = start_edge({"server": {"runtime_dir": str(first.folder / "run")},
                         "pools": {"app": {"command": "edgeproxy-demo-worker"}}}, wait="ends", exits=4)
    assert str(first.master) in second.log()


def test_the_start_is_told_in_a_few_lines(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}},
                       "logging": {"format": "console"}})
    edge.wait_log(r"\bready\b")
    text = edge.log()
    for word in ("edgeproxy ", str(edge.master), str(edge.ports["https"]), "app", "edgeproxy-demo-worker", "ready"):
        assert word in text, f"{word!r} is not in\n{text}"


def test_the_log_is_json_when_asked(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}}})
    lines = [json.loads(line) for line in edge.log().splitlines()]
    assert all({"ts", "level"} <= set(line) for line in lines)
    assert {line.get("worker") for line in lines} >= {"app-1", "app-2"}
