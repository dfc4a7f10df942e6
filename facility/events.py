"""Grid events: orders to draw less for a while, as what each step of a plan may import at most.

    target(t) = B(t) - r(t) * (B(t) - full(t))      full = target_kw, or B * (1 - reduction_pct / 100)
    r         rises from 0 to 1 in the `ramp` before `start`, is 1 in [start, end), falls to 0 in the `ramp` after `end`
    target(t) = B(t)                                in the hour after that, so that what was put off makes no new peak

B is the import expected of the site without control, kW. A step counts with the highest r it touches; where events meet, the
lowest target counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from facility.steps import Edges
from models.horizon import Floats

NO_REBOUND = timedelta(hours=1)
LONGEST_RAMP_MIN = 24 * 60.0


@dataclass(frozen=True)
class Event:
    """An order for `[start, end)`, UTC: import at most `target_kw`, or `reduction_pct` less than the baseline; one of them.

    A `firm` one, which has a target, is a limit besides: the guard holds it between plans.
    """

    start: datetime
    end: datetime
    target_kw: float | None = None
    reduction_pct: float | None = None
    ramp: timedelta = timedelta(0)
    firm: bool = False

    def full_kw(self, baseline_kw: float) -> float:
        """What may be drawn inside the window, kW."""
        return self.target_kw if self.target_kw is not None else baseline_kw * (1 - (self.reduction_pct or 0.0) / 100)

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether anything is asked in `[start, end)`, the ramps and the hour after them included."""
        return start < self.end + self.ramp + NO_REBOUND and end > self.start - self.ramp

    def most_kw(self, start: datetime, end: datetime, baseline_kw: float) -> float | None:
        """The lowest target within the step `[start, end)`, kW; None where the event asks nothing of it."""
        full = self.full_kw(baseline_kw)
        if start < self.end and end > self.start:
            return full
        if not self.touches(start, end):
            return None
        beside = self.start - end if end <= self.start else start - self.end
        share = max(0.0, 1 - beside / self.ramp) if self.ramp else 0.0
        return baseline_kw - share * max(baseline_kw - full, 0.0)


@dataclass(frozen=True)
class Delivery:
    """How an event is kept: power below the target, mean over its window as a share of the baseline, and minutes above it."""

    mean_over_delivery_pct: float
    minutes_over_target: float


def targets_kw(events: Sequence[Event], edges: Edges, baseline_kw: Floats) -> tuple[float | None, ...]:
    """The target of each step, kW, None where nobody asks anything; () where no event touches the steps."""
    found = [
        [kw for event in events if (kw := event.most_kw(begin, end, base)) is not None]
        for (begin, end), base in zip(pairwise(edges), baseline_kw.tolist(), strict=True)
    ]
    return tuple(min(asked) if asked else None for asked in found) if any(found) else ()


def delivery(event: Event, edges: Edges, baseline_kw: Floats, import_kw: Floats, tiny_kw: float) -> Delivery:
    """How `import_kw` keeps `event`, by step; its ramps and the hour after them count for the minutes, not for the mean."""
    minutes = np.array([(end - begin) / timedelta(minutes=1) for begin, end in pairwise(edges)])
    target = np.array([np.inf if kw is None else kw for kw in targets_kw([event], edges, baseline_kw)])
    inside = np.array([begin < event.end and end > event.start for begin, end in pairwise(edges)])
    base_kwh = float((baseline_kw * minutes)[inside].sum())
    below_kwh = float((np.maximum(target - import_kw, 0.0)[inside] * minutes[inside]).sum())
    return Delivery(100 * below_kwh / base_kwh if base_kwh else 0.0, float(minutes[import_kw > target + tiny_kw].sum()))
