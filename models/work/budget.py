"""Budget: hours in which a contract may run slow.

    work[w,t] + (1 - 1 / slowdown[w]) * demand[w,t] * slow_h[w,t] >= demand[w,t] * h[t]     promises
    sum of slow_h[w,t] over the steps of the window that ends with u <= left_h[w,u] + over_budget_h[w,u]     spends

| symbol        | name                                                          | unit  |
|---------------|---------------------------------------------------------------|-------|
| slowdown      | how many times slower the contract may run, at most           | 1     |
| demand        | GPUs that must run                                            | GPUs  |
| slow_h        | hours used up: one at the greatest slow-down, half of one     | h     |
|               | where half as much speed is withheld                          |       |
| left_h        | hours not yet used of the window, such as a calendar day;     | h     |
|               | a window with hours without end has no row                    |       |
| over_budget_h | breach: hours above those that are left                       | h     |

Full speed is promised, and what is withheld of it is counted. Below 1 / slowdown lies the contract's floor, which is `firm.serves`;
`slow_h` has no upper bound, so that `promises` can always be kept. A window that begins inside the horizon has all its hours
left, also one that ends after it.

Cost: credit * demand * slow_h + over_budget * its price.
Source: the f-SLA ladder of GridPilot (MIT), windows, greatest slow-downs and credits by tier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats
from models.work.workload import work_gpu_h


@dataclass(frozen=True)
class Budget:
    """`left_h` of each window, with the last step of each in `ends`, in their order; the last window ends with the horizon.

    `credit_per_gpu_h` is paid for a GPU in an hour at the greatest slow-down, `over_price_per_h` for the whole contract.
    """

    greatest_slowdown: float
    ends: tuple[int, ...]
    left_h: tuple[float, ...]
    credit_per_gpu_h: float = 0.0
    over_price_per_h: float = 0.0

    @property
    def withheld(self) -> float:
        """Share of full speed that the greatest slow-down withholds."""
        return 1 - 1 / self.greatest_slowdown

    def windows(self) -> list[range]:
        """The steps of each window."""
        starts = (0, *(end + 1 for end in self.ends[:-1]))
        return [range(start, end + 1) for start, end in zip(starts, self.ends, strict=True)]

    def slow_h(self, demand: Floats, work_gpu_h: Floats, h: Floats) -> Floats:
        """Hours used up in each step in which `work_gpu_h` is done on `demand` GPUs, shape (T,)."""
        short_gpu_h = np.maximum(demand * h - work_gpu_h, 0.0)
        return np.divide(short_gpu_h, self.withheld * demand, out=np.zeros(len(h)), where=demand > 0)

    def over_h(self, slow_h: Floats) -> Floats:
        """Hours above those that are left, each in the step that took it, shape (T,)."""
        over = np.zeros(len(slow_h))
        for steps, left_h in zip(self.windows(), self.left_h, strict=True):
            above = np.maximum(np.cumsum(slow_h[steps.start : steps.stop]) - left_h, 0.0)
            over[steps.start : steps.stop] = np.diff(above, prepend=0.0)
        return over


def add(block: Any, budgets: Mapping[int, Budget], workloads: Any, demand: Any) -> None:
    """Declare the rows of `budgets` (by workload index) on `block`.

    `workloads` is the block that holds `gpus`, `demand[w, t]` the GPUs that must run.
    """
    left = {(w, u): hours for w, budget in budgets.items() for u, hours in zip(budget.ends, budget.left_h, strict=True) if np.isfinite(hours)}
    spent = {(w, steps[-1]): steps for w, budget in budgets.items() for steps in budget.windows() if (w, steps[-1]) in left}
    wanted = [(w, t) for w in budgets for t in workloads.STEPS if pyo.value(demand[w, t]) > 0]
    block.LIMITED = pyo.Set(initialize=list(budgets))
    block.DEMANDED = pyo.Set(dimen=2, initialize=wanted)
    block.WINDOWS = pyo.Set(dimen=2, initialize=list(spent))
    block.SPENT = pyo.Set(block.WINDOWS, initialize={(w, u): [t for t in steps if (w, t) in block.DEMANDED] for (w, u), steps in spent.items()})
    block.demand = pyo.Param(block.DEMANDED, initialize={(w, t): pyo.value(demand[w, t]) for w, t in wanted})
    block.left_h = pyo.Param(block.WINDOWS, initialize=left)
    block.withheld = pyo.Param(block.LIMITED, initialize={w: budget.withheld for w, budget in budgets.items()})
    block.credit = pyo.Param(block.LIMITED, initialize={w: budget.credit_per_gpu_h for w, budget in budgets.items()})
    block.over_price = pyo.Param(block.LIMITED, initialize={w: budget.over_price_per_h for w, budget in budgets.items()})

    block.slow_h = pyo.Var(block.DEMANDED, bounds=(0, None), dense=False)
    block.over_budget_h = pyo.Var(block.WINDOWS, bounds=(0, None), dense=False)

    @block.Constraint(block.DEMANDED)
    def promises(b: Any, w: int, t: int) -> Any:
        counted = b.withheld[w] * b.demand[w, t] * b.slow_h[w, t]
        return work_gpu_h(workloads, w, t) + counted >= b.demand[w, t] * workloads.h[t]

    @block.Constraint(block.WINDOWS)
    def spends(b: Any, w: int, u: int) -> Any:
        return sum(b.slow_h[w, t] for t in b.SPENT[w, u]) <= b.left_h[w, u] + b.over_budget_h[w, u]


def cost(block: Any) -> Any:
    """Money for credits, and for hours over the budget."""
    return sum(block.credit[w] * block.demand[w, t] * block.slow_h[w, t] for w, t in block.DEMANDED) + sum(
        block.over_price[w] * block.over_budget_h[w, u] for w, u in block.WINDOWS
    )


def bill(budgets: Sequence[Budget | None], demand: Floats, work_gpu_h: Floats, h: Floats) -> Bill:
    """What contracts are owed in credits, and how far over their budgets they are; empty where none has one.

    `demand` and `work_gpu_h` have shape (F, T), as the breach does.
    """
    credit = over_price = 0.0
    over_h = np.zeros_like(demand)
    for i, budget in enumerate(budgets):
        if budget is not None:
            slow_h = budget.slow_h(demand[i], work_gpu_h[i], h)
            over_h[i] = budget.over_h(slow_h)
            credit += budget.credit_per_gpu_h * float(demand[i] @ slow_h)
            over_price += budget.over_price_per_h * float(over_h[i].sum())
    if all(budget is None for budget in budgets):
        return Bill()
    return Bill({"credit": credit, "over_budget_h": over_price}, {"over_budget_h": over_h})
