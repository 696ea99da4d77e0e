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
    request_ids: bool = True
    compared: bool = True


PLAIN = Setup("plain", compared=False)
SETUPS = [PLAIN, Setup("routes", routes=1000), Setup("log", access_log=True), Setup("ids", request_ids=False, compared=False),
          Setup("threads", threads=2, compared=False)]
# Of TLS 1.3, for all of them.
SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


def paths(setup):
    """What the routes before the last one, which takes everything, are for."""
    return [f"/r{number:04}/" for number in range(1, setup.routes)]


def edgeproxy(setup, directory):
    return {"THREADS": setup.threads,
            "ROUTES": "".join(f'  - {{ path: "{path}", pool: app }}\n' for path in paths(setup)),
            "ACCESS_LOG": f'{{ output: "{directory}/edgeproxy-access.log", format: combined }}' if setup.access_log else "off",
            "REQUEST_IDS": "X-Request-ID" if setup.request_ids else "off"}


def nginx(setup, directory):
    return {"THREADS": setup.threads,
            "ROUTES": "".join(f"        location {path} {{ proxy_pass http://app; }}\n" for path in paths(setup)),
            "ACCESS_LOG": f"{directory}/nginx-access.log combined buffer=64k flush=1s" if setup.access_log else "off",
            "REQUEST_IDS": ("        proxy_set_header X-Request-ID $request_id;\n        add_header X-Request-ID $request_id;"
                            if setup.request_ids else ""),
            "SHARE": " reuseport" if setup.threads > 1 else "",
            "SUITES": SUITES}


def haproxy(setup, directory):
    table = pathlib.Path(directory) / "routes.map"
    table.write_text("".join(f"{path} app\n" for path in paths(setup)), encoding="utf-8")
    return {"THREADS": setup.threads,
            "ROUTES": f"use_backend %[path,map_beg({table})]" if setup.routes > 1 else "",
            "LOG_TO": "log stdout format raw local0" if setup.access_log else "",
            "ACCESS_LOG": "log global\n    option httplog" if setup.access_log else "no log",
            "REQUEST_IDS": ("http-request set-var(txn.id) uuid()\n"
                            "    http-request set-header X-Request-ID %[var(txn.id)]\n"
                            "    http-response set-header X-Request-ID %[var(txn.id)]" if setup.request_ids else ""),
            "SUITES": SUITES}
