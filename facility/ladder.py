"""The ladder of flexibility tiers: how much slower a tenant agrees to run, for how long, and for what credit.

| tier | slower, at most | in        | credit per GPU h | jobs may wait |
|------|-----------------|-----------|------------------|---------------|
| T0   | not at all      | -         | -                | 0 h           |
| T1   | 1.2 x           | 1 h a day | 0.02             | 1 h           |
| T2   | 2 x             | any hour  | 0.04             | 24 h          |
| T3   | 4 x             | any hour  | 0.06             | 168 h         |
| T4   | 2 x             | any hour  | 0.08             | 24 h          |
| T5   | 1.5 x           | any hour  | 0.10             | 24 h          |

The ladder has one window for each tier, 1 h to 168 h; it is read here as how long jobs may wait and, where it is shorter than a
day, as the slow hours of each day. T3 also wants checkpoints, T4 elastic jobs and T5 jobs that may move to another site: those
are properties of jobs. Source: the f-SLA ladder in the documentation of GridPilot (MIT); credits in the site's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["T0", "T1", "T2", "T3", "T4", "T5"]
Window = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Flexibility:
    """What a contract grants: see the keys of `facility.site.tenancy.Contract` of the same names. None: without end."""

    greatest_slowdown: float
    slow_hours: float | None
    slow_window: Window
    credit_per_gpu_h: float
    max_defer_h: float | None


LADDER: dict[Tier, Flexibility] = {
    "T0": Flexibility(1.0, 0.0, "day", 0.0, 0.0),
    "T1": Flexibility(1.2, 1.0, "day", 0.02, 1.0),
    "T2": Flexibility(2.0, None, "day", 0.04, 24.0),
    "T3": Flexibility(4.0, None, "week", 0.06, 168.0),
    "T4": Flexibility(2.0, None, "day", 0.08, 24.0),
    "T5": Flexibility(1.5, None, "day", 0.10, 24.0),
}
