# SPDX-License-Identifier: Apache-2.0
"""A worker that is spoken to in HTTP/2: hypercorn, which takes h2c by prior knowledge on the socket that the master made."""
import pytest
from websockets.sync.client import connect

APP = '''
async def app(scope, receive, send):
    if scope["type"] == "http":
        size, more = 0, True
        while more:
            event = await receive()
            size, more = size + len(event.get("body", b"")), event.get("more_body", False)
        body = f"{scope['http_version']} {size}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        event = await receive()
        await send({"type": "websocket.send", "text": scope["http_version"] + " " + event["text"]})
        await send({"type": "websocket.close"})
'''


@pytest.fixture
def edge(start_edge, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return start_edge({"pools": {"app": {"command": ["hypercorn", "-b", "fd://{fd}", "app:app"], "working_dir": str(tmp_path),
                                         "workers": 2, "protocol": "h2c", "health": "/healthz"}}})


def test_hypercorn_speaks_http_2_with_us(edge):
    """Readiness, health and requests of both kinds of clients."""
    for http2 in (False, True):
        assert edge.get("/a", http2=http2).text == "2 0"
        with edge.client(http2) as client:
            assert client.post(edge.url("/b"), content=b"x" * 500_000).text == "2 500000"
    assert edge.metric("edgeproxy_upstream_connections_reused_total", pool="app") >= 1


def test_websockets_go_over_http_1_1(edge):
    with connect(f"ws://127.0.0.1:{edge.ports['http']}/ws") as socket:
        socket.send("hello")
        assert socket.recv() == "1.1 hello"
