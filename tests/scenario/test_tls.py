# SPDX-License-Identifier: Apache-2.0
"""The door: versions, certificates by name, ALPN, resumption, a proper end. RFC 8446, RFC 6066, RFC 7301."""
import socket
import ssl
import threading
import warnings

import pytest

from origin import echoes_target
from wire import Wire, request


@pytest.fixture
def start(start_edge, start_origin):
    def behind(**stack):
        return start_edge({"pools": {"app": {"endpoints": [start_origin(echoes_target).address]}}, **stack})
    return behind


def handshake(edge, name="localhost", low=None, high=None, alpn=(), session=None, check=True):
    context = edge.context(alpn)
    context.check_hostname = check
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of the old versions that are to be refused here
        if low:
            context.minimum_version = low
        if high:
            context.maximum_version = high
    if high and high < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    return Wire(edge.address("https"), context=context, server_hostname=name)


def names(wire):
    return {value for _, value in wire.socket.getpeercert()["subjectAltName"]}


@pytest.mark.parametrize("version, spoken", [(ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")])
def test_both_modern_versions_are_spoken(start, version, spoken):
    edge = start()
    with handshake(edge, low=version, high=version) as wire:
        assert wire.socket.version() == spoken
        assert wire.ask(request("/a")).body == b"/a"
        if spoken == "TLSv1.2":
            assert "ECDHE" in wire.socket.cipher()[0] and ("GCM" in wire.socket.cipher()[0] or "CHACHA" in wire.socket.cipher()[0])
    assert edge.metric("edgeproxy_tls_handshakes_total", listener="https") >= 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
def test_old_versions_are_refused(start, version):
    edge = start()
    with pytest.raises(ssl.SSLError):
        handshake(edge, low=version, high=version)
    with handshake(edge) as wire:
        assert wire.ask(request()).status == 200


def test_the_modern_profile_speaks_1_3_only(start):
    edge = start(tls={"profile": "modern"})
    with pytest.raises(ssl.SSLError):
        handshake(edge, high=ssl.TLSVersion.TLSv1_2)
    with handshake(edge) as wire:
        assert wire.socket.version() == "TLSv1.3"


@pytest.fixture
def three_names(start, make_certificate):
    made = [make_certificate("localhost", "first.test"), make_certificate("second.test"), make_certificate("*.wild.test")]
    return lambda **more: start(tls={"cert": None, "key": None, **more, "certificates": [
        {"cert": str(one.cert), "key": str(one.key)} for one in made]})


@pytest.mark.parametrize("asked, served", [("first.test", "first.test"), ("second.test", "second.test"), ("SECOND.test", "second.test"),
                                           ("a.wild.test", "*.wild.test")])
def test_the_certificate_follows_the_name(three_names, asked, served):
    edge = three_names()
    with handshake(edge, asked, check=asked.islower()) as wire:
        assert served in names(wire)
        assert wire.ask(request(host=asked)).status == 200


def test_a_wildcard_stands_for_one_label(three_names):
    edge = three_names()
    with handshake(edge, "a.b.wild.test", check=False) as wire:
        assert "*.wild.test" not in names(wire)


def test_an_unknown_name_gets_the_first_certificate_or_an_alert(three_names):
    edge = three_names()
    with handshake(edge, "nobody.test", check=False) as wire:
        assert "first.test" in names(wire)
    edge = three_names(unknown_host="reject")
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized"):
        handshake(edge, "nobody.test", check=False)
    with handshake(edge, "second.test") as wire:
        assert wire.ask(request()).status == 200


@pytest.mark.parametrize("offered, chosen", [(("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"),
                                             ((), None), (("http/1.0", "http/1.1"), "http/1.1")])
def test_the_protocol_is_chosen_by_our_preference(start, offered, chosen):
    edge = start()
    with handshake(edge, alpn=offered) as wire:
        assert wire.socket.selected_alpn_protocol() == chosen
        if chosen != "h2":
            assert wire.ask(request("/a")).body == b"/a"


def test_no_protocol_in_common_is_refused(start):
    edge = start()
    with pytest.raises(ssl.SSLError):
        handshake(edge, alpn=("spdy/3",))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_are_resumed_by_tickets(start, version, tickets):
    edge = start(tls={"session": {"tickets": tickets}})
    context, session = edge.context(("http/1.1",)), None
    context.minimum_version = context.maximum_version = version
    reused = []
    for _ in range(3):
        raw = socket.create_connection(edge.address("https"), timeout=10)
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as stream:
            stream.sendall(request("/a"))
            assert b"200" in stream.recv(65536)
            reused.append(stream.session_reused)
            session = stream.session
    assert reused == ([False, True, True] if tickets else [False] * 3)
    assert (edge.metric("edgeproxy_tls_handshakes_total", resumed="true") or 0) == (2 if tickets else 0)


def test_the_end_is_told_by_close_notify(start):
    edge = start()
    with edge.tls_wire() as wire:
        assert wire.ask(request(fields=[("Connection", "close")])).status == 200
        assert wire.more() is False  # raises where TLS ends by a mere end of the stream


def test_hsts_is_said_over_tls_only(start):
    edge = start(tls={"hsts": "1d"})
    with edge.tls_wire() as wire:
        assert wire.ask(request()).get("strict-transport-security") == "max-age=86400"
    with edge.wire() as wire:
        assert wire.ask(request()).get("strict-transport-security") is None


def test_plain_http_on_the_tls_port_is_closed(start):
    edge = start()
    with Wire(edge.address("https")) as wire:
        wire.send(request())
        while wire.more():
            pass  # an alert or a sentence may come
    with edge.tls_wire() as wire:
        assert wire.ask(request()).status == 200


@pytest.mark.parametrize("pieces", [1, 5])
def test_a_handshake_in_small_pieces_succeeds(start, pieces):
    """A ClientHello cut into pieces is one all the same."""
    edge = start()
    inside, outside = socket.socketpair()
    server = socket.create_connection(edge.address("https"), timeout=10)

    def relay(source, target, size):
        try:
            while data := source.recv(65536):
                for start_at in range(0, len(data), size):
                    target.sendall(data[start_at:start_at + size])
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end of the test has closed
    for source, target, size in ((outside, server, pieces), (server, outside, 65536)):
        threading.Thread(target=relay, args=(source, target, size), daemon=True).start()
    with edge.context(("http/1.1",)).wrap_socket(inside, server_hostname="localhost") as stream:
        stream.sendall(request("/cut"))
        assert b"/cut" in stream.recv(65536)
    server.close()


def test_a_file_that_is_no_certificate_is_refused_at_the_start(start_edge, tmp_path):
    bad = tmp_path / "bad.crt"
    bad.write_text("this is no certificate\n")
    edge = start_edge({"pools": {"app": {"endpoints": ["127.0.0.1:1"]}}, "tls": {"cert": str(bad)}}, wait="ends", exits=3)
    assert "bad.crt" in edge.log()


def test_a_key_that_others_may_read_is_told(start_edge, certificate, tmp_path):
    """A warning and not a refusal: Kubernetes mounts secrets readable by everybody in the container."""
    key = tmp_path / "open.key"
    key.write_bytes(certificate.key.read_bytes())
    key.chmod(0o644)
    edge = start_edge({"pools": {"app": {"endpoints": ["127.0.0.1:1"]}}, "tls": {"key": str(key)}})
    assert "open.key" in edge.log() and "every user of this machine can read the key" in edge.log()

