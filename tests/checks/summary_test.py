#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The closing line of tests/run.sh tells the truth: runs tests/support/summary.py over reports of every kind."""
import os
import subprocess
import sys
import tempfile

SUMMARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "summary.py")

CASE = '<testcase name="a" classname="a"'
# what it is about, the report (None: missing), the closing line, the exit code
STORIES = [
    ("ctest passed", f'{CASE} status="run"/>', "1 passed, 0 failed, 0 skipped", 0),
    ("pytest passed", f"{CASE}/>", "1 passed, 0 failed, 0 skipped", 0),
    ("ctest failed", f'{CASE} status="fail"><failure message=""/></testcase>', "0 passed, 1 failed, 0 skipped", 1),
    ("pytest error", f'{CASE}><error message=""/></testcase>', "0 passed, 1 failed, 0 skipped", 1),
    ("one of each", f'{CASE}/>{CASE}><skipped message="no Node"/></testcase>', "1 passed, 0 failed, 1 skipped", 0),
    ("only skips are no success", f'{CASE} status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>',
     "0 passed, 0 failed, 1 skipped", 1),
    ("a missing executable is a failure", f'{CASE}/>{CASE} status="notrun"><skipped message="Unable to find"/></testcase>',
     "1 passed, 1 failed, 0 skipped", 1),
    ("skips within a program count", f'{CASE} status="run"><system-out>x\n  SKIPPED: no uvicorn\n</system-out></testcase>',
     "1 passed, 0 failed, 1 skipped", 0),
    ("a report cut short is a failure", f"{CASE}", "0 passed, 1 failed, 0 skipped", 1),
    ("a missing report is a failure", None, "0 passed, 1 failed, 0 skipped", 1),
]


def main():
    wrong = 0
    for story, cases, line, code in STORIES:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.xml")
            if cases is not None:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(f"<testsuite>{cases}</testsuite>" if cases.endswith(">") else f"<testsuite>{cases}")
            run = subprocess.run([sys.executable, SUMMARY, path], capture_output=True, text=True, check=False)
        last = run.stdout.splitlines()[-1] if run.stdout else ""
        if (last, run.returncode) != (line, code):
            wrong += 1
            print(f"{story}: expected {line!r} and exit {code}, got {last!r} and exit {run.returncode}")
    print(f"{len(STORIES)} stories, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
