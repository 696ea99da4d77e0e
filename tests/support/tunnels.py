# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/2 (RFC 8441): a client that opens tunnels, and an endpoint behind edgeproxy whose tunnels a test writes."""
import base64
import hashlib

import h2.events

from http2 import CANCEL, Client
from origin import answer
from procs import within


class Tunnels(Client):
    """Opens WebSockets over HTTP/2 (RFC 8441). What comes on a stream in `held` is not acknowledged: its window shuts."""

    def __init__(self, edge, room=1 << 24):
        super().__init__(edge, lenient=True)
        self.held = {}  # stream -> bytes that were not acknowledged
        self.h2.increment_flow_control_window(room)  # of the connection, so that only streams hold back
        self.flush()

    def handshake(self, path="/ws", fields=(), version="13", protocol="websocket", end=False):
        pseudo = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":authority", "app.test"), (":path", path)]
        return self.open(pseudo=pseudo, fields=[("sec-websocket-version", version), *fields], end=end)

    def head(self, stream):
        while "headers" not in self.got.get(stream, {}) and not self.got.get(stream, {}).get("done"):
            self.turn()
        return self.got[stream].get("headers")

    def tunnel(self, path="/ws", fields=(), held=False):
        """An open one."""
        stream = self.handshake(path, fields)
        if held:
            self.held[stream] = 0
        assert self.head(stream)[":status"] == "200", self.got[stream]
        return stream

    def note(self, event):
        if isinstance(event, h2.events.DataReceived) and event.stream_id in self.held:
            self.got[event.stream_id]["body"] += event.data
            self.held[event.stream_id] += event.flow_controlled_length
        else:
            super().note(event)

    def let_go(self, stream):
        self.h2.acknowledge_received_data(self.held.pop(stream), stream)
        self.flush()

    def take(self, stream, size=1):
        """At least so many bytes of what the endpoint said, and all that is here."""
        while len(self.got[stream]["body"]) < size:
            assert not self.got[stream].get("done"), self.got[stream]
            self.turn()
        body, self.got[stream]["body"] = self.got[stream]["body"], b""
        return body

    def cancel(self, stream):
        self.h2.reset_stream(stream, CANCEL)
        self.flush()


def switch(seen, extra=()):
    accept = base64.b64encode(hashlib.sha1((seen.get("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {accept.decode()}", *(f"{name}: {value}" for name, value in extra)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def echo(peer):
    while True:
        if not peer.unread:
            peer.more()
        peer.send(peer.exactly(len(peer.unread)))


class Behind:
    """A handshake opens a tunnel and `tunnel` runs in it, or gets `told` instead; a plain request gets its body or target."""

    def __init__(self, tunnel=echo, told=None, extra=()):
        self.tunnel, self.told, self.extra = tunnel, told, extra

    def __call__(self, peer):
        while True:
            seen, tunnel = peer.request(), self.tunnel
            if not seen.get("upgrade"):
                peer.send(answer(seen.body or seen.target.encode()))
            elif self.told is None:
                peer.send(switch(seen, self.extra))
                return tunnel(peer)
            elif not self.told:
                return None
            else:
                peer.send(self.told(seen) if callable(self.told) else self.told)


def open_tunnels(edge):
    return edge.metric("edgeproxy_websocket_tunnels", pool="app") or 0


def chosen(edge, origin):
    """For a fixture: a function that chooses what stands behind (as Behind) and gives the origin; at the end nothing is open."""
    def choose(*arguments, **options):
        origin.script.__init__(*arguments, **options)
        origin.requests.clear()
        return origin
    choose()
    yield choose
    within(20, lambda: open_tunnels(edge) == 0, "all tunnels to end")
    assert not origin.errors, origin.errors


def plain(client, path="/plain"):
    """An ordinary request on the same connection is served."""
    assert client.get(path)["body"] == path.encode()


def post(client, body):
    stream = client.open("/post", method="POST", end=False)
    client.data(stream, body, end=True)
    return client.answer(stream)["body"]
