# SPDX-License-Identifier: Apache-2.0
"""Puts load on one address and says what really happened, or why it does not count.

`wrk` and `h2load` are run with a bounded time or number of requests; `read_wrk` and `read_h2load` turn their output into
a Result. A Result with faults must not become a figure.
"""
import dataclasses
import http.client
import re
import ssl
import subprocess

UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@dataclasses.dataclass
class Result:
    requests: int = 0
    seconds: float = 0.0
    faults: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One kind of load: `tool` is wrk (HTTP/1.1) or h2load (HTTP/2), `length` the bytes of each answer's body."""
    name: str
    title: str
    tool: str
    tls: bool
    path: str
    length: int
    connections: int
    streams: int = 1


SCENARIOS = [
    Scenario("h1", "HTTP/1.1, 128 B, 64 connections", "wrk", False, "/128", 128, 64),
    Scenario("h1-low", "HTTP/1.1, 128 B, 4 connections", "wrk", False, "/128", 128, 4),
    Scenario("h1-16k", "HTTP/1.1, 16 KiB, 64 connections", "wrk", False, "/16k", 16384, 64),
    Scenario("tls", "HTTP/1.1 over TLS 1.3, 128 B, 64 connections", "wrk", True, "/128", 128, 64),
    Scenario("tls-16k", "HTTP/1.1 over TLS 1.3, 16 KiB, 64 connections", "wrk", True, "/16k", 16384, 64),
    Scenario("h2", "HTTP/2 over TLS 1.3, 128 B, 10 connections x 100 streams", "h2load", True, "/128", 128, 10, 100),
]


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def probe(port, tls, path, length):
    """Asks once over HTTP/1.1. Returns (bytes of the whole answer, None) or (0, what is wrong with it)."""
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=client_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer to {path}: {error!r}"
    finally:
        connection.close()
    if response.status != 200:
        return 0, f"status {response.status} to {path}"
    if body != b"x" * length:
        return 0, f"{len(body)} bytes to {path} that are not the {length} of the origin"
    head = len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    head += sum(len(f"{name}: {value}\r\n") for name, value in response.getheaders())
    return head + length, None


def read_wrk(text, answer_bytes, connections):
    """`answer_bytes` is the size of one right answer, head and all; the bytes read must fit the number of answers within
    3 %, and beside them at most one unfinished answer a connection, which wrk counts in bytes but not as a request."""
    result = Result()
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m), ([\d.]+)([KMG]?B) read", text)
    if not total:
        result.faults.append("wrk gave no total")
        return result
    result.requests = int(total[1])
    result.seconds = float(total[2]) * {"ms": 0.001, "s": 1, "m": 60}[total[3]]
    for line in re.findall(r"^ *((?:Socket errors|Non-2xx).*)$", text, re.MULTILINE):
        result.faults.append(line)
    if result.requests == 0:
        result.faults.append("no request was answered")
        return result
    total_bytes = float(total[4]) * UNITS[total[5]]
    most = (result.requests + connections) * answer_bytes
    if not result.requests * answer_bytes * 0.97 <= total_bytes <= most * 1.03:
        result.faults.append(f"{total_bytes / result.requests:.0f} bytes an answer instead of {answer_bytes}")
    return result


def read_h2load(text, length):
    """`length` is the size of one right body; the sum of all bodies must be exact."""
    result = Result()
    finished = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", text)
    requests = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    statuses = re.search(r"status codes: (\d+) 2xx", text)
    data = re.search(r"\((\d+)\) data", text)
    if not (finished and requests and statuses and data):
        result.faults.append("h2load gave no total")
        return result
    result.requests = int(requests[1])
    result.seconds = float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[finished[2]]
    if int(requests[2]) != result.requests or any(int(requests[i]) for i in (3, 4, 5)):
        result.faults.append(requests[0])
    if int(statuses[1]) != result.requests:
        result.faults.append(f"{statuses[1]} answers 2xx of {result.requests}")
    if int(data[1]) != length * result.requests:
        result.faults.append(f"{data[1]} bytes of bodies instead of {length * result.requests}")
    if "Application protocol: h2" not in text:
        result.faults.append("did not speak h2")
    return result


def command(scenario, port, seconds, requests):
    scheme = "https" if scenario.tls else "http"
    url = f"{scheme}://127.0.0.1:{port}{scenario.path}"
    if scenario.tool == "wrk":
        return ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "5s", url]
    return ["h2load", "-t1", f"-c{scenario.connections}", f"-m{scenario.streams}", f"-n{requests}", url]


def run(scenario, port, seconds, requests, answer_bytes):
    """One bounded load of `seconds` (wrk) or `requests` (h2load)."""
    words = command(scenario, port, seconds, requests)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds * 10 + 60, check=False)
    except subprocess.TimeoutExpired:
        return Result(faults=[f"{words[0]} did not end"])
    text = done.stdout + done.stderr
    result = read_wrk(text, answer_bytes, scenario.connections) if scenario.tool == "wrk" else read_h2load(text, scenario.length)
    if done.returncode != 0:
        result.faults.append(f"{words[0]} exit {done.returncode}: {done.stderr.strip()[-200:]}")
    return result
