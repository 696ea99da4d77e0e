# SPDX-License-Identifier: Apache-2.0
"""Certificates that change on disk while they are served: new handshakes get the new one, nobody is dropped, and what
cannot be served is refused."""
import os
import shutil
import signal
import socket
import ssl
import threading

import pytest

from origin import echoes_target
from procs import within
from wire import Wire, request


def serial(edge):
    with edge.tls_wire() as wire:
        return wire.socket.getpeercert()["serialNumber"]


def file_serial(path):
    return ssl._ssl._test_decode_cert(str(path))["serialNumber"]


def reloads(edge, result):
    return edge.metric("edgeproxy_tls_certificate_reloads_total", result=result)


def wait_serves(edge, one):
    within(20, lambda: serial(edge) == file_serial(one.cert), "the new certificate")


def copy(one, cert, key):
    """In place: the same files get other bytes."""
    cert.write_bytes(one.cert.read_bytes())
    key.write_bytes(one.key.read_bytes())
    key.chmod(0o600)


@pytest.fixture(scope="module")
def certificates(make_certificate):
    return [make_certificate("localhost", "app.test") for _ in range(4)]


@pytest.fixture
def start(start_edge, start_origin):
    def made(cert, key, **more):
        return start_edge({"pools": {"app": {"endpoints": [start_origin(echoes_target).address]}},
                           "listeners": {"https": {"limits": {"handshakes_per_source": "off"}}},
                           "tls": {"cert": str(cert), "key": str(key), "reload": "100ms", **more}})
    return made


@pytest.fixture
def pair(tmp_path, certificates):
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    copy(certificates[0], cert, key)
    return cert, key


class Crowd:
    """Shakes hands all the time, and counts what fails."""

    def __init__(self, edge):
        self.edge, self.done, self.failed, self.ending = edge, 0, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ending:
            try:
                with self.edge.tls_wire() as wire:
                    assert wire.ask(request("/crowd")).status == 200
                self.done += 1
            except Exception as error:  # whatever it is, it must not happen
                self.failed.append(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join(30)


def test_three_rotations_of_a_kubernetes_volume_drop_nobody(start, tmp_path, certificates):
    volume = tmp_path / "volume"
    volume.mkdir()

    def rotate(number):
        data = volume / f"..2026_{number}"
        data.mkdir()
        copy(certificates[number], data / "tls.crt", data / "tls.key")
        link = volume / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(volume / "..data")
        old = volume / f"..2026_{number - 1}"
        if old.exists():
            shutil.rmtree(old)

    rotate(0)
    for name in ("tls.crt", "tls.key"):
        (volume / name).symlink_to(f"..data/{name}")
    edge = start(volume / "tls.crt", volume / "tls.key")
    sessions = {}
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        sessions[version] = visit(edge, version)[1]
    with Crowd(edge) as crowd, edge.tls_wire() as lasting:
        for number in (1, 2, 3):
            rotate(number)
            wait_serves(edge, certificates[number])
            assert lasting.ask(request(f"/lasting/{number}")).body == b"/lasting/%d" % number
    assert crowd.done > 0 and not crowd.failed
    for version, session in sessions.items():
        assert visit(edge, version, session)[0], f"a session of {version} resumes after three rotations"
    assert reloads(edge, "ok") == 3 and reloads(edge, "refused") == 0
    secret = certificates[1].key.read_text().splitlines()[1]
    for text in (edge.log(), edge.admin("/metrics")[1]):
        assert secret not in text and "PRIVATE KEY" not in text


def visit(edge, version, session=None):
    """(resumed, session) of one request."""
    context = edge.context(("http/1.1",))
    context.minimum_version = context.maximum_version = version
    contexts.append(context)
    if session is not None:
        context = session[0]
    raw = socket.create_connection(edge.address("https"), timeout=10)
    with context.wrap_socket(raw, server_hostname="localhost", session=session and session[1]) as stream:
        stream.sendall(request("/a"))
        assert b"200" in stream.recv(65536)
        return stream.session_reused, (context, stream.session)


contexts = []  # a session belongs to its context, which must live as long


def test_files_that_are_overwritten_or_renamed_are_served(start, pair, certificates, tmp_path):
    edge = start(*pair)
    copy(certificates[1], *pair)
    wait_serves(edge, certificates[1])
    fresh = tmp_path / "fresh.crt", tmp_path / "fresh.key"
    copy(certificates[2], *fresh)
    for new, old in zip(fresh, pair):
        new.rename(old)
    wait_serves(edge, certificates[2])
    assert edge.metric("edgeproxy_tls_certificate_not_after_timestamp_seconds") > 0


@pytest.mark.parametrize("damage, said", [("mismatch", "the key does not fit"), ("truncated", "damaged"),
                                          ("empty", "the file is empty"), ("gone", "cannot read")])
def test_a_pair_that_cannot_be_served_is_refused_and_the_old_one_stays(start, pair, certificates, damage, said):
    edge = start(*pair)
    cert, key = pair
    if damage == "mismatch":
        key.write_bytes(certificates[1].key.read_bytes())
    elif damage == "truncated":
        cert.write_bytes(certificates[1].cert.read_bytes()[:300])
    elif damage == "empty":
        cert.write_bytes(b"")
    else:
        key.unlink()
    within(20, lambda: reloads(edge, "refused") == 1, "the refusal is counted")
    assert serial(edge) == file_serial(certificates[0].cert)
    line = edge.wait_log(r'.*"certificate_refused".*')[0]
    assert said in line and ("tls.crt" in line or "tls.key" in line)
    copy(certificates[2], *pair)
    wait_serves(edge, certificates[2])
    assert reloads(edge, "ok") == 1 and reloads(edge, "refused") == 1


def test_one_bad_pair_does_not_hold_up_the_others(start_edge, start_origin, tmp_path, make_certificate, certificates):
    paths = [(tmp_path / f"{name}.crt", tmp_path / f"{name}.key") for name in "ab"]
    second = [make_certificate("b.test") for _ in range(2)]
    copy(certificates[0], *paths[0])
    copy(second[0], *paths[1])
    edge = start_edge({"pools": {"app": {"endpoints": [start_origin(echoes_target).address]}},
                       "tls": {"cert": None, "key": None, "reload": "100ms", "certificates": [
                           {"cert": str(cert), "key": str(key)} for cert, key in paths]}})
    paths[0][1].write_bytes(certificates[1].key.read_bytes())
    copy(second[1], *paths[1])

    def b_serial():
        with Wire(edge.address("https"), context=edge.context(), server_hostname="b.test") as wire:
            return wire.socket.getpeercert()["serialNumber"]
    within(20, lambda: b_serial() == file_serial(second[1].cert), "the good one of the two")
    within(20, lambda: reloads(edge, "refused") == 1, "the bad one is counted")
    assert serial(edge) == file_serial(certificates[0].cert)


def test_the_watch_on_files_follows_a_reload_of_the_configuration(start, pair, certificates, tmp_path):
    """How often they are looked at, and which: first never, then these, then others."""
    edge = start(*pair, reload="off")
    edge.rewrite({"tls": {"reload": "100ms"}})
    assert edge.command("reload").returncode == 0
    copy(certificates[1], *pair)
    wait_serves(edge, certificates[1])
    other = tmp_path / "other.crt", tmp_path / "other.key"
    copy(certificates[2], *other)
    edge.rewrite({"tls": {"cert": str(other[0]), "key": str(other[1]), "reload": "100ms"}})
    assert edge.command("reload").returncode == 0
    assert serial(edge) == file_serial(certificates[2].cert)
    copy(certificates[0], *pair)  # nobody's any more
    copy(certificates[3], *other)
    wait_serves(edge, certificates[3])
    assert reloads(edge, "ok") == 2 and reloads(edge, "refused") == 0


def test_a_proxy_that_comes_back_serves_what_was_accepted_last(start, pair, certificates):
    edge = start(*pair)
    copy(certificates[1], *pair)
    wait_serves(edge, certificates[1])
    pair[1].write_bytes(certificates[0].key.read_bytes())
    within(20, lambda: reloads(edge, "refused") == 1, "the refusal is counted")
    old = edge.proxy
    os.kill(old, signal.SIGKILL)
    within(30, lambda: edge.proxy not in (old, None) and edge.status("/readyz") == 200, "another proxy")
    assert serial(edge) == file_serial(certificates[1].cert)
    assert edge.wait_log("certificate_refused")
