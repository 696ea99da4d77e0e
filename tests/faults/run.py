#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Injects faults under load and tells what they cost.

  python3 tests/faults/run.py                  every fault on edgeproxy and, where they can do the operation, on
                                               nginx+gunicorn, gunicorn and uvicorn --workers
  python3 tests/faults/run.py --quick          the fast part, edgeproxy only
  python3 tests/faults/run.py --fault hup      one (a part of the name is enough; may be given more than once)
  python3 tests/faults/run.py --rounds 10      each so many times; the worst figures count
  python3 tests/faults/run.py --list           their names and stories
  python3 tests/faults/run.py --markdown       the table of README.md, of the faults that the others can do as well

An open-loop client asks at a constant rate over kept connections; every request carries an id that its answer must echo.
The table tells, per fault: sent, lost (no answer), wrong (somebody else's answer: always a failure), 5xx, refused
connections, POSTs executed twice, the longest time without an answer, and the time from the fault to the last failure. On a machine that does other things as well the
times mean little.
Exit code 0: edgeproxy kept every bar. "not yet" is a feature that is missing; it is counted, it does not fail the run.

Needs a built edgeproxy (EDGEPROXY_BIN, else build/release) and the Python packages of build/venv; nginx where it is
compared. Takes about ten minutes; with --quick a minute. With EDGEPROXY_FAULT_TRACE=1 the end of the log of a run that broke a bar
is printed as well.
"""
import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def with_packages():
    """Goes on in build/venv's Python when this one lacks the packages."""
    try:
        import httpx, yaml  # noqa: F401
    except ImportError:
        python = Path(os.environ.get("EDGEPROXY_VENV", ROOT / "build/venv")) / "bin/python"
        if not python.exists() or Path(sys.executable) == python:
            sys.exit(f"the Python packages are missing: run bash tests/run.sh once, it makes {python.parents[1]}")
        os.execv(python, [str(python), *sys.argv])


with_packages()
sys.path[:0] = [str(HERE), str(ROOT / "tests/support")]

import chains  # noqa: E402
import client as client_module  # noqa: E402
import faults_deploys  # noqa: E402, F401
import faults_host  # noqa: E402
import faults_processes  # noqa: E402, F401
from plan import FAULTS, Bars  # noqa: E402

COLUMNS = "{:24} {:18} {:>6} {:>5} {:>5} {:>5} {:>7} {:>5} {:>7} {:>8}  {}"


class Row:
    """The worst of all rounds of one fault on one chain."""

    def __init__(self, fault, chain):
        self.fault, self.chain, self.rounds, self.findings, self.note = fault, chain, [], [], ""
        self.verdict = "ok"

    def worst(self, name):
        return max((getattr(figures, name) for figures in self.rounds), default=0)

    def line(self):
        if not self.rounds:
            return COLUMNS.format(self.fault.name, self.chain, *["-"] * 8, f"{self.verdict}: {self.note}")
        said = self.verdict + (f": {'; '.join(self.findings)}" if self.findings else f" ({self.note})" if self.note else "")
        return COLUMNS.format(self.fault.name, self.chain, self.worst("sent"), self.worst("lost"), self.worst("wrong"),
                              self.worst("errors"), self.worst("refused"), self.worst("twice"), f"{self.worst('gap'):.2f}",
                              f"{self.worst('recovery'):.2f}", said)

    def as_dict(self):
        names = ("sent", "lost", "wrong", "errors", "refused", "twice", "gap", "recovery")
        return {"fault": self.fault.name, "group": self.fault.group, "chain": self.chain, "rounds": len(self.rounds),
                "verdict": self.verdict, "findings": self.findings, "note": self.note,
                **{name: round(self.worst(name), 3) for name in names}}


def one_round(fault, make, row, judged, gaps=True):
    """One start, one fault, one stop. What is wrong goes into the row."""
    chain = make()
    try:
        chain.start(fault.start)
        load = client_module.Client(chain.port, **{"rate": 200, **fault.load}).start()
        warm = time.monotonic() + 30
        while load.so_far() < 100 and time.monotonic() < warm:
            time.sleep(0.02)
        since = time.monotonic()
        try:
            note = fault.act(chain, load)
            row.note = note or row.note
            if not load.stopping.is_set() and fault.stops:
                time.sleep(0.5)
        finally:
            load.stop()
            figures = load.figures(since, chain.folder.posts())
            row.rounds.append(figures)
        if judged:
            broken = fault.bars.broken_by(figures, gaps)
            row.findings += broken + ([f"e.g. {figures.details[0]}"] if broken and figures.details else [])
        if row.findings and judged and os.environ.get("EDGEPROXY_FAULT_TRACE"):
            print(chain.edge.tail(), file=sys.stderr)
        if fault.stops:
            chain.stop()
    finally:
        chain.sweep()


def run(fault, make, name, rounds, gaps=True):
    """`gaps`: whether bars of time count; on a busy machine and under sanitizers they mean nothing."""
    row = Row(fault, name)
    judged = name == chains.EdgeproxyChain.name
    for _ in range(rounds):
        try:
            one_round(fault, make, row, judged, gaps)
        except chains.NotYet as missing:
            row.verdict, row.note, row.rounds = "not yet", str(missing), []
            return row
        except faults_host.Impossible as reason:
            row.verdict, row.note, row.rounds = "skipped", str(reason), []
            return row
        except (AssertionError, TimeoutError) as broken:
            row.findings.append(str(broken).splitlines()[0] if str(broken) else repr(broken))
        except Exception:
            row.findings.append(traceback.format_exc(limit=2).strip().splitlines()[-1])
            if os.environ.get("EDGEPROXY_FAULT_TRACE"):
                traceback.print_exc()
    row.verdict = "ok" if judged and not row.findings else "FAILED" if judged else "-"
    return row


def cell(row):
    """What went wrong, in words; short times are left out, since they mean little on a machine that does other things."""
    if row is None or not row.rounds:
        return "cannot"
    bad = [f"{row.worst(name)} {word}" for name, word in (("lost", "lost"), ("refused", "refused"), ("errors", "5xx"),
                                                          ("wrong", "wrong"), ("twice", "twice")) if row.worst(name)]
    if row.worst("gap") >= 1:
        bad.append(f"nobody answered for {row.worst('gap'):.1f} s")
    return ", ".join(bad) if bad else "0"


def markdown(rows):
    names = [chains.EdgeproxyChain.name, *(chain.name for chain in chains.OTHERS)]
    found = {}
    for row in rows:
        found.setdefault(row.fault.name, {"story": row.fault.story})[row.chain] = row
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for one in found.values():
        story = one["story"].split(":")[0]
        lines.append(f"| {story} | " + " | ".join(cell(one.get(name)) for name in names) + " |")
    return "\n".join(lines)


def wanted(options):
    found = [fault for fault in FAULTS if (not options.quick or fault.quick) and (not options.markdown or fault.chains)]
    if options.fault:
        found = [fault for fault in FAULTS if fault.name in options.fault]
        found = found or [fault for fault in FAULTS if any(part in fault.name for part in options.fault)]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the fast part, edgeproxy only")
    parser.add_argument("--fault", action="append", help="only faults of that name")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-others", action="store_true", help="edgeproxy only")
    parser.add_argument("--json", help="the figures in a file as well")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the table of README.md as well")
    options = parser.parse_args()
    faults = wanted(options)
    if not faults:
        sys.exit("no fault has that name; see --list")
    if options.list:
        for fault in faults:
            print(f"{fault.name:26} {fault.group:10} {'quick ' if fault.quick else '      '}{fault.story}")
        return 0
    os.environ["PATH"] += os.pathsep + str(ROOT / "build/tools/usr/sbin")
    print(COLUMNS.format("fault", "chain", "sent", "lost", "wrong", "5xx", "refused", "twice", "gap s", "recov. s", ""), flush=True)
    rows = []
    for fault in faults:
        others = [] if options.quick or options.no_others else fault.chains
        for make, name in [(fault.make, chains.EdgeproxyChain.name)] + [(other, other.name) for other in others]:
            if make in chains.OTHERS and make.missing():
                rows.append(Row(fault, name))
                rows[-1].verdict, rows[-1].note = "skipped", "not installed: " + ", ".join(make.missing())
            else:
                rows.append(run(fault, make, name, options.rounds))
            print(rows[-1].line(), flush=True)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("ok", "FAILED", "not yet", "skipped")}
    print(f"{counts['ok']} kept their bars, {counts['FAILED']} failed, {counts['not yet']} not yet, {counts['skipped']} skipped")
    if options.markdown:
        print(markdown(rows))
    if options.json:
        Path(options.json).write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
