# SPDX-License-Identifier: Apache-2.0
"""Scripted servers behind edgeproxy. The verdict of a test is often what such an origin saw."""
import socket
import threading
import time
from dataclasses import dataclass, field

from procs import within


class Ended(Exception):
    """edgeproxy closed its connection."""


@dataclass
class Seen:
    """One complete request as it came here."""
    method: str
    target: str
    version: str
    fields: list
    body: bytes
    raw_head: bytes
    connection: int
    trailers: list = field(default_factory=list)

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        found = self.values(name)
        return found[0] if found else None


class Peer:
    """The origin's side of one connection."""

    def __init__(self, origin, sock, number):
        self.origin, self.socket, self.number = origin, sock, number
        self.unread = b""
        sock.settimeout(30)

    def more(self):
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise Ended from error
        if not data:
            raise Ended
        self.origin.bytes_in += len(data)
        self.unread += data

    def until(self, end):
        while end not in self.unread:
            self.more()
        found, self.unread = self.unread.split(end, 1)
        return found

    def exactly(self, size):
        while len(self.unread) < size:
            self.more()
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def send(self, data):
        try:
            self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        except OSError as error:
            raise Ended from error

    def head(self):
        raw = self.until(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        self.origin.heads += 1
        return Seen(method, target, version, fields, b"", raw + b"\r\n\r\n", self.number)

    def read_body(self, seen):
        if seen.get("transfer-encoding"):
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                seen.body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            while line := self.until(b"\r\n").decode("latin-1"):
                seen.trailers.append(tuple(part.strip() for part in line.split(":", 1)))
        elif seen.get("content-length"):
            seen.body = self.exactly(int(seen.get("content-length")))

    def request(self):
        """The next complete request; recorded by the origin."""
        seen = self.head()
        self.read_body(seen)
        self.origin.requests.append(seen)
        return seen

    def wait_end(self):
        """Returns when edgeproxy closes."""
        try:
            while True:
                self.more()
        except Ended:
            return

    def reset(self):
        """Ends the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def answer(body=b"ok\n", status="200 OK", fields=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answers(data):
    """A script: every request gets these bytes, the connection stays open."""
    def script(peer):
        while True:
            peer.request()
            peer.send(data)
    return script


def answers_then_closes(data):
    def script(peer):
        peer.request()
        peer.send(data)
    return script


def echoes_target(peer):
    """Every request gets its own target back, so that a mix-up of answers shows."""
    while True:
        seen = peer.request()
        peer.send(answer(seen.target.encode("latin-1")))


class Origin:
    """Listens on 127.0.0.1, or at the unix socket `path`; runs `script(peer)` in a thread for each connection, closes when it
    returns. With `tls` (an ssl context) every connection begins with a handshake; `handshakes` remembers what came of
    those that worked."""

    def __init__(self, script=echoes_target, tls=None, path=None):
        self.script, self.tls, self.handshakes = script, tls, []
        self.requests, self.connections, self.heads, self.bytes_in = [], 0, 0, 0
        self.sockets, self.errors = [], []
        if path:
            self.listener = socket.create_server(str(path), family=socket.AF_UNIX, backlog=128)
            self.address = f"unix:{path}"
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.port = self.listener.getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.sockets.append(sock)
            threading.Thread(target=self.serve, args=(sock, self.connections), daemon=True).start()

    def serve(self, sock, number):
        try:
            if self.tls:
                sock = self.handshake(sock)
            self.script(Peer(self, sock, number))
        except Ended:
            pass
        except Exception as error:  # a broken script must fail the test, not vanish in a thread
            self.errors.append(error)
        finally:
            sock.close()

    def handshake(self, sock):
        try:
            sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError as error:
            raise Ended from error
        self.handshakes.append({"resumed": sock.session_reused, "alpn": sock.selected_alpn_protocol(),
                                "certificate": sock.getpeercert()})
        return sock

    def wait_requests(self, count, seconds=10):
        within(seconds, lambda: len(self.requests) >= count, f"{count} requests at the origin")
        return self.requests

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # a plain close would not wake the accepting thread
        self.listener.close()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        assert not self.errors, self.errors


def unused_port():
    """A port on which nobody listens: connecting to it is refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def pause(seconds):
    """A pause that belongs to a scripted origin's behaviour, never a way to wait for something."""
    time.sleep(seconds)
