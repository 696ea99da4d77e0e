# SPDX-License-Identifier: Apache-2.0
"""The application under fault: answers with the id that it was asked with. Copied into a folder of each run, beside a
`knobs.py` that the faults write.

  /work?ms=20   X-Fault-Id echoed after that time, and the pid; a POST leaves its id in the file `posts` first
  /leave        the process ends with that exit code (?code=3)
"""
import asyncio
import os
import sys
import time
from urllib.parse import parse_qs

import knobs

for _ in range(knobs.CHILDREN):  # processes that outlive a careless supervisor
    if os.fork() == 0:
        time.sleep(1000)
        os._exit(0)
time.sleep(knobs.IMPORT_SECONDS)
if knobs.EXIT_CODE is not None:
    print("leaving as told", file=sys.stderr, flush=True)
    os._exit(knobs.EXIT_CODE)
if knobs.IGNORE_TERM:
    import signal
    real = signal.signal
    signal.signal = lambda number, handler: real(number, signal.SIG_IGN if number == signal.SIGTERM else handler)
    real(signal.SIGTERM, signal.SIG_IGN)

posts = os.open("posts", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        return await echo(receive, send)
    headers = dict(scope["headers"])
    query = parse_qs(scope["query_string"].decode())
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    name = headers.get(b"x-fault-id", b"-")
    if scope["path"] == "/leave":
        os._exit(int(query.get("code", ["3"])[0]))
    if scope["path"] == "/flood":
        print("x" * 200_000, flush=True)
    if scope["method"] == "POST":
        os.write(posts, name + b"\n")
    if "ms" in query:
        await asyncio.sleep(int(query["ms"][0]) / 1000)
    body = name + b" " + str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def echo(receive, send):
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.disconnect":
            return
        else:
            await send({"type": "websocket.send", "text": message.get("text") or ""})
