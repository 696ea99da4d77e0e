#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares edgeproxy with nginx and HAProxy on this machine: CPU per request, and memory per idle connection.

Each proxy has one thread, pinned to core 0, unless the scenario says otherwise (setups.py); load and origin share core 1. All run at the same time and are loaded in turn,
round after round, so that whatever else the machine does hits all of them. CPU is user plus system time of the proxy's
processes. The ratio to nginx is the median of the rounds' ratios. Only ratios mean something beyond this machine.

A proxy whose answers are wrong (status, length), or whose load tool reports an error, gets no figure but the reason.
Peers and load tools come from tests/bench/packages.txt; their services are not started.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

import contenders
import load
import memory
import setups

NAMES = ["edgeproxy", "nginx", "haproxy"]
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
    targets = ["edgeproxy-bench-origin", "edgeproxy-bench-resume"]
    if chosen.edgeproxy is None and "edgeproxy" in chosen.contender:
        targets.append("edgeproxy")
    script = ('set -euo pipefail; source examples/setup.sh; edgeproxy_packages examples/packages.txt build; '
              'edgeproxy_packages tests/bench/packages.txt bench; edgeproxy_build release "$@"')
    subprocess.run(["bash", "-c", script, "bash", *targets], cwd=contenders.ROOT, check=True)
    release = contenders.ROOT / "build" / "release"
    return release / "edgeproxy-bench-origin", (chosen.edgeproxy or release / "edgeproxy").resolve()


def cores():
    """Core of the proxies, core of load and origin; (None, None) where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def measure_once(contender, scenario, answer_bytes, seconds, requests, source):
    """One loaded round. Returns (CPU microseconds a unit, units a second), or raises RuntimeError."""
    before = contender.cpu()
    result = load.run(scenario, contender.port(scenario.tls), seconds, requests, answer_bytes, source)
    spent = contender.cpu() - before
    if result.faults:
        raise RuntimeError("; ".join(result.faults))
    return spent / result.requests * 1e6, result.requests / result.seconds


def measure(scenario, running, size, source):
    """Loads every running contender in turn. Returns contender -> list of rounds, or a string: why there is no figure."""
    rounds, seconds, requests = size
    found, answers = {}, {}
    for contender in running:
        path, length = (scenario.path, scenario.length) if scenario.unit == "request" else ("/128", 128)
        answers[contender], fault = load.probe(contender.port(scenario.tls), scenario.tls, path, length,
                                                    scenario.closes)
        found[contender] = fault or []
    for turn in range(-1, rounds):  # turn -1 warms up
        for contender in running:
            if isinstance(found[contender], str):
                continue
            try:
                figures = measure_once(contender, scenario, answers[contender],
                                       WARM_UP_SECONDS if turn < 0 else seconds, requests // 4 if turn < 0 else requests,
                                       source)
            except (RuntimeError, OSError) as error:
                found[contender] = str(error)
                continue
            if turn >= 0:
                found[contender].append(figures)
    return found


def ratio(own, other):
    """The median of the rounds' ratios, or None."""
    if not isinstance(own, list) or not isinstance(other, list):
        return None
    return statistics.median(mine[0] / its[0] for mine, its in zip(own, other))


def report(scenario, found, plain):
    """Prints one table and returns it as a value for --json. `plain`: the rounds of each contender that was set up plainly
    beside."""
    print(f"\n{scenario.title}\n  {'':10} {'us CPU/' + scenario.unit:>14} {'(min - max)':>15} {scenario.unit + 's/s':>11} {'x nginx':>8}"
          + (f" {'x plain':>8}" if plain else ""))
    figures = {}
    for name, rounds in found.items():
        if isinstance(rounds, str):
            print(f"  {name:10} no figure: {rounds}")
            figures[name] = {"fault": rounds}
            continue
        cpu = [spent for spent, _ in rounds]
        rate = statistics.median(rate for _, rate in rounds)
        ratios = {"ratio_to_nginx": ratio(rounds, found.get("nginx"))}
        if plain:
            ratios["ratio_to_plain"] = ratio(rounds, plain.get(name))
        figures[name] = {"unit": scenario.unit, "cpu_us": statistics.median(cpu), "per_second": rate, **ratios}
        spread = f"({min(cpu):.1f} - {max(cpu):.1f})"
        words = ["-" if value is None else format(value, ".2f") for value in ratios.values()]
        print(f"  {name:10} {statistics.median(cpu):14.1f} {spread:>15} {rate:11.0f}" + "".join(f" {word:>8}" for word in words),
              flush=True)
    return figures


def measure_memory(field):
    print(f"\n{memory.count():,} idle connections, KiB of private memory each\n"
          f"  {'':10}" + "".join(f" {kind:>10}" for kind in memory.KINDS))
    figures = {}
    for contender in field:
        try:
            kib = {kind: memory.per_connection(contender, kind) for kind in memory.KINDS}
        except (RuntimeError, OSError) as error:
            print(f"  {contender.name:10} no figure: {error}")
            figures[contender.name] = {"fault": str(error)}
            continue
        print(f"  {contender.name:10}" + "".join(f" {value:10.1f}" for value in kib.values()), flush=True)
        figures[contender.name] = {f"{kind} KiB": value for kind, value in kib.items()}
    return figures


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


def measure_speed(make, scenarios, size, source):
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
                found = measure(scenario, running + beside, size, source)
                figures[scenario.name] = report(scenario, {**absent, **{one.name: found[one] for one in running}},
                                                {one.name: found[one] for one in beside})
        finally:
            for contender in running + beside:
                contender.stop()
    return figures


def markdown(figures):
    """The table of README.md."""
    def cell(row, key):
        value = row.get(key)
        return "-" if value is None else format(value, ".2f" if key == "ratio_to_nginx" else ".1f")

    peers = [name for name in NAMES if name != "nginx"]
    lines = ["| CPU, nginx = 1 | " + " | ".join(peers) + " |", "|---|" + "---|" * len(peers)]
    for scenario in load.SCENARIOS:
        rows = figures.get(scenario.name, {})
        if rows:
            unit = "" if scenario.unit == "request" else f", a {scenario.unit}"
            lines.append(f"| {scenario.title}{unit} | " + " | ".join(cell(rows.get(name, {}), "ratio_to_nginx") for name in peers) + " |")
    rows = figures.get("memory", {})
    if rows:
        lines += ["", "| an idle connection, KiB | " + " | ".join(NAMES) + " |", "|---|" + "---|" * len(NAMES)]
        for kind in memory.KINDS:
            lines.append(f"| {kind} | " + " | ".join(cell(rows.get(name, {}), f"{kind} KiB") for name in NAMES) + " |")
    return "\n".join(lines)


def main():
    chosen = arguments()
    origin_path, edgeproxy = set_up(chosen)
    proxy_core, load_core = cores()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if load_core is None:
        print("only one core: nothing is pinned, and the figures are worth little")
    else:
        os.sched_setaffinity(0, {load_core})
    if os.getloadavg()[0] > 1:
        print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): expect noise, trust only the ratios")
    size = QUICK if chosen.quick else FULL
    size = (chosen.rounds or size[0], *size[1:])

    directory = tempfile.mkdtemp(prefix="edgeproxy-bench-")
    os.chmod(directory, 0o755)
    source = pathlib.Path(directory) / "source"
    with open(source, "wb") as file:
        file.truncate(load.GIB)
    origin = contenders.Origin(origin_path, directory, None if load_core is None else {load_core})
    figures = {}

    def make(setup):
        cores = None if load_core is None else {proxy_core} if setup.threads == 1 else {proxy_core, load_core}
        return [contenders.make(name, directory, cores, edgeproxy, setup) for name in NAMES if name in chosen.contender]

    try:
        origin.start()
        if "memory" in chosen.scenario:
            figures["memory"] = measure_memory(make(setups.PLAIN))
        scenarios = [s for s in load.SCENARIOS if s.name in chosen.scenario]
        if scenarios:
            figures.update(measure_speed(make, scenarios, size, str(source)))
    except RuntimeError as error:
        print(f"nothing can be measured: {error}")
    finally:
        origin.stop()
        shutil.rmtree(directory, ignore_errors=True)
    if chosen.markdown:
        print("\n" + markdown(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    complete = all("fault" not in row for table in figures.values() for row in table.values())
    return 0 if figures and complete else 1


if __name__ == "__main__":
    sys.exit(main())
