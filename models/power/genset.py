"""Genset: power from fuel, on or off.

    power_kw[t] <= most * on[t]                                                        runs_most
    power_kw[t] >= least * on[t]                                                       runs_least
    start[t] >= on[t] - on[t-1]                                                        starts
    start[0] >= on[0] - (1 where it runs already)                                      starts_first
    sum of start[s] over the steps s that began less than the minimum run before t, and t itself <= on[t]      keeps_on
    h[t] * on[t] + stopped_early_h[t] >= h[t]                                          runs_on (while its minimum run lasts)
    sum_t h[t] * on[t] <= hours left                                                   keeps_hours

`on` and `start` lie in [0, 1]; whole they are exact. `models.solving.settle` makes them so before anything is sent, and `whole` names
them to a solver that can. `keeps_hours` needs no slack: a genset may always stay off. One that runs already has `still_h` of its
minimum run left, as far as its hours last; a site that can no longer take its least load stops it all the same, which is a
breach in the tier of contracts: the limits of gear and grid stand before a habit of upkeep. It lowers the expected load of its
feeder, and may flow back up the tree; it never lowers the worst case, for it may fail.

| symbol          | name                                            | unit |
|-----------------|-------------------------------------------------|------|
| power           | given to the feeder                             | kW   |
| on              | share of the step that it runs                  | 1    |
| start           | starts at the beginning of the step             | 1    |
| least           | its minimum load, while it runs                 | kW   |
| hours left      | what a permit leaves of the year's hours        | h    |
| stopped_early_h | breach: hours that its minimum run lacks        | h    |

Cost: fuel per kWh given, money per start, and the price of the breach. What it burns counts in `models.grid.carbon`.
Source: unit commitment as in Morales-España et al., IEEE Trans. Power Systems 28(4), 2013, without ramps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import CONTRACT, TINY, Bill
from models.horizon import Floats, Horizon
from models.table import table

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Genset:
    """Gives between `least_kw` (above zero) and `most_kw` while it runs; `hours_left` None: as many as it likes.

    Money per kWh given and per start; grams of CO2 per kWh given. `is_on`: it runs already, and is to for `still_h` more.
    """

    id: str
    feeder: str
    least_kw: float
    most_kw: float
    fuel_price_per_kwh: float
    start_price: float = 0.0
    min_run_h: float = 0.0
    hours_left: float | None = None
    carbon_g_per_kwh: float = 0.0
    is_on: bool = False
    still_h: float = 0.0

    def runs_on(self, horizon: Horizon) -> list[int]:
        """The steps that begin before the minimum run of one that runs already is over, as far as its hours last."""
        most_h = np.inf if self.hours_left is None else self.hours_left
        return np.flatnonzero((horizon.starts < self.still_h - TINY) & (horizon.ends <= most_h + TINY)).tolist() if self.is_on else []

    def burnt_kg(self, horizon: Horizon, power_kw: Floats) -> Floats:
        """CO2 of the fuel for `power_kw`, kg in each step, shape (T,)."""
        return self.carbon_g_per_kwh / 1000 * horizon.h * power_kw

    def obliged(self, horizon: Horizon) -> dict[int, list[int]]:
        """The steps whose start keeps it on in step t, t included, by t; only where there are earlier ones."""
        found = {}
        for t in range(1, len(horizon)):
            within = np.flatnonzero(horizon.starts[: t + 1] > horizon.starts[t] - self.min_run_h + TINY).tolist()
            if len(within) > 1:
                found[t] = within
        return found


def add(block: Any, genset: Genset, horizon: Horizon, steps: Any) -> None:
    """Declare one genset on `block`. Publishes `power_kw`."""
    obliged = genset.obliged(horizon)
    block.h = table(horizon.hours, steps)
    block.START = pyo.Set(initialize=[0])
    block.LATER = pyo.RangeSet(1, len(horizon) - 1)
    block.OBLIGED = pyo.Set(initialize=list(obliged))
    block.RECENT = pyo.Set(block.OBLIGED, initialize=obliged)
    block.LIMITED = pyo.Set(initialize=[] if genset.hours_left is None else [0])
    block.RUNNING = pyo.Set(initialize=genset.runs_on(horizon))
    block.power_kw = pyo.Var(steps, bounds=(0, genset.most_kw), dense=False)
    block.on = pyo.Var(steps, bounds=(0, 1), dense=False)
    block.start = pyo.Var(steps, bounds=(0, 1), dense=False)
    block.stopped_early_h = pyo.Var(block.RUNNING, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def runs_most(b: Any, t: int) -> Any:
        return b.power_kw[t] / genset.most_kw <= b.on[t]  # by the most, so that rows are of one size

    @block.Constraint(steps)
    def runs_least(b: Any, t: int) -> Any:
        return b.power_kw[t] / genset.most_kw >= genset.least_kw / genset.most_kw * b.on[t]

    @block.Constraint(block.START)
    def starts_first(b: Any, t: int) -> Any:
        return b.start[t] >= b.on[t] - float(genset.is_on)

    @block.Constraint(block.LATER)
    def starts(b: Any, t: int) -> Any:
        return b.start[t] >= b.on[t] - b.on[t - 1]

    @block.Constraint(block.OBLIGED)
    def keeps_on(b: Any, t: int) -> Any:
        return sum(b.start[s] for s in b.RECENT[t]) <= b.on[t]

    @block.Constraint(block.RUNNING)
    def runs_on(b: Any, t: int) -> Any:
        return b.h[t] * b.on[t] + b.stopped_early_h[t] >= b.h[t]

    @block.Constraint(block.LIMITED)
    def keeps_hours(b: Any, _: int) -> Any:
        return sum(b.h[t] * b.on[t] for t in steps) <= genset.hours_left


def cost(block: Any, genset: Genset, steps: Any) -> Any:
    """Money for fuel and starts, and for stopping too early."""
    fuel = sum(genset.fuel_price_per_kwh * block.h[t] * block.power_kw[t] + genset.start_price * block.start[t] for t in steps)
    return fuel + sum(CONTRACT.price * block.stopped_early_h[t] for t in block.RUNNING)


def burnt_kg(block: Any, genset: Genset, t: int) -> Any:
    """CO2 of its fuel in step `t`, kg."""
    return genset.carbon_g_per_kwh / 1000 * block.h[t] * block.power_kw[t]


def whole(block: Any) -> list[Any]:
    """The variables that are 0 or 1 where the genset is switched and not mixed; where they are, so is `start`."""
    return [block.on[t] for t in block.on.index_set()]


def committed(genset: Genset, runs: Bools, on: Floats, horizon: Horizon) -> Bools:
    """When it is to run: in the steps of `runs`, in more where a run is too short, in fewer where hours are few.

    Where hours are few, whole runs go, and ends of runs that stay long enough without them: those in which it is least `on` first,
    and if possible no more than the hours that are too many; what is left of a minimum run that began before stays. All shape (T,).
    """
    runs = runs.copy()
    for t, recent in genset.obliged(horizon).items():
        began = runs & ~np.append(genset.is_on, runs[:-1])
        runs[t] |= bool(began[recent].any())
    while genset.hours_left is not None and (excess_h := horizon.h @ runs - genset.hours_left) > TINY:
        free = runs.copy()
        free[genset.runs_on(horizon)] = False
        edges = np.diff(np.r_[False, free, False].astype(int))
        spans = list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))
        long_h = genset.min_run_h + float(horizon.h.max()) - TINY
        ends = [(t, t + 1) for a, z in spans if horizon.h[a:z].sum() >= long_h for t in (a, z - 1)]
        no_more = [(a, z) for a, z in (*spans, *ends) if horizon.h[a:z].sum() <= excess_h + TINY]
        first, end = min(no_more or ends or spans, key=lambda span: float(on[span[0] : span[1]].mean()))
        runs[first:end] = False
    return runs


def bill(gensets: Sequence[Genset], power_kw: Mapping[str, Floats], horizon: Horizon) -> Bill:
    """What `gensets` cost and break where they give `power_kw`, by id, shape (T,); nothing where there are none."""
    if not gensets:
        return Bill()
    early_h = np.zeros((len(gensets), len(horizon)))
    for i, g in enumerate(gensets):
        for t in g.runs_on(horizon):
            early_h[i, t] = horizon.h[t] * (power_kw[g.id][t] <= TINY)
    fuel = sum(g.fuel_price_per_kwh * float(power_kw[g.id] @ horizon.h) for g in gensets)
    running = {g.id: power_kw[g.id] > TINY for g in gensets}
    began = {g.id: running[g.id] & ~np.append(g.is_on, running[g.id][:-1]) for g in gensets}
    starts = sum(g.start_price * float(began[g.id].sum()) for g in gensets)
    early = {"stopped_early_h": CONTRACT.price * float(early_h.sum())}
    return Bill({"fuel": fuel, "starts": starts} | early, {"stopped_early_h": early_h})
