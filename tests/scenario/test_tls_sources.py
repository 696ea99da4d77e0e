# SPDX-License-Identifier: Apache-2.0
"""Where certificates come from: encrypted keys, a directory whose pairs come and go, and listeners with rules of their own."""
import os
import signal
import ssl

import pytest
import yaml

from authority import Authority, openssl
from edge import run
from origin import echoes_target
from procs import within
from wire import Wire, request

PASSWORD = "correct horse battery"


def reloads(edge, result):
    return edge.metric("edgeproxy_tls_certificate_reloads_total", result=result)


def serial_of(path):
    return ssl._ssl._test_decode_cert(str(path))["serialNumber"]


def served(edge, name, listener="https", alpn=("http/1.1",)):
    """The serial number of what is served for a name."""
    with Wire(edge.address(listener), context=edge.context(alpn), server_hostname=name) as wire:
        return wire.socket.getpeercert()["serialNumber"]


def put(one, folder, name):
    """The key first: a pair is found when both are there."""
    (folder / f"{name}.key").write_bytes(one.key.read_bytes())
    (folder / f"{name}.crt").write_bytes(one.cert.read_bytes())


@pytest.fixture
def app(start_origin):
    return {"app": {"endpoints": [start_origin(echoes_target).address]}}


@pytest.fixture
def encrypted(make_certificate, tmp_path):
    pair = make_certificate("localhost")
    key, secret = tmp_path / "locked.key", tmp_path / "password"
    openssl("pkey", "-in", pair.key, "-aes256", "-passout", f"pass:{PASSWORD}", "-out", key)
    key.chmod(0o600)
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    return {"cert": str(pair.cert), "key": str(key), "key_password_file": str(secret)}


def test_an_encrypted_key_is_served_and_its_password_stays_secret(start_edge, app, encrypted, make_certificate, tmp_path):
    edge = start_edge({"pools": app, "tls": {"cert": None, "key": None, "reload": "100ms", "certificates": [encrypted]}})
    with edge.tls_wire() as wire:
        assert wire.ask(request("/locked")).body == b"/locked"
    # Both change together, as a new certificate brings a new password.
    fresh = make_certificate("localhost")
    openssl("pkey", "-in", fresh.key, "-aes256", "-passout", "pass:another one", "-out", encrypted["key"])
    with open(encrypted["cert"], "wb") as cert:
        cert.write(fresh.cert.read_bytes())
    within(20, lambda: reloads(edge, "refused") >= 1, "the old password does not open the new key")
    (tmp_path / "password").write_text("another one")
    within(20, lambda: served(edge, "localhost") == serial_of(fresh.cert), "the new certificate")
    text = edge.log() + edge.admin("/metrics")[1]
    assert PASSWORD not in text and "another one" not in text and "does not open the key" in text


@pytest.mark.parametrize("change, place, said", [
    (lambda entry: entry.pop("key_password_file"), "locked.key", "is protected by a password; name the file"),
    (lambda entry: open(entry["key_password_file"], "w").write("wrong horse"), "password", "does not open the key"),
    (lambda entry: os.unlink(entry["key_password_file"]), "password", "No such file"),
    (lambda entry: open(entry["key_password_file"], "w").close(), "password", "password: the file is empty")])
def test_a_password_that_is_missing_or_wrong_is_said_with_its_file(encrypted, tmp_path, change, place, said):
    change(encrypted)
    stack = tmp_path / "stack.yaml"
    stack.write_text(yaml.safe_dump({"listen": "127.0.0.1:8443", "tls": {"certificates": [encrypted]},
                                     "pools": {"app": {"endpoints": ["127.0.0.1:1"]}}}))
    checked = run("check", "-c", stack)
    started = run("-c", stack)
    for done in (checked, started):
        told = done.stdout + done.stderr
        assert done.returncode != 0 and place in told and said in told
        assert "horse" not in told and "PRIVATE KEY" not in told


def test_pairs_of_a_directory_come_and_go(start_edge, app, make_certificate, tmp_path):
    folder = tmp_path / "certs"
    folder.mkdir()
    one, two, three = make_certificate("one.test"), make_certificate("two.test"), make_certificate("three.test")
    put(one, folder, "one")
    (folder / "ca.crt").write_bytes(one.ca.read_bytes())  # as in a Kubernetes secret: no key, no pair
    edge = start_edge({"pools": app, "tls": {"cert": None, "key": None, "dir": str(folder), "reload": "100ms"}})
    assert served(edge, "one.test") == serial_of(one.cert)
    with Wire(edge.address("https"), context=edge.context(), server_hostname="one.test") as lasting:
        put(two, folder, "two")
        (folder / "three.pem").write_bytes(three.key.read_bytes() + three.cert.read_bytes())
        within(20, lambda: reloads(edge, "ok") == 2, "two came")
        assert served(edge, "two.test") == serial_of(two.cert) and served(edge, "three.test") == serial_of(three.cert)
        bad = make_certificate("bad.test")
        (folder / "bad.key").write_bytes(one.key.read_bytes())
        (folder / "bad.crt").write_bytes(bad.cert.read_bytes())
        within(20, lambda: reloads(edge, "refused") == 1, "one that does not fit")
        assert edge.wait_log(r'certificate [^"]*bad.crt: the key does not fit the certificate; it is not served')
        for file in ("one.crt", "one.key", "bad.crt", "bad.key"):
            (folder / file).unlink()
        assert edge.wait_log(r"certificate [^\"]*one.crt is served no more")
        assert lasting.ask(request("/lasting", host="one.test")).body == b"/lasting"
    with pytest.raises(ssl.SSLCertVerificationError):
        served(edge, "one.test")  # the default has another name
    old = edge.proxy
    os.kill(old, signal.SIGKILL)
    within(30, lambda: edge.proxy not in (old, None) and edge.status("/readyz") == 200, "another proxy")
    assert served(edge, "two.test") == serial_of(two.cert) and served(edge, "three.test") == serial_of(three.cert)
    # With all of them gone there is nothing better than what is served.
    folder.rename(tmp_path / "away")
    assert edge.wait_log("cannot read the directory")
    assert served(edge, "two.test") == serial_of(two.cert)


def test_a_directory_without_a_pair_starts_nothing(start_edge, tmp_path):
    stack = tmp_path / "stack.yaml"
    stack.write_text(yaml.safe_dump({"listen": "127.0.0.1:8443", "tls": {"dir": str(tmp_path)},
                                     "pools": {"app": {"endpoints": ["127.0.0.1:1"]}}}))
    assert "there is no certificate with its key in" in run("check", "-c", stack).stdout + run("-c", stack).stderr
    assert run("-c", stack).returncode != 0


def test_a_listener_has_rules_of_its_own(start_edge, app, make_certificate, tmp_path):
    """The same names on two ports: one for everybody, one for those with a certificate, HTTP/1.1 and TLS 1.3 only."""
    authority = Authority(tmp_path / "authority")
    friend, default = authority.client("friend"), make_certificate("default.test")
    edge = start_edge({
        "pools": app,
        "listeners": {"inner": {"address": "127.0.0.1:{port:inner}", "tls": {
            "hsts": "1d", "alpn": ["http/1.1"], "profile": "modern",
            "client_auth": {"mode": "require", "ca": str(authority.cert)}}}},
        "tls": {"cert": None, "key": None, "hsts": "off", "certificates": [
            {"cert": str(one.cert), "key": str(one.key), **more} for one, more in
            ((make_certificate("localhost"), {}), (default, {"default": True}))]}})
    with Wire(edge.address("https"), context=edge.context(("h2", "http/1.1")), server_hostname="localhost") as wire:
        assert wire.socket.selected_alpn_protocol() == "h2"
    with edge.tls_wire() as wire:
        assert wire.ask(request("/open")).get("strict-transport-security") is None
    known = edge.context(("h2", "http/1.1"))
    known.load_cert_chain(friend.cert, friend.key)
    with Wire(edge.address("inner"), context=known, server_hostname="localhost") as wire:
        assert (wire.socket.selected_alpn_protocol(), wire.socket.version()) == ("http/1.1", "TLSv1.3")
        got = wire.ask(request("/inner"))
        assert got.status == 200 and got.get("strict-transport-security") == "max-age=86400"
    assert edge.wait_access("/inner")["client_cert"] == "CN=friend"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with Wire(edge.address("inner"), context=edge.context(), server_hostname="localhost") as wire:
            wire.ask(request("/stranger"))
    only_h2 = edge.context(("h2",))
    only_h2.load_cert_chain(friend.cert, friend.key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(edge.address("inner"), context=only_h2, server_hostname="localhost").ask(request("/h2"))
    loose = edge.context()
    loose.check_hostname = False
    with Wire(edge.address("https"), context=loose, server_hostname="nobody.test") as wire:
        assert wire.socket.getpeercert()["serialNumber"] == serial_of(default.cert)


def test_each_endpoint_may_have_its_own_authority(start_edge, start_origin, certificate, tmp_path):
    def context(pair):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(pair.cert, pair.key)
        made.set_alpn_protocols(["http/1.1"])
        return made
    authority = Authority(tmp_path / "authority")
    theirs = start_origin(echoes_target, tls=context(authority.server("theirs.test")))
    ours = start_origin(echoes_target, tls=context(certificate))
    stack = {"pools": {"app": {"balance": "round_robin", "retries": 0, "tls": {"ca": str(certificate.ca)}, "endpoints": [
        f"https://{ours.address}",
        {"address": f"https://{theirs.address}", "tls": {"ca": str(authority.cert), "server_name": "theirs.test"}}]}}}
    edge = start_edge(stack)
    assert [edge.get("/x", "http").status_code for _ in range(6)] == [200] * 6
    assert ours.requests and theirs.requests
    del stack["pools"]["app"]["endpoints"][1]["tls"]
    edge = start_edge(stack)
    for _ in range(4):
        edge.get("/x", "http")
    assert edge.metric("edgeproxy_upstream_errors_total", pool="app", reason="tls_certificate_untrusted") >= 1
