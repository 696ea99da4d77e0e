# SPDX-License-Identifier: Apache-2.0
"""The Autobahn suite against an echo server, directly and through edgeproxy: no case that passes without edgeproxy fails with
it. RFC 6455, RFC 7692. Run by `tests/run.sh --autobahn`, which installs the suite below build/autobahn; half an hour."""
import asyncio
import json
import os
import subprocess
import threading

import pytest
from websockets.asyncio.server import serve

import edge

WSTEST = edge.ROOT / "build/autobahn/wstest"
# EDGEPROXY_AUTOBAHN_CASES="1.* 7.*" runs some of them.
CASES = os.environ.get("EDGEPROXY_AUTOBAHN_CASES", "*").split()
ONE_RUN = 3600


@pytest.fixture(scope="module")
def echo():
    """An echo server with compression, in a thread of its own; its port."""
    async def answer(socket):
        try:
            async for message in socket:
                await socket.send(message)
        except Exception:  # the suite breaks every rule; what counts is what it got back
            pass

    async def run(started, ports):
        async with serve(answer, "127.0.0.1", 0, max_size=64 << 20, compression="deflate", ping_interval=None) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await asyncio.Future()
    started, ports = threading.Event(), []
    threading.Thread(target=lambda: asyncio.run(run(started, ports)), daemon=True).start()
    assert started.wait(10)
    return ports[0]


@pytest.mark.deadline(ONE_RUN // 120)
def test_no_case_fails_through_the_tunnel_that_passes_without(start_edge, echo, tmp_path):
    running = start_edge({"pools": {"app": {"endpoints": [f"127.0.0.1:{echo}"]}}})
    spec = {"outdir": str(tmp_path / "reports"), "cases": CASES, "exclude-cases": [], "exclude-agent-cases": {},
            "servers": [{"agent": "direct", "url": f"ws://127.0.0.1:{echo}"},
                        {"agent": "tunnel", "url": running.url("/", "http").replace("http", "ws", 1)}]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([WSTEST, "-m", "fuzzingclient", "-s", tmp_path / "spec.json"], stdout=log, stderr=log, cwd=tmp_path,
                       timeout=ONE_RUN - 60, check=True)
    found = json.loads((tmp_path / "reports/index.json").read_text())
    direct, tunnel = found["direct"], found["tunnel"]
    assert direct.keys() == tunnel.keys() and direct
    well = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")
    for what in ("behavior", "behaviorClose"):
        worse = [(case, direct[case][what], tunnel[case][what]) for case in direct
                 if tunnel[case][what] not in well and direct[case][what] in well]
        assert not worse, f"{what} of {len(direct)} cases: {worse}"
    passed = sum(one["behavior"] in well for one in tunnel.values())
    print(f"\n{len(direct)} cases, {passed} pass through the tunnel, {sum(one['behavior'] in well for one in direct.values())} without")
