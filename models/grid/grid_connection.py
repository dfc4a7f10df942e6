"""Grid connection: what the site draws and gives back, what it may, what it pays.

    net_kw[t] = import_kw[t] - export_kw[t] = load at the root of the feeder tree                meters
    import_kw[t] + uncertain[t] <= limit[t] + over_limit_kw[t]                  limits
    import_kw[t] + uncertain[t] <= target[t] + over_event_kw[t]                 event (only in steps that an event calls)
    net_kw[t] - net_kw[t-1] <= ramp * between[t] + over_ramp_kw[t]              rises (only where the site limits its ramps)
    net_kw[t-1] - net_kw[t] <= ramp * between[t] + over_ramp_kw[t]              falls
    export_kw[t] <= export limit + over_export_kw[t]                            exports (only where the site may export)
    (import_kw[t] - over_limit_kw[t]) / limit[t] + (export_kw[t] - over_export_kw[t]) / export limit <= 1
                                                                                one_way (only where exporting earns more)

| symbol        | name                                   | unit      |
|---------------|----------------------------------------|-----------|
| uncertain     | `uncertainty.margin`, 0 without a band | kW        |
| limit         | most that may be drawn                 | kW        |
| over_limit_kw | breach: drawn above the limit          | kW        |
| export_kw     | given back to the grid                 | kW        |
| over_export_kw| breach: given above the export limit   | kW        |
| target        | most that an event allows              | kW        |
| over_event_kw | breach: drawn above the target         | kW        |
| ramp          | fastest change of the import           | kW/h      |
| between       | from the middle of t-1 to that of t    | h         |
| over_ramp_kw  | breach: changed more than that         | kW        |
| price         | of energy, may be negative             | money/kWh |
| fees          | paid beside the energy's price         | money/kWh |

Cost: (price + fees) * import - export price * export.

Where no export is allowed the load at the root is at least zero and `export_kw` is absent. Where exporting earns more than
importing costs, drawing and giving back at once would earn money from nothing; `one_way` is the hull of doing only one of
the two, and `models.solving.settle` then fixes the way of the net power and solves again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import GRID_EVENT, GRID_LIMIT, Bill
from models.horizon import Floats, Horizon
from models.power.feeder import Load, certain
from models.table import table


@dataclass(frozen=True)
class GridConnection:
    """Limits and prices, one entry a step; money per kWh, grams of CO2 per kWh.

    `event_target_kw` is None in a step that no event calls, and () where there is no event at all. `export_limit_kw` is 0
    where nothing may be given back; `export_price_per_kwh` may then be (). `fees_per_kwh` is () where there are none.
    """

    limit_kw: tuple[float, ...]
    price_per_kwh: tuple[float, ...]
    carbon_g_per_kwh: tuple[float, ...] = ()
    event_target_kw: tuple[float | None, ...] = ()
    ramp_kw_per_h: float | None = None
    fees_per_kwh: tuple[float, ...] = ()
    export_limit_kw: float = 0.0
    export_price_per_kwh: tuple[float, ...] = ()

    @property
    def paid_per_kwh(self) -> tuple[float, ...]:
        """What a kWh drawn costs in each step, fees included, money."""
        return tuple(price + fee for price, fee in zip(self.price_per_kwh, self.fees_per_kwh or (0.0,) * len(self.price_per_kwh), strict=True))

    @property
    def may_export(self) -> bool:
        """Whether anything may be given back."""
        return self.export_limit_kw > 0

    @property
    def better_sold(self) -> list[int]:
        """The steps in which exporting earns more than importing costs."""
        both = zip(self.paid_per_kwh, self.export_price_per_kwh, strict=False)
        return [t for t, (bought, sold) in enumerate(both) if self.may_export and sold > bought]

    def ramp_kw(self, horizon: Horizon) -> Floats:
        """How much the import may change from the step before to each step but the first, kW, shape (T - 1,)."""
        most = np.inf if self.ramp_kw_per_h is None else self.ramp_kw_per_h
        return most * (horizon.h[1:] + horizon.h[:-1]) / 2

    @property
    def targets_kw(self) -> dict[int, float]:
        """The event's target, kW, by the steps it calls."""
        return {t: kw for t, kw in enumerate(self.event_target_kw) if kw is not None}

    @property
    def most_kw(self) -> tuple[float, ...]:
        """The lower of limit and target in each step, kW."""
        targets = self.targets_kw
        return tuple(min(limit, targets.get(t, limit)) for t, limit in enumerate(self.limit_kw))


def add(block: Any, grid: GridConnection, horizon: Horizon, steps: Any, load_kw: Load, uncertain_kw: Load = certain) -> None:
    """Declare the connection on `block`; `load_kw(t)` is the load at the root of the feeder tree. Publishes `import_kw`."""
    block.limit_kw = table(grid.limit_kw, steps)
    block.paid_per_kwh = table(grid.paid_per_kwh, steps)
    block.import_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.over_limit_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.CALLED = pyo.Set(initialize=list(grid.targets_kw))
    block.target_kw = pyo.Param(block.CALLED, initialize=grid.targets_kw)
    block.over_event_kw = pyo.Var(block.CALLED, bounds=(0, None), dense=False)
    block.RAMPED = pyo.Set(initialize=range(1, len(horizon)) if grid.ramp_kw_per_h is not None else [])
    block.ramp_kw = pyo.Param(block.RAMPED, initialize={t: grid.ramp_kw(horizon)[t - 1] for t in block.RAMPED})
    block.over_ramp_kw = pyo.Var(block.RAMPED, bounds=(0, None), dense=False)
    block.EXPORTS = pyo.Set(initialize=list(steps) if grid.may_export else [])
    block.export_price_per_kwh = pyo.Param(block.EXPORTS, initialize={t: grid.export_price_per_kwh[t] for t in block.EXPORTS})
    block.export_kw = pyo.Var(block.EXPORTS, bounds=(0, None), dense=False)
    block.over_export_kw = pyo.Var(block.EXPORTS, bounds=(0, None), dense=False)
    block.BETTER_SOLD = pyo.Set(initialize=grid.better_sold)
    block.limits_ratio = pyo.Param(block.BETTER_SOLD, initialize={t: grid.limit_kw[t] / grid.export_limit_kw for t in grid.better_sold})

    def net_kw(b: Any, t: int) -> Any:
        return b.import_kw[t] - b.export_kw[t] if grid.may_export else b.import_kw[t]

    @block.Constraint(steps)
    def meters(b: Any, t: int) -> Any:
        return net_kw(b, t) == load_kw(t)

    @block.Constraint(steps)
    def limits(b: Any, t: int) -> Any:
        return b.import_kw[t] + uncertain_kw(t) <= b.limit_kw[t] + b.over_limit_kw[t]

    @block.Constraint(block.CALLED)
    def event(b: Any, t: int) -> Any:
        return b.import_kw[t] + uncertain_kw(t) <= b.target_kw[t] + b.over_event_kw[t]

    @block.Constraint(block.RAMPED)
    def rises(b: Any, t: int) -> Any:
        return net_kw(b, t) - net_kw(b, t - 1) <= b.ramp_kw[t] + b.over_ramp_kw[t]

    @block.Constraint(block.RAMPED)
    def falls(b: Any, t: int) -> Any:
        return net_kw(b, t - 1) - net_kw(b, t) <= b.ramp_kw[t] + b.over_ramp_kw[t]

    @block.Constraint(block.EXPORTS)
    def exports(b: Any, t: int) -> Any:
        return b.export_kw[t] <= grid.export_limit_kw + b.over_export_kw[t]

    @block.Constraint(block.BETTER_SOLD)
    def one_way(b: Any, t: int) -> Any:
        sold_kw = b.export_kw[t] - b.over_export_kw[t]
        return b.import_kw[t] - b.over_limit_kw[t] + b.limits_ratio[t] * sold_kw <= b.limit_kw[t]


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for energy, drawing above the limit or an event's target, giving above the export limit, changing too fast."""
    return (
        sum(block.paid_per_kwh[t] * h[t] * block.import_kw[t] for t in steps)
        + sum(GRID_LIMIT.price * h[t] * block.over_limit_kw[t] for t in steps)
        - sum(block.export_price_per_kwh[t] * h[t] * block.export_kw[t] for t in block.EXPORTS)
        + sum(GRID_LIMIT.price * h[t] * block.over_export_kw[t] for t in block.EXPORTS)
        + sum(GRID_EVENT.price * h[t] * block.over_event_kw[t] for t in block.CALLED)
        + sum(GRID_EVENT.price * h[t] * block.over_ramp_kw[t] for t in block.RAMPED)
    )


def flows_kw(grid: GridConnection, roots_kw: Floats) -> tuple[Floats, Floats]:
    """What is drawn and what is given back where `roots_kw` are the loads at the roots, kW, shape (roots, T), each shape (T,).

    Where no export is allowed, what flows back through a root is lost and counts as nothing, on the other roots neither.
    """
    net_kw = (roots_kw if grid.may_export else np.maximum(roots_kw, 0.0)).sum(axis=0)
    return np.maximum(net_kw, 0.0), np.maximum(-net_kw, 0.0)


def bill(grid: GridConnection, horizon: Horizon, import_kw: Floats, export_kw: Floats, uncertain_kw: Floats) -> Bill:
    """What drawing `import_kw` and giving back `export_kw` costs, and breaks where `uncertain_kw` may come to it, each shape (T,)."""
    over_event_kw = np.zeros(len(horizon))
    for t, target_kw in grid.targets_kw.items():
        over_event_kw[t] = max(import_kw[t] + uncertain_kw[t] - target_kw, 0.0)
    net_kw = import_kw - export_kw
    change_kw = np.abs(np.diff(net_kw, prepend=net_kw[0]))
    breach = {
        "over_limit_kw": np.maximum(import_kw + uncertain_kw - np.asarray(grid.limit_kw), 0.0),
        "over_export_kw": np.maximum(export_kw - grid.export_limit_kw, 0.0),
        "over_event_kw": over_event_kw,
        "over_ramp_kw": np.maximum(change_kw - np.append(np.inf, grid.ramp_kw(horizon)), 0.0),
    }
    h = horizon.h
    return Bill(
        {
            "energy": float(np.asarray(grid.price_per_kwh) @ (h * import_kw)),
            "fees": float(np.subtract(grid.paid_per_kwh, grid.price_per_kwh) @ (h * import_kw)),
            "export": -float(np.asarray(grid.export_price_per_kwh) @ (h * export_kw)) if grid.may_export else 0.0,
            "over_limit_kw": GRID_LIMIT.price * float(breach["over_limit_kw"] @ h),
            "over_export_kw": GRID_LIMIT.price * float(breach["over_export_kw"] @ h),
            "over_event_kw": GRID_EVENT.price * float(breach["over_event_kw"] @ h),
            "over_ramp_kw": GRID_EVENT.price * float(breach["over_ramp_kw"] @ h),
        },
        breach,
    )
