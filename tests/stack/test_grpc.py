# SPDX-License-Identifier: Apache-2.0
"""gRPC end to end: a real client, through TLS and HTTP/2, to a real server behind. What the server and the client see is the
verdict. https://grpc.github.io/grpc/core/md_doc_statuscodes.html"""
import threading
import time
from concurrent import futures

import grpc
import pytest

from procs import within

NAMES = {"Unary": "unary_unary", "Down": "unary_stream", "Up": "stream_unary", "Chat": "stream_stream", "Fail": "unary_unary",
         "Hang": "unary_unary", "Left": "unary_unary", "Meta": "unary_unary", "Endless": "unary_stream"}


class Service:
    """Raw bytes in and out: what travels is what is tested."""

    def __init__(self):
        self.cancelled, self.entered = threading.Event(), threading.Event()

    def Unary(self, data, context):
        return data[::-1]

    def Down(self, data, context):
        for number in range(int(data)):
            yield str(number).encode()

    def Up(self, pieces, context):
        return str(sum(len(piece) for piece in pieces)).encode()

    def Chat(self, pieces, context):
        for piece in pieces:
            yield b"you said " + piece

    def Fail(self, data, context):
        context.set_trailing_metadata((("reason", "tested"), ("some-bin", b"\0\xff")))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: 100 % wröng")

    def Hang(self, data, context):
        context.add_callback(self.cancelled.set)
        self.entered.set()
        self.cancelled.wait(30)
        return b""

    def Left(self, data, context):
        return str(context.time_remaining()).encode()

    def Meta(self, data, context):
        context.send_initial_metadata((("first", "head"),))
        context.set_trailing_metadata((("last", "trailer"),))
        return dict(context.invocation_metadata()).get("mine", "none").encode()

    def Endless(self, data, context):
        context.add_callback(self.cancelled.set)
        while context.is_active():
            yield b"x" * 10_000

    def handlers(self):
        made = {name: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(self, name)) for name, kind in NAMES.items()}
        return grpc.method_handlers_generic_handler("test.Service", made)


class Served:
    """A grpcio server on 127.0.0.1."""

    def __init__(self, certificate=None):
        self.service = Service()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
        self.server.add_generic_rpc_handlers((self.service.handlers(),))
        if certificate:
            credentials = grpc.ssl_server_credentials([(certificate.key.read_bytes(), certificate.cert.read_bytes())])
            port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self.server.start()


@pytest.fixture
def serve():
    started = []

    def start(certificate=None):
        started.append(Served(certificate))
        return started[-1]
    yield start
    for one in started:
        one.service.cancelled.set()
        one.server.stop(0).wait()


@pytest.fixture
def call(certificate):
    """A function that gives a callable for a method, through an edgeproxy."""
    channels = []

    def method(edge, name):
        if not channels or channels[0][0] is not edge:
            credentials = grpc.ssl_channel_credentials(certificate.ca.read_bytes())
            channels.insert(0, (edge, grpc.secure_channel(f"localhost:{edge.ports['https']}", credentials)))
        return getattr(channels[0][1], NAMES[name])(f"/test.Service/{name}")
    yield method
    for _, channel in channels:
        channel.close()


@pytest.fixture(params=["h2c", "h2"])
def started(request, serve, start_edge, certificate):
    """(edge, service): to the server in plain text, or over TLS."""
    if request.param == "h2c":
        served = serve()
        pool = {"endpoints": [f"h2c://{served.address}"]}
    else:
        served = serve(certificate)
        pool = {"endpoints": [f"https://{served.address}"], "protocol": "h2", "tls": {"ca": str(certificate.ca)}}
    return start_edge({"pools": {"app": pool}}), served.service


def test_the_four_kinds_of_calls(started, call):
    edge, _ = started
    assert call(edge, "Unary")(b"abc") == b"cba"
    assert [int(piece) for piece in call(edge, "Down")(b"300")] == list(range(300))
    assert call(edge, "Up")(iter([b"x" * 1000] * 500)) == b"500000"

    # In turns: each message goes only when the answer to the one before has come.
    said, more = [], threading.Semaphore(1)

    def talk():
        for number in range(20):
            more.acquire()
            yield str(number).encode()
    for answer in call(edge, "Chat")(talk()):
        said.append(answer)
        more.release()
    assert said == [f"you said {number}".encode() for number in range(20)]


def test_large_messages(started, call):
    edge, _ = started
    data = bytes(range(256)) * 12_000
    assert call(edge, "Unary")(data, timeout=60) == data[::-1]


def test_metadata_goes_both_ways(started, call):
    edge, _ = started
    answer, done = call(edge, "Meta").with_call(b"", metadata=(("mine", "yes"),))
    assert answer == b"yes"
    assert ("first", "head") in done.initial_metadata() and ("last", "trailer") in done.trailing_metadata()


def test_an_error_of_the_service_arrives_as_it_was_told(started, call):
    edge, _ = started
    with pytest.raises(grpc.RpcError) as failed:
        call(edge, "Fail")(b"")
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "not like this: 100 % wröng"
    trailing = dict(failed.value.trailing_metadata())
    assert trailing["reason"] == "tested" and trailing["some-bin"] == b"\0\xff"


def test_deadlines_pass(started, call):
    edge, service = started
    assert 0 < float(call(edge, "Left")(b"", timeout=40)) <= 40
    with pytest.raises(grpc.RpcError) as failed:
        call(edge, "Hang")(b"", timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(15), "the server was not told"


@pytest.mark.parametrize("name", ["Hang", "Endless"])
def test_a_cancelled_call_ends_at_the_server(started, call, name):
    edge, service = started
    if name == "Hang":
        running = call(edge, name).future(b"")
        assert service.entered.wait(15)
    else:
        running = call(edge, name)(b"")
        next(running)
    running.cancel()
    assert service.cancelled.wait(15), "the server was not told"


def test_many_calls_share_few_connections(started, call):
    edge, _ = started
    with futures.ThreadPoolExecutor(40) as pool:
        unary = call(edge, "Unary")
        answers = list(pool.map(lambda number: unary(str(number).encode() * 100), range(400)))
    assert answers == [(str(number).encode() * 100)[::-1] for number in range(400)]
    assert edge.metric("edgeproxy_upstream_connections_reused_total", pool="app") >= 390
    assert not edge.metric("edgeproxy_http2_glitches_total", reason="window_update")


def test_a_server_that_stops_hands_over(serve, start_edge, call):
    """GOAWAY: what it has it finishes, what comes later goes to the other."""
    first, second = serve(), serve()
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{one.address}" for one in (first, second)]}}})
    stop, failures, answered = threading.Event(), [], 0

    def ask():
        nonlocal answered
        unary = call(edge, "Unary")
        while not stop.is_set():
            try:
                assert unary(b"ab", timeout=20) == b"ba"
                answered += 1
            except grpc.RpcError as error:
                # What grpc's server accepted in the moment of its end, it cancels itself, in one of two ways.
                if error.details() not in ("Cancelling all calls", "CANCELLED"):
                    failures.append(error)
    asker = threading.Thread(target=ask)
    call(edge, "Unary")(b"warm")
    asker.start()
    within(15, lambda: answered > 20, "some answers")
    first.server.stop(5).wait()
    before = answered
    within(15, lambda: answered > before + 20, "answers after the stop")
    stop.set()
    asker.join()
    assert not failures


# what edgeproxy says itself

def refused(call, edge, name="Unary", **options):
    with pytest.raises(grpc.RpcError) as failed:
        call(edge, name)(b"", timeout=20, **options)
    return failed.value


def test_no_server_is_unavailable(start_edge, call):
    edge = start_edge({"pools": {"app": {"endpoints": ["h2c://127.0.0.1:1"], "retries": 0}}})
    error = refused(call, edge)
    assert error.code() == grpc.StatusCode.UNAVAILABLE and error.details() == "The application refuses connections."
    assert dict(error.trailing_metadata() or ()).get("x-request-id") or dict(error.initial_metadata() or ()).get("x-request-id")


def test_a_late_server_is_a_deadline(serve, start_edge, call):
    served = serve()
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{served.address}"], "timeouts": {"response": "300ms"}}}})
    error = refused(call, edge, "Hang")
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and error.details() == "The application did not answer in time."
    assert served.service.cancelled.wait(15), "the server was not told"
    assert edge.wait_access("/test.Service/Hang")["error"] == "http_response_timeout"


def test_no_route_is_unimplemented(serve, start_edge, call):
    served = serve()
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{served.address}"]}},
                       "routes": [{"path": "/elsewhere", "pool": "app"}]})
    assert refused(call, edge).code() == grpc.StatusCode.UNIMPLEMENTED


def test_too_much_is_exhausted(serve, start_edge, call):
    served = serve()
    edge = start_edge({"pools": {"app": {"endpoints": [f"h2c://{served.address}"]}},
                       "routes": [{"pool": "app", "max_body": "1KiB"}]})
    with pytest.raises(grpc.RpcError) as failed:
        call(edge, "Unary")(b"x" * 100_000, timeout=20)
    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
