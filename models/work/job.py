"""Job: work to finish by a deadline; it may wait.

    sum_t work[w,t] + elsewhere[w]
        + unfinished[w] + carried[w] + forgone[w] = work_left[w]      finishes
    elsewhere[w] = sum_{v,t} work[v,t]                               works_elsewhere: v is the job in another pool that it may have
    0 <= carried[w] <= size[w] * (deadline - end of horizon)         only where the deadline lies past the horizon
    forgone[w] only of spot work, which is done while it is worth more than its energy; it has no unfinished

The row is an equality: with an inequality a plan would do work nobody asked for when prices are negative. Work carried past
the horizon costs what it would at the mean price and the most efficient point, in the plan as in the baseline.

| symbol      | name                                             | unit          |
|-------------|--------------------------------------------------|---------------|
| work_left   | work asked for                                   | GPU h         |
| unfinished  | breach: work not done by the deadline            | GPU h         |
| elsewhere   | work done in another pool                        | GPU h         |
| carried     | work left for after the horizon                  | GPU h         |
| forgone     | spot work left undone                            | GPU h         |
| delay       | price of doing work an hour later, for tie-break | money/GPU h/h |

Cost: unfinished * penalty + carried * carry price + forgone * value + delay * (middle of the step - arrival) * work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import CONTRACT, Bill
from models.horizon import Floats, Horizon
from models.table import table
from models.work.workload import Workload, work_gpu_h


@dataclass(frozen=True)
class Job(Workload):
    """`work_gpu_h` GPU hours at speed 1, done in [arrival_h, deadline_h); hours after the horizon's start.

    An elastic job may run on fewer GPUs than its size; a rigid one runs on all of them or waits. `carry_price_per_gpu_h` is
    what a GPU hour costs after the horizon, `pause_price_per_gpu` what it costs to stop a GPU and start it again. `running`: it
    runs now, so it has arrived. A rigid job that starts runs for `min_run_h` or until its work is done; one that runs now is to
    run for `still_h` more. `spot_value_per_gpu_h` above 0: its work is spot work, worth that much and owed to nobody.

    `elsewhere` is the job as it would be in other pools of which it may have one instead; `part_of` is the position, among the
    problem's jobs, of the job that this is such a part of (`models.work.movable`).
    """

    work_gpu_h: float = 0.0
    arrival_h: float = 0.0
    deadline_h: float = 0.0
    elastic: bool = False
    unfinished_price_per_gpu_h: float = CONTRACT.price
    delay_price_per_gpu_h: float = 1e-4
    carry_price_per_gpu_h: float = 0.0
    pause_price_per_gpu: float = 0.0
    running: bool = False
    min_run_h: float = 0.0
    still_h: float = 0.0
    spot_value_per_gpu_h: float = 0.0
    elsewhere: tuple[Job, ...] = ()
    part_of: int | None = None

    @property
    def may_pause(self) -> bool:
        """A job may always wait."""
        return True

    @property
    def gang(self) -> int:
        """All its GPUs, unless it is elastic."""
        return 0 if self.elastic else self.gpus

    def window(self, horizon: Horizon) -> Floats:
        """Share of each step between arrival and deadline, shape (T,)."""
        return horizon.overlap(self.arrival_h, self.deadline_h)

    def most_carried_gpu_h(self, horizon: Horizon) -> float:
        """The most work that can still be done between the horizon's end and the deadline, GPU h.

        None of spot work that is worth no more than it would cost then.
        """
        if 0 < self.spot_value_per_gpu_h <= self.carry_price_per_gpu_h:
            return 0.0
        hours_left = self.deadline_h - max(horizon.end_h, self.arrival_h)
        return min(self.work_gpu_h, max(0.0, hours_left) * self.gpus)

    def wait_h(self, horizon: Horizon) -> Floats:
        """Time from arrival to the middle of each step, h, shape (T,)."""
        return (horizon.starts + horizon.ends) / 2 - self.arrival_h


def add(block: Any, jobs: dict[int, Job], workloads: Any, horizon: Horizon) -> None:
    """Declare the rows of `jobs` (by workload index) on `block`; `workloads` is the block that holds `gpus`."""
    every, jobs = jobs, {w: job for w, job in jobs.items() if job.part_of is None}
    parts: dict[int, list[int]] = {}
    for v, part in every.items():
        if part.part_of is not None:
            parts.setdefault(part.part_of + min(every), []).append(v)
    block.ALL = pyo.Set(initialize=list(every))
    block.JOBS = pyo.Set(initialize=list(jobs))
    block.MOVABLE = pyo.Set(initialize=list(parts))
    block.PARTS = pyo.Set(block.MOVABLE, initialize=parts)
    cells = {w: [(v, t) for v in mine for t in workloads.WINDOW[v]] for w, mine in parts.items()}
    block.PART_CELLS = pyo.Set(block.MOVABLE, dimen=2, initialize=cells)
    block.OWED = pyo.Set(initialize=[w for w, job in jobs.items() if not job.spot_value_per_gpu_h])
    block.SPOT = pyo.Set(initialize=[w for w, job in jobs.items() if job.spot_value_per_gpu_h])

    def of_each(figure: Callable[[Job], float]) -> Any:
        by_workload = [figure(every[w]) if w in every else 0.0 for w in workloads.WORKLOADS]
        return table(by_workload, workloads.WORKLOADS)

    block.work_left_gpu_h = of_each(lambda job: job.work_gpu_h)
    block.most_carried_gpu_h = of_each(lambda job: job.most_carried_gpu_h(horizon))
    block.unfinished_price = of_each(lambda job: job.unfinished_price_per_gpu_h)
    block.carry_price = of_each(lambda job: job.carry_price_per_gpu_h)
    block.delay_price = of_each(lambda job: job.delay_price_per_gpu_h)
    block.arrival_h = of_each(lambda job: job.arrival_h)
    block.value = of_each(lambda job: job.spot_value_per_gpu_h)
    block.is_spot = of_each(lambda job: float(job.spot_value_per_gpu_h > 0))
    block.is_movable = table([float(w in parts) for w in workloads.WORKLOADS], workloads.WORKLOADS)
    block.middle_h = table((horizon.starts + horizon.ends) / 2, workloads.STEPS)

    def can_carry(b: Any, w: int) -> Any:
        return 0, b.most_carried_gpu_h[w]

    block.unfinished_gpu_h = pyo.Var(block.JOBS, bounds=(0, None), dense=False)
    block.forgone_gpu_h = pyo.Var(block.JOBS, bounds=(0, None), dense=False)
    block.carried_gpu_h = pyo.Var(block.JOBS, bounds=can_carry, dense=False)
    block.elsewhere_gpu_h = pyo.Var(block.JOBS, dense=False)

    @block.Constraint(block.MOVABLE)
    def works_elsewhere(b: Any, w: int) -> Any:
        return b.elsewhere_gpu_h[w] == sum(work_gpu_h(workloads, v, t) for v, t in b.PART_CELLS[w])

    @block.Constraint(block.JOBS)
    def finishes(b: Any, w: int) -> Any:
        done = sum(work_gpu_h(workloads, w, t) for t in workloads.WINDOW[w]) + b.is_movable[w] * b.elsewhere_gpu_h[w]
        return done + undone_gpu_h(b, w) + b.carried_gpu_h[w] == b.work_left_gpu_h[w]


def undone_gpu_h(block: Any, w: int) -> Any:
    """Work of job `w` that nobody does: unfinished, or forgone of spot work, GPU h."""
    return (1 - block.is_spot[w]) * block.unfinished_gpu_h[w] + block.is_spot[w] * block.forgone_gpu_h[w]


def cost(block: Any, workloads: Any) -> Any:
    """Money for work left undone, carried, forgone and delayed."""
    if not len(block.ALL):
        return 0.0
    left = sum(block.unfinished_price[w] * block.unfinished_gpu_h[w] for w in block.OWED)
    left += sum(block.value[w] * block.forgone_gpu_h[w] for w in block.SPOT)
    return left + sum(block.carry_price[w] * block.carried_gpu_h[w] for w in block.JOBS) + sum(
        block.delay_price[w] * (block.middle_h[t] - block.arrival_h[w]) * work_gpu_h(workloads, w, t)
        for w in block.ALL
        for t in workloads.WINDOW[w]
    )


def left_gpu_h(block: Any, value: Callable[[Any], float], w: int) -> tuple[float, float, float]:
    """What a solution leaves of job `w`: unfinished, carried and forgone, GPU h; `value` says what it has of a variable."""
    return value(block.unfinished_gpu_h[w]), value(block.carried_gpu_h[w]), value(block.forgone_gpu_h[w])


def carried_gpu_h(jobs: Sequence[Job], work_gpu_h: Floats, horizon: Horizon) -> Floats:
    """Work that is left for after the horizon where `work_gpu_h`, shape (J, T), is done inside it, GPU h, shape (J,)."""
    left = np.array([j.work_gpu_h for j in jobs]) - work_gpu_h.sum(axis=1)
    most = np.array([j.most_carried_gpu_h(horizon) for j in jobs])
    return np.asarray(np.clip(left, 0.0, most))


def bill(jobs: Sequence[Job], work_gpu_h: Floats, horizon: Horizon) -> Bill:
    """What `jobs` cost and leave undone where `work_gpu_h`, shape (J, T), is done inside the horizon."""
    carried = carried_gpu_h(jobs, work_gpu_h, horizon)
    left = np.array([j.work_gpu_h for j in jobs]) - work_gpu_h.sum(axis=1)
    undone = np.maximum(left - carried, 0.0)
    spot = np.array([j.spot_value_per_gpu_h > 0 for j in jobs], bool)
    unfinished, forgone = np.where(spot, 0.0, undone), np.where(spot, undone, 0.0)
    delay = [j.delay_price_per_gpu_h * float(j.wait_h(horizon) @ work) for j, work in zip(jobs, work_gpu_h, strict=True)]
    return Bill(
        {
            "delay": float(sum(delay)),
            "carried": float(sum(j.carry_price_per_gpu_h * c for j, c in zip(jobs, carried, strict=True))),
            "forgone": float(sum(j.spot_value_per_gpu_h * f for j, f in zip(jobs, forgone, strict=True))),
            "unfinished_gpu_h": float(sum(j.unfinished_price_per_gpu_h * u for j, u in zip(jobs, unfinished, strict=True))),
        },
        {"unfinished_gpu_h": unfinished},
    )
