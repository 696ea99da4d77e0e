# SPDX-License-Identifier: Apache-2.0
"""Clients that show a certificate, and the rules of one name that must not be passed by way of another. RFC 8446, section
4.3.2; RFC 9110, section 15.5.20."""
import socket
import ssl
import subprocess

import pytest

from authority import Authority
from origin import Origin, echoes_target
from procs import within
from wire import Wire, request

NASTY = "a\x1b[31m\"\\b\r\n{}"
CLAIMS = [("X-Client-Cert-Verify", "SUCCESS"), ("X-Client-Cert-Subject", "CN=admin"), ("Client-Cert", ":AAAA:"),
          ("X_Client_Cert_Subject", "CN=admin"), ("x-client-cert-names", "DNS:admin")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The authority of clients, a client, one that is revoked, and the certificates of an open and a closed name."""
    class World:
        authority = Authority(tmp_path_factory.mktemp("authority"))
        friend, thief = authority.client("friend"), authority.client("thief")
        nasty = authority.issue("client", NASTY, "DNS:nasty.test")
        stranger = Authority(tmp_path_factory.mktemp("other"), "another authority").client("stranger")
        open, closed = authority.server("open.test", "localhost"), authority.server("closed.test")
    World.authority.revoke(World.thief)
    return World


@pytest.fixture(scope="module")
def house(world, start_shared_edge):
    """open.test asks nobody; closed.test requires a certificate that is not revoked."""
    origin = Origin(echoes_target)
    client_auth = {"mode": "require", "ca": str(world.authority.cert), "crl": str(world.authority.crl)}
    edge = start_shared_edge({
        "pools": {"app": {"endpoints": [origin.address]}},
        "tls": {"cert": None, "key": None, "certificates": [
            {"cert": str(world.open.cert), "key": str(world.open.key)},
            {"cert": str(world.closed.cert), "key": str(world.closed.key), "client_auth": client_auth}]}})
    edge.origin = origin
    yield edge
    origin.close()


def context(world, own=None, version=ssl.TLSVersion.TLSv1_3, alpn=("http/1.1",)):
    made = ssl.create_default_context(cafile=world.authority.cert)
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(list(alpn))
    if own:
        made.load_cert_chain(own.cert, own.key)
    return made


def visit(edge, made, name, session=None):
    """(status, resumed, session) of one request; TLS errors of the handshake may come with the first read only."""
    raw = socket.create_connection(edge.address("https"), timeout=10)
    with made.wrap_socket(raw, server_hostname=name, session=session) as stream:
        stream.sendall(request("/visit", host=name))
        answer = stream.recv(65536)
        return int(answer.split(b" ")[1]), stream.session_reused, stream.session


def results(edge, result):
    return edge.metric("edgeproxy_tls_handshakes_total", result=result) or 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who, result", [(None, "no_client_certificate"), ("stranger", "client_unknown_ca"),
                                         ("thief", "client_revoked")])
def test_who_cannot_show_a_good_certificate_is_refused_and_counted(house, world, version, who, result):
    before = results(house, result)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        visit(house, context(world, who and getattr(world, who), version), "closed.test")
    within(15, lambda: results(house, result) == before + 1, "the handshake among the refused ones")


def test_the_application_is_told_who_it_is_and_claims_are_dropped(house, world):
    with Wire(house.address("https"), context=context(world, world.friend), server_hostname="closed.test") as wire:
        assert wire.ask(request("/who", host="closed.test", fields=CLAIMS)).status == 200
    seen = next(one for one in house.origin.requests if one.target == "/who")
    assert {name: seen.values(f"x-client-cert-{name}") for name in ("verify", "subject", "issuer", "names")} == {
        "verify": ["SUCCESS"], "subject": ["CN=friend"], "issuer": ["CN=test authority"],
        "names": ["DNS:friend.devices.test,URI:spiffe://test/friend"]}
    assert len(seen.get("x-client-cert-fingerprint")) == 64 and seen.get("x-client-cert-serial") == "1001"
    assert b"admin" not in seen.raw_head and not seen.values("client-cert")
    assert house.wait_access("/who")["client_cert"] == "CN=friend"


def test_the_name_in_a_certificate_is_one_line_of_the_log(house, world):
    """And one field for the application: whoever issues certificates need not be asked what they put into a name."""
    with Wire(house.address("https"), context=context(world, world.nasty), server_hostname="closed.test") as wire:
        assert wire.ask(request("/nasty", host="closed.test")).status == 200
    seen = next(one for one in house.origin.requests if one.target == "/nasty")
    assert len(seen.values("x-client-cert-subject")) == 1 and b"\x1b" not in seen.raw_head
    assert "CN=a" in house.wait_access("/nasty")["client_cert"]
    raw = (house.folder / "stdout").read_bytes()
    assert not [byte for byte in raw if byte < 32 and byte != 10 or byte == 127]


def test_where_nobody_is_asked_nobody_can_claim(house, world):
    with Wire(house.address("https"), context=context(world), server_hostname="open.test") as wire:
        assert wire.ask(request("/nobody", host="open.test", fields=CLAIMS)).status == 200
    seen = next(one for one in house.origin.requests if one.target == "/nobody")
    assert b"admin" not in seen.raw_head and b"Cert" not in seen.raw_head
    assert "client_cert" not in house.wait_access("/nobody")


def test_who_is_only_asked_may_come_without(start_edge, start_origin, world):
    origin = start_origin(echoes_target)
    edge = start_edge({"pools": {"app": {"endpoints": [origin.address]}},
                       "tls": {"cert": str(world.open.cert), "key": str(world.open.key),
                               "client_auth": {"mode": "request", "ca": str(world.authority.cert)}}})
    for own, said in ((None, "NONE"), (world.friend, "SUCCESS")):
        assert visit(edge, context(world, own), "open.test")[0] == 200
        assert origin.requests[-1].values("x-client-cert-verify") == [said]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        visit(edge, context(world, world.stranger), "open.test")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_does_not_lead_from_one_name_to_another(house, world, version):
    """A session of a name that asks nobody, used for one that requires a certificate: the handshake must ask."""
    free, own = context(world, version=version), context(world, world.friend, version)
    _, _, session = visit(house, free, "open.test")
    status, resumed, _ = visit(house, free, "open.test", session)
    assert (status, resumed) == (200, True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        visit(house, free, "closed.test", session)
    # The other way round, and home again.
    _, _, session = visit(house, own, "closed.test")
    assert visit(house, own, "open.test", session)[:2] == (200, False)
    assert visit(house, own, "closed.test", session)[:2] == (200, True)
    assert house.wait_access("/visit")


@pytest.mark.parametrize("name, host, status", [("open.test", "open.test", 200), ("open.test", "closed.test", 421),
                                                ("open.test", "CLOSED.test:443", 421), ("open.test", "nobody.test", 200),
                                                ("closed.test", "closed.test", 200), ("closed.test", "open.test", 421),
                                                ("closed.test", "nobody.test", 421)])
@pytest.mark.parametrize("http2", [False, True])
def test_a_request_for_a_name_with_other_rules_is_misdirected(house, world, name, host, status, http2):
    before, seen = house.metric("edgeproxy_http_errors_total", reason="misdirected_request") or 0, len(house.origin.requests)
    if http2:
        own = ["--cert", world.friend.cert, "--key", world.friend.key]
        done = subprocess.run(["curl", "-sS", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", *own,
                               "--cacert", world.authority.cert, "-H", f"Host: {host}",
                               "--resolve", f"{name}:{house.ports['https']}:127.0.0.1",
                               f"https://{name}:{house.ports['https']}/"], capture_output=True, text=True, timeout=30)
        assert done.stdout == f"2 {status}", done.stderr
    else:
        with Wire(house.address("https"), context=context(world, world.friend), server_hostname=name) as wire:
            assert wire.ask(request("/", host=host)).status == status
            assert wire.ask(request("/", host=name)).status == 200  # the connection lives
    counted = (house.metric("edgeproxy_http_errors_total", reason="misdirected_request") or 0) - before
    assert counted == (1 if status == 421 else 0)
    assert all(one.get("host").lower() != host.lower() for one in house.origin.requests[seen:]) or status == 200


@pytest.mark.parametrize("stack, said", [
    ({"client_auth": {"mode": "require"}}, 'needs "ca"'),
    ({"client_auth": {"mode": "require", "ca": "/nonexistent.pem"}}, "cannot read"),
    ({"client_auth": {"mode": "require", "ca": "KEY"}}, "no certificate in it"),
    ({"ciphers": ["HIGH"]}, 'there is no cipher suite "HIGH"'),
    ({"groups": ["P-1"]}, 'there is no group "P-1"'),
    ({"early_data": True}, "not supported yet"),
])
def test_settings_that_cannot_be_served_are_refused_at_the_start(start_edge, world, stack, said):
    text = {**stack}
    if text.get("client_auth", {}).get("ca") == "KEY":
        text["client_auth"] = {**text["client_auth"], "ca": str(world.open.key)}
    edge = start_edge({"pools": {"app": {"endpoints": ["127.0.0.1:1"]}}, "tls": text}, wait="ends", exits=3)
    assert said in edge.log()


def test_an_ocsp_answer_is_stapled_and_a_wrong_one_is_not(start_edge, start_origin, world, tmp_path):
    good, other = tmp_path / "good.ocsp", tmp_path / "other.ocsp"
    world.authority.staple(world.open, good)
    world.authority.staple(world.open, other)
    edge = start_edge({
        "pools": {"app": {"endpoints": [start_origin(echoes_target).address]}},
        "tls": {"cert": None, "key": None, "certificates": [
            {"cert": str(world.open.cert), "key": str(world.open.key), "ocsp": str(good)},
            {"cert": str(world.closed.cert), "key": str(world.closed.key), "ocsp": str(other)}]}})
    for name, said in (("open.test", "Cert Status: good"), ("closed.test", "OCSP response: no response sent")):
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % edge.address("https"), "-servername", name,
                               "-status", "-CAfile", world.authority.cert], input="", capture_output=True, text=True, timeout=30)
        assert said in done.stdout
    assert "the OCSP answer is not stapled: it is about another certificate" in edge.log()
    ends = {dict(labels)["name"]: value for (family, labels), value in edge.metrics().items()
            if family == "edgeproxy_tls_ocsp_next_update_timestamp_seconds"}
    assert list(ends) == ["open.test"] and ends["open.test"] > 1e9
