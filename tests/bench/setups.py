# SPDX-License-Identifier: Apache-2.0
"""The ways in which the proxies are set up for the race, and what each way means in the configuration of each."""
import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Setup:
    """`compared`: measured against the same proxy set up plainly as well."""
    name: str
    threads: int = 1
    routes: int = 1
    access_log: bool = False
    compared: bool = True


PLAIN = Setup("plain", compared=False)
SETUPS = [PLAIN, Setup("routes", routes=1000), Setup("log", access_log=True), Setup("threads", threads=2, compared=False)]


def paths(setup):
    """What the routes before the last one, which takes everything, are for."""
    return [f"/r{number:04}/" for number in range(1, setup.routes)]


def edgeproxy(setup, directory):
    return {"THREADS": setup.threads,
            "ROUTES": "".join(f'  - {{ path: "{path}", pool: app }}\n' for path in paths(setup)),
            "ACCESS_LOG": f'{{ output: "{directory}/edgeproxy-access.log" }}' if setup.access_log else "off"}


def nginx(setup, directory):
    return {"THREADS": setup.threads,
            "ROUTES": "".join(f"        location {path} {{ proxy_pass http://app; }}\n" for path in paths(setup)),
            "ACCESS_LOG": f"{directory}/nginx-access.log combined buffer=64k flush=1s" if setup.access_log else "off"}


def haproxy(setup, directory):
    table = pathlib.Path(directory) / "routes.map"
    table.write_text("".join(f"{path} app\n" for path in paths(setup)), encoding="utf-8")
    return {"THREADS": setup.threads,
            "ROUTES": f"use_backend %[path,map_beg({table})]" if setup.routes > 1 else "",
            "LOG_TO": "log stdout format raw local0" if setup.access_log else "",
            "ACCESS_LOG": "log global\n    option httplog" if setup.access_log else "no log"}
