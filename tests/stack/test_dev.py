# SPDX-License-Identifier: Apache-2.0
"""`edgeproxy dev` and `run`: code that changes under a reader's eyes, however editors and tools change it."""
import asyncio
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import edge as edge_module
import procs
from edge import BINARY, Edge, environment, free_port
from procs import within
from wire import Wire, request

# A worker whose answer is a word from a module of its own, as quick to start as Python is.
SERVER = """
import os, socketserver, sys
from value import VALUE

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline()
            if not line:
                return
            while self.rfile.readline() not in (b"\\r\\n", b""):
                pass
            body = VALUE.encode()
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ASGI = """
from value import VALUE

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        body = f"{VALUE} {scope['scheme']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
"""


class Dev(Edge):
    """An edgeproxy without a file: `words` follow the program's name."""

    def __init__(self, words, secure=False):
        super().__init__(None, {})
        self.words, self.secure = words, secure
        self.code = self.folder / "code"
        self.code.mkdir()

    def write(self):
        self.ports = {"http": free_port()}

    def spawn(self):
        self.stdout, self.stderr = open(self.folder / "stdout", "wb"), open(self.folder / "stderr", "wb")
        words = [word.replace("{port:http}", str(self.ports["http"])) for word in self.words]
        self.process = subprocess.Popen([BINARY, *words], cwd=self.code, stdin=subprocess.DEVNULL, stdout=self.stdout,
                                        stderr=self.stderr, start_new_session=True,
                                        env=environment({procs.MARK: self.mark, "XDG_RUNTIME_DIR": str(self.folder),
                                                         "STATE_DIRECTORY": str(self.folder / "state")}))

    def status(self, path):
        try:
            with Wire(self.address()) as wire:
                return 200 if self.secure else wire.ask(request("/")).status
        except OSError:
            return 0

    def is_ready(self):
        return self.serves()  # one worker, and no metrics

    def sweep(self):
        self.stack = self.folder / "none"
        super().sweep()

    def save(self, value="one", name="value.py"):
        """An atomic save."""
        (self.code / "new").write_text(f"VALUE = {value!r}\n")
        os.replace(self.code / "new", self.code / name)

    def value(self, deadline=60):
        with Wire(self.address(), deadline=deadline) as wire:
            answer = wire.ask(request("/"))
            return answer.body.decode() if answer.status == 200 else answer


@pytest.fixture
def start_dev():
    started = []

    def start(*words, files=(), wait="ready", secure=False):
        dev = Dev(list(words), secure)
        started.append(dev)
        dev.save()
        for name, text in files:
            (dev.code / name).write_text(text)
        return dev.start(wait)
    yield start
    for dev in started:
        dev.finish()


def start_plain(start_dev, *more):
    return start_dev("dev", "--no-tls", "--port", "{port:http}", *more, "--", "python3", "-S", "server.py",
                     files=[("server.py", SERVER)])


class Reader:
    """Asks without a pause, one request after the other; every answer counts."""

    def __init__(self, dev):
        self.dev, self.stopping, self.answers, self.failed = dev, False, [], []
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()

    def run(self):
        while not self.stopping:
            try:
                answer = self.dev.value()
                (self.answers if isinstance(answer, str) else self.failed).append(answer)
            except Exception as error:  # the point is to see every way to fail
                self.failed.append(repr(error))


def by_writing(dev):
    (dev.code / "value.py").write_text("VALUE = 'two'\n")


def by_atomic_save(dev):
    dev.save("two")


def by_vim(dev):
    subprocess.run(["vim", "-N", "-u", "NONE", "-es", "-c", "set backup writebackup backupcopy=no", "-c", "%s/one/two/", "-c", "wq", "value.py"],
                   cwd=dev.code, check=True, stdin=subprocess.DEVNULL, timeout=30)


def by_sed(dev):
    subprocess.run(["sed", "-i", "s/one/two/", "value.py"], cwd=dev.code, check=True)


def git(dev, *words):
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", *words], cwd=dev.code,
                   check=True, capture_output=True, timeout=60)


def by_git_checkout(dev):
    """200 files change with it."""
    git(dev, "init", "-q", "-b", "main")
    for number in range(200):
        (dev.code / f"m{number}.py").write_text("x = 1\n")
    git(dev, "add", ".")
    git(dev, "commit", "-q", "-m", "one")
    git(dev, "checkout", "-q", "-b", "other")
    for number in range(200):
        (dev.code / f"m{number}.py").write_text("x = 2222\n")
    dev.save("two")
    git(dev, "commit", "-q", "-a", "-m", "two")
    git(dev, "checkout", "-q", "main")
    within(60, lambda: dev.value() == "one", "the old code")
    git(dev, "checkout", "-q", "other")


@pytest.mark.parametrize("change", [by_writing, by_atomic_save, by_vim, by_sed, by_git_checkout], ids=lambda how: how.__name__)
def test_changed_code_is_served_and_no_request_fails_meanwhile(start_dev, change):
    if change is by_vim and not shutil.which("vim"):
        pytest.skip("vim is not installed")
    dev = start_plain(start_dev)
    with Reader(dev) as reader:
        within(60, lambda: reader.answers, "answers")
        change(dev)
        within(60, lambda: reader.answers[-1] == "two", "the new code")
        dev.save("three")  # a second save is seen as well
        within(60, lambda: reader.answers[-1] == "three", "the newest code")
    assert not reader.failed, reader.failed[:3]
    assert re.search(r"value\.py.*changed", dev.log())


def test_once_a_file_is_saved_the_old_code_answers_no_more(start_dev):
    dev = start_plain(start_dev)
    for number in range(5):
        dev.save(f"value {number}")
        within(30, lambda: dev.log().count("starts anew") == number + 1, "the change to be seen")
        assert dev.value() == f"value {number}"


def test_a_syntax_error_is_answered_at_once_with_its_traceback_and_the_next_save_recovers(start_dev):
    dev = start_plain(start_dev)
    (dev.code / "value.py").write_text("VALUE = = 1\n")
    answer = within(60, lambda: (got := dev.value()) and not isinstance(got, str) and got, "an error page")
    begun = time.monotonic()
    answer = dev.value()
    assert time.monotonic() - begun < 5, "it was not answered at once"
    assert answer.status == 503 and b"SyntaxError" in answer.body and b"value.py" in answer.body
    quiet = dev.log().count("SyntaxError")
    with Wire(dev.address()) as wire:
        page = wire.ask(request("/", fields=[("Accept", "text/html")]))
    assert page.get("content-type").startswith("text/html") and b"SyntaxError" in page.body
    assert dev.log().count("SyntaxError") == quiet, "it is tried again and again though nothing has changed"
    dev.save("mended")
    assert within(60, lambda: (got := dev.value()) == "mended" and got, "the mended code")


def test_an_application_that_never_worked_is_waited_for(start_dev):
    """Started on broken code, dev stays, says why, and serves once the code is mended."""
    dev = start_dev("dev", "--no-tls", "--port", "{port:http}", "--", "python3", "-S", "server.py",
                    files=[("server.py", SERVER), ("value.py", "import nothing_like_that\n")], wait=None)
    answer = within(60, lambda: dev.status("/") == 503 and dev.value(), "an error page")
    assert b"ModuleNotFoundError" in answer.body
    dev.save("now")
    assert within(60, lambda: (got := dev.value()) == "now" and got, "the mended code")


def test_dev_serves_https_and_http2_finds_the_application_and_closes_websockets_for_the_page_to_reconnect(start_dev):
    dev = start_dev("dev", "--port", "{port:http}", files=[("main.py", ASGI)], secure=True)
    assert "main:app (ASGI, main.py) with uvicorn" in dev.log()
    import httpx
    import ssl
    from websockets.asyncio.client import connect
    with httpx.Client(http2=True, verify=False, timeout=60, trust_env=False) as client:
        answer = client.get(dev.url(name="http").replace("http://", "https://"))
        assert (answer.status_code, answer.text, answer.http_version) == (200, "one https", "HTTP/2")
    context = ssl._create_unverified_context()
    url = f"wss://localhost:{dev.ports['http']}/"

    async def page():
        async with connect(url, ssl=context, open_timeout=60) as socket:
            dev.save("two")
            await asyncio.wait_for(socket.wait_closed(), 60)
        async with connect(url, ssl=context, open_timeout=60):  # held until the new code is there
            return socket.close_code

    assert asyncio.run(page()) == 1012
    with httpx.Client(verify=False, timeout=60, trust_env=False) as client:
        assert client.get(f"https://localhost:{dev.ports['http']}/").text == "two https"


GREETER = """
import asyncio
from value import VALUE

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": VALUE})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        if scope["path"] == "/long":
            await asyncio.sleep(1.5)
        body = VALUE.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
"""


class Page:
    """Keeps a WebSocket open as a page does: comes back whenever it is closed, and notes what it was told."""

    def __init__(self, url):
        self.url, self.greetings, self.codes, self.ending, self.failed = url, [], [], False, []
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        within(60, lambda: self.greetings or self.failed, "the first greeting")
        return self

    def __exit__(self, *_):
        self.ending = True
        self.socket.close()
        self.thread.join()

    def run(self):
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect
        while not self.ending:
            try:
                self.socket = connect(self.url, open_timeout=60, compression=None)
                self.greetings.append(self.socket.recv(timeout=60))
                self.socket.recv()
            except ConnectionClosed as closed:
                if not self.ending:
                    self.codes.append(closed.rcvd.code if closed.rcvd else None)
            except Exception as error:  # a handshake that was refused, above all
                self.failed.append(repr(error))
                return


def test_pages_come_back_to_the_new_code_at_once_while_requests_are_finished(start_edge, tmp_path):
    """The drain may take a minute: nobody waits for it but the request that is under way."""
    (tmp_path / "main.py").write_text(GREETER)
    (tmp_path / "value.py").write_text("VALUE = 'one'\n")
    edge = start_edge({"pools": {"app": {"command": "uvicorn main:app", "working_dir": str(tmp_path), "watch": True,
                                         "drain_timeout": "1m", "hold": "1m"}}})
    with Page(f"ws://127.0.0.1:{edge.ports['http']}/") as page:
        assert page.greetings == ["one"]
        long = []
        asking = threading.Thread(target=lambda: long.append(edge.get("/long")))
        asking.start()
        within(20, lambda: edge.metric("edgeproxy_http_requests_in_flight") >= 1, "a request under way")
        (tmp_path / "value.py").write_text("VALUE = 'two!'\n")
        within(50, lambda: page.greetings[-1] == "two!" or page.failed, "the greeting of the new code")
        asking.join()
    assert page.codes == [1012] and page.greetings == ["one", "two!"] and not page.failed
    assert (long[0].status_code, long[0].text) == (200, "one")


def certificate_of(dev, **checks):
    import socket
    import ssl
    context = ssl.create_default_context(cafile=dev.folder / "state/dev/ca.pem")
    with socket.create_connection(dev.address(), timeout=30) as plain, context.wrap_socket(plain, **checks) as secure:
        return secure.getpeercert()


def test_the_development_certificate_is_kept_and_of_an_authority_that_can_vouch_for_nothing_else(start_dev, tmp_path):
    import ssl
    dev = start_dev("dev", "--port", "{port:http}", "--", "python3", "-S", "server.py", files=[("server.py", SERVER)], secure=True)
    kept = dev.folder / "state/dev"
    assert (kept / "ca.key").stat().st_mode & 0o777 == (kept / "localhost.key").stat().st_mode & 0o777 == 0o600
    serial = certificate_of(dev, server_hostname="localhost")["serialNumber"]
    assert certificate_of(dev, server_hostname="127.0.0.1")["serialNumber"] == serial
    with pytest.raises(ssl.SSLCertVerificationError):
        certificate_of(dev, server_hostname="example.com")
    authority = (kept / "ca.pem").read_text()
    # Whoever steals the key cannot be anybody else's server.
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k",
            "-out", tmp_path / "evil.pem", "-CA", kept / "ca.pem", "-CAkey", kept / "ca.key", "-subj", "/CN=example.com",
            "-addext", "subjectAltName=DNS:example.com", "-addext", "basicConstraints=critical,CA:FALSE"]
    assert subprocess.run(make, capture_output=True).returncode == 0
    verified = subprocess.run(["openssl", "verify", "-CAfile", kept / "ca.pem", tmp_path / "evil.pem"], capture_output=True, text=True)
    assert verified.returncode != 0 and "permitted subtree violation" in verified.stderr + verified.stdout
    told = edge_module.run("cert", "trust", env={"STATE_DIRECTORY": str(dev.folder / "state")}, cwd=tmp_path)
    assert told.returncode == 0 and str(kept / "ca.pem") in told.stdout and "update-ca-certificates" in told.stdout
    assert (kept / "ca.pem").read_text() == authority
    assert edge_module.run("cert", "show", "x").returncode == 2


def test_the_banner_says_how_the_development_certificate_is_believed_and_a_reload_keeps_it(start_edge):
    edge = start_edge({"tls": {"cert": None, "key": None, "dev": True}, "logging": {"format": "console"},
                       "pools": {"app": {"endpoints": ["127.0.0.1:9"]}}})
    authority = edge.folder / "state/dev/ca.pem"
    assert f"curl --cacert {authority}, or edgeproxy cert trust" in edge.log()

    def asked():
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert", authority,
                               f"https://localhost:{edge.ports['https']}/"], capture_output=True, text=True, timeout=30)
    assert asked().stdout == "503 2", asked()
    done = edge.command("reload")
    assert done.returncode == 0 and "nothing differs" in done.stdout, done.stdout + done.stderr
    assert asked().stdout.endswith(" 2")
    assert edge.metric("edgeproxy_tls_certificate_not_after_timestamp_seconds", source="dev") > time.time() + 20 * 86400


def test_a_watched_pool_of_a_file_follows_its_patterns(start_edge, tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "value.py").write_text("VALUE = 'one'\n")
    (tmp_path / "page.html").write_text("x")
    edge = start_edge({"pools": {"app": {"command": "python3 -S server.py", "working_dir": str(tmp_path), "workers": 2,
                                         "watch": ["*.html"]}}})
    before = set(edge.workers())
    (tmp_path / "value.py").write_text("VALUE = 'two'\n")
    (tmp_path / "page.html").write_text("yy")
    within(60, lambda: len(set(edge.workers()) - before) == 2 and not set(edge.workers()) & before, "new workers")
    assert edge.get("/").text == "two"
    assert len(re.findall(r"page\.html[^\n]*changed", edge.log())) == 1
    assert "value.py" not in edge.log()


def test_run_serves_a_command_without_a_file(start_dev):
    dev = start_dev("run", "--listen", "127.0.0.1:{port:http}", "--metrics", "off", "-w", "2", "--", "python3", "-S", "server.py",
                    files=[("server.py", SERVER)])
    assert dev.value() == "one"
    dev.save("two")
    within(20, lambda: len(dev.workers()) == 2, "two workers")
    assert dev.value() == "one", "run does not follow files"


def test_the_file_that_dev_and_run_print_is_a_valid_one(tmp_path):
    (tmp_path / "main.py").write_text("app = 1\n")
    for words in (["dev", "--print-config", "--", "true"], ["run", "--print-config", "-w", "2", "--", "true"]):
        printed = edge_module.run(*words, cwd=tmp_path)
        assert printed.returncode == 0, printed.stderr
        (tmp_path / "stack.yaml").write_text(printed.stdout)
        checked = edge_module.run("check", "-c", "stack.yaml", cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout


def test_dev_without_an_application_says_what_it_looked_for(tmp_path):
    said = edge_module.run("dev", cwd=tmp_path)
    assert said.returncode == 2
    assert "there is no main.py, app.py, app/main.py or manage.py here" in said.stderr and "edgeproxy dev module:attribute" in said.stderr
