# SPDX-License-Identifier: Apache-2.0
"""What operators look at: metrics that promtool accepts, health pages, an access log that programs can read."""
import json
import random
import re
import shutil
import subprocess
import time
import urllib.request

import pytest
from websockets.sync.client import connect

from edge import ROOT
from origin import unused_port
from procs import within
from wire import request

FAMILIES = """
edgeproxy_build_info edgeproxy_start_time_seconds edgeproxy_ready edgeproxy_config_info edgeproxy_connections
edgeproxy_connections_accepted_total edgeproxy_tls_handshakes_total edgeproxy_tls_handshake_duration_seconds
edgeproxy_tls_certificate_not_after_timestamp_seconds edgeproxy_http_requests_total edgeproxy_http_request_duration_seconds
edgeproxy_http_overhead_duration_seconds edgeproxy_http_requests_in_flight edgeproxy_http_request_bytes_total
edgeproxy_http_response_bytes_total edgeproxy_http_errors_total edgeproxy_websocket_tunnels edgeproxy_websocket_opened_total
edgeproxy_pool_endpoints edgeproxy_pool_queue_length edgeproxy_pool_queue_duration_seconds edgeproxy_pool_retries_total
edgeproxy_upstream_requests_total edgeproxy_upstream_errors_total edgeproxy_upstream_response_duration_seconds
edgeproxy_upstream_connect_duration_seconds edgeproxy_upstream_connections edgeproxy_upstream_connections_reused_total
edgeproxy_upstream_healthy edgeproxy_health_checks_total edgeproxy_worker_up edgeproxy_worker_start_time_seconds
edgeproxy_worker_resident_memory_bytes edgeproxy_worker_restarts_total edgeproxy_worker_start_duration_seconds
edgeproxy_worker_cpu_seconds_total edgeproxy_event_loop_delay_seconds edgeproxy_log_messages_dropped_total
process_cpu_seconds_total process_resident_memory_bytes process_open_fds process_max_fds process_start_time_seconds
""".split()
LABELS = {
    "edgeproxy_http_requests_total": {"route", "method", "code", "protocol"},
    "edgeproxy_http_request_duration_seconds_count": {"route", "code_class"},
    "edgeproxy_http_errors_total": {"route", "reason"},
    "edgeproxy_upstream_requests_total": {"pool", "endpoint", "code_class"},
    "edgeproxy_upstream_errors_total": {"pool", "endpoint", "reason"},
    "edgeproxy_tls_handshakes_total": {"listener", "version", "resumed", "result"},
    "edgeproxy_worker_restarts_total": {"pool", "worker", "reason"},
    "edgeproxy_pool_endpoints": {"pool", "state"},
    "edgeproxy_worker_up": {"pool", "worker"},
    "edgeproxy_connections": {"listener", "protocol", "state"},
    "edgeproxy_health_checks_total": {"pool", "endpoint", "result"},
}
LOG_KEYS = """ts request_id client_ip peer listener route protocol method scheme host path query status bytes_in bytes_out
duration_ms queue_ms upstream_ms overhead_ms pool endpoint attempts upstream_status referer user_agent""".split()


@pytest.fixture(scope="module")
def edge(start_shared_edge):
    """A run in which a little of everything has happened."""
    edge = start_shared_edge({
        "pools": {"app": {"command": "edgeproxy-demo-worker", "workers": 2, "health": {"path": "/healthz", "interval": "200ms"}},
                  "dead": {"endpoints": [f"127.0.0.1:{unused_port()}", f"127.0.0.1:{unused_port()}"], "required": False}},
        "routes": [{"name": "dead", "path": "/dead", "pool": "dead"}, {"name": "site", "pool": "app"}]})
    with edge.wire() as wire:
        for _ in range(10):
            assert wire.ask(request("/pid")).status == 200
        wire.ask(request("/dead"))
        wire.ask(request("/echo", method="POST", body=b"x" * 1000))
        wire.ask(request("/status/404"))
    for http2 in (False, True):
        assert edge.get("/", http2=http2).status_code == 200
    with connect(edge.url("/ws", "http").replace("http", "ws", 1)) as socket:
        socket.send("hello")
        socket.recv(timeout=5)
    with edge.wire() as wire:
        wire.ask(request("/crash", method="POST", body=b"x"))
    within(20, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2)
    return edge


def test_every_family_that_was_promised_is_there(edge):
    page = edge.admin("/metrics")[1]
    present = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    assert not set(FAMILIES) - present
    assert set(re.findall(r"^# HELP (\S+) \S", page, re.M)) >= present


@pytest.mark.parametrize("name", LABELS)
def test_its_labels_are_the_ones_that_were_promised(edge, name):
    found = {frozenset(label for label, _ in labels) for (key, labels) in edge.metrics() if key == name}
    assert found == {frozenset(LABELS[name])}


def test_promtool_has_no_remark(edge):
    tool = shutil.which("promtool") or str(ROOT / "build/tools/usr/bin/promtool")
    done = subprocess.run([tool, "check", "metrics"], input=edge.admin("/metrics")[1], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_page_is_the_text_format_and_sorted(edge):
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.ports['metrics']}/metrics", timeout=10) as got:
        assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = re.findall(r"^# TYPE (\S+)", edge.admin("/metrics")[1], re.M)
    assert names == sorted(names)


def test_numbers_add_up(edge):
    before = edge.metric("edgeproxy_http_requests_total", route="site", method="GET", code="200", protocol="http/1.1") or 0
    bytes_before = edge.metric("edgeproxy_http_response_bytes_total", route="site")
    handled = edge.metric("edgeproxy_upstream_requests_total", pool="app")
    with edge.wire() as wire:
        for _ in range(100):
            wire.ask(request("/bytes?n=1000"))
    assert edge.metric("edgeproxy_http_requests_total", route="site", method="GET", code="200", protocol="http/1.1") == before + 100
    assert edge.metric("edgeproxy_http_response_bytes_total", route="site") - bytes_before >= 100_000
    assert edge.metric("edgeproxy_upstream_requests_total", pool="app") == handled + 100
    assert edge.metric("edgeproxy_http_requests_in_flight", route="site") == 0
    assert edge.metric("edgeproxy_http_request_duration_seconds_count", route="site", code_class="2xx") >= 100


def test_no_client_can_add_a_series(edge):
    """Random paths, hosts and methods: the labels come from the configuration only."""
    rng = random.Random(7)

    def ask_at_random():
        for _ in range(10):
            with edge.wire() as wire:
                for _ in range(100):
                    word = "".join(rng.choices("abcdefghij", k=8))
                    answer = wire.ask(request(f"/{word}", method=rng.choice(["GET", word.upper()]), host=f"{word}.test"))
                    assert answer.status in (200, 404)

    with edge.wire() as wire:  # what these requests may add once: the method `other`, the codes 404 and 405
        for method in ("GET", "BREW", "TRACE"):
            wire.ask(request("/warm", method=method))
    ask_at_random()
    before = set(edge.metrics())
    ask_at_random()
    added = set(edge.metrics()) - before
    assert not added, sorted(added)


def test_a_certificate_has_its_end_in_the_metrics(edge):
    assert time.time() + 20 * 86400 < edge.metric("edgeproxy_tls_certificate_not_after_timestamp_seconds") < time.time() + 31 * 86400


def test_the_health_pages(edge):
    assert edge.status("/livez") == 200 and edge.status("/readyz") == 200
    assert edge.status("/no-such-page") == 404
    assert edge.admin("/readyz?verbose")[0] == 200


def test_what_is_not_ready_says_why(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "environment": {"DEMO_START_DELAY_MS": "2000"}}}},
                      wait="live")
    status, text = edge.admin("/readyz?verbose")
    assert status == 503 and "app" in text
    assert edge.metric("edgeproxy_ready") == 0
    within(20, lambda: edge.status("/readyz") == 200)
    assert edge.metric("edgeproxy_ready") == 1


def test_every_line_of_the_access_log_has_its_keys(edge):
    lines = edge.access()
    assert len(lines) > 10
    for line in lines:
        assert not set(LOG_KEYS) - set(line), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", line["ts"])
    dead = next(line for line in lines if line["path"] == "/dead")
    assert dead["error"] == "connection_refused" and dead["attempts"] >= 2 and dead["route"] == "dead"
    tls = next(line for line in lines if line["scheme"] == "https")
    assert "1.3" in json.dumps(tls["tls"])


@pytest.mark.parametrize("value", ['"', "\\", "\t", "\xe4\xf6", "\xff\xfe", "{}", "%0a%0d"])
def test_nothing_in_a_request_breaks_a_line(edge, value):
    path = "/odd/" + value.encode().hex()
    with edge.wire() as wire:
        wire.ask(request(path, fields=[("User-Agent", f"odd{value}odd"), ("Referer", value)]))
    line = edge.wait_access(path)  # parses every line, else fails
    assert re.fullmatch(r"odd.+odd", line["user_agent"])


def test_the_console_format_is_a_line_for_people(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}},
                       "logging": {"access": {"format": "console"}}})
    with edge.wire() as wire:
        wire.ask(request("/pid"))
    text = within(10, lambda: (edge.folder / "stdout").read_text())
    assert re.search(r"GET +/pid +200 +[\d.]+ ?ms .*app-1.*127\.0\.0\.1", text), text


def test_the_combined_format_is_nginx_s(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}},
                       "logging": {"access": {"format": "combined"}}})
    with edge.wire() as wire:
        wire.ask(request("/pid?a=b", fields=[("User-Agent", "mark"), ("Referer", "https://a.test/")]))
    text = within(10, lambda: (edge.folder / "stdout").read_text())
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /pid\?a=b HTTP/1\.1" 200 \d+ '
                        r'"https://a\.test/" "mark"\n', text), text


def test_the_access_log_can_go_to_a_file(start_edge, tmp_path):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}},
                       "logging": {"access": {"output": str(tmp_path / "access.log")}}})
    with edge.wire() as wire:
        wire.ask(request("/pid"))
    line = json.loads(within(10, lambda: (tmp_path / "access.log").read_text()))
    assert line["path"] == "/pid" and not edge.access()
