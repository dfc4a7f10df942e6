"""Hall: a thermal zone with one temperature.

    C dT/dt = heat - removed - (T - outdoor) / R, inputs constant within a step, solved exactly:
    T[t] = a[t] * T[t-1] + (1 - a[t]) * (outdoor[t] + R * (heat[t] - removed[t])),   a[t] = exp(-h[t] / (R C))    warms
    T[t] <= recommended_max + warm_k[t]                       recommended_max
    T[t] >= recommended_min - cold_k[t]                       recommended_min
    T[t] <= allowable_max + too_hot_k[t]                      allowable_max
    T[last] <= T[start] + end_warm_k                          ends_no_hotter

Within a step the temperature is monotone, so its ends bound it; explicit Euler would be unstable at an hour.

| symbol           | name                                                   | unit  |
|------------------|--------------------------------------------------------|-------|
| C                | effective heat capacity, water included                | kWh/K |
| R                | resistance of the envelope to the outside              | K/kW  |
| heat             | IT power and base load                                 | kW    |
| removed          | heat the cooling plant removes                         | kW    |
| too_hot_k        | breach: above the allowable band                       | K     |
| warm_k, cold_k   | discomfort: outside the recommended band               | K     |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import COMFORT_PRICE_PER_KWH_H, PLANT, Bill
from models.horizon import Floats, Horizon
from models.table import table


@dataclass(frozen=True)
class Hall:
    """A zone at `start_c` now. `cooling_plant` None: temperature and cooling are outside the model.

    `base_kw` is always on, or told for each step; in the pessimistic forecast `more_base_kw` comes to it, () where none is told.
    `liquid_plant` removes the heat that its pools' cold plates take; None: there is no loop.
    """

    id: str
    feeder: str
    base_kw: float | tuple[float, ...] = 0.0
    cooling_plant: str | None = None
    start_c: float = 24.0
    heat_capacity_kwh_per_k: float = 1.0
    resistance_k_per_kw: float = 1.0
    recommended_min_c: float = 18.0
    recommended_max_c: float = 27.0
    allowable_max_c: float = 35.0
    liquid_plant: str | None = None
    more_base_kw: tuple[float, ...] = ()

    def base(self, steps: int) -> Floats:
        """Expected base load, kW, shape (T,)."""
        return np.broadcast_to(np.asarray(self.base_kw, float), (steps,))

    def memory(self, h: Floats) -> Floats:
        """a[t]: share of a temperature difference that is left after a step of `h` hours, shape (T,)."""
        return np.exp(-h / (self.resistance_k_per_kw * self.heat_capacity_kwh_per_k))

    @property
    def end_max_c(self) -> float:
        """The horizon may end no hotter than it started, nor need it end below the recommended band, degC."""
        return max(self.start_c, self.recommended_min_c)


def add(block: Any, hall: Hall, horizon: Horizon, steps: Any, heat_kw: Callable[[int], Any], outdoor_c: Floats) -> None:
    """Declare one hall on `block`; `heat_kw(t)` is what is released in it. Publishes `removed_kw`."""
    last = len(horizon) - 1
    memory = hall.memory(horizon.h)
    block.memory = table(memory, steps)
    block.outdoor_c = table(outdoor_c, steps)
    block.resistance_k_per_kw = pyo.Param(initialize=hall.resistance_k_per_kw)
    block.START = pyo.Set(initialize=[0])
    block.LATER = pyo.RangeSet(1, last)
    block.END = pyo.Set(initialize=[last])
    block.start_c = pyo.Param(initialize=hall.start_c)
    block.temperature_c = pyo.Var(steps, dense=False)
    block.removed_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.too_hot_k = pyo.Var(steps, bounds=(0, None), dense=False)
    block.warm_k = pyo.Var(steps, bounds=(0, None), dense=False)
    block.cold_k = pyo.Var(steps, bounds=(0, None), dense=False)
    block.end_warm_k = pyo.Var(bounds=(0, None))

    def settles_at_c(b: Any, t: int) -> Any:
        return b.outdoor_c[t] + b.resistance_k_per_kw * (heat_kw(t) - b.removed_kw[t])

    @block.Constraint(block.START)
    def warms_first(b: Any, t: int) -> Any:
        return b.temperature_c[t] == b.memory[t] * b.start_c + (1 - b.memory[t]) * settles_at_c(b, t)

    @block.Constraint(block.LATER)
    def warms(b: Any, t: int) -> Any:
        return b.temperature_c[t] == b.memory[t] * b.temperature_c[t - 1] + (1 - b.memory[t]) * settles_at_c(b, t)

    @block.Constraint(steps)
    def recommended_max(b: Any, t: int) -> Any:
        return b.temperature_c[t] <= hall.recommended_max_c + b.warm_k[t]

    @block.Constraint(steps)
    def recommended_min(b: Any, t: int) -> Any:
        return b.temperature_c[t] >= hall.recommended_min_c - b.cold_k[t]

    @block.Constraint(steps)
    def allowable_max(b: Any, t: int) -> Any:
        return b.temperature_c[t] <= hall.allowable_max_c + b.too_hot_k[t]

    @block.Constraint(block.END)
    def ends_no_hotter(b: Any, t: int) -> Any:
        return b.temperature_c[t] <= hall.end_max_c + b.end_warm_k


def cost(block: Any, hall: Hall, h: Any, steps: Any) -> Any:
    """Money for leaving the bands; prices are per kWh of heat that the hall's capacity holds per K, and hour."""
    capacity = hall.heat_capacity_kwh_per_k
    return (
        sum(PLANT.price * capacity * h[t] * block.too_hot_k[t] for t in steps)
        + sum(COMFORT_PRICE_PER_KWH_H * capacity * h[t] * (block.warm_k[t] + block.cold_k[t]) for t in steps)
        + COMFORT_PRICE_PER_KWH_H * capacity * block.end_warm_k
    )


def bill(zones: Sequence[Hall], temperature_c: Floats, h: Floats) -> Bill:
    """What `zones` cost outside their bands at `temperature_c`, shape (Z, T)."""

    def column(figure: str) -> Floats:
        return np.array([getattr(z, figure) for z in zones]).reshape(-1, 1)

    capacity = column("heat_capacity_kwh_per_k")
    warm = np.maximum(temperature_c - column("recommended_max_c"), 0.0)
    cold = np.maximum(column("recommended_min_c") - temperature_c, 0.0)
    end_warm = np.maximum(temperature_c[:, -1:] - column("end_max_c"), 0.0)
    too_hot = np.maximum(temperature_c - column("allowable_max_c"), 0.0)
    return Bill(
        {
            "comfort": COMFORT_PRICE_PER_KWH_H * float((capacity * ((warm + cold) * h)).sum() + (capacity * end_warm).sum()),
            "too_hot_k": PLANT.price * float((capacity * too_hot * h).sum()),
        },
        {"too_hot_k": too_hot},
    )
