"""Metering: mean power by point and slot of time, as the history's readings that were believed tell it. A slot without any is NaN, never filled in.

Where a sensor told nothing those that the site file calls redundant to it stand in. Bills and reports begin with this. Slots are of equal length,
whole minutes, aligned to the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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
    """Means of T slots between `edges` (UTC), by the point's key, each of shape (T,) in the sensor's unit. `stood_in` says for how many slots of
    a point which redundant one stands in.
    """

    edges: Edges
    means: Mapping[str, Floats]
    stood_in: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def hours(self) -> float:
        """How long a slot lasts, h."""
        return (self.edges[1] - self.edges[0]) / timedelta(hours=1)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def of(self, key: str) -> Floats:
        """The means of a point, shape (T,); NaN throughout where nothing was ever read."""
        return self.means.get(key, np.full(len(self), np.nan))


def read(reader: Reader, site: Site, keys: Collection[str], start: datetime, end: datetime, every: timedelta = QUARTER) -> Metering:
    """The means of the points `keys` in [start, end), both multiples of `every`. Raises StoreFault where the database fails."""
    edges, beside = uniform(start, end, every), {key: site.sensors[key].redundant for key in keys if key in site.sensors}
    told = _told(reader, {*keys, *(other for others in beside.values() for other in others)}, edges, every)
    means, stood_in = {key: told[key] for key in keys}, dict[tuple[str, str], int]()
    for key, others in beside.items():
        for other in others:
            lent = np.isnan(means[key]) & ~np.isnan(told[other])
            means[key] = np.where(lent, told[other], means[key])
            stood_in |= {(key, other): int(lent.sum())} if lent.any() else {}
    return Metering(edges, means, stood_in)


def _told(reader: Reader, keys: Collection[str], edges: Edges, every: timedelta) -> dict[str, Floats]:
    """What each point told itself."""
    every_ms, start_ms = every // timedelta(milliseconds=1), milliseconds(edges[0])
    means, known = {key: np.full(len(edges) - 1, np.nan) for key in keys}, set(reader.points())
    there = [key for key in keys if key in known]
    for value in reader.means(there, start_ms, milliseconds(edges[-1]), every_ms) if there else ():
        if value.value is not None:
            means[value.point][(value.at_ms - start_ms) // every_ms] = value.value
    return means


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
