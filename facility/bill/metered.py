"""Metered: the energy of each slot - of the meter and of all that hangs below it - with every gap filled in a stated way, and said.

| what                  | where no reading of a slot is believed                                                              |
|-----------------------|-----------------------------------------------------------------------------------------------------|
| the meter             | the mean of the slots around the gap, in proportion to time; with none at all, the sum of what      |
|                       | hangs below it with its losses. The bill is provisional                                             |
| a pool                | what was expected of who ran there; where that was not wholly counted, the slots around the gap     |
| a plant, a battery    | the slots around the gap; with none at all it has no meter, and what it drew is among the losses    |
| generation            | as a plant; with no meter what it gave makes the losses less                                        |
| water                 | as a plant                                                                                          |
| a hall's base load    | has no meter: the site file's base_kw, said as assumed                                              |

A sensor that is redundant to one goes before all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from facility.metering import Metering, battery_key, cooling_key, generation_keys, import_key, pool_key, water_keys
from facility.problem.electrical import losses_to_meter
from facility.site import Site
from models.horizon import Floats


@dataclass(frozen=True)
class Gap:
    """`slots` of `of` of a point had no reading, and what stands there instead."""

    point: str
    slots: int
    of: int
    filled: str

    def __str__(self) -> str:
        return f"{self.point}: no reading in {self.slots} of {self.of} intervals; filled by {self.filled}"


@dataclass(frozen=True)
class Metered:
    """kWh in each slot, shape (T,), by id. `import_kwh` is below 0 where more was given back than drawn, `battery_kwh` where one discharged;
    `given_kwh` is what solar plants and gensets gave, as far as they are metered, `genset_kwh` the latter by id. `water_m3` is what came in.
    """

    import_kwh: Floats
    pool_kwh: Mapping[str, Floats]
    cooling_kwh: Mapping[str, Floats]
    base_kwh: Mapping[str, Floats]
    battery_kwh: Mapping[str, Floats]
    given_kwh: Floats
    genset_kwh: Mapping[str, Floats]
    water_m3: Floats
    gaps: tuple[Gap, ...]
    provisional: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def losses_kwh(self) -> Floats:
        """What the meter has more than all below it, and batteries and generation, shape (T,); below 0 where meters differ so."""
        below = np.zeros(len(self.import_kwh))
        for parts in (self.pool_kwh, self.cooling_kwh, self.base_kwh, self.battery_kwh):
            for kwh in parts.values():
                below = below + kwh
        return np.asarray(self.import_kwh - below + self.given_kwh, float)


def metered(site: Site, metering: Metering, expected_kwh: Mapping[str, Floats]) -> Metered:
    """The energy of every slot of `metering`; `expected_kwh` is what was expected of each pool, NaN where it was not counted, shape (T,)."""
    gaps = [Gap(key, slots, len(metering), f"{other}, redundant to it") for (key, other), slots in metering.stood_in.items()]
    hours = metering.hours

    def around(key: str) -> Floats | None:
        """A point's energy with gaps filled by the slots around them; None where nothing was ever read."""
        kwh = metering.of(key) * hours
        lacking = np.isnan(kwh)
        if lacking.all():
            return None
        if lacking.any():
            gaps.append(Gap(key, int(lacking.sum()), len(kwh), "the intervals around the gap"))
        return _between(kwh)

    pools = {name: _pool(site, name, metering, expected_kwh[name], gaps) for name in site.pools}
    cooling = {name: kwh for name in site.cooling_plants if (kwh := around(cooling_key(name))) is not None}
    batteries = {name: kwh for name in site.batteries if (kwh := around(battery_key(name))) is not None}
    given = {name: kwh for name, key in generation_keys(site).items() if (kwh := around(key)) is not None}
    gensets = {name.removeprefix("genset/"): kwh for name, kwh in given.items() if name.startswith("genset/")}
    water = [m3 for key in water_keys(site).values() if (m3 := around(key)) is not None]
    base = {name: np.full(len(metering), hall.base_kw * hours) for name, hall in site.halls.items()}
    assumed = [f"base load of {name}: its base_kw, {hall.base_kw:g} kW, for no meter tells it" for name, hall in site.halls.items() if hall.base_kw]
    unpriced = [f"fuel of genset {name}: no meter tells what it gave, and it is not billed" for name in site.gensets if name not in gensets]
    unpriced += ["water: no meter tells it, and it is not billed"] if site.tariff.water_price_per_m3 and not water else []
    solar = {name.removeprefix("solar/") for name in given if name.startswith("solar/")}
    drew, gave = "what it drew is among the losses", "what it gave makes the losses less"
    for kind, every, known, so in (
        ("cooling plant", site.cooling_plants, cooling, drew), ("battery", site.batteries, batteries, drew), ("solar plant", site.solar, solar, gave)
    ):  # fmt: skip
        assumed += [f"{kind} {name}: no meter tells its power; {so}" for name in every if name not in known]
    none = np.zeros(len(metering))
    sums, water_m3 = (np.asarray(sum(each, none), float) for each in (given.values(), water))
    parts = Metered(none, pools, cooling, base, batteries, sums, gensets, water_m3, (), (), ())
    meter, provisional = _meter(site, metering, parts, gaps)
    return replace(parts, import_kwh=meter, gaps=tuple(gaps), provisional=provisional, assumed=(*assumed, *unpriced))


def _meter(site: Site, metering: Metering, parts: Metered, gaps: list[Gap]) -> tuple[Floats, tuple[str, ...]]:
    key = import_key(site)
    kwh = metering.of(key) * metering.hours
    lacking = np.isnan(kwh)
    if not lacking.any():
        return kwh, ()
    if lacking.all():
        gaps.append(Gap(key, len(kwh), len(kwh), "the sum of what hangs below it, with losses by the site file"))
        return _reckoned(site, parts), ("nothing was read of the meter",)
    gaps.append(Gap(key, int(lacking.sum()), len(kwh), "the intervals around the gap"))
    return _between(kwh), (f"the meter was not read in {int(lacking.sum())} of {len(kwh)} intervals",)


def _reckoned(site: Site, parts: Metered) -> Floats:
    """What the meter would have read by what hangs below it."""
    places = {name: pool.feeder for name, pool in site.pools.items()}
    found = sum((kwh * losses_to_meter(site, places[name]) for name, kwh in parts.pool_kwh.items()), -parts.given_kwh)
    for every, known in ((site.cooling_plants, parts.cooling_kwh), (site.halls, parts.base_kwh), (site.batteries, parts.battery_kwh)):
        feeders = {name: thing.feeder for name, thing in every.items()}
        found = sum((kwh * losses_to_meter(site, feeders[name]) for name, kwh in known.items()), found)
    return np.asarray(found, float)


def _pool(site: Site, pool: str, metering: Metering, expected_kwh: Floats, gaps: list[Gap]) -> Floats:
    key = pool_key(site, pool)
    kwh = metering.of(key) * metering.hours
    lacking = np.isnan(kwh)
    counted = lacking & ~np.isnan(expected_kwh)
    if counted.any():
        gaps.append(Gap(key, int(counted.sum()), len(kwh), "what was expected of who ran there"))
        kwh = np.where(counted, expected_kwh, kwh)
    left = lacking & ~counted
    if left.any():
        gaps.append(Gap(key, int(left.sum()), len(kwh), "nothing, for it was never read" if left.all() else "the intervals around the gap"))
    return np.zeros(len(kwh)) if left.all() else _between(kwh)


def _between(kwh: Floats) -> Floats:
    """`kwh` with gaps filled in a straight line between the slots around them; at the ends as the nearest one."""
    known = ~np.isnan(kwh)
    at = np.arange(len(kwh))
    return kwh if known.all() else np.interp(at, at[known], kwh[known])
