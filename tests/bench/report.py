# SPDX-License-Identifier: Apache-2.0
"""What the rounds say, as tables for people and for README.md, and as values for --json."""
import dataclasses
import statistics

import load
import memory

NAMES = ["edgeproxy", "nginx", "haproxy"]
PERCENTILES = ("p50", "p99", "p99.9")
NONE = "none at all"  # the memory of a process without connections


@dataclasses.dataclass(frozen=True)
class Round:
    """`cpu`: of the proxy, microseconds a unit; `rate`: units a second; `latency`: microseconds of the PERCENTILES, or ();
    `peak`: the most resident memory of the proxy, KiB."""
    cpu: float
    rate: float
    latency: tuple
    peak: int


def median(rounds, figure):
    return statistics.median(figure(one) for one in rounds)


def ratio(own, other, figure=lambda one: one.cpu):
    """The median of the rounds' ratios, or None."""
    if not isinstance(own, list) or not isinstance(other, list) or not own:
        return None
    return statistics.median(figure(mine) / figure(its) for mine, its in zip(own, other))


def tail(one):
    """The 99th percentile of a round."""
    return one.latency[1]


def words(value, form):
    return "-" if value is None else format(value, form)


def speed(scenario, found, plain):
    """Prints one table and returns it as a value for --json. `found`: rounds of each contender, or why there are none;
    `plain`: the rounds of each that was set up plainly beside."""
    peers = [name for name in found if name != "edgeproxy"]
    print(f"\n{scenario.title}\n  {'':10} {'us CPU/' + scenario.unit:>14} {'(min - max)':>17} {scenario.unit + 's/s':>11}"
          + "".join(f" {name + ' us':>9}" for name in PERCENTILES) + f" {'peak MiB':>9}"
          + "".join(f" {'x ' + name:>10}" for name in peers) + (f" {'x plain':>8}" if plain else ""))
    figures = {}
    for name, rounds in found.items():
        if isinstance(rounds, str):
            print(f"  {name:10} no figure: {rounds}")
            figures[name] = {"fault": rounds}
            continue
        told = all(one.latency for one in rounds)
        latency = [median(rounds, lambda one, i=i: one.latency[i]) if told else None for i in range(3)]
        ratios = {f"ratio_to_{peer}": ratio(rounds, found[peer]) for peer in peers}
        beside = {"ratio_to_plain": ratio(rounds, plain.get(name))} if plain else {}
        cpu, rate, peak = (median(rounds, figure) for figure in (lambda one: one.cpu, lambda one: one.rate, lambda one: one.peak))
        figures[name] = {"unit": scenario.unit, "cpu_us": cpu, "per_second": rate,
                         **{f"{which}_us": value for which, value in zip(PERCENTILES, latency)}, "peak_kib": peak, **ratios, **beside}
        if scenario.tool == "paced":
            figures[name]["p99_ratio_to_nginx"] = ratio(rounds, found.get("nginx"), tail)
        spread = f"({min(one.cpu for one in rounds):.1f} - {max(one.cpu for one in rounds):.1f})"
        print(f"  {name:10} {cpu:14.1f} {spread:>17} {rate:11.0f}" + "".join(f" {words(value, '.0f'):>9}" for value in latency)
              + f" {peak / 1024:9.1f}" + "".join(f" {words(value, '.2f'):>10}" for value in ratios.values())
              + "".join(f" {words(value, '.2f'):>8}" for value in beside.values()), flush=True)
    return figures


def idle_memory(kib):
    """Prints KiB of each contender and kind, or why there are none, and returns them for --json."""
    print(f"\n{memory.count():,} idle connections: KiB of private memory that each adds, and that there is without any\n"
          f"  {'':10}" + "".join(f" {kind:>11}" for kind in (*memory.KINDS, NONE)))
    figures = {}
    for name, of in kib.items():
        if isinstance(of, str):
            print(f"  {name:10} no figure: {of}")
            figures[name] = {"fault": of}
            continue
        print(f"  {name:10}" + "".join(f" {value:11.1f}" for value in of.values()), flush=True)
        figures[name] = {f"{kind} KiB": value for kind, value in of.items()}
    return figures


def markdown(figures):
    """The tables of README.md."""
    def cell(row, key, form):
        return words(row.get(key), form)

    peers = [name for name in NAMES if name != "nginx"]
    lines = ["| CPU, nginx = 1 | " + " | ".join(peers) + " |", "|---|" + "---|" * len(peers)]
    for scenario in load.SCENARIOS:
        rows = figures.get(scenario.name, {})
        if not rows:
            continue
        unit = "" if scenario.unit == "request" else f", a {scenario.unit}"
        told = [(f"{scenario.title}{unit}", "ratio_to_nginx")]
        if scenario.tool == "paced":
            told.append(("the same, not CPU but the 99th percentile of latency", "p99_ratio_to_nginx"))
        lines += [f"| {title} | " + " | ".join(cell(rows.get(name, {}), key, ".2f") for name in peers) + " |" for title, key in told]
    rows = figures.get("memory", {})
    if rows:
        lines += ["", f"| private memory that one of {memory.count():,} idle connections adds, KiB | " + " | ".join(NAMES) + " |", "|---|" + "---|" * len(NAMES)]
        for kind in (*memory.KINDS, NONE):
            lines.append(f"| {kind} | " + " | ".join(cell(rows.get(name, {}), f"{kind} KiB", ".1f") for name in NAMES) + " |")
    return "\n".join(lines)
