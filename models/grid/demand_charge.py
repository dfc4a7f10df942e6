"""Demand charge: money for the highest billing-interval mean of a period.

    already_kw[i] + sum of share[i,t] * import_kw[t] over the steps of interval i <= peak_kw        peaks
    so_far_kw <= peak_kw                                                                            (a bound)

A site may have several, each with the intervals of a window of its own. The horizon has no clock: the caller hands in which
step covers which part of which interval. A charge whose peak so far lies above everything planned costs the same whatever is
planned: the program then pays nothing more for its power.

| symbol     | name                                                                         | unit     |
|------------|------------------------------------------------------------------------------|----------|
| already_kw | what was metered in the interval before the horizon, as part of its mean     | kW       |
| share      | part of the interval that the step covers, and a margin where steps are long | 1        |
| so_far_kw  | highest mean of the period until now, or what a ratchet keeps of earlier ones| kW       |
| peak_kw    | highest mean of the period                                                   | kW       |

Cost: price per kW * peak. A step longer than an interval hides the peaks inside it, hence the margin in its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats
from models.power.feeder import Load


@dataclass(frozen=True)
class Interval:
    """A billing interval: `already_kw` of its mean was metered before; `shares` are (step, share of the interval)."""

    already_kw: float
    shares: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class DemandCharge:
    """Money per kW of the highest mean over `intervals`, at least `so_far_kw`."""

    id: str
    price_per_kw: float
    so_far_kw: float
    intervals: tuple[Interval, ...]

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray, Floats]:
        """Interval, step and share of every part, each shape (P,)."""
        rows = [(i, t, share) for i, interval in enumerate(self.intervals) for t, share in interval.shares]
        i, t, share = zip(*rows, strict=True) if rows else ((), (), ())
        return np.asarray(i, np.int64), np.asarray(t, np.int64), np.asarray(share, float)

    def means_kw(self, import_kw: Floats) -> Floats:
        """The mean of each interval where `import_kw` is drawn, shape (T,), margin included, kW, shape (I,).

        >>> DemandCharge("peak", 1.0, 0.0, (Interval(2.0, ((0, 0.5),)),)).means_kw(np.array([6.0])).tolist()
        [5.0]
        """
        i, t, share = self.parts
        means = np.array([interval.already_kw for interval in self.intervals], float)
        np.add.at(means, i, share * import_kw[t])
        return means

    def peak_kw(self, import_kw: Floats) -> float:
        """What is charged for, kW."""
        return max(self.so_far_kw, float(self.means_kw(import_kw).max(initial=0.0)))


def add(block: Any, charge: DemandCharge, import_kw: Load) -> None:
    """Declare one charge on `block`; `import_kw(t)` is what the site draws."""
    parts = {(i, t): share for i, interval in enumerate(charge.intervals) for t, share in interval.shares}
    block.INTERVALS = pyo.RangeSet(0, len(charge.intervals) - 1)
    block.STEPS = pyo.Set(block.INTERVALS, initialize={i: [t for t, _ in x.shares] for i, x in enumerate(charge.intervals)})
    block.PARTS = pyo.Set(dimen=2, initialize=list(parts))
    block.share = pyo.Param(block.PARTS, initialize=parts)
    block.already_kw = pyo.Param(block.INTERVALS, initialize={i: x.already_kw for i, x in enumerate(charge.intervals)})
    block.peak_kw = pyo.Var(bounds=(charge.so_far_kw, None))

    @block.Constraint(block.INTERVALS)
    def peaks(b: Any, i: int) -> Any:
        return b.already_kw[i] + sum(b.share[i, t] * import_kw(t) for t in b.STEPS[i]) <= b.peak_kw


def cost(block: Any, charge: DemandCharge) -> Any:
    """Money for the peak."""
    return charge.price_per_kw * block.peak_kw


def bill(charges: Sequence[DemandCharge], import_kw: Floats) -> Bill:
    """What the peaks of drawing `import_kw`, shape (T,), cost."""
    return Bill({"peak": sum(charge.price_per_kw * charge.peak_kw(import_kw) for charge in charges)})


class Headroom:
    """By how much each step's import may rise before an interval's mean passes its charge's peak by `above_kw`."""

    def __init__(self, charges: Sequence[DemandCharge], import_kw: Floats, above_kw: float) -> None:
        self._left: list[float] = []
        self._parts: dict[int, list[tuple[int, float]]] = {}
        for charge in charges:
            first = len(self._left)
            for i, t, share in zip(*(column.tolist() for column in charge.parts), strict=True):
                self._parts.setdefault(t, []).append((first + i, share))
            self._left += (charge.peak_kw(import_kw) + above_kw - charge.means_kw(import_kw)).tolist()

    def kw(self, t: int) -> float:
        """What is left in step `t`, kW; inf where no interval covers it."""
        return min((self._left[i] / share for i, share in self._parts.get(t, ())), default=float("inf"))

    def take(self, t: int, kw: float) -> None:
        """Take `kw` in step `t`."""
        for i, share in self._parts.get(t, ()):
            self._left[i] -= share * kw
