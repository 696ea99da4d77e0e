# SPDX-License-Identifier: Apache-2.0
"""What people copy must work: every stack.yaml below examples/ passes `edgeproxy check`, and the sidecar serves."""
import getpass
import re
import shutil
import subprocess

import pytest
import yaml

from authority import Authority
from edge import ROOT, run
from origin import echoes_target
from wire import request

YAML = sorted((ROOT / "examples").rglob("*.yaml"))
MANIFESTS = [path for path in YAML if "apiVersion:" in path.read_text()]
STACKS = [path.relative_to(ROOT / "examples") for path in YAML if path not in MANIFESTS]


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
    devices = Authority(tmp_path / "devices")
    shutil.copy(devices.cert, tls / "devices.crt")
    shutil.copy(devices.crl, tls / "devices.crl")
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


def manifest(kind):
    return next(found for found in map(yaml.safe_load, (path.read_text() for path in MANIFESTS)) if found["kind"] == kind)


def test_the_pod_is_locked_down_and_asks_the_right_probes():
    spec = manifest("Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["initContainers"], *spec["containers"]]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"] and rights["capabilities"] == {"drop": ["ALL"]}
    [sidecar] = spec["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    stack = yaml.safe_load((ROOT / "examples/sidecar/stack.yaml").read_text())
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    assert stack["listeners"]["https"]["address"] == f":{ports['https']}" and stack["metrics"]["listen"] == f":{ports['metrics']}"
    asked = {name: sidecar[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": {"path": "/livez", "port": "metrics"}, "livenessProbe": {"path": "/livez", "port": "metrics"},
                     "readinessProbe": {"path": "/readyz", "port": "metrics"}}
    shutdown = stack["server"]["shutdown"]
    assert spec["terminationGracePeriodSeconds"] >= sum(int(shutdown[key].removesuffix("s")) for key in ("delay", "grace_period"))


def test_the_manifests_fit_each_other():
    pod = manifest("Deployment")["spec"]["template"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= set(volumes)
        assert not any("subPath" in mount for mount in container.get("volumeMounts", [])), "it would never see a renewed certificate"
    assert manifest("Certificate")["spec"]["secretName"] == volumes["tls"]["secret"]["secretName"]
    assert manifest("Service")["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert manifest("PodMonitor")["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    kustomization = manifest("Kustomization")
    for name in [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]]:
        assert (ROOT / "examples/sidecar" / name).is_file()


PROMTOOL = shutil.which("promtool", path=f"{ROOT / 'build/tools/usr/bin'}:/usr/bin:/bin")


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_the_alerts_are_understood_by_prometheus():
    done = subprocess.run([PROMTOOL, "check", "config", "prometheus.yml"], cwd=ROOT / "examples/monitoring", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_ask_for_metrics_that_are_there(start_edge):
    """Every name in an expression is one that a running edgeproxy tells."""
    edge = start_edge({"pools": {"app": {"command": "edgeproxy-demo-worker", "health": "/healthz"}}})
    edge.get("/pid")
    told = {name for name, _ in edge.metrics()} | {"up"}
    rules = yaml.safe_load((ROOT / "examples/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        for name in re.findall(r"\b(?:edgeproxy|process)_\w+", rule["expr"]):
            assert name in told, f"{rule['alert']} asks for {name}"
