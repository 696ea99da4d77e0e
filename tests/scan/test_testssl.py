# SPDX-License-Identifier: Apache-2.0
"""testssl.sh against a running edgeproxy: no finding above LOW, by its own severities. The authority of the test is given
to it, and the certificate names where its revocation is told. About a minute; `bash tests/run.sh --only scan`."""
import json
import shutil
import subprocess

import pytest

from authority import Authority
from origin import echoes_target
from wire import request

PINNED = "3.0.8"  # of Debian 12
# What a test on loopback cannot have: addresses of the authority that answer, a listing in logs of transparency.
NOT_OURS = {"cert_crlRevoked", "cert_ocspRevoked", "certificate_transparency", "DNS_CAArecord",
            "security_headers"}  # the application's


@pytest.mark.deadline(5)
@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_no_finding_above_low(start_edge, start_origin, tmp_path, profile):
    program = shutil.which("testssl")
    assert program, "testssl.sh is missing: bash tests/run.sh --only scan installs it"
    said = subprocess.run([program, "--version", "--color", "0"], capture_output=True, text=True)
    assert PINNED in said.stdout + said.stderr
    authority = Authority(tmp_path / "authority")
    ec = authority.server("localhost", "scan.test")
    staple = authority.staple(ec, tmp_path / "answer.ocsp")
    edge = start_edge({
        "pools": {"app": {"endpoints": [start_origin(echoes_target).address]}},
        "listeners": {"https": {"address": "127.0.0.1:{port:https}", "tls": True,
                                "limits": {"handshakes_per_source": "off"}}},
        "tls": {"cert": None, "key": None, "profile": profile, "hsts": "1y",
                "certificates": [{"cert": str(ec.cert), "key": str(ec.key), "ocsp": str(staple)}]}})
    report = tmp_path / "report.json"
    done = subprocess.run([program, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
                           "--add-ca", authority.cert, "--jsonfile", report, f"localhost:{edge.ports['https']}"],
                          capture_output=True, text=True, timeout=550, stdin=subprocess.DEVNULL)
    findings = json.loads(report.read_text())
    assert len(findings) > 60, done.stdout[-2000:]
    bad = [one for one in findings if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and
           one["id"].split(" ")[0] not in NOT_OURS]
    assert not bad, "\n".join(f"{one['severity']} {one['id']}: {one['finding']}" for one in bad)
    said = {one["id"].split(" ")[0]: one["finding"] for one in findings}
    assert "offered" in said["TLS1_3"] and "not offered" in said["TLS1_1"]
    with edge.wire() as wire:
        assert wire.ask(request("/good")).body == b"/good"
