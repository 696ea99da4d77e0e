#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares edgeproxy with nginx and HAProxy on this machine: CPU per request, and memory per idle connection.

Each proxy has one thread, pinned to core 0; load and origin share core 1. All run at the same time and are loaded in turn,
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
    chosen = parser.parse_args()
    chosen.scenario = chosen.scenario or [s.name for s in load.SCENARIOS] + ["memory"]
    chosen.contender = chosen.contender or NAMES
    return chosen


def set_up(chosen):
    """Packages, origin and, unless it is given, edgeproxy. Returns the paths of both programs."""
    targets = ["edgeproxy-bench-origin"]
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
    """Loads every running contender in turn. Returns name -> list of rounds, or a string: why there is no figure."""
    rounds, seconds, requests = size
    found, answers = {}, {}
    for contender in running:
        path, length = (scenario.path, scenario.length) if scenario.unit == "request" else ("/128", 128)
        answers[contender.name], fault = load.probe(contender.port(scenario.tls), scenario.tls, path, length,
                                                    scenario.closes)
        found[contender.name] = fault or []
    for turn in range(-1, rounds):  # turn -1 warms up
        for contender in running:
            if isinstance(found[contender.name], str):
                continue
            try:
                figures = measure_once(contender, scenario, answers[contender.name],
                                       WARM_UP_SECONDS if turn < 0 else seconds, requests // 4 if turn < 0 else requests,
                                       source)
            except (RuntimeError, OSError) as error:
                found[contender.name] = str(error)
                continue
            if turn >= 0:
                found[contender.name].append(figures)
    return found


def report(scenario, found):
    """Prints one table and returns it as a value for --json."""
    print(f"\n{scenario.title}\n  {'':10} {'us CPU/' + scenario.unit:>14} {'(min - max)':>15} {scenario.unit + 's/s':>11} {'x nginx':>8}")
    figures = {}
    nginx = found.get("nginx")
    for name, rounds in found.items():
        if isinstance(rounds, str):
            print(f"  {name:10} no figure: {rounds}")
            figures[name] = {"fault": rounds}
            continue
        cpu = [spent for spent, _ in rounds]
        rate = statistics.median(rate for _, rate in rounds)
        ratio = None
        if isinstance(nginx, list):
            ratio = statistics.median(own[0] / peer[0] for own, peer in zip(rounds, nginx))
        figures[name] = {"unit": scenario.unit, "cpu_us": statistics.median(cpu), "per_second": rate, "ratio_to_nginx": ratio}
        spread = f"({min(cpu):.1f} - {max(cpu):.1f})"
        print(f"  {name:10} {statistics.median(cpu):14.1f} {spread:>15} {rate:11.0f}"
              f" {'-' if ratio is None else format(ratio, '.2f'):>8}", flush=True)
    return figures


def measure_memory(field):
    print(f"\nIdle keep-alive connections ({memory.CONNECTIONS}), KiB of private memory each\n"
          f"  {'':10} {'plain':>8} {'TLS':>8}")
    figures = {}
    for contender in field:
        try:
            plain, tls = (memory.per_connection(contender, secure) for secure in (False, True))
        except (RuntimeError, OSError) as error:
            print(f"  {contender.name:10} no figure: {error}")
            figures[contender.name] = {"fault": str(error)}
            continue
        print(f"  {contender.name:10} {plain:8.1f} {tls:8.1f}", flush=True)
        figures[contender.name] = {"plain_kib": plain, "tls_kib": tls}
    return figures


def measure_speed(field, scenarios, size, source):
    running, absent, figures = [], {}, {}
    try:
        for contender in field:
            try:
                contender.start()
                running.append(contender)
            except RuntimeError as error:
                absent[contender.name] = str(error)
        for scenario in scenarios:
            figures[scenario.name] = report(scenario, {**absent, **measure(scenario, running, size, source)})
    finally:
        for contender in running:
            contender.stop()
    return figures


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
    contenders.certificate(directory)
    source = pathlib.Path(directory) / "source"
    with open(source, "wb") as file:
        file.truncate(load.GIB)
    origin = contenders.Origin(origin_path, directory, load_core)
    field = [contenders.make(name, directory, proxy_core, edgeproxy) for name in NAMES if name in chosen.contender]
    figures = {}
    try:
        origin.start()
        if "memory" in chosen.scenario:
            figures["memory"] = measure_memory(field)
        scenarios = [s for s in load.SCENARIOS if s.name in chosen.scenario]
        if scenarios:
            figures.update(measure_speed(field, scenarios, size, str(source)))
    except RuntimeError as error:
        print(f"nothing can be measured: {error}")
    finally:
        origin.stop()
        shutil.rmtree(directory, ignore_errors=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    complete = all("fault" not in row for table in figures.values() for row in table.values())
    return 0 if figures and complete else 1


if __name__ == "__main__":
    sys.exit(main())
