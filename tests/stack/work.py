# SPDX-License-Identifier: Apache-2.0
"""An ASGI application that does what its caller wishes its worker to suffer; served by uvicorn in the tests.

What it does at import time is told by files in its working directory, as a deploy would change it: `broken` makes it fail,
`delay` holds the seconds that it takes."""
import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs

PLACE = Path(os.environ.get("WORK_PLACE", "."))

if (PLACE / "delay").exists():
    time.sleep(float((PLACE / "delay").read_text()))
if (PLACE / "broken").exists():
    raise ImportError("this deploy is broken")


def note(who):
    """One line in the ledger for each time that the request runs."""
    with open(PLACE / "ledger", "ab", buffering=0) as ledger:
        ledger.write(who + b"\n")


def burn(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def block_the_loop(seconds):
    time.sleep(seconds)


async def sleepers(count, seconds):
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(40) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, time.sleep, seconds) for _ in range(count)))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    asked = parse_qs(scope["query_string"].decode())
    seconds = float(asked.get("s", ["0"])[0])
    path = scope["path"]
    who = dict(scope["headers"]).get(b"x-id", b"")
    if path == "/once":
        note(who)
        await asyncio.sleep(seconds)
    elif path == "/wait":
        await asyncio.sleep(seconds)
    elif path == "/block":
        block_the_loop(seconds)
    elif path == "/burn":
        threads = [threading.Thread(target=burn, args=(seconds,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.05)
    elif path == "/sleepers":
        await sleepers(60, seconds)
    body = b"" if "empty" in asked else who or b"%d\n" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
