# SPDX-License-Identifier: Apache-2.0
"""Requests that can be read in two ways, or in none, are refused: an error answer, a closed connection, and an origin that
never saw a complete request. RFC 9112 sections 2 to 7, RFC 9110 sections 4 and 5, RFC 3986."""
import pytest

from origin import Origin
from wire import Wire, chunk, request

NAMED_HOST = "Host: app.test\r\n"


def get(line="GET / HTTP/1.1", fields=NAMED_HOST, body=b""):
    return (line + "\r\n" + fields + "\r\n").encode("latin-1") + body


def post(fields, body=b""):
    return get("POST / HTTP/1.1", NAMED_HOST + fields, body)


def chunked(body):
    return post("Transfer-Encoding: chunked\r\n", body)


BAD, UNKNOWN_CODING, VERSION = {400}, {400, 501}, {400, 505}

LENGTHS = [
    ("length and chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), BAD),
    ("length zero and chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), BAD),
    ("two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), BAD),
    ("a list of lengths", post("Content-Length: 5, 5\r\n", b"hello"), BAD),
    ("a length with a plus", post("Content-Length: +5\r\n", b"hello"), BAD),
    ("a length with a minus", post("Content-Length: -5\r\n", b"hello"), BAD),
    ("a hexadecimal length", post("Content-Length: 0x5\r\n", b"hello"), BAD),
    ("an empty length", post("Content-Length: \r\n", b"hello"), BAD),
    ("a length with a leading zero", post("Content-Length: 05\r\n", b"hello"), BAD),
    ("a length of 2^64 + 1", post("Content-Length: 18446744073709551617\r\n", b"hello"), BAD),
    ("a length of 2^63", post("Content-Length: 9223372036854775808\r\n", b"hello"), BAD | {413}),
    ("a length with a word", post("Content-Length: 5 bytes\r\n", b"hello"), BAD),
    ("a length with a decimal point", post("Content-Length: 5.0\r\n", b"hello"), BAD),
    ("a length with an underscore", post("Content-Length: 1_0\r\n", b"helloworld"), BAD),
]
CODINGS = [
    ("an empty element before chunked", post("Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
    ("chunked twice in a list", post("Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
    ("chunked twice in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("identity and chunked in two lines",
     post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
    ("a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), BAD),
    ("a no-break space before chunked", post("Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
    ("chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
    ("quoted chunked", post('Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), UNKNOWN_CODING),
    ("gzip before chunked", post("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), {501}),
    ("gzip alone", post("Transfer-Encoding: gzip\r\n"), UNKNOWN_CODING),
    ("identity", post("Transfer-Encoding: identity\r\n"), UNKNOWN_CODING),
    ("an empty coding", post("Transfer-Encoding: \r\n"), UNKNOWN_CODING),
    ("chunked in HTTP/1.0",
     get("POST / HTTP/1.0", NAMED_HOST + "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("a misspelt coding", post("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), UNKNOWN_CODING),
]
CHUNKS = [
    ("a chunk size with 0x", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size with a plus", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size with a minus", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size with an underscore", chunked(b"1_0\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size after a blank", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("an empty chunk size", chunked(b"\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size of 17 digits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk size of a word", chunked(b"five\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a bare LF behind a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), BAD),
    ("a bare CR behind a chunk size", chunked(b"5\rhello\r\n0\r\n\r\n"), BAD),
    ("a bare LF behind a chunk", chunked(b"5\r\nhello\n0\r\n\r\n"), BAD),
    ("a bare LF in a chunk extension", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a bare CR in a chunk extension", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), BAD),
    ("a chunk extension of 300 bytes", chunked(chunk(b"hello", ";" + "x" * 300) + b"0\r\n\r\n"), BAD),
    ("a chunk longer than its size", chunked(b"5\r\nhello!\r\n0\r\n\r\n"), BAD),
    ("a bare LF at the end of the last chunk", chunked(b"5\r\nhello\r\n0\n\r\n"), BAD),
    ("a bare LF at the end of the body", chunked(b"5\r\nhello\r\n0\r\n\n"), BAD),
    ("a trailer with a blank before its colon", chunked(b"5\r\nhello\r\n0\r\nX : y\r\n\r\n"), BAD),
    ("a folded trailer", chunked(b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), BAD),
    ("trailers of 5000 bytes", chunked(b"5\r\nhello\r\n0\r\nX: " + b"y" * 5000 + b"\r\n\r\n"), BAD),
]
FIELDS = [
    ("a bare LF behind the request line", b"GET / HTTP/1.1\nHost: app.test\r\n\r\n", BAD),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: app.test\n\n", BAD),
    ("a bare LF behind a field", get(fields=NAMED_HOST + "A: b\nC: d\r\n"), BAD),
    ("a bare LF as the empty line", b"GET / HTTP/1.1\r\nHost: app.test\r\n\n", BAD),
    ("a bare CR in a value", get(fields=NAMED_HOST + "A: b\rc\r\n"), BAD),
    ("a folded field", get(fields=NAMED_HOST + "A: b\r\n c\r\n"), BAD),
    ("a field folded by a tab", get(fields=NAMED_HOST + "A: b\r\n\tc\r\n"), BAD),
    ("a blank before the first field", get(fields=" " + NAMED_HOST), BAD),
    ("NUL in a value", get(fields=NAMED_HOST + "A: b\0c\r\n"), BAD),
    ("a control byte in a value", get(fields=NAMED_HOST + "A: b\x01c\r\n"), BAD),
    ("a vertical tab in a value", get(fields=NAMED_HOST + "A: b\x0bc\r\n"), BAD),
    ("DEL in a value", get(fields=NAMED_HOST + "A: b\x7fc\r\n"), BAD),
    ("ESC in a value", get(fields=NAMED_HOST + "A: \x1b[31m\r\n"), BAD),
    ("a blank before the colon", get(fields=NAMED_HOST + "A : b\r\n"), BAD),
    ("a tab before the colon", get(fields=NAMED_HOST + "A\t: b\r\n"), BAD),
    ("a blank before the colon of a length", post("Content-Length : 5\r\n", b"hello"), BAD),
    ("an empty name", get(fields=NAMED_HOST + ": b\r\n"), BAD),
    ("no colon", get(fields=NAMED_HOST + "A\r\n"), BAD),
    ("a bracket in a name", get(fields=NAMED_HOST + "A(b: c\r\n"), BAD),
    ("a blank in a name", get(fields=NAMED_HOST + "A b: c\r\n"), BAD),
    ("an 8-bit name", get(fields=NAMED_HOST + "\xc4: b\r\n"), BAD),
    ("NUL in a name", get(fields=NAMED_HOST + "A\0: b\r\n"), BAD),
]
REQUEST_LINES = [
    ("two blanks before the target", get("GET  / HTTP/1.1"), BAD),
    ("two blanks before the version", get("GET /  HTTP/1.1"), BAD),
    ("a tab in the request line", get("GET\t/ HTTP/1.1"), BAD),
    ("a blank before the method", get(" GET / HTTP/1.1"), BAD),
    ("a blank behind the version", get("GET / HTTP/1.1 "), BAD),
    ("two empty lines before it", b"\r\n\r\n" + get(), BAD),
    ("no version", b"GET /\r\n\r\n", VERSION),
    ("version 1.2", get("GET / HTTP/1.2"), VERSION),
    ("version 2.0", get("GET / HTTP/2.0"), VERSION),
    ("version 1.10", get("GET / HTTP/1.10"), VERSION),
    ("a lower-case version", get("GET / http/1.1"), BAD),
    ("another protocol", get("GET / FTP/1.1"), BAD),
    ("the start of HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    ("a method with a bracket", get("G(T / HTTP/1.1"), BAD),
    ("a method of 100 bytes", get("G" * 100 + " / HTTP/1.1"), BAD | {501}),
    ("no method", get("/ HTTP/1.1"), BAD),
    ("a PROXY line that nobody asked for", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), BAD),
    ("TLS on a plain port", bytes.fromhex("16030100c8010000c40303") + b"\0" * 64 + b"\r\n\r\n", BAD),
    ("words", b"hello edgeproxy\r\n\r\n", BAD),
]
TARGETS = [
    ("a fragment", get("GET /a#b HTTP/1.1"), BAD),
    ("an 8-bit target", get("GET /\xe4 HTTP/1.1"), BAD),
    ("a control byte in the target", get("GET /a\x01b HTTP/1.1"), BAD),
    ("DEL in the target", get("GET /a\x7fb HTTP/1.1"), BAD),
    ("a backslash", get("GET /a\\b HTTP/1.1"), BAD),
    ("an encoded NUL", get("GET /a%00b HTTP/1.1"), BAD),
    ("a broken escape", get("GET /a%zz HTTP/1.1"), BAD),
    ("an escape cut off", get("GET /a% HTTP/1.1"), BAD),
    ("a target without a slash", get("GET a HTTP/1.1"), BAD),
    ("an asterisk for GET", get("GET * HTTP/1.1"), BAD),
    ("a foreign scheme", get("GET ftp://app.test/ HTTP/1.1"), BAD),
    ("user information in the target", get("GET http://me@app.test/ HTTP/1.1"), BAD),
    ("CONNECT", get("CONNECT app.test:443 HTTP/1.1", "Host: app.test:443\r\n"), {400, 405}),
    ("TRACE", get("TRACE / HTTP/1.1"), {405}),
]
HOSTS = [
    ("no Host", get(fields="A: b\r\n"), BAD),
    ("an empty Host", get(fields="Host: \r\n"), BAD),
    ("two equal Hosts", get(fields=NAMED_HOST * 2), BAD),
    ("two Hosts", get(fields=NAMED_HOST + "Host: other.test\r\n"), BAD),
    ("user information", get(fields="Host: me@app.test\r\n"), BAD),
    ("a comma", get(fields="Host: app.test, other.test\r\n"), BAD),
    ("a slash", get(fields="Host: app.test/admin\r\n"), BAD),
    ("a blank", get(fields="Host: app.test other\r\n"), BAD),
    ("8-bit", get(fields="Host: \xe4pp.test\r\n"), BAD),
    ("a question mark", get(fields="Host: app.test?a\r\n"), BAD),
    ("a hash", get(fields="Host: app.test#a\r\n"), BAD),
    ("an open bracket", get(fields="Host: [::1\r\n"), BAD),
    ("a port that is a word", get(fields="Host: app.test:http\r\n"), BAD),
    ("a port beyond 65535", get(fields="Host: app.test:65536\r\n"), BAD),
    ("a negative port", get(fields="Host: app.test:-80\r\n"), BAD),
]
TABLES = [("lengths", LENGTHS), ("codings", CODINGS), ("chunks", CHUNKS), ("fields", FIELDS),
          ("request lines", REQUEST_LINES), ("targets", TARGETS), ("hosts", HOSTS)]
CASES = [pytest.param(data, statuses, id=f"{table}: {name}") for table, cases in TABLES for name, data, statuses in cases]


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


@pytest.mark.parametrize("data, statuses", CASES)
def test_is_refused_and_reaches_no_origin(edge, origin, data, statuses):
    before = len(origin.requests)
    with edge.wire() as wire:
        answer = wire.ask(data)
        assert answer.status in statuses
        assert wire.ended(), f"the connection stayed open after {answer.status}"
    assert len(origin.requests) == before, f"the origin saw {origin.requests[before:]}"


@pytest.mark.parametrize("data, statuses", [case for case in CASES if "fields" in case.id or "lengths" in case.id])
def test_is_refused_behind_a_good_request_too(edge, origin, data, statuses):
    """Pipelined: the good one is answered, the bad one refused, and what follows it is never read as a request."""
    before = len(origin.requests)
    with edge.wire() as wire:
        wire.send(request("/good") + data + request("/behind"))
        assert wire.answer().status == 200
        assert wire.answer().status in statuses
        assert wire.ended()
    assert [seen.target for seen in origin.requests[before:]] == ["/good"]


@pytest.mark.parametrize("data, statuses", [case for case in CASES if "fields" in case.id or "request lines" in case.id])
def test_is_refused_through_tls_too(edge, origin, data, statuses):
    before = len(origin.requests)
    with edge.tls_wire() as wire:
        assert wire.ask(data).status in statuses
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
