# SPDX-License-Identifier: Apache-2.0
"""What an idle keep-alive connection costs: private dirty memory of the proxy's processes, after one request each."""
import socket
import time

from result import client_context

CONNECTIONS = 1500
WARM_UP = 50
SETTLE_SECONDS = 1.0
REQUEST = b"GET /128 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def opened(port, context):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(connection) if context else connection


def ask(connection):
    """Sends one request and reads its answer; raises ConnectionError if that is not 200 with 128 bytes."""
    connection.sendall(REQUEST)
    answer = b""
    while True:
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) >= 128:
            break
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"closed after {len(answer)} bytes")
        answer += more
    if not head.startswith(b"HTTP/1.1 200 ") or body != b"x" * 128:
        raise ConnectionError(f"wrong answer: {answer[:80]!r}")


def many(port, context, count):
    connections = []
    for _ in range(count):
        connections.append(opened(port, context))
        ask(connections[-1])
    return connections


def close_all(connections):
    for connection in connections:
        connection.close()


def per_connection(contender, tls):
    """KiB an idle connection, of a freshly started contender; every connection must still answer afterwards."""
    context = client_context() if tls else None
    port = contender.port(tls)
    contender.start()
    connections = []
    try:
        close_all(many(port, context, WARM_UP))
        time.sleep(SETTLE_SECONDS)
        before = contender.private_dirty_kib()
        connections = many(port, context, CONNECTIONS)
        time.sleep(SETTLE_SECONDS)
        after = contender.private_dirty_kib()
        for connection in connections:
            ask(connection)
    finally:
        close_all(connections)
        contender.stop()
    return (after - before) / CONNECTIONS
