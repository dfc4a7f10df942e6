"""Firm workload: a rental or a service that must run now.

    gpus[w,0,t] = demand[w,t]                                runs (a pausable one: at most its demand, by the bound)
    work[w,t] + short[w,t] >= floor[w] * demand[w,t] * h[t]  serves

| symbol | name                                        | unit  |
|--------|---------------------------------------------|-------|
| demand | GPUs that are needed; a rental's are all    | GPUs  |
| floor  | mean relative speed that is promised        | 1     |
| short  | breach: work short of the floor             | GPU h |

What a service's demand leaves of its GPUs stands idle, kept for it, or is there for jobs where the contract releases it. A rental that
begins or ends among the steps has its GPUs in those that it touches.

Cost: short * penalty - work * value, for the value of the work delivered is what capping it gives away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import CONTRACT, Bill
from models.horizon import Floats, Horizon
from models.work.budget import Budget
from models.work.workload import Workload, work_gpu_h


@dataclass(frozen=True)
class Firm(Workload):
    """`demand` of its `gpus` run at a mean relative speed of at least `floor_speed`; money per GPU hour at speed 1.

    `rented` is how many of its GPUs are its own in each step, empty: all, always; `demand` is how many of those must run, empty: all. One
    that `releases_idle` lets jobs use the others.
    """

    floor_speed: float = 0.0
    value_per_gpu_h: float = 0.0
    short_price_per_gpu_h: float = CONTRACT.price
    weight: float = 0.0
    pausable: bool = False
    demand: tuple[int, ...] = ()
    rented: tuple[int, ...] = ()
    releases_idle: bool = False
    budget: Budget | None = None

    @property
    def may_pause(self) -> bool:
        """Only where the contract says so."""
        return self.pausable

    def window(self, horizon: Horizon) -> Floats:
        """Share of its GPUs that is demanded in each step, shape (T,)."""
        return self.demanded(len(horizon)) / self.gpus

    def demanded(self, steps: int) -> Floats:
        """GPUs demanded in each step, shape (T,)."""
        return np.minimum(self.demand or self.gpus, self._rented(steps))

    def idle_kept(self, steps: int) -> Floats:
        """GPUs that stand idle in each step and are for nobody else, shape (T,)."""
        return np.zeros(steps) if self.pausable or self.releases_idle else self._rented(steps) - self.demanded(steps)

    def _rented(self, steps: int) -> Floats:
        return np.array(self.rented or (self.gpus,) * steps, float)


def add(block: Any, firms: dict[int, Firm], workloads: Any) -> None:
    """Declare the rows of `firms` (by workload index) on `block`; `workloads` is the block that holds `gpus`."""
    block.FIRMS = pyo.Set(initialize=list(firms))
    block.MUST_RUN = pyo.Set(initialize=[w for w, firm in firms.items() if not firm.pausable])
    block.PROMISED = pyo.Set(initialize=[w for w, firm in firms.items() if firm.floor_speed > 0])
    steps = len(workloads.STEPS)
    block.demand = pyo.Param(
        block.FIRMS,
        workloads.STEPS,
        initialize={(w, t): gpus for w, firm in firms.items() for t, gpus in enumerate(firm.demanded(steps).tolist())},
    )
    block.floor_speed = pyo.Param(block.FIRMS, initialize={w: firm.floor_speed for w, firm in firms.items()})
    block.value = pyo.Param(block.FIRMS, initialize={w: firm.value_per_gpu_h for w, firm in firms.items()})
    block.short_price = pyo.Param(block.FIRMS, initialize={w: firm.short_price_per_gpu_h for w, firm in firms.items()})

    block.short_gpu_h = pyo.Var(block.PROMISED, workloads.STEPS, bounds=(0, None), dense=False)

    @block.Constraint(block.MUST_RUN, workloads.STEPS)
    def runs(_b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] == workloads.size[w] * workloads.share[w, t]

    @block.Constraint(block.PROMISED, workloads.STEPS)
    def serves(b: Any, w: int, t: int) -> Any:
        promised = b.floor_speed[w] * b.demand[w, t] * workloads.h[t]
        return work_gpu_h(workloads, w, t) + b.short_gpu_h[w, t] >= promised


def cost(block: Any, workloads: Any) -> Any:
    """Money for work short of the floor, less the value of the work delivered."""
    if not len(block.FIRMS):
        return 0.0
    return sum(block.short_price[w] * block.short_gpu_h[w, t] for w in block.PROMISED for t in workloads.STEPS) - sum(
        block.value[w] * work_gpu_h(workloads, w, t) for w in block.FIRMS for t in workloads.WINDOW[w]
    )


def bill(firms: Sequence[Firm], work_gpu_h: Floats, h: Floats) -> Bill:
    """What `firms` earn and fall short of where `work_gpu_h`, shape (F, T), is done in steps of `h` hours."""
    promised = np.array([f.floor_speed * f.demanded(len(h)) for f in firms]).reshape(len(firms), len(h)) * h
    short = np.maximum(promised - work_gpu_h, 0.0)
    return Bill(
        {
            "value": -float(sum(f.value_per_gpu_h * work.sum() for f, work in zip(firms, work_gpu_h, strict=True))),
            "short_gpu_h": float(sum(f.short_price_per_gpu_h * gpu_h.sum() for f, gpu_h in zip(firms, short, strict=True))),
        },
        {"short_gpu_h": short},
    )
