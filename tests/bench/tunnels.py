# SPDX-License-Identifier: Apache-2.0
"""Two kinds of load for which there is no usual tool: messages through WebSocket tunnels, and TLS connections that resume.

The client may be slow: what counts is what the proxy spends on each.
"""
import os
import selectors
import socket
import ssl
import time

from result import Result, client_context

TUNNELS = 100
TIMEOUT_SECONDS = 30
HANDSHAKE = (b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
REQUEST = b"GET /128 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def frame(payload):
    """One masked text frame of at most 125 bytes."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x81, 0x80 | len(payload)]) + mask + masked


def opened(port, context):
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    if context:
        connection = context.wrap_socket(connection)
    connection.sendall(HANDSHAKE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = connection.recv(4096)
        if not more:
            raise ConnectionError("closed instead of 101")
        answer += more
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"no tunnel: {answer[:60]!r}")
    return connection


def echo(port, tls, messages, length):
    """`messages` of `length` bytes over all tunnels, one at a time in each; every echo must be what was sent."""
    context = client_context() if tls else None
    result, begun = Result(), time.monotonic()
    message = frame(b"x" * length)
    selector = selectors.DefaultSelector()
    waiting = {}
    try:
        for _ in range(TUNNELS):
            tunnel = opened(port, context)
            waiting[tunnel] = b""
            selector.register(tunnel, selectors.EVENT_READ)
            tunnel.sendall(message)
        begun = time.monotonic()
        while result.requests < messages:
            ready = selector.select(TIMEOUT_SECONDS)
            if not ready:
                raise ConnectionError("no echo")
            for key, _ in ready:
                got = key.fileobj.recv(4096)
                waiting[key.fileobj] += got
                if not message.startswith(waiting[key.fileobj]) or not got:
                    raise ConnectionError(f"a wrong echo: {waiting[key.fileobj][:40]!r}")
                if waiting[key.fileobj] == message:
                    result.requests += 1
                    waiting[key.fileobj] = b""
                    key.fileobj.sendall(message)
    except (OSError, ConnectionError) as error:
        result.faults.append(repr(error))
    finally:
        for tunnel in waiting:
            tunnel.close()
    result.seconds = time.monotonic() - begun
    return result


def resumed(port, connections, length):
    """`connections` one after another, each with the session of the one before and one request."""
    context = client_context()
    result, begun, session = Result(), time.monotonic(), None
    try:
        for number in range(connections + 1):
            plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain, session=session) as connection:
                connection.sendall(REQUEST)
                answer = b""
                while more := received(connection):
                    answer += more
                if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\n" + b"x" * length):
                    raise ConnectionError(f"a wrong answer: {answer[:60]!r}")
                if number > 0 and not connection.session_reused:
                    raise ConnectionError("the session was not resumed")
                session = connection.session
            result.requests += number > 0
    except (OSError, ConnectionError) as error:
        result.faults.append(repr(error))
    result.seconds = time.monotonic() - begun
    return result


def received(connection):
    try:
        return connection.recv(65536)
    except ssl.SSLEOFError:  # some leave out the close_notify
        return b""
