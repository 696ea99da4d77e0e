# SPDX-License-Identifier: Apache-2.0
"""Messages pass as they are meant: framing on both legs, order, interim answers, early ends. RFC 9110 and 9112."""
import json
import threading
import time

import pytest

from http2 import Client
from origin import Origin, answer, answers, answers_then_closes, echoes_target
from procs import within
from wire import Broken, chunk, request


@pytest.fixture
def behind(start_edge, start_origin):
    """A function: an edgeproxy in front of an origin with that script."""
    def start(script=echoes_target, **stack):
        origin = start_origin(script)
        pool = {"endpoints": [origin.address], **stack.pop("pool", {})}
        return start_edge({"pools": {"app": pool}, **stack}), origin
    return start


@pytest.fixture
def waited_for(behind):
    """edgeproxy, an origin that takes one request and answers nothing, and what is set when its connection ends."""
    ended = threading.Event()

    def script(peer):
        peer.request()
        peer.wait_end()
        ended.set()
    return *behind(script), ended


def test_a_hundred_pipelined_requests_are_answered_in_order(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        wire.send(b"".join(request(f"/{i}") for i in range(100)))
        assert [wire.answer().body for _ in range(100)] == [f"/{i}".encode() for i in range(100)]
        assert wire.silent()
    assert [seen.target for seen in origin.requests] == [f"/{i}" for i in range(100)]


def test_a_bad_request_in_the_middle_of_a_hundred_ends_them_there(behind):
    """What came before it is answered in order; what follows it is never looked at."""
    edge, origin = behind()
    wants = [request(f"/{i}") for i in range(100)]
    wants[50] = request("/50", fields=[("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
    with edge.wire() as wire:
        wire.send(b"".join(wants))
        assert [wire.answer().body for _ in range(50)] == [f"/{i}".encode() for i in range(50)]
        assert wire.answer().status == 400
        assert wire.ended()
    assert [seen.target for seen in origin.requests] == [f"/{i}" for i in range(50)]
    assert edge.metric("edgeproxy_http_malformed_total", reason="both_lengths") == 1


def test_a_connection_is_kept_and_the_origin_s_too(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        for i in range(20):
            got = wire.ask(request(f"/{i}"))
            assert (got.status, got.body) == (200, f"/{i}".encode())
            assert got.get("connection", "").lower() != "close"
    assert origin.connections < 20


@pytest.mark.parametrize("fields, version, kept", [
    ([("Connection", "close")], "HTTP/1.1", False),
    ([], "HTTP/1.0", False),
    ([("Connection", "Close, X-Other")], "HTTP/1.1", False),
    ([], "HTTP/1.1", True),
])
def test_the_client_decides_whether_its_connection_is_kept(behind, fields, version, kept):
    edge, _ = behind()
    with edge.wire() as wire:
        got = wire.ask(request("/x", fields=fields, version=version))
        assert got.status == 200 and got.body == b"/x"
        if kept:
            assert wire.silent()
        else:
            assert got.get("connection", "").lower() == "close" or version == "HTTP/1.0"
            assert wire.ended()


def test_the_origin_s_close_does_not_close_the_client(behind):
    edge, origin = behind(answers_then_closes(answer(b"once", fields=[("Connection", "close")])))
    with edge.wire() as wire:
        for _ in range(3):
            got = wire.ask(request())
            assert (got.status, got.body) == (200, b"once")
            assert got.get("connection", "").lower() != "close"
    assert origin.connections == 3


@pytest.mark.parametrize("method, status, length", [("HEAD", "200 OK", 1234), ("GET", "304 Not Modified", 1234),
                                                    ("GET", "204 No Content", None)])
def test_answers_without_a_body_have_none(behind, method, status, length):
    fields = f"Content-Length: {length}\r\n" if length else ""
    edge, _ = behind(answers(f"HTTP/1.1 {status}\r\nETag: \"x\"\r\n{fields}\r\n".encode()))
    with edge.wire() as wire:
        for _ in range(2):  # the second shows that no byte of a body was left over
            got = wire.ask(request(method=method), method)
            assert str(got.status) == status[:3] and got.get("etag") == '"x"'
            if length:
                assert got.get("content-length") == str(length)
            else:
                assert got.get("content-length") is None and got.get("transfer-encoding") is None
        assert wire.silent()


@pytest.mark.parametrize("method, status", [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")])
def test_a_body_where_none_may_be_reaches_nobody(behind, method, status):
    """The next client must not get it as its answer."""
    def script(peer):
        seen = peer.request()
        if seen.target == "/bad":
            peer.send(f"HTTP/1.1 {status}\r\nContent-Length: 24\r\n\r\nHTTP/1.1 200 Smuggled\r\n\r\n")
        else:
            peer.send(answer(seen.target.encode()))
        script(peer)
    edge, _ = behind(script)
    with edge.wire() as wire:
        assert wire.ask(request("/bad", method=method), method).status in (int(status[:3]), 502)
        assert wire.ask(request("/next")).body == b"/next"


def test_a_chunked_request_arrives_whole_and_its_extensions_do_not(behind):
    edge, origin = behind()
    body = b"".join(chunk(bytes([65 + i]) * (i * 700 + 1), ";ext=1") for i in range(20))
    with edge.wire() as wire:
        got = wire.ask(request(method="POST", fields=[("Transfer-Encoding", "chunked")]) + body + b"0\r\n\r\n")
        assert got.status == 200
        assert wire.ask(request("/next")).body == b"/next"
    assert origin.requests[0].body == b"".join(bytes([65 + i]) * (i * 700 + 1) for i in range(20))
    assert b"ext" not in origin.requests[0].raw_head


def test_a_chunked_answer_arrives_whole_and_the_connection_is_kept(behind):
    body = b"".join(chunk(bytes([97 + i]) * (i * 900 + 1)) for i in range(20)) + b"0\r\n\r\n"
    edge, _ = behind(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    with edge.wire() as wire:
        for _ in range(2):
            got = wire.ask(request())
            assert got.body == b"".join(bytes([97 + i]) * (i * 900 + 1) for i in range(20))
            assert got.framing == "chunked"


def test_an_answer_that_ends_by_close_is_framed_for_the_client(behind):
    edge, _ = behind(answers_then_closes(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 100_000))
    with edge.wire() as wire:
        got = wire.ask(request())
        assert got.body == b"x" * 100_000 and got.framing == "chunked"
        assert wire.ask(request()).body == b"x" * 100_000


def test_a_chunked_answer_to_http_1_0_has_no_chunks(behind):
    edge, _ = behind(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    with edge.wire() as wire:
        got = wire.ask(request(version="HTTP/1.0"))
        assert (got.framing, got.body) == ("close", b"hello")


def test_trailers_of_an_answer_pass(behind):
    edge, _ = behind(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                             b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"))
    with edge.wire() as wire:
        got = wire.ask(request(fields=[("TE", "trailers"), ("Connection", "TE")]))
        assert got.body == b"hello" and got.trailers == [("X-Sum", "42")]


def test_trailers_of_a_request_pass_but_never_the_forbidden(behind):
    edge, origin = behind()
    trailers = b"X-Sum: 42\r\nContent-Length: 9\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\n\r\n"
    with edge.wire() as wire:
        got = wire.ask(request(method="POST", fields=[("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n0\r\n" + trailers)
    # Refusing such a message is as good as dropping what is forbidden in it; merging it would not be.
    if got.status == 200:
        seen = origin.requests[0]
        assert seen.trailers == [("X-Sum", "42")] and seen.body == b"hello"
        assert seen.values("host") == ["app.test"] and not seen.values("authorization") and not seen.values("x-sum")
    else:
        assert got.status == 400 and not origin.requests


def test_100_continue_is_passed_on_before_the_body_is_sent(behind):
    def script(peer):
        seen = peer.head()
        assert seen.get("expect").lower() == "100-continue"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(seen)
        peer.send(answer(seen.body))
    edge, _ = behind(script)
    with edge.wire() as wire:
        wire.send(request(method="POST", fields=[("Expect", "100-continue"), ("Content-Length", "5")]))
        assert wire.head().status == 100
        assert wire.send(b"hello").answer().body == b"hello"


def test_an_answer_instead_of_100_continue_is_final(behind):
    def script(peer):
        peer.head()
        peer.send(answer(b"no", status="403 Forbidden", fields=[("Connection", "close")]))
        peer.wait_end()
    edge, origin = behind(script)
    with edge.wire() as wire:
        got = wire.ask(request(method="POST", fields=[("Expect", "100-continue"), ("Content-Length", "1000000")]))
        assert (got.status, got.interim, got.body) == (403, [], b"no")


def test_interim_answers_pass_in_their_place(behind):
    edge, _ = behind(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                             b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n" + answer(b"page")))
    with edge.wire() as wire:
        got = wire.ask(request())
        assert [hint.get("link")[1:7] for hint in got.interim] == ["/a.css", "/b.css"]
        assert (got.status, got.body) == (200, b"page")
        assert wire.ask(request(version="HTTP/1.0")).interim == []  # RFC 9110, section 15.2


def test_an_early_answer_reaches_a_client_that_still_sends(behind):
    def script(peer):
        peer.head()
        peer.send(answer(b"enough", status="413 Content Too Large", fields=[("Connection", "close")]))
        peer.wait_end()
    edge, _ = behind(script)
    with edge.wire() as wire:
        wire.send(request(method="POST", fields=[("Content-Length", "50000000")]) + b"x" * 100_000)
        got = wire.answer()
        assert (got.status, got.body) == (413, b"enough")
        assert wire.ended()


def sends_until_it_fails(wire, size):
    try:
        wire.send(b"x" * size)
    except OSError:
        pass  # who has answered does not listen


@pytest.mark.parametrize("chunks", [False, True])
def test_an_early_answer_is_whole_though_the_upload_fails(start_edge, tmp_path, chunks):
    """On a unix socket what was sent before the close can be read behind it."""
    body = b"x" * 60_000
    framed = b"".join(chunk(body[at:at + 15_000]) for at in range(0, len(body), 15_000)) + b"0\r\n\r\n"

    def script(peer):
        peer.head()
        time.sleep(0.3)  # the upload has filled the socket
        head = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
        peer.send(head + (b"Transfer-Encoding: chunked\r\n\r\n" if chunks else b"Content-Length: 60000\r\n\r\n"))
        peer.send(framed if chunks else body)
    with Origin(script, path=tmp_path / "origin.sock") as origin:
        edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
        for _ in range(5):
            with edge.wire() as wire:
                wire.send(request(method="POST", fields=[("Content-Length", "50000000")]))
                sender = threading.Thread(target=sends_until_it_fails, args=(wire, 20_000_000))
                sender.start()
                got = wire.answer()
                assert (got.status, len(got.body)) == (413, 60_000)
            sender.join()
        errors = {dict(labels)["reason"]: value for (family, labels), value in edge.metrics().items()
                  if family == "edgeproxy_upstream_errors_total"}
        assert not errors.get("bad_response"), errors


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_client_that_keeps_its_body_after_an_early_answer_gets_all_of_the_answer(behind, version):
    """As the one whose `Expect: 100-continue` was answered with 200: it owes no body any more."""
    def script(peer):
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            peer.send(chunk(b"piece"))
            time.sleep(0.6)
        peer.send(b"0\r\n\r\n")
    timeouts = {"timeouts": {"body": "2s"}}
    edge, _ = behind(script, listeners={"http": timeouts, "https": timeouts})
    if version == "HTTP/2":
        with Client(edge, lenient=True) as client:
            stream = client.open("/", method="POST", fields=[("content-length", "5")], end=False)
            got = client.answer(stream)
            assert (got["headers"][":status"], got["body"]) == ("200", b"piece" * 5), got
    else:
        with edge.wire() as wire:
            wire.send(request(method="POST", fields=[("Expect", "100-continue"), ("Content-Length", "5")]))
            got = wire.answer()
            assert (got.status, got.body) == (200, b"piece" * 5)
    assert edge.metric("edgeproxy_limit_hits_total", limit="body") == 0


def test_a_body_left_unread_is_never_read_as_a_request(behind):
    """An answer before the body's end closes the connection: the second request is inside the first one's body."""
    edge, origin = behind(routes=[{"path": "/app", "pool": "app"}])
    inside = request("/app/smuggled")
    with edge.wire() as wire:
        wire.send(request("/nowhere", method="POST", fields=[("Content-Length", str(len(inside) + 100_000))]) + inside)
        assert wire.answer().status == 404
        assert wire.ended()
    assert not origin.requests


def test_a_body_streams_both_ways_at_once(behind):
    """The answer starts before the request has ended: nothing is collected first."""
    def script(peer):
        seen = peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            size = int(peer.until(b"\r\n"), 16)
            peer.send(chunk(peer.exactly(size).upper()))
            peer.exactly(2)
        assert peer.until(b"\r\n\r\n") == b"0"
        peer.send(b"0\r\n\r\n")
        assert seen
    edge, _ = behind(script)
    with edge.wire() as wire:
        wire.send(request(method="POST", fields=[("Transfer-Encoding", "chunked")]))
        assert wire.head().status == 200
        for word in (b"one", b"two", b"three"):
            wire.send(chunk(word))
            assert int(wire.line(), 16) == len(word)
            assert wire.exactly(len(word) + 2) == word.upper() + b"\r\n"
        wire.send(b"0\r\n\r\n")
        assert wire.line() == "0" and wire.line() == ""


def test_a_half_closed_client_still_gets_its_answer(behind):
    edge, _ = behind()
    with edge.wire() as wire:
        got = wire.send(request("/half")).half_close().answer()
        assert got.body == b"/half"
        assert wire.ended()


def test_a_client_that_goes_away_ends_the_work_behind(waited_for):
    edge, origin, ended = waited_for
    with edge.wire() as wire:
        wire.send(request("/gone"))
        origin.wait_requests(1)
        wire.reset()
    assert ended.wait(10), "the origin's connection stayed open"


@pytest.mark.parametrize("listener", ["http", "https"])
def test_a_client_that_closes_ends_the_work_behind(waited_for, listener):
    """To us it is a half-close; only what is sent to it tells that nobody is there."""
    edge, origin, ended = waited_for
    wire = edge.wire() if listener == "http" else edge.tls_wire()
    wire.send(request("/closed"))
    origin.wait_requests(1)
    wire.close()
    assert ended.wait(10), "the origin's connection stayed open"
    assert edge.wait_access("/closed")["error"] == "client_gone"


def test_a_client_that_closes_leaves_the_queue(behind):
    go = threading.Event()

    def script(peer):
        while True:
            seen = peer.request()
            if seen.target == "/first":
                assert go.wait(20)
            peer.send(answer())
    edge, origin = behind(script, pool={"max_in_flight": 1})
    with edge.wire() as first:
        first.send(request("/first"))
        origin.wait_requests(1)
        second = edge.wire().send(request("/second", method="POST", body=b"order"))
        within(10, lambda: edge.metric("edgeproxy_pool_queue_length", pool="app"), "the second one in the queue")
        second.close()
        assert edge.wait_access("/second")["error"] == "client_gone"
        go.set()
        assert first.answer().status == 200
    assert [seen.target for seen in origin.requests] == ["/first"]


def test_a_request_cut_off_in_its_body_is_never_complete_for_the_origin(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        wire.send(request(method="POST", fields=[("Transfer-Encoding", "chunked")]) + chunk(b"hello"))
        wire.half_close()
        try:
            assert wire.answer().status == 400
        except Broken:
            pass  # a plain end is as good as a refusal by name
    with edge.wire() as wire:
        assert wire.ask(request("/next")).body == b"/next"
    assert [seen.target for seen in origin.requests] == ["/next"]


@pytest.mark.parametrize("fields, body", [([("Content-Length", "2000")], b""),
                                          ([("Transfer-Encoding", "chunked")], chunk(b"x" * 2000))])
def test_a_body_above_the_limit_gets_413(behind, fields, body):
    edge, origin = behind(routes=[{"pool": "app", "max_body": "1KiB"}])
    with edge.wire() as wire:
        assert wire.ask(request(method="POST", fields=fields) + body).status == 413
        assert wire.ended()
    assert not origin.requests
    with edge.wire() as wire:
        assert wire.ask(request(method="POST", body=b"x" * 1024)).status == 200


def test_options_asterisk_is_answered_here(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        assert wire.ask(request("*", method="OPTIONS")).status in (200, 204)
    assert not origin.requests


def test_max_forwards_zero_is_answered_here(behind):
    edge, origin = behind()
    with edge.wire() as wire:
        assert wire.ask(request("/x", method="OPTIONS", fields=[("Max-Forwards", "0")])).status in (200, 204)
        assert not origin.requests
        assert wire.ask(request("/x", method="OPTIONS", fields=[("Max-Forwards", "3")])).status == 200
    assert origin.requests[0].get("max-forwards") == "2"


@pytest.mark.parametrize("value, status", [("100-continue", 100), ("100-Continue", 100), ("200-ok", 417), ("100-continue, x", 417), ("", 417)])
def test_an_expectation_is_met_or_refused(behind, value, status):
    edge, origin = behind()
    with edge.wire() as wire:
        wire.send(request(method="POST", fields=[("Expect", value), ("Content-Length", "5")]))
        assert wire.head().status == status
        if status == 100:
            assert wire.send(b"hello").answer().status == 200
    assert len(origin.requests) == (status == 100)
    assert edge.metric("edgeproxy_http_malformed_total", reason="bad_expect") == (None if status == 100 else 1)


def test_an_expectation_of_http_1_0_is_none(behind):
    """RFC 9110 section 10.1.1: such a client would take a 100 for the answer."""
    edge, origin = behind()
    with edge.wire() as wire:
        got = wire.ask(request("/old", method="POST", fields=[("Expect", "100-continue")], body=b"hello", version="HTTP/1.0"))
    assert (got.status, got.interim, origin.requests[0].get("expect")) == (200, [], None)


@pytest.mark.parametrize("status, reason", [("299", "Odd"), ("418", "I'm a \xe4pot"), ("599", ""), ("600", "Six"), ("999", "Last")])
def test_odd_statuses_and_reasons_pass(behind, status, reason):
    edge, _ = behind(answers(answer(b"odd", status=f"{status} {reason}")))
    with edge.wire() as wire:
        got = wire.ask(request())
    assert (str(got.status), got.body) == (status, b"odd")


def test_the_most_that_is_promised_is_served(behind):
    """Two 4 KiB cookies, nearly 32 KiB of head, nearly a hundred fields."""
    edge, origin = behind()
    big = [("Cookie", "c=" + "x" * 4094), ("Cookie", "d=" + "y" * 4094), ("X-Large", "z" * 15000)]
    many = [(f"X-{i}", "v" * 20) for i in range(90)]
    with edge.wire() as wire:
        assert wire.ask(request("/most", fields=[*big, *many])).status == 200
    seen = origin.requests[0]
    assert [(name, value) for name, value in seen.fields if (name, value) in big + many] == big + many


def test_head_of_the_demo_worker_and_every_status(start_edge):
    """The demo worker under supervision speaks through the same path."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    with edge.wire() as wire:
        for code in (200, 201, 204, 304, 404, 418, 500, 599):
            assert wire.ask(request(f"/status/{code}")).status == code
        assert wire.ask(request("/bytes?n=100000", method="HEAD"), "HEAD").get("content-length") == "100000"
        assert wire.ask(request("/interim")).interim[0].status == 103
        assert wire.ask(request("/trailers", fields=[("TE", "trailers"), ("Connection", "TE")])).trailers == [("X-Checksum", "42")]
        got = json.loads(wire.ask(request("/upload", method="POST", body=b"123456789")).body)
        assert got["crc32"] == 0xCBF43926 and got["bytes"] == 9
        assert wire.ask(request("/early", method="POST", fields=[("Content-Length", "9000000")]) + b"x" * 1000).status == 413


def test_the_origin_class_of_these_tests_is_honest():
    """Without edgeproxy between: what the recording origin says it saw is what was sent."""
    from wire import Wire
    with Origin() as origin, Wire(("127.0.0.1", origin.port)) as wire:
        assert wire.ask(request("/direct", method="POST", body=b"abc")).body == b"/direct"
        assert (origin.requests[0].body, origin.connections) == (b"abc", 1)
