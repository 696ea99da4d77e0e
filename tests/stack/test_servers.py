# SPDX-License-Identifier: Apache-2.0
"""Every server that edgeproxy knows, as its users start it, through every door: what the application sees is the truth, and
what the client gets is the application's answer."""
import asyncio
import json
import re
import subprocess
import threading
import time
import zlib

import pytest
from websockets.asyncio.client import connect

from procs import descendants, within
from servers import by_name
from wire import request

BODY = bytes(i % 251 for i in range(251 * 20_000))


@pytest.fixture(scope="module", params=by_name())
def served(request, start_shared_edge):
    """(server, edge): one edgeproxy with two workers for all tests of a server."""
    edge = start_shared_edge({"pools": {"app": request.param.pool()}})
    within(60, lambda: edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2, "two ready workers")
    return request.param, edge


def test_it_answers_over_plain_http(served):
    _, edge = served
    with edge.wire() as wire:
        for _ in range(5):
            assert wire.ask(request("/healthz")).status == 200


@pytest.mark.parametrize("http2, version", [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_it_answers_through_tls(served, http2, version):
    _, edge = served
    with edge.client(http2) as client:
        for _ in range(5):
            got = client.get(edge.url("/"))
            assert (got.status_code, got.http_version) == (200, version)


def test_curl_speaks_http2_with_it(served):
    _, edge = served
    done = subprocess.run(["curl", "-sS", "--http2", "--cacert", edge.certificate.ca, "-w", "\n%{http_version} %{http_code}",
                           edge.url("/pid")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    pid, *_, version = done.stdout.split("\n")  # some answers end in a line end of their own
    assert version == "2 200" and int(pid) in all_pids(edge)


def all_pids(edge):
    """Worker processes and, for gunicorn, the processes below its arbiter."""
    return {pid for worker in edge.workers() for pid in [worker, *descendants(worker)]}


@pytest.mark.parametrize("listener, scheme", [("https", "https"), ("http", "http")])
@pytest.mark.parametrize("http2", [False, True])
def test_the_application_sees_the_scheme_and_the_client(served, listener, scheme, http2):
    server, edge = served
    if http2 and listener == "http":
        return  # plain HTTP/2 is not spoken
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
    got = edge.get("/headers" if server.demo() else "/whoami", listener, http2, headers=forged).json()
    sent = {name.lower(): value for name, value in got["headers"]}
    assert (sent["x-forwarded-proto"], sent["x-forwarded-for"]) == (scheme, "127.0.0.1")
    assert "6.6.6.6" not in json.dumps(got)
    if server.identity and not server.demo():
        assert (got["scheme"], got["client"]) == (scheme, "127.0.0.1")
        assert got["url"].startswith(f"{scheme}://localhost:{edge.ports[listener]}/whoami")


def test_it_takes_turns_over_both_workers(served):
    """Eight slow requests at once are spread over two workers."""
    server, edge = served
    seen = []

    def ask():
        with edge.wire() as wire:
            seen.append(int(re.search(rb"(\d+)\D*$", wire.ask(request("/slow?ms=150")).body)[1]))
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8 and len(set(seen)) == 2, seen


@pytest.mark.parametrize("http2", [False, True])
def test_an_upload_arrives_whole(served, http2):
    server, edge = served
    with edge.client(http2) as client:
        got = client.post(edge.url("/upload"), content=BODY).json()
        assert (got["bytes"], got["crc32"]) == (len(BODY), zlib.crc32(BODY))
        if server.chunked:
            pieces = (BODY[i:i + 100_000] for i in range(0, len(BODY), 100_000))
            got = client.post(edge.url("/upload"), content=pieces).json()
            assert (got["bytes"], got["crc32"]) == (len(BODY), zlib.crc32(BODY))


def test_events_arrive_one_by_one(served):
    """The first event is here before the third is made, which is a second later."""
    _, edge = served
    for http2 in (False, True):
        with edge.client(http2) as client, client.stream("GET", edge.url("/stream?n=3&ms=500")) as got:
            assert got.status_code == 200 and got.headers["content-type"].startswith("text/event-stream")
            begun, moments, text = time.monotonic(), [], ""
            for piece in got.iter_text():
                text += piece
                moments += [time.monotonic() - begun] * (text.count("\n\n") - len(moments))
        assert text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert moments[2] > moments[0] + 0.25, moments


async def talk(url, **options):
    async with connect(url, **options) as socket:
        for message in ("hello", b"\0\1\2", "x" * 70_000):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 10) == message


def test_websocket_where_the_application_can(served):
    server, edge = served
    with edge.wire() as wire:
        if not server.websocket:
            assert wire.ask(request("/ws")).status == 404
            return
    for name in ("http", "https"):
        asyncio.run(talk(edge.url("/ws", name).replace("http", "ws", 1), **({"ssl": edge.context()} if name == "https" else {})))


def test_a_request_leaves_its_line_in_the_log(served):
    server, edge = served
    with edge.wire() as wire:
        got = wire.ask(request("/healthz?mark=" + server.name, fields=[("User-Agent", "mark"), ("Referer", "https://a.test/")]))
    line = within(10, lambda: next((line for line in edge.access() if line["query"] and server.name in line["query"]), None))
    assert (line["status"], line["method"], line["path"], line["scheme"]) == (200, "GET", "/healthz", "http")
    assert (line["pool"], line["attempts"], line["upstream_status"]) == ("app", 1, 200)
    assert re.fullmatch(r"app-[12]", line["endpoint"])
    assert line["request_id"] == got.get("x-request-id") and line["client_ip"] == "127.0.0.1"
    assert line["duration_ms"] >= line["upstream_ms"] > 0 and line["queue_ms"] >= 0
    assert (line["user_agent"], line["referer"]) == ("mark", "https://a.test/")


def test_the_workers_show_in_the_metrics(served):
    _, edge = served
    for worker in ("app-1", "app-2"):
        assert edge.metric("edgeproxy_worker_up", pool="app", worker=worker) == 1
        assert edge.metric("edgeproxy_upstream_healthy", pool="app", endpoint=worker) == 1
        assert edge.metric("edgeproxy_worker_resident_memory_bytes", pool="app", worker=worker) > 500_000
    assert edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == 2
    assert not edge.metric("edgeproxy_worker_restarts_total", pool="app")


def test_nobody_was_restarted_meanwhile(served):
    _, edge = served
    assert not re.search(r'"event": ?"worker_exit"', edge.log())
