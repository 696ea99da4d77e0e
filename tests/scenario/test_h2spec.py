# SPDX-License-Identifier: Apache-2.0
"""The conformance suite h2spec, in strict mode, over TLS (RFC 9113, RFC 7541). tests/run.sh builds it."""
import os
import subprocess
import xml.etree.ElementTree as xml

import pytest

from edge import ROOT
from origin import answer

TOOL = ROOT / "build/tools/bin/h2spec"
CASES = 146


def test_every_case_of_h2spec_passes(start_edge, start_origin, tmp_path):
    if not TOOL.exists():
        assert os.environ.get("CI") != "true", "h2spec is missing"
        pytest.skip("h2spec is not built (bash tests/run.sh does that)")
    def reads_to_the_end(peer):  # an answer that comes before a wrong trailer would be right as well, and no error
        while True:
            peer.request()
            peer.send(answer(b"an answer of some length\n"))
    origin = start_origin(reads_to_the_end)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}}})
    report = tmp_path / "h2spec.xml"
    host, port = edge.address("https")
    run = subprocess.run([TOOL, "--strict", "--tls", "--insecure", "--host", host, "--port", str(port), "--path", "/",
                          "--timeout", "10", "--junit-report", report], capture_output=True, text=True, timeout=100)
    assert report.exists(), run.stdout[-3000:] + run.stderr[-3000:]
    cases = list(xml.parse(report).iter("testcase"))
    failed = [case.get("package") + ": " + case.get("classname") for case in cases if len(case) > 0]
    assert not failed, "\n".join(failed) + run.stdout[-3000:]
    assert len(cases) >= CASES and run.returncode == 0, run.stdout[-3000:]
