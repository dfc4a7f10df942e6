"""Remembered: the plan of a problem that was solved before, to the last bit of its numbers, is not made again.

A plan is a function of its problem. Where neither prices nor work change from one cycle to the next, nor does the plan.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from hashlib import blake2b

from facility.decide import PlanOf
from models.plan import Plan
from models.problem import Problem
from models.solving.attempt import SolverOf
from models.solving.exact import Exact
from models.solving.outcome import Infeasible, TimedOut

MOST = 64
"""Plans that are remembered, those used last."""


class Remembered:
    """As `plan_of`, which is asked for what is new. `again` counts what was not."""

    def __init__(self, plan_of: PlanOf) -> None:
        self._plan_of, self._plans = plan_of, OrderedDict[bytes, Plan]()
        self.again = 0

    def __call__(self, problem: Problem, budget_s: float, exact: Exact | None, solver_of: SolverOf) -> Plan | Infeasible | TimedOut:
        """The plan of `problem`."""
        asked = blake2b(pickle.dumps(problem)).digest()
        if (known := self._plans.pop(asked, None)) is not None:
            self.again += 1
            self._plans[asked] = known
            return known
        found = self._plan_of(problem, budget_s, exact, solver_of)
        if isinstance(found, Plan):
            found.why.forget()
            self._plans[asked] = found
            if len(self._plans) > MOST:
                self._plans.popitem(last=False)
        return found
