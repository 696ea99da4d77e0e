# SPDX-License-Identifier: Apache-2.0
"""Clients that ask all the time while something is done to the workers; every answer counts, every failure is kept."""
import itertools
import threading
import time

from procs import within
from wire import request


class Load:
    """`with Load(edge, "/pid") as load:` asks from `clients` threads, half of them on kept connections. `pause`: seconds
    between an answer and the next request of the same client."""

    def __init__(self, edge, target="/pid", clients=6, data=None, listener="http", pause=0):
        self.edge, self.data, self.listener, self.pause = edge, data or request(target), listener, pause
        self.stop, self.done, self.failed, self.times = threading.Event(), [], [], []
        self.threads = [threading.Thread(target=self.client, args=(i % 2 == 0,)) for i in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        within(20, lambda: len(self.done) > 30 or self.failed, "the first answers")
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def connect(self):
        return self.edge.wire(deadline=40) if self.listener == "http" else self.edge.tls_wire(deadline=40)

    def client(self, kept):
        wire = None
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                wire = wire or self.connect()
                answer = wire.ask(self.next_request())
                self.note(answer, begun)
                if not kept or answer.get("connection", "").lower() == "close":
                    wire.close()
                    wire = None
            except Exception as error:  # the point is to see every way to fail
                self.failed.append(repr(error))
                if wire:
                    wire.close()
                wire = None
            if self.pause:
                self.stop.wait(self.pause)
        if wire:
            wire.close()

    def next_request(self):
        return self.data

    def note(self, answer, begun):
        now = time.monotonic()
        self.times.append((now, now - begun))
        (self.done if answer.status == 200 else self.failed).append(answer.body if answer.status == 200 else answer)

    def more(self, count=30, seconds=40):
        """Waits for so many further answers."""
        before = len(self.done)
        within(seconds, lambda: len(self.done) >= before + count, f"{count} more answers")

    def pids(self, last=60):
        """Who answered lately, for targets whose answer is the worker's pid."""
        return {int(body) for body in self.done[-last:] if body.strip().isdigit()}

    def slowest(self):
        return max(took for _, took in self.times)

    def longest_gap(self):
        moments = sorted(moment for moment, _ in self.times)
        return max((b - a for a, b in zip(moments, moments[1:])), default=0)

    def assert_none_failed(self):
        assert not self.failed, f"{len(self.failed)} of {len(self.failed) + len(self.done)} failed: {self.failed[:3]}"


class Posts(Load):
    """POSTs, each with an id of its own in X-Id; the application answers it."""

    def __init__(self, edge, target, **options):
        super().__init__(edge, **options)
        self.target, self.ids = target, itertools.count(1)

    def next_request(self):
        return request(self.target, method="POST", body=b"x", fields=[("X-Id", f"post-{next(self.ids)}")])
