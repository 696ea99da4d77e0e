#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the line budgets: a file stops at 500 lines, a function of the product at 70.

    sizes.py files ROOT       every source, script and test file
    sizes.py functions ROOT   product functions, by universal-ctags; exit 77 (skip) where it is not installed
    sizes.py --self-test      proves that both can fail
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

MAX_FILE = 500
MAX_FUNCTION = 70
SKIP = 77
PRODUCT = ("config", "tls", "upstream", "proxy", "examples")
EVERYTHING = PRODUCT + ("tests", ".ci")
SUFFIXES = (".cpp", ".hpp", ".py", ".sh")


def sources(root, tops, suffixes):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(folder, name), root)


def long_files(root):
    faults, seen = [], 0
    for path in sources(root, EVERYTHING, SUFFIXES):
        seen += 1
        with open(os.path.join(root, path), "rb") as file:
            lines = sum(1 for _ in file)
        if lines > MAX_FILE:
            faults.append(f"{path}: {lines} lines, stop is {MAX_FILE}")
    return faults, seen


def long_functions(root):
    faults, seen = [], 0
    paths = list(sources(root, PRODUCT, (".cpp", ".hpp")))
    listing = subprocess.run(
        ["ctags", "--output-format=json", "--languages=C++", "--map-C++=+.hpp", "--kinds-C++=f", "--fields=+ne", "-L",
         "-", "-f", "-"], cwd=root, input="\n".join(paths), capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        tag = json.loads(line)
        if tag.get("_type") != "tag" or "end" not in tag:
            continue
        seen += 1
        lines = tag["end"] - tag["line"] + 1
        if lines > MAX_FUNCTION:
            faults.append(f"{tag['path']}:{tag['line']}: {tag['name']}: {lines} lines, stop is {MAX_FUNCTION}")
    return faults, seen


def have_ctags():
    if shutil.which("ctags") is None:
        return False
    version = subprocess.run(["ctags", "--version"], capture_output=True, text=True, check=False).stdout
    return "Universal Ctags" in version


def function_of(lines):
    return "int f() {\n" + "    g();\n" * (lines - 2) + "}\n"


def self_test():
    wrong = []
    checks = [("file", long_files, "// x\n" * MAX_FILE, "// x\n" * (MAX_FILE + 1))]
    if have_ctags():
        checks.append(("function", long_functions, function_of(MAX_FUNCTION), function_of(MAX_FUNCTION + 1)))
    for name, check, right, too_long in checks:
        for text, expected in ((right, 0), (too_long, 1)):
            with tempfile.TemporaryDirectory() as root:
                os.makedirs(os.path.join(root, "proxy"))
                with open(os.path.join(root, "proxy", "a.cpp"), "w", encoding="utf-8") as file:
                    file.write(text)
                faults, seen = check(root)
                if len(faults) != expected or seen != 1:
                    wrong.append(f"{name}: expected {expected} faults in 1, got {faults} in {seen}")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        faults = self_test()
        print("\n".join(faults) or "both budgets can fail")
        return 1 if faults else 0
    what, root = sys.argv[1:]
    if what == "functions" and not have_ctags():
        print("universal-ctags is not installed: the length of functions is not checked")
        return SKIP
    faults, seen = long_files(root) if what == "files" else long_functions(root)
    if seen == 0:
        faults.append(f"no {what} found below {root}")
    print("\n".join(faults) or f"{seen} {what} within budget")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
