"""Thermal store: a tank of chilled water, filled at one hour to cool halls at another.

    stored[t] = keep[t] * stored[t-1] + h[t] * charge[t],    keep[t] = (1 - loss) ^ h[t]            stores
    -most discharge <= charge[t] <= most charge,    0 <= stored[t] <= capacity
    stored[last] >= stored[start] - end_empty                                                       ends_no_emptier

A plant chills its tank beside its halls, or the tank takes heat off it: the plant's heat is that of its halls and loops plus
`charge`, never less than nothing. Nothing is lost but through the tank's wall, so filling and emptying at once would come to their
difference: one variable holds both, and the tank goes one way at any price.

| symbol    | name                                                          | unit |
|-----------|---------------------------------------------------------------|------|
| stored    | heat that the tank can still take                             | kWh  |
| charge    | heat the plant takes out of the tank; negative: put into it   | kW   |
| loss      | share of what is stored that warms up in an hour              | 1/h  |
| end_empty | discomfort: what the end lacks of the start                   | kWh  |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import COMFORT_PRICE_PER_KWH_H, Bill
from models.horizon import Floats, Horizon
from models.table import table


@dataclass(frozen=True)
class ThermalStore:
    """Cold up to `capacity_kwh`, `start_kwh` now; most heat moved either way, kW; share lost in an hour."""

    capacity_kwh: float
    charge_kw: float
    discharge_kw: float
    loss_share_per_h: float
    start_kwh: float

    def keep(self, h: Floats) -> Floats:
        """Share of what is stored that is left after steps of `h` hours, shape (T,)."""
        return np.asarray((1 - self.loss_share_per_h) ** h)

    def holds_kw(self, h: Floats) -> Floats:
        """The charge that keeps the tank as full as it is over steps of `h` hours, kW, shape (T,)."""
        return np.asarray(np.minimum(self.start_kwh * (1 - self.keep(h)) / h, self.charge_kw))

    def follows_kw(self, asked_kw: float, kept_kwh: float, hours: float, heat_kw: float, most_kw: float) -> float:
        """What of an asked charge really happens over `hours` with `kept_kwh` in the tank, kW.

        Halls and loops give off `heat_kw` and the plant removes `most_kw`: the tank takes no more than they give off, is charged
        with what the plant has left, and helps beyond what was asked where the plant alone falls short.
        """
        least = -min(self.discharge_kw, kept_kwh / hours, heat_kw)
        return max(least, min(asked_kw, self.charge_kw, (self.capacity_kwh - kept_kwh) / hours, most_kw - heat_kw))


def add(block: Any, store: ThermalStore, horizon: Horizon, steps: Any) -> None:
    """Declare one plant's tank on `block`. Publishes `charge_kw`."""
    last = len(horizon) - 1
    block.h = table(horizon.hours, steps)
    block.keep = table(store.keep(horizon.h), steps)
    block.start_kwh = pyo.Param(initialize=store.start_kwh)
    block.START = pyo.Set(initialize=[0])
    block.LATER = pyo.RangeSet(1, last)
    block.END = pyo.Set(initialize=[last])
    block.charge_kw = pyo.Var(steps, bounds=(-store.discharge_kw, store.charge_kw), dense=False)
    block.stored_kwh = pyo.Var(steps, bounds=(0, store.capacity_kwh), dense=False)
    block.end_empty_kwh = pyo.Var(bounds=(0, None))

    @block.Constraint(block.START)
    def stores_first(b: Any, t: int) -> Any:
        return b.stored_kwh[t] == b.keep[t] * b.start_kwh + b.h[t] * b.charge_kw[t]

    @block.Constraint(block.LATER)
    def stores(b: Any, t: int) -> Any:
        return b.stored_kwh[t] == b.keep[t] * b.stored_kwh[t - 1] + b.h[t] * b.charge_kw[t]

    @block.Constraint(block.END)
    def ends_no_emptier(b: Any, t: int) -> Any:
        return b.stored_kwh[t] >= b.start_kwh - b.end_empty_kwh


def cost(block: Any) -> Any:
    """Money for a tank that ends emptier than it began, at the price of a hall that ends warmer."""
    return COMFORT_PRICE_PER_KWH_H * block.end_empty_kwh


def bill(stores: Sequence[ThermalStore], stored_kwh: Floats) -> Bill:
    """What `stores` cost that hold `stored_kwh` at the end of each step, shape (S, T)."""
    start = np.array([store.start_kwh for store in stores])
    return Bill({"emptied": COMFORT_PRICE_PER_KWH_H * float(np.maximum(start - stored_kwh[:, -1], 0.0).sum())})
