# SPDX-License-Identifier: Apache-2.0
"""The server's side of HTTP/2 for scripted origins: `script(H2Peer(peer))` does what it likes, also what no server may."""
import struct
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9


def frame(kind, stream=0, payload=b"", flags=0):
    """A raw frame, whatever the protocol thinks of it (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


@dataclass
class H2Request:
    stream: int
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    reset: int = None
    ended: bool = False

    def get(self, name):
        return next((value for key, value in self.fields if key == name), None)

    @property
    def path(self):
        return self.get(":path")


class H2Peer:
    """One connection. Every request that begins is in `streams`, and in the origin's `requests` once it has ended."""

    def __init__(self, peer, settings=None, acknowledge=True):
        self.peer, self.acknowledge = peer, acknowledge
        self.streams, self.taken, self.answered, self.ended = {}, set(), set(), None
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={**self.h2.local_settings, **settings})
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.peer.send(data)

    def raw(self, data):
        self.flush()
        self.peer.send(data)

    def turn(self):
        """Reads once and takes note of what came."""
        if not self.peer.unread:
            self.peer.more()
        data, self.peer.unread = self.peer.unread, b""
        for event in self.h2.receive_data(data):
            self.note(event)
        self.flush()

    def note(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = H2Request(event.stream_id, list(event.headers))
            self.peer.origin.heads += 1
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].body += event.data
            if self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[event.stream_id].trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].ended = True
            self.peer.origin.requests.append(self.streams[event.stream_id])
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.ended = event.error_code

    def until(self, condition):
        while not (found := condition()):
            self.turn()
        return found

    def next(self, ended=True):
        """The next request that nobody took; complete unless `ended` is False."""
        def find():
            return next((one for one in self.streams.values() if one.stream not in self.taken and (one.ended or not ended)), None)
        found = self.until(find)
        self.taken.add(found.stream)
        return found

    def respond(self, stream, body=b"ok\n", status=200, fields=(), end=True, trailers=()):
        head = [(":status", str(status)), *fields]
        self.answered.add(stream)
        self.h2.send_headers(stream, head, end_stream=end and not body and not trailers)
        if body:
            self.data(stream, body, end and not trailers)
        if trailers:
            self.h2.send_headers(stream, list(trailers), end_stream=True)
        self.flush()

    def data(self, stream, body, end=False):
        for start in range(0, len(body), 16384):
            piece = body[start:start + 16384]
            while self.h2.local_flow_control_window(stream) < len(piece):
                self.turn()
            self.h2.send_data(stream, piece, end_stream=end and start + 16384 >= len(body))
            self.flush()

    def wait_end(self):
        """Until edgeproxy closes."""
        while True:
            self.turn()

    def serve(self, answer=None):
        """Every request gets its path back, or what `answer(peer, request)` does."""
        while True:
            request = self.next()
            if answer:
                answer(self, request)
            else:
                self.respond(request.stream, request.path.encode("latin-1"))


def h2_script(script, **options):
    """For Origin: `script` gets an H2Peer."""
    return lambda peer: script(H2Peer(peer, **options))


def echoes_path(peer):
    peer.serve()
