"""Carbon: what the energy drawn and the fuel burnt emit, what that costs, and a cap on it.

    sum over steps of intensity[t] * hours[t] * import_kw[t] + burnt[t] <= cap + over_carbon_kg     keeps_cap (only where there is a cap)

| symbol         | name                                            | unit     |
|----------------|-------------------------------------------------|----------|
| intensity      | of the grid's energy                            | kg/kWh   |
| burnt          | by gensets in the step (`genset`)               | kg       |
| cap            | most that may be emitted through the horizon    | kg       |
| over_carbon_kg | breach: emitted above the cap                   | kg       |
| price          | of what is emitted                              | money/kg |

Cost: price * emitted. The cap stands in the tier of contracts, for it is a promise and no limit of gear or grid: no value of work
buys a kg above it, and a tenant's floor or deadline, which costs more a unit, is kept before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import CARBON_PRICE_PER_KG, Bill
from models.horizon import Floats, Horizon
from models.power.feeder import Load, certain
from models.table import table


@dataclass(frozen=True)
class Carbon:
    """Intensity of each step, kg/kWh; money per kg; kg that may be emitted through the horizon, None: any."""

    kg_per_kwh: tuple[float, ...]
    price_per_kg: float = 0.0
    cap_kg: float | None = None

    def kg(self, horizon: Horizon, import_kw: Floats) -> Floats:
        """What drawing `import_kw` emits in each step, kg, shape (T,), without what is burnt."""
        return np.asarray(self.kg_per_kwh) * horizon.h * import_kw


def add(block: Any, carbon: Carbon, horizon: Horizon, steps: Any, import_kw: Load, burnt_kg: Load = certain) -> None:
    """Declare emissions on `block`; `import_kw(t)` is what the site draws, `burnt_kg(t)` what its gensets emit."""
    block.kg_per_kw = table(carbon.kg(horizon, np.ones(len(horizon))), steps)
    block.END = pyo.Set(initialize=[] if carbon.cap_kg is None else [len(horizon) - 1])
    block.over_carbon_kg = pyo.Var(block.END, bounds=(0, None), dense=False)

    @block.Constraint(block.END)
    def keeps_cap(b: Any, t: int) -> Any:
        return sum(b.kg_per_kw[s] * import_kw(s) + burnt_kg(s) for s in steps) <= carbon.cap_kg + b.over_carbon_kg[t]


def cost(block: Any, carbon: Carbon, steps: Any, import_kw: Load, burnt_kg: Load = certain) -> Any:
    """Money for what is emitted, and for emitting more than the cap."""
    return sum(carbon.price_per_kg * (block.kg_per_kw[t] * import_kw(t) + burnt_kg(t)) for t in steps) + sum(
        CARBON_PRICE_PER_KG * block.over_carbon_kg[t] for t in block.END
    )


def bill(carbon: Carbon, horizon: Horizon, import_kw: Floats, burnt_kg: Floats) -> Bill:
    """What drawing `import_kw` and burning fuel costs and breaks, each shape (T,); what is above the cap is told as each step emits."""
    kg = carbon.kg(horizon, import_kw) + burnt_kg
    emitted = float(kg.sum())
    over = 0.0 if carbon.cap_kg is None else max(0.0, emitted - carbon.cap_kg)
    breach = {"over_carbon_kg": kg * (over / emitted if over else 0.0)}
    return Bill({"carbon": carbon.price_per_kg * emitted, "over_carbon_kg": CARBON_PRICE_PER_KG * over}, breach)
