"""Metering: mean power by point and slot of time, as the history's readings that were believed tell it. A slot without any is NaN, never filled in.

Bills and reports begin with this. Slots are of equal length, whole minutes, aligned to the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from facility.clock import milliseconds
from facility.history.reading import Reader
from facility.site import Site
from facility.steps import Edges, uniform
from models.horizon import Floats

QUARTER: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Metering:
    """Means of T slots between `edges` (UTC), by the point's key, each of shape (T,) in the sensor's unit."""

    edges: Edges
    means: Mapping[str, Floats]

    @property
    def hours(self) -> float:
        """How long a slot lasts, h."""
        return (self.edges[1] - self.edges[0]) / timedelta(hours=1)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def of(self, key: str) -> Floats:
        """The means of a point, shape (T,); NaN throughout where nothing was ever read."""
        return self.means.get(key, np.full(len(self), np.nan))


def read(reader: Reader, keys: Collection[str], start: datetime, end: datetime, every: timedelta = QUARTER) -> Metering:
    """The means of the points `keys` in [start, end), both multiples of `every`. Raises StoreFault where the database fails."""
    edges, every_ms, start_ms = uniform(start, end, every), every // timedelta(milliseconds=1), milliseconds(start)
    means = {key: np.full(len(edges) - 1, np.nan) for key in keys}
    there = [key for key in keys if key in set(reader.points())]
    for value in reader.means(there, start_ms, milliseconds(end), every_ms) if there else ():
        if value.value is not None:
            means[value.point][(value.at_ms - start_ms) // every_ms] = value.value
    return Metering(edges, means)


def import_key(site: Site) -> str:
    """The point of the site's meter, kW drawn."""
    return f"site/meter/{site.grid.feed}/import_kw"


def pool_key(site: Site, pool: str) -> str:
    """The point of a pool's IT power, hosts included, kW."""
    return f"{site.pools[pool].hall}/pool/{pool}/it_power_kw"


def cooling_key(plant: str) -> str:
    """The point of a cooling plant's electric power, kW."""
    return f"site/cooling/{plant}/power_kw"


def battery_key(battery: str) -> str:
    """The point of a battery's power, kW; positive charges."""
    return f"site/battery/{battery}/power_kw"


def water_keys(site: Site) -> dict[str, str]:
    """The points of meters of water that comes in, m3/h, by id."""
    return {name: f"site/water/{name}/flow_m3_per_h" for name, meter in site.sustainability.water_meters.items() if meter.flows == "in"}


def generation_keys(site: Site) -> dict[str, str]:
    """The points of solar plants and gensets that are metered, kW given, by `solar/ID` or `genset/ID`."""
    metered = [("solar", name) for name, plant in site.solar.items() if plant.metered]
    metered += [("genset", name) for name, plant in site.gensets.items() if plant.metered]
    return {f"{kind}/{name}": f"site/{kind}/{name}/power_kw" for kind, name in metered}
