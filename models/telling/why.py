"""Why: what one more GPU in a step would cost, taken apart by what makes it dear.

With y the duals and r the reduced costs of an optimum, every direction d of the columns has

    r'd = c'd - y'Ad

Let d be what one more GPU on a rung draws: its pool draws more, its hall is cooled by as much more, the feeders above carry it and
the meter shows it, while batteries and temperatures stay as they are. Each balance is kept by the variable it defines, so

    r[gpus] = sum_v c[v] d[v]            energy at its price, the delay of a job, the value of a rental
            - sum_i y[i] (Ad)[i]         each limit that binds, and the promise that the GPU helps to keep
            - sum_v r[v] d[v]            each variable on the way that stands at a bound of its own

which is exact, whatever the rows. Nothing waits where r < 0 unless it was fixed (`models.solving.settle`); where r > 0 it does.

| symbol | name                                                                  | unit           |
|--------|-----------------------------------------------------------------------|----------------|
| r      | what one more GPU on the rung would cost in all                       | money/GPU      |
| y      | dual of a row                                                         | money/unit     |
| d      | what follows it, by column; found through `DEFINES` and `CURVES`      | unit/GPU       |

Source: reduced costs and complementary slackness of linear programming, as in Bertsimas and Tsitsiklis (1997), chapter 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from models.problem import Problem
from models.solving.outcome import Solved
from models.solving.session import Session
from models.telling.absence import Absence, absences
from models.telling.marginal import LIMITS, SMALL, Marginal, Member, marginal_prices, member_of, scale_of
from models.work.job import Job

DEFINES = {
    "pool.draws": "draw_kw",
    "pool.could_draw": "worst_kw",
    "hall.warms_first": "removed_kw",
    "hall.warms": "removed_kw",
    "liquid_loop.takes_heat": "removed_kw",
    "cooling_plant.has_capacity": "heat_kw",
    "feeder.sums": "load_kw",
    "feeder.nets": "drawn_kw",
    "feeder.loses": "load_kw",
    "feeder.sums_worst": "worst_kw",
    "grid.meters": "import_kw",
    "uncertainty.adds": "margin_kw",
}
"""The balances that a GPU's power runs through, and the variable of the same block that keeps each."""

CURVES = {"cooling_plant.removes_heat": "power_kw", "cooling_plant.burns_no_more": "power_kw"}
"""Families of cuts that define a variable together: it follows them in proportion to their duals."""

SETTLED = "settled"
"""Rows added while solving: ladders, curves that are kept to, the order of breaches."""


class Cause(NamedTuple):
    """A row or a column that makes a GPU dearer: `family` as in `models.telling.marginal.LIMITS`, id of its asset, step."""

    family: str
    asset: str | None = None
    step: int | None = None


Costs = Mapping[Cause, float]
"""Money by cause; negative where it makes cheaper."""


class Why:
    """Takes the costs of GPUs apart at `solved`, an optimum of `session` over `model`, which lives as long as this does."""

    def __init__(self, problem: Problem, session: Session, solved: Solved) -> None:
        model = session.model
        rows = len(solved.row_dual)
        self._problem, self._model, self._session, self._solved = problem, model, session, solved
        self._gpus = session.columns(model.workload.gpus)
        self._by_row = session.matrix[:rows]
        self._by_column = self._by_row.tocsc()
        self._cost, self._dual, self._reduced, self._x = session.cost, solved.row_dual, session.reduced(solved), solved.x
        self._lower, self._upper = session.row_lower[:rows].copy(), session.row_upper[:rows].copy()
        self._kept: dict[int, dict[Cause, float]] = {}
        self._members: dict[int, Member | None] = {}
        self._ends: dict[int, tuple[int, float] | None] = {}
        self._limits: dict[Cause, float] = {}

    def forget(self) -> None:
        """Let go of the program, in which most of a plan's memory lies; nothing can be taken apart after that."""
        del self._model, self._session, self._solved, self._gpus, self._by_row, self._by_column

    @cached_property
    def marginal(self) -> tuple[Marginal, ...]:
        """The prices of the limits that bind; what was asked for once is kept."""
        return marginal_prices(self._problem, self._session, self._solved)

    @cached_property
    def absences(self) -> Mapping[str, Absence]:
        """What GPUs that are not there would cost, by pool; what was asked for once is kept."""
        return absences(self._problem, self._session, self._solved)

    def gpu(self, w: int, k: int, t: int) -> Costs:
        """What one more GPU of workload `w` on rung `k` costs in step `t`, money; {} where it has no column there."""
        return self._costs(self._column(w, k, t), root=True) if self._has(w, k, t) else {}

    def reduced(self, w: int, k: int, t: int) -> float:
        """The sum of `gpu`, from the matrix, money."""
        return float(self._reduced[self._column(w, k, t)])

    def hour(self, w: int, t: int) -> Costs:
        """What a GPU hour of job `w` costs in step `t` at its most efficient point, without what it is worth; money/GPU h."""
        done = float(self._problem.horizon.h[t] * self._problem.cells.ladder(w, t).speed[0])
        return {cause: money / done for cause, money in self.gpu(w, 0, t).items() if cause.family != "job.finishes"}

    def worth(self, w: int) -> float:
        """What a GPU hour less of job `w` would have saved, money/GPU h: the dearest hour it uses, or what leaving it costs."""
        for t in np.flatnonzero(self._problem.cells.share[w]).tolist():
            promise = [money for cause, money in self.gpu(w, 0, t).items() if cause.family == "job.finishes"]
            if promise:
                return -promise[0] / float(self._problem.horizon.h[t] * self._problem.cells.ladder(w, t).speed[0])
        return 0.0

    def window(self, w: int) -> Costs:
        """What stands in the way of job `w`: `hour` without its step, summed over the GPU hours of its window, money."""
        job, found = self._problem.workloads[w], defaultdict[Cause, float](float)
        assert isinstance(job, Job)
        for t in np.flatnonzero(self._problem.cells.share[w]).tolist():
            hours = job.gpus * float(self._problem.cells.share[w, t] * self._problem.horizon.h[t])
            for cause, money in self.hour(w, t).items():
                found[cause._replace(step=None)] += hours * money
        return dict(found)

    def raising(self, workloads: Iterable[int], t: int) -> Costs:
        """What raising every GPU of `workloads` that could be raised costs in step `t`, by limit, money: who keeps caps low."""
        found = defaultdict[Cause, float](float)
        for w in workloads:
            rungs = [float(self._x[self._column(w, k, t)]) for k in range(len(self._problem.cells.ladder(w, t))) if self._has(w, k, t)]
            for k in range(1, len(rungs)):
                room = max(0.0, rungs[k - 1] - rungs[k])
                for cause, money in self.gpu(w, k, t).items() if room > SMALL else ():
                    found[cause] += room * money
        return {cause: money for cause, money in found.items() if cause.family in LIMITS and money > SMALL}

    def limit(self, cause: Cause) -> float | None:
        """The limit's own amount, in its unit, None where `cause` is none."""
        return self._limits.get(cause)

    def _has(self, w: int, k: int, t: int) -> bool:
        return bool(self._gpus[w, k, t] >= 0)

    def _column(self, w: int, k: int, t: int) -> int:
        return int(self._gpus[w, k, t])

    def _costs(self, j: int, *, root: bool = False) -> dict[Cause, float]:
        """What a unit more of column `j` costs with all that follows from it."""
        if j in self._kept:
            return self._kept[j]
        place = self._session.column_place(j)
        found = defaultdict[Cause, float](float)
        own = self._cost[j] if root else self._cost[j] - self._reduced[j]
        if abs(own) > SMALL:
            self._add(found, member_of(self._problem, place), float(own), float(self._session.compiled.upper[j]))
        cut: dict[int, float] = defaultdict(float)
        start, end = self._by_column.indptr[j : j + 2]
        for i, a in zip(self._by_column.indices[start:end].tolist(), self._by_column.data[start:end].tolist(), strict=True):
            member = self._row(i)
            followed = None if member is None else self._followed(i, member)
            if followed is not None and followed[0] == j:
                continue
            if member is not None and followed is not None:
                if member.family in CURVES:
                    cut[followed[0]] += float(self._dual[i]) * a
                else:
                    self._follow(found, followed[0], -a / followed[1])
            elif abs(self._dual[i]) > SMALL:
                bound = self._upper[i] if np.isinf(self._lower[i]) else self._lower[i]
                self._add(found, member, -float(self._dual[i]) * a, bound)
        for curve, price in cut.items():
            if abs(whole := self._cut(curve)) > SMALL:
                self._follow(found, curve, -price / whole)
        self._kept[j] = dict(found)
        return self._kept[j]

    def _cut(self, j: int) -> float:
        """The price that the cuts which define column `j` put on it together."""
        start, end = self._by_column.indptr[j : j + 2]
        price = 0.0
        for i in self._by_column.indices[start:end].tolist():
            member = self._row(i)
            if member is not None and member.family in CURVES and (followed := self._followed(i, member)) and followed[0] == j:
                price += float(self._dual[i]) * followed[1]
        return price

    def _follow(self, found: dict[Cause, float], j: int, by: float) -> None:
        for cause, money in self._costs(j).items():
            found[cause] += by * money

    def _add(self, found: dict[Cause, float], member: Member | None, money: float, bound: float) -> None:
        cause = Cause(SETTLED) if member is None else Cause(member.family, member.asset, member.step)
        found[cause] += money
        if member is not None and member.family in LIMITS and np.isfinite(bound):
            self._limits[cause] = float(bound) / scale_of(self._problem, member)

    def _row(self, i: int) -> Member | None:
        if i not in self._members:
            place = self._session.row_place(i)
            self._members[i] = None if place is None else member_of(self._problem, place)
        return self._members[i]

    def _followed(self, i: int, member: Member) -> tuple[int, float] | None:
        """The column that row `i` defines and its coefficient, None where it defines none."""
        if i not in self._ends:
            self._ends[i] = self._found(i, DEFINES.get(member.family) or CURVES.get(member.family))
        return self._ends[i]

    def _found(self, i: int, name: str | None) -> tuple[int, float] | None:
        place = self._session.row_place(i)
        start, end = self._by_row.indptr[i : i + 2] if name else (0, 0)
        for j, a in zip(self._by_row.indices[start:end].tolist(), self._by_row.data[start:end].tolist(), strict=True):
            var = self._session.column_place(int(j)).component
            if place is not None and var.local_name == name and var.parent_block() is place.component.parent_block():
                return int(j), float(a)
        return None


def largest(costs: Costs) -> tuple[Cause, float] | None:
    """The cause that costs most, None where nothing does."""
    return max(costs.items(), key=lambda item: item[1], default=None)
