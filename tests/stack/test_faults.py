# SPDX-License-Identifier: Apache-2.0
"""The fast part of tests/faults under its open-loop load: what the product promises about processes that die and code that
changes. The rest, with the chains that it is compared with: python3 tests/faults/run.py."""
import socket
import sys
import threading

import pytest

from edge import ROOT

sys.path.insert(0, str(ROOT / "tests/faults"))

import client as client_module  # noqa: E402
import run as runner  # noqa: E402
from procs import within  # noqa: E402

QUICK = [fault for fault in runner.FAULTS if fault.quick]


def test_the_runner_knows_the_faults_that_matter():
    names = {fault.name for fault in runner.FAULTS}
    assert len(names) == len(runner.FAULTS) >= 25
    assert {"kill9-worker", "kill9-all-workers", "kill9-proxy-3-times", "kill9-master", "hup", "hup-broken-code"} <= names


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_a_fault_costs_no_more_than_its_bars(fault):
    """Lost, wrong and refused; how long it took is for the runner to tell, on a machine that does nothing else."""
    row = runner.run(fault, fault.make, runner.chains.EdgeproxyChain.name, 1, gaps=False)
    if row.verdict in ("not yet", "skipped"):
        pytest.skip(f"{row.verdict}: {row.note}")
    assert row.verdict == "ok", row.line()


def test_the_client_tells_a_wrong_answer_a_lost_one_and_an_error_apart():
    """The runner can fail: an origin that answers everything with somebody else's id, then not at all, then with 500."""
    def serve(listener):
        answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nother 1", b"", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
        for answer in answers * 50:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.recv(4096)
            sock.sendall(answer)
            sock.close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        load = client_module.Client(listener.getsockname()[1], rate=50, fresh=True).start()
        within(20, lambda: load.so_far() >= 12, "answers")
        load.stop()
    figures = load.figures(0)
    assert figures.wrong >= 3 and figures.lost >= 3 and figures.errors >= 3 and figures.sent >= 12
