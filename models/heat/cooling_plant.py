"""Cooling plant: electricity for the heat of its halls and liquid loops.

    heat[t]     = sum of its halls' and loops' removed_kw[t], + charge of its tank, <= most heat[t]      has_capacity
    power_kw[t] >= intercept[s,t] + slope[s,t] * heat[t]      for every segment s        removes_heat
    power_kw[t] <= chord_intercept[t] + chord_slope[t] * heat[t]                         burns_no_more

The plant's power is convex in heat (`models.heat.chiller`). The segments are secants between points of the curve: they lie on or
above it, so a limit that holds in the program holds in the plant. The chord from no heat to full heat lies above all of them: at
a negative price the program burns no more than that, and `models.solving.settle` then takes away what physics would not draw.

Where the supply temperature is still to be chosen, `models.heat.set_point` says what the plant draws instead; once it is, the curve of
each step is that of its level.

Cost: the water that evaporates, water[t] m3 per kWh of heat: litres per kWh of what free cooling, which is dry, leaves to the
chillers.

| symbol    | name                              | unit  |
|-----------|-----------------------------------|-------|
| heat      | heat removed                      | kW    |
| most heat | capacity in that step's weather, less what `models.grid.uncertainty` spares | kW |
| power_kw  | electric power of the plant       | kW    |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.heat.chiller import Chiller
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.heat.thermal_store import ThermalStore
from models.horizon import Floats
from models.power.feeder import Load
from models.table import table


@dataclass(frozen=True)
class CoolingPlant:
    """A plant of `chiller` figures on a feeder, with a tank or none; litres evaporated per kWh of heat through its chillers,
    money per m3. `set_point` None: its supply is always as warm as usual.
    """

    id: str
    feeder: str
    chiller: Chiller
    water_l_per_kwh: float = 0.0
    water_price_per_m3: float = 0.0
    store: ThermalStore | None = None
    set_point: SetPoint | None = None

    def water_m3_per_kwh(self, outdoor_c: Floats) -> Floats:
        """Water evaporated per kWh of heat removed at outdoor temperature (degC, any shape), m3/kWh."""
        return np.asarray(self.water_l_per_kwh / 1000 * self.chiller.chilled_share(outdoor_c))

    @property
    def is_open(self) -> bool:
        """Whether its supply temperature is still to be chosen."""
        return self.set_point is not None and not self.set_point.supply_c

    def at(self, supply_c: tuple[float, ...]) -> CoolingPlant:
        """The plant, which has a set-point, with its supply at `supply_c`, degC by step."""
        if self.set_point is None:
            raise ValueError(f"cooling plant {self.id!r} has no set-point")
        warmer_k = np.asarray(supply_c) - self.set_point.usual_c
        more_cop = tuple((self.set_point.cop_gain_per_k * warmer_k).tolist())
        shift_k = tuple((self.set_point.free_shift_per_k * warmer_k).tolist())
        chiller = replace(self.chiller, more_cop=more_cop, free_shift_k=shift_k)
        return replace(self, chiller=chiller, set_point=replace(self.set_point, supply_c=supply_c))

    def curves(self, outdoor_c: Floats) -> list[tuple[Floats, Floats, Floats]]:
        """The `secants` of each level of its set-point."""
        levels = self.set_point.levels_c if self.set_point else ()
        return [secants(self.at((c,) * len(outdoor_c)).chiller, outdoor_c) for c in levels]


def secants(chiller: Chiller, outdoor_c: Floats) -> tuple[Floats, Floats, Floats]:
    """Slopes and intercepts of the segments, shape (S, T), and the (slope, intercept) of the chord, shape (2, T)."""
    heat = chiller.breakpoints_kw()[:, None]
    power = chiller.power_kw(heat, outdoor_c[None, :])
    slope = np.diff(power, axis=0) / np.diff(heat, axis=0)
    chord = (power[-1] - power[0]) / (heat[-1] - heat[0])
    return slope, power[:-1] - slope * heat[:-1], np.stack([chord, power[0] - chord * heat[0]])


def add(block: Any, plant: CoolingPlant, steps: Any, removed_kw: Sequence[Load], outdoor_c: Floats, most_kw: Floats) -> None:
    """Declare one plant on `block`; `removed_kw` are the heats taken from its halls, loops and tank, together at most `most_kw`.

    Publishes `heat_kw` and `power_kw`; what the plant draws for it is left open where its set-point is.
    """
    block.most_heat_kw = table(most_kw, steps)
    block.heat_kw = pyo.Var(steps, bounds=lambda b, t: (0, b.most_heat_kw[t]), dense=False)
    block.power_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def has_capacity(b: Any, t: int) -> Any:
        return b.heat_kw[t] == sum(removed(t) for removed in removed_kw)

    if not plant.is_open:
        _add_curve(block, plant, steps, outdoor_c)


def _add_curve(block: Any, plant: CoolingPlant, steps: Any, outdoor_c: Floats) -> None:
    slope, intercept, chord = secants(plant.chiller, outdoor_c)
    block.SEGMENTS = pyo.RangeSet(0, len(slope) - 1)
    block.slope = table(slope, block.SEGMENTS, steps)
    block.intercept_kw = table(intercept, block.SEGMENTS, steps)
    block.chord_slope = table(chord[0], steps)
    block.chord_intercept_kw = table(chord[1], steps)

    @block.Constraint(block.SEGMENTS, steps)
    def removes_heat(b: Any, s: int, t: int) -> Any:
        return b.power_kw[t] >= b.intercept_kw[s, t] + b.slope[s, t] * b.heat_kw[t]

    @block.Constraint(steps)
    def burns_no_more(b: Any, t: int) -> Any:
        return b.power_kw[t] <= b.chord_intercept_kw[t] + b.chord_slope[t] * b.heat_kw[t]


def cost(block: Any, plant: CoolingPlant, outdoor_c: Floats, h: Any, steps: Any) -> Any:
    """Money for water."""
    price = (plant.water_price_per_m3 * plant.water_m3_per_kwh(outdoor_c)).tolist()
    block.water_price_per_kwh = table(price, steps)
    return sum(block.water_price_per_kwh[t] * h[t] * block.heat_kw[t] for t in steps)


def water_m3(plants: Sequence[CoolingPlant], heat_kw: Floats, outdoor_c: Floats, h: Floats) -> Floats:
    """Water that `plants` evaporate where they remove `heat_kw`, shape (C, T), over steps of `h` hours: m3, shape (C,)."""
    return np.array([float((c.water_m3_per_kwh(outdoor_c) * kw) @ h) for c, kw in zip(plants, heat_kw, strict=True)])


def bill(plants: Sequence[CoolingPlant], heat_kw: Floats, outdoor_c: Floats, h: Floats) -> Bill:
    """What the water of `plants` costs where they remove `heat_kw`, shape (C, T)."""
    price = np.array([c.water_price_per_m3 for c in plants])
    return Bill({"water": float(price @ water_m3(plants, heat_kw, outdoor_c, h))})


@dataclass(frozen=True)
class Served:
    """What a plant did: temperature reached (degC) and chips' heat left uncooled (kW) by hall, heat removed (kW), what of it came
    out of its tank (kW) and what that holds (kWh), and heat removed by hall (kW), each shape (T,).
    """

    hall_c: Mapping[str, Floats]
    uncooled_kw: Mapping[str, Floats]
    heat_kw: Floats
    store_kw: Floats
    store_kwh: Floats
    zone_kw: Mapping[str, Floats]


def serve(
    plant: CoolingPlant,
    zones: Sequence[Hall],
    air_kw: Mapping[str, Floats],
    liquid_kw: Mapping[str, Floats],
    wanted_c: Mapping[str, Floats],
    charge_kw: Floats,
    h: Floats,
    outdoor_c: Floats,
    most_kw: Floats,
) -> Served:
    """What `plant` does over steps of `h` hours.

    It removes `liquid_kw`, by hall with a loop of it, and what brings each of its `zones`, in which `air_kw` is released, to
    `wanted_c` by the end of each step, as far as `most_kw`, shape (T,), and its tank reach; what they lack is shared in proportion.
    No zone gets colder than the supply allows.
    The tank is asked for `charge_kw`, shape (T,).
    """
    loops_kw = sum(liquid_kw.values(), np.zeros(len(h)))
    memory = {z.id: z.memory(h) for z in zones}
    now = {z.id: z.start_c for z in zones}
    reached, taken = ({z.id: np.zeros(len(h)) for z in zones} for _ in range(2))
    share, removed_kw, store_kw, store_kwh = np.ones(len(h)), np.zeros(len(h)), np.zeros(len(h)), np.zeros(len(h))
    tank, stored_kwh = plant.store, plant.store.start_kwh if plant.store else 0.0
    keep = tank.keep(h) if tank else np.ones(len(h))
    for t in range(len(h)):
        wanted_kw = {}
        for z in zones:
            a = memory[z.id][t]
            settle = (wanted_c[z.id][t] - a * now[z.id]) / (1 - a)
            wanted_kw[z.id] = max(0.0, air_kw[z.id][t] - (settle - outdoor_c[t]) / z.resistance_k_per_kw)
            if plant.set_point is not None:
                alone_c = outdoor_c[t] + z.resistance_k_per_kw * air_kw[z.id][t]
                removable_kw = plant.set_point.removable_kw(z, a, now[z.id], alone_c, plant.set_point.supply_c[t])
                wanted_kw[z.id] = min(wanted_kw[z.id], removable_kw)
        asked_kw = sum(wanted_kw.values()) + loops_kw[t]
        kept_kwh = keep[t] * stored_kwh
        store_kw[t] = tank.follows_kw(charge_kw[t], kept_kwh, h[t], asked_kw, most_kw[t]) if tank else 0.0
        store_kwh[t] = stored_kwh = kept_kwh + h[t] * store_kw[t]
        share[t] = min(1.0, (most_kw[t] - store_kw[t]) / max(asked_kw, 1e-9))
        removed_kw[t] = share[t] * asked_kw + store_kw[t]
        for z in zones:
            a = memory[z.id][t]
            taken[z.id][t] = share[t] * wanted_kw[z.id]
            settle = outdoor_c[t] + z.resistance_k_per_kw * (air_kw[z.id][t] - taken[z.id][t])
            now[z.id] = a * now[z.id] + (1 - a) * settle
            reached[z.id][t] = now[z.id]
    return Served(reached, {hall: (1 - share) * kw for hall, kw in liquid_kw.items()}, removed_kw, store_kw, store_kwh, taken)
