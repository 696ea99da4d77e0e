# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 at the front, HTTP/1.1 behind: the same meaning in other frames. RFC 9113, RFC 8441."""
import json
import struct
import threading
import zlib

import h2.settings
import pytest

from http2 import Client
from origin import Origin, answer, answers, echoes_target
from wire import DEADLINE, chunk


@pytest.fixture(scope="module")
def origin():
    with Origin(echoes_target) as running:
        yield running


@pytest.fixture(scope="module")
def edge(start_shared_edge, origin):
    return start_shared_edge({"pools": {"app": {"endpoints": [origin.address]}}})


def test_a_hundred_streams_at_once_each_get_their_own_answer(edge):
    with Client(edge) as client:
        streams = {client.open(f"/{i}"): f"/{i}".encode() for i in range(100)}
        for stream, body in streams.items():
            got = client.answer(stream)
            assert (got["headers"][":status"], got["body"]) == ("200", body)


def test_the_request_arrives_as_http_1_1(edge, origin):
    with Client(edge) as client:
        client.get("/as?a=b", fields=[("cookie", "a=1"), ("cookie", "b=2"), ("x-mine", "c"), ("te", "trailers")])
    seen = origin.requests[-1]
    assert (seen.method, seen.target, seen.version) == ("GET", "/as?a=b", "HTTP/1.1")
    assert seen.values("host") == ["app.test"] and seen.values("cookie") == ["a=1; b=2"]
    assert seen.get("x-forwarded-proto") == "https" and seen.get("x-mine") == "c"
    assert not [name for name, _ in seen.fields if name.startswith(":")]
    line = edge.wait_access("/as")
    assert line["protocol"] in ("h2", "HTTP/2", "HTTP/2.0") and line["scheme"] == "https"


def test_a_body_without_a_length_is_chunked_for_the_origin(edge, origin):
    with Client(edge) as client:
        stream = client.open("/body", method="POST", end=False)
        client.data(stream, b"hello")
        client.data(stream, b" world", end=True)
        assert client.answer(stream)["headers"][":status"] == "200"
    seen = origin.requests[-1]
    # What is complete before it is sent on has a length; what is still coming is chunked.
    assert seen.body == b"hello world" and (seen.get("transfer-encoding") == "chunked" or seen.get("content-length") == "11")


def test_a_body_with_a_length_keeps_it(edge, origin):
    with Client(edge) as client:
        stream = client.open("/body", method="POST", fields=[("content-length", "5")], end=False)
        client.data(stream, b"hello", end=True)
        assert client.answer(stream)["headers"][":status"] == "200"
    assert origin.requests[-1].get("content-length") == "5" and origin.requests[-1].body == b"hello"


def test_a_head_answer_and_an_empty_one_end_cleanly(start_edge, start_origin):
    origin = start_origin(answers(b"HTTP/1.1 204 No Content\r\n\r\n"))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with Client(edge) as client:
        for _ in range(2):
            got = client.get("/")
            assert (got["headers"][":status"], got["body"], got.get("reset")) == ("204", b"", None)


def test_trailers_and_interim_answers_pass(start_edge, start_origin):
    origin = start_origin(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  + chunk(b"hello") + b"0\r\nX-Sum: 42\r\n\r\n"))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with Client(edge) as client:
        got = client.get("/", fields=[("te", "trailers")])
    assert got["body"] == b"hello" and got["trailers"] == {"x-sum": "42"} and got["interim"][0]["link"] == "</a>"


def test_connection_fields_of_the_origin_do_not_reach_http2(start_edge, start_origin):
    origin = start_origin(answers(answer(fields=[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("X-Kept", "yes")])))
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with Client(edge) as client:
        headers = client.get()["headers"]
    assert headers["x-kept"] == "yes" and not {"connection", "keep-alive", "transfer-encoding"} & set(headers)


GOOD = [(":method", "GET"), (":scheme", "https"), (":authority", "app.test"), (":path", "/bad")]
BAD_HEADS = [
    ("an upper-case name", GOOD, [("X-Upper", "a")]),
    ("a Connection field", GOOD, [("connection", "keep-alive")]),
    ("Transfer-Encoding", GOOD, [("transfer-encoding", "chunked")]),
    ("an Upgrade field", GOOD, [("upgrade", "websocket")]),
    ("te other than trailers", GOOD, [("te", "gzip")]),
    ("another Host", GOOD, [("host", "evil.test")]),
    ("no path", GOOD[:3], []),
    ("no method", GOOD[1:], []),
    ("an empty path", [*GOOD[:3], (":path", "")], []),
    ("a path without a slash", [*GOOD[:3], (":path", "bad")], []),
    ("a fragment", [*GOOD[:3], (":path", "/bad#x")], []),
    ("a blank in the path", [*GOOD[:3], (":path", "/bad x")], []),
    ("two paths", [*GOOD, (":path", "/other")], []),
    ("an unknown pseudo field", [*GOOD, (":foo", "bar")], []),
    ("a pseudo field behind a field", [*GOOD[:3], ("x-a", "b"), GOOD[3]], []),
    ("user information in the authority", [*GOOD[:2], (":authority", "me@app.test"), GOOD[3]], []),
    ("a line break in a value", GOOD, [("x-a", "b\r\nevil: c")]),
    ("NUL in a value", GOOD, [("x-a", "b\0c")]),
    ("a length that nothing follows", GOOD, [("content-length", "5")]),
    ("two lengths", GOOD, [("content-length", "0"), ("content-length", "1")]),
    ("CONNECT", [(":method", "CONNECT"), (":authority", "app.test:443")], []),
]


@pytest.mark.parametrize("pseudo, fields", [pytest.param(pseudo, fields, id=name) for name, pseudo, fields in BAD_HEADS])
def test_a_bad_head_costs_its_stream_and_reaches_no_origin(edge, origin, pseudo, fields):
    before = len(origin.requests)
    with Client(edge, lenient=True) as client:
        assert client.get("/first")["body"] == b"/first"
        got = client.answer(client.open(pseudo=pseudo, fields=fields))
        assert got.get("reset") or got["headers"][":status"] in ("400", "405", "501"), got
        assert client.get("/next")["body"] == b"/next"
    assert [seen.target for seen in origin.requests[before:]] == ["/first", "/next"]


@pytest.mark.parametrize("sent", [b"hell", b"hello!"])
def test_a_length_that_disagrees_with_the_data_costs_the_stream(edge, origin, sent):
    before = len(origin.requests)
    with Client(edge, lenient=True) as client:
        stream = client.open("/length", method="POST", fields=[("content-length", "5")], end=False)
        client.h2.send_data(stream, sent, end_stream=True)
        client.flush()
        got = client.answer(stream)
        assert got.get("reset") or got["headers"][":status"] == "400"
        assert client.get("/next")["body"] == b"/next"
    assert [seen.target for seen in origin.requests[before:]] == ["/next"]


def test_a_head_that_is_reset_is_counted_and_not_logged(edge):
    """docs/refusals.md says so: there is no request that could have a line."""
    before = edge.metric("edgeproxy_http_malformed_total", reason="bad_field") or 0
    with Client(edge, lenient=True) as client:
        assert client.answer(client.open("/nameless", fields=[("X-Upper", "a")]))["reset"]
        assert client.get("/behind-it")["body"] == b"/behind-it"
    assert edge.metric("edgeproxy_http_malformed_total", reason="bad_field") == before + 1
    edge.wait_access("/behind-it")
    assert not [line for line in edge.access() if line.get("path") == "/nameless"]


def test_forbidden_trailers_are_dropped_and_a_length_resets(edge, origin):
    def with_trailer(name, value):
        with Client(edge, lenient=True) as client:
            stream = client.open("/trailer", method="POST", fields=[("te", "trailers")], end=False)
            client.data(stream, b"hello")
            client.h2.send_headers(stream, [(name, value), ("x-mine", "yes")], end_stream=True)
            client.flush()
            return client.answer(stream)
    for name in ("authorization", "x_forwarded_for", "x.mine"):
        assert with_trailer(name, "x")["headers"][":status"] == "200"
        assert origin.requests[-1].trailers == [("x-mine", "yes")], name
    assert with_trailer("content-length", "3")["reset"]


def test_a_large_field_list_costs_that_stream_only(edge):
    with Client(edge) as client:
        got = client.answer(client.open("/", fields=[(f"x-{i}", "y" * 1000) for i in range(40)]))
        assert got["headers"][":status"] == "431"
        assert client.get("/next")["body"] == b"/next"


def test_a_stream_that_the_client_resets_ends_the_work_behind(start_edge, start_origin):
    gone = threading.Event()

    def script(peer):
        peer.request()
        peer.wait_end()
        gone.set()
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    with Client(edge) as client:
        stream = client.open("/cancelled")
        origin.wait_requests(1)
        client.h2.reset_stream(stream)
        client.flush()
        assert gone.wait(10)


def test_a_stream_that_is_not_read_does_not_stop_the_others(start_edge):
    """Flow control is per stream: one full window, the rest flows."""
    window = 1000
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    with Client(edge) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        client.h2.increment_flow_control_window(1 << 20)
        client.flush()
        stuck = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stuck, [*GOOD[:3], (":path", "/bytes?n=10000000")], end_stream=True)
        client.flush()
        acknowledge = client.h2.acknowledge_received_data
        client.h2.acknowledge_received_data = lambda size, stream: acknowledge(size, stream) if stream != stuck else None
        while len(client.got.get(stuck, {}).get("body", b"")) < window:
            client.turn()
        for _ in range(5):
            assert client.get("/pid")["headers"][":status"] == "200"
        assert len(client.got[stuck]["body"]) == window, "what the stream may send, and no more"


def test_ten_megabytes_pass_each_way(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    body = bytes(i % 251 for i in range(251 * 40_000))
    with edge.client(http2=True) as client:
        got = client.post(edge.url("/upload"), content=body)
        assert got.http_version == "HTTP/2"
        assert got.json() == {"bytes": len(body), "crc32": zlib.crc32(body), "trailers": []}
        assert client.get(edge.url(f"/bytes?n={len(body)}")).content == body


def test_more_streams_than_allowed_are_refused(start_edge, start_origin):
    """The limit is announced, and holds against a client that does not care."""
    release = threading.Event()

    def script(peer):
        while True:
            seen = peer.request()
            release.wait(20)
            peer.send(answer(seen.target.encode()))
    origin = start_origin(script)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {"https": {"http2": {"max_streams": 5}}}})
    with Client(edge) as client:
        streams = [client.open(f"/{i}") for i in range(5)]
        origin.wait_requests(5)
        client.turn()
        assert client.h2.remote_settings.max_concurrent_streams == 5
        head, sixth = client.h2.encoder.encode(GOOD), streams[-1] + 2
        client.wire.send(struct.pack(">I", len(head))[1:] + b"\x01\x05" + struct.pack(">I", sixth) + head)
        while True:  # the library does not know of the sixth stream, so its frames are read by hand
            size, kind, _, stream = struct.unpack(">IBBI", b"\0" + client.wire.exactly(9))
            payload = client.wire.exactly(size)
            if stream == sixth:
                assert (kind, payload) == (3, struct.pack(">I", 7)), "not RST_STREAM with REFUSED_STREAM"
                break
        release.set()
        assert all(client.answer(stream)["headers"][":status"] == "200" for stream in streams)
    assert len(origin.requests) == 5


@pytest.mark.parametrize("frame", [
    pytest.param(struct.pack(">I", 4)[1:] + b"\x08\0" + struct.pack(">I", 0) + struct.pack(">I", 0), id="WINDOW_UPDATE of 0"),
    pytest.param(struct.pack(">I", 20000)[1:] + b"\x00\0" + struct.pack(">I", 1) + b"x" * 20000, id="a frame above 16 KiB"),
    pytest.param(struct.pack(">I", 5)[1:] + b"\x06\0" + struct.pack(">I", 0) + b"12345", id="PING of five bytes"),
    pytest.param(struct.pack(">I", 4)[1:] + b"\x00\0" + struct.pack(">I", 0) + b"data", id="DATA on stream 0"),
    pytest.param(struct.pack(">I", 1)[1:] + b"\x01\x04" + struct.pack(">I", 2) + b"\x82", id="a stream with an even number"),
    pytest.param(struct.pack(">I", 3)[1:] + b"\x01\x04" + struct.pack(">I", 1) + b"\xff\xff\xff", id="broken HPACK"),
    pytest.param(struct.pack(">I", 0)[1:] + b"\x09\x04" + struct.pack(">I", 1), id="CONTINUATION out of place"),
])
def test_a_broken_frame_ends_the_connection_by_name(edge, frame):
    with Client(edge) as client:
        client.turn()
        client.wire.send(frame)
        assert client.until_ended() not in (None, 0)


def test_http2_is_not_offered_where_it_is_not_wanted(start_edge, start_origin):
    origin = start_origin()
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}, "listeners": {"https": {"protocols": ["http/1.1"]}}})
    assert edge.get("/", http2=True).http_version == "HTTP/1.1"


def test_the_answer_of_an_aborted_upload_is_delivered(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    with Client(edge) as client:
        stream = client.open("/early", method="POST", end=False)
        client.h2.send_data(stream, b"x" * 10000)
        client.flush()
        while "headers" not in client.got.get(stream, {}):
            client.turn()
        assert client.got[stream]["headers"][":status"] == "413"


def test_an_answer_before_the_end_of_its_request_is_not_followed_by_a_reset(start_edge):
    """At once, that is: clients such as curl 7.88 would take the answer for lost."""
    edge = start_edge({"routes": [{"path": "/none", "respond": {"status": 404, "body": "no"}}], "pools": {}})
    with Client(edge) as client:
        stream = client.open("/none", method="POST", end=False)
        client.data(stream, b"x" * 150_000, end=True)
        got = client.answer(stream)
        assert got["headers"][":status"] == "404" and got["body"] == b"no" and not got.get("reset")
        endless = client.open("/none", method="POST", end=False)
        while not client.got.get(endless, {}).get("reset"):
            client.turn()
        assert client.got[endless]["code"] == 0 and client.got[endless]["body"] == b"no"
        assert client.get("/none")["headers"][":status"] == "404"


@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
def test_no_upload_outlives_its_early_answer(start_edge, http2):
    """Wherever the answer meets the upload, the exchange ends with it: the stop at the end does not have to cut one."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    for _ in range(80):  # fewer than the handshakes that one address may have at once
        if not http2:
            wire = edge.wire()
            wire.send(b"POST /early HTTP/1.1\r\nHost: app.test\r\nContent-Length: 20000\r\n\r\n" + b"x" * 5000)
            wire.send(b"x" * 5000)
            assert wire.answer("POST").status == 413
            wire.close()
            continue
        with Client(edge) as client:
            stream = client.open("/early", method="POST", end=False)
            for size in (5000, 5000):
                client.h2.send_data(stream, b"x" * size)
                client.flush()
            while "headers" not in client.got.get(stream, {}):
                client.turn()
            assert client.got[stream]["headers"][":status"] == "413"


def test_websocket_over_http2(start_edge):
    """RFC 8441: CONNECT with :protocol."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    with Client(edge, lenient=True) as client:
        client.turn()
        assert client.h2.remote_settings.enable_connect_protocol == 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL was not announced"
        stream = client.open(pseudo=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                     (":authority", "app.test"), (":path", "/ws")],
                             fields=[("sec-websocket-version", "13")], end=False)
        while "headers" not in client.got.get(stream, {}):
            client.turn()
        assert client.got[stream]["headers"][":status"] == "200"
        client.h2.send_data(stream, b"\x81\x85\0\0\0\0hello")
        client.flush()
        while len(client.got[stream]["body"]) < 7:
            client.turn()
        assert client.got[stream]["body"] == b"\x81\x05hello"


def test_json_of_the_demo_worker_over_http2(start_edge):
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    got = edge.get("/headers", http2=True)
    assert got.http_version == "HTTP/2" and json.loads(got.text)["version"] == "HTTP/1.1" and DEADLINE
