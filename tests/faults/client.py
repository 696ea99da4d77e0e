# SPDX-License-Identifier: Apache-2.0
"""The open-loop client: requests leave at a constant rate whatever becomes of the earlier ones, over kept connections of
HTTP/1.1. Each carries an id that its answer must echo."""
import asyncio
import threading
import time
from dataclasses import dataclass, field

ANSWER_WITHIN = 30  # seconds; later counts as lost


@dataclass
class Outcome:
    due: float         # when it had to leave
    ended: float
    kind: str          # ok, wrong, 5xx, cut (its connection ended without an answer), late, refused (no connection)
    detail: str = ""
    pid: int = 0


@dataclass
class Figures:
    """What one run of a fault comes to; times in seconds."""
    sent: int = 0
    lost: int = 0       # no answer: cut or late
    wrong: int = 0      # somebody else's answer
    errors: int = 0     # 5xx
    refused: int = 0    # connections that were not taken
    twice: int = 0      # POSTs that the application saw more than once
    gap: float = 0      # longest time without a good answer
    recovery: float = 0  # from the fault to the last failure
    details: list = field(default_factory=list)

    @property
    def failed(self):
        return self.lost + self.wrong + self.errors


class Client:
    """`start`, `stop`, then `figures(since)`. Runs in a thread of its own, so that faults may block."""

    def __init__(self, port, *, rate=200, connections=50, method="GET", ms=0, name="r", fresh=False):
        self.port, self.rate, self.connections, self.fresh = port, rate, connections, fresh
        self.method, self.path, self.name = method, f"/work?ms={ms}" if ms else "/work", name
        self.outcomes, self.sent_ids, self.stopping = [], [], threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.thread.join(ANSWER_WITHIN + 10)

    async def run(self):
        self.idle, self.tasks = [], set()
        begun, number = time.monotonic(), 0
        while not self.stopping.is_set():
            due = begun + number / self.rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self.one(f"{self.name}{number}", max(due, time.monotonic() - 0.005)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            number += 1
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=ANSWER_WITHIN)
        for _, writer in self.idle:
            writer.close()

    async def one(self, name, due):
        self.sent_ids.append(name)
        try:
            kind, detail, pid = await asyncio.wait_for(self.ask(name), ANSWER_WITHIN)
        except asyncio.TimeoutError:
            kind, detail, pid = "late", "no answer in time", 0
        except ConnectionRefusedError as error:
            kind, detail, pid = "refused", str(error), 0
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
            kind, detail, pid = "cut", repr(error), 0
        self.outcomes.append(Outcome(due, time.monotonic(), kind, detail, pid))

    async def ask(self, name):
        reader, writer = await self.connection()
        keep = False
        try:
            body = b"Content-Length: 0\r\n" if self.method == "POST" else b""
            writer.write(f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\nX-Fault-Id: {name}\r\n".encode() + body + b"\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status = int(head.split(" ", 2)[1])
            length = int(head.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in head else 0
            text = (await reader.readexactly(length)).decode("utf-8", "replace")
            keep = "connection: close" not in head and not self.fresh and len(self.idle) < self.connections
            if status >= 500:
                return "5xx", f"{status} {text[:160]!r}", 0
            if status != 200 or text.split(" ")[0] != name:
                return "wrong", f"{name}: {status} {text[:80]!r}", 0
            return "ok", "", int(text.split(" ")[1])
        finally:
            if keep:
                self.idle.append((reader, writer))
            else:
                writer.close()

    async def connection(self):
        """A kept one that the other side has not closed, as every client looks for; else a new one."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    def so_far(self):
        return len(self.outcomes)

    def good_since(self, moment):
        return sum(1 for outcome in list(self.outcomes) if outcome.kind == "ok" and outcome.ended > moment)

    def pids_since(self, moment):
        return {outcome.pid for outcome in list(self.outcomes) if outcome.kind == "ok" and outcome.ended > moment}

    def figures(self, since, posts=()):
        found = Figures()
        outcomes = [outcome for outcome in self.outcomes if outcome.ended >= since]
        found.sent = len(outcomes)
        bad = [outcome for outcome in outcomes if outcome.kind != "ok"]
        found.lost = sum(outcome.kind in ("cut", "late") for outcome in bad)
        found.wrong = sum(outcome.kind == "wrong" for outcome in bad)
        found.errors = sum(outcome.kind == "5xx" for outcome in bad)
        found.refused = sum(outcome.kind == "refused" for outcome in bad)
        found.details = [outcome.detail for outcome in bad[:3]]
        good = sorted(outcome.ended for outcome in outcomes if outcome.kind == "ok")
        found.gap = max((b - a for a, b in zip([since, *good], good)), default=0)
        found.recovery = max((outcome.ended - since for outcome in bad), default=0)
        found.twice = sum(count > 1 for count in counted(posts).values())
        return found


def counted(names):
    out = {}
    for name in names:
        out[name] = out.get(name, 0) + 1
    return out
