# SPDX-License-Identifier: Apache-2.0
"""A FastAPI application as it would stand behind any server: nothing in it knows of edgeproxy."""
import asyncio
import os
import zlib

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()
BLOCK = bytes(i % 251 for i in range(251 * 256))


@app.get("/")
async def hello():
    return {"hello": "edgeproxy", "pid": os.getpid()}


@app.get("/healthz", response_class=PlainTextResponse)
async def healthz():
    return "ok\n"


@app.get("/pid", response_class=PlainTextResponse)
async def pid():
    return f"{os.getpid()}\n"


@app.get("/whoami")
async def whoami(request: Request):
    """What the application believes about its client: behind edgeproxy, scheme https and the real address."""
    return {
        "scheme": request.url.scheme,
        "client": request.client.host if request.client else None,
        "url": str(request.url),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
        "pid": os.getpid(),
    }


@app.get("/slow")
async def slow(ms: int = 100):
    await asyncio.sleep(ms / 1000)
    return {"pid": os.getpid()}


@app.get("/stream")
async def stream(n: int = 10, ms: int = 100):
    async def events():
        for i in range(n):
            if i:
                await asyncio.sleep(ms / 1000)
            yield f"data: {i}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/upload")
async def upload(request: Request):
    size, crc = 0, 0
    async for chunk in request.stream():
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
    return {"bytes": size, "crc32": crc}


@app.get("/download")
async def download(n: int = 1024):
    async def blocks():
        left = n
        while left > 0:
            yield BLOCK[:left]
            left -= len(BLOCK)

    return StreamingResponse(blocks(), media_type="application/octet-stream", headers={"Content-Length": str(n)})


@app.websocket("/ws")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass
