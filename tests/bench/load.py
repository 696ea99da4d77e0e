# SPDX-License-Identifier: Apache-2.0
"""Puts load on one address and says what really happened, or why it does not count.

`wrk`, `h2load`, `curl` and our own `edgeproxy-bench-resume` and `edgeproxy-bench-paced` are run with a bounded time, number of
requests or bytes; `read_wrk`, `read_h2load`, `read_curl` and `read_own` turn their output into a Result. A Result with faults
must not become a figure.
"""
import dataclasses
import http.client
import pathlib
import re
import socket
import subprocess

import tunnels
from result import Result, client_context

RELEASE = pathlib.Path(__file__).resolve().parents[2] / "build" / "release"
# Makes wrk print the percentiles that it does not print by itself.
PERCENTILES = """done = function(summary, latency, requests)
    print(string.format("percentiles %d %d %d", latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One kind of load: `tool` is wrk (HTTP/1.1), h2load (HTTP/2), curl (one body of `length` bytes), echo (WebSocket),
    resume (TLS) or paced (HTTP/1.1, at half the rate that the slowest of the proxies reaches); `length` the bytes of each
    answer's body."""
    name: str
    title: str
    tool: str
    tls: bool
    path: str
    length: int
    connections: int
    streams: int = 1
    unit: str = "request"
    closes: bool = False  # a new connection for every request
    setup: str = "plain"  # how the proxies are set up (setups.py)


GIB, PIECE = 1 << 30, 1 << 20
SCENARIOS = [
    Scenario("h1", "HTTP/1.1, 128 B, 64 connections", "wrk", False, "/128", 128, 64),
    Scenario("h1-half", "HTTP/1.1, 128 B, 64 connections, half the load that all can take", "paced", False, "/128", 128, 64),
    Scenario("h1-low", "HTTP/1.1, 128 B, 4 connections", "wrk", False, "/128", 128, 4),
    Scenario("h1-many", "HTTP/1.1, 128 B, 1,000 connections", "wrk", False, "/128", 128, 1000),
    Scenario("h1-routes", "HTTP/1.1, 128 B, 64 connections, the last of 1,000 routes", "wrk", False, "/128", 128, 64,
             setup="routes"),
    Scenario("h1-log", "HTTP/1.1, 128 B, 64 connections, with an access log", "wrk", False, "/128", 128, 64, setup="log"),
    Scenario("h1-no-ids", "HTTP/1.1, 128 B, 64 connections, without request ids", "wrk", False, "/128", 128, 64, setup="ids"),
    Scenario("h1-threads", "HTTP/1.1, 128 B, 64 connections, two threads on two cores", "wrk", False, "/128", 128, 64,
             setup="threads"),
    Scenario("h1-16k", "HTTP/1.1, 16 KiB, 64 connections", "wrk", False, "/16k", 16384, 64),
    Scenario("h1-new", "HTTP/1.1, 128 B, a new connection for every request", "wrk", False, "/128", 128, 64, closes=True),
    Scenario("tls", "HTTP/1.1 over TLS 1.3, 128 B, 64 connections", "wrk", True, "/128", 128, 64),
    Scenario("tls-16k", "HTTP/1.1 over TLS 1.3, 16 KiB, 64 connections", "wrk", True, "/16k", 16384, 64),
    Scenario("tls-new", "TLS 1.3, a full handshake for every request", "wrk", True, "/128", 128, 64, closes=True),
    Scenario("tls-resumed", "TLS 1.3, a resumed session for every request", "resume", True, "/128", 128, 16),
    Scenario("h2", "HTTP/2 over TLS 1.3, 128 B, 10 connections x 100 streams", "h2load", True, "/128", 128, 10, 100),
    Scenario("download", "download of 1 GiB", "curl", False, f"/bytes/{GIB}", GIB, 1, unit="MiB"),
    Scenario("download-tls", "download of 1 GiB over TLS 1.3", "curl", True, f"/bytes/{GIB}", GIB, 1, unit="MiB"),
    Scenario("upload", "upload of 1 GiB", "curl", False, "/sink", GIB, 1, unit="MiB"),
    Scenario("upload-tls", "upload of 1 GiB over TLS 1.3", "curl", True, "/sink", GIB, 1, unit="MiB"),
    Scenario("echo", "WebSocket, 64 B there and back through 100 tunnels", "echo", False, "/echo", 64, 100, unit="message"),
    Scenario("echo-tls", "the same over TLS 1.3", "echo", True, "/echo", 64, 100, unit="message"),
]


def probe(port, tls, path, length, closes=False):
    """Asks once over HTTP/1.1. Returns (bytes of the whole answer, None) or (0, what is wrong with it). `length` None: any
    body will do."""
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=client_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Connection": "close"} if closes else {})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer to {path}: {error!r}"
    finally:
        connection.close()
    if response.status != 200:
        return 0, f"status {response.status} to {path}"
    if length is not None and body != b"x" * length:
        return 0, f"{len(body)} bytes to {path} that are not the {length} of the origin"
    head = len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    head += sum(len(f"{name}: {value}\r\n") for name, value in response.getheaders())
    return head + len(body), None


def agreed(port):
    """What a client with OpenSSL's defaults agrees on there: (version of TLS, cipher suite), or why on nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, client_context().wrap_socket(plain) as secure:
            return secure.version(), secure.cipher()[0]
    except OSError as error:
        return repr(error)


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
    percentiles = re.search(r"^percentiles (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    result.latency = tuple(map(int, percentiles.groups())) if percentiles else ()
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


def read_curl(text, length):
    """`text` is what `--write-out` printed: status, bytes down, bytes up, seconds; `length` bytes must have gone one way."""
    result = Result()
    figures = re.fullmatch(r"(\d+) (\d+) (\d+) ([\d.]+)\s*", text)
    if not figures:
        result.faults.append("curl gave no figures")
        return result
    result.requests, result.seconds = length // PIECE, float(figures[4])
    if figures[1] != "200":
        result.faults.append(f"status {figures[1]}")
    if length not in (int(figures[2]), int(figures[3])):
        result.faults.append(f"{figures[2]} bytes down and {figures[3]} up instead of {length}")
    return result


def read_own(text):
    """Of our own loads. `text`: requests, seconds, and three percentiles where they are measured; or what was wrong."""
    figures = re.fullmatch(r"(\d+) ([\d.]+)((?: \d+){3})?\s*", text)
    if not figures:
        return Result(faults=[text.strip() or "our own load gave no figures"])
    return Result(int(figures[1]), float(figures[2]), tuple(map(int, (figures[3] or "").split())))


def read_log(path):
    """The percentiles of h2load's log, which has a line for each request with its microseconds in the third column."""
    with open(path, encoding="utf-8") as log:
        latencies = sorted(int(line.split("\t")[2]) for line in log)
    return tuple(latencies[min(len(latencies) - 1, int(len(latencies) * share))] for share in (0.5, 0.99, 0.999)) if latencies else ()


@dataclasses.dataclass(frozen=True)
class Size:
    """How much load there is in one go: `seconds` for wrk and paced, `requests` for h2load (echo and resume fewer), the bytes
    of the file `source` for curl. `rate`: requests a second of paced. `folder` is for files that do not last."""
    seconds: int
    requests: int
    folder: pathlib.Path
    rate: int = 0

    @property
    def source(self):
        return self.folder / "source"

    @property
    def log(self):
        return self.folder / "h2load.log"

    @property
    def script(self):
        return self.folder / "percentiles.lua"


def prepare(folder):
    """Writes the files of a Size there."""
    folder = pathlib.Path(folder)
    with open(folder / "source", "wb") as file:
        file.truncate(GIB)
    (folder / "percentiles.lua").write_text(PERCENTILES, encoding="utf-8")


def command(scenario, port, size):
    scheme = "https" if scenario.tls else "http"
    url = f"{scheme}://127.0.0.1:{port}{scenario.path}"
    if scenario.tool == "wrk":
        close = ["-H", "Connection: close"] if scenario.closes else []
        return ["wrk", "-t1", f"-c{scenario.connections}", f"-d{size.seconds}s", "--timeout", "5s", "-s", size.script, *close, url]
    if scenario.tool == "resume":
        return [RELEASE / "edgeproxy-bench-resume", port, size.requests // 20, scenario.connections, scenario.length]
    if scenario.tool == "paced":
        return [RELEASE / "edgeproxy-bench-paced", port, size.seconds * size.rate, size.rate, scenario.connections, scenario.length]
    if scenario.tool == "curl":
        upload = ["-T", size.source] if scenario.path == "/sink" else []
        return ["curl", "-sk", "--http1.1", "-H", "Expect:", "-o", "/dev/null", "-w",
                "%{http_code} %{size_download} %{size_upload} %{time_total}", *upload, url]
    return ["h2load", "-t1", f"-c{scenario.connections}", f"-m{scenario.streams}", f"-n{size.requests}", "--log-file", size.log, url]


def run(scenario, port, size, answer_bytes, begun=lambda: None):
    """One bounded load. `answer_bytes`: those of one right answer, head and all. `begun` is called when all that comes
    before what is measured (tunnels that are opened) is done."""
    if scenario.tool == "echo":
        return tunnels.echo(port, scenario.tls, size.requests // 4, scenario.length, begun)
    words = [str(word) for word in command(scenario, port, size)]
    size.log.unlink(missing_ok=True)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=size.seconds * 10 + 120, check=False)
    except subprocess.TimeoutExpired:
        return Result(faults=[f"{words[0]} did not end"])
    text = done.stdout + done.stderr
    if scenario.tool == "wrk":
        result = read_wrk(text, answer_bytes, scenario.connections)
    elif scenario.tool in ("resume", "paced"):
        result = read_own(done.stdout)
    elif scenario.tool == "curl":
        result = read_curl(done.stdout, scenario.length)
    else:
        result = read_h2load(text, scenario.length)
        result.latency = read_log(size.log) if size.log.exists() else ()
    if done.returncode != 0:
        result.faults.append(f"{words[0]} exit {done.returncode}: {done.stderr.strip()[-200:]}")
    return result
