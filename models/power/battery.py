"""Battery: energy moved between steps.

    stored[t] = stored[t-1] + efficiency * h[t] * charge[t] - h[t] / efficiency * discharge[t]      stores
    most discharge / most charge * charge[t] + discharge[t] <= most discharge                       one_way
    stored[last] >= stored[start]                                                                   ends_no_emptier
    efficiency * (stored[t] - least) + short_ride_through_kwh[t] >= ride through * carried[t]       rides_through

| symbol                 | name                                                          | unit |
|------------------------|---------------------------------------------------------------|------|
| stored                 | energy in the battery                                         | kWh  |
| least                  | energy that is never used                                     | kWh  |
| charge                 | power taken in                                                | kW   |
| discharge              | power given                                                   | kW   |
| efficiency             | one way                                                       | 1    |
| ride through           | how long the battery alone carries its feeder's load          | h    |
| carried                | that load at worst: every GPU at its cap, base, cooling and   | kW   |
|                        | losses below and in the feeder; no battery and no generation  |      |
| short_ride_through_kwh | breach: what is missing at the end of a step                  | kWh  |

`rides_through` is there only where the battery is to carry a load. It is about energy: that the battery gives the power is a
matter of its size.

Cost: wear per kWh discharged. `one_way` lets a fraction of both at once through; `models.plan` then fixes the direction and
solves again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import PLANT, Bill
from models.horizon import Floats, Horizon
from models.power.feeder import Load
from models.table import table


@dataclass(frozen=True)
class Battery:
    """Energy between `min_kwh` and `capacity_kwh`, `start_kwh` now; money per kWh discharged.

    What is stored carries the load of the feeder `carries` (by default its own) for `ride_through_h` hours.
    """

    id: str
    feeder: str
    capacity_kwh: float
    charge_kw: float
    discharge_kw: float
    efficiency: float
    min_kwh: float
    start_kwh: float
    wear_price_per_kwh: float = 0.0
    ride_through_h: float = 0.0
    carries: str = ""

    @property
    def carried_feeder(self) -> str:
        """The feeder whose load it can carry."""
        return self.carries or self.feeder

    @property
    def least_kwh(self) -> float:
        """The least that may be stored: `min_kwh`, or what there is where that is less already."""
        return min(self.min_kwh, self.start_kwh)

    def stored_kwh(self, power_kw: Floats, h: Floats) -> Floats:
        """Energy stored at the end of each step of `h` hours at `power_kw` (positive charges), kWh, shape (T,)."""
        taken = np.maximum(power_kw, 0.0) * self.efficiency - np.maximum(-power_kw, 0.0) / self.efficiency
        return np.asarray(self.start_kwh + np.cumsum(h * taken))


def add(block: Any, battery: Battery, horizon: Horizon, steps: Any, carried_kw: Load) -> None:
    """Declare one battery on `block`; `carried_kw` is the load it is to ride through, by step.

    Publishes `charge_kw` and `discharge_kw`.
    """
    last = len(horizon) - 1
    block.h = table(horizon.hours, steps)
    block.START = pyo.Set(initialize=[0])
    block.LATER = pyo.RangeSet(1, last)
    block.END = pyo.Set(initialize=[last])
    block.charge_kw = pyo.Var(steps, bounds=(0, battery.charge_kw), dense=False)
    block.discharge_kw = pyo.Var(steps, bounds=(0, battery.discharge_kw), dense=False)
    block.stored_kwh = pyo.Var(steps, bounds=(battery.least_kwh, battery.capacity_kwh), dense=False)

    block.CARRIED = pyo.Set(initialize=range(len(horizon)) if battery.ride_through_h else [])
    block.short_ride_through_kwh = pyo.Var(block.CARRIED, bounds=(0, None), dense=False)

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
        return battery.discharge_kw / battery.charge_kw * b.charge_kw[t] + b.discharge_kw[t] <= battery.discharge_kw

    @block.Constraint(block.END)
    def ends_no_emptier(b: Any, t: int) -> Any:
        return b.stored_kwh[t] >= battery.start_kwh

    @block.Constraint(block.CARRIED)
    def rides_through(b: Any, t: int) -> Any:
        kept_kwh = battery.efficiency * (b.stored_kwh[t] - battery.min_kwh)
        return kept_kwh + b.short_ride_through_kwh[t] >= battery.ride_through_h * carried_kw(t)


def cost(block: Any, battery: Battery, steps: Any) -> Any:
    """Money for wear, and for energy that is missing to ride through."""
    wear = sum(battery.wear_price_per_kwh * block.h[t] * block.discharge_kw[t] for t in steps)
    return wear + sum(PLANT.price * block.h[t] * block.short_ride_through_kwh[t] for t in block.CARRIED)


def kept_kwh(battery: Battery, power_kw: Floats, h: Floats) -> Floats:
    """What can still be given at the end of each step at `power_kw` (positive charges), kWh, shape (T,)."""
    return battery.efficiency * (battery.stored_kwh(power_kw, h) - battery.min_kwh)


def riding(batteries: Sequence[Battery]) -> list[int]:
    """Positions of the batteries that are to carry a load for a time."""
    return [i for i, b in enumerate(batteries) if b.ride_through_h]


def bill(batteries: Sequence[Battery], power_kw: Floats, carried_kw: Floats, h: Floats) -> Bill:
    """What `batteries` cost at `power_kw` (positive charges) where `carried_kw` is to be ridden through, both shape (B, T)."""
    given_kwh = np.maximum(-power_kw, 0.0) @ h
    wear = float(sum(b.wear_price_per_kwh * kwh for b, kwh in zip(batteries, given_kwh, strict=True)))
    short = [batteries[i].ride_through_h * carried_kw[i] - kept_kwh(batteries[i], power_kw[i], h) for i in riding(batteries)]
    if not short:
        return Bill({"wear": wear})
    short_kwh = np.maximum(short, 0.0)
    money = {"wear": wear, "short_ride_through_kwh": PLANT.price * float((short_kwh @ h).sum())}
    return Bill(money, {"short_ride_through_kwh": short_kwh})
