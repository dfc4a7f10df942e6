"""Cold: a hall that is colder than its supply is cooled by nothing.

The program may remove a little heat from a hall that is below what its supply and that heat leave (`models.heat.approach`). Wherever a
solution does,

    temperature[t] - approach * removed[t] >= supply[t]      if it would be above its supply by itself, with nothing removed in the step
    removed[t] = 0                                           otherwise

and the program is solved again, until nothing is left between. By itself a hall may be warm through work that is then done elsewhere or
later; where no point is left, nothing is removed from any of these halls, which always has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving.outcome import Infeasible, Outcome
from models.solving.session import Session
from models.sparse import sp


class Cold(NamedTuple):
    """A hall that is cooled too far in a step: the variable of what is removed, the row that `least_c` bounds, and if it is warm by itself."""

    hall: str
    step: int
    removed_kw: Any
    row: sp.csr_matrix
    least_c: float
    is_warm: bool


class ColdHalls:
    """The halls of `problem` in `session`; what is asked of them stays in force until it is lifted."""

    def __init__(self, session: Session, problem: Problem) -> None:
        self._session, self._problem = session, problem
        self._alone: list[Any] = []
        self._rows: list[int] = []

    def cooled(self, supply_c: Mapping[str, Floats]) -> list[Cold]:
        """Where the solution in the session cools a hall too far for its supply, which has shape (T,) and is told by plant."""
        session, found = self._session, []
        points = {c.id: c.set_point for c in self._problem.cooling_plants if c.set_point is not None}
        for zone in self._problem.supplied_halls:
            plant, block = str(zone.cooling_plant), session.model.hall[zone.id]
            reached_c, removed_kw = session.values(block.temperature_c), session.values(block.removed_kw)
            by_itself_c = reached_c + (1 - zone.memory(self._problem.horizon.h)) * zone.resistance_k_per_kw * removed_kw
            approach_k = points[plant].approach_k_per_kw
            lacks_k = supply_c[plant] + approach_k * removed_kw - reached_c
            for t in np.flatnonzero((removed_kw > TINY) & (lacks_k > TINY)).tolist():
                row = session.row([(block.temperature_c[t], 1.0), (block.removed_kw[t], -approach_k)])
                least_c = float(supply_c[plant][t])
                found.append(Cold(zone.id, t, block.removed_kw[t], row, least_c, bool(by_itself_c[t] > least_c + TINY)))
        return found

    def solve(self, found: list[Cold], solve: Callable[[], Outcome]) -> Outcome:
        """`solve` with each of `found` on its side."""
        warm = [each for each in found if each.is_warm]
        self._remove_nothing([each.removed_kw for each in found if not each.is_warm])
        if not warm:
            return solve()
        rows = self._session.add_rows(sp.vstack([each.row for each in warm], format="csr"), [each.least_c for each in warm])
        self._rows += rows
        outcome = solve()
        if isinstance(outcome, Infeasible):
            self._session.rebound(rows, [-np.inf] * len(rows), [np.inf] * len(rows))
            self._remove_nothing([each.removed_kw for each in warm])
            outcome = solve()
        return outcome

    def lift(self) -> None:
        """Ask nothing any more."""
        self._session.bound(self._alone, [0.0] * len(self._alone), [np.inf] * len(self._alone))
        self._session.rebound(self._rows, [-np.inf] * len(self._rows), [np.inf] * len(self._rows))
        self._alone, self._rows = [], []

    def _remove_nothing(self, removed_kw: list[Any]) -> None:
        self._session.fix(removed_kw, [0.0] * len(removed_kw))
        self._alone += removed_kw
