# SPDX-License-Identifier: Apache-2.0
"""What tests/scenario and tests/stack share: the certificate, a running edgeproxy, a deadline for every test."""
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

import edge as edge_module  # noqa: E402
from origin import Origin  # noqa: E402

Certificate = namedtuple("Certificate", "cert key ca")
TEST_DEADLINE = 300 if edge_module.SANITIZED else 120


def pytest_sessionstart(session):
    for path in (edge_module.BINARY, edge_module.DEMO_WORKER):
        if not path.exists():
            pytest.exit(f"{path} is missing: build it, or say where it is by EDGEPROXY_BIN / EDGEPROXY_DEMO_WORKER", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails, by name; `deadline` as a mark gives it longer."""
    mark = item.get_closest_marker("deadline")

    def late(*_):
        raise TimeoutError("the test took longer than its deadline")
    signal.signal(signal.SIGALRM, late)
    signal.alarm((mark.args[0] if mark else 1) * TEST_DEADLINE)
    yield
    signal.alarm(0)


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(times): the test may take so many times the usual deadline")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory):
    """Makes a certificate for the names given, signed by one CA of this session."""
    folder = tmp_path_factory.mktemp("tls")
    ca, ca_key, made = folder / "ca.crt", folder / "ca.key", []
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
            "/CN=edgeproxy tests", "-keyout", ca_key, "-out", ca)

    def make(*names, days=30):
        made.append(names)
        stem = folder / f"leaf{len(made)}"
        cert, key, asked, extensions = (stem.with_suffix(end) for end in (".crt", ".key", ".csr", ".ext"))
        alternatives = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
        extensions.write_text(f"subjectAltName={alternatives}\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={names[0]}", "-keyout", key, "-out", asked)
        openssl("x509", "-req", "-in", asked, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", cert)
        key.chmod(0o600)
        return Certificate(cert, key, ca)
    return make


@pytest.fixture(scope="session")
def certificate(make_certificate):
    return make_certificate("localhost", "127.0.0.1", "app.test", "*.app.test")


def edges(certificate):
    """A function that starts an edgeproxy; at the end each must stop cleanly."""
    started = []

    def start(stack, *, wait="ready", exits=0, **options):
        edge = edge_module.Edge(certificate, stack, **options)
        edge.expected_exit = exits
        started.append(edge)
        return edge.start(wait)

    yield start
    problems = []
    for edge in started:
        try:
            edge.finish()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n\n".join(problems)


@pytest.fixture
def start_edge(certificate):
    yield from edges(certificate)


@pytest.fixture(scope="module")
def start_shared_edge(certificate):
    """For a table of cases that leave no trace: one edgeproxy for the module."""
    yield from edges(certificate)


@pytest.fixture
def start_origin():
    """A function that starts a scripted origin; at the end its script must not have failed."""
    started = []

    def start(*script, **options):
        started.append(Origin(*script, **options))
        return started[-1]

    yield start
    for origin in started:
        origin.close()
    assert not any(origin.errors for origin in started), [origin.errors for origin in started]
