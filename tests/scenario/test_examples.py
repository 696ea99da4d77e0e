# SPDX-License-Identifier: Apache-2.0
"""What people copy must work: every stack.yaml below examples/ passes `edgeproxy check`, and the sidecar serves."""
import getpass
import shutil

import pytest
import yaml

from edge import ROOT, run
from origin import echoes_target
from wire import request

STACKS = sorted(path.relative_to(ROOT / "examples") for path in (ROOT / "examples").rglob("*.yaml"))


@pytest.fixture
def machine(tmp_path, make_certificate):
    """The examples, with the certificates and folders that they take for granted."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    tls = tmp_path / "tls"
    tls.mkdir()
    for name, hosts in [("tls", ["localhost"]), ("site", ["example.com", "www.example.com"]), ("api", ["api.example.com", "*.api.example.com"])]:
        made = make_certificate(*hosts)
        shutil.copy(made.cert, tls / f"{name}.crt")
        shutil.copy(made.key, tls / f"{name}.key")
    shutil.copy(tls / "tls.crt", tmp_path / "examples/fullchain.pem")
    shutil.copy(tls / "tls.key", tmp_path / "examples/privkey.pem")
    return tmp_path / "examples", {"TLS_DIR": str(tls), "APP_DIR": str(ROOT / "examples/fastapi"),
                                   "CHAT_DIR": str(ROOT / "examples/django"), "APP_USER": getpass.getuser()}


def test_the_examples_are_found():
    assert len(STACKS) >= 8


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_an_example_passes_check(machine, stack):
    folder, variables = machine
    done = run("check", "-c", folder / stack, env=variables)
    assert done.returncode == 0 and "error" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr


def test_the_sidecar_serves_what_stands_behind_it(start_edge, start_origin, certificate, tmp_path):
    """The example as it is, but for the ports."""
    shutil.copy(certificate.cert, tmp_path / "tls.crt")
    shutil.copy(certificate.key, tmp_path / "tls.key")
    origin = start_origin(echoes_target)
    stack = yaml.safe_load((ROOT / "examples/sidecar/stack.yaml").read_text())
    stack["listeners"]["https"]["address"] = "127.0.0.1:{port:https}"
    stack["listeners"]["http"] = None
    stack["pools"]["app"]["endpoints"] = [origin.address]
    stack["metrics"]["listen"] = "127.0.0.1:{port:metrics}"
    stack["server"]["shutdown"] = {"delay": "200ms", "grace_period": "10s"}
    stack["tls"] |= {"cert": None, "key": None}
    edge = start_edge(stack, env={"TLS_DIR": str(tmp_path)})
    with edge.tls_wire() as wire:
        assert wire.ask(request("/a?b")).body == b"/a?b"
    assert edge.get("/h2", http2=True).text == "/h2"
    assert [seen.get("x-forwarded-proto") for seen in origin.requests if seen.target == "/a?b"] == ["https"]
