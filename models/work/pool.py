"""Pool: GPUs of one model in one hall under one feeder.

    sum_w gpus[w,0,t] <= available[t] - out[t] - kept[t]                         holds
    draw_kw[t]  = (powered[t] - dark[t]) * idle + sum_w draw[w,t]                draws
    worst_kw[t] = (powered[t] - dark[t]) * (idle cap[t] + busy host)
                  + sum_w (worst[w,t] - (idle cap[t] - lowest cap) * gpus[w,0,t])          could_draw

`draw_kw` is expected; `worst_kw` is what the pool draws if every GPU rises to the cap it was sent, for no loop is fast enough
to stop that: training rises by a third in two seconds.

| symbol    | name                            | unit  |
|-----------|---------------------------------|-------|
| available | GPUs that are there             | GPUs  |
| powered   | GPUs that draw power            | GPUs  |
| out, dark | those that maintenance takes    | GPUs  |
| kept      | idle ones kept for a service    | GPUs  |
| idle      | idle GPU and its host           | kW    |
| idle cap  | cap of GPUs without work        | W     |

GPUs without work are sent their lowest cap, unless an operator commands one for the whole pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.horizon import Floats, Horizon
from models.schedule import Groups
from models.table import ragged, table
from models.work import workload
from models.work.gpu import Host
from models.work.workload import Cells, Workload

Gpus = Callable[[int], Any]
"""Step to GPUs."""


@dataclass(frozen=True)
class Pool:
    """`available[t]` GPUs on `host` machines, in a hall, under a feeder. Settable caps lie in [host.min_cap_w, max_cap_w].

    `powered` are those that draw power, by step; empty: the available ones.
    `idle_cap_w` is the cap of GPUs without work by step, W; empty: the lowest settable one. `liquid_share` of its heat goes into
    the hall's liquid loop, the rest into the hall's air.
    """

    id: str
    hall: str
    feeder: str
    host: Host
    max_cap_w: float
    available: tuple[float, ...]
    idle_cap_w: tuple[float, ...] = ()
    liquid_share: float = 0.0
    powered: tuple[float, ...] = ()

    @property
    def idle_raised_w(self) -> Floats:
        """How far the cap of GPUs without work lies above the lowest settable one, W, shape (T,)."""
        return np.maximum(np.asarray(self.idle_cap_w or (self.host.min_cap_w,) * len(self.available)) - self.host.min_cap_w, 0.0)


def add(block: Any, pool: Pool, index: Cells, workloads: Any, horizon: Horizon, kept: Floats, taken: tuple[Gpus, Gpus]) -> None:
    """Declare one pool on `block`; `workloads` is the block that holds `gpus`, `kept` has shape (T,).

    `taken` are the GPUs that maintenance takes from work and from power, by step. Publishes `draw_kw` and `worst_kw`.
    """
    out, dark = taken
    members = index.pools.get(pool.id, [])
    present = np.zeros((len(horizon), len(index.workloads)), bool)
    present[:, members] = index.share[members].T > 0
    block.RUNNING = ragged(present, workloads.STEPS)
    block.available = table(pool.available, workloads.STEPS)
    block.powered = table(pool.powered or pool.available, workloads.STEPS)
    block.kept = table(kept, workloads.STEPS)
    block.idle_kw = pyo.Param(initialize=pool.host.idle_total_w / 1000)
    block.lowest_worst_kw = pyo.Param(initialize=pool.host.lowest_worst_w / 1000)
    block.idle_raised_kw = table((pool.idle_raised_w / 1000), workloads.STEPS)
    block.BUSY = pyo.Set(dimen=1, initialize=np.flatnonzero(present.any(axis=1)).tolist())

    block.draw_kw = pyo.Var(workloads.STEPS, dense=False)
    block.worst_kw = pyo.Var(workloads.STEPS, dense=False)

    @block.Constraint(block.BUSY)
    def holds(b: Any, t: int) -> Any:
        return sum(workload.running_gpus(workloads, w, t) for w in b.RUNNING[t]) <= b.available[t] - out(t) - b.kept[t]

    @block.Constraint(workloads.STEPS)
    def draws(b: Any, t: int) -> Any:
        return b.draw_kw[t] == (b.powered[t] - dark(t)) * b.idle_kw + sum(workload.draw_kw(workloads, w, t) for w in b.RUNNING[t])

    @block.Constraint(workloads.STEPS)
    def could_draw(b: Any, t: int) -> Any:
        all_idle = (b.powered[t] - dark(t)) * (b.lowest_worst_kw + b.idle_raised_kw[t])
        return b.worst_kw[t] == all_idle + sum(
            workload.worst_kw(workloads, w, t) - b.idle_raised_kw[t] * workload.running_gpus(workloads, w, t) for w in b.RUNNING[t]
        )


def loads_kw(pools: Sequence[Pool], workloads: Sequence[Workload], groups: Groups, steps: int) -> tuple[Floats, Floats]:
    """Expected draw and worst case of each pool where `groups` run, kW, shape (P, T)."""
    position = {p.id: i for i, p in enumerate(pools)}
    at = np.array([position[w.pool] for w in workloads], np.int64)
    hosts = [p.host for p in pools]
    over_idle = np.array([host.host_run_w - host.idle_total_w for host in hosts])
    lowest = np.array([host.min_cap_w for host in hosts])
    powered = np.array([p.powered or p.available for p in pools]).reshape(len(hosts), steps)
    draw = powered * np.array([host.idle_total_w for host in hosts])[:, None] / 1000
    raised = np.array([pool.idle_raised_w for pool in pools]).reshape(len(hosts), steps)
    worst = powered * (np.array([host.lowest_worst_w for host in hosts])[:, None] + raised) / 1000
    if len(groups):
        p = at[groups.w]
        np.add.at(draw, (p, groups.t), groups.gpus * (groups.draw_w + over_idle[p]) / 1000)
        np.add.at(worst, (p, groups.t), groups.gpus * (groups.cap_w - lowest[p] - raised[p, groups.t]) / 1000)
    return draw, worst
