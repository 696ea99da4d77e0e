# SPDX-License-Identifier: Apache-2.0
"""Other people's HTTP/1.1 parsers, asked the same question as ours: what does this message say, and where does it end? The
parsers are those of the servers behind edgeproxy: h11 (uvicorn, Hypercorn), llhttp (uvicorn with httptools, Node) and
gunicorn's; on request Node itself."""
import os
import random
import struct
import subprocess
from collections import namedtuple

import h11
import httptools
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

import edge

VERDICTS = edge.BINARY.parent / "edgeproxy-verdicts"
Request = namedtuple("Request", "method target host body size")
Answer = namedtuple("Answer", "status body size")
Ours = namedtuple("Ours", "request version forwarded upgrade")
OursAnswer = namedtuple("OursAnswer", "answer close")


class Refused(Exception):
    """A parser takes the message for malformed, or for not complete."""


def ours(what, cases):
    """The verdict of edgeproxy's reader on each case: a word of refusal, or Ours / OursAnswer."""
    given = b"".join(struct.pack("<I", len(case)) + case for case in cases)
    done = subprocess.run([VERDICTS, what], input=given, capture_output=True, check=True, timeout=900,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    at, said = 0, done.stdout

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from("<I", said, at - 4)[0]

    def text():
        nonlocal at
        size = number()
        at += size
        return said[at - size:at]
    for _ in cases:
        texts = [text() for _ in range(number())]
        if len(texts) == 1:
            yield texts[0].decode()
        elif what == "request":
            method, target, host, version, body, size, forwarded, upgrade = texts
            yield Ours(Request(method, target, host, body, int(size)), version.decode(), forwarded, upgrade != b"")
        else:
            status, body, size, close = texts
            yield OursAnswer(Answer(int(status), body, int(size)), close != b"")


# Each oracle takes bytes and gives a Request, or raises Refused. `size` is where it says that the message ends.

def h11_request(data):
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    body = b""
    try:
        peer.receive_data(data)
        event = peer.next_event()
        if not isinstance(event, h11.Request):
            raise Refused("incomplete")
        request = event
        while not isinstance(event := peer.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Refused("incomplete")
            body += event.data
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from None
    hosts = [value for name, value in request.headers if name == b"host"]
    return Request(request.method, request.target, b",".join(hosts), body, len(data) - len(peer.trailing_data[0]))


class Listener:
    """What llhttp calls."""

    def __init__(self):
        self.begun, self.headed, self.ended, self.url, self.hosts, self.body = 0, False, 0, b"", [], b""

    def on_message_begin(self):
        self.begun += 1

    def on_url(self, url):
        if self.begun == 1:
            self.url += url

    def on_header(self, name, value):
        if self.begun == 1 and not self.headed and name.lower() == b"host":
            self.hosts.append(value.strip(b" \t"))

    def on_headers_complete(self):
        self.headed = True

    def on_body(self, body):
        if self.begun == 1:
            self.body += body

    def on_message_complete(self):
        self.ended += 1


def llhttp_fed(parser, heard, data, upgrade):
    """Feeds all but the last byte, then that: the message must end exactly there."""
    try:
        parser.feed_data(data[:-1])
        if heard.ended:
            raise Refused("ends before its end")
        parser.feed_data(data[-1:])
    except httptools.HttpParserUpgrade:
        if not upgrade:
            raise Refused("takes it for an upgrade") from None
    except httptools.HttpParserError as error:
        raise Refused(str(error)) from None
    if heard.ended != 1:
        raise Refused("incomplete")


def llhttp_request(data, upgrade=False):
    heard = Listener()
    parser = httptools.HttpRequestParser(heard)
    llhttp_fed(parser, heard, data, upgrade)
    return Request(parser.get_method(), heard.url, b",".join(heard.hosts), heard.body, len(data))


GUNICORN = Config()
GUNICORN.set("limit_request_line", 8190)
GUNICORN.set("limit_request_field_size", 0)
GUNICORN.set("header_map", "drop")


def gunicorn_request(data):
    try:
        parser = RequestParser(GUNICORN, iter([data]), ("127.0.0.1", 1))
        request = next(parser)
        body = request.body.read()
        rest = parser.unreader.read()
    except StopIteration:
        raise Refused("incomplete") from None
    except Exception as error:  # its parser has a dozen families of errors, and leaks others
        raise Refused(f"{type(error).__name__}: {error}") from None
    hosts = [value for name, value in request.headers if name == "HOST"]
    return Request(request.method.encode(), request.uri.encode("latin-1"), ",".join(hosts).encode("latin-1"), body,
                   len(data) - len(rest))


REQUEST_ORACLES = {"h11": h11_request, "llhttp": llhttp_request, "gunicorn": gunicorn_request}


def h11_answer(data, close):
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    body, status = b"", None
    try:
        peer.receive_data(data)
        while not isinstance(event := peer.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                if status is None or not close:
                    raise Refused("incomplete")
                peer.receive_data(b"")
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from None
    return Answer(status, body, len(data) - len(peer.trailing_data[0]))


class AnswerListener:
    """What llhttp calls; interim answers are not looked at."""

    def __init__(self):
        self.parser, self.status, self.ended, self.body = None, None, False, b""

    def on_headers_complete(self):
        if self.parser.get_status_code() >= 200 and self.status is None:
            self.status = self.parser.get_status_code()

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.ended = self.status is not None


def llhttp_answer(data, close):
    heard = AnswerListener()
    heard.parser = parser = httptools.HttpResponseParser(heard)
    try:
        parser.feed_data(data[:-1])
        early = heard.ended
        parser.feed_data(data[-1:])
    except httptools.HttpParserUpgrade:
        raise Refused("takes it for an upgrade") from None
    except httptools.HttpParserError as error:
        raise Refused(str(error)) from None
    if heard.ended == close or early:
        raise Refused("ends elsewhere")
    return Answer(heard.status, heard.body, len(data))


ANSWER_ORACLES = {"h11": h11_answer, "llhttp": llhttp_answer}


# Cases. All of it is seeded: the same numbers give the same cases on every machine.

def flips(seed, values):
    """Every byte of a message replaced by each of these, taken out, and doubled."""
    for at in range(len(seed)):
        yield seed[:at] + seed[at + 1:]
        yield seed[:at] + seed[at:at + 1] + seed[at:]
        for value in values:
            yield seed[:at] + bytes([value]) + seed[at + 1:]


def mutants(seeds, words, count, number):
    """Messages with one to four parts of the grammar put in, replaced, moved or doubled."""
    chance = random.Random(number)
    lines = [line for seed in seeds for line in seed.split(b"\r\n") if line]
    for _ in range(count):
        case = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            at, end = sorted((chance.randrange(len(case) + 1), chance.randrange(len(case) + 1)))
            how = chance.randrange(8)
            word = chance.choice(words)
            if how == 0:
                case = case[:at] + word + case[at:]
            elif how == 1:
                case = case[:at] + word + case[at + len(word):]
            elif how in (2, 3):  # a line more
                breaks = [place for place in range(len(case)) if case.startswith(b"\r\n", place)]
                if breaks:
                    place = chance.choice(breaks) + 2
                    case = case[:place] + chance.choice((chance.choice(lines), word)) + b"\r\n" + case[place:]
            elif how == 4:  # a value or a word of the message replaced
                ends = [place for place in range(len(case)) if case[place:place + 1] in (b" ", b":", b"\r", b",", b";", b"/")]
                if len(ends) > 1:
                    first = chance.randrange(len(ends) - 1)
                    case = case[:ends[first] + 1] + word + case[ends[first + 1]:]
            elif how == 5 and end - at < 12:
                case = case[:at] + case[end:]
            elif how == 6:
                other = chance.choice(seeds)
                case = case[:at] + other[min(at, len(other)):]
            else:
                case = case[:at] + bytes([chance.randrange(256)]) + case[at + 1:]
        yield case
