# SPDX-License-Identifier: Apache-2.0
"""What a client may make TLS cost: time and bytes of a handshake, handshakes of a source, handshakes under way, messages
without data."""
import socket
import subprocess
import time

import pytest

from origin import echoes_target
from procs import within
from wire import request

HELLO = b"\x16\x03\x01\x40\x00\x01\x00\xea\x60\x03\x03"  # begins a ClientHello of 60,000 bytes


@pytest.fixture
def start(start_edge, start_origin):
    def made(limits=None, timeouts=None, **more):
        https = {"address": "127.0.0.1:{port:https}", "tls": True, "limits": limits or {}, "timeouts": timeouts or {}}
        return start_edge({"pools": {"app": {"endpoints": [start_origin(echoes_target).address]}},
                           "listeners": {"https": https}, **more})
    return made


def connect(edge):
    return socket.create_connection(edge.address("https"), timeout=15)


def is_closed(sock):
    try:
        while sock.recv(4096):
            pass  # an alert may come
        return True
    except ConnectionError:
        return True


def results(edge, result):
    return edge.metric("edgeproxy_tls_handshakes_total", result=result) or 0


def refused(edge, reason):
    return edge.metric("edgeproxy_connections_refused_total", reason=reason) or 0


def test_a_handshake_ends_at_its_deadline_however_slowly_it_goes(start):
    edge = start(timeouts={"handshake": "500ms"})
    began = time.monotonic()
    with connect(edge) as silent, connect(edge) as half, connect(edge) as slow:
        half.sendall(HELLO)
        try:
            while time.monotonic() - began < 40:  # a byte now and then does not make it longer
                slow.sendall(b"\x16")
                slow.settimeout(0.05)
                try:
                    if not slow.recv(100):
                        break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
        assert is_closed(silent) and is_closed(half)
    assert time.monotonic() - began < 40
    within(10, lambda: results(edge, "timeout") >= 2, "counted as late")
    assert edge.get("/good").text == "/good"


def test_a_client_hello_beyond_16_kib_is_refused(start):
    edge = start()
    with connect(edge) as large:
        try:
            large.sendall(HELLO + b"x" * (0x4000 - 6) + b"\x16\x03\x01\x40\x00" + b"x" * 4000)
        except ConnectionError:
            pass
        assert is_closed(large)
    within(10, lambda: results(edge, "too_large") == 1, "counted")
    assert edge.get("/good").text == "/good"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_source_has_its_burst_of_handshakes(start, trusted):
    more = {"client_ip": {"trusted_proxies": ["127.0.0.1"]}} if trusted else {}
    edge = start(limits={"handshakes_per_source": "5/1h"}, **more)
    served = 0
    for _ in range(8):
        try:
            with edge.tls_wire() as wire:
                served += wire.ask(request()).status == 200
        except OSError:
            pass
    assert served == (8 if trusted else 5)
    assert refused(edge, "handshake_rate") == (0 if trusted else 3)
    with edge.wire() as wire:  # without TLS there is nothing to count
        assert wire.ask(request("/plain")).body == b"/plain"


def test_half_open_handshakes_do_not_keep_others_out(start):
    """At the bound accepting pauses; who takes longer than a second is then closed, and the others get their turn."""
    edge = start(limits={"handshakes_per_source": "off"}, timeouts={"handshake": "2m"}, server={"threads": 1})
    half = []
    for _ in range(300):
        sock = connect(edge)
        sock.sendall(HELLO)
        half.append(sock)
    assert edge.get("/good").text == "/good"  # within 30 s, long before their own deadline frees the places
    assert refused(edge, "handshake_limit") > 0
    for sock in half:
        sock.close()


def test_a_flood_of_key_updates_ends_the_connection(start):
    edge = start()
    client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % edge.address("https"), "-tls1_3", "-CAfile",
                               str(edge.certificate.ca)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        def another():
            try:
                client.stdin.write(b"K\n")  # s_client sends a KeyUpdate for each such read of its input
                client.stdin.flush()
            except OSError:
                pass
            return (edge.metric("edgeproxy_tls_floods_total") or 0) > 0
        within(100, another, "the flood is counted")
    finally:
        client.kill()
        client.communicate()
    assert edge.get("/good").text == "/good"


def test_renegotiation_is_refused(start):
    edge = start()
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % edge.address("https"), "-tls1_2"],
                          input=b"R\n", capture_output=True, timeout=30)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stdout + done.stderr
    assert edge.get("/good").text == "/good"
