#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares whole chains in front of one FastAPI application with two workers: what a request costs all of their processes.

edgeproxy runs uvicorn as its workers; beside it what people run today: uvicorn --workers 2, gunicorn with uvicorn's worker,
and nginx in front of that. All run at the same time and are loaded in turn, round after round; the ratio to nginx+gunicorn
is the median of the rounds' ratios. Needs build/venv (examples/quickstart.sh makes it); nginx and wrk come from
tests/bench/packages.txt.
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import contenders
import load

VENV = contenders.ROOT / "build" / "venv" / "bin"
APPLICATION = contenders.ROOT / "examples" / "fastapi"
CONNECTIONS = 32
PATH = "/healthz"
NGINX = """
daemon off; worker_processes 1; pid @DIR@/chain.pid; error_log @DIR@/chain-error.log error;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path @DIR@/c1; proxy_temp_path @DIR@/c2; fastcgi_temp_path @DIR@/c3; uwsgi_temp_path @DIR@/c4;
    scgi_temp_path @DIR@/c5;
    upstream app { server unix:@DIR@/gunicorn.sock fail_timeout=0; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        location / {
            proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-ID $request_id;
            add_header X-Request-ID $request_id;
        }
    }
}
"""
EDGEPROXY = """
server: { threads: 1, runtime_dir: "@DIR@/run" }
listeners: { http: { address: "127.0.0.1:@PORT@" } }
pools: { app: { command: "@VENV@/uvicorn main:app --no-access-log", workers: 2, working_dir: "@APP@" } }
routes: [ { pool: app } ]
logging: { access: off }
metrics: off
"""


class Chain:
    """Programs that serve one application together, the one that clients talk to first."""

    def __init__(self, name, port, programs):
        self.name, self.port, self.programs = name, port, programs

    def start(self):
        for program in reversed(self.programs):
            program.start()
        self.programs[0].wait_until_right(lambda: [load.probe(self.port, False, PATH, None)[1]])

    def cpu(self, programs=None):
        return sum(contenders.cpu_seconds(program.process.pid) for program in programs or self.programs)

    def stop(self):
        for program in self.programs:
            program.stop()


def chains(directory, edgeproxy):
    def program(name, *words):
        made = contenders.Program(name, [str(word) for word in words], directory, None)
        made.folder = APPLICATION
        return made

    def written(name, text, port):
        path = pathlib.Path(directory) / name
        for key, value in {"DIR": directory, "PORT": port, "VENV": VENV, "APP": APPLICATION}.items():
            text = text.replace(f"@{key}@", str(value))
        path.write_text(text, encoding="utf-8")
        return path

    def gunicorn(name, bind, *more):
        return program(name, VENV / "gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "-b", bind,
                       "--keep-alive", "60", *more, "main:app")
    # The application is to see the scheme and the address of the client, as behind edgeproxy.
    yield Chain("nginx+gunicorn", 18131,
                [program("nginx-chain", contenders.tool("nginx"), "-p", directory, "-e", f"{directory}/chain-error.log", "-c",
                         written("chain.conf", NGINX, 18131)),
                 gunicorn("gunicorn-behind", f"unix:{directory}/gunicorn.sock", "--forwarded-allow-ips", "*")])
    yield Chain("gunicorn", 18132, [gunicorn("gunicorn", "127.0.0.1:18132")])
    yield Chain("uvicorn", 18133, [program("uvicorn", VENV / "uvicorn", "main:app", "--workers", "2", "--port", "18133",
                                           "--no-access-log", "--timeout-keep-alive", "60")])
    yield Chain("edgeproxy", 18134, [program("edgeproxy-chain", edgeproxy, "-c", written("chain.yaml", EDGEPROXY, 18134))])


def one_round(chain, seconds):
    """(CPU microseconds a request, requests a second, milliseconds of the 99th percentile); RuntimeError: no figure."""
    before = chain.cpu()
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{chain.port}{PATH}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds * 10 + 30, check=True)
    spent = chain.cpu() - before
    total = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    if "Socket errors" in done.stdout or "Non-2xx" in done.stdout or not total or not slow or int(total[1]) == 0:
        raise RuntimeError(done.stdout.strip()[-200:])
    milliseconds = float(slow[1]) * {"us": 0.001, "ms": 1, "s": 1000}[slow[2]]
    return spent / int(total[1]) * 1e6, int(total[1]) / float(total[2]), milliseconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgeproxy", type=pathlib.Path, default=contenders.ROOT / "build" / "release" / "edgeproxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    chosen = parser.parse_args()
    script = "set -euo pipefail; source examples/setup.sh; edgeproxy_packages tests/bench/packages.txt bench"
    subprocess.run(["bash", "-c", script], cwd=contenders.ROOT, check=True)
    directory = tempfile.mkdtemp(prefix="edgeproxy-chain-")
    os.chmod(directory, 0o755)
    running, found = [], {}
    try:
        for chain in chains(directory, chosen.edgeproxy.resolve()):
            running.append(chain)
            chain.start()
        for turn in range(-1, chosen.rounds):  # turn -1 warms up
            for chain in running:
                figures = one_round(chain, 1 if turn < 0 else chosen.seconds)
                if turn >= 0:
                    found.setdefault(chain.name, []).append(figures)
    finally:
        for chain in running:
            chain.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'':16} {'us CPU/request':>14} {'requests/s':>11} {'p99 ms':>8} {'x nginx+gunicorn':>17}")
    peer = found["nginx+gunicorn"]
    for name, rounds in found.items():
        cpu, rate, slow = (statistics.median(column) for column in zip(*rounds))
        ratio = statistics.median(own[0] / other[0] for own, other in zip(rounds, peer))
        print(f"{name:16} {cpu:14.1f} {rate:11.0f} {slow:8.1f} {ratio:17.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
