"""Metered: what the meters of a site counted in each interval of a span, and sums of it that fill nothing in.

    E_DC  = import + given by solar plants + given by gensets - stored        import is negative where the site gives back
    stored = efficiency * charged - discharged / efficiency                   of each battery: its losses stay in E_DC
    E_IT  = sum of the pools' meters
    E_ren = shares of contracts * import drawn + what solar plants gave and the site used

What a battery holds more at the end was not used in the span, which matters for hours and days and not for a year.

A series has shape (N,), NaN where its meter was not heard; one that the site has no meter for is None. What is asked of several series is
asked of the intervals in which every one of them is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats

Chosen = NDArray[np.bool_]
Series = Floats | None


@dataclass(frozen=True)
class Metered:
    """N intervals that begin at `start` (UTC) and last `hours`, shape (N,).

    Energies are kWh in each interval, `import_kwh` below 0 where more was given back than drawn; `pool_kwh` and `cooling_kwh` are by id.
    `water_in_m3` is all water that came in, `potable_m3` what of it was drinking water, `water_out_m3` what left to be used again.
    `stored_kwh` is what batteries have more at the end of an interval than at its beginning. `reused_kwh` is heat used outside, supplied at
    `supply_c` degC (its mean by heat). `carbon_kg` is what energy drawn and fuel emitted.
    """

    start: tuple[datetime, ...]
    hours: Floats
    import_kwh: Floats
    pool_kwh: Mapping[str, Floats]
    cooling_kwh: Mapping[str, Floats]
    solar_kwh: Series = None
    genset_kwh: Series = None
    stored_kwh: Series = None
    water_in_m3: Series = None
    potable_m3: Series = None
    water_out_m3: Series = None
    reused_kwh: Series = None
    supply_c: Series = None
    outdoor_c: Series = None
    carbon_kg: Series = None

    @property
    def it_kwh(self) -> Floats:
        """Energy of all pools, kWh, shape (N,)."""
        return np.asarray(sum(self.pool_kwh.values(), np.zeros(len(self.hours))), float)

    @property
    def total_kwh(self) -> Series:
        """All energy that the site took, kWh, shape (N,); None where it makes some that nobody measures."""
        if self.solar_kwh is None or self.genset_kwh is None:
            return None
        stored = 0.0 if self.stored_kwh is None else self.stored_kwh
        return np.asarray(self.import_kwh + self.solar_kwh + self.genset_kwh - stored, float)

    @property
    def drawn_kwh(self) -> Floats:
        """What was drawn from the grid, kWh, shape (N,)."""
        return np.maximum(self.import_kwh, 0.0)

    @property
    def own_solar_kwh(self) -> Series:
        """What solar plants gave and the site used itself, kWh, shape (N,)."""
        if self.solar_kwh is None:
            return None
        return np.maximum(self.solar_kwh + np.minimum(self.import_kwh, 0.0), 0.0)

    def only(self, chosen: Chosen) -> Metered:
        """The intervals that are `chosen`, shape (N,)."""
        changed: dict[str, Any] = {
            field.name: value[chosen] for field in fields(self) if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        changed["start"] = tuple(at for at, there in zip(self.start, chosen, strict=True) if there)
        for name, by_id in (("pool_kwh", self.pool_kwh), ("cooling_kwh", self.cooling_kwh)):
            changed[name] = {key: series[chosen] for key, series in by_id.items()}
        return replace(self, **changed)

    def sums(self, *series: Series) -> tuple[tuple[float | None, ...], float]:
        """The sum of each of `series` over the intervals in which all of them are known, and the share of the time that those make up.

        A series that nobody measures has no sum, and hides no interval of the others; where no interval is left there is no sum either.
        """
        known = np.ones(len(self.hours), bool)
        for each in series:
            known &= True if each is None else np.isfinite(each)
        whole = float(self.hours.sum())
        share = float(self.hours[known].sum()) / whole if whole else 0.0
        return tuple(None if each is None or not known.any() else float(each[known].sum()) for each in series), share


def added(parts: Sequence[Floats], length: int) -> Floats:
    """The sum of several series, NaN where one of them is; 0 where there are none."""
    return np.asarray(sum(parts, np.zeros(length)), float)
