"""Approach: the air of a hall stays above the supply that cools it, by more the more heat is removed.

    temperature[t] >= supply[t] + approach * removed[t] - colder_k[t]        keeps_above

Checked at the end of a step; removal is constant within it. A hall that nothing heats but its base load may drift below any supply:
`colder_k` is at most what it then lacks, and it is discomfort.

| symbol   | name                                                            | unit |
|----------|-----------------------------------------------------------------|------|
| supply   | temperature of the supply, chosen or still a mixture of levels  | degC |
| approach | what the air stays above the supply, per heat removed           | K/kW |
| removed  | heat removed from the hall                                      | kW   |
| colder_k | discomfort: the hall is below its supply                        | K    |

Source: effectiveness of a coil at constant flow, as in ASHRAE Handbook, HVAC Systems and Equipment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import COMFORT_PRICE_PER_KWH_H, Bill
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.horizon import Floats
from models.table import table


def idle_c(zone: Hall, h: Floats, outdoor_c: Floats) -> Floats:
    """Temperature of a hall that its base load alone heats and nothing cools, at the end of each step, degC, shape (T,)."""
    memory, base_kw = zone.memory(h), zone.base(len(h))
    reached, now_c = np.zeros(len(h)), zone.start_c
    for t in range(len(h)):
        now_c = float(memory[t] * now_c + (1 - memory[t]) * (outdoor_c[t] + zone.resistance_k_per_kw * base_kw[t]))
        reached[t] = now_c
    return reached


def add(block: Any, set_point: SetPoint, mixed: Any, zone: Hall, hall: Any, h: Floats, steps: Any, outdoor_c: Floats) -> None:
    """Declare on `block` the approach of `zone`, on block `hall`; `mixed` is the block of the set-point while its levels are mixed."""
    coldest_c = np.asarray(set_point.supply_c or (min(set_point.levels_c),) * len(h))
    lacks_k = np.maximum(coldest_c - idle_c(zone, h, outdoor_c), 0.0)
    block.most_colder_k = table(lacks_k, steps)
    block.supply_c = table(set_point.supply_c, steps)

    def lacks(b: Any, t: int) -> Any:
        return 0, b.most_colder_k[t]

    block.colder_k = pyo.Var(steps, bounds=lacks, dense=False)

    def mixed_c(_b: Any, t: int) -> Any:
        return sum(mixed.level_c[i] * mixed.share[i, t] for i in mixed.LEVELS)

    def chosen_c(b: Any, t: int) -> Any:
        return b.supply_c[t]

    supply_c = chosen_c if set_point.supply_c else mixed_c

    @block.Constraint(steps)
    def keeps_above(b: Any, t: int) -> Any:
        return hall.temperature_c[t] >= supply_c(b, t) + (set_point.approach_k_per_kw * hall.removed_kw[t] - b.colder_k[t])


def cost(block: Any, zone: Hall, h: Any, steps: Any) -> Any:
    """Money for a hall below its supply; per kWh of heat that its capacity holds per K, and hour."""
    return sum(COMFORT_PRICE_PER_KWH_H * zone.heat_capacity_kwh_per_k * h[t] * block.colder_k[t] for t in steps)


def bill(zones: Sequence[Hall], supply_c: Sequence[Floats], hall_c: Sequence[Floats], h: Floats) -> Bill:
    """What `zones` cost below their supply, each with shape (T,), at `hall_c`; nothing where there are none."""
    if not zones:
        return Bill()
    below = [z.heat_capacity_kwh_per_k * float(np.maximum(s - c, 0.0) @ h) for z, s, c in zip(zones, supply_c, hall_c, strict=True)]
    return Bill({"below_supply": COMFORT_PRICE_PER_KWH_H * sum(below)})
