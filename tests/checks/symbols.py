#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a static library references no symbol of certain libraries: the master parses nothing from the network.

    symbols.py LIBRARY         exit 1 if an object of it references OpenSSL or nghttp2
    symbols.py --self-test CXX proves that it can fail
"""
import os
import re
import subprocess
import sys
import tempfile

FORBIDDEN = re.compile(r"^(SSL|BIO|EVP|X509|PEM|OPENSSL|nghttp2)_")


def forbidden(path):
    listing = subprocess.run(["nm", "--undefined-only", "--format=posix", path], capture_output=True, text=True, check=True)
    faults, member, seen = [], "?", 0
    for line in listing.stdout.splitlines():
        if line.endswith("]:"):
            member = line
            continue
        name = line.split(" ")[0]
        seen += bool(name)
        if FORBIDDEN.match(name):
            faults.append(f"{member} references {name}")
    if seen == 0:
        faults.append(f"{path}: no undefined symbol at all; is this the right file?")
    return faults


def compiled(compiler, folder, text):
    source, target = os.path.join(folder, "a.cpp"), os.path.join(folder, "a.o")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run([compiler, "-c", source, "-o", target], check=True)
    return target


def self_test(compiler):
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, expected in (("plain_call", 0), ("SSL_read", 1), ("nghttp2_submit_ping", 1), ("MY_SSL_read", 0)):
            faults = forbidden(compiled(compiler, folder, f'extern "C" int {name}(); int f() {{ return {name}(); }}\n'))
            if len(faults) != expected:
                wrong.append(f"{name}: expected {expected} faults, got {faults}")
    return wrong


def main():
    if sys.argv[1] == "--self-test":
        faults = self_test(sys.argv[2])
        print("\n".join(faults) or "the check can fail")
    else:
        faults = forbidden(sys.argv[1])
        print("\n".join(faults) or "no symbol of OpenSSL or nghttp2")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
