# SPDX-License-Identifier: Apache-2.0
"""The first route that fits decides, and no spelling of a path slips past it. RFC 3986 section 6.2.2."""
import threading

import pytest

from origin import Origin, answer
from procs import within
from wire import request


def named(name):
    def script(peer):
        while True:
            seen = peer.request()
            peer.send(answer(f"{name} {seen.target}".encode()))
    return script


@pytest.fixture(scope="module")
def edge(start_shared_edge):
    with Origin(named("web")) as web, Origin(named("api")) as api, Origin(named("admin")) as admin:
        yield start_shared_edge({
            "pools": {"web": {"endpoints": [web.address]}, "api": {"endpoints": [api.address]}, "admin": {"endpoints": [admin.address]}},
            "routes": [
                {"host": "api.app.test", "pool": "api"},
                {"host": "*.wild.test", "pool": "api"},
                {"path": "/admin", "pool": "admin"},
                {"path": "=/exact", "pool": "api"},
                {"path": "/a/*/b", "pool": "api"},
                {"path": "/deep/**", "pool": "api"},
                {"path": "/read", "method": ["GET", "HEAD"], "pool": "api"},
                {"path": ["/one", "/two"], "pool": "api"},
                {"path": "/v1", "pool": "api", "strip_prefix": "/v1"},
                {"path": "/plus", "pool": "api", "add_prefix": "/base"},
                {"pool": "web", "host": ["app.test", "localhost"]},
            ]})


@pytest.mark.parametrize("host, target, expected", [
    ("app.test", "/", "web /"),
    ("APP.TEST", "/", "web /"),
    ("app.test:8080", "/", "web /"),
    ("app.test.", "/", None),
    ("other.test", "/", 404),
    ("api.app.test", "/admin", "api /admin"),
    ("x.wild.test", "/", "api /"),
    ("x.y.wild.test", "/", "api /"),
    ("wild.test", "/", 404),
    ("app.test", "/admin", "admin /admin"),
    ("app.test", "/admin/", "admin /admin/"),
    ("app.test", "/admin/users?x", "admin /admin/users?x"),
    ("app.test", "/administrator", "web /administrator"),
    ("app.test", "/Admin", "web /Admin"),
    ("app.test", "/exact", "api /exact"),
    ("app.test", "/exact?a", "api /exact?a"),
    ("app.test", "/exact/more", "web /exact/more"),
    ("app.test", "/a/x/b", "api /a/x/b"),
    ("app.test", "/a/x/y/b", "web /a/x/y/b"),
    ("app.test", "/deep/x/y", "api /deep/x/y"),
    ("app.test", "/read", "api /read"),
    ("app.test", "/two/x", "api /two/x"),
    ("app.test", "/v1/users?a=b", "api /users?a=b"),
    ("app.test", "/v1", "api /"),
    ("app.test", "/plus/x", "api /base/plus/x"),
    ("app.test", "/x/../y", "web /x/../y"),
    ("app.test", "/%62", "web /%62"),
])
def test_the_first_fitting_route_takes_the_request(edge, host, target, expected):
    with edge.wire() as wire:
        got = wire.ask(request(target, host=host))
    if expected is None:
        assert got.status in (200, 404)  # a dot at the end may or may not name the same host; it must not break
    elif expected == 404:
        assert got.status == 404
    else:
        assert (got.status, got.body.decode()) == (200, expected)


def test_a_route_for_other_methods_is_not_taken(edge):
    with edge.wire() as wire:
        assert wire.ask(request("/read", method="DELETE")).body == b"web /read"


@pytest.mark.parametrize("target", ["/x/..%2fadmin", "/x%2f..%2fadmin", "/%2e%2e%2fadmin", "/x/..%5cadmin",
                                    "//admin", "/x//../admin", "/admin;/x", "/x/..;/admin", "/%2fadmin", "/x/%2e%2e/admin",
                                    "/x/%2E%2E/%61dmin", "/%61dmin", "/x/../admin", "/./admin", "/admin/..%2f..%2fadmin"])
def test_no_spelling_of_admin_reaches_another_pool(edge, target):
    """Either it goes to admin, or it is refused, or no usual reading of it is below /admin."""
    with edge.wire() as wire:
        got = wire.ask(request(target))
    assert got.status == 400 or got.body.startswith(b"admin "), f"{got.status} {got.body}"


def test_the_route_has_its_name_in_the_log(start_edge, start_origin):
    origin = start_origin(named("web"))
    edge = start_edge({"pools": {"web": {"endpoints": [origin.address]}}, "routes": [
        {"name": "quiet", "path": "/quiet", "pool": "web", "access_log": False}, {"name": "loud", "pool": "web"}]})
    with edge.wire() as wire:
        wire.ask(request("/quiet"))
        wire.ask(request("/loud"))
    assert edge.wait_access("/loud")["route"] == "loud"
    assert [line["path"] for line in edge.access()] == ["/loud"]
    assert edge.metric("edgeproxy_http_requests_total", route="quiet") == 1


def test_excluded_paths_are_not_logged(start_edge, start_origin):
    origin = start_origin(named("web"))
    edge = start_edge({"pools": {"web": {"endpoints": [origin.address]}}, "logging": {"access": {"exclude": ["/healthz"]}}})
    with edge.wire() as wire:
        for path in ("/healthz", "/healthz/deep", "/healthzz"):
            wire.ask(request(path))
    edge.wait_access("/healthzz")
    assert [line["path"] for line in edge.access()] == ["/healthzz"]


def test_round_robin_takes_turns_and_weights_count(start_edge, start_origin):
    first, second = start_origin(named("first")), start_origin(named("second"))
    edge = start_edge({"server": {"threads": 1}, "pools": {"web": {"balance": "round_robin", "endpoints": [
        {"address": first.address, "weight": 3, "name": "big"}, {"address": second.address, "name": "small"}]}}})
    with edge.wire() as wire:
        for i in range(40):
            wire.ask(request(f"/{i}"))
        assert edge.wait_access("/39")["endpoint"] in ("big", "small")
    assert (len(first.requests), len(second.requests)) == (30, 10)


def test_least_requests_avoids_the_busy_endpoint(start_edge, start_origin):

    release = threading.Event()

    def busy(peer):
        while True:
            seen = peer.request()
            if seen.target == "/held":
                release.wait(20)
            peer.send(answer(b"busy"))
    first, second = start_origin(busy), start_origin(busy)
    edge = start_edge({"pools": {"web": {"endpoints": [first.address, second.address]}}})
    held = edge.wire().send(request("/held"))

    within(10, lambda: len(first.requests) + len(second.requests) == 1)
    blocked, free = (first, second) if first.requests else (second, first)
    with edge.wire() as wire:
        for i in range(20):
            wire.ask(request(f"/{i}"))
    release.set()
    assert held.answer().status == 200
    held.close()
    assert (len(blocked.requests), len(free.requests)) == (1, 20)
