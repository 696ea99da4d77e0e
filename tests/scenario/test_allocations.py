# SPDX-License-Identifier: Apache-2.0
"""A request over a kept connection asks nothing of the heap once everything is warm."""
import struct

import pytest

from edge import BINARY, SANITIZED
from wire import request

COUNTER = BINARY.parent / "libedgeproxy-count-allocations.so"
ROUNDS = 2000


@pytest.mark.skipif(SANITIZED, reason="sanitizers bring their own heap")
@pytest.mark.parametrize("access_log", [False, True], ids=["log-off", "log-on"])
def test_a_plain_request_needs_no_heap(start_edge, start_origin, tmp_path, access_log):
    origin = start_origin()
    edge = start_edge({"server": {"threads": 1}, "pools": {"app": {"endpoints": [origin.address]}},
                       "logging": {"access": {"output": "stdout"} if access_log else False}},
                      env={"LD_PRELOAD": str(COUNTER), "EDGEPROXY_ALLOCATIONS": str(tmp_path)})

    def allocations():
        return sum(struct.unpack("=Q", file.read_bytes())[0] for file in tmp_path.iterdir())
    with edge.wire() as wire:
        def ask(rounds):
            for _ in range(rounds):
                assert wire.ask(request("/x", fields=[("User-Agent", "counting"), ("Cookie", "a=b")])).status == 200
        ask(500)
        before = allocations()
        assert before > 0, "nothing was counted at all: the counter is not in the process"
        ask(ROUNDS)
        asked = allocations() - before
    # A connection that has served its 1,000 requests makes room for a fresh one; nothing else may be there.
    assert asked < ROUNDS / 100, f"{asked} allocations in {ROUNDS} requests"
