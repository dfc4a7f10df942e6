"""Faults of some days, drawn from a seed: what goes wrong, from when to when.

| kind | what |
|---|---|
| silent | one sensor tells nothing |
| dark | no sensor tells anything |
| wrong | the meter tells W for kW, nothing, less than nothing, or what is no number |
| stuck | the meter shows its last value |
| away | the broker is stopped, and once in a while has forgotten everything afterwards |
| killed | the daemon is killed, and started again on its journal at the end |
| no plan | the solver finds none |
| raises | the planner raises |
| lies | the planner gives every GPU its highest cap and says that this is best |
| limit | the grid's operator allows less |
| people | an operator commands: caps up and down, manual, stop |
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = {
    "silent": (1, 240), "dark": (1, 60), "wrong": (1, 120), "stuck": (5, 240), "away": (1, 120), "killed": (0, 30), "no plan": (10, 120),
    "raises": (10, 60), "lies": (10, 90), "limit": (30, 240), "people": (10, 180),
}  # fmt: skip
"""Kinds of faults, each with its least and longest duration, min."""
A_DAY = 8
"""Faults that begin on a day, on average."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong during [start_s, end_s), seconds since the beginning; `dice` is for what else it needs."""

    kind: str
    start_s: int
    end_s: int
    dice: float


def drawn(days: int, seed: int) -> Iterator[Fault]:
    """Draw faults; every kind comes in turn, in another order each time, so that none is left out."""
    dice = random.Random(f"{seed}/faults")
    kinds: list[str] = []
    for _ in range(days * A_DAY):
        kinds = kinds or dice.sample(sorted(KINDS), len(KINDS))
        kind = kinds.pop()
        least, longest = KINDS[kind]
        start_s = dice.randrange(1800, days * 86_400 - 3600)
        yield Fault(kind, start_s, start_s + 60 * dice.randint(least, longest), dice.random())
