# SPDX-License-Identifier: Apache-2.0
"""A request over a kept connection asks nothing of the heap once everything is warm."""
import struct
from pathlib import Path

import pytest
import yaml

from edge import BINARY, SANITIZED
from http2 import Client
from wire import request

COUNTER = BINARY.parent / "libedgeproxy-count-allocations.so"
CEILINGS = yaml.safe_load((Path(__file__).parent.parent / "bench" / "ceilings.yaml").read_text())["allocations"]
WARM_UP, ROUNDS = 500, 2000


class Counted:
    """edgeproxy whose calls of malloc and its kin are counted."""

    def __init__(self, start_edge, origin, folder, access_log=False):
        self.folder = folder
        self.edge = start_edge({"server": {"threads": 1}, "pools": {"app": {"endpoints": [origin.address]}},
                                "logging": {"access": {"output": "stdout"} if access_log else False}},
                               env={"LD_PRELOAD": str(COUNTER), "EDGEPROXY_ALLOCATIONS": str(folder)})

    def allocations(self):
        return sum(struct.unpack("=Q", file.read_bytes())[0] for file in self.folder.iterdir())

    def of_a_request(self, ask):
        """How many a call of `ask` takes, on average, once everything is warm."""
        for _ in range(WARM_UP):
            ask()
        before = self.allocations()
        assert before > 0, "nothing was counted at all: the counter is not in the process"
        for _ in range(ROUNDS):
            ask()
        return (self.allocations() - before) / ROUNDS


@pytest.mark.skipif(SANITIZED, reason="sanitizers bring their own heap")
@pytest.mark.parametrize("access_log", [False, True], ids=["log-off", "log-on"])
def test_a_plain_request_needs_no_heap(start_edge, start_origin, tmp_path, access_log):
    counted = Counted(start_edge, start_origin(), tmp_path, access_log)
    with counted.edge.wire() as wire:
        def ask():
            assert wire.ask(request("/x", fields=[("User-Agent", "counting"), ("Cookie", "a=b")])).status == 200
        # A connection that has served its 1,000 requests makes room for a fresh one; nothing else may be there.
        assert counted.of_a_request(ask) < 0.01


@pytest.mark.skipif(SANITIZED, reason="sanitizers bring their own heap")
@pytest.mark.parametrize("name", CEILINGS)
def test_a_request_asks_the_heap_no_more_often_than_its_ceiling(start_edge, start_origin, tmp_path, name):
    counted = Counted(start_edge, start_origin(), tmp_path)
    if name == "tls":
        with counted.edge.tls_wire() as wire:
            def ask():
                assert wire.ask(request("/x")).status == 200
            seen = counted.of_a_request(ask)
    else:
        with Client(counted.edge) as client:
            def ask():
                assert client.get("/x")["headers"][":status"] == "200"
            seen = counted.of_a_request(ask)
    print(name, seen)
    assert seen <= CEILINGS[name], f"{seen:.3f} allocations a request, at most {CEILINGS[name]}"
