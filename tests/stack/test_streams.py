# SPDX-License-Identifier: Apache-2.0
"""Large and slow bodies cost no memory: a gibibyte each way, a reader that stops, a writer that drips."""
import subprocess
import threading
import time

import pytest

import procs
from edge import SANITIZED
from procs import within
from servers import by_name
from wire import request

MIB = 1 << 20
LARGE = 128 * MIB if SANITIZED else 1024 * MIB  # a sanitizer is ten times slower; the growth shows as well
GROWTH = 512 * MIB if SANITIZED else 32 * MIB   # and its allocator keeps freed memory in quarantine

STREAMERS = by_name("generic-fd", "generic-port")


class Memory:
    """The largest resident size of the proxy process while it is watched."""

    def __init__(self, edge):
        self.proxy, self.stop = edge.proxy, threading.Event()
        self.start = self.most = procs.resident_bytes(self.proxy)

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, procs.resident_bytes(self.proxy))

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def grew(self):
        return self.most - self.start


def curl(edge, *arguments, stdin=subprocess.DEVNULL):
    return subprocess.Popen(["curl", "-sS", "--cacert", edge.certificate.ca, "--no-buffer", *arguments], stdin=stdin,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def start(start_edge, server):
    edge = start_edge({"pools": {"app": server.pool(workers=1)}, "routes": [{"pool": "app", "max_body": "off"}]})
    with edge.client() as client:
        client.get(edge.url("/pid"))
    return edge


@pytest.mark.deadline(3)
@pytest.mark.parametrize("server", STREAMERS)
@pytest.mark.parametrize("listener, version", [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")])
def test_a_gibibyte_down_does_not_grow_the_proxy(start_edge, server, listener, version):
    edge = start(start_edge, server)
    with Memory(edge) as memory:
        done = curl(edge, version, "-o", "/dev/null", "-w", "%{size_download} %{http_code}", edge.url(f"/bytes?n={LARGE}", listener))
        out, error = done.communicate(timeout=300)
    assert done.returncode == 0, error
    assert out.decode() == f"{LARGE} 200"
    assert memory.grew() < GROWTH, f"grew by {memory.grew() // MIB} MiB"


@pytest.mark.deadline(3)
@pytest.mark.parametrize("server", STREAMERS)
@pytest.mark.parametrize("listener, version", [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")])
def test_a_gibibyte_up_does_not_grow_the_proxy(start_edge, server, listener, version):
    edge = start(start_edge, server)
    with Memory(edge) as memory:
        source = subprocess.Popen(["head", "-c", str(LARGE), "/dev/zero"], stdout=subprocess.PIPE)
        done = curl(edge, version, "-T", "-", "-H", "Expect:", edge.url("/upload", listener), stdin=source.stdout)
        source.stdout.close()
        out, error = done.communicate(timeout=300)
        source.wait()
    assert done.returncode == 0, error
    assert f'"bytes": {LARGE}' in out.decode()
    assert memory.grew() < GROWTH, f"grew by {memory.grew() // MIB} MiB"


@pytest.mark.deadline(3)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_gibibyte_through_uvicorn_each_way(start_edge, version):
    server = by_name("uvicorn")[0].values[0]
    edge = start(start_edge, server)
    size = LARGE // 4  # Python is the slow part here
    with Memory(edge) as memory:
        done = curl(edge, version, "-o", "/dev/null", "-w", "%{size_download}", edge.url(f"/download?n={size}"))
        out, error = done.communicate(timeout=300)
        assert out.decode() == str(size), error
        source = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
        done = curl(edge, version, "-X", "POST", "-T", "-", "-H", "Expect:", edge.url("/upload"), stdin=source.stdout)
        source.stdout.close()
        out, error = done.communicate(timeout=300)
        source.wait()
    assert f'"bytes":{size}' in out.decode(), error
    assert memory.grew() < GROWTH, f"grew by {memory.grew() // MIB} MiB"


def test_a_client_that_stops_reading_stops_the_worker_too(start_edge):
    """Backpressure end to end: what nobody reads is not collected in between."""
    server = by_name("generic-fd")[0].values[0]
    edge = start(start_edge, server)
    worker = edge.workers()[0]

    def worked():
        """CPU time of the worker, in ticks: it stands still while its sends wait."""
        fields = procs.read(worker, "stat").rsplit(b")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    with Memory(edge) as memory, edge.wire() as wire:
        wire.send(request(f"/bytes?n={1024 * MIB}"))

        def stands_still():
            now = worked()
            time.sleep(0.3)
            return worked() == now
        within(20, stands_still, "the worker to stop writing")
        # and it goes on where it stopped
        wire.head()
        assert len(wire.exactly(64 * MIB)) == 64 * MIB
    assert memory.grew() < GROWTH


def test_a_worker_that_reads_slowly_slows_the_client(start_edge):
    server = by_name("generic-fd")[0].values[0]
    edge = start(start_edge, server)
    sent = [0]
    with Memory(edge) as memory, edge.wire() as wire:
        wire.send(request("/upload?ms=200", method="POST", fields=[("Content-Length", str(1024 * MIB))]))
        wire.socket.settimeout(1.0)
        try:
            while sent[0] < 512 * MIB:
                sent[0] += wire.socket.send(b"x" * 65536)
        except TimeoutError:
            pass
        wire.reset()  # what is on its way need not be fed to that worker
    assert sent[0] < 64 * MIB, f"took {sent[0] // MIB} MiB from the client while the worker had read next to nothing"
    assert memory.grew() < GROWTH


@pytest.mark.parametrize("listener, http2", [("http", False), ("https", False), ("https", True)])
def test_many_slow_readers_cost_little_each(start_edge, listener, http2):
    server = by_name("generic-fd")[0].values[0]
    edge = start(start_edge, server)
    clients = []
    with Memory(edge) as memory:
        try:
            for _ in range(50):
                client = edge.client(http2)
                stream = client.stream("GET", edge.url(f"/bytes?n={64 * MIB}", listener))
                stream.__enter__()
                clients.append((client, stream))
            assert edge.get("/pid").status_code == 200, "others are served meanwhile"
        finally:
            for client, stream in clients:
                stream.__exit__(None, None, None)
                client.close()
    each = 16 * MIB if SANITIZED else MIB
    assert memory.grew() < 50 * each, f"grew by {memory.grew() // MIB} MiB for 50 clients"
