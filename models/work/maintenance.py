"""Maintenance: GPUs that leave a pool for a while and return - a repair, a refresh of hardware - when it costs least.

    sum over starts s of place[m,s] * gpus[m] * hours[m] + unserviced[m] = gpus[m] * hours[m]     happens
    out[p,t]  = sum of gpus[m] * place[m,s] over the windows (m,s) that touch t                   published, no work
    dark[p,t] = sum of gpus[m] * place[m,s] over the windows (m,s) that hold all of t             published, no power

| symbol     | name                                                             | unit  |
|------------|------------------------------------------------------------------|-------|
| place      | share of maintenance m that is done in the window that begins    | 1     |
|            | with step s, among those between its earliest and latest instant |       |
| hours      | how long its GPUs are out                                        | h     |
| unserviced | breach: maintenance for which there is no window                 | GPU h |

A GPU that leaves or returns inside a step does no work in it and still draws its idle power. A window is open only where the
GPUs it takes are kept by no firm workload; jobs make room by not starting. The program may share a maintenance out among
windows; `models.choosing.windows` gives each to the one with the largest share, one after another, each in sight of those before, and the GPUs
of the pools are then what is left: everything that follows knows of maintenance by `Pool.available` and `Pool.powered` only.

Cost: unserviced * penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import CONTRACT, TINY, Bill
from models.horizon import Floats, Horizon
from models.work.pool import Pool


@dataclass(frozen=True)
class Maintenance:
    """`gpus` of a pool are out for `hours` without a break, in [earliest_h, latest_h); hours after the horizon's start."""

    id: str
    pool: str
    gpus: int
    hours: float
    earliest_h: float
    latest_h: float
    unserviced_price_per_gpu_h: float = CONTRACT.price

    def starts(self, horizon: Horizon) -> list[int]:
        """The steps with which its window may begin."""
        early, late = horizon.starts >= self.earliest_h - TINY, horizon.starts + self.hours <= self.latest_h + TINY
        return np.flatnonzero(early & late).tolist()

    def touches(self, horizon: Horizon, start: int) -> list[int]:
        """The steps that a window from `start` touches."""
        return np.flatnonzero(self._overlap(horizon, start) > 0).tolist()

    def holds(self, horizon: Horizon, start: int) -> list[int]:
        """The steps that a window from `start` holds whole."""
        return np.flatnonzero(self._overlap(horizon, start) == 1).tolist()

    def _overlap(self, horizon: Horizon, start: int) -> Floats:
        begin = float(horizon.starts[start])
        return horizon.overlap(begin, begin + self.hours)


@dataclass(frozen=True)
class Window:
    """A maintenance with the step its window begins with, None where it has none."""

    maintenance: Maintenance
    start: int | None

    @property
    def unserviced_gpu_h(self) -> float:
        """What is not done, GPU h."""
        return self.maintenance.gpus * self.maintenance.hours if self.start is None else 0.0


Free = Callable[[str], Floats]
"""Pool to the GPUs that no firm workload keeps, shape (T,)."""


def add(block: Any, maintenances: Sequence[Maintenance], horizon: Horizon, free: Free, steps: Any) -> None:
    """Declare `maintenances` on `block`. Publishes `out` and `dark`."""
    windows = [(m, s) for m in maintenances for s in open_starts(m, horizon, free(m.pool))]
    block.ALL = pyo.Set(initialize=[m.id for m in maintenances])
    block.WINDOWS = pyo.Set(dimen=2, initialize=[(m.id, s) for m, s in windows])
    starts = {m.id: [s for n, s in windows if n is m] for m in maintenances}
    block.STARTS = pyo.Set(block.ALL, initialize=starts)
    block.POOLS = pyo.Set(initialize=sorted({m.pool for m in maintenances}))
    for name, covered in (("OUT", Maintenance.touches), ("DARK", Maintenance.holds)):
        found: dict[tuple[str, int], list[tuple[str, int]]] = {(p, t): [] for p in block.POOLS for t in steps}
        for m, s in windows:
            for t in covered(m, horizon, s):
                found[m.pool, t].append((m.id, s))
        setattr(block, name, pyo.Set(block.POOLS, steps, dimen=2, initialize=found))
    block.gpus = pyo.Param(block.ALL, initialize={m.id: float(m.gpus) for m in maintenances})
    block.hours = pyo.Param(block.ALL, initialize={m.id: m.hours for m in maintenances})
    block.price = pyo.Param(block.ALL, initialize={m.id: m.unserviced_price_per_gpu_h for m in maintenances})

    block.place = pyo.Var(block.WINDOWS, bounds=(0, 1), dense=False)
    block.unserviced_gpu_h = pyo.Var(block.ALL, bounds=(0, None), dense=False)

    @block.Constraint(block.ALL)
    def happens(b: Any, m: str) -> Any:
        done_gpu_h = sum(b.gpus[m] * b.hours[m] * b.place[m, s] for s in b.STARTS[m])
        return done_gpu_h + b.unserviced_gpu_h[m] == b.gpus[m] * b.hours[m]


def out(block: Any, pool: str, t: int) -> Any:
    """GPUs of a pool that do no work in step `t`."""
    if pool not in block.POOLS:
        return 0.0
    return sum(block.gpus[m] * block.place[m, s] for m, s in block.OUT[pool, t])


def dark(block: Any, pool: str, t: int) -> Any:
    """GPUs of a pool that draw nothing in step `t`."""
    if pool not in block.POOLS:
        return 0.0
    return sum(block.gpus[m] * block.place[m, s] for m, s in block.DARK[pool, t])


def cost(block: Any) -> Any:
    """Money for what is not done."""
    return sum(block.price[m] * block.unserviced_gpu_h[m] for m in block.ALL)


def bill(windows: Sequence[Window]) -> Bill:
    """What `windows` leave undone, by maintenance; empty where there is none."""
    if not windows:
        return Bill()
    undone = np.array([w.unserviced_gpu_h for w in windows])
    price = np.array([w.maintenance.unserviced_price_per_gpu_h for w in windows])
    return Bill({"unserviced_gpu_h": float(price @ undone)}, {"unserviced_gpu_h": undone})


def open_starts(maintenance: Maintenance, horizon: Horizon, free: Floats) -> list[int]:
    """The starts at which `free` GPUs, shape (T,), are enough for all of the window."""
    starts = maintenance.starts(horizon)
    return [s for s in starts if free[maintenance.touches(horizon, s)].min() >= maintenance.gpus]


def likeliest(share: Sequence[float], unserviced_gpu_h: float, maintenance: Maintenance, starts: Sequence[int]) -> int | None:
    """The one of `starts` with the largest share, the first of equals; None where more than that is left undone.

    `share` is what a solution has of each of `starts`.
    """
    undone = unserviced_gpu_h / (maintenance.gpus * maintenance.hours)
    if not starts or undone > max(share) + TINY:
        return None
    return starts[int(np.flatnonzero(np.array(share) >= max(share) - TINY)[0])]


def taken(pool: Pool, window: Window, horizon: Horizon) -> Pool:
    """The pool without the GPUs that `window` takes."""
    m = window.maintenance
    if window.start is None or m.pool != pool.id:
        return pool
    gone, away = m.touches(horizon, window.start), m.holds(horizon, window.start)
    return replace(
        pool,
        available=tuple(n - m.gpus * (t in gone) for t, n in enumerate(pool.available)),
        powered=tuple(n - m.gpus * (t in away) for t, n in enumerate(pool.powered or pool.available)),
    )
