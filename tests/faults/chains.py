# SPDX-License-Identifier: Apache-2.0
"""What is put under a fault: edgeproxy, and what people run today. All of them serve app.py with two workers."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import edge as edge_module
import procs
from edge import Edge, free_port, merge
from procs import within

HERE = Path(__file__).parent
KNOBS = {"IMPORT_SECONDS": 0, "EXIT_CODE": None, "IGNORE_TERM": False, "CHILDREN": 0}


class NotYet(Exception):
    """The feature is not there; said in the table and counted, never taken for a success."""


class Folder:
    """The application's folder: app.py and its knobs."""

    def __init__(self, **knobs):
        self.path = Path(tempfile.mkdtemp(prefix="edgeproxy-fault-"))
        self.path.chmod(0o755)
        shutil.copy(HERE / "app.py", self.path / "app.py")
        self.turn(**knobs)

    def turn(self, **knobs):
        """New code for the next start, by an atomic save."""
        text = "".join(f"{name} = {value!r}\n" for name, value in {**KNOBS, **knobs}.items())
        self.save("knobs.py", text)

    def break_code(self):
        self.save("knobs.py", "def broken(:\n")

    def save(self, name, text):
        (self.path / "new").write_text(text)
        os.replace(self.path / "new", self.path / name)

    def posts(self):
        path = self.path / "posts"
        return path.read_text().split() if path.exists() else []

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class FaultEdge(Edge):
    def base(self):
        # A crash loop is a verdict of its own; where a fault kills again and again it sets other numbers.
        return {
            "server": {"runtime_dir": str(self.folder / "run"), "threads": 2},
            "listeners": {"http": {"address": "127.0.0.1:{port:http}"}},
            # All load comes from one address, and the machine does more than this.
            "limits": {"connections_per_source": "off", "loop_lag": "off"},
            "metrics": {"listen": "127.0.0.1:{port:metrics}"},
            "logging": {"level": "info", "format": "json", "access": "off"},
        }


class EdgeproxyChain:
    name = "edgeproxy"

    def __init__(self, stack=None, knobs=None, wrapper=(), env=None, arguments=()):
        self.folder = Folder(**(knobs or {}))
        self.stack = merge({"pools": {"app": {"command": "uvicorn app:app --no-access-log", "workers": 2,
                                              "working_dir": str(self.folder.path)}}}, stack or {})
        self.edge = FaultEdge(None, self.stack, wrapper=wrapper, env=env, arguments=arguments)

    def start(self, wait="ready"):
        self.edge.start(wait)
        if wait == "ready":
            self.wait_ready()
        return self

    @property
    def port(self):
        return self.edge.ports["http"]

    def pool(self):
        return self.stack["pools"]["app"]

    def workers(self):
        return self.edge.workers()

    def master(self):
        return self.edge.master

    def proxy(self):
        return self.edge.proxy

    def hup(self):
        os.kill(self.master(), signal.SIGHUP)
        self.not_if(r"reload_unsupported", "SIGHUP")

    def not_if(self, pattern, what):
        """Raises NotYet when the log says so within a moment."""
        import re
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            if re.search(pattern, self.edge.log()):
                raise NotYet(what)
            time.sleep(0.02)

    def command(self, *words, timeout=90):
        """A verb for the running one; (exit code, what it said)."""
        done = edge_module.run(words[0], "-c", str(self.edge.stack), *words[1:], cwd=self.edge.folder, timeout=timeout)
        said = done.stdout + done.stderr
        if done.returncode == 2 and "not supported yet" in said:
            raise NotYet("edgeproxy " + words[0])
        return done.returncode, said

    def wait_ready(self, count=None, seconds=60):
        wanted = count or self.pool()["workers"]
        within(seconds, lambda: self.edge.metric("edgeproxy_pool_endpoints", pool="app", state="ready") == wanted,
               f"{wanted} ready workers")

    def settle(self):
        self.wait_ready()

    def stop(self):
        self.edge.finish()
        self.folder.remove()

    def sweep(self):
        self.edge.sweep()
        self.folder.remove()


class Others:
    """A chain of other people's programs: started in a session of its own, ended by its process group."""
    needs = ()

    def __init__(self, knobs=None):
        self.folder, self.port, self.processes = Folder(**(knobs or {})), free_port(), []

    @classmethod
    def missing(cls):
        return [program for program in cls.needs if shutil.which(program, path=edge_module.environment()["PATH"]) is None]

    def run(self, *command):
        log = open(self.folder.path / "log", "ab")
        self.processes.append(subprocess.Popen(command, cwd=self.folder.path, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                               env=edge_module.environment(), start_new_session=True))

    def master(self):
        return self.processes[0].pid

    def workers(self):
        found = procs.descendants(self.master())
        return [pid for pid in found if "resource_tracker" not in procs.command_line(pid) and (procs.stat(pid) or "Z")[0] != "Z"]

    def hup(self):
        os.kill(self.master(), signal.SIGHUP)

    def start(self, wait="ready"):
        self.launch()
        import urllib.request

        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/work", timeout=2).status == 200
            except OSError:
                return False
        within(60, answers, f"{self.name} answers")
        within(30, lambda: len(self.workers()) >= 2, "two workers")
        return self

    def settle(self):
        pass

    def stop(self):
        for process in reversed(self.processes):
            for by in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, by)
                    process.wait(8)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.folder.remove()

    sweep = stop


class Gunicorn(Others):
    name = "gunicorn"
    needs = ("gunicorn",)

    def launch(self, bind=None):
        self.run("gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "-b", bind or f"127.0.0.1:{self.port}", "app:app")


class NginxGunicorn(Gunicorn):
    name = "nginx+gunicorn"
    needs = ("nginx", "gunicorn")

    def launch(self):
        super().launch(f"unix:{self.folder.path}/gunicorn.sock")
        (self.folder.path / "nginx.conf").write_text(f"""
daemon off; pid {self.folder.path}/nginx.pid; error_log {self.folder.path}/nginx.log; worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {self.folder.path}/t1; proxy_temp_path {self.folder.path}/t2;
  fastcgi_temp_path {self.folder.path}/t3; uwsgi_temp_path {self.folder.path}/t4; scgi_temp_path {self.folder.path}/t5;
  upstream app {{ server unix:{self.folder.path}/gunicorn.sock fail_timeout=0; }}
  server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_set_header Host $http_host; proxy_redirect off;
    proxy_buffering off; proxy_pass http://app; }} }}
}}""")
        self.run("nginx", "-p", str(self.folder.path), "-c", str(self.folder.path / "nginx.conf"))


class UvicornWorkers(Others):
    name = "uvicorn --workers"
    needs = ("uvicorn",)

    def launch(self):
        self.run("uvicorn", "app:app", "--workers", "2", "--host", "127.0.0.1", "--port", str(self.port), "--no-access-log")


OTHERS = [NginxGunicorn, Gunicorn, UvicornWorkers]
