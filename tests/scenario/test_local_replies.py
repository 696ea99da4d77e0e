# SPDX-License-Identifier: Apache-2.0
"""Answers that edgeproxy writes itself: one shape, three formats, a request id. RFC 9457, RFC 9209 section 2.3."""
import json
import re

import pytest

from origin import unused_port
from wire import request


@pytest.fixture(scope="module")
def edge(start_shared_edge):
    """Nothing listens behind /app; every other path has no route."""
    return start_shared_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}"]}},
                              "routes": [{"path": "/app", "pool": "app"},
                                         {"path": "/gone", "respond": {"status": 410, "body": "gone\n"}},
                                         {"path": "/old", "redirect": "https://new.test{uri}"}]}, wait="live")


@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/app", 503)])
def test_a_browser_gets_a_page(edge, path, status):
    with edge.wire() as wire:
        got = wire.ask(request(path, fields=[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]))
    assert got.status in (status, 502) if status == 503 else got.status == status
    assert got.get("content-type").startswith("text/html")
    assert str(got.status) in got.body.decode() and got.get("x-request-id") in got.body.decode()
    assert "<script" not in got.body.decode()


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json", "application/json, text/plain;q=0.5"])
def test_a_program_gets_a_problem(edge, accept):
    with edge.wire() as wire:
        got = wire.ask(request("/nowhere", fields=[("Accept", accept)]))
    problem = json.loads(got.body)
    assert got.get("content-type").startswith("application/problem+json")
    assert problem["status"] == got.status == 404
    assert problem["title"] and problem["detail"] and problem["type"]
    assert got.get("x-request-id") in problem["instance"]


def test_the_problem_names_what_went_wrong(edge):
    with edge.wire() as wire:
        problem = json.loads(wire.ask(request("/app", fields=[("Accept", "application/json")])).body)
    assert problem["status"] in (502, 503) and re.fullmatch(r"[a-z_]+", problem["error"])


def test_a_shell_gets_text(edge):
    with edge.wire() as wire:
        got = wire.ask(request("/nowhere", fields=[("Accept", "text/plain")]))
    assert got.get("content-type").startswith("text/plain")
    assert "404" in got.body.decode() and got.get("x-request-id") in got.body.decode()


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>".replace("<", "%3C"), "/a'b", "/a&b"])
def test_nothing_of_the_request_is_reflected_raw(edge, path):
    with edge.wire() as wire:
        got = wire.ask(request(path, fields=[("Accept", "text/html"), ("User-Agent", "<b>")], host="app.test"))
    assert got.status == 404
    assert "<script>alert" not in got.body.decode() and "<b>" not in got.body.decode()


def test_the_connection_goes_on_after_a_404(edge):
    with edge.wire() as wire:
        for _ in range(3):
            assert wire.ask(request("/nowhere")).status == 404
        got = wire.ask(request("/nowhere", method="HEAD"), "HEAD")
        assert got.status == 404 and int(got.get("content-length")) > 0
        assert wire.ask(request("/gone")).body == b"gone\n"


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_a_bad_request_gets_the_same_care(edge, accept):
    with edge.wire() as wire:
        got = wire.ask(request("/nowhere", fields=[("Accept", accept), ("Content-Length", "1"), ("Content-Length", "1")]))
    assert got.status == 400 and got.get("x-request-id") and got.get("content-length") and got.get("date")


def test_respond_and_redirect_are_answered_without_an_endpoint(edge):
    with edge.wire() as wire:
        got = wire.ask(request("/gone"))
        assert (got.status, got.body) == (410, b"gone\n")
        got = wire.ask(request("/old/a?b=c"))
        assert (got.status, got.get("location")) == (308, "https://new.test/old/a?b=c")


def test_a_listener_that_redirects_keeps_host_and_target(start_edge):
    edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}"]}},
                       "listeners": {"http": {"redirect": "https"}}}, wait="live")
    with edge.wire() as wire:
        got = wire.ask(request("/a?b=c", host="app.test:8080"))
    assert got.status == 308
    assert re.fullmatch(rf"https://app\.test(:{edge.ports['https']}|:443)?/a\?b=c", got.get("location"))


def test_no_route_has_its_own_line_in_the_access_log(edge):
    with edge.wire() as wire:
        wire.ask(request("/nowhere/logged?token=geheim&a=1", fields=[("User-Agent", 'a"b\\c')]))
    line = edge.wait_access("/nowhere/logged")
    assert line["status"] == 404 and line["user_agent"] == 'a"b\\c'
    assert "geheim" not in json.dumps(line) and "a=1" in line["query"]
    assert edge.metric("edgeproxy_http_errors_total") >= 1
