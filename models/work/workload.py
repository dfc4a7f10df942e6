"""Workload: GPUs that run at an operating point or higher.

    gpus[w,k,t]  GPUs of workload w at rung k or higher during step t         (a mean over the step)
    gpus[w,k,t] <= size[w] * share[w,t]                                       bounds: a job fits in its GPUs and its window
    gpus[w,k,t] <= gpus[w,k-1,t]                                              climbs: only a running GPU can be raised
    work[w,t]    = h[t] * sum_k speed_step[w,k] * gpus[w,k,t]                 published
    draw[w,t]    = sum_k draw_step[w,k] * gpus[w,k,t]                         published, over the same GPUs idling
    worst[w,t]   = sum_k cap_step[w,k] * gpus[w,k,t]                          published, over their lowest cap

| symbol        | name                                         | unit  |
|---------------|----------------------------------------------|-------|
| size          | GPUs the workload has                        | GPUs  |
| share         | part of the step inside its window, or of    | 1     |
|               | its GPUs that a service's demand takes       |       |
| speed_step    | relative speed gained by climbing to rung k  | 1     |
| draw_step     | power gained                                 | W     |
| cap_step      | worst-case power gained                      | W     |

`climbs` is rarely broken at positive prices, so its rows are added only where a solution breaks them: `broken_rungs` names
them and `models.solving.ladders` asks again. Jobs and firm workloads share this room; what sets them apart is in `job` and `firm`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from models.horizon import Floats, Horizon
from models.table import ragged, table
from models.work.gpu import Curve, Host, Ladder, commanded, ladder

Order = Literal["run", "hold"]
FEW = 3


@dataclass(frozen=True)
class Workload(ABC):
    """What jobs and firm workloads have in common.

    `cap_w` (W) and `order` are an operator's commands, one entry a step, None where nobody commands; empty means none at all.
    `wish_per_kwh` is what its tenant would pay for a kWh less in each step (`models.work.carbon_wish`); empty: nothing.
    """

    id: str
    pool: str
    curve: Curve
    gpus: int
    cap_w: tuple[float | None, ...] = ()
    order: tuple[Order | None, ...] = ()
    wish_per_kwh: tuple[float, ...] = ()

    @property
    @abstractmethod
    def may_pause(self) -> bool:
        """Whether its GPUs may stand idle."""

    @property
    def gang(self) -> int:
        """GPUs without which it cannot run at all, at any moment."""
        return 0

    @abstractmethod
    def window(self, horizon: Horizon) -> Floats:
        """Share of each step in which it may run, shape (T,)."""

    def commanded_window(self, horizon: Horizon) -> Floats:
        """Its window less the steps in which it is ordered to hold, shape (T,)."""
        share = self.window(horizon)
        return share * np.array([order != "hold" for order in self.order]) if self.order else share


@dataclass(frozen=True)
class Cells:
    """Which workload may run when, on which ladder: the sparse index of `gpus`.

    `share` has shape (W, T). `ladder_of[w, t]` indexes `ladders`.
    """

    workloads: tuple[Workload, ...]
    ladders: tuple[Ladder, ...]
    share: Floats
    ladder_of: np.ndarray[Any, np.dtype[np.int64]]

    @cached_property
    def pools(self) -> dict[str, list[int]]:
        """Indices of the workloads by pool."""
        members: dict[str, list[int]] = defaultdict(list)
        for w, workload in enumerate(self.workloads):
            members[workload.pool].append(w)
        return dict(members)

    @cached_property
    def speed_steps(self) -> Floats:
        """Speed gained by climbing to each rung of each ladder, 0 where it has no such rung, shape (ladders, K)."""
        return self._steps("speed_step")

    @cached_property
    def draw_steps_w(self) -> Floats:
        """Power gained, W, shape (ladders, K)."""
        return self._steps("draw_step_w")

    @cached_property
    def cap_steps_w(self) -> Floats:
        """Worst-case power gained, W, shape (ladders, K)."""
        return self._steps("cap_step_w")

    def _steps(self, name: str) -> Floats:
        steps = np.zeros((max(len(self.ladders), 1), max(map(len, self.ladders), default=1)))
        for i, rungs in enumerate(self.ladders):
            steps[i, : len(rungs)] = getattr(rungs, name)
        return steps

    def work_gpu_h(self, gpus: Floats, h: Floats) -> Floats:
        """Work that `gpus`, shape (W, K, T), do in steps of `h` hours, GPU h, shape (W, T)."""
        done: Floats = np.einsum("wkt,wtk,t->wt", gpus, self.speed_steps[self.ladder_of], h)
        return done

    def ladder(self, w: int, t: int) -> Ladder:
        """The ladder of workload `w` in step `t`."""
        return self.ladders[int(self.ladder_of[w, t])]


def cells(workloads: Sequence[Workload], hosts: dict[str, Host], free: dict[str, Floats], horizon: Horizon) -> Cells:
    """The sparse index for `workloads`; `hosts` by pool, and `free`, the GPUs a gang can have at once, shape (T,).

    `gpus` is a mean over a step, by which a gang larger than its pool would fit for part of it; so it has no window there.
    """
    ladders: dict[tuple[object, ...], int] = {}
    made: list[Ladder] = []

    def number(key: tuple[object, ...], make: Any) -> int:
        if key not in ladders:
            ladders[key] = len(made)
            made.append(make())
        return ladders[key]

    share = np.zeros((len(workloads), len(horizon)))
    ladder_of = np.zeros((len(workloads), len(horizon)), dtype=np.int64)
    for w, workload in enumerate(workloads):
        curve, host, may_pause = workload.curve, hosts[workload.pool], workload.may_pause
        share[w] = workload.commanded_window(horizon) * (workload.gang <= free[workload.pool])
        ladder_of[w] = number((host, curve, may_pause), lambda c=curve, h=host, p=may_pause: ladder(c, h, may_pause=p))
        for t, cap_w in enumerate(workload.cap_w):
            if cap_w is not None:
                ladder_of[w, t] = number((host, curve, cap_w), lambda c=curve, h=host, x=cap_w: commanded(c, h, x))
    return Cells(tuple(workloads), tuple(made), share, ladder_of)


def add(block: Any, index: Cells, horizon: Horizon) -> None:
    """Declare `gpus`, its bounds and the (empty) ladder rows on `block`."""
    block.WORKLOADS = pyo.RangeSet(0, len(index.workloads) - 1)
    block.STEPS = pyo.RangeSet(0, len(horizon) - 1)
    block.LADDERS = pyo.RangeSet(0, max(len(index.ladders) - 1, 0))
    block.RUNGS = pyo.Set(block.LADDERS, initialize={i: range(len(rungs)) for i, rungs in enumerate(index.ladders)})
    block.RUNG = pyo.RangeSet(0, max((len(rungs) for rungs in index.ladders), default=1) - 1)
    block.WINDOW = ragged(index.share > 0, block.WORKLOADS)

    block.h = table(horizon.h, block.STEPS)
    block.size = table([float(x.gpus) for x in index.workloads], block.WORKLOADS)
    block.share = table(index.share, block.WORKLOADS, block.STEPS)
    block.ladder = table(index.ladder_of, block.WORKLOADS, block.STEPS)
    block.speed_step = table(index.speed_steps, block.LADDERS, block.RUNG)
    block.draw_step_w = table(index.draw_steps_w, block.LADDERS, block.RUNG)
    block.cap_step_w = table(index.cap_steps_w, block.LADDERS, block.RUNG)

    def fits(b: Any, w: int, _k: int, t: int) -> Any:
        return 0, b.size[w] * b.share[w, t]

    block.gpus = pyo.Var(block.WORKLOADS, block.RUNG, block.STEPS, dense=False, bounds=fits)

    def climbs(b: Any, w: int, k: int, t: int) -> Any:
        return b.gpus[w, k, t] <= b.gpus[w, k - 1, t]

    block.BROKEN = pyo.Set(dimen=3, initialize=[])
    block.climbs = pyo.Constraint(block.BROKEN, rule=climbs)


def work_gpu_h(block: Any, w: int, t: int) -> Any:
    """Work of workload `w` in step `t`, GPU hours at speed 1."""
    return block.h[t] * sum(block.speed_step[block.ladder[w, t], k] * block.gpus[w, k, t] for k in block.RUNG)


def running_gpus(block: Any, w: int, t: int) -> Any:
    """GPUs of workload `w` that run in step `t`, mean over the step."""
    return block.gpus[w, 0, t]


def draw_kw(block: Any, w: int, t: int) -> Any:
    """What workload `w` adds to its pool's draw in step `t`, kW."""
    return sum(block.draw_step_w[block.ladder[w, t], k] / 1000 * block.gpus[w, k, t] for k in block.RUNG)


def worst_kw(block: Any, w: int, t: int) -> Any:
    """What workload `w` adds to its pool's worst case in step `t`, kW."""
    return sum(block.cap_step_w[block.ladder[w, t], k] / 1000 * block.gpus[w, k, t] for k in block.RUNG)


def broken_rungs(gpus: Floats, tolerance: float = 1e-6) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a solution raises GPUs that do not run on the rung below; `gpus` and the answer have shape (W, K, T).

    Where a step has more than a few, its other rungs would break next, as at a negative price: then they are all named.
    """
    broken = np.zeros(gpus.shape, bool)
    broken[:, 1:] = gpus[:, 1:] > gpus[:, :-1] + tolerance
    crowded = broken.sum(axis=(0, 1)) > FEW
    broken[:, 1:, crowded] = True
    return broken
