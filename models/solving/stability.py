"""Stability: what it costs to move power away from the last plan.

    draw[w,t] - last[w,t] = up[w,t] - down[w,t]            moves (in the steps that the last plan tells)

| symbol   | name                                                        | unit      |
|----------|-------------------------------------------------------------|-----------|
| draw     | what a workload draws over idle GPUs (`models.work.workload`)    | kW        |
| last     | what the last plan had it draw then                         | kW        |
| up, down | how far the plan moves away from that                       | kW        |
| price    | of a kWh moved, either way                                  | money/kWh |

Cost: price * h[t] * (up + down). Many plans cost the same or nearly so, and without a price on moving caps would hunt between
them with every reading. The price is far below that of energy: what is really cheaper is done, and a workload that the last
plan did not know, or a step that it did not reach, is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats
from models.schedule import Groups
from models.work import workload
from models.work.pool import Pool
from models.work.workload import Cells, Workload


@dataclass(frozen=True)
class Last:
    """The last plan: `kw` that each workload drew over idle GPUs in the first steps, by its id; {} where there is no last plan."""

    kw: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    price_per_kwh: float = 0.0

    def told(self, index: Cells) -> dict[tuple[int, int], float]:
        """`kw` by workload and step, where the workload may run."""
        if not self.price_per_kwh:
            return {}
        known = ((w, self.kw[load.id]) for w, load in enumerate(index.workloads) if load.id in self.kw)
        return {(w, t): kw for w, first in known for t, kw in enumerate(first) if index.share[w, t] > 0}


def add(block: Any, last: Last, index: Cells, workloads: Any) -> None:
    """Declare on `block` how far the plan moves; `workloads` is the block that holds `gpus`."""
    told = last.told(index)
    block.TOLD = pyo.Set(dimen=2, initialize=sorted(told))
    block.last_kw = pyo.Param(block.TOLD, initialize=told)
    block.up_kw = pyo.Var(block.TOLD, bounds=(0, None), dense=False)
    block.down_kw = pyo.Var(block.TOLD, bounds=(0, None), dense=False)

    @block.Constraint(block.TOLD)
    def moves(b: Any, w: int, t: int) -> Any:
        return workload.draw_kw(workloads, w, t) - b.last_kw[w, t] == b.up_kw[w, t] - b.down_kw[w, t]


def cost(block: Any, last: Last, h: Any) -> Any:
    """Money for moving."""
    return sum(last.price_per_kwh * h[t] * (block.up_kw[w, t] + block.down_kw[w, t]) for w, t in block.TOLD)


def drawn_kw(pools: tuple[Pool, ...], workloads: tuple[Workload, ...], groups: Groups, steps: int) -> Floats:
    """What each workload draws over idle GPUs where `groups` run, kW, mean over the step, shape (W, T)."""
    host = {p.id: p.host for p in pools}
    over_idle_w = np.array([host[load.pool].host_run_w - host[load.pool].idle_total_w for load in workloads])
    kw = np.zeros((len(workloads), steps))
    if len(groups):
        np.add.at(kw, (groups.w, groups.t), groups.gpus * (groups.draw_w + over_idle_w[groups.w]) / 1000)
    return kw


def bill(last: Last, index: Cells, kw: Floats, h: Floats) -> Bill:
    """What drawing `kw`, shape (W, T), costs for being moved; nothing without a last plan."""
    moved_kwh = [abs(kw[w, t] - was_kw) * h[t] for (w, t), was_kw in last.told(index).items()]
    return Bill({"moves": last.price_per_kwh * float(sum(moved_kwh))} if moved_kwh else {})
