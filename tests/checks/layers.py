#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every #include of the product against the stair of the house: no arrow points up.

    layers.py ROOT        exit 0 if all includes obey, 1 with one line per broken one
    layers.py --self-test proves that each rule can fail
"""
import os
import re
import sys
import tempfile

# Room -> the other rooms whose headers it may include. A file belongs to the longest room that its path starts with.
# proxy/ itself builds the program out of everything.
ROOMS = {
    "config": [],
    "tls/io": ["config"],
    "tls": ["tls/io", "config"],
    "upstream/control": ["tls/io", "config"],
    "upstream/master": ["upstream/control", "tls/io", "config"],
    "upstream": ["upstream/control", "tls", "tls/io", "config"],
    "proxy/http": [],
    "proxy/respond": ["proxy/http", "config"],
    "proxy/admin": ["proxy/http", "upstream", "upstream/control", "tls", "tls/io", "config"],
    "proxy/cli": ["proxy/admin", "upstream/master", "upstream/control", "tls", "tls/io", "config"],
    "proxy": ["proxy/http", "proxy/respond", "proxy/admin", "proxy/cli", "upstream", "upstream/control", "tls", "tls/io",
              "config"],
}

# The program's entry alone knows both processes.
EXTRA = {"proxy/main.cpp": ["upstream/master"]}

# Library -> (headers, files that may include them). Not listed libraries are free.
LIBRARIES = {
    "openssl": (r"openssl/", r"tls/(?!io/)|proxy/(main|app|reports)"),
    "nghttp2": (r"nghttp2/", r"proxy/http/http2|proxy/http2|proxy/(main|app|reports)"),
    "asio": (r"boost/asio", r"upstream/(master|control)/|proxy/(admin/server|app|control|main|mailbox|probe|read_watch|reports)|proxy/cli/"),
    "yaml-cpp": (r"yaml-cpp/", r"config/"),
    "prometheus-cpp": (r"prometheus/", r"proxy/admin/"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    fitting = [room for room in ROOMS if path.startswith(room + "/")]
    return max(fitting, key=len) if fitting else None


def sources(root):
    for top in sorted({room.split("/")[0] for room in ROOMS}):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def fault(root, path, quoted, header):
    """Says why `path` may not include `header`, or returns None."""
    for library, (pattern, allowed) in LIBRARIES.items():
        if re.match(pattern, header) and not re.match(allowed, path):
            return f"{library} is not for this file"
    target = room_of(header)
    if not quoted:
        return "ours are included with quotes" if target and os.path.exists(os.path.join(root, header)) else None
    if target is None:
        return "is not a path from the root into a room of the house"
    room = room_of(path)
    if target == room or target in ROOMS[room] or target in EXTRA.get(path, []):
        return None
    return f"{room} may not include {target}"


def check(root):
    faults, seen = [], 0
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                if match:
                    seen += 1
                    reason = fault(root, path, match[1] == '"', match[2])
                    if reason:
                        faults.append(f"{path}:{number}: {match[2]}: {reason}")
    return faults, seen


# file, include, whether it is right
SELF_TEST = [
    ("proxy/forward.cpp", '"upstream/pool.hpp"', True),
    ("proxy/forward.cpp", '"upstream/master/worker.hpp"', False),
    ("proxy/main.cpp", '"upstream/master/worker.hpp"', True),
    ("proxy/forward.cpp", "<boost/asio/ip/tcp.hpp>", False),
    ("proxy/control.cpp", "<boost/asio/ip/tcp.hpp>", True),
    ("proxy/http2_server.cpp", "<nghttp2/nghttp2.h>", True),
    ("proxy/forward.cpp", "<nghttp2/nghttp2.h>", False),
    ("proxy/http/target.cpp", '"proxy/http/target.hpp"', True),
    ("proxy/http/target.cpp", '"config/config.hpp"', False),
    ("proxy/http/target.cpp", '"target.hpp"', False),
    ("proxy/http/target.cpp", "<proxy/http/target.hpp>", False),
    ("proxy/respond/error_pages.cpp", '"proxy/local_reply.hpp"', False),
    ("proxy/admin/metrics.cpp", '"proxy/forward.hpp"', False),
    ("proxy/admin/metrics.cpp", '"upstream/pool.hpp"', True),
    ("proxy/cli/check.cpp", '"upstream/pool.hpp"', False),
    ("proxy/cli/reload.cpp", '"upstream/control/message.hpp"', True),
    ("upstream/pool.cpp", '"proxy/http/message.hpp"', False),
    ("upstream/pool.cpp", '"upstream/master/worker.hpp"', False),
    ("upstream/master/worker.cpp", '"tls/stream.hpp"', False),
    ("upstream/master/worker.cpp", '"upstream/pool.hpp"', False),
    ("upstream/master/worker.cpp", '"upstream/control/message.hpp"', True),
    ("upstream/control/message.cpp", '"upstream/master/worker.hpp"', False),
    ("tls/io/reactor.cpp", '"tls/stream.hpp"', False),
    ("tls/io/reactor.cpp", "<openssl/ssl.h>", False),
    ("tls/bio.cpp", "<openssl/ssl.h>", True),
    ("tls/bio.cpp", '"upstream/pool.hpp"', False),
    ("config/load.cpp", "<yaml-cpp/yaml.h>", True),
    ("upstream/pool.cpp", "<yaml-cpp/yaml.h>", False),
    ("config/load.cpp", '"tls/io/reactor.hpp"', False),
    ("config/load.cpp", "<vector>", True),
]


def self_test():
    wrong = []
    for path, include, right in SELF_TEST:
        with tempfile.TemporaryDirectory() as root:
            for name in {path, include[1:-1]}:
                if room_of(name):
                    os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                    open(os.path.join(root, name), "w", encoding="utf-8").close()
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(f"#include {include}\n")
            faults, seen = check(root)
            if seen != 1 or (not faults) != right:
                wrong.append(f"{path} {include}: expected {'right' if right else 'a fault'}, got {faults}")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        faults = self_test()
        print("\n".join(faults) or f"{len(SELF_TEST)} cases behave")
    else:
        faults, seen = check(sys.argv[1])
        if seen == 0:
            faults.append(f"no #include found below {sys.argv[1]}")
        print("\n".join(faults) or f"{seen} includes obey the stair")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
