#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares edgeproxy with nginx and HAProxy on this machine: CPU and latency of a request, memory of an idle connection.

Each proxy has one thread, pinned to one core, unless the scenario says otherwise (setups.py); load and origin share another.
All run at the same time and are loaded in turn, round after round, so that whatever else the machine does hits all of them.
Everything is loopback: no network card takes part. CPU is user plus system time of the proxy's processes, with what the
kernel does for TCP in their context, and so are the ratios to the others: each is the median of the rounds' ratios. Memory
is measured once. Only ratios mean something beyond this machine. Latencies are those of clients that ask again at once, but
for the scenario of half the load, where they count from when a request was due.

A proxy whose answers are wrong (status, length), or whose load tool reports an error, gets no figure but the reason.
Peers and load tools come from tests/bench/packages.txt; their services are not started.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import contenders
import load
import memory
import report
import setups
from report import NAMES

WARM_UP_SECONDS = 1
# Rounds, seconds of wrk and requests of h2load in each.
FULL, QUICK = (5, 4, 120000), (3, 1, 20000)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds: about a minute, for a first impression")
    parser.add_argument("--scenario", action="append", choices=[s.name for s in load.SCENARIOS] + ["memory"],
                        help="only this one; may be given more than once")
    parser.add_argument("--contender", action="append", choices=NAMES, help="only this one; may be given more than once")
    parser.add_argument("--edgeproxy", type=pathlib.Path, help="the binary (default: build/release/edgeproxy, built)")
    parser.add_argument("--rounds", type=int, help="instead of 5, or 3 with --quick")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there as well")
    parser.add_argument("--markdown", action="store_true", help="the table of README.md as well")
    chosen = parser.parse_args()
    chosen.scenario = chosen.scenario or [s.name for s in load.SCENARIOS] + ["memory"]
    chosen.contender = chosen.contender or NAMES
    return chosen


def set_up(chosen):
    """Packages, origin and, unless it is given, edgeproxy. Returns the paths of both programs."""
    targets = ["edgeproxy-bench-origin", "edgeproxy-bench-resume", "edgeproxy-bench-paced"]
    if chosen.edgeproxy is None and "edgeproxy" in chosen.contender:
        targets.append("edgeproxy")
    script = ('set -euo pipefail; source examples/setup.sh; edgeproxy_packages examples/packages.txt build; '
              'edgeproxy_packages tests/bench/packages.txt bench; edgeproxy_build release "$@"')
    subprocess.run(["bash", "-c", script, "bash", *targets], cwd=contenders.ROOT, check=True)
    release = contenders.ROOT / "build" / "release"
    return release / "edgeproxy-bench-origin", (chosen.edgeproxy or release / "edgeproxy").resolve()


def cores():
    """Core of the proxies, core of load and origin, core for the second thread of proxies that have two; None for what
    there is not, all of them where there is only one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return (*allowed, None)[:3] if len(allowed) > 1 else (None, None, None)


def measure_once(contender, scenario, answer_bytes, size):
    """One loaded round. Returns a Round, or raises RuntimeError."""
    contender.reset_peak()
    before = [contender.cpu()]
    result = load.run(scenario, contender.port(scenario.tls), size, answer_bytes, lambda: before.append(contender.cpu()))
    spent = contender.cpu() - before[-1]
    if result.faults:
        raise RuntimeError("; ".join(result.faults))
    return report.Round(spent / result.requests * 1e6, result.requests / result.seconds, result.latency, contender.peak_kib())


def bearable(scenario, running, answers, size):
    """Half of the requests a second that the slowest of them manages over as many connections as the scenario has."""
    full = dataclasses.replace(scenario, tool="wrk")
    rates = [measure_once(contender, full, answers[contender], size).rate for contender in running]
    return int(min(rates) / 2)


def measure(scenario, running, rounds, size):
    """Loads every running contender in turn. Returns contender -> list of Rounds, or a string: why there is no figure."""
    found, answers = {}, {}
    if scenario.tls:
        agreed = {contender.name: load.agreed(contender.port(True)) for contender in running}
        if len(set(agreed.values())) > 1:
            return {contender: f"they do not speak the same TLS: {agreed}" for contender in running}
    for contender in running:
        path, length = (scenario.path, scenario.length) if scenario.unit == "request" else ("/128", 128)
        answers[contender], fault = load.probe(contender.port(scenario.tls), scenario.tls, path, length,
                                                    scenario.closes)
        found[contender] = fault or []
    warm_up = dataclasses.replace(size, seconds=WARM_UP_SECONDS, requests=size.requests // 4)
    for turn in range(-1, rounds):  # turn -1 warms up
        now = warm_up if turn < 0 else size
        well = [contender for contender in running if isinstance(found[contender], list)]
        if scenario.tool == "paced" and turn < 0 and well:
            rate = bearable(scenario, well, answers, warm_up)
            warm_up, size = (dataclasses.replace(of, rate=rate) for of in (warm_up, size))
            now = warm_up
        first = turn % len(well) if well else 0  # nobody always comes behind the same one
        for contender in well[first:] + well[:first]:
            try:
                figures = measure_once(contender, scenario, answers[contender], now)
            except (RuntimeError, OSError) as error:
                found[contender] = str(error)
                continue
            if turn >= 0:
                found[contender].append(figures)
    return found


def measure_memory(field):
    kib = {}
    for contender in field:
        try:
            measured = {kind: memory.per_connection(contender, kind) for kind in memory.KINDS}
            kib[contender.name] = {kind: added for kind, (added, _) in measured.items()}
            kib[contender.name][report.NONE] = measured["plain"][1]
        except (RuntimeError, OSError) as error:
            kib[contender.name] = str(error)
    return report.idle_memory(kib)


def started(field, running):
    """Starts each, into `running`. Returns name -> why it did not."""
    absent = {}
    for contender in field:
        try:
            contender.start()
            running.append(contender)
        except RuntimeError as error:
            absent[contender.name] = str(error)
    return absent


def measure_speed(make, scenarios, rounds, size):
    """`make(setup)` gives the contenders that are set up so."""
    figures = {}
    for setup in setups.SETUPS:
        of_setup = [scenario for scenario in scenarios if scenario.setup == setup.name]
        if not of_setup:
            continue
        running, beside = [], []
        try:
            absent = started(make(setup), running)
            if setup.compared:
                started(make(setups.PLAIN), beside)
            for scenario in of_setup:
                found = measure(scenario, running + beside, rounds, size)
                figures[scenario.name] = report.speed(scenario, {**absent, **{one.name: found[one] for one in running}},
                                                      {one.name: found[one] for one in beside})
        finally:
            for contender in running + beside:
                contender.stop()
    return figures


def main():
    chosen = arguments()
    origin_path, edgeproxy = set_up(chosen)
    proxy_core, load_core, second_core = cores()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if load_core is None:
        print("only one core: nothing is pinned, and the figures are worth little")
    else:
        os.sched_setaffinity(0, {load_core})
    if os.getloadavg()[0] > 1:
        print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): expect noise, trust only the ratios")
    rounds, seconds, requests = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or rounds

    directory = tempfile.mkdtemp(prefix="edgeproxy-bench-")
    os.chmod(directory, 0o755)
    load.prepare(directory)
    size = load.Size(seconds, requests, pathlib.Path(directory))
    origin = contenders.Origin(origin_path, directory, None if load_core is None else {load_core})
    figures = {}

    def make(setup):
        pinned = None if load_core is None else {proxy_core, second_core} if setup.threads > 1 else {proxy_core}
        return [contenders.make(name, directory, pinned, edgeproxy, setup) for name in NAMES if name in chosen.contender]

    try:
        origin.start()
        if "memory" in chosen.scenario:
            figures["memory"] = measure_memory(make(setups.PLAIN))
        scenarios = [s for s in load.SCENARIOS if s.name in chosen.scenario]
        if second_core is None and any(scenario.setup == "threads" for scenario in scenarios):
            print("two threads need two cores besides that of the load: not measured")
            scenarios = [scenario for scenario in scenarios if scenario.setup != "threads"]
        if scenarios:
            figures.update(measure_speed(make, scenarios, rounds, size))
    except RuntimeError as error:
        print(f"nothing can be measured: {error}")
    finally:
        origin.stop()
        shutil.rmtree(directory, ignore_errors=True)
    if chosen.markdown:
        print("\n" + report.markdown(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    complete = all("fault" not in row for table in figures.values() for row in table.values())
    return 0 if figures and complete else 1


if __name__ == "__main__":
    sys.exit(main())
