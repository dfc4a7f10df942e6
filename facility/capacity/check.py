"""Check: what a plan says of it. The number that is told must fit the tightest day, and a few more must not.

    with them            the day of the tightest hour, every hour by itself as it was reckoned: the program breaks nothing
    with some more       the same day with 1 % more, and 3 at least: it breaks something, and what
    as it is             the same day with batteries, tanks, gensets, the warmth of halls, ramps and reserves: what is sent breaks nothing

A promise yields before the connection does, so what is broken first is the speed of some rental.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from facility.capacity.contracted import steady, with_added
from facility.capacity.place import Place
from facility.capacity.span import Part, Span
from facility.decide import Undecided, decide
from facility.report.breaches import breaches
from facility.site import Site
from facility.snapshot import Snapshot
from models.breach import TINY
from models.choosing.supply import with_supply
from models.problem import Problem
from models.solving.outcome import Solved
from models.solving.relaxation import Relaxation
from models.solving.solver import Solver

MORE_PCT, MORE_GPUS = 1, 3
TOLD = 1e-3
"""Less than this of anything is no breach to tell of."""


@dataclass(frozen=True)
class Checked:
    """What plans of the day of `at` came to. `fits` with the GPUs, `breaks` with `more` in all, `as_is` of the site as it is; None: no plan in time.

    `broken` is what is told of the breach with `more`.
    """

    at: datetime
    gpus: int
    more: int
    fits: bool | None
    breaks: bool | None
    broken: Mapping[str, Any] | None
    as_is: bool | None
    as_is_broken: Sequence[Mapping[str, Any]]

    @property
    def agrees(self) -> bool:
        """Whether plans say the same as was reckoned."""
        return self.fits is True and self.breaks is True


def some_more(gpus: int) -> int:
    """The number with which it must not fit any more.

    >>> some_more(0), some_more(1000)
    (3, 1010)
    """
    return gpus + max(MORE_GPUS, -(-gpus * MORE_PCT // 100))


def check(span: Span, place: Place, gpus: int, floor_speed: float, at: datetime, budget_s: float) -> Checked:
    """Plan the day of the tightest hour `at` with `gpus` at a place, which are promised `floor_speed`, and with some more."""
    day, more, alone = span.day(at), some_more(gpus), steady(span.site)
    fits = keeps_all(day.problem(with_added(alone, place, gpus, floor_speed) if gpus else alone), budget_s)
    broken = _broken(day, with_added(alone, place, more, floor_speed), budget_s)
    whole = _broken(day, with_added(span.site, place, gpus, floor_speed) if gpus else span.site, budget_s)
    heaviest = max(broken, key=lambda each: each["amount"]) if broken else None
    breaks, as_is = None if broken is None else bool(broken), None if whole is None else not whole
    return Checked(at, gpus, more, fits, breaks, heaviest, as_is, whole or ())


def keeps_all(problem: Problem, budget_s: float) -> bool | None:
    """Whether the program of a problem breaks nothing, before caps are rounded; None where it is not solved in time."""
    deadline = time.perf_counter() + budget_s
    supplied = with_supply(problem, deadline, Solver)
    if not isinstance(supplied, Problem):
        return None
    program = Relaxation(supplied, deadline, Solver)
    if not isinstance(program.solve(), Solved):
        return None
    return not _breaks(program.ranked.amounts, program.ranked.weights_stand)


def _broken(day: Part, site: Site, budget_s: float) -> list[dict[str, Any]] | None:
    """What the plan of a day breaks; nothing where only rounding to what can be sent does; None where there is no plan in time."""
    snapshot = Snapshot(at=day.edges[0])
    decided = decide(site, snapshot, day.forecast, day.asked_of(site), day.edges, budget_s, reasons=False)
    if isinstance(decided, Undecided):
        return None
    record = decided.plan.record
    if not _breaks(record.tiers, record.weights_stand):
        return []
    return [each for each in breaches(site, decided, (), decided.plan.account, explained=False) if each["amount"] > TOLD]


def _breaks(tiers: Sequence[tuple[str, float]], weights_stand: str | None) -> bool:
    """Whether a program breaks anything: some tier of limits, or what its prices left broken where tiers were not solved in time."""
    return weights_stand is not None or any(amount > TINY for _, amount in tiers)
