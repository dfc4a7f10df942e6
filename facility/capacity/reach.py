"""Reach: how many GPUs each hour of the span takes at a place, and how many the whole of it does, for each speed that is agreed.

    contracted   the present rentals give what their terms let a plan take, and the added GPUs run at the speed that is agreed
    untouched    the present rentals run at full speed, the added GPUs at the speed that is agreed
    free         all run at full speed: an hour that takes fewer than are added is one in which somebody is slowed
    paused       the added GPUs do nothing, the present rentals give what their terms let a plan take
    idle         the added GPUs do nothing, the present rentals run at full speed

Where the present rentals run at full speed, only limits on what the added GPUs load count: all others are no matter of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facility.capacity.contracted import steady
from facility.capacity.limits import Hours, hours
from facility.capacity.place import Place
from facility.capacity.present import Present, present
from facility.capacity.span import Part, Span
from models.horizon import Floats
from models.problem import Problem

LimitOf = tuple[str, str]
"""A limit's family, as in `facility.limits.WORDS`, and its asset."""


@dataclass(frozen=True)
class Reach:
    """GPUs that each of the hours takes, shape (T,), which limit is the tightest in it, and how many each limit takes in its tightest hour.

    `spared` are those by which a plan of the tightest day took less.
    """

    most: Floats
    tightest: np.ndarray
    names: Sequence[LimitOf]
    by_limit: Floats
    spared: int = 0

    @property
    def gpus(self) -> int:
        """How many fit in every hour."""
        return max(whole(float(self.most.min())) - self.spared, 0)

    @property
    def binding(self) -> LimitOf:
        """The limit that is the tightest in the tightest hour."""
        return self.names[int(np.argmin(self.by_limit))]

    @property
    def following(self) -> tuple[LimitOf, int] | None:
        """The limit that would be the tightest without that one, and how many GPUs it takes; None where there is none."""
        order = np.argsort(self.by_limit, kind="stable")
        if len(order) < 2 or not np.isfinite(self.by_limit[order[1]]):
            return None
        return self.names[int(order[1])], whole(float(self.by_limit[order[1]]))


@dataclass(frozen=True)
class Reached:
    """What was found for a place: by agreed speed `contracted` and `untouched`, and for all `free`, `paused` and `idle`."""

    place: Place
    contracted: dict[float, Reach]
    untouched: dict[float, Reach]
    free: Reach
    paused: Reach
    idle: Reach

    def running(self, gpus: int) -> Floats:
        """How many of so many GPUs work in each hour while the others do nothing, which draws power too, and the present rentals run at full speed.

        On each line of a limit it is exact that  working / free + (gpus - working) / idle = 1;  of several lines it is the least.
        """
        free, idle = np.clip(self.free.most, 0.0, gpus), np.maximum(self.idle.most, 1e-9)
        left = np.maximum(1 - gpus / idle, 0.0) / np.maximum(1 - free / idle, 1e-9)
        return np.where(free < gpus, free * left, float(gpus))


@dataclass(frozen=True)
class Month:
    """A month of the span: its hours, what a kWh costs in them, their problem for one GPU model, and what stands there at full speed and as
    slow as its terms allow.
    """

    part: Part
    paid_per_kwh: Floats
    problem: Problem
    full: Present
    slowed: Present

    def hours(self, place: Place, draw_kw: float | Floats, could_draw_kw: float | Floats, *, slowed: bool) -> Hours:
        """The limits for GPUs at a place; where the present rentals run at full speed, those on what the added GPUs load."""
        return hours(self.problem, self.slowed if slowed else self.full, place, draw_kw, could_draw_kw, all_limits=slowed)


def months(span: Span, model_place: Place, told: Callable[[], None]) -> list[Month]:
    """The months of the span, for GPUs of the model of a place; `told` is called after each."""
    found, site = [], steady(span.site)
    for part in span.parts:
        problem = part.without(site, model_place)
        found.append(Month(part, part.paid_per_kwh(site), problem, present(problem, slowed=False), present(problem, slowed=True)))
        told()
    return found


def reached(there: Sequence[Month], place: Place, speeds: Sequence[float]) -> Reached:
    """What every month takes at a place, with the added GPUs at each of `speeds`."""

    def reach(draw_kw: float, could_draw_kw: float, *, slowed: bool) -> Reach:
        each = [m.hours(place, draw_kw, could_draw_kw, slowed=slowed) for m in there]
        names = [(limit.family, limit.asset) for limit in each[0].limits]
        most, tightest = (np.concatenate(rows) for rows in ([e.most for e in each], [e.gpus.argmin(axis=0) for e in each]))
        return Reach(most, tightest, names, np.min([e.gpus.min(axis=1) for e in each], axis=0))

    def at(speed: float, *, slowed: bool) -> Reach:
        return reach(float(place.draws_kw(speed)), float(place.could_draw_kw(speed)), slowed=slowed)

    return Reached(
        place,
        {speed: at(speed, slowed=True) for speed in speeds},
        {speed: at(speed, slowed=False) for speed in speeds},
        at(1.0, slowed=False),
        reach(*place.paused_kw, slowed=True),
        reach(*place.paused_kw, slowed=False),
    )


def whole(gpus: float) -> int:
    """Whole GPUs; a number that lies a hair under a whole one is that.

    >>> whole(12.9999999), whole(12.4), whole(float("-inf"))
    (13, 12, 0)
    """
    return max(math.floor(gpus + 1e-6), 0) if math.isfinite(gpus) else 0
