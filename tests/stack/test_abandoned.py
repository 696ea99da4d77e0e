# SPDX-License-Identifier: Apache-2.0
"""Whose client has left, still has its worker: one of WSGI is busy to the end of what it does, one of ASGI is told."""
import time

from procs import within
from wire import request

WSGI = """import time
def app(environ, start_response):
    if environ["PATH_INFO"] != "/":  # which asks whether it is ready
        with open("executed", "a") as file:
            file.write(environ["PATH_INFO"] + "\\n")
    if environ["PATH_INFO"].startswith("/slow"):
        time.sleep(5)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
ASGI = """import asyncio
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def one_place(start_edge, folder, command, code, queue):
    (folder / "application.py").write_text(code)
    return start_edge({"pools": {"app": {"command": command, "working_dir": str(folder), "workers": 1, "max_in_flight": 1,
                                         "queue": {"timeout": queue}}}})


def leave(edge, path):
    """Asks for it, and goes once a worker has it."""
    with edge.wire() as wire:
        wire.send(request(path))
        within(10, lambda: edge.metric("edgeproxy_http_requests_in_flight") == 1, "the request")
        time.sleep(0.2)
        wire.reset()


def test_a_sync_worker_is_busy_until_it_is_done(start_edge, tmp_path):
    edge = one_place(start_edge, tmp_path, "gunicorn application:app", WSGI, "1s")
    assert edge.get("/first").status_code == 200
    leave(edge, "/slow/1")
    refused = edge.get("/second")
    assert refused.status_code == 503, "it waited in our queue, which is bounded"
    assert edge.wait_access("/second")["error"] == "queue_timeout"
    within(30, lambda: edge.get("/third").status_code == 200, "the place")
    assert (tmp_path / "executed").read_text().split() == ["/first", "/slow/1", "/third"]


def test_those_that_wait_and_leave_are_never_executed(start_edge, tmp_path):
    edge = one_place(start_edge, tmp_path, "gunicorn application:app", WSGI, "30s")
    leave(edge, "/slow/1")
    for number in range(2, 5):
        leave(edge, f"/slow/{number}")
    assert edge.get("/last").status_code == 200
    assert (tmp_path / "executed").read_text().split() == ["/slow/1", "/last"]


def test_an_asgi_worker_hears_of_it_and_is_free_at_once(start_edge, tmp_path):
    edge = one_place(start_edge, tmp_path, "uvicorn application:app", ASGI, "10s")
    for _ in range(3):
        leave(edge, "/slow")
        assert edge.get("/next").status_code == 200


def test_it_ends_with_the_worker_and_with_the_program(start_edge, tmp_path):
    edge = one_place(start_edge, tmp_path, "gunicorn application:app", WSGI, "30s")
    leave(edge, "/slow/1")
    assert edge.command("restart", "app", "--timeout", "60s").returncode == 0
    assert edge.get("/next").status_code == 200
    leave(edge, "/slow/2")  # the end of the test stops it meanwhile, and looks for what is left over
