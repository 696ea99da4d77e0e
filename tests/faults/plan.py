# SPDX-License-Identifier: Apache-2.0
"""How a fault is described: what is done, on which chains, and what may come of it."""
from dataclasses import dataclass, field
from typing import Callable, Optional

from chains import OTHERS, EdgeproxyChain


@dataclass
class Bars:
    """The most that may happen; None: reported, not judged. Seconds."""
    lost: Optional[int] = 0
    errors: Optional[int] = 0
    refused: Optional[int] = 0
    gap: Optional[float] = None

    def broken_by(self, figures, gaps=True):
        found = [f"{figures.wrong} answers were somebody else's"] if figures.wrong else []
        if figures.twice:
            found.append(f"{figures.twice} POSTs were executed twice")
        for name in ("lost", "errors", "refused"):
            most, seen = getattr(self, name), getattr(figures, name)
            if most is not None and seen > most:
                found.append(f"{seen} {name}, at most {most}")
        if gaps and self.gap is not None and figures.gap > self.gap:
            found.append(f"gap {figures.gap:.2f} s, at most {self.gap:.2f} s")
        return found


@dataclass
class Fault:
    name: str
    group: str
    story: str                       # one line for --list
    act: Callable                    # (chain, client) -> None or further findings; AssertionError: a bar was broken
    bars: Bars
    chains: list = field(default_factory=list)  # others that can do the operation
    quick: bool = False
    make: Callable = EdgeproxyChain  # the edgeproxy under this fault
    load: dict = field(default_factory=dict)
    start: str = "ready"
    stops: bool = True               # edgeproxy must still end cleanly afterwards


FAULTS = []


def fault(name, group, bars=None, others=(), **more):
    """Declares one; the function's first line of documentation is its story."""
    def declare(act):
        chains = OTHERS if others == "all" else list(others)
        FAULTS.append(Fault(name, group, act.__doc__.strip().splitlines()[0], act, bars or Bars(), chains, **more))
        return act
    return declare
