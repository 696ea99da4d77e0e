#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts edgeproxy with one of the examples and proves what it promises, each line with what was measured.

    smoke.py --edgeproxy BINARY --stack examples/fastapi/stack.yaml [--check]

Without --check edgeproxy stays up until Ctrl-C. Needs Python's standard library, curl and promtool, nothing else, so that
it also works where no Python package can be had. Exit code 0 when every line is a tick.
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

HOST, PORT, METRICS, WORKERS = "localhost", 8443, "http://127.0.0.1:9900", 4
MARK = "EDGEPROXY_SMOKE"


class Failed(Exception):
    """A promise that did not hold; says what was seen instead."""


def expect(holds, seen):
    if not holds:
        raise Failed(seen)


def within(seconds, ask, what):
    """The first true answer of `ask`, asked again and again; Failed when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        expect(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.02)


def tls_context(alpn=("http/1.1",)):
    context = ssl.create_default_context()
    context.check_hostname = False  # the development certificate is self-signed
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


def connect(alpn=("http/1.1",)):
    raw = socket.create_connection((HOST, PORT), timeout=15)
    return tls_context(alpn).wrap_socket(raw, server_hostname=HOST)


def get(path, connection=None):
    """(status, body) over a connection of its own, or over the one given."""
    used = connection or http.client.HTTPSConnection(HOST, PORT, timeout=15, context=tls_context())
    try:
        used.request("GET", path)
        answer = used.getresponse()
        return answer.status, answer.read()
    finally:
        if connection is None:
            used.close()


def metrics_page(path="/metrics"):
    with urllib.request.urlopen(METRICS + path, timeout=5) as answer:
        return answer.read().decode()


def is_ready():
    try:
        metrics_page("/readyz")
        return True
    except OSError:
        return False


def worker_pids():
    """The workers that answered eight requests at once: least-requests spreads these over all of them."""
    found = set()

    def ask():
        status, body = get("/slow?ms=150")
        number = re.search(rb"(\d+)\D*$", body)
        if status == 200 and number:
            found.add(int(number.group(1)))

    threads = [threading.Thread(target=ask) for _ in range(2 * WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def tls_1_3(run):
    with connect(("h2", "http/1.1")) as stream:
        expect(stream.version() == "TLSv1.3", f"spoke {stream.version()}")
        return f"{stream.version()}, {stream.cipher()[0]}, ALPN {stream.selected_alpn_protocol()}"


def http_2(run):
    done = subprocess.run(["curl", "-sS", "--insecure", "--http2", "-o", "/dev/null", "-w",
                           "%{http_version} %{http_code} %{time_total}", f"https://{HOST}:{PORT}/"],
                          capture_output=True, text=True, timeout=20)
    expect(done.returncode == 0, done.stderr.strip())
    version, status, seconds = done.stdout.split()
    expect((version, status) == ("2", "200"), f"HTTP/{version} {status}")
    return f"curl: HTTP/2 {status} in {float(seconds) * 1000:.1f} ms"


def websocket(run):
    key = base64.b64encode(os.urandom(16)).decode()
    sent = os.urandom(2000)
    with connect() as stream:
        begun = time.monotonic()
        stream.sendall((f"GET /ws HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        reader = stream.makefile("rb")
        status = reader.readline().decode().strip()
        fields = dict(line.decode().strip().lower().split(": ", 1) for line in iter(reader.readline, b"\r\n"))
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        expect(" 101" in status, status)
        expect(fields.get("sec-websocket-accept") == accept.decode().lower(), "a wrong Sec-WebSocket-Accept")
        mask = os.urandom(4)
        stream.sendall(b"\x82\xfe" + struct.pack(">H", len(sent)) + mask +
                       bytes(byte ^ mask[i % 4] for i, byte in enumerate(sent)))
        first, size = reader.read(2)
        size = struct.unpack(">H", reader.read(2))[0] if size == 126 else size
        expect(first == 0x82 and reader.read(size) == sent, "another message came back")
        return f"{len(sent)} bytes over TLS and back in {(time.monotonic() - begun) * 1000:.1f} ms"


def four_workers(run):
    def all_seen():
        run.pids |= worker_pids()
        return len(run.pids) >= WORKERS
    within(20, all_seen, f"{WORKERS} worker pids")
    return "pids " + " ".join(str(pid) for pid in sorted(run.pids))


def identity(run):
    local = "127.0.0.1"
    raw = socket.create_connection((local, PORT), timeout=15)
    with tls_context().wrap_socket(raw, server_hostname=HOST) as stream:
        stream.sendall(f"GET {run.identity} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nX-Forwarded-For: 6.6.6.6\r\n"
                       "X-Forwarded-Proto: gopher\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(stream)
        answer.begin()
        said = json.loads(answer.read())
    fields = {name.lower(): value for name, value in said["headers"]}
    scheme = said.get("scheme", fields.get("x-forwarded-proto"))
    client = said.get("client", fields.get("x-forwarded-for"))
    expect((scheme, client) == ("https", local), f"scheme {scheme}, client {client}")
    return f"scheme {scheme}, client {client}; a forged X-Forwarded-For was overwritten"


def killed_worker(run):
    """Four clients GET all the time, on kept and on fresh connections, while one worker dies."""
    victim, stop, done, failed, slowest = min(run.pids), threading.Event(), [], [], [0.0]

    def client(kept):
        connection = http.client.HTTPSConnection(HOST, PORT, timeout=15, context=tls_context()) if kept else None
        while not stop.is_set():
            begun = time.monotonic()
            try:
                status, body = get("/pid", connection)
                (done if status == 200 else failed).append(body)
            except OSError as error:
                failed.append(str(error))
            slowest[0] = max(slowest[0], time.monotonic() - begun)

    threads = [threading.Thread(target=client, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        within(10, lambda: len(done) > 50, "50 answers before the kill")
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()

        def replaced():
            return {int(pid) for pid in done[-200:] if pid.strip().isdigit()} - run.pids
        fresh = within(30, replaced, "a new worker")
        took = time.monotonic() - killed
        before = len(done)
        within(10, lambda: len(done) > before + 50, "50 answers after the kill")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    run.pids = (run.pids - {victim}) | fresh
    expect(not failed, f"{len(failed)} of {len(done) + len(failed)} GETs failed, first: {failed[:1]}")
    return (f"kill -9 {victim}: {len(done)} GETs, 0 failed, slowest {slowest[0] * 1000:.0f} ms; "
            f"pid {min(fresh)} serves after {took * 1000:.0f} ms")


def metrics(run):
    page = metrics_page()
    families = re.findall(r"^# TYPE (\S+)", page, re.M)
    for name in ("edgeproxy_http_requests_total", "edgeproxy_upstream_requests_total", "edgeproxy_worker_up",
                 "edgeproxy_worker_restarts_total", "edgeproxy_tls_handshakes_total", "edgeproxy_build_info"):
        expect(name in families, f"{name} is missing")
    total = sum(float(value) for value in re.findall(r"^edgeproxy_http_requests_total{[^\n]*} (\S+)", page, re.M))
    expect(total > 100, f"counted {total:.0f} requests")
    return f"{len(families)} families, {total:.0f} requests counted"


def promtool(run):
    tool = shutil.which("promtool")
    expect(tool, "promtool was not found")
    done = subprocess.run([tool, "check", "metrics"], input=metrics_page(), capture_output=True, text=True, timeout=20)
    remarks = (done.stdout + done.stderr).strip()
    expect(done.returncode == 0 and not remarks, remarks.splitlines()[:1] or f"exit code {done.returncode}")
    return "no remark"


def clean_stop(run):
    tree = run.marked()
    begun = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    code = run.process.wait(45)
    took = time.monotonic() - begun
    expect(code == 0, f"exit code {code}")
    left = run.marked()
    expect(not left, f"left behind: {left}")
    return f"exit 0 after {took:.2f} s, none of {len(tree)} processes left"


PROMISES = [("TLS 1.3", tls_1_3), ("HTTP/2", http_2), ("WebSocket", websocket), ("four workers", four_workers),
            ("https seen by the app", identity), ("a killed worker", killed_worker), ("metrics", metrics),
            ("promtool check metrics", promtool)]


class Run:
    """One edgeproxy with its processes, found again by a variable that all of them inherit."""

    def __init__(self, binary, stack):
        self.identity = "/headers" if "demo" in stack else "/whoami"
        self.pids, self.mark = set(), uuid.uuid4().hex
        self.log = tempfile.NamedTemporaryFile(prefix="edgeproxy-smoke-", suffix=".log")
        path = os.path.dirname(os.path.abspath(binary)) + os.pathsep + os.environ["PATH"]
        self.process = subprocess.Popen([binary, "-c", stack], stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, start_new_session=True,
                                        env={**os.environ, MARK: self.mark, "PATH": path})

    def marked(self):
        """Pids of every process of this run that lives, zombies included."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if f"{MARK}={self.mark}".encode() in file.read():
                        found.append(int(entry))
            except OSError:
                pass  # gone meanwhile, or not ours
        return found

    def wait_ready(self):
        def ready_or_dead():
            expect(self.process.poll() is None, f"edgeproxy ended with exit code {self.process.returncode}")
            return is_ready()
        begun = time.monotonic()
        within(90, ready_or_dead, "/readyz")
        return f"after {time.monotonic() - begun:.2f} s"

    def end(self):
        """Whatever happened, nothing of this run stays."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.marked():
            os.kill(pid, signal.SIGKILL)


def tell(name, prove, run):
    try:
        seen, good = prove(run), True
    except (Failed, OSError, ValueError, subprocess.SubprocessError, http.client.HTTPException) as error:
        seen, good = str(error) or repr(error), False
    print(f"  {'✓' if good else '✗'} {name:<24} {seen}", flush=True)
    return good


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--edgeproxy", required=True)
    options.add_argument("--stack", required=True)
    options.add_argument("--check", action="store_true", help="end after the table")
    chosen = options.parse_args()
    run = Run(chosen.edgeproxy, chosen.stack)
    try:
        print(f"edgeproxy -c {chosen.stack}   https://{HOST}:{PORT}", flush=True)
        good = tell("ready", Run.wait_ready, run) and all([tell(name, prove, run) for name, prove in PROMISES])
        if good and not chosen.check:
            print(f"\nUp: https://{HOST}:{PORT}  metrics {METRICS}/metrics  log {run.log.name}\nCtrl-C stops it.", flush=True)
            try:
                run.process.wait()
            except KeyboardInterrupt:
                print()
        good = tell("a clean stop", clean_stop, run) and good
        if not good:
            with open(run.log.name, encoding="utf-8", errors="replace") as log:
                print("\nThe last lines of edgeproxy's log:\n" + "".join(log.readlines()[-25:]), file=sys.stderr)
        return 0 if good else 1
    finally:
        run.end()


if __name__ == "__main__":
    sys.exit(main())
