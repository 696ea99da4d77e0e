# SPDX-License-Identifier: Apache-2.0
"""A Flask application. ProxyFix makes it believe X-Forwarded-*, which edgeproxy writes itself and takes from nobody."""
import os
import time
import zlib

from flask import Flask, Response, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)


@app.get("/")
def hello():
    return jsonify(hello="edgeproxy", pid=os.getpid())


@app.get("/healthz")
def healthz():
    return Response("ok\n", mimetype="text/plain")


@app.get("/pid")
def pid():
    return Response(f"{os.getpid()}\n", mimetype="text/plain")


@app.get("/whoami")
def whoami():
    return jsonify(
        scheme=request.scheme,
        client=request.remote_addr,
        url=request.url,
        headers=[[name, value] for name, value in request.headers.items()],
        pid=os.getpid(),
    )


@app.get("/slow")
def slow():
    time.sleep(request.args.get("ms", 100, int) / 1000)
    return jsonify(pid=os.getpid())


@app.get("/stream")
def stream():
    count, pause = request.args.get("n", 10, int), request.args.get("ms", 100, int) / 1000

    def events():
        for i in range(count):
            if i:
                time.sleep(pause)
            yield f"data: {i}\n\n"

    return Response(events(), mimetype="text/event-stream")


@app.post("/upload")
def upload():
    size, crc = 0, 0
    while block := request.stream.read(65536):
        size += len(block)
        crc = zlib.crc32(block, crc)
    return jsonify(bytes=size, crc32=crc)
