# SPDX-License-Identifier: Apache-2.0
"""Requests that can be read in two ways, or in none, are refused: an error answer, a closed connection, and an origin that
never saw a complete request. RFC 9112 sections 2 to 7, RFC 9110 sections 4 and 5, RFC 3986."""
import pytest

from origin import Origin
from procs import within
from wire import Wire, chunk, request

NAMED_HOST = "Host: app.test\r\n"


def get(line="GET / HTTP/1.1", fields=NAMED_HOST, body=b""):
    return (line + "\r\n" + fields + "\r\n").encode("latin-1") + body


def post(fields, body=b""):
    return get("POST / HTTP/1.1", NAMED_HOST + fields, body)


def chunked(body):
    return post("Transfer-Encoding: chunked\r\n", body)


# Each case is named by the word that the log and `edgeproxy_http_malformed_total` say; 400 unless it stands here.
STATUS = {"unknown_coding": 501, "forbidden_method": 405, "bad_version": 505}

LENGTHS = [
    ("length and chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "both_lengths"),
    ("chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), "both_lengths"),
    ("length zero and chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "both_lengths"),
    ("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), "duplicate_length"),
    ("two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), "duplicate_length"),
    ("a list of lengths", post("Content-Length: 5, 5\r\n", b"hello"), "bad_length"),
    ("a length with a plus", post("Content-Length: +5\r\n", b"hello"), "bad_length"),
    ("a length with a minus", post("Content-Length: -5\r\n", b"hello"), "bad_length"),
    ("a hexadecimal length", post("Content-Length: 0x5\r\n", b"hello"), "bad_length"),
    ("an empty length", post("Content-Length: \r\n", b"hello"), "bad_length"),
    ("a length with a leading zero", post("Content-Length: 05\r\n", b"hello"), "bad_length"),
    ("a length of 2^64 + 1", post("Content-Length: 18446744073709551617\r\n", b"hello"), "bad_length"),
    ("a length of 2^63", post("Content-Length: 9223372036854775808\r\n", b"hello"), "bad_length"),
    ("a length with a word", post("Content-Length: 5 bytes\r\n", b"hello"), "bad_length"),
    ("a length with a decimal point", post("Content-Length: 5.0\r\n", b"hello"), "bad_length"),
    ("a length with an underscore", post("Content-Length: 1_0\r\n", b"helloworld"), "bad_length"),
]
CODINGS = [
    ("an empty element before chunked", post("Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("chunked twice in a list", post("Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("chunked twice in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("identity and chunked in two lines",
     post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), "bad_field"),
    ("a no-break space before chunked", post("Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("quoted chunked", post('Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), "bad_transfer_encoding"),
    ("gzip before chunked", post("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), "unknown_coding"),
    ("gzip alone", post("Transfer-Encoding: gzip\r\n"), "unknown_coding"),
    ("identity", post("Transfer-Encoding: identity\r\n"), "unknown_coding"),
    ("an empty coding", post("Transfer-Encoding: \r\n"), "bad_transfer_encoding"),
    ("chunked in HTTP/1.0",
     get("POST / HTTP/1.0", NAMED_HOST + "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "transfer_encoding_on_http10"),
    ("a misspelt coding", post("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), "unknown_coding"),
]
CHUNKS = [
    ("a chunk size with 0x", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size with a plus", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size with a minus", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size with an underscore", chunked(b"1_0\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size after a blank", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("an empty chunk size", chunked(b"\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size of 17 digits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk size of a word", chunked(b"five\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a bare LF behind a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a bare CR behind a chunk size", chunked(b"5\rhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a bare LF behind a chunk", chunked(b"5\r\nhello\n0\r\n\r\n"), "bad_chunk"),
    ("a bare LF in a chunk extension", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a bare CR in a chunk extension", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), "bad_chunk"),
    ("a chunk extension of 300 bytes", chunked(chunk(b"hello", ";" + "x" * 300) + b"0\r\n\r\n"), "chunk_ext_too_long"),
    ("a chunk longer than its size", chunked(b"5\r\nhello!\r\n0\r\n\r\n"), "bad_chunk"),
    ("a bare LF at the end of the last chunk", chunked(b"5\r\nhello\r\n0\n\r\n"), "bad_chunk"),
    ("a bare LF at the end of the body", chunked(b"5\r\nhello\r\n0\r\n\n"), "bad_trailer"),
    ("a trailer with a blank before its colon", chunked(b"5\r\nhello\r\n0\r\nX : y\r\n\r\n"), "bad_trailer"),
    ("a folded trailer", chunked(b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), "bad_trailer"),
    ("trailers of 5000 bytes", chunked(b"5\r\nhello\r\n0\r\nX: " + b"y" * 5000 + b"\r\n\r\n"), "trailer_too_large"),
]
FIELDS = [
    ("a bare LF behind the request line", b"GET / HTTP/1.1\nHost: app.test\r\n\r\n", "bare_lf"),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: app.test\n\n", "bare_lf"),
    ("a bare LF behind a field", get(fields=NAMED_HOST + "A: b\nC: d\r\n"), "bare_lf"),
    ("a bare LF as the empty line", b"GET / HTTP/1.1\r\nHost: app.test\r\n\n", "bare_lf"),
    ("a bare CR in a value", get(fields=NAMED_HOST + "A: b\rc\r\n"), "bare_cr"),
    ("a folded field", get(fields=NAMED_HOST + "A: b\r\n c\r\n"), "obs_fold"),
    ("a field folded by a tab", get(fields=NAMED_HOST + "A: b\r\n\tc\r\n"), "obs_fold"),
    ("a blank before the first field", get(fields=" " + NAMED_HOST), "obs_fold"),
    ("NUL in a value", get(fields=NAMED_HOST + "A: b\0c\r\n"), "bad_field"),
    ("a control byte in a value", get(fields=NAMED_HOST + "A: b\x01c\r\n"), "bad_field"),
    ("a vertical tab in a value", get(fields=NAMED_HOST + "A: b\x0bc\r\n"), "bad_field"),
    ("DEL in a value", get(fields=NAMED_HOST + "A: b\x7fc\r\n"), "bad_field"),
    ("ESC in a value", get(fields=NAMED_HOST + "A: \x1b[31m\r\n"), "bad_field"),
    ("a blank before the colon", get(fields=NAMED_HOST + "A : b\r\n"), "bad_field"),
    ("a tab before the colon", get(fields=NAMED_HOST + "A\t: b\r\n"), "bad_field"),
    ("a blank before the colon of a length", post("Content-Length : 5\r\n", b"hello"), "bad_field"),
    ("an empty name", get(fields=NAMED_HOST + ": b\r\n"), "bad_field"),
    ("no colon", get(fields=NAMED_HOST + "A\r\n"), "bad_field"),
    ("a bracket in a name", get(fields=NAMED_HOST + "A(b: c\r\n"), "bad_field"),
    ("a blank in a name", get(fields=NAMED_HOST + "A b: c\r\n"), "bad_field"),
    ("an 8-bit name", get(fields=NAMED_HOST + "\xc4: b\r\n"), "bad_field"),
    ("NUL in a name", get(fields=NAMED_HOST + "A\0: b\r\n"), "bad_field"),
]
REQUEST_LINES = [
    ("two blanks before the target", get("GET  / HTTP/1.1"), "bad_request_line"),
    ("two blanks before the version", get("GET /  HTTP/1.1"), "bad_request_line"),
    ("a tab in the request line", get("GET\t/ HTTP/1.1"), "bad_request_line"),
    ("a blank before the method", get(" GET / HTTP/1.1"), "bad_request_line"),
    ("a blank behind the version", get("GET / HTTP/1.1 "), "bad_request_line"),
    ("two empty lines before it", b"\r\n\r\n" + get(), "bad_request_line"),
    ("no version", b"GET /\r\n\r\n", "bad_request_line"),
    ("version 1.2", get("GET / HTTP/1.2"), "bad_version"),
    ("version 2.0", get("GET / HTTP/2.0"), "bad_version"),
    ("version 1.10", get("GET / HTTP/1.10"), "bad_request_line"),
    ("a lower-case version", get("GET / http/1.1"), "bad_request_line"),
    ("another protocol", get("GET / FTP/1.1"), "bad_request_line"),
    ("the start of HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_version"),
    ("a method with a bracket", get("G(T / HTTP/1.1"), "bad_request_line"),
    ("a method of 100 bytes", get("G" * 100 + " / HTTP/1.1"), "bad_request_line"),
    ("no method", get("/ HTTP/1.1"), "bad_request_line"),
    ("a PROXY line that nobody asked for", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), "bad_request_line"),
    ("TLS on a plain port", bytes.fromhex("16030100c8010000c40303") + b"\0" * 64 + b"\r\n\r\n", "bad_request_line"),
    ("words", b"hello edgeproxy\r\n\r\n", "bad_request_line"),
]
TARGETS = [
    ("a fragment", get("GET /a#b HTTP/1.1"), "bad_target"),
    ("an 8-bit target", get("GET /\xe4 HTTP/1.1"), "bad_target"),
    ("a control byte in the target", get("GET /a\x01b HTTP/1.1"), "bad_target"),
    ("DEL in the target", get("GET /a\x7fb HTTP/1.1"), "bad_target"),
    ("a backslash", get("GET /a\\b HTTP/1.1"), "bad_target"),
    ("an encoded NUL", get("GET /a%00b HTTP/1.1"), "bad_target"),
    ("a broken escape", get("GET /a%zz HTTP/1.1"), "bad_target"),
    ("an escape cut off", get("GET /a% HTTP/1.1"), "bad_target"),
    ("a target without a slash", get("GET a HTTP/1.1"), "bad_target"),
    ("an asterisk for GET", get("GET * HTTP/1.1"), "bad_target"),
    ("a foreign scheme", get("GET ftp://app.test/ HTTP/1.1"), "bad_target"),
    ("user information in the target", get("GET http://me@app.test/ HTTP/1.1"), "bad_host"),
    ("CONNECT", get("CONNECT app.test:443 HTTP/1.1", "Host: app.test:443\r\n"), "forbidden_method"),
    ("TRACE", get("TRACE / HTTP/1.1"), "forbidden_method"),
]
HOSTS = [
    ("no Host", get(fields="A: b\r\n"), "no_host"),
    ("an empty Host", get(fields="Host: \r\n"), "no_host"),
    ("two equal Hosts", get(fields=NAMED_HOST * 2), "duplicate_host"),
    ("two Hosts", get(fields=NAMED_HOST + "Host: other.test\r\n"), "duplicate_host"),
    ("user information", get(fields="Host: me@app.test\r\n"), "bad_host"),
    ("a comma", get(fields="Host: app.test, other.test\r\n"), "bad_host"),
    ("a slash", get(fields="Host: app.test/admin\r\n"), "bad_host"),
    ("a blank", get(fields="Host: app.test other\r\n"), "bad_host"),
    ("8-bit", get(fields="Host: \xe4pp.test\r\n"), "bad_host"),
    ("a question mark", get(fields="Host: app.test?a\r\n"), "bad_host"),
    ("a hash", get(fields="Host: app.test#a\r\n"), "bad_host"),
    ("an open bracket", get(fields="Host: [::1\r\n"), "bad_host"),
    ("a port that is a word", get(fields="Host: app.test:http\r\n"), "bad_host"),
    ("a port beyond 65535", get(fields="Host: app.test:65536\r\n"), "bad_host"),
    ("a negative port", get(fields="Host: app.test:-80\r\n"), "bad_host"),
]
TABLES = [("lengths", LENGTHS), ("codings", CODINGS), ("chunks", CHUNKS), ("fields", FIELDS),
          ("request lines", REQUEST_LINES), ("targets", TARGETS), ("hosts", HOSTS)]
CASES = [pytest.param(data, word, id=f"{table}: {name}") for table, cases in TABLES for name, data, word in cases]


def slow_ok(peer):
    """Answers complete requests only, so that a half-forwarded bad body gets its verdict from edgeproxy."""
    while True:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")


@pytest.fixture(scope="module")
def origin():
    with Origin(slow_ok) as running:
        yield running


@pytest.fixture(scope="module")
def edge(start_shared_edge, origin):
    return start_shared_edge({"pools": {"app": {"endpoints": [origin.address]}}})


@pytest.mark.parametrize("data, word", CASES)
def test_is_refused_and_reaches_no_origin(edge, origin, data, word):
    before, counted = len(origin.requests), edge.metric("edgeproxy_http_malformed_total", reason=word) or 0
    with edge.wire() as wire:
        answer = wire.ask(data)
        assert answer.status == STATUS.get(word, 400)
        assert wire.ended(), f"the connection stayed open after {answer.status}"
    assert len(origin.requests) == before, f"the origin saw {origin.requests[before:]}"
    within(5, lambda: edge.metric("edgeproxy_http_malformed_total", reason=word) == counted + 1, f"it to count as {word}")


@pytest.mark.parametrize("data, word", [case for case in CASES if "fields" in case.id or "lengths" in case.id])
def test_is_refused_behind_a_good_request_too(edge, origin, data, word):
    """Pipelined: the good one is answered, the bad one refused, and what follows it is never read as a request."""
    before = len(origin.requests)
    with edge.wire() as wire:
        wire.send(request("/good") + data + request("/behind"))
        assert wire.answer().status == 200
        assert wire.answer().status == STATUS.get(word, 400)
        assert wire.ended()
    assert [seen.target for seen in origin.requests[before:]] == ["/good"]


@pytest.mark.parametrize("data, word", [case for case in CASES if "fields" in case.id or "request lines" in case.id])
def test_is_refused_through_tls_too(edge, origin, data, word):
    before = len(origin.requests)
    with edge.tls_wire() as wire:
        assert wire.ask(data).status == STATUS.get(word, 400)
        assert wire.ended()
    assert len(origin.requests) == before


def test_is_refused_byte_by_byte_too(edge, origin):
    before = len(origin.requests)
    with edge.wire() as wire:
        for byte in post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"):
            wire.send(bytes([byte]))
        assert wire.answer().status == 400
        assert wire.ended()
    assert len(origin.requests) == before


@pytest.mark.parametrize("data, status", [
    pytest.param(get(f"GET /{'a' * 9000} HTTP/1.1"), 414, id="a request line of 9000 bytes"),
    pytest.param(get(fields=NAMED_HOST + f"A: {'b' * 33000}\r\n"), 431, id="a field of 33000 bytes"),
    pytest.param(get(fields=NAMED_HOST + "".join(f"A{i}: {'b' * 1000}\r\n" for i in range(40))), 431, id="40 KB of fields"),
    pytest.param(get(fields=NAMED_HOST + "".join(f"A{i}: b\r\n" for i in range(101))), 431, id="102 fields"),
    pytest.param(get(fields=NAMED_HOST + "A: " + "b" * 100000), 431, id="a field that never ends"),
])
def test_too_much_head_is_named_by_its_status(edge, origin, data, status):
    before = len(origin.requests)
    with edge.wire() as wire:
        assert wire.ask(data).status == status
        assert wire.ended()
    assert len(origin.requests) == before


@pytest.mark.parametrize("data", [
    pytest.param(b"\r\n" + get(), id="one empty line before it"),
    pytest.param(get(fields=NAMED_HOST + "Cookie: " + "c" * 4096 + "\r\nCookie: " + "d" * 4096 + "\r\n"), id="two 4 KiB cookies"),
    pytest.param(get(fields=NAMED_HOST + "".join(f"A{i}: b\r\n" for i in range(90))), id="91 fields"),
    pytest.param(get(fields=NAMED_HOST + "A: \xe4\r\n"), id="obs-text in a value"),
    pytest.param(get(fields=NAMED_HOST + "A:b\r\nB:\t c \t\r\nC:\r\n"), id="blanks around values"),
    pytest.param(get(fields="Host: APP.test:8080\r\n"), id="a Host with a port"),
    pytest.param(get(fields="Host: [::1]:8080\r\n"), id="an IPv6 Host"),
    pytest.param(get("BREW /pot HTTP/1.1"), id="an unknown method"),
    pytest.param(get("GET /a/../b//c;d=1?x=%2F&y=[1] HTTP/1.1"), id="an odd but valid target"),
    pytest.param(chunked(b"5;a=b\r\nhello\r\n00\r\nX: y\r\n\r\n"), id="chunks with an extension and a trailer"),
    pytest.param(chunked(b"00005\r\nhello\r\n0\r\n\r\n"), id="a chunk size with leading zeros"),
    pytest.param(post("transfer-encoding: CHUNKED \r\n", b"0\r\n\r\n"), id="chunked in capitals"),
    pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="HTTP/1.0 without a Host"),
])
def test_what_is_legal_is_served(edge, origin, data):
    """Strictness must not cost honest clients anything."""
    with edge.wire() as wire:
        assert wire.ask(data).status == 200


def test_a_refused_request_is_logged_and_counted(edge):
    path = "/refused-and-logged"
    before = edge.metric("edgeproxy_http_errors_total") or 0
    with Wire(edge.address()) as wire:
        assert wire.ask(get(f"GET {path} HTTP/1.1", NAMED_HOST + "Content-Length: 1\r\nContent-Length: 1\r\n")).status == 400
    assert (edge.metric("edgeproxy_http_errors_total") or 0) == before + 1


def test_a_head_that_stops_at_the_end_of_a_buffer_shows_nobody_elses_bytes(start_edge):
    """Its buffer has just become a larger one; the smaller one belongs to the next client."""
    edge = start_edge({"listeners": {"http": {"timeouts": {"header": "1s"}}}, "pools": {},
                       "routes": [{"path": "/", "respond": {"status": 200, "body": "ok"}}]})
    first = b"GET /half HTTP/1.1\r\nHost: app.test\r\nX-Pad: " + b"p" * 1500 + b"\r\nReferer: " + b"r" * 1500 + b"\r\n"
    with edge.wire() as slow:
        slow.send(first + b"X-Last: " + b"q" * (16384 - len(first) - 8))
        for _ in range(8):  # one after another: whichever comes after its head takes its buffer
            with edge.wire() as other:
                fields = [("X-Long", "v" * 1200), ("Cookie", "session=SECRET;" * 120)]
                assert other.ask(request("/other", fields=fields)).status == 200
        assert slow.answer().status == 408
    within(10, lambda: [line for line in edge.access() if line["status"] == 408], "the line about it")
    assert not [line for line in edge.access() if "SECRET" in str(line)]
