"""Marginal: what one more unit of a limit would have saved.

    saved[i,t] = -scale[i,t] * dcost/dlimit[i,t]
               =  scale * dual of a row   that keeps something above its limit
               = -scale * dual of a row   that keeps something below it, or the reduced cost of a column at its upper bound
    saved[i]   = sum_t saved[i,t]         one unit more all through the horizon

| symbol | name                                                                     | unit                |
|--------|--------------------------------------------------------------------------|---------------------|
| dual   | change of the optimum per unit of the row's right-hand side              | money/unit of row   |
| scale  | what a unit of the limit adds to the right-hand side                     | unit of row/unit    |

The prices are those of the priced program (`models.solving.tiers`), breaches at their prices and what `models.solving.settle` fixed as it is. A
price holds for a small change: at a corner it lies between what a little less would have cost and a little more would have
saved. `LIMITS` has an entry for every family of rows that a breach relaxes, and for what else one would think of buying.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.compile import Place
from models.horizon import Floats
from models.problem import Problem
from models.solving.outcome import Solved
from models.solving.session import Session

SMALL = 1e-9
"""A price below this is none, money a unit."""

Scale = Callable[[Problem, Any, int], float]
"""(problem, asset: id or workload index, step) to what a unit of the limit adds to the right-hand side."""


def _between_h(problem: Problem, _: Any, t: int) -> float:
    return float(problem.horizon.h[t] + problem.horizon.h[t - 1]) / 2


def _margin(problem: Problem, asset: Any, _: int) -> float:
    margin: float = next(f.worst_case_margin for f in problem.feeders if f.id == asset)
    return margin


def _hundredth(problem: Problem, w: Any, t: int) -> float:
    return 0.01 * float(problem.firms[w].demanded(len(problem.horizon))[t] * problem.horizon.h[t])


@dataclass(frozen=True)
class Limit:
    """A family of limits: its unit and what a unit of it adds to the right-hand side, one where nothing is said."""

    unit: str
    scale: Scale | None = None


LIMITS = {
    "grid.limits": Limit("kW"),
    "grid.exports": Limit("kW"),
    "grid.event": Limit("kW"),
    "grid.rises": Limit("kW/h", _between_h),
    "grid.falls": Limit("kW/h", _between_h),
    "feed.limits": Limit("kW"),
    "carbon.keeps_cap": Limit("kg"),
    "feeder.carries": Limit("kW"),
    "feeder.carries_back": Limit("kW"),
    "feeder.carries_worst": Limit("kW", _margin),
    "redundancy.survives": Limit("kW"),
    "redundancy.survives_back": Limit("kW"),
    "redundancy.survives_worst": Limit("kW"),
    "pool.holds": Limit("GPU"),
    "firm.serves": Limit("% of speed", _hundredth),
    "budget.spends": Limit("h"),
    "hall.recommended_min": Limit("K"),
    "hall.recommended_max": Limit("K"),
    "hall.allowable_max": Limit("K"),
    "hall.ends_no_hotter": Limit("K"),
    "genset.keeps_hours": Limit("h"),
    "battery.ends_no_emptier": Limit("kWh"),
    "battery.rides_through": Limit("kWh"),
    "cooling_plant.heat_kw": Limit("kW"),
    "thermal_store.ends_no_emptier": Limit("kWh"),
    "thermal_store.stored_kwh": Limit("kWh"),
    "battery.stored_kwh": Limit("kWh"),
}
"""By block and name of the rows, or of the columns whose upper bound it is. A GPU more is one that idles at nothing."""

PROMISES = frozenset(
    {
        "job.finishes",
        "minimum_run.goes_on",
        "maintenance.happens",
        "liquid_loop.takes_heat",
        "reserve.keeps",
        "grid.one_way",
        "genset.runs_on",
        "whole.owes_nothing",
    }
)
"""Families of rows that a breach relaxes and that are no limit: the price of a job's work is the job's own (`models.telling.why`), that of a
loop's heat its plant's, that of one way at the grid its two limits'; a minimum run that began before and what is whole have none.
"""

ALSO = {
    "reserve_down.grid_takes": "grid.limits",
    "reserve_down.event_takes": "grid.event",
    "reserve_down.feeder_takes": "feeder.carries",
    "reserve_down.feeder_takes_worst": "feeder.carries_worst",
    "reserve_down.feed_takes": "feed.limits",
    "reserve_down.group_takes": "redundancy.survives",
    "reserve_down.group_takes_worst": "redundancy.survives_worst",
    "reserve_down.plant_takes": "cooling_plant.heat_kw",
    "reserve_up.still_serves": "firm.serves",
}
"""Rows that a limit of another room bounds too, with that limit: a unit more of it relaxes both, and their prices add up."""


@dataclass(frozen=True)
class Marginal:
    """The price of one limit: `saved` by step, money a unit, shape (T,). `asset` is an id, None for the grid connection."""

    family: str
    asset: str | None
    saved: Floats

    @property
    def unit(self) -> str:
        """Of the limit."""
        return LIMITS[self.family].unit

    @property
    def name(self) -> str:
        """As in `feeder[ups-1].carries`."""
        return named(self.family, self.asset)

    @property
    def total(self) -> float:
        """What a unit more all through the horizon would have saved, money."""
        return float(self.saved.sum())


def named(family: str, asset: str | None) -> str:
    """A family's limit on one asset, as in `feeder[ups-1].carries`."""
    room, limit = family.split(".")
    return family if asset is None else f"{room}[{asset}].{limit}"


@dataclass(frozen=True)
class Member:
    """Where a row or a column belongs: `family` as in `LIMITS`, the id of its asset, its step, and its block's own index."""

    family: str
    asset: str | None
    step: int | None
    key: Any


BY_WORKLOAD = frozenset({"workload", "firm", "budget", "job", "start", "pause", "minimum_run", "stops"})
"""Blocks whose rows and columns begin their index with a workload."""


def member_of(problem: Problem, place: Place) -> Member:
    """Where a row or a column belongs."""
    block, index = place.component.parent_block(), place.index
    room = block.parent_component().local_name
    places = index if isinstance(index, tuple) else (index,)
    family = f"{room}.{place.component.local_name}"
    if family in ALSO:
        key = places[0] if len(places) > 1 else None
        limit = ALSO[family]
        asset = problem.workloads[places[0]].id if limit.partition(".")[0] in BY_WORKLOAD else key
        return Member(limit, asset, places[-1], key)
    key = places[0] if room in BY_WORKLOAD else block.index()
    step = places[-1] if room not in BY_WORKLOAD or len(places) > 1 else None
    asset = problem.workloads[key].id if room in BY_WORKLOAD else key
    return Member(family, asset, step, key)


def _is_limit(component: Any) -> bool:
    """Whether the upper bounds of a Var are limits."""
    return f"{component.parent_block().parent_component().local_name}.{component.local_name}" in LIMITS


def scale_of(problem: Problem, member: Member) -> float:
    """What a unit of the limit adds to the right-hand side of `member`."""
    scale = LIMITS[member.family].scale
    return 1.0 if scale is None or member.step is None else scale(problem, member.key, member.step)


def marginal_prices(problem: Problem, session: Session, solved: Solved) -> tuple[Marginal, ...]:
    """The price of every limit that binds at `solved`, an optimum of `session`."""
    found: dict[tuple[str, str | None], Floats] = {}

    def gain(place: Place, unit_price: float) -> None:
        member = member_of(problem, place)
        if member.family in LIMITS and unit_price > SMALL:
            saved = found.setdefault((member.family, member.asset), np.zeros(len(problem.horizon)))
            saved[-1 if member.step is None else member.step] += scale_of(problem, member) * unit_price

    below = np.isinf(session.row_lower)
    for i in np.flatnonzero(np.abs(solved.row_dual) > SMALL).tolist():
        if (place := session.row_place(i)) is not None:
            gain(place, float(-solved.row_dual[i] if below[i] else solved.row_dual[i]))
    reduced = session.reduced(solved)
    priced = (reduced < -SMALL) & (session.compiled.upper == session.upper)
    for first, last in session.compiled.spans(_is_limit):
        for j in (first + np.flatnonzero(priced[first:last])).tolist():
            gain(session.column_place(j), float(-reduced[j]))
    return tuple(Marginal(family, asset, saved) for (family, asset), saved in found.items())
