# SPDX-License-Identifier: Apache-2.0
"""What a request costs the proxy process: instructions and system calls, against ceilings in tests/bench/ceilings.yaml.

The proxy runs under callgrind; whatever belongs to the start and to the connections falls out of the difference of two
loads of different length. Counts, not times: they do not mind a busy machine.
"""
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import procs
from edge import BINARY, SANITIZED, free_port
from procs import within

CEILINGS = yaml.safe_load((Path(__file__).parent.parent / "bench" / "ceilings.yaml").read_text())
SHORT, LONG = 1000, 4000  # requests of the two loads
LOADS = {
    "http1": ("http", "/128", ["--h1", "-c64"]),
    "http1-one": ("http", "/128", ["--h1", "-c1"]),
    "http1-16k": ("http", "/16k", ["--h1", "-c64"]),
    "tls": ("https", "/128", ["--h1", "-c64"]),
    "http2": ("https", "/128", ["-c10", "-m100"]),
}


class Counted:
    """edgeproxy whose proxy process counts what it does."""

    def __init__(self, folder, certificate):
        self.folder, self.processes = folder, []
        origin = free_port()
        self.ports = {"http": free_port(), "https": free_port()}
        self.start([BINARY.parent / "edgeproxy-bench-origin", str(origin)])
        stack = {
            "server": {"threads": 1, "runtime_dir": str(folder / "run")},
            "listeners": {"http": {"address": f"127.0.0.1:{self.ports['http']}"},
                          "https": {"address": f"127.0.0.1:{self.ports['https']}", "tls": True,
                                    "timeouts": {"handshake": "60s", "first_request": "60s"},
                                    "limits": {"handshakes_per_source": "off"}}},
            "tls": {"cert": str(certificate.cert), "key": str(certificate.key)},
            "metrics": {"listen": f"127.0.0.1:{free_port()}"},
            "logging": {"access": "off"},
            # A program that runs fifty times slower lags, and its connections grow old.
            "limits": {"loop_lag": "off", "connections_per_source": "off"},
            "pools": {"app": {"endpoints": [f"127.0.0.1:{origin}"], "max_in_flight": 2048, "keepalive": {"max_idle": 1024}}},
            "routes": [{"pool": "app"}],
        }
        (folder / "stack.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))
        master = self.start([BINARY.parent / "edgeproxy-bench-under", str(folder / "stack.yaml"), str(BINARY),
                             "/usr/bin/valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counts",
                             "--trace-syscalls=yes", f"--log-file={folder}/calls"])
        within(60, lambda: self.asked(*LOADS["http1-one"], 1), "the first answer")
        self.proxy = next(pid for pid in procs.descendants(master.pid) if "callgrind" in procs.executable(pid))

    def start(self, words):
        with open(self.folder / f"{Path(words[0]).name}.log", "wb") as log:
            self.processes.append(subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.processes[-1]

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)

    def asked(self, scheme, path, options, requests):
        done = subprocess.run(["h2load", "-t1", f"-n{requests}", *options, f"{scheme}://127.0.0.1:{self.ports[scheme]}{path}"],
                              capture_output=True, text=True, timeout=120, check=False)
        if f" {requests} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout:
            return True
        print(done.stdout, done.stderr)
        return False

    def counted(self, scheme, path, options, requests):
        """(instructions, system calls) of one load."""
        subprocess.run(["callgrind_control", "--zero", str(self.proxy)], check=True, capture_output=True, timeout=60)
        calls = self.calls()
        assert self.asked(scheme, path, options, requests)
        subprocess.run(["callgrind_control", "--dump", str(self.proxy)], check=True, capture_output=True, timeout=60)
        dumps = sorted(self.folder.glob("counts.*"), key=lambda path: int(path.name.split(".")[1]))
        total = re.search(r"^(?:totals|summary): (\d+)", dumps[-1].read_text(), re.MULTILINE)
        return int(total[1]), self.calls() - calls

    def calls(self):
        """Of the kernel; to read the clock is none outside callgrind."""
        names = re.findall(r" (sys_\w+) ?\(", (self.folder / "calls").read_text(errors="replace"))
        return len(names) - names.count("sys_clock_gettime") - names.count("sys_time")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, certificate):
    counted = Counted(tmp_path_factory.mktemp("costs"), certificate)
    yield counted
    counted.stop()


@pytest.mark.skipif(SANITIZED, reason="sanitizers bring instructions of their own")
@pytest.mark.parametrize("name", CEILINGS["costs"])
def test_a_request_costs_no_more_than_its_ceiling(proxy, name):
    assert proxy.asked(*LOADS[name], SHORT)  # warm
    short, long = (proxy.counted(*LOADS[name], count) for count in (SHORT, LONG))
    seen = {kind: (long[i] - short[i]) / (LONG - SHORT) for i, kind in enumerate(("instructions", "calls"))}
    print(name, seen)
    for kind, ceiling in CEILINGS["costs"][name].items():
        assert seen[kind] <= ceiling * (1 + CEILINGS["slack"]), f"{kind} of a request: {seen[kind]:.2f}, at most {ceiling}"
        assert seen[kind] > ceiling / 4, "nothing was counted"
