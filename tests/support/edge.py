# SPDX-License-Identifier: Apache-2.0
"""The real binary under test: writes its stack.yaml, starts it on free ports, waits until it is ready, and at the end asks
for a clean stop: exit code 0, no process left, no sanitizer report."""
import copy
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import httpx
import yaml

import procs
from procs import within
from wire import Wire

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("EDGEPROXY_BIN", ROOT / "build/release/edgeproxy")).absolute()
DEMO_WORKER = Path(os.environ.get("EDGEPROXY_DEMO_WORKER", BINARY.parent / "edgeproxy-demo-worker")).absolute()
SANITIZED = BINARY.exists() and any(name in BINARY.read_bytes() for name in (b"__asan_init", b"__tsan_init"))
READY_WITHIN, STOP_WITHIN = (120, 90) if SANITIZED else (60, 45)
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|LeakSanitizer", re.M)
CANNOT_BIND = 4


GIVEN_PORTS = set()


def free_port():
    """A port that nobody listens on now, and that was given to nobody before."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        if port not in GIVEN_PORTS:
            GIVEN_PORTS.add(port)
            return port


def merge(base, over):
    """`over` laid on `base`, maps key by key; a key of `over` with None is taken out."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def environment(extra=None):
    """PATH leads to the binary, the demo worker and the venv's servers."""
    first = [str(BINARY.parent), str(DEMO_WORKER.parent), str(Path(sys.executable).parent)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EDGEPROXY_")}
    return {**kept, "PATH": os.pathsep.join([*first, os.environ["PATH"]]), "PYTHONDONTWRITEBYTECODE": "1",
            **(extra or {})}


def run(*arguments, cwd=None, env=None, timeout=30):
    """One command of the binary, to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                          env=environment(env), timeout=timeout, stdin=subprocess.DEVNULL)


class Edge:
    """One running edgeproxy. `stack` is laid over a base of two listeners, a certificate, metrics and JSON logs; every
    port of the base is free, and `{port:NAME}` in any text of it stands for another free one."""

    def __init__(self, certificate, stack, *, cwd=None, env=None, arguments=(), wrapper=(),
                 wrapper_becomes=False, binary=BINARY):
        self.certificate, self.given, self.cwd, self.wrapper = certificate, stack, cwd, wrapper
        self.wrapper_becomes = wrapper_becomes  # it execs us: its pid is the master's
        self.env, self.arguments = env or {}, arguments
        self.binary = binary  # a copy of the program, for a test that puts another one in its place
        self.folder = Path(tempfile.mkdtemp(prefix="ep-"))
        self.mark = uuid.uuid4().hex
        self.process, self.ports, self.expected_exit, self.seen = None, {}, 0, set()

    def base(self):
        return {
            "server": {"runtime_dir": str(self.folder / "run")},
            "limits": {"loop_lag": "off"},  # a machine that runs many tests at once lags
            "listeners": {"http": {"address": "127.0.0.1:{port:http}"},
                          # One address shakes hands for a whole suite here.
                          "https": {"address": "127.0.0.1:{port:https}", "tls": True,
                                    "limits": {"handshakes_per_source": "off"}}},
            "tls": {"cert": str(self.certificate.cert), "key": str(self.certificate.key)},
            "metrics": {"listen": "127.0.0.1:{port:metrics}"},
            "logging": {"level": "debug", "format": "json", "access": {"output": "stdout", "format": "json"}},
        }

    def write(self):
        """The file with ports of this start."""
        self.ports = {}
        self.stack = Path(self.cwd or self.folder) / f"stack-{self.mark[:8]}.yaml"
        self.rewrite()

    def rewrite(self, over=None):
        """The file with `over` laid on it and the ports that it has already, for a reload. Gives its text."""
        stack = merge(merge(self.base(), self.given), over or {})
        if "routes" not in stack and "app" not in stack:
            stack["routes"] = [{"pool": name} for name in list(stack.get("pools", {}))[:1]]
        text = re.sub(r"\{port:(\w+)\}", lambda found: str(self.ports.setdefault(found[1], free_port())),
                      yaml.safe_dump(stack, sort_keys=False))
        beside = self.stack.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.stack)  # at once, as editors do
        return text

    def start(self, wait="ready"):
        """`wait`: ready = /readyz says 200 and no worker is starting any more; serving = /readyz says 200, which one
        worker of each pool is enough for; live = /livez does; ends = the process ends; nothing."""
        for _ in range(4):
            self.write()
            self.spawn()
            try:
                self.wait(wait)
            except RuntimeError:
                if self.process.returncode == CANNOT_BIND and self.expected_exit != CANNOT_BIND:
                    continue  # somebody took a port between our look and its bind
                raise
            return self
        raise RuntimeError(f"no free port in four tries\n{self.tail()}")

    def spawn(self):
        self.stdout, self.stderr = open(self.folder / "stdout", "wb"), open(self.folder / "stderr", "wb")
        self.process = subprocess.Popen([*self.wrapper, self.binary, "-c", self.stack, *self.arguments], cwd=self.cwd or self.folder,
                                        env=environment({"STATE_DIRECTORY": str(self.folder / "state"), **self.env,
                                                         procs.MARK: self.mark}), stdout=self.stdout,
                                        stderr=self.stderr, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait(self, what):
        if what == "ends":
            if self.process.wait(READY_WITHIN) == CANNOT_BIND != self.expected_exit:
                raise RuntimeError(self.tail())
        elif what:
            def there():
                if self.process.poll() is not None:
                    raise RuntimeError(f"ended with exit code {self.process.returncode}\n{self.tail()}")
                return {"ready": self.is_ready, "serving": self.serves, "live": self.lives}[what]()
            try:
                within(READY_WITHIN, there, what)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.tail()}") from None
            self.look()

    def look(self):
        """Remembers which processes belong to this run now, to find leftovers later."""
        below = [self.process.pid, *procs.descendants(self.process.pid)]
        self.seen |= {procs.identity(pid) for pid in below} - {None}

    def lives(self):
        return self.status("/livez") == 200

    def serves(self):
        return self.status("/readyz") == 200

    def is_ready(self):
        return self.serves() and not self.metric("edgeproxy_pool_endpoints", state="starting")

    # what it is made of

    @property
    def master(self):
        """The process that was started, or the one that its wrapper started."""
        return procs.children(self.process.pid)[0] if self.wrapper and not self.wrapper_becomes else self.process.pid

    def own(self, pid):
        return Path(procs.executable(pid).removesuffix(" (deleted)")).name == BINARY.name

    @property
    def proxy(self):
        """The child with our executable that holds the most threads: the proxy process."""
        ours = [pid for pid in procs.children(self.master) if self.own(pid)]
        return max(ours, key=lambda pid: len(os.listdir(f"/proc/{pid}/task"))) if ours else None

    def workers(self):
        """Pids of the worker processes that the master started itself."""
        return [pid for pid in procs.children(self.master)
                if not self.own(pid) and (procs.stat(pid) or "Z")[0] != "Z" and procs.executable(pid)]

    # what it says

    def log(self):
        """What is there now. The master writes its lines at the end of what it does: `wait_log` for those that follow
        from anything seen elsewhere."""
        return (self.folder / "stderr").read_text(errors="replace")

    def tail(self):
        return "stderr of edgeproxy:\n" + self.log()[-6000:]

    def wait_log(self, pattern, seconds=15):
        return within(seconds, lambda: re.search(pattern, self.log()), f"{pattern!r} in the log")

    def access(self):
        """The access log, a dict a line; a line that is not JSON fails the test."""
        text = (self.folder / "stdout").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_access(self, path, seconds=10):
        """The first line about that path."""
        def find():
            return next((line for line in self.access() if line.get("path") == path), None)
        return within(seconds, find, f"{path} in the access log")

    # how it is asked

    def address(self, name="http"):
        return "127.0.0.1", self.ports[name]

    def url(self, path="/", name="https", host="localhost"):
        return f"{'https' if name == 'https' else 'http'}://{host}:{self.ports[name]}{path}"

    def wire(self, **options):
        return Wire(self.address("http"), **options)

    def tls_wire(self, alpn=("http/1.1",), **options):
        return Wire(self.address("https"), context=self.context(alpn), **options)

    def context(self, alpn=()):
        context = ssl.create_default_context(cafile=self.certificate.ca)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def client(self, http2=False, **options):
        """An httpx client that knows our CA; close it by `with`."""
        return httpx.Client(http2=http2, verify=self.context(), timeout=30, trust_env=False, **options)

    def get(self, path="/", name="https", http2=False, **options):
        with self.client(http2) as client:
            return client.get(self.url(path, name), **options)

    def admin(self, path):
        """(status, text) from the metrics listener."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self, path):
        try:
            return self.admin(path)[0]
        except OSError:
            return 0

    def metrics(self):
        """{(name, frozenset of (label, value)): number}."""
        found = {}
        for name, labels, value in re.findall(r"^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$", self.admin("/metrics")[1], re.M):
            found[name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))] = float(value)
        return found

    def metric(self, name, **labels):
        """The sum over all series of that name that have these labels; None when there is none."""
        fitting = [value for (key, have), value in self.metrics().items()
                   if key == name and set(labels.items()) <= set(have)]
        return sum(fitting) if fitting else None

    def command(self, verb, *arguments, timeout=60):
        """One command for this running edgeproxy, found by its file."""
        return run(verb, *arguments, "-c", self.stack, cwd=self.cwd or self.folder, env=self.env, timeout=timeout)

    # how it ends

    def stop(self, by=signal.SIGTERM):
        """The exit code of a stop that was asked for."""
        if self.process.poll() is None:
            self.look()
            os.kill(self.master, by)
            self.process.wait(STOP_WITHIN)
        return self.process.returncode

    def leftovers(self):
        """What is still there, zombies as well, but for those that have ended and that process 1 has to reap."""
        left = {pid for pid, _ in filter(procs.alive, self.seen) if (procs.stat(pid) or ())[:2] != ("Z", 1)}
        left |= set(procs.marked(self.mark))
        return {pid: procs.command_line(pid) or str(procs.stat(pid)) for pid in left}

    def finish(self):
        """Stops, and fails where the stop was not clean."""
        try:
            if self.process is None:
                return
            try:
                code = self.stop()
            except subprocess.TimeoutExpired:
                raise AssertionError(f"still there {STOP_WITHIN} s after TERM\n{self.tail()}") from None
            left = self.leftovers()
            assert code == self.expected_exit, f"exit code {code}, not {self.expected_exit}\n{self.tail()}"
            assert not left, f"processes left after the stop: {left}\n{self.tail()}"
            assert not REPORT.search(self.log()), f"a sanitizer report\n{self.tail()}"
        finally:
            self.sweep()

    def sweep(self):
        """Whatever happened, nothing of this run stays on the machine."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.leftovers() if self.process is not None else ():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if self.process is not None:
            self.stdout.close()
            self.stderr.close()
            self.stack.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
