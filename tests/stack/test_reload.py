# SPDX-License-Identifier: Apache-2.0
"""Another configuration in the running program: taken over whole, or not at all, and nobody notices."""
import os
import re
import signal
import socket
import threading
import time

import httpx
import pytest
from websockets.sync.client import connect

import procs
from edge import SANITIZED, free_port
from load import Load
from origin import answer
from procs import within
from wire import Wire, request

DEMO = {"command": "edgeproxy-demo-worker", "workers": 2, "health": "/healthz"}
STACK = {"pools": {"app": DEMO}, "routes": [{"name": "all", "pool": "app"}]}


def fixed(path, body):
    return {"name": f"fixed{path.replace('/', '-')}", "path": path, "respond": {"status": 200, "body": body}}


def routes(*more):
    return {"routes": [*more, {"name": "all", "pool": "app"}]}


def reload(edge, over, *arguments):
    edge.rewrite(over)
    return edge.command("reload", *arguments)


@pytest.fixture
def edge(start_edge):
    return start_edge(STACK)


def test_a_route_is_added_and_taken_away_while_a_connection_stays(edge):
    wire = edge.wire()
    assert wire.ask(request("/extra")).status == 404
    workers, proxy = edge.workers(), edge.proxy
    done = reload(edge, routes(fixed("/extra", "here")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ routes.fixed-extra" in done.stdout and "reloaded in" in done.stderr
    assert wire.ask(request("/extra")).body == b"here"
    assert reload(edge, {}).returncode == 0
    assert wire.ask(request("/extra")).status == 404
    assert (edge.workers(), edge.proxy) == (workers, proxy), "nobody was to be replaced"
    assert edge.metric("edgeproxy_config_reloads_total", result="ok") == 2
    assert edge.metric("edgeproxy_config_last_reload_successful") == 1
    wire.close()


def test_a_dry_run_prints_the_difference_and_changes_nothing(edge):
    done = reload(edge, {"pools": {"app": {"workers": 3}}, "server": {"threads": 7}}, "--dry-run")
    assert done.returncode == 0
    assert re.search(r"~ pools\.app\.workers +2 -> 3", done.stdout)
    assert re.search(r"! server\.threads +\d+ -> 7 +needs a restart, kept", done.stdout)
    assert len(edge.workers()) == 2 and edge.metric("edgeproxy_config_reloads_total", result="ok") == 0
    assert "nothing differs" in reload(edge, {}, "--dry-run").stdout


def test_a_broken_file_is_refused_with_its_place_and_nothing_changes(edge):
    text = edge.rewrite()
    edge.stack.write_text(text.replace("pool: app", "poool: app"))
    done = edge.command("reload")
    assert done.returncode == 7
    assert re.search(rf"{re.escape(str(edge.stack))}:\d+:\d+: error: unknown key", done.stderr), done.stderr
    assert "nothing has changed; configuration number 1 serves" in done.stderr
    edge.stack.write_text(text + "\nlisten: [")
    assert edge.command("reload").returncode == 7, "the socket is found although the file cannot be read"
    edge.rewrite()
    assert edge.get("/pid").status_code == 200
    edge.wait_log("reload_refused")
    assert edge.metric("edgeproxy_config_reloads_total", result="refused") == 2
    assert edge.metric("edgeproxy_config_last_reload_successful") == 0
    assert "last reload failed" in edge.command("status").stdout
    assert edge.command("reload").returncode == 0
    assert edge.metric("edgeproxy_config_last_reload_successful") == 1


def test_an_address_that_is_taken_or_a_key_that_does_not_fit_refuses_the_whole(edge, certificate, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = reload(edge, {"listeners": {"more": {"address": f"127.0.0.1:{port}"}}, **routes(fixed("/new", "x"))})
        assert done.returncode == 7 and f"cannot listen on 127.0.0.1:{port}" in done.stderr
    key = tmp_path / "other.key"
    os.system(f"openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key} 2>/dev/null")
    done = reload(edge, {"tls": {"key": str(key)}, **routes(fixed("/new", "x"))})
    assert done.returncode == 7 and "certificate" in done.stderr
    assert edge.get("/new").status_code == 404
    assert edge.metric("edgeproxy_config_reloads_total", result="refused") == 2


def test_a_listener_comes_and_goes(edge):
    port = free_port()
    done = reload(edge, {"listeners": {"more": {"address": f"127.0.0.1:{port}"}}})
    assert done.returncode == 0, done.stderr
    kept = httpx.Client(trust_env=False)
    assert kept.get(f"http://127.0.0.1:{port}/pid").status_code == 200
    assert reload(edge, {}).returncode == 0
    edge.wait_log("listener_closed")
    def refused():
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) != 0
    within(10, refused, "the end of the listener")
    kept.close()
    assert edge.get("/pid").status_code == 200
    assert reload(edge, {"listeners": {"more": {"address": f"127.0.0.1:{port}"}}}).returncode == 0
    assert httpx.get(f"http://127.0.0.1:{port}/pid", trust_env=False).status_code == 200


def test_a_websocket_and_an_http2_session_outlive_a_reload_and_sessions_are_resumed_after_it(edge):
    with connect(edge.url("/ws", "http").replace("http", "ws", 1), compression=None) as tunnel, edge.client(http2=True) as client:
        tunnel.send("before")
        assert tunnel.recv(timeout=10) == "before"
        assert client.get(edge.url("/pid")).http_version == "HTTP/2"
        context = edge.context(("http/1.1",))
        with Wire(edge.address("https"), context=context) as wire:
            assert wire.ask(request("/pid")).status == 200
            session = wire.socket.session
        accepted = edge.metric("edgeproxy_connections_accepted_total", listener="https")
        counted = edge.metric("edgeproxy_http_requests_total", route="all")
        for number in range(3):
            assert reload(edge, routes(fixed(f"/n{number}", str(number)))).returncode == 0
            assert client.get(edge.url(f"/n{number}")).text == str(number)
        tunnel.send("after")
        assert tunnel.recv(timeout=10) == "after"
        assert edge.metric("edgeproxy_connections_accepted_total", listener="https") == accepted, "one HTTP/2 connection"
        assert edge.metric("edgeproxy_http_requests_total", route="all") >= counted
        with socket.create_connection(edge.address("https")) as plain, context.wrap_socket(
                plain, server_hostname="localhost", session=session) as again:
            again.sendall(request("/pid"))
            assert b"200" in again.recv(100)
            assert again.session_reused


def test_a_request_under_way_ends_as_it_began(edge):
    answers = []
    slow = threading.Thread(target=lambda: answers.append(edge.get("/slow?ms=1500")))
    slow.start()
    within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight", route="all") == 1)
    assert reload(edge, {"routes": [fixed("/", "all is different")]}).returncode == 0
    assert edge.get("/pid").text == "all is different"
    slow.join()
    assert answers[0].status_code == 200 and answers[0].text != "all is different"


def test_pools_are_scaled_rolled_added_and_removed_as_they_differ(start_edge):
    edge = start_edge({"pools": {"app": DEMO, "other": {**DEMO, "workers": 1}}, "routes": [
        {"name": "other", "path": "/other", "strip_prefix": "/other", "pool": "other"}, {"name": "all", "pool": "app"}]})
    other = {int(edge.get("/other/pid").text)}
    app = set(edge.workers()) - other
    assert reload(edge, {"pools": {"app": {"workers": 3}}}).returncode == 0
    within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 3)
    assert app | other < set(edge.workers()), "those that were there stay"
    done = reload(edge, {"pools": {"app": {"workers": 3, "environment": {"COLOUR": "red"}}}})
    assert done.returncode == 0 and "pool app: 3 workers replaced" in done.stderr
    assert "COLOUR" in done.stdout and "red" not in done.stdout
    assert not app & set(edge.workers()) and other < set(edge.workers())
    assert edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="reload") == 3
    changed = {"pools": {"other": None, "third": {**DEMO, "workers": 1}}, "routes": [
        {"name": "third", "path": "/third", "strip_prefix": "/third", "pool": "third"}, {"name": "all", "pool": "app"}]}
    done = reload(edge, changed)
    assert done.returncode == 0 and "+ pools.third" in done.stdout and "- pools.other" in done.stdout
    within(20, lambda: edge.get("/third/pid").status_code == 200)
    within(20, lambda: not other & set(edge.workers()))
    assert edge.get("/other/pid").status_code == 404
    assert "pool other" not in edge.command("status").stdout


def test_the_verdict_waits_for_a_pool_that_is_new(edge):
    """And tells which one does not start; what serves goes on, and once it is mended it comes up."""
    slow = {**DEMO, "environment": {"DEMO_START_DELAY_MS": "400"}}
    third = {"name": "third", "path": "/third", "strip_prefix": "/third", "pool": "third"}
    done = reload(edge, {"pools": {"third": slow}, "routes": [third, {"name": "all", "pool": "app"}]})
    assert done.returncode == 0 and "pool third: 2 workers started" in done.stderr, done.stderr
    assert "pool third: ok, 2 of 2 workers ready" in edge.command("status").stdout
    broken = {**DEMO, "command": ["sh", "-c", "echo the reason is here >&2; exit 3"]}
    done = reload(edge, {"pools": {"third": slow, "fourth": broken}})
    assert done.returncode == 7, done.stderr
    assert "configuration number 3 serves, but pool fourth does not start" in done.stderr
    assert "    | the reason is here" in done.stderr and "exit 3" in done.stderr
    assert edge.get("/pid").status_code == 200
    assert edge.metric("edgeproxy_config_reloads_total", result="failed") == 1
    assert "last reload failed: pool fourth" in edge.command("status").stdout
    done = reload(edge, {"pools": {"third": slow, "fourth": DEMO}})
    assert done.returncode == 0 and "pool fourth: 2 workers replaced" in done.stderr, done.stderr


def test_workers_that_did_not_start_are_tried_by_every_next_reload(edge, tmp_path):
    """Also when the application was mended and not the file; until then everybody is told."""
    before, mended = edge.workers(), tmp_path / "mended"
    command = f"[ -e {mended} ] || exit 3; exec edgeproxy-demo-worker"
    over = {"pools": {"app": {"command": ["sh", "-c", command]}}}
    for _ in range(2):
        done = reload(edge, over)
        assert done.returncode == 7 and "not all workers were replaced" in done.stderr, done.stderr
        assert "last reload failed: pool app: the new app-" in edge.command("status").stdout
        assert edge.metric("edgeproxy_config_last_reload_successful") == 0
        assert edge.workers() == before
    asked = edge.command("reload", "--dry-run")
    assert asked.returncode == 0 and "pool app: its workers are still to be replaced: the new app-" in asked.stdout
    mended.touch()
    done = edge.command("reload")
    assert done.returncode == 0 and "nothing differs" in done.stdout and "pool app: 2 workers replaced" in done.stderr
    assert not set(edge.workers()) & set(before)
    assert "last reload failed" not in edge.command("status").stdout
    now = edge.workers()
    assert edge.command("reload").returncode == 0 and edge.workers() == now, "once is enough"


def test_a_restart_by_hand_makes_up_for_a_reload_that_failed(edge, tmp_path):
    mended = tmp_path / "mended"
    over = {"pools": {"app": {"command": ["sh", "-c", f"[ -e {mended} ] || exit 3; exec edgeproxy-demo-worker"]}}}
    assert reload(edge, over).returncode == 7
    mended.touch()
    assert edge.command("restart", "app").returncode == 0
    assert "last reload failed" not in edge.command("status").stdout
    now = edge.workers()
    assert edge.command("reload").returncode == 0 and edge.workers() == now


def test_a_dry_run_of_a_broken_file_is_no_failed_reload(edge):
    edge.stack.write_text(edge.rewrite().replace("pool: app", "poool: app"))
    done = edge.command("reload", "--dry-run")
    assert done.returncode == 7 and "unknown key" in done.stderr and "would be refused" in done.stderr
    assert edge.metric("edgeproxy_config_reloads_total", result="refused") == 0
    assert edge.metric("edgeproxy_config_last_reload_successful") == 1
    assert "last reload failed" not in edge.command("status").stdout


def test_whoever_has_no_time_is_not_kept_waiting(edge):
    os.kill(edge.proxy, signal.SIGSTOP)
    edge.rewrite(routes(fixed("/extra", "here")))
    done = edge.command("reload", "--timeout", "300ms")
    assert done.returncode == 9 and "no verdict within 300ms; it goes on" in done.stderr, done.stderr
    os.kill(edge.proxy, signal.SIGCONT)
    within(20, lambda: edge.metric("edgeproxy_config_reloads_total", result="ok") == 1)
    assert edge.get("/extra").text == "here"
    assert edge.command("reload", "--timeout", "1m").returncode == 0


def test_a_number_of_workers_set_by_hand_ends_with_a_reload(edge):
    assert edge.command("scale", "app", "3").returncode == 0
    within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 3)
    assert edge.metric("edgeproxy_pool_workers_wanted", pool="app") == 3
    assert edge.metric("edgeproxy_pool_workers_pinned", pool="app") == 1
    assert "3 of 3 workers ready, as set by hand until the next reload" in edge.command("status").stdout
    assert reload(edge, {}).returncode == 0
    within(20, lambda: len(edge.workers()) == 2)
    within(20, lambda: edge.metric("edgeproxy_pool_workers_wanted", pool="app") == 2)
    assert edge.metric("edgeproxy_pool_workers_pinned", pool="app") == 0


def test_a_watch_on_files_comes_moves_and_goes_with_a_reload(edge, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()

    def save(folder):
        (folder / "page.html").write_text(str(time.monotonic_ns()))

    def replaced_since(before):
        return not before & set(edge.workers()) and edge.get("/pid").status_code == 200

    def watching(*folders):
        return edge.log().count("files_changed") == len(folders)
    assert reload(edge, {"pools": {"app": {"watch": ["*.html"], "working_dir": str(one)}}}).returncode == 0
    before = set(edge.workers())
    save(one)
    within(20, lambda: replaced_since(before), "new workers")
    assert reload(edge, {"pools": {"app": {"watch": ["*.html"], "working_dir": str(two)}}}).returncode == 0
    before = set(edge.workers())
    save(one)
    save(two)
    within(20, lambda: replaced_since(before), "new workers")
    assert watching(one, two), "the folder of before is nobody's business"
    assert reload(edge, {"pools": {"app": {"working_dir": str(two)}}}).returncode == 0
    before = set(edge.workers())
    save(two)
    assert reload(edge, {"pools": {"app": {"working_dir": str(two), "watch": ["*.css"]}}}).returncode == 0
    (two / "page.css").write_text("x")
    within(20, lambda: replaced_since(before), "new workers")
    assert watching(one, two, two), "a change is seen by those who asked for it"


def test_external_endpoints_change_in_place(start_edge, start_origin):
    first, second = (start_origin(lambda peer, name=name: serve(peer, name)) for name in (b"first", b"second"))
    edge = start_edge({"pools": {"far": {"endpoints": [first.address]}}})
    assert edge.get("/").content == b"first"
    assert reload(edge, {"pools": {"far": {"endpoints": [second.address]}}}).returncode == 0
    assert edge.get("/").content == b"second"


def serve(peer, body):
    while True:
        peer.request()
        peer.send(answer(body))


def test_hup_reads_the_file_and_replaces_every_worker(edge):
    before = set(edge.workers())
    edge.rewrite(routes(fixed("/extra", "here")))
    os.kill(edge.master, signal.SIGHUP)
    within(30, lambda: edge.metric("edgeproxy_config_reloads_total", result="ok") == 1)
    assert edge.get("/extra").text == "here"
    assert len(edge.workers()) == 2 and not before & set(edge.workers())


def test_a_reload_whose_workers_do_not_start_keeps_the_old_ones_and_says_why(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": {**DEMO, "environment": {"COLOUR": "blue"}}}})
    before = set(edge.workers())
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho the reason is here >&2\nexit 3\n")
    broken.chmod(0o755)
    done = reload(edge, {"pools": {"app": {"command": str(broken)}}})
    assert done.returncode == 7 and "the reason is here" in done.stderr, done.stdout + done.stderr
    assert "not all workers were replaced" in done.stderr
    assert before == set(edge.workers()) and edge.get("/pid").status_code == 200
    assert edge.metric("edgeproxy_config_reloads_total", result="failed") == 1


def test_reloads_that_come_together_are_done_one_after_the_other(edge):
    edge.rewrite(routes(fixed("/extra", "here")))
    done = []
    threads = [threading.Thread(target=lambda: done.append(edge.command("reload"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0] * 5, [one.stderr for one in done]
    assert 1 <= edge.metric("edgeproxy_config_reloads_total", result="ok") <= 5
    assert edge.get("/extra").text == "here"


def test_a_proxy_that_died_gets_the_configuration_that_was_committed_last(edge):
    assert reload(edge, routes(fixed("/extra", "here"))).returncode == 0
    edge.rewrite(routes(fixed("/never", "asked for")))
    proxy = edge.proxy
    os.kill(proxy, signal.SIGKILL)
    within(20, lambda: edge.proxy not in (None, proxy) and edge.status("/readyz") == 200)
    assert edge.get("/extra").text == "here" and edge.get("/never").status_code == 404
    proxy = edge.proxy
    os.kill(proxy, signal.SIGKILL)
    edge.wait_log(f"proxy process {proxy} ended")
    done = edge.command("reload")  # waits for the next one
    assert done.returncode == 0, done.stderr
    assert edge.get("/never").text == "asked for"


def test_a_proxy_that_dies_while_it_prepares_refuses_the_reload(edge):
    proxy, done = edge.proxy, []
    os.kill(proxy, signal.SIGSTOP)
    edge.rewrite(routes(fixed("/never", "asked for")))
    asking = threading.Thread(target=lambda: done.append(edge.command("reload")))
    asking.start()
    edge.wait_log("reload_checked")
    os.kill(proxy, signal.SIGKILL)
    asking.join()
    assert done[0].returncode == 7 and "the proxy process ended meanwhile" in done[0].stderr
    within(20, lambda: edge.proxy not in (None, proxy) and edge.status("/readyz") == 200)
    assert edge.get("/never").status_code == 404
    assert edge.metric("edgeproxy_config_reloads_total", result="refused") == 1


def test_logging_follows_a_reload(edge, tmp_path):
    access = tmp_path / "access.log"
    assert reload(edge, {"logging": {"access": {"output": str(access)}}}).returncode == 0
    edge.get("/slow?ms=0")
    within(10, lambda: access.exists() and "/slow" in access.read_text())
    assert reload(edge, {"logging": {"access": {"enabled": False}}, "metrics": {"path": "/numbers"}}).returncode == 0
    assert edge.status("/numbers") == 200 and edge.status("/metrics") == 404
    edge.get("/pid?silent")
    assert reload(edge, {}).returncode == 0
    edge.get("/pid?told")
    assert within(10, lambda: [line["query"] for line in edge.access() if line["path"] == "/pid"]) == ["told"]


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.skipif(
    not os.environ.get("EDGEPROXY_LONG_TESTS"), reason="set EDGEPROXY_LONG_TESTS"))])
@pytest.mark.deadline(3)
def test_reloads_under_load_lose_nothing_and_leave_nothing_behind(start_edge, count):
    # The rings of the access log, 2 MiB a lane, would be touched for the first time here and count as growth.
    edge = start_edge({**STACK, "logging": {"access": {"enabled": False}}})

    def once(number):
        edge.rewrite(routes(*(fixed(f"/r{i}", str(number)) for i in range(number % 3 + 1))))
        done = edge.command("reload")
        assert done.returncode == 0, done.stderr
        assert edge.get("/r0").text == str(number)
    with Load(edge, "/pid", clients=3) as plain, Load(edge, "/pid", clients=3, listener="https") as load:
        for number in range(40):  # until the heap has what it needs
            once(number)
        proxy, master = edge.proxy, edge.master
        memory = [procs.resident_bytes(pid) for pid in (proxy, master)]
        files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (proxy, master)]
        for number in range(count):
            begun = time.monotonic()
            once(number)
            time.sleep(max(0, 0.1 - (time.monotonic() - begun)))  # ten a second
        load.more(60)
    plain.assert_none_failed()
    load.assert_none_failed()
    assert edge.proxy == proxy, "one proxy process"
    grown = [procs.resident_bytes(pid) - before for pid, before in zip((proxy, master), memory)]
    if not SANITIZED:
        assert max(grown) < 1024 * 1024, f"memory grew by {grown}"
    more = [len(os.listdir(f"/proc/{pid}/fd")) - before for pid, before in zip((proxy, master), files)]
    assert max(more) <= 8, f"open descriptors grew by {more}"
