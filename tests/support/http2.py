# SPDX-License-Identifier: Apache-2.0
"""Clients of HTTP/2: one that knows the protocol, and frames by hand for those that break it (RFC 9113, section 4.1)."""
import struct
import time

import h2.config
import h2.connection
import h2.events

from wire import Broken

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL, ENHANCE_YOUR_CALM = 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name, value):
    """One field in HPACK, neither indexed nor compressed (RFC 7541, section 6.2.2)."""
    def text(data):
        data = data.encode("latin-1") if isinstance(data, str) else data
        if len(data) < 127:
            return bytes((len(data),)) + data
        rest, size = len(data) - 127, b"\x7f"
        while rest >= 128:
            size, rest = size + bytes((rest % 128 + 128,)), rest // 128
        return size + bytes((rest,)) + data
    return b"\0" + text(name) + text(value)


def head(path="/", method="GET", fields=()):
    pseudo = [(":method", method), (":scheme", "https"), (":authority", "app.test"), (":path", path)]
    return b"".join(literal(name, value) for name, value in [*pseudo, *fields])


def open_stream(stream, path="/", flags=END_STREAM | END_HEADERS, **options):
    return frame(HEADERS, flags, stream, head(path, **options))


class Raw:
    """A connection that sends the frames it is given and answers nothing, not even SETTINGS."""

    def __init__(self, edge, settings=b"", acknowledge=True):
        self.wire = edge.tls_wire(alpn=("h2",))
        self.sent_all = True
        self.send(PREFACE + frame(SETTINGS, payload=settings) + (frame(SETTINGS, flags=1) if acknowledge else b""))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, data):
        """False when the other side would have no more of it."""
        try:
            self.wire.send(data)
        except OSError:
            self.sent_all = False
        return self.sent_all

    def frames(self):
        """Every frame until the end, as (type, flags, stream, payload)."""
        while True:
            try:
                size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + self.wire.exactly(9))
                payload = self.wire.exactly(size)
            except TimeoutError:
                raise
            except (Broken, OSError):
                return
            yield kind, flags, stream, payload

    def end(self):
        """(code of GOAWAY or None, seconds until the connection was closed behind it)."""
        code, told = None, time.monotonic()
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                code, told = struct.unpack(">I", payload[4:8])[0], time.monotonic()
        return code, time.monotonic() - told


class Client:
    """A strict or, with `lenient`, a misbehaving HTTP/2 client over TLS."""

    def __init__(self, edge, lenient=False):
        self.wire = edge.tls_wire(alpn=("h2",))
        assert self.wire.socket.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=not lenient, normalize_outbound_headers=not lenient, header_encoding="latin-1"))
        self.h2.initiate_connection()
        self.flush()
        self.ended = None
        self.got = {}  # stream -> {"headers", "body", "trailers", "interim", "reset", "done"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def flush(self):
        self.wire.send(self.h2.data_to_send())

    def open(self, path="/", method="GET", fields=(), end=True, authority="app.test", pseudo=None):
        stream = self.h2.get_next_available_stream_id()
        head = pseudo or [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
        self.h2.send_headers(stream, [*head, *fields], end_stream=end)
        self.flush()
        return stream

    def data(self, stream, data, end=False):
        for start in range(0, len(data), 16384):
            while self.h2.local_flow_control_window(stream) < min(16384, len(data) - start):
                self.turn()
            self.h2.send_data(stream, data[start:start + 16384])
            self.flush()
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def turn(self):
        """Reads once and records what came."""
        if not self.wire.unread and not self.wire.more():
            self.ended = self.ended or "closed"
            raise EOFError
        data, self.wire.unread = self.wire.unread, b""
        for event in self.h2.receive_data(data):
            self.note(event)
        self.flush()

    def note(self, event):
        stream = self.got.setdefault(getattr(event, "stream_id", 0), {"body": b"", "interim": []})
        if isinstance(event, h2.events.ResponseReceived):
            stream["headers"] = dict(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream["interim"].append(dict(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            stream["body"] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream["trailers"] = dict(event.headers)
        elif isinstance(event, h2.events.StreamReset):
            stream["reset"] = stream["done"] = True
            stream["code"] = event.error_code
        elif isinstance(event, h2.events.StreamEnded):
            stream["done"] = True
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.ended = event.error_code

    def answer(self, stream):
        while not self.got.get(stream, {}).get("done"):
            self.turn()
        return self.got[stream]

    def get(self, path="/", **options):
        return self.answer(self.open(path, **options))

    def until_ended(self):
        """The error code of GOAWAY, or "closed"."""
        try:
            while self.ended in (None, 0):
                self.turn()
        except Exception:  # whatever ended it; how is in `ended`
            pass
        return self.ended
