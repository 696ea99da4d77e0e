# SPDX-License-Identifier: Apache-2.0
"""The host: descriptors, disks, log readers, clocks, CPUs."""
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import procs
from chains import EdgeproxyChain, NotYet
from plan import Bars, fault
from procs import within


@fault("cpu-busy", "host", Bars(gap=None), load={"rate": 100})
def busy(chain, client):
    """every core is busy with something else for 5 s: no worker is taken for ill"""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    time.sleep(5)
    for burner in burners:
        burner.kill()
        burner.wait()
    assert chain.edge.metric("edgeproxy_worker_restarts_total", pool="app", reason="health") in (0, None)


class SmallDisk:
    """A file system of 64 KiB, or an explanation why there is none."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="edgeproxy-disk-"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.path], capture_output=True, text=True)
        if done.returncode != 0:
            self.path.rmdir()
            raise Impossible("cannot mount a small tmpfs: " + done.stderr.strip())

    def remove(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        self.path.rmdir()


class Impossible(Exception):
    """This machine does not let us do it; said in the table."""


def with_small_disk():
    disk = SmallDisk()
    chain = EdgeproxyChain({"logging": {"level": "debug", "access": {"output": str(disk.path / "access.log"), "format": "json"}}})
    chain.disk = disk
    return chain


@fault("log-disk-full", "host", Bars(gap=0.2), make=with_small_disk)
def log_disk_full(chain, client):
    """the disk of the access log is full: lines are dropped and counted, requests do not wait"""
    try:
        def full():
            return os.statvfs(chain.disk.path).f_bavail == 0
        within(60, full, "a full disk")
        within(30, lambda: chain.edge.metric("edgeproxy_log_messages_dropped_total"), "dropped lines that are counted")
        moment = client.so_far()
        within(30, lambda: client.so_far() > moment + 300, "more answers")
    finally:
        chain.disk.remove()


@fault("log-file-removed", "host", Bars(gap=0.1))
def log_removed(chain, client):
    """the log directory's file is removed, USR1: a new one is written"""
    os.kill(chain.master(), signal.SIGUSR1)
    chain.edge.wait_log("logs_reopened|log files reopened", 10)


def with_stopped_reader():
    """Standard output is a pipe that nobody reads."""
    read, write = os.pipe()
    chain = EdgeproxyChain({"logging": {"access": {"output": "stdout", "format": "json"}}})
    chain.pipe = (read, write)
    spawn = chain.edge.spawn

    def spawn_with_pipe():
        spawn_popen = subprocess.Popen

        def popen(*arguments, **options):
            options["stdout"] = write
            return spawn_popen(*arguments, **options)
        subprocess.Popen = popen
        try:
            spawn()
        finally:
            subprocess.Popen = spawn_popen
    chain.edge.spawn = spawn_with_pipe
    return chain


@fault("log-reader-stopped", "host", Bars(gap=0.2), make=with_stopped_reader)
def log_reader_stopped(chain, client):
    """whoever reads standard output has stopped: lines are dropped and counted, requests do not wait"""
    within(60, lambda: chain.edge.metric("edgeproxy_log_messages_dropped_total"), "dropped lines that are counted")
    moment = client.so_far()
    within(30, lambda: client.so_far() > moment + 300, "more answers")


@fault("log-reader-gone", "host", Bars(gap=0.2), make=with_stopped_reader)
def log_reader_gone(chain, client):
    """whoever reads standard output is gone: nobody dies of SIGPIPE"""
    for end in chain.pipe:
        os.close(end)
    moment = client.so_far()
    within(30, lambda: client.so_far() > moment + 300, "more answers")


@fault("runtime-dir-read-only", "host", Bars(gap=0.2))
def runtime_dir_read_only(chain, client):
    """no new socket can be made in the runtime directory while a worker dies: it is told and tried again until it can be"""
    run = chain.edge.folder / "run"
    done = subprocess.run(["mount", "--bind", "-o", "ro", run, run], capture_output=True, text=True)
    if done.returncode != 0:
        raise Impossible("cannot mount read-only: " + done.stderr.strip())
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", run], check=True, capture_output=True)
        victim = min(chain.workers())
        os.kill(victim, signal.SIGKILL)
        chain.edge.wait_log("worker_start_failed", 20)
    finally:
        subprocess.run(["umount", "-l", run], check=True)
    within(60, lambda: len(chain.workers()) == 2, "a second worker")
    chain.settle()


@fault("nofile-limit", "host", Bars(lost=None, gap=None, refused=None), load={"rate": 20})
def nofile(chain, client):
    """the proxy may open few files and 400 clients come: those that are served are served, /metrics answers, and it recovers"""
    resource.prlimit(chain.proxy(), resource.RLIMIT_NOFILE, (120, 120))
    crowd = []
    try:
        for _ in range(400):
            sock = socket.socket()
            sock.settimeout(2)
            crowd.append(sock)
            sock.connect(("127.0.0.1", chain.port))
        before = cpu_seconds(chain.proxy())
        time.sleep(2)
        used = cpu_seconds(chain.proxy()) - before
        assert used < 0.6, f"{used:.1f} s of CPU in 2 s at the limit"
    finally:
        for sock in crowd:
            sock.close()
    moment = time.monotonic()
    within(10, lambda: client.good_since(moment) > 20, "answers after the crowd has gone")


def cpu_seconds(pid):
    fields = procs.read(pid, "stat").decode().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long* offset(void) {
    static volatile long* at = 0;
    static long none = 0;
    if (at) return at;
    const char* name = getenv("EDGEPROXY_CLOCK_SHIM");
    int fd = name ? open(name, O_RDONLY) : -1;
    void* map = fd < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    return at = map == MAP_FAILED ? &none : map;
}
int clock_gettime(clockid_t id, struct timespec* out) {
    static int (*real)(clockid_t, struct timespec*) = 0;
    if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (code == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += *offset();
    return code;
}
int gettimeofday(struct timeval* out, void* zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t* out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


def with_movable_clock():
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Impossible("no C compiler for the clock shim")
    folder = Path(tempfile.mkdtemp(prefix="edgeproxy-clock-"))
    (folder / "shim.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    (folder / "offset").write_bytes((0).to_bytes(8, sys.byteorder, signed=True))
    chain = EdgeproxyChain(env={"LD_PRELOAD": str(folder / "shim.so"), "EDGEPROXY_CLOCK_SHIM": str(folder / "offset")})
    chain.clock = folder / "offset"
    return chain


@fault("clock-steps", "host", Bars(gap=0.2), make=with_movable_clock)
def clock_steps(chain, client):
    """the wall clock jumps by an hour and by ten years, both ways: no timer notices, Date follows"""
    import urllib.request
    from email.utils import parsedate_to_datetime
    for seconds in (3600, -3600, 315_000_000, -315_000_000, 0):
        with open(chain.clock, "r+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
        time.sleep(1.2)
        with urllib.request.urlopen(f"http://127.0.0.1:{chain.edge.ports['metrics']}/livez", timeout=10) as answer:
            assert answer.status == 200
    try:
        shutil.rmtree(chain.clock.parent)
    except OSError:
        pass


@fault("stalled-scrapers", "host", Bars(gap=0.1))
def stalled_scrapers(chain, client):
    """100 scrapers that ask for /metrics and never read: requests do not notice, a real scrape is answered"""
    crowd = []
    for _ in range(100):
        sock = socket.create_connection(("127.0.0.1", chain.edge.ports["metrics"]), timeout=5)
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        crowd.append(sock)
    time.sleep(1)
    assert chain.edge.metric("edgeproxy_ready") == 1
    for sock in crowd:
        sock.close()


CANARY = "canary-3f9a1c77"


@fault("secrets-told-nowhere", "host", Bars(gap=0.1),
       make=lambda: EdgeproxyChain({"pools": {"app": {"environment": {"DATABASE_PASSWORD": CANARY}}}}))
def secrets(chain, client):
    """a secret of a worker's environment stands in no log, page, explain, nor in the proxy's memory map of the environment"""
    import edge as edge_module
    said = edge_module.run("explain", "-c", chain.edge.stack).stdout
    assert "DATABASE_PASSWORD" in said and CANARY not in said
    assert CANARY not in chain.edge.log() and CANARY not in chain.edge.admin("/metrics")[1]
    assert CANARY.encode() not in procs.read(chain.proxy(), "environ")
    assert any(CANARY.encode() in procs.read(pid, "environ") for pid in chain.workers()), "the workers did not get it"


@fault("memory-of-rest", "host", Bars(gap=0.2), load={"rate": 300})
def at_rest(chain, client):
    """after 5 s of load and a rest: as many descriptors and threads as before, hardly more memory"""
    pid = chain.proxy()

    def state():
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    time.sleep(2)
    threads = state()[1]
    memory = procs.resident_bytes(pid)
    time.sleep(5)
    assert state()[1] == threads, "threads were added"
    grown = procs.resident_bytes(pid) - memory
    assert grown < 8 << 20, f"the proxy grew by {grown >> 10} KiB in 5 s"
