"""Battery: energy moved between steps.

    stored[t] = stored[t-1] + efficiency * h[t] * charge[t] - h[t] / efficiency * discharge[t]      stores
    charge[t] / most charge + discharge[t] / most discharge <= 1                                    one_way
    stored[last] >= stored[start]                                                                   ends_no_emptier

| symbol     | name                    | unit |
|------------|-------------------------|------|
| stored     | energy in the battery   | kWh  |
| charge     | power taken in          | kW   |
| discharge  | power given             | kW   |
| efficiency | one way                 | 1    |

Cost: wear per kWh discharged. `one_way` lets a fraction of both at once through; `models.plan` then fixes the direction and
solves again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats, Horizon


@dataclass(frozen=True)
class Battery:
    """Energy between `min_kwh` and `capacity_kwh`, `start_kwh` now; money per kWh discharged."""

    id: str
    feeder: str
    capacity_kwh: float
    charge_kw: float
    discharge_kw: float
    efficiency: float
    min_kwh: float
    start_kwh: float
    wear_price_per_kwh: float = 0.0

    def stored_kwh(self, power_kw: Floats, h: Floats) -> Floats:
        """Energy stored at the end of each step of `h` hours at `power_kw` (positive charges), kWh, shape (T,)."""
        taken = np.maximum(power_kw, 0.0) * self.efficiency - np.maximum(-power_kw, 0.0) / self.efficiency
        return np.asarray(self.start_kwh + np.cumsum(h * taken))


def add(block: Any, battery: Battery, horizon: Horizon, steps: Any) -> None:
    """Declare one battery on `block`. Publishes `charge_kw` and `discharge_kw`."""
    last = len(horizon) - 1
    block.h = pyo.Param(steps, initialize=dict(enumerate(horizon.hours)))
    block.START = pyo.Set(initialize=[0])
    block.LATER = pyo.RangeSet(1, last)
    block.END = pyo.Set(initialize=[last])
    block.charge_kw = pyo.Var(steps, bounds=(0, battery.charge_kw))
    block.discharge_kw = pyo.Var(steps, bounds=(0, battery.discharge_kw))
    block.stored_kwh = pyo.Var(steps, bounds=(min(battery.min_kwh, battery.start_kwh), battery.capacity_kwh))

    def gains_kwh(b: Any, t: int) -> Any:
        return battery.efficiency * b.h[t] * b.charge_kw[t] - b.h[t] / battery.efficiency * b.discharge_kw[t]

    @block.Constraint(block.START)
    def stores_first(b: Any, t: int) -> Any:
        return b.stored_kwh[t] == battery.start_kwh + gains_kwh(b, t)

    @block.Constraint(block.LATER)
    def stores(b: Any, t: int) -> Any:
        return b.stored_kwh[t] == b.stored_kwh[t - 1] + gains_kwh(b, t)

    @block.Constraint(steps)
    def one_way(b: Any, t: int) -> Any:
        return b.charge_kw[t] / battery.charge_kw + b.discharge_kw[t] / battery.discharge_kw <= 1

    @block.Constraint(block.END)
    def ends_no_emptier(b: Any, t: int) -> Any:
        return b.stored_kwh[t] >= battery.start_kwh


def cost(block: Any, battery: Battery, steps: Any) -> Any:
    """Money for wear."""
    return sum(battery.wear_price_per_kwh * block.h[t] * block.discharge_kw[t] for t in steps)


def bill(batteries: Sequence[Battery], power_kw: Floats, h: Floats) -> Bill:
    """What `batteries` cost at `power_kw` (positive charges), shape (B, T), over steps of `h` hours."""
    given_kwh = np.maximum(-power_kw, 0.0) @ h
    return Bill({"wear": float(sum(b.wear_price_per_kwh * kwh for b, kwh in zip(batteries, given_kwh, strict=True)))})
