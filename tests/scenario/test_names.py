# SPDX-License-Identifier: Apache-2.0
"""Endpoints by name, with name servers that say nothing."""
import os
import socket
import time

import pytest

from procs import within

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another /etc/resolv.conf needs a mount namespace of its own")
PATIENCE = 60  # seconds that the system's resolver waits for a name server, by the options below
# Runs what follows with another resolv.conf, in a mount namespace.
WITH_RESOLV_CONF = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@pytest.fixture
def silent_server(tmp_path):
    """The resolv.conf of a name server that takes questions and answers none, and the socket that they come to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        address = f"127.{os.getpid() % 200 + 20}.53.1"
        server.bind((address, 53))
        server.settimeout(30)
        file = tmp_path / "resolv.conf"
        file.write_text(f"nameserver {address}\noptions timeout:{PATIENCE // 2} attempts:2\n")
        yield file, server


def test_a_silent_name_server_holds_up_neither_other_names_nor_the_stop(start_edge, start_origin, silent_server):
    file, server = silent_server
    origin = start_origin()
    stack = {"pools": {"a": {"endpoints": [f"a-name.that-nobody-knows.example:{origin.port}"]},
                       "b": {"endpoints": [f"localhost:{origin.port}"]}},
             "routes": [{"path": "/a", "pool": "a"}, {"pool": "b"}]}
    edge = start_edge(stack, wrapper=("unshare", "--mount", "sh", "-c", WITH_RESOLV_CONF, file), wrapper_becomes=True, wait="live")
    assert server.recv(4096), "it asks"
    within(20, lambda: edge.get("/", "http").status_code == 200, "the name that the machine itself knows")
    begun = time.monotonic()
    assert edge.stop() == 0
    assert time.monotonic() - begun < PATIENCE / 2, "it has waited for the name server"
