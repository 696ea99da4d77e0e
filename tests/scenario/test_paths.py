# SPDX-License-Identifier: Apache-2.0
"""A rule on a path holds for every spelling that an application would take for that path. The verdict is what the origin
saw: no spelling that any usual server reads as /admin gets past the rule on /admin. RFC 3986 section 6.2.2."""
import itertools
import posixpath
import re
from urllib.parse import unquote

import pytest

from origin import Origin, answer
from procs import within
from wire import request


def spellings():
    """More than two hundred ways to write /admin, or something that may be taken for it."""
    letters = ["/%61dmin", "/a%64min", "/%61%64%6d%69%6e", "/%61%64%6D%69%6E", "/admi%6e", "/%41dmin"]
    slashes = ["//admin", "///admin", "/%2fadmin", "/%2Fadmin", "/.//admin", "//./admin", "/%5cadmin", "/%5Cadmin"]
    ups = ["..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2E.", "..;", "..;a=b", "%2e%2e;", "..%3b"]
    seams = ["/", "%2f", "%2F", "%5c", "//", "/./", "/%2e/", "/;/", "%2f%2f"]
    for up, first, second in itertools.product(ups, seams, seams):
        yield f"/x{first}{up}{second}admin"
    for plain in [*letters, *slashes]:
        yield plain
    for tail in ["/", "//", "/.", "/..;/admin", ";", ";a=b", ";/x", "/;x", "/%2e", "/x/..", "%2f", "/%2e%2e/admin", "?", "?/../x", "/x/../../admin"]:
        yield "/admin" + tail
    for nested in ["/x/y/../../admin", "/x/y/%2e%2e/%2e%2e/admin", "/./././admin", "/x/..//admin", "/x/../%61dmin",
                   "/x/..%2f%61dmin", "/%2e%2e/admin", "/%2e/admin", "/../admin", "/..%2fadmin", "/..;/admin", "/;/admin",
                   "/;a/admin", "/x;/../admin", "/x;a=/../admin", "/%2e%2e%2f%2e%2e%2fadmin", "/x/..%252fadmin", "/%2561dmin",
                   "/%c0%afadmin", "/%e0%80%afadmin", "/%c0%ae%c0%ae/admin", "/x/%c0%ae%c0%ae/admin", "/admin%00", "/admin%0a",
                   "/admin%20", "/admin%09", "/%u0061dmin", "/adm%69n%2f..%2fadmin", "/x/.%00./admin"]:
        yield nested


SPELLINGS = list(dict.fromkeys(spellings()))


def readings(target):
    """What servers make of a target: decoded or not, slashes merged or not, parameters cut or not, dots resolved or not."""
    path = target.split("?")[0]
    decoded = unquote(path, "latin-1")
    for text in (path, decoded, decoded.replace("\\", "/")):
        for parameters in (text, re.sub(r";[^/]*", "", text)):
            for merged in (parameters, re.sub(r"/+", "/", parameters)):
                yield merged
                yield "/" + posixpath.normpath(merged).lstrip("/")


def is_admin(target):
    return any(path == "/admin" or path.startswith("/admin/") for path in readings(target))


def named(peer):
    seen = peer.request()
    peer.send(answer(seen.target.encode("latin-1")))
    named(peer)


@pytest.fixture(scope="module")
def open_and_closed(start_shared_edge):
    with Origin(named) as origin:
        yield start_shared_edge({"pools": {"app": {"endpoints": [origin.address]}}, "routes": [
            {"path": "/admin", "respond": {"status": 403, "body": "no\n"}}, {"pool": "app"}]}), origin


def test_no_spelling_gets_past_a_rule(open_and_closed):
    edge, origin = open_and_closed
    before = edge.metric("edgeproxy_http_errors_total", reason="ambiguous_target") or 0
    told = {}
    for target in SPELLINGS:
        with edge.wire() as wire:
            told[target] = wire.ask(request(target)).status
    assert len(SPELLINGS) > 200 and set(told.values()) == {200, 400, 403}
    past = [seen.target for seen in origin.requests if is_admin(seen.target)]
    assert not past, f"{len(past)} of {len(SPELLINGS)} got past: {past[:20]}"
    # The line above would hold as well if nothing got through at all.
    assert {seen.target for seen in origin.requests} == {target for target, status in told.items() if status == 200}
    assert edge.metric("edgeproxy_http_errors_total", reason="ambiguous_target") > before + 50


@pytest.mark.parametrize("target", ["/administrator", "/x/admin", "/Admin", "/%C3%A9t%C3%A9", "/a%2fb", "/a;b=c/d", "/a//b", "/a/../b",
                                    "/x?next=/admin", "/x?next=%2fadmin", "/admin%2e", "/%2561dmin", "/%252fadmin"])
def test_what_is_something_else_is_served_as_it_came(open_and_closed, target):
    edge, _ = open_and_closed
    with edge.wire() as wire:
        assert wire.ask(request(target)).body == target.encode()


def test_the_readings_of_this_test_are_those_of_real_servers():
    for target in ("/admin", "/admin/", "/%61dmin", "//admin", "/x/../admin", "/x/..%2fadmin", "/admin;a", "/x/..%5cadmin", "/..;/admin"):
        assert is_admin(target), target
    for target in ("/administrator", "/x", "/x?/admin", "/%2561dmin"):
        assert not is_admin(target), target


def test_names_and_paths_of_clients_make_no_series(open_and_closed):
    """Labels come from the configuration only: three hundred hosts, paths and methods leave /metrics as long as it was."""
    edge, _ = open_and_closed

    def series():
        return {key for key in edge.metrics() if key[0].startswith("edgeproxy_http")}
    with edge.wire() as wire:
        for method in ("GET", "BREW"):
            wire.ask(request("/first", method=method))
        before = series()
        wire.send(b"".join(request(f"/{i}/{i * 7}", method=("GET", "BREW", f"M{i}")[i % 3], host=f"host{i}.test") for i in range(300)))
        for _ in range(300):
            assert wire.answer().status == 200
    assert series() == before


LOGGED = [("/a%0d%0aforged", "plain"), ("/a%1b[31m", 'quote " and \\ backslash'), ("/b'\"<script>".replace("<", "%3C").replace('"', "%22"), "8-bit \xe4\xff\x80"),
          ("/c?x=%0a%0a{}&y=\"", "\tta\tb\t"), ("/d" + "e" * 4000, "x" * 6000), ("/%ff%fe", "{\"json\": true}"),
          ("/signed?token=s3cret&x=1", "plain")]


def test_what_a_client_writes_is_one_line_of_the_log(open_and_closed):
    """CVE-2009-4487: nothing that a client sends ends a line of the log, or steers the terminal that shows it."""
    edge, _ = open_and_closed
    with edge.wire() as wire:
        wire.ask(request("/before-these"))
    edge.wait_access("/before-these")  # what the tests before this one asked for is in the log, too
    have = len(edge.access())
    for target, agent in LOGGED:
        with edge.wire() as wire:
            wire.ask(request(target, fields=[("User-Agent", agent), ("Referer", agent)]))
    within(10, lambda: len(edge.access()) == have + len(LOGGED), "a line for each")  # each is read as JSON
    lines = edge.access()[have:]
    raw = (edge.folder / "stdout").read_bytes()
    assert not [byte for byte in raw if byte < 32 and byte != 10 or byte == 127]
    raw.decode("utf-8")
    assert lines[1]["user_agent"] == LOGGED[1][1]
    assert b"s3cret" not in raw and edge.wait_access("/signed")["query"] == "token=***&x=1"
    assert max(len(str(value)) for line in lines for value in line.values()) <= 2048 + 16
