# SPDX-License-Identifier: Apache-2.0
"""A client that sends exactly the bytes it is given and reads answers strictly: what is not HTTP/1.1 fails the test."""
import socket
import ssl
import struct
from dataclasses import dataclass, field

DEADLINE = 15.0


class Broken(Exception):
    """The answer ended too early or was not well formed."""


@dataclass
class Answer:
    version: str
    status: int
    reason: str
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)  # the 1xx answers before it
    framing: str = "none"                        # length, chunked, close or none

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, otherwise=None):
        found = self.values(name)
        return found[0] if found else otherwise


class Wire:
    """One connection. Every read has a deadline."""

    def __init__(self, address, context=None, server_hostname="localhost", deadline=DEADLINE, source=None, first=b""):
        self.socket = socket.create_connection(address, timeout=deadline, source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(first)  # before TLS
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname=server_hostname)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def reset(self):
        """Goes away at once: the other side gets a reset. (A mere close is, to the other side, a half-close.)"""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def more(self):
        """Reads once; False at the end of the stream. A reset counts as a broken end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError as error:
            raise Broken("connection reset") from error
        except ssl.SSLEOFError as error:
            raise Broken("TLS ended without close_notify") from error
        self.unread += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.unread:
            if not self.more():
                raise Broken(f"ended within a line: {self.unread[:80]!r}")
        line, self.unread = self.unread.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line:
            raise Broken(f"a bare CR or LF: {line!r}")
        return line.decode("latin-1")

    def exactly(self, size):
        parts, have = [self.unread], len(self.unread)
        while have < size:
            self.unread = b""
            if not self.more():
                raise Broken(f"ended {size - have} bytes early")
            parts.append(self.unread)
            have += len(self.unread)
        data = b"".join(parts)
        self.unread = data[size:]
        return data[:size]

    def fields(self):
        found = []
        while line := self.line():
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Broken(f"not a field line: {line!r}")
            found.append((name, value.strip()))
        return found

    def head(self):
        line = self.line()
        version, _, rest = line.partition(" ")
        status, _, reason = rest.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(status) != 3 or not status.isdigit():
            raise Broken(f"not a status line: {line!r}")
        return Answer(version, int(status), reason, self.fields())

    def answer(self, method="GET"):
        """The next final answer with its body, and the interim ones before it."""
        interim = []
        answer = self.head()
        while answer.status < 200 and answer.status != 101:
            interim.append(answer)
            answer = self.head()
        answer.interim = interim
        self.body(answer, method)
        return answer

    def body(self, answer, method):
        lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
        if lengths and codings or len(lengths) > 1 or len(codings) > 1:
            raise Broken(f"framing that can be read two ways: {answer.fields}")
        if method == "HEAD" or answer.status in (101, 204, 304):
            return
        if codings:
            answer.framing = "chunked"
            answer.body, answer.trailers = self.chunks()
        elif lengths:
            answer.framing = "length"
            answer.body = self.exactly(int(lengths[0]))
        else:
            answer.framing = "close"
            while self.more():
                pass
            answer.body, self.unread = self.unread, b""

    def chunks(self):
        parts = []
        while size := int(self.line().split(";")[0], 16):
            parts.append(self.exactly(size))
            if self.exactly(2) != b"\r\n":
                raise Broken("no CRLF behind a chunk")
        return b"".join(parts), self.fields()

    def ask(self, data, method="GET"):
        return self.send(data).answer(method)

    def ended(self):
        """True when the peer ends the connection now without another byte."""
        if self.unread:
            return False
        try:
            return not self.more()
        except Broken:
            return True

    def silent(self, seconds=0.2):
        """True when nothing comes, not even the end, for that long."""
        if self.unread:
            return False
        self.socket.settimeout(seconds)
        try:
            self.more()
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE)


def request(target="/", method="GET", host="app.test", fields=(), body=b"", version="HTTP/1.1"):
    """A well-formed request; a length is added where there is a body."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunk(data, extension=""):
    return f"{len(data):x}{extension}\r\n".encode() + data + b"\r\n"
