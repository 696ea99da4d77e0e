#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up JUnit files of ctest and pytest, prints every skip and failure, and closes with one line.

    summary.py [--passed N] [--failed N] FILE...

The last line is `N passed, N failed, N skipped`. Exit 0 only if something passed and nothing failed. A FILE that is
missing or unreadable counts as one failure: its runner died. A ctest test that could not be run at all (no executable)
is a failure, not a skip; lines `SKIPPED: why` in a program's output are skips within it.
"""
import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree


def last_line(text):
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def outcome(case):
    """Returns ("passed" | "failed" | "skipped", reason) of one <testcase>."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed", ""
    skipped = case.find("skipped")
    status = case.get("status")
    if skipped is None and status in (None, "run"):
        return "passed", ""
    message = skipped.get("message", "") if skipped is not None else ""
    if status == "disabled":
        return "skipped", "disabled"
    if status == "notrun":  # ctest
        if not message.startswith("SKIP_"):
            return "failed", message or "not run"
        return "skipped", last_line(case.findtext("system-out")) or message
    return "skipped", message


def skips_within(case):
    """What a Catch2 program left out, in its own words."""
    lines = (case.findtext("system-out") or "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("SKIPPED: ")]


def count(path, totals):
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        totals["failed"] += 1
        print(f"FAILED {os.path.basename(path)}: its runner ended without a report ({error})")
        return
    for case in cases:
        result, reason = outcome(case)
        totals[result] += 1
        if result != "passed":
            name = case.get("name", "?")
            group = case.get("classname", name)
            label = name if group == name else f"{group}::{name}"
            print(f"{result.upper()} {label}" + (f": {reason}" if reason else ""))
        for skip in skips_within(case):
            totals["skipped"] += 1
            print(f"SKIPPED {case.get('name', '?')}: {skip.removeprefix('SKIPPED: ')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passed", type=int, default=0, help="passed steps that have no report")
    parser.add_argument("--failed", type=int, default=0, help="failed steps that have no report")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    totals = {"passed": arguments.passed, "failed": arguments.failed, "skipped": 0}
    for path in arguments.files:
        count(path, totals)
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 0 if totals["passed"] > 0 and totals["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
