# SPDX-License-Identifier: Apache-2.0
"""What comes from behind is trusted no more than what comes from the front: a bad answer is a 502, a broken one is an abort,
and nothing of either reaches the next client. RFC 9112 sections 4, 6, 8; RFC 9110 section 15.6.3."""
import json
import subprocess
import threading

import httpx
import pytest

from origin import Origin, answer, pause, unused_port
from procs import within
from wire import Broken, chunk, request

OK = b"HTTP/1.1 200 OK\r\n"
GARBAGE = [
    ("no HTTP", b"hello, this is no HTTP\r\n\r\n"),
    ("HTTP/0.9", b"<html>hello</html>"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("no status", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a control byte in the reason", b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"),
    ("two lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("two equal lengths", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
    ("a bad length", OK + b"Content-Length: 2x\r\n\r\nab"),
    ("a negative length", OK + b"Content-Length: -1\r\n\r\n"),
    ("length and chunked", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("an unknown coding", OK + b"Transfer-Encoding: gzip\r\n\r\n"),
    ("NUL in a value", OK + b"A: b\0c\r\nContent-Length: 0\r\n\r\n"),
    ("a folded field", OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    ("a bare LF", OK + b"A: b\nContent-Length: 0\r\n\r\n"),
    ("a bare CR in a value", OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n"),
    ("a blank before the colon", OK + b"A : b\r\nContent-Length: 0\r\n\r\n"),
    ("an empty name", OK + b": b\r\nContent-Length: 0\r\n\r\n"),
    ("no colon", OK + b"A\r\nContent-Length: 0\r\n\r\n"),
    ("an unasked 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"),
    ("a storm of interim answers", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200 + OK + b"Content-Length: 0\r\n\r\n"),
    ("100 KB of fields", OK + b"".join(b"A%d: %s\r\n" % (i, b"b" * 1000) for i in range(100)) + b"\r\n"),
    ("300 fields", OK + b"".join(b"A%d: b\r\n" % i for i in range(300)) + b"Content-Length: 0\r\n\r\n"),
    ("a length with a leading zero", OK + b"Content-Length: 02\r\n\r\nab"),
    ("a list of lengths", OK + b"Content-Length: 2, 2\r\n\r\nab"),
    ("a length of 2^64 + 2", OK + b"Content-Length: 18446744073709551618\r\n\r\nab"),
    ("chunked twice", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked behind a vertical tab", OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("an empty line before it", b"\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ("two blanks before the status", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a lower-case version", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a bare LF behind the status line", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("DEL in a value", OK + b"A: b\x7fc\r\nContent-Length: 0\r\n\r\n"),
    ("ESC in the reason", b"HTTP/1.1 200 \x1b[31m\r\nContent-Length: 0\r\n\r\n"),
    ("an 8-bit name", OK + b"\xc4: b\r\nContent-Length: 0\r\n\r\n"),
    ("an interim answer of HTTP/1.0", b"HTTP/1.0 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ("an interim answer that is malformed", b"HTTP/1.1 103 Early Hints\r\nA : b\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ("a body behind an interim answer", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + OK + b"Content-Length: 0\r\n\r\n"),
    ("a TLS alert", bytes.fromhex("15030100020228")),
    ("an HTTP/2 preface", b"\0\0\x12\x04\0\0\0\0\0" + b"\0\x03\0\0\0\x64" * 3),
    ("an end within the head", OK + b"Content-Le"),
    ("an end before the head", b""),
]


# What the log and `edgeproxy_http_errors_total` call it.
WORDS = {"http_protocol_error", "http_response_incomplete", "connection_terminated"}


class Switch:
    """An origin whose /bad answer is chosen by each case; everything else gets its target back."""

    def __init__(self):
        self.bad = b""

    def __call__(self, peer):
        seen = peer.request()
        if seen.target == "/bad":
            return peer.send(self.bad)
        peer.send(answer(seen.target.encode()))
        return self(peer)


@pytest.fixture(scope="module")
def switch():
    return Switch()


@pytest.fixture(scope="module")
def edge(start_shared_edge, switch):
    with Origin(switch) as origin:
        yield start_shared_edge({"pools": {"app": {"endpoints": [origin.address], "outlier": False}}})


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in GARBAGE])
def test_garbage_from_the_origin_is_a_502_and_touches_nobody_else(edge, switch, bad):
    switch.bad = bad
    with edge.wire() as wire:
        got = wire.ask(request("/bad", fields=[("Accept", "application/json")]))
        assert got.status == 502 and json.loads(got.body)["error"] in WORDS
        assert b"A: b" not in got.body
        assert wire.ask(request("/next")).body == b"/next"


@pytest.mark.parametrize("bad", [pytest.param(OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 Smuggled\r\nContent-Length: 4\r\n\r\nevil",
                                              id="bytes behind a length"),
                                 pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                                              b"HTTP/1.1 200 Smuggled\r\nContent-Length: 4\r\n\r\nevil", id="bytes behind chunks")])
def test_bytes_behind_an_answer_reach_nobody(edge, switch, bad):
    switch.bad = bad
    with edge.wire() as wire:
        for _ in range(3):
            got = wire.ask(request("/bad"))
            assert got.status == 502 or got.body == b"hello"
            assert wire.ask(request("/next")).body == b"/next"


def test_an_answer_that_nobody_asked_for_reaches_nobody(start_edge, start_origin):
    """An origin talks on a kept connection between two requests: whoever comes next must not get that."""
    closed = []

    def script(peer):
        seen = peer.request()
        peer.send(answer(seen.target.encode()))
        if seen.target == "/talks":
            peer.send(answer(b"evil"))
            peer.wait_end()
            closed.append(True)
        script(peer)
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        for i in range(5):
            assert wire.ask(request("/talks")).body == b"/talks"
            within(10, lambda: len(closed) > i, "its connection to be closed")
            assert wire.ask(request(f"/{i}", method=("GET", "POST")[i % 2])).body == f"/{i}".encode()


@pytest.mark.parametrize("byte", [byte for byte in range(256) if byte < 32 or byte in (33, 126, 127, 128, 160, 255)])
def test_no_byte_of_an_answer_splits_it(edge, switch, byte):
    """Response splitting: what is no field value never reaches a client (RFC 9110 section 5.5)."""
    switch.bad = OK + b"X-Mine: a" + bytes([byte]) + b"Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok"
    with edge.wire() as wire:
        got = wire.ask(request("/bad"))
        assert not got.values("set-cookie")
        if byte == 9 or 33 <= byte != 127:
            assert got.get("x-mine") == "a" + chr(byte) + "Set-Cookie: evil=1"
        else:
            assert got.status == 502
        assert wire.ask(request("/next")).body == b"/next"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_early_answer_that_our_fields_do_not_fit_ends_its_upload(start_edge, start_origin, chunked):
    """As many fields as an answer may have, sent while a long body is stuck on its way to an origin that does not read."""
    over = threading.Event()

    def script(peer):
        if peer.head().method == "POST":
            pause(0.5)  # until nothing goes on any more
            peer.send(answer(b"x", fields=[(f"A{i}", "b") for i in range(199)]))
            over.wait(30)
        else:
            peer.send(answer(b"fine"))

    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address], "outlier": False}}})
    body = b"x" * (64 << 20)
    fields = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(len(body)))]
    with edge.wire() as wire:
        def upload():
            try:
                wire.send(request("/", method="POST", fields=fields) + (chunk(body) if chunked else body))
            except OSError:
                pass  # nobody wants the rest
        sender = threading.Thread(target=upload)
        sender.start()
        got = wire.answer()
        assert got.status == 502 and b"head_overflow" in got.body
        over.set()
    sender.join(30)
    assert not sender.is_alive()
    with edge.wire() as wire:
        assert wire.ask(request("/next")).body == b"fine"


BROKEN_OFF = [
    pytest.param(OK + b"Content-Length: 100\r\n\r\n" + b"x" * 50, id="within its length"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="between chunks"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", id="within a chunk"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", id="before the last line"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", id="by a bad chunk"),
]


@pytest.mark.parametrize("bad", BROKEN_OFF)
def test_an_answer_broken_off_is_never_a_clean_end(edge, switch, bad):
    switch.bad = bad
    with edge.wire() as wire:
        try:
            assert wire.ask(request("/bad")).status == 502  # allowed where nothing was sent on yet
        except Broken:
            pass
    with edge.tls_wire() as wire:
        try:
            assert wire.ask(request("/bad")).status == 502
        except Broken:
            pass


@pytest.mark.parametrize("bad", BROKEN_OFF)
def test_an_answer_broken_off_resets_the_stream_of_http2_and_only_it(edge, switch, bad):
    switch.bad = bad
    with edge.client(http2=True) as client:
        assert client.get(edge.url("/first")).http_version == "HTTP/2"
        with pytest.raises(httpx.RemoteProtocolError):
            assert client.get(edge.url("/bad")).status_code == 502
            raise httpx.RemoteProtocolError("502 is as good")
        assert client.get(edge.url("/next")).text == "/next"


def test_curl_reports_a_broken_download(edge, switch):
    switch.bad = OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000
    for version, code in (("--http1.1", (18, 56)), ("--http2", (92, 18, 56))):
        done = subprocess.run(["curl", "-s", version, "--cacert", edge.certificate.ca, "-o", "/dev/null", edge.url("/bad")])
        assert done.returncode in code


def test_a_broken_answer_has_its_word_in_log_and_metrics(edge, switch):
    switch.bad = OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"
    before = edge.metric("edgeproxy_upstream_errors_total", pool="app") or 0
    with edge.wire() as wire:
        wire.ask(request("/bad", fields=[("User-Agent", "logged")]))
    line = within(10, lambda: next((line for line in edge.access() if line.get("user_agent") == "logged"), None), "its line")
    assert line["status"] == 502 and line["error"]
    assert edge.metric("edgeproxy_upstream_errors_total", pool="app") > before


def test_a_refused_connection_goes_to_another_endpoint(start_edge, start_origin):
    origin = start_origin()
    edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}", origin.address],
                                         "balance": "round_robin", "outlier": False}}})
    with edge.wire() as wire:
        for i in range(20):
            assert wire.ask(request(f"/{i}", method="POST", body=b"x")).body == f"/{i}".encode()
    assert len(origin.requests) == 20
    lines = [edge.wait_access(f"/{i}") for i in range(20)]
    assert max(line["attempts"] for line in lines) == 2 and all(line["endpoint"] == origin.address for line in lines)
    assert edge.metric("edgeproxy_pool_retries_total", pool="app") >= 1


def test_an_endpoint_that_keeps_refusing_is_left_out(start_edge, start_origin):
    origin = start_origin()
    edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}", origin.address], "balance": "round_robin",
                                         "outlier": {"failures": 3, "window": "10s", "eject": "60s"}}}})
    with edge.wire() as wire:
        for i in range(10):
            assert wire.ask(request(f"/early/{i}")).status == 200
        edge.wait_log("endpoint_ejected")  # by another thread: some more may have gone there meanwhile
        for i in range(10):
            assert wire.ask(request(f"/later/{i}")).status == 200
    assert sum(edge.wait_access(f"/early/{i}")["attempts"] - 1 for i in range(10)) >= 3
    assert all(edge.wait_access(f"/later/{i}")["attempts"] == 1 for i in range(10))


def test_a_head_that_outgrows_our_buffer_is_no_fault_of_the_endpoint(start_edge, start_origin):
    origin = start_origin()
    edge = start_edge({"listeners": {"http": {"limits": {"header_size": "1MiB", "request_line": "64KiB"}}},
                       "pools": {"app": {"endpoints": [origin.address]}}})
    largest = 128 * 1024
    head = b"GET /large HTTP/1.1\r\nHost: a.test\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 4000) for i in range(32))
    head += b"X-Rest: %s\r\n\r\n" % (b"x" * (largest - len(head) - 12))
    assert len(head) == largest
    with edge.wire() as wire:
        assert wire.ask(head).status == 431
    assert not origin.requests and not edge.metric("edgeproxy_upstream_errors_total", pool="app")


def test_nobody_listening_is_a_named_error(start_edge):
    edge = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{unused_port()}"]}}}, wait="live")
    with edge.wire() as wire:
        got = wire.ask(request("/refused"))
    assert got.status in (502, 503)
    assert edge.wait_access("/refused")["error"] == "connection_refused"


def test_an_idle_connection_that_the_origin_closed_is_not_used(start_edge, start_origin):
    """Kept connections die behind our back: the next request must not."""
    closed = []

    def script(peer):
        seen = peer.request()
        peer.send(answer(seen.target.encode()))
        peer.socket.close()
        closed.append(seen.target)
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        for i in range(30):
            assert wire.ask(request(f"/{i}", method="POST" if i % 2 else "GET", body=b"x" if i % 2 else b"")).status == 200
            within(10, lambda: f"/{i}" in closed)  # the end is in the kernel before the next request is
    assert len(origin.requests) == 30


def test_a_get_is_sent_again_when_a_kept_connection_dies_under_it(start_edge, start_origin):
    def script(peer):
        seen = peer.request()
        peer.send(answer(seen.target.encode()))
        if peer.number == 1:
            peer.head()  # takes the second request on this connection and hangs up on it
            return
        script(peer)
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        assert wire.ask(request("/first")).body == b"/first"
        assert wire.ask(request("/second")).body == b"/second"
    assert edge.wait_access("/second")["attempts"] == 2


def test_a_post_is_never_sent_twice(start_edge, start_origin):
    def script(peer):
        seen = peer.request()
        if seen.target == "/second":
            return
        peer.send(answer(seen.target.encode()))
        script(peer)
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with edge.wire() as wire:
        assert wire.ask(request("/first")).body == b"/first"
        assert wire.ask(request("/second", method="POST", body=b"once")).status == 502
    assert [seen.target for seen in origin.requests] == ["/first", "/second"]


def test_unhealthy_by_probe_is_out_and_healthy_again_is_in(start_edge, start_origin):
    well = {"a": True}

    def script(peer):
        seen = peer.request()
        sick = seen.target == "/healthz" and not well["a"]
        peer.send(answer(seen.target.encode(), "503 Service Unavailable" if sick else "200 OK"))
        script(peer)
    first, second = start_origin(script), start_origin()
    edge = start_edge({"pools": {"app": {"endpoints": [first.address, second.address], "balance": "round_robin", "health": {
        "path": "/healthz", "interval": "100ms", "timeout": "1s", "unhealthy_after": 2, "healthy_after": 1}}}})

    within(10, lambda: edge.metric("edgeproxy_upstream_healthy", endpoint=first.address) == 1)
    well["a"] = False
    within(10, lambda: edge.metric("edgeproxy_upstream_healthy", endpoint=first.address) == 0)
    with edge.wire() as wire:
        for i in range(10):
            assert wire.ask(request(f"/out{i}")).status == 200
    assert not [seen for seen in first.requests if seen.target.startswith("/out")]
    well["a"] = True
    within(10, lambda: edge.metric("edgeproxy_upstream_healthy", endpoint=first.address) == 1)
    with edge.wire() as wire:
        for i in range(10):
            assert wire.ask(request(f"/in{i}")).status == 200
    assert [seen for seen in first.requests if seen.target.startswith("/in")]
