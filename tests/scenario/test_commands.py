# SPDX-License-Identifier: Apache-2.0
"""What people ask of a running edgeproxy, and what its control socket lets in."""
import json
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge import BINARY, environment, run
from origin import unused_port
from procs import within
from wire import request

DEMO = {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}
DONE, NOTE = 3, 1


@pytest.fixture
def edge(start_edge):
    return start_edge({"pools": {"app": DEMO, "far": {"endpoints": ["127.0.0.1:9"]}}, "routes": [{"pool": "app"}]})


def connect(edge):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(20)
    sock.connect(str(edge.folder / "run/control.sock"))
    return sock


def read_all(sock):
    """(kind, exit code, text) of every record until the end."""
    records = []
    while data := sock.recv(5000):
        assert len(data) <= 4096 and data[0] == 1
        records.append((data[1], data[2], data[3:].decode()))
    return records


def test_status_names_every_worker_for_people_and_for_programs(edge):
    within(20, lambda: "2 of 2 workers ready" in edge.command("status").stdout)  # one is enough to be ready
    text = edge.command("status")
    assert text.returncode == 0 and not text.stderr
    pids = set(map(int, re.findall(r"app-\d +ready +pid (\d+)", text.stdout)))
    assert pids == set(edge.workers())
    assert "pool app: ok, 2 of 2 workers ready" in text.stdout and "pool far: 1 endpoint\n  127.0.0.1:9" in text.stdout
    told = json.loads(edge.command("status", "--json").stdout)
    assert told["pid"] == edge.master and told["proxy_pid"] == edge.proxy and told["proxy_ready"] is True
    assert told["generation"] == 1 and told["config"] == str(edge.stack)
    app = next(pool for pool in told["pools"] if pool["name"] == "app")
    assert (app["state"], app["wanted"], app["ready"]) == ("ok", 2, 2)
    assert {worker["pid"] for worker in app["workers"]} == pids


def test_the_control_socket_is_for_its_owner_alone(edge):
    path = edge.folder / "run/control.sock"
    assert path.stat().st_mode & 0o777 == 0o600 and path.is_socket()
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)
    for folder in (edge.folder, edge.folder / "run"):
        folder.chmod(0o755)
    done = subprocess.run([BINARY, "status", "--control", path], preexec_fn=become_nobody, capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 7 and "only root and the user" in done.stderr
    path.chmod(0o666)  # the kernel still tells who asks
    done = subprocess.run([BINARY, "status", "--control", path], preexec_fn=become_nobody, capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 7 and "only root and the user" in done.stderr and not done.stdout
    within(10, lambda: edge.metric("edgeproxy_control_refused_total", reason="not_allowed") == 1)


@pytest.mark.parametrize("record", [b"", b"\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x02" + b"\0" * 14, b"\x01\x63" + b"\0" * 13,
                                    b"\x01" * 4096, b"x" * 9000])
def test_what_is_no_request_is_told_so_and_counted(edge, record):
    with connect(edge) as sock:
        sock.send(record)
        records = read_all(sock)
    if record:  # an empty record looks like the end
        assert records[-1][:2] == (DONE, 7) and records[0][0] == NOTE
        within(10, lambda: edge.metric("edgeproxy_control_refused_total", reason="malformed") == 1)
    assert edge.command("status").returncode == 0


def test_whoever_says_nothing_is_let_go_and_the_number_of_clients_is_bounded(edge):
    silent = [connect(edge) for _ in range(16)]
    with connect(edge) as one_more:
        note, done = read_all(one_more)
    assert note[0] == NOTE and "too many commands at once" in note[2] and done[:2] == (DONE, 7)
    for sock in silent:
        assert read_all(sock) == []  # after two seconds
        sock.close()
    assert edge.metric("edgeproxy_control_refused_total", reason="too_late") == 16
    assert edge.metric("edgeproxy_control_refused_total", reason="too_many") == 1
    assert edge.command("status").returncode == 0


@pytest.mark.parametrize("arguments, words", [
    (["restart", "web"], 'no pool "web"; pools: app, far'),
    (["scale", "web", "3"], 'no pool "web"'),
    (["restart", "app/app-9"], 'no worker "app-9" in pool app; there is app-1, app-2'),
    (["drain", "app/app-9"], 'no endpoint "app-9"'),
    (["undrain", "far/other"], 'no endpoint "other" in pool far; there is 127.0.0.1:9'),
    (["restart", "far"], "somebody else runs its endpoints"),
    (["scale", "far", "2"], "somebody else runs its endpoints"),
])
def test_what_is_not_there_is_refused_with_what_is(edge, arguments, words):
    done = edge.command(*arguments)
    assert done.returncode == 7 and words in done.stderr and not done.stdout


@pytest.mark.parametrize("arguments", [["restart"], ["scale", "app"], ["scale", "app", "0"], ["scale", "app", "x"],
                                       ["scale", "app/app-1", "2"], ["drain", "app"], ["drain", "/app-1"], ["status", "app"],
                                       ["status", "--now"], ["stop", "--json"], ["restart", "app", "--dry-run"],
                                       ["check", "--control", "x"]])
def test_a_command_that_makes_no_sense_is_exit_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_nobody_there_is_exit_6_with_what_to_do(tmp_path):
    done = run("status", "--control", tmp_path / "none.sock")
    assert done.returncode == 6 and "no running edgeproxy found at" in done.stderr and "edgeproxy -c FILE" in done.stderr
    stale = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(stale))
    assert run("reload", "--control", stale).returncode == 6


def test_stop_waits_until_everything_has_ended(start_edge):
    edge = start_edge({"pools": {"app": DEMO}})
    edge.look()
    done = edge.command("stop")
    assert done.returncode == 0
    assert edge.process.wait(20) == 0
    assert not (edge.folder / "run/control.sock").exists()
    assert edge.command("status").returncode == 6


def test_stop_now_ends_at_once(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1}}, "server": {"shutdown": {"delay": "20s"}}})
    edge.look()
    edge.expected_exit = 8
    assert edge.command("stop", "--now").returncode == 0
    assert edge.process.wait(15) == 8


def test_the_start_that_metrics_tell_is_the_masters(edge):
    started = edge.metric("edgeproxy_start_time_seconds")
    before = edge.proxy
    os.kill(before, signal.SIGKILL)
    within(20, lambda: edge.proxy not in (None, before) and edge.status("/readyz") == 200)
    within(20, lambda: edge.metric("process_start_time_seconds") is not None)
    assert edge.metric("edgeproxy_start_time_seconds") == started


def test_a_drained_endpoint_gets_nothing_new_until_it_is_undrained(edge):
    assert edge.command("drain", "app/app-1").returncode == 0
    within(10, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="draining") == 1)
    rested = json.loads(edge.command("status", "--json").stdout)["pools"][0]["workers"][0]["pid"]
    answers = {int(edge.get("/pid").text) for _ in range(12)}
    assert answers == set(edge.workers()) - {rested}
    assert edge.command("undrain", "app/app-1").returncode == 0
    within(20, lambda: int(edge.get("/pid").text) == rested)


def test_status_tells_who_is_drained(edge):
    within(20, lambda: "2 of 2 workers ready" in edge.command("status").stdout)
    assert edge.command("drain", "app/app-1").returncode == 0
    assert edge.command("drain", "far/127.0.0.1:9").returncode == 0
    within(20, lambda: "1 of 2 workers ready" in edge.command("status").stdout)
    text = edge.command("status").stdout
    assert "pool app: degraded" in text and re.search(r"app-1 +drained .* drained for \d+s", text), text
    assert re.search(r"127\.0\.0\.1:9  drained .* drained for \d+s", text)
    app, far = json.loads(edge.command("status", "--json").stdout)["pools"]
    assert (app["state"], app["ready"], app["workers"][0]["state"]) == ("degraded", 1, "drained")
    assert app["workers"][0]["since"] > 0 and (far["state"], far["endpoints"][0]["state"]) == ("down", "drained")
    assert edge.command("undrain", "app/app-1").returncode == 0
    assert "pool app: ok, 2 of 2 workers ready" in edge.command("status").stdout


def test_status_tells_which_endpoints_of_others_take_requests(start_edge, start_origin):
    """One that keeps refusing is ejected, one that fails its probes is unhealthy."""
    origin, refusing = start_origin(), f"127.0.0.1:{unused_port()}"
    edge = start_edge({"pools": {
        "app": {"endpoints": [refusing, origin.address], "balance": "round_robin", "outlier": {"failures": 3, "eject": "60s"}},
        "sick": {"endpoints": [{"address": refusing, "name": "api"}], "health": {"path": "/", "interval": "200ms"}}},
        "routes": [{"path": "/sick", "pool": "sick"}, {"pool": "app"}]}, wait="live")

    def told():
        return json.loads(edge.command("status", "--json").stdout)["pools"]

    within(20, lambda: told()[0]["state"] == "ok", "it is taken as ready before it fails")
    with edge.wire() as wire:
        for i in range(10):
            assert wire.ask(request(f"/{i}")).status == 200
    within(20, lambda: told()[0]["state"] == "degraded")
    app, sick = told()
    assert (app["ready"], app["wanted"]) == (1, 2)
    states = {endpoint["name"]: endpoint for endpoint in app["endpoints"]}
    assert states[refusing]["state"] == "ejected" and states[refusing]["since"] > 0
    assert states[origin.address]["state"] == "ready" and states[origin.address]["requests"] == 10
    assert sick["state"] == "down" and [e["state"] for e in sick["endpoints"]] == ["unhealthy"]
    text = edge.command("status").stdout
    assert "pool app: degraded, 1 of 2 endpoints ready\n" in text
    assert re.search(rf"  {refusing}  ejected  0 in flight  \d+ requests  ejected for \d+s\n", text), text
    assert re.search(rf"pool sick: down, 0 of 1 endpoint ready\n  api  {refusing}  unhealthy .*\n", text), text


def test_status_tells_that_a_worker_is_ejected(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "outlier": {"failures": 3, "eject": "60s"}, "retries": {"attempts": 1}}}})
    with edge.client() as client:
        within(30, lambda: client.get(edge.url("/status/503")) and "ejected" in edge.command("status").stdout)
    text = edge.command("status").stdout
    assert re.search(r"pool app: degraded, 1 of 2 workers ready\n", text)
    assert re.search(r"app-\d +ejected .* ejected for \d+s: requests to it failed\n", text), text


def test_status_tells_the_health_that_the_proxy_sees(start_edge):
    edge = start_edge({"pools": {"app": {**DEMO, "health": {"path": "/status/200", "interval": "200ms"}}}})
    within(20, lambda: "pool app: ok, 2 of 2 workers ready" in edge.command("status").stdout)
    for pid in edge.workers():
        os.kill(pid, signal.SIGSTOP)
    try:
        within(20, lambda: "pool app: degraded, 0 of 2 workers ready" in edge.command("status").stdout)
        within(20, lambda: len(re.findall(r"app-\d +unhealthy ", edge.command("status").stdout)) == 2)
        assert edge.status("/readyz") == 503
        told = json.loads(edge.command("status", "--json").stdout)["pools"][0]
        assert (told["state"], told["ready"]) == ("degraded", 0)
        assert all(worker["since"] > 0 and worker["why"] for worker in told["workers"])
    finally:
        for pid in edge.workers():
            os.kill(pid, signal.SIGCONT)
    within(20, lambda: "pool app: ok, 2 of 2 workers ready" in edge.command("status").stdout)


def test_a_request_that_outlives_the_drain_of_its_worker_is_told_so(start_edge):
    """It may have been done: nothing that invites a client or a balancer to send it again."""
    edge = start_edge({"pools": {"app": {**DEMO, "workers": 1, "drain_timeout": "1s"}}})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(edge.get, "/slow?ms=60000")
        within(20, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 1)
        assert edge.command("restart", "app").returncode == 0
        answer = slow.result()
    assert answer.status_code == 504 and "retry-after" not in answer.headers
    assert edge.wait_access("/slow")["error"] == "drain_timeout"


def test_a_pool_that_a_reload_adds_takes_nobody_out_while_it_starts(edge):
    edge.rewrite({"pools": {"late": {"command": ["sh", "-c", "sleep 1; exec edgeproxy-demo-worker"], "workers": 1, "health": "/healthz"}}})
    seen = []
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(edge.command, "reload")
        while not reload.done():
            seen.append(edge.status("/readyz"))
    assert reload.result().returncode == 0 and set(seen) == {200}
    assert edge.command("drain", "late/late-1").returncode == 0
    within(20, lambda: edge.status("/readyz") == 503, "once it was ready it counts")


def test_a_drain_ends_at_the_next_reload_and_only_at_one_that_is_taken(edge):
    assert edge.command("drain", "app/app-1").returncode == 0
    within(10, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="draining") == 1)
    good = edge.stack.read_text()
    edge.stack.write_text("nonsense: 1\n")
    assert edge.command("reload").returncode != 0
    edge.stack.write_text(good)
    assert edge.metric("edgeproxy_pool_endpoints", pool="app", state="draining") == 1
    assert edge.command("reload").returncode == 0
    within(10, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="draining") == 0)
