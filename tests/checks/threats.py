#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks docs/threats.md: every test that it names exists, every counter and every reason does, no row goes without.

    threats.py ROOT | threats.py --self-test
"""
import re
import sys
import tempfile
from pathlib import Path


def rows(text):
    """The table rows: (line number, cells)."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|") and not line.startswith(("|---", "| id |", "| threat |")):
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


NOTHING = "none: nothing is refused"  # instead of a counter, where what comes is served, only harmlessly
GENERAL = {"edgeproxy_http_requests_total", "edgeproxy_connections_accepted_total"}  # every client raises them


def is_there(root, test):
    path, _, name = test.partition("::")
    file = root / path
    if not file.is_file():
        return False
    text = file.read_text()
    if file.suffix == ".py":
        return re.search(rf"^(async )?def {re.escape(name)}\(", text, re.M) is not None
    return f'TEST_CASE("{name}"' in text


def faults(root):
    sources = "".join(path.read_text() for folder in ("proxy", "upstream", "tls") for path in sorted((root / folder).rglob("*.[ch]pp")))
    text = (root / "docs/threats.md").read_text()
    found, tests = [], 0
    for number, cells in rows(text):
        counters, named = re.findall(r"`([^`]+)`", cells[-2]), re.findall(r"`([^`]+)`", cells[-1])
        if cells[-2] == NOTHING:
            counters = []
        elif GENERAL & set(counters):
            found.append(f"docs/threats.md:{number}: {counters} counts everybody, not this")
        elif not counters:
            found.append(f"docs/threats.md:{number}: no counter")
        if not named:
            found.append(f"docs/threats.md:{number}: no test")
        tests += len(named)
        found += [f"docs/threats.md:{number}: no counter or reason is called {word}" for word in counters if f'"{word}"' not in sources]
        found += [f"docs/threats.md:{number}: there is no {test}" for test in named if not is_there(root, test)]
    if not tests:
        found.append("docs/threats.md names no test at all")
    return found, tests


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in {"proxy/a.cpp": 'word("bad_thing")', "tests/a.py": "def test_a(edge):\n", "tests/b.cpp": 'TEST_CASE("it works", "")',
                           "docs/threats.md": "| id | threat | what | counter | test |\n|---|\n| T1 | x | y | `bad_thing` | `tests/a.py::test_a` `tests/b.cpp::it works` |\n"}.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(text)
        assert faults(root) == ([], 2)
        good = (root / "docs/threats.md").read_text()
        (root / "docs/threats.md").write_text(good.replace("`bad_thing`", NOTHING))
        assert faults(root) == ([], 2)
        for old, new in (("test_a`", "test_b`"), ("it works", "it fails"), ("a.py", "c.py"), ("bad_thing", "other"), ("`bad_thing`", "-"), ("`bad_thing`", "none"), ("`bad_thing`", "none: nothing is refused `other`"),
                         ("`bad_thing`", "`edgeproxy_http_requests_total`"),
                         ("`tests/a.py::test_a` `tests/b.cpp::it works`", "none")):
            (root / "docs/threats.md").write_text(good.replace(old, new))
            assert faults(root)[0], f"{old} -> {new} went unnoticed"
    print("the check can fail")


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        self_test()
        sys.exit(0)
    problems, count = faults(Path(sys.argv[1]))
    print("\n".join(problems) or f"{count} tests are named, and there")
    sys.exit(bool(problems))
