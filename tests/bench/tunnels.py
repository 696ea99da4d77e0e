# SPDX-License-Identifier: Apache-2.0
"""A kind of load for which there is no usual tool: messages through WebSocket tunnels.

The client may be slow: what counts is what the proxy spends on each.
"""
import os
import selectors
import socket
import time

from result import Result, client_context

TUNNELS = 100
TIMEOUT_SECONDS = 30
HANDSHAKE = (b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


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


def echo(port, tls, messages, length, opened_all):
    """`messages` of `length` bytes over all tunnels, one at a time in each; every echo must be what was sent.
    `opened_all` is called before the first of them."""
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
        opened_all()
        begun = time.monotonic()
        for tunnel in waiting:
            tunnel.sendall(message)
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
