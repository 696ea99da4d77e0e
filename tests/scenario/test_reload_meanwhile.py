# SPDX-License-Identifier: Apache-2.0
"""A reload at every point of a request: whoever is in the middle of something gets it done, under rules that still exist.

What a reload has freed is overwritten here, so that nobody reads it unnoticed."""
import pytest

from http2 import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, head, literal
from origin import answer
from wire import Broken, Wire, request

OVERWRITTEN = {"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
PROXIED = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 443\r\n"


def origin(peer):
    while True:
        seen = peer.request()
        peer.send(answer(f"{len(seen.body)} bytes of {seen.target}\n".encode()))


# What becomes of the listener that the connection came in by, and of the others.
def removed(edge):
    return {"listeners": {"own": None}}


def other_limits(edge):
    return {"listeners": {"own": {"limits": {"header_size": "16KiB"}}}}


def other_listeners(edge):
    return {"listeners": {"http": None, "https": None}}


def nothing_of_it(edge):
    return {"logging": {"level": "info"}}


CHANGES = [removed, other_limits, other_listeners, nothing_of_it]


class Way:
    """A client that does its part before the reload and the rest behind it."""
    alpn = ("http/1.1",)
    options = {}

    def open(self, edge):
        self.wire = Wire(edge.address("own"), context=edge.context(self.alpn))

    def rest(self):
        return self.wire.answer()


class HalfRequest(Way):
    def open(self, edge):
        super().open(edge)
        self.wire.send(b"GET /half HTTP/1.1\r\nHost: app.te")

    def rest(self):
        return self.wire.send(b"st\r\n\r\n").answer()


class HalfBody(Way):
    def open(self, edge):
        super().open(edge)
        self.wire.send(b"POST /body HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\nabc")

    def rest(self):
        return self.wire.send(b"def").answer()


class Kept(Way):
    def open(self, edge):
        super().open(edge)
        assert self.wire.ask(request("/first")).status == 200

    def rest(self):
        """None: it was closed."""
        try:
            return self.wire.ask(request("/kept"))
        except (Broken, OSError):
            return None


class ShakesHandsLater(Way):
    def open(self, edge):
        self.edge, self.plain = edge, Wire(edge.address("own"))
        self.plain.send(b"\x16\x03\x01")  # of a ClientHello

    def rest(self):
        self.plain.close()


class Http2Way(Way):
    alpn = ("h2",)

    def open(self, edge):
        super().open(edge)
        self.wire.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, flags=1))

    def status(self):
        """Of stream 1: the index of :status 200, 431 or whatever comes first in its HEADERS."""
        while True:
            size, kind, flags, stream = self.next()
            payload = self.wire.exactly(size)
            if kind == HEADERS and stream == 1:
                return payload

    def next(self):
        top = self.wire.exactly(9)
        return int.from_bytes(top[:3], "big"), top[3], top[4], int.from_bytes(top[5:9], "big")


class Continued(Http2Way):
    """A head in two frames, the reload between them; larger than any listener takes."""
    def open(self, edge):
        super().open(edge)
        self.wire.send(frame(HEADERS, END_STREAM, 1, head("/continued")))

    def rest(self):
        rest = b"".join(literal(f"x-{i}", "v" * 7000) for i in range(10))
        pieces = [rest[at:at + 16000] for at in range(0, len(rest), 16000)]
        for i, piece in enumerate(pieces):
            self.wire.send(frame(CONTINUATION, END_HEADERS if i == len(pieces) - 1 else 0, 1, piece))
        assert self.status()[:1] != b"\x88", "a head above the limit was taken"


class ContinuedSmall(Http2Way):
    def open(self, edge):
        super().open(edge)
        self.wire.send(frame(HEADERS, END_STREAM, 1, head("/continued")))

    def rest(self):
        self.wire.send(frame(CONTINUATION, END_HEADERS, 1, literal("x-more", "1")))
        assert self.status()[:1] == b"\x88"  # :status 200 (RFC 7541, appendix A)


class StreamBody(Http2Way):
    def open(self, edge):
        super().open(edge)
        self.wire.send(frame(HEADERS, END_HEADERS, 1, head("/body", method="POST")) + frame(0, 0, 1, b"abc"))

    def rest(self):
        self.wire.send(frame(0, END_STREAM, 1, b"def"))
        assert self.status()[:1] == b"\x88"


class HalfProxyHeader(Way):
    options = {"proxy_protocol": "required"}

    def open(self, edge):
        self.edge = edge
        self.plain = Wire(edge.address("own"))
        self.plain.send(PROXIED[:20])

    def rest(self):
        self.plain.send(PROXIED[20:])
        self.plain.close()


WAYS = [HalfRequest, HalfBody, Kept, ShakesHandsLater, Continued, ContinuedSmall, StreamBody, HalfProxyHeader]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", WAYS, ids=lambda kind: kind.__name__)
def test_who_is_in_the_middle_of_something(start_edge, start_origin, make_certificate, change, kind):
    own = make_certificate("own.test", "localhost")
    edge = start_edge({"pools": {"app": {"endpoints": [start_origin(origin).address]}},
                       "client_ip": {"trusted_proxies": ["127.0.0.1/32"] if kind.options else []},
                       "listeners": {"own": {"address": "127.0.0.1:{port:own}", **kind.options,
                                             "tls": {"cert": str(own.cert), "key": str(own.key)},
                                             "limits": {"handshakes_per_source": "off"}}}}, env=OVERWRITTEN)
    way, before = kind(), edge.proxy
    way.open(edge)
    edge.rewrite(change(edge))
    done = edge.command("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    found = way.rest()
    assert found is None or found.status == 200
    if kind is Kept and change is not removed:  # which lets its idle connections go
        assert found is not None
    assert edge.proxy == before, edge.tail()  # nobody died of it
    assert edge.command("status").returncode == 0
