# SPDX-License-Identifier: Apache-2.0
"""What an idle connection costs: private dirty memory of the proxy's processes, after one exchange on each."""
import resource
import socket
import struct
import time

import tunnels
from result import client_context

CONNECTIONS = 10000
OTHERS = 500  # that a proxy may have beside them
WARM_UP = 50
SETTLE_SECONDS = 1.0
REQUEST = b"GET /128 HTTP/1.1\r\nHost: localhost\r\n\r\n"
MESSAGE = tunnels.frame(b"x" * 64)

# RFC 9113
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, RST_STREAM, GOAWAY = 0, 1, 4, 3, 7
ACK = END_STREAM = 1
END_HEADERS = 4
# :method GET, :scheme https, :path /128, :authority localhost (RFC 7541, sections 6.1 and 6.2.2)
FIELDS = b"\x82\x87\x04\x04/128\x01\x09localhost"


class Broken(ConnectionError):
    """The connection does not do what it should."""


class Http1:
    """A kept connection."""

    def __init__(self, port, tls):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls:
            self.socket = client_context().wrap_socket(self.socket)

    def close(self):
        self.socket.close()

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Broken("closed")
        return data

    def ask(self):
        """One exchange; anything but the right answer raises."""
        self.socket.sendall(REQUEST)
        answer = b""
        while True:
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and len(body) >= 128:
                break
            answer += self.more()
        if not head.startswith(b"HTTP/1.1 200 ") or body != b"x" * 128:
            raise Broken(f"wrong answer: {answer[:80]!r}")


class Tunnel(Http1):
    """A WebSocket."""

    def __init__(self, port, tls):
        self.socket = tunnels.opened(port, client_context() if tls else None)

    def ask(self):
        self.socket.sendall(MESSAGE)
        echo = b""
        while len(echo) < len(MESSAGE):
            echo += self.more()
        if echo != MESSAGE:
            raise Broken(f"wrong echo: {echo[:80]!r}")


class Http2(Http1):
    """A session of HTTP/2 over TLS without streams."""

    def __init__(self, port, tls):
        assert tls
        context = client_context()
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
        self.unread, self.stream = b"", -1
        self.send(SETTINGS, 0, 0, b"", first=PREFACE)

    def send(self, kind, flags, stream, payload, first=b""):
        self.socket.sendall(first + struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload)

    def exactly(self, size):
        while len(self.unread) < size:
            self.unread += self.more()
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def ask(self):
        self.stream += 2
        self.send(HEADERS, END_HEADERS | END_STREAM, self.stream, FIELDS)
        body = b""
        while True:
            head = self.exactly(9)
            kind, flags, payload = head[3], head[4], self.exactly(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self.send(SETTINGS, ACK, 0, b"")
            if kind in (RST_STREAM, GOAWAY):
                raise Broken(f"frame {kind}: {payload!r}")
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                break
        if body != b"x" * 128:
            raise Broken(f"wrong answer: {body[:80]!r}")


# name -> (class, over TLS)
KINDS = {"plain": (Http1, False), "TLS": (Http1, True), "HTTP/2": (Http2, True), "tunnel": (Tunnel, False),
         "TLS tunnel": (Tunnel, True)}


def count():
    """How many there are: fewer where a process may not have two descriptors for each, and some besides."""
    return min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 2 * OTHERS)


def many(kind, port, tls, count):
    connections = []
    for _ in range(count):
        connections.append(kind(port, tls))
        connections[-1].ask()
    return connections


def close_all(connections):
    for connection in connections:
        connection.close()


def per_connection(contender, name):
    """KiB that each idle connection adds, and KiB before the first one, of a freshly started contender that has served a
    few; every connection must still answer afterwards."""
    kind, tls = KINDS[name]
    port = contender.port(tls)
    contender.start()
    connections = []
    try:
        close_all(many(kind, port, tls, WARM_UP))
        time.sleep(SETTLE_SECONDS)
        before = contender.private_dirty_kib()
        connections = many(kind, port, tls, count())
        time.sleep(SETTLE_SECONDS)
        after = contender.private_dirty_kib()
        for connection in connections:
            connection.ask()
    finally:
        close_all(connections)
        contender.stop()
    return (after - before) / len(connections), before
