# SPDX-License-Identifier: Apache-2.0
"""The application servers that people run, each in front of one of the example applications."""
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge import ROOT

EXAMPLES = ROOT / "examples"


@dataclass
class Server:
    name: str
    folder: Path
    command: object
    websocket: bool = True
    identity: bool = True  # tells its application the client's scheme and address from X-Forwarded-*
    chunked: bool = True   # its application can read a chunked body
    more: dict = field(default_factory=dict)

    def pool(self, **over):
        return {"command": self.command, "working_dir": str(self.folder), "workers": 2, "health": "/healthz", **self.more, **over}

    def demo(self):
        return "edgeproxy-demo-worker" in str(self.command)


SERVERS = [
    Server("uvicorn", EXAMPLES / "fastapi", "uvicorn main:app"),
    Server("gunicorn-sync", EXAMPLES / "flask", "gunicorn app:app", websocket=False),
    Server("gunicorn-django", EXAMPLES / "django", "gunicorn project.wsgi:application", websocket=False, chunked=False),
    Server("gunicorn-uvicorn", EXAMPLES / "fastapi", "gunicorn -k uvicorn_worker.UvicornWorker main:app"),
    Server("daphne", EXAMPLES / "django", ["daphne", "-u", "{socket}", "--proxy-headers", "project.asgi:application"]),
    Server("hypercorn", EXAMPLES / "fastapi", "hypercorn -b fd://{fd} main:app", identity=False),
    Server("generic-port", EXAMPLES / "demo", "edgeproxy-demo-worker"),
    Server("generic-fd", EXAMPLES / "demo", "edgeproxy-demo-worker --fd {fd}", more={"bind": "fd"}),
    Server("generic-socket", EXAMPLES / "demo", "edgeproxy-demo-worker --uds {socket}", more={"bind": "unix"}),
]


def by_name(*names):
    return [pytest.param(server, id=server.name) for server in SERVERS if server.name in names or not names]
