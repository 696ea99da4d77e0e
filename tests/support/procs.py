# SPDX-License-Identifier: Apache-2.0
"""What /proc says about processes: who belongs to a run, whose child it is, how much memory it has."""
import os
import time

MARK = "EDGEPROXY_TEST_RUN"


def within(seconds, ask, what="the awaited thing"):
    """The first true answer of `ask`, asked again and again; TimeoutError when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def pids():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def read(pid, name):
    """Bytes of /proc/pid/name; empty when the process has gone or is not ours to read."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def stat(pid):
    """(state, parent, group, session, start time) or None. The name may hold blanks and brackets, so cut behind it."""
    text = read(pid, "stat").decode("utf-8", "replace")
    if not text:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])


def children(pid):
    found = []
    for other in pids():
        seen = stat(other)
        if seen and seen[1] == pid:
            found.append(other)
    return sorted(found)


def descendants(pid):
    below = []
    for child in children(pid):
        below += [child, *descendants(child)]
    return below


def identity(pid):
    """A pid with its start time: what stays true when the number is used again."""
    seen = stat(pid)
    return (pid, seen[4]) if seen else None


def alive(who):
    """Whether the process of an `identity` still exists, as a zombie or otherwise."""
    return who is not None and identity(who[0]) == who


def marked(mark):
    return [pid for pid in pids() if f"{MARK}={mark}".encode() in read(pid, "environ").split(b"\0")]


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def command_line(pid):
    return read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def resident_bytes(pid):
    fields = read(pid, "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") if fields else 0
