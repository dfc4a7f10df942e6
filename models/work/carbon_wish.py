"""Carbon wish: what a tenant would pay for its own work to emit less.

Cost: sum_t price[w,t] * h[t] * draw[w,t], for the workloads that wish.

| symbol | name                                                                  | unit      |
|--------|-----------------------------------------------------------------------|-----------|
| price  | what the tenant would pay for a tonne less, times the grid's carbon   | money/kWh |
| draw   | what the workload draws over idle GPUs (`models.work.workload`)       | kW        |

It decides when work that may wait is done, and how fast what may be slowed runs, and is paid by nobody: a tenant whose work moves to cleaner
and dearer hours bears their price. The site's own price of carbon (`models.grid.carbon`) is of everything that is imported, and comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats
from models.table import table
from models.work.workload import Workload, draw_kw


def add(block: Any, index: Sequence[Workload], workloads: Any) -> None:
    """Declare on `block` who wishes, and for how much; `workloads` is the block that holds `gpus`."""
    block.WISHING = pyo.Set(initialize=[w for w, each in enumerate(index) if each.wish_per_kwh])
    if len(block.WISHING):
        block.price_per_kwh = table(prices(index, len(workloads.STEPS)), workloads.WORKLOADS, workloads.STEPS)


def cost(block: Any, workloads: Any, h: Any) -> Any:
    """Money that tenants would give for less."""
    if not len(block.WISHING):
        return 0.0
    return sum(block.price_per_kwh[w, t] * h[t] * draw_kw(workloads, w, t) for w in block.WISHING for t in workloads.WINDOW[w])


def prices(index: Sequence[Workload], steps: int) -> Floats:
    """What each workload would pay for a kWh less in each step, money, shape (W, T)."""
    return np.array([each.wish_per_kwh or (0.0,) * steps for each in index], float).reshape(len(index), steps)


def bill(index: Sequence[Workload], kw: Floats, h: Floats) -> Bill:
    """What drawing `kw` over idle GPUs, shape (W, T), is worth to avoid; nothing where nobody wishes."""
    if not any(each.wish_per_kwh for each in index):
        return Bill({})
    return Bill({"carbon_wish": float(np.sum(prices(index, kw.shape[1]) * kw * h))})
