# SPDX-License-Identifier: Apache-2.0
"""The proxies under comparison: how each is started, what its processes cost, how it is stopped.

All ports lie below 32768, outside the range from which the kernel hands out ephemeral ports.
"""
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import load
import memory
import setups

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / "build" / "tools" / "usr" / "sbin"
ORIGIN_PORT = 18080
START_SECONDS = 15
STOP_SECONDS = 15


def children():
    """Parent -> its child processes, of all processes now."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(stat_fields(int(name))[1])
            except (OSError, IndexError):
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def stat_fields(pid):
    """Fields of /proc/PID/stat from the third (state) on: [0] is the state, [1] the parent."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def tree(pid):
    by_parent, found = children(), [pid]
    for member in found:
        found.extend(by_parent.get(member, []))
    return found


def cpu_seconds(pid):
    """User and system time of a process and its descendants, to the nanosecond; of all their threads that live."""
    return sum(int((task / "schedstat").read_text(encoding="utf-8").split()[0])
               for member in tree(pid) for task in pathlib.Path(f"/proc/{member}/task").iterdir()) / 1e9


def private_dirty_kib(pid):
    """Private dirty memory of a process and its descendants; PermissionError where one may not be looked into."""
    total = 0
    for member in tree(pid):
        for line in pathlib.Path(f"/proc/{member}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1])
    return total


def reset_peak(pid):
    """The peak of resident memory counts from now on."""
    for member in tree(pid):
        pathlib.Path(f"/proc/{member}/clear_refs").write_text("5", encoding="utf-8")


def peak_kib(pid):
    """The most resident memory that a process and its descendants had since `reset_peak`, each at its own moment."""
    total = 0
    for member in tree(pid):
        status = pathlib.Path(f"/proc/{member}/status").read_text(encoding="utf-8")
        total += int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1])
    return total


def pinned(cores):
    """What a child does before exec: keep to these cores (None: ours) and take all the descriptors that it may."""
    def prepare():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if cores is not None:
            os.sched_setaffinity(0, cores)
    return prepare


class Program:
    """One child process with a log file; stopped with TERM, and killed with its descendants if that does not help."""

    def __init__(self, name, words, directory, cores):
        self.name, self.words, self.cores = name, words, cores
        self.log = pathlib.Path(directory) / f"{name}.log"
        self.process, self.folder = None, None  # it runs in: None = ours

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            preexec_fn=pinned(self.cores))

    def stop(self):
        if self.process is None:
            return
        members = tree(self.process.pid) if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for member in members:
                try:
                    os.kill(member, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
        self.process = None

    def last_words(self):
        return self.log.read_text(encoding="utf-8", errors="replace").strip()[-300:] if self.log.exists() else ""

    def wait_until_right(self, faults_of):
        """`faults_of()` gives what is wrong with its answers, None each time that nothing is. Raises RuntimeError with
        the last words if that lasts."""
        deadline = time.monotonic() + START_SECONDS
        fault = "it ended"
        while time.monotonic() < deadline and self.process.poll() is None:
            fault = next(filter(None, faults_of()), None)
            if fault is None and self.process.poll() is None:
                return
            time.sleep(0.05)
        words = self.last_words()
        self.stop()
        raise RuntimeError(f"{self.name} does not serve ({fault}): {words}")


class Origin(Program):
    """What stands behind all of them."""

    def __init__(self, binary, directory, cores):
        super().__init__("origin", [str(binary), str(ORIGIN_PORT)], directory, cores)

    def start(self):
        super().start()
        self.wait_until_right(lambda: [load.probe(ORIGIN_PORT, False, "/128", 128)[1]])


class Contender(Program):
    """A proxy that answers on `plain` and `tls` (ports) with what the origin says."""

    def __init__(self, name, words, template, directory, cores, plain, setup):
        super().__init__(name, words, directory, cores)
        self.plain, self.tls = plain, plain + 1
        text = (HERE / template).read_text(encoding="utf-8")
        for key, value in {"DIR": directory, "ORIGIN": ORIGIN_PORT, "PLAIN": plain, "TLS": plain + 1,
                           "METRICS": plain + 2, "CONNECTIONS": memory.count() + memory.OTHERS,
                           "DESCRIPTORS": 2 * (memory.count() + memory.OTHERS), **getattr(setups, name)(setup, directory)}.items():
            text = text.replace(f"@{key}@", str(value))
        (pathlib.Path(directory) / template.removesuffix(".in")).write_text(text, encoding="utf-8")

    def port(self, tls):
        return self.tls if tls else self.plain

    def start(self):
        """Returns when both ports answer rightly; raises RuntimeError with the program's last words otherwise."""
        super().start()
        self.wait_until_right(lambda: [load.probe(self.port(tls), tls, "/128", 128)[1] for tls in (False, True)])

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def reset_peak(self):
        reset_peak(self.process.pid)

    def peak_kib(self):
        return peak_kib(self.process.pid)

    def private_dirty_kib(self):
        return private_dirty_kib(self.process.pid)


def certificate(directory):
    """A self-signed EC P-256 certificate: cert.pem, key.pem, both.pem."""
    place = pathlib.Path(directory)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                    place / "key.pem", "-out", place / "cert.pem"], check=True, capture_output=True)
    (place / "both.pem").write_bytes((place / "cert.pem").read_bytes() + (place / "key.pem").read_bytes())


def tool(name):
    unpacked = TOOLS / name
    return str(unpacked) if unpacked.exists() else name


def make(name, directory, cores, edgeproxy, setup=setups.PLAIN):
    """A contender in a folder of its own below `directory`, on ports of its own."""
    folder = pathlib.Path(directory) / setup.name
    if not folder.exists():
        folder.mkdir()
        certificate(folder)
    port = 18101 + 30 * setups.SETUPS.index(setup)
    if name == "edgeproxy":
        return Contender(name, [str(edgeproxy), "-c", f"{folder}/edgeproxy.yaml"], "edgeproxy.yaml.in", folder, cores, port,
                         setup)
    if name == "nginx":
        return Contender(name, [tool("nginx"), "-e", f"{folder}/nginx-error.log", "-p", folder, "-c", f"{folder}/nginx.conf"],
                         "nginx.conf.in", folder, cores, port + 10, setup)
    return Contender(name, [tool("haproxy"), "-db", "-f", f"{folder}/haproxy.cfg"], "haproxy.cfg.in", folder, cores, port + 20,
                     setup)
