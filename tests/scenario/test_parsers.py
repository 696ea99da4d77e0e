# SPDX-License-Identifier: Apache-2.0
"""Our HTTP/1.1 readers beside those of the servers behind us. What edgeproxy accepts, everybody accepts and reads the same:
method, target, host, body, and where the message ends; whoever is laxer than the others can be played off against them. And
what edgeproxy writes for an endpoint says the same again. RFC 9112; exceptions are listed with their reasons."""
import os
import re
from itertools import islice

import pytest

import parsers
from wire import chunk

# How many mutants of each kind; tests/run.sh --differential sets more.
MUTANTS = int(os.environ.get("EDGEPROXY_DIFFERENTIAL", 3000))
LONG = "EDGEPROXY_DIFFERENTIAL" in os.environ
# Bytes that mean something somewhere; in the long run, all.
VALUES = range(256) if LONG else b"\0\t\n\r ,/0:;a\x7f\xa0"


def head(line, *fields):
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


HOST = "Host: app.test"
REQUESTS = [
    head("GET / HTTP/1.1", HOST),
    head("GET /a/b?c=d&e=%20 HTTP/1.1", HOST, "Accept: */*", "User-Agent: x/1 (y)", "Cookie: a=b; c=d"),
    head("HEAD /a HTTP/1.1", "Host: app.test:8080", "Connection: keep-alive"),
    head("GET http://app.test/a HTTP/1.1", HOST),
    head("OPTIONS * HTTP/1.1", HOST),
    head("GET / HTTP/1.0"),
    head("GET / HTTP/1.0", HOST, "Connection: keep-alive"),
    head("DELETE /a HTTP/1.1", HOST, "Content-Length: 0"),
    head("POST /a HTTP/1.1", HOST, "Content-Length: 5") + b"hello",
    head("POST /a HTTP/1.1", HOST, "Content-Type: text/plain", "Content-Length: 11", "Expect: 100-continue") + b"hello world",
    head("PUT /a HTTP/1.1", HOST, "Content-Length: 19") + b"GET /in HTTP/1.1\r\n\r",
    head("POST /a HTTP/1.1", HOST, "Transfer-Encoding: chunked") + chunk(b"hello") + b"0\r\n\r\n",
    head("POST /a HTTP/1.1", HOST, "transfer-encoding: Chunked ") + chunk(b"x" * 17) + chunk(b"y") + b"0\r\n\r\n",
    head("POST /a HTTP/1.1", HOST, "Transfer-Encoding: chunked", "Trailer: X-Sum") + chunk(b"hello") + b"0\r\nX-Sum: 4\r\n\r\n",
    head("POST /a HTTP/1.1", HOST, "Transfer-Encoding: chunked") + chunk(b"hello", ";a=b") + b"000\r\n\r\n",
    head("PATCH /a HTTP/1.1", HOST, "TE: trailers", "Connection: TE, close", "Content-Length: 1") + b"x",
    head("GET /ws HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    b"\r\n" + head("GET / HTTP/1.1", HOST),
    head("REPORT /dav HTTP/1.1", "Host: [::1]:80", "X-Empty:", "X-Blank: \t a \t "),
]
BEHIND = head("GET /behind HTTP/1.1", "Host: behind.test")
WORDS = [word.encode("latin-1") for word in (
    "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding:\tchunked", "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding : chunked", "Transfer_Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding\0: chunked", "TE: chunked",
    "Content-Length: 5", "Content-Length: 0", "Content-Length: 05", "Content-Length: +5", "Content-Length: 5, 5",
    "Content-Length:5", "Content-Length: 5 ", "Content-Length: 0x5", "Content-Length: 18446744073709551621", "Content-Length: 5\t",
    "Content_Length: 9", "Content-Length : 5", " Content-Length: 5", "X: y", "X:", ":", "X", "\tX: y", "Host: other.test",
    "Host: a, b", "Host:", "Host: a@b", "Host: a:80", "Host: [::1]", "Connection: close", "Connection: Content-Length",
    "Connection: Host, Transfer-Encoding", "Connection: keep-alive, Upgrade", "Upgrade: h2c", "Upgrade: websocket",
    "Expect: 100-continue", "Expect: 200-ok", "Trailer: Content-Length", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.2",
    "HTTP/1.10", "GET", "get", "POST", "CONNECT", "*", "/", "//", "/..", "/%2e", "http://a/", "https://a", "ftp://a/", "a:80",
    "\r\n", "\n", "\r", "\r\n\r\n", "\n\n", " ", "\t", "\0", "\x80", "0\r\n\r\n", "5\r\nhello\r\n", "5\nhello\r\n", "5 \r\nhello\r\n",
    "5;a\r\nhello\r\n", "5;\r\nhello\r\n", "5;a=\"\r\n\"\r\nhello\r\n", "0x5\r\nhello\r\n", "00000000000000005\r\nhello\r\n",
    "-1\r\n", "+5\r\n", "5_0\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n", "0\n\r\n", "0\r\n\n", "0\r\nX: y\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n", "0;a\r\n\r\n", "0\r\n X: y\r\n\r\n", "GET /in HTTP/1.1\r\nHost: in.test\r\n\r\n")]

ANSWERS = [
    head("HTTP/1.1 200 OK", "Content-Length: 5") + b"hello",
    head("HTTP/1.1 200 OK", "Content-Length: 0", "Connection: close"),
    head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Type: text/plain") + chunk(b"hello") + b"0\r\n\r\n",
    head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunk(b"hello", ";a=b") + b"0\r\nX-Sum: 4\r\n\r\n",
    head("HTTP/1.1 204 No Content", "ETag: \"a\""),
    head("HTTP/1.1 304 Not Modified", "Content-Length: 5"),
    head("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload") + head("HTTP/1.1 404 Not Found", "Content-Length: 2") + b"no",
    head("HTTP/1.1 200 OK", "Content-Type: text/plain") + b"until the end",
    head("HTTP/1.0 200 OK", "Content-Length: 2") + b"ok",
    head("HTTP/1.1 599 ", "Content-Length: 0"),
]
ANSWER_WORDS = [word for word in WORDS if b"/" not in word] + [word.encode() for word in (
    "HTTP/1.1 200 OK", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols", "200", "204", "304", "1000", "20",
    "HTTP/1.1 204 No Content\r\n\r\n", "Set-Cookie: a=b", "HTTP/0.9", "HTTP/1.1  200")]


def forbidden_trailer(case, mine):
    trailers = re.search(rb"\r\n0+(;[^\r]*)?\r\n((?:[^\r]+\r\n)+)\r\n$", case)
    return trailers and re.search(rb"^(content-(length|type)|transfer-encoding|host|trailer|te|upgrade|connection):", trailers[2], re.I | re.M)


# Where another parser refuses what we accept, and why that is no danger: (parsers, what it says, is it that?, why).
# None of it differs in framing, and none of it passes: edgeproxy writes every head and every body anew.
REFUSED_BY = [
    ({"llhttp", "gunicorn"}, "method", lambda case, mine: mine.request.method not in USUAL_METHODS,
     "they know their methods by name; any token passes here (RFC 9110, section 9.1)"),
    ({"h11"}, "no request line", lambda case, mine: case.startswith(b"\r\n"),
     "one empty line before a request is skipped (RFC 9112, section 2.2)"),
    ({"llhttp"}, "upgrade", lambda case, mine: b"upgrade" in case.lower(),
     "it stops at any upgrade; whether one begins is for the answer to say (RFC 9110, section 7.8)"),
    ({"llhttp"}, "Transfer-Encoding", lambda case, mine: b"\t\r\n" in case,
     "a tab behind a value is blank space (RFC 9110, section 5.5)"),
    ({"h11", "llhttp", "gunicorn"}, "", forbidden_trailer,
     "they take it for a field of the head; here it is left out of the trailers (RFC 9110, section 6.5.1)"),
    ({"gunicorn"}, "CONTENT-TYPE", lambda case, mine: len(re.findall(rb"\r\ncontent-type:", case, re.I)) > 1,
     "a second Content-Type has no part in the framing"),
    ({"gunicorn"}, "ExpectationFailed", lambda case, mine: mine.version == "1.0",
     "expectations of HTTP/1.0 are ignored (RFC 9110, section 10.1.1)"),
    ({"llhttp"}, "Data after `Connection: close`", lambda case, mine: case.startswith(b"HTTP/1.1 1"),
     "an interim answer ends nothing (RFC 9110, section 15.2)"),
]
USUAL_METHODS = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"REPORT"}


def excused(oracle, error, case, mine):
    return any(oracle in who and says.lower() in error.lower() and fits(case, mine) for who, says, fits, _ in REFUSED_BY)


def cases_of(seeds, words, number):
    yield from seeds
    for seed in seeds:
        yield from parsers.flips(seed, VALUES)
    yield from parsers.mutants(seeds, words, MUTANTS, number)


def batches(cases, size=50_000):
    while batch := list(islice(cases, size)):
        yield list(dict.fromkeys(batch))


def judge(faults, asked, case, mine, expected):
    """Asks every parser about one message that edgeproxy accepted or wrote."""
    for name, oracle in parsers.REQUEST_ORACLES.items():
        try:
            theirs = oracle(case)
        except parsers.Refused as error:
            if not excused(name, str(error), case, mine):
                faults.setdefault(f"{name} refuses what edgeproxy {asked}: {error}"[:110], case)
            continue
        if theirs != expected:
            faults.setdefault(f"{name} reads another request than edgeproxy {asked}: {theirs}"[:300], case)


def tell(faults):
    assert not faults, f"{len(faults)} kinds:\n" + "\n".join(f"{what}\n    {case}" for what, case in islice(faults.items(), 12))


@pytest.mark.deadline(10 if LONG else 1)
def test_a_request_that_is_accepted_is_the_same_for_every_server_behind_us():
    faults, accepted, written = {}, 0, set()
    for batch in batches(cases_of(REQUESTS, WORDS, 1)):
        for case, mine in zip(batch, parsers.ours("request", [case + BEHIND for case in batch])):
            if isinstance(mine, str):
                continue
            accepted += 1
            whole, request = (case + BEHIND)[:mine.request.size], mine.request
            host = request.host or b"endpoint.test"
            if b"://" not in whole.split(b"\r\n\r\n")[0]:  # an absolute target is taken apart here
                judge(faults, "accepts", whole, mine, request)
            if mine.forwarded in written:
                continue
            written.add(mine.forwarded)
            judge(faults, "writes", mine.forwarded, mine, request._replace(host=host, size=len(mine.forwarded)))
    tell(faults)
    assert accepted > len(REQUESTS) * 20, "most of these cases are harmless"


@pytest.mark.deadline(10 if LONG else 1)
def test_an_answer_that_is_accepted_is_the_same_for_every_client():
    faults, accepted = {}, 0
    for batch in batches(cases_of(ANSWERS, ANSWER_WORDS, 2)):
        for case, mine in zip(batch, parsers.ours("response", batch)):
            if isinstance(mine, str):
                continue
            accepted += 1
            whole = case[:mine.answer.size]
            for name, oracle in parsers.ANSWER_ORACLES.items():
                try:
                    theirs = oracle(whole, mine.close)
                except parsers.Refused as error:
                    if not excused(name, str(error), whole, mine):
                        faults.setdefault(f"{name} refuses what edgeproxy accepts: {error}"[:110], whole)
                    continue
                if theirs != mine.answer:
                    faults.setdefault(f"{name} reads another answer: {theirs}"[:200], whole)
    tell(faults)
    assert accepted > len(ANSWERS) * 20


def test_this_comparison_finds_a_difference():
    """The oracles are honest: each is known to differ from us somewhere."""
    smuggled = head("POST / HTTP/1.1", HOST, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
    two_hosts = head("GET / HTTP/1.1", HOST, "Host: other.test")
    assert list(parsers.ours("request", [smuggled, two_hosts, REQUESTS[0][:-2]])) == ["both_lengths", "duplicate_host", "incomplete"]
    assert parsers.llhttp_request(two_hosts).host == b"app.test,other.test"
    faults = {}
    mine = next(parsers.ours("request", [REQUESTS[8]]))
    judge(faults, "accepts", REQUESTS[8], mine, mine.request._replace(body=b"hell", size=mine.request.size - 1))
    assert len(faults) == len(parsers.REQUEST_ORACLES)
