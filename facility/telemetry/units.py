"""Units of readings: what a sender may call its unit, and how it becomes ours. Converted once, where readings come in.

    base = scale * value + offset          kW, degC, kWh or m3/h

Case counts: mW is not MW, and it is not in the table. A unit that is not in the table is not guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

POWER = {"W": (1e-3, 0.0), "kW": (1.0, 0.0), "MW": (1e3, 0.0)}
ENERGY = {"Wh": (1e-3, 0.0), "kWh": (1.0, 0.0), "MWh": (1e3, 0.0)}
CELSIUS, FAHRENHEIT, KELVIN = (1.0, 0.0), (5 / 9, -160 / 9), (1.0, -273.15)
TEMPERATURE = {
    **dict.fromkeys(("C", "degC", "°C"), CELSIUS),
    **dict.fromkeys(("F", "degF", "°F"), FAHRENHEIT),
    "K": KELVIN,
}
FLOW = {"l/h": (1e-3, 0.0), "l/min": (0.06, 0.0), "l/s": (3.6, 0.0), "m3/h": (1.0, 0.0)}
QUANTITIES = (POWER, ENERGY, TEMPERATURE, FLOW)
NAMES = ("W", "kW", "MW", "Wh", "kWh", "MWh", "degC", "degF", "K", "l/h", "l/min", "l/s", "m3/h")
"""One name for each unit, as we write it."""


@dataclass(frozen=True)
class Conversion:
    """From one unit into another of the same quantity: scale * value + offset."""

    scale: float
    offset: float

    def __call__(self, value: float) -> float:
        """Convert one value."""
        return self.scale * value + self.offset


def fitting(value: float, into: str) -> Iterator[tuple[str, float]]:
    """Give what `value` would be if it were told in each other unit of the same quantity.

    >>> [(unit, round(degc, 9)) for unit, degc in fitting(77.0, "degC")]
    [('degF', 25.0), ('K', -196.15)]
    """
    for units in QUANTITIES:
        if into in units:
            own, told = units[into], {units[into]}
            for unit in NAMES:
                if unit in units and units[unit] not in told:
                    told.add(units[unit])
                    scale, offset = units[unit]
                    yield unit, (scale * value + offset - own[1]) / own[0]


def conversion(unit: str, into: str) -> Conversion | None:
    """Find how `unit` becomes `into`; None where either is unknown or they measure different things.

    >>> round(conversion("degF", "degC")(77.0), 9), conversion("MW", "kW")(1.5), conversion("W", "degC")
    (25.0, 1500.0, None)
    """
    for units in QUANTITIES:
        if unit in units and into in units:
            (scale, offset), (into_scale, into_offset) = units[unit], units[into]
            return Conversion(scale / into_scale, (offset - into_offset) / into_scale)
    return None
