"""Answer: how many GPUs fit, at each place and speed, and all that is told of one place: a new hall, or the pool that takes most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from facility.capacity.check import Checked, check, some_more
from facility.capacity.limits import hours
from facility.capacity.place import Place
from facility.capacity.question import Question
from facility.capacity.reach import Month, Reach, Reached, months, reached, whole
from facility.capacity.shortage import Shortage, lifted_kw, shortage
from facility.capacity.waiting import most_waiting
from models.horizon import Floats

Tell = Callable[[str, float], None]
"""Hears what is done, and which share of all is."""
SHARE_READ, SHARE_REACHED = 0.25, 0.75
MOST_STEPS_DOWN = 4
"""How often fewer are tried where a plan has no room for as many as were reckoned."""


@dataclass(frozen=True)
class Case:
    """GPUs that fit beside present rentals that give what their terms let a plan take, or run at full speed, and what it comes to by hour.

    `lift_kw` is how much more the limit that binds would have to be for the next one to bind; None where there is no next one.
    """

    reach: Reach
    shortage: Shortage
    lift_kw: float | None = None

    @property
    def gpus(self) -> int:
        """How many fit."""
        return self.reach.gpus


@dataclass(frozen=True)
class Level:
    """What holds at the place for GPUs that agree to run `slower_pct` per cent slower; `speed` is what the lowest cap makes of it.

    `lacks_kw` is what the limit that binds lacks with some more GPUs, as many as plans are asked about; `waiting` is how many fit if jobs
    wait within their slack, None where no file tells of jobs, or these are not done in time even so.
    """

    slower_pct: float
    speed: float
    agreed: Case
    untouched: Case
    lacks_kw: float
    checked: Checked | None
    waiting: int | None = None


@dataclass(frozen=True)
class Shared:
    """How many fit if so many per cent of all hours may be without them, and the share of their work that this loses."""

    hours_pct: float
    gpus: int
    hours: int
    lost_share: float


@dataclass(frozen=True)
class Answer:
    """Every place with what it takes, and the `place` that takes most with all that is told of it."""

    question: Question
    every: tuple[Reached, ...]
    speeds: tuple[float, ...]
    place: Place
    levels: tuple[Level, ...]
    shared: tuple[Shared, ...]
    outdoor_c: Floats
    limit_kw: Floats
    present_kw: Floats
    slowed_kw: Floats

    @property
    def fits(self) -> bool:
        """Whether any GPU fits anywhere."""
        return any(reach.gpus for found in self.every for reach in found.contracted.values())

    @property
    def best(self) -> Reached:
        """What was found for the place that takes most."""
        return next(found for found in self.every if found.place is self.place)

    def at(self, hour: int) -> datetime:
        """When an hour begins, UTC."""
        return self.question.span.edges[hour]


def answer(asked: Question, tell: Tell) -> Answer:
    """Go through the span for each GPU model and each place, then have plans check the place that takes most."""
    speeds = tuple(1 - pct / 100 for pct in asked.slower_pct)
    models = list(dict.fromkeys(place.gpu_model for place in asked.places))
    steps, done = len(models) * len(asked.span.months), 0

    def read() -> None:
        nonlocal done
        done += 1
        tell("reading the months", SHARE_READ * done / steps)

    every, by_model = list[Reached](), dict[str, list[Month]]()
    for model in models:
        mine = [place for place in asked.places if place.gpu_model == model]
        by_model[model] = months(asked.span, mine[0], read)
        for place in mine:
            every.append(reached(by_model[model], place, speeds))
            tell("looking for room", SHARE_READ + (SHARE_REACHED - SHARE_READ) * len(every) / len(asked.places))
    best = _told_of(asked, every, speeds)
    there = by_model[best.place.gpu_model]
    levels = []
    for i, (pct, speed) in enumerate(zip(asked.slower_pct, speeds, strict=True)):
        tell(f"planning with {best.contracted[speed].gpus:,} more", SHARE_REACHED + (1 - SHARE_REACHED) * i / len(speeds))
        levels.append(_level(asked, there, best, pct, speed))
    if asked.jobs:
        tell("letting jobs wait", SHARE_REACHED)
        waits = most_waiting(asked.span, asked.site, asked.jobs, best.place, speeds)
        levels = [replace(level, waiting=_at_least(waits[speed], level.agreed.gpus)) for level, speed in zip(levels, speeds, strict=True)]
    main = [np.concatenate([_import_kw(month, best.place, slowed=slowed) for month in there]) for slowed in (False, True)]
    return Answer(
        asked,
        tuple(every),
        speeds,
        best.place,
        tuple(levels),
        tuple(_shared(best, pct) for pct in asked.hours_pct),
        np.concatenate([month.part.forecast.outdoor_c for month in there]),
        np.concatenate([np.asarray(month.part.asked.import_limit_kw) for month in there]),
        main[0],
        main[1],
    )


def _told_of(asked: Question, every: Sequence[Reached], speeds: Sequence[float]) -> Reached:
    """The place that all is told of: the new hall of the model that the site has most of, else the place that takes most."""
    pools = asked.span.site.pools.values()
    held = {model: sum(pool.gpus for pool in pools if pool.gpu_model == model) for model in asked.span.site.gpu_models}

    def rank(found: Reached) -> tuple[float, ...]:
        here = (float(found.place.new_hall), float(held[found.place.gpu_model] if found.place.new_hall else 0))
        return (*here, *(found.contracted[speed].gpus for speed in sorted(speeds)))

    return max(every, key=rank)


def _level(asked: Question, there: Sequence[Month], best: Reached, pct: float, speed: float) -> Level:
    """All that is told of one speed at a place."""
    place, untouched = best.place, best.untouched[speed]
    reach, checked = _checked(asked, place, best.contracted[speed], speed)
    lift = None if reach.following is None or not reach.gpus else lifted_kw(there, place, reach.binding, reach.following[1], speed)
    effective = max(speed, place.slowest)
    agreed, beside = (Case(each, shortage(there, place, each.gpus, effective)) for each in (reach, untouched))
    lacks_kw = lifted_kw(there, place, reach.binding, some_more(reach.gpus), speed)
    return Level(pct, effective, replace(agreed, lift_kw=lift), beside, lacks_kw, checked)


def _checked(asked: Question, place: Place, reach: Reach, speed: float) -> tuple[Reach, Checked | None]:
    """What a plan of the tightest day says, asked again with some fewer while it has no room for as many as were reckoned."""
    at, few, checked = asked.span.edges[int(np.argmin(reach.most))], some_more(reach.gpus) - reach.gpus, None
    for times in range(1 + MOST_STEPS_DOWN):
        fewer = replace(reach, spared=few * times)
        if not fewer.gpus:
            return fewer, None
        checked = check(asked.span, place, fewer.gpus, speed, at, asked.budget_s)
        if checked.fits is not False:
            return fewer, checked
    return fewer, checked


def _at_least(waiting: int | None, agreed: int) -> int | None:
    """How many fit if jobs wait: never fewer than if none does."""
    return None if waiting is None else max(waiting, agreed)


def _shared(best: Reached, pct: float) -> Shared:
    """GPUs of which some may be paused in so many hours: those in which fewest fit beside present rentals at full speed."""
    free = np.sort(best.free.most)
    spared = int(pct / 100 * len(free))
    gpus = min(whole(float(free[min(spared, len(free) - 1)])), best.paused.gpus)
    lost = gpus - best.running(gpus)
    return Shared(pct, gpus, int((lost > 1e-6).sum()), float(lost.mean()) / gpus if gpus else 0.0)


def _import_kw(month: Month, place: Place, *, slowed: bool) -> Floats:
    """What the present site draws, kW, shape (T,)."""
    found = hours(month.problem, month.slowed if slowed else month.full, place, 0.0, 0.0)
    return np.maximum(found.of("grid.limits", "").load.at(0), 0.0)

