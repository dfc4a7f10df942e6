"""Remedy: what more of one limit for a while would have saved, from solving again.

    without = the optimum where the limit does not hold in the steps first..last
    more    = max over those steps of what `without` goes beyond the limit by           in the limit's unit
    saved   = cost - cost of without                                                    as much as `more` of the limit would save

`without` keeps the limit raised by `more`, which allows no more than none at all, so `saved` is the saving of exactly `more`,
however large it is; a dual would hold for a small change only. The program is the one before gangs are settled and anything is
rounded, breaches at their prices.

| symbol  | name                                                                              | unit       |
|---------|-----------------------------------------------------------------------------------|------------|
| saved   | money, the prices of what breaks plant or grid left out, for they are none        | money      |
| eased   | how much less is broken of each tier, as in `models.solving.tiers`; of contracts, work    | kWh, GPU h |
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.breach import CONTRACT, TIERS, TINY
from models.horizon import Floats
from models.problem import Problem
from models.site import declare
from models.solving.attempt import SolverOf
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Solved
from models.solving.session import Session
from models.solving.solver import Solver
from models.solving.tiers import breach_columns
from models.telling.marginal import LIMITS, Marginal, marginal_prices, member_of, scale_of


@dataclass(frozen=True)
class Remedy:
    """`more` of a limit in the steps `first` to `last` would have saved `saved` money and eased what is broken, by tier.

    `share` is `more` by the limit itself; `running` the GPUs of each workload by step then, shape (W, T).
    """

    family: str
    asset: str | None
    first: int
    last: int
    more: float
    share: float
    saved: float
    eased: Mapping[str, float]
    running: Floats


class WhatIf:
    """Solves one problem again and again with a limit less, `budget_s` seconds each time; None where that was too short.

    `base` is the optimum with every limit, `running` the GPUs of each workload by step in it, shape (W, T).
    """

    def __init__(self, problem: Problem, budget_s: float, solver_of: SolverOf = Solver) -> None:
        self._problem, self._budget_s = problem, budget_s
        self._session = Session(declare(problem), solver_of)
        self._rows: dict[tuple[str, str | None], list[tuple[int, int, float]]] = defaultdict(list)
        self._columns: dict[tuple[str, str | None], list[tuple[int, int, float]]] = defaultdict(list)
        rows, columns = self._session.shape
        for into, place_of, many in ((self._rows, self._session.compiled.row_place, rows), (self._columns, self._session.column_place, columns)):
            for i in range(many):
                member = member_of(problem, place_of(i))
                if member.family in LIMITS and member.step is not None:
                    into[member.family, member.asset].append((i, member.step, scale_of(problem, member)))
        self._tiers = self._weights()
        self.base = self._solve()
        self.running = self._running()

    @property
    def marginal(self) -> tuple[Marginal, ...]:
        """The limits that bind and their prices."""
        return () if self.base is None else marginal_prices(self._problem, self._session, self.base)

    def without(self, limit: Marginal, around: range) -> Remedy | None:
        """What a limit costs in the stretch of steps in which it binds and saves most, of those that meet `around`."""
        stretches = [(a, b) for a, b in _stretches(limit.saved > 0) if a < around.stop and b >= around.start]
        if self.base is None or not stretches:
            return None
        first, last = max(stretches, key=lambda ends: float(limit.saved[ends[0] : ends[1] + 1].sum()))
        key = limit.family, limit.asset
        rows = [(i, scale) for i, t, scale in self._rows[key] if first <= t <= last]
        columns = [(j, scale) for j, t, scale in self._columns[key] if first <= t <= last]
        at, js = [i for i, _ in rows], [j for j, _ in columns]
        lower, upper, most = self._session.row_lower[at].copy(), self._session.row_upper[at].copy(), self._session.upper[js].copy()
        least = self._session.compiled.lower[js]
        self._session.rebound(at, np.full(len(at), -np.inf), np.full(len(at), np.inf))
        self._session.bound_columns(js, least, np.full(len(js), np.inf))
        then = self._solve()
        running = self._running()
        self._session.rebound(at, lower, upper)
        self._session.bound_columns(js, least, most)
        if then is None:
            return None
        activity = self._session.matrix[at] @ then.x
        beyond = np.r_[np.fmax(activity - upper, lower - activity), then.x[js] - most]
        scale = np.array([scale for _, scale in rows + columns])
        bound = np.abs(np.r_[np.where(np.isfinite(upper), upper, lower), most])
        more = float((beyond / scale).max())
        if more <= TINY:
            return None
        eased = {name: float(weights @ (self.base.x - then.x)) for name, _, weights in self._tiers}
        broken = sum(price * eased[name] for name, price, _ in self._tiers if name != CONTRACT.name)
        share = more / max(float((bound / scale).max()), TINY)
        saved = self.base.objective - then.objective - broken
        return Remedy(*key, first, last, more, share, saved, {name: x for name, x in eased.items() if abs(x) > TINY}, running)

    def _solve(self) -> Solved | None:
        outcome = solve_with_ladders(self._session, time.perf_counter() + self._budget_s)
        return outcome if isinstance(outcome, Solved) else None

    def _running(self) -> Floats:
        return self._session.values(self._session.model.workload.gpus)[:, 0]

    def _weights(self) -> list[tuple[str, float, Floats]]:
        """Name, price and the weight of each column in the amount of a tier."""
        found = []
        for tier in TIERS:
            weights = np.zeros(self._session.shape[1])
            columns = breach_columns(self._session, tier.families)
            weights[columns] = 1.0 if tier is CONTRACT else self._session.cost[columns] / tier.price
            found.append((tier.name, tier.price, weights))
        return found


def later_deadline(problem: Problem, w: int, hours: float, budget_s: float) -> float | None:
    """What a deadline `hours` later of job `w` would have saved, its penalty counted, money; None where time was too short."""
    i = w - len(problem.firms)
    job = replace(problem.jobs[i], deadline_h=problem.jobs[i].deadline_h + hours)
    one, other = (WhatIf(p, budget_s).base for p in (problem, replace(problem, jobs=(*problem.jobs[:i], job, *problem.jobs[i + 1 :]))))
    return None if one is None or other is None else one.objective - other.objective


def _stretches(binds: np.ndarray[Any, np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.diff(np.r_[0, binds.astype(int), 0])
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))
