"""Readings: what the history knows of a site's meters, by quarter of an hour, as `metered.Metered`.

The energy of a quarter is the mean of the readings that were believed in it (`facility.metering`), for its length; one such reading is enough.
A quarter without any is missing: NaN.

Batteries whose power was never measured in the span count as if they held the same at its end as at its beginning. Gensets without a meter count
as they were ordered, which the history keeps beside the meters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from facility.history.reading import Reader
from facility.kpi.metered import Metered, Series, added
from facility.metering import QUARTER, battery_key, cooling_key, import_key, pool_key, read
from facility.site import Site
from models.horizon import Floats

HOURS: Final = 0.25


def read_metered(reader: Reader, site: Site, start: datetime, end: datetime, carbon_g_per_kwh: Series) -> Metered:
    """What was metered in the quarters of [start, end), UTC and at quarters; `carbon_g_per_kwh` by quarter, None where it is not known.

    Raises StoreFault where the database fails.
    """
    count = (end - start) // QUARTER
    means = read(reader, site, _points(site), start, end).means
    imported = HOURS * means[import_key(site)]
    gensets = {name: HOURS * means[_genset(site, name)] for name in site.gensets}
    gensets = {name: kwh if site.gensets[name].metered else np.nan_to_num(kwh, nan=0.0) for name, kwh in gensets.items()}
    solar = [HOURS * means[f"site/solar/{name}/power_kw"] for name, plant in site.solar.items() if plant.metered]
    reused, supply_c = _heat(site, means, count)
    waters = {name: HOURS * means[f"site/water/{name}/flow_m3_per_h"] for name in site.sustainability.water_meters}
    meters = site.sustainability.water_meters
    return Metered(
        start=tuple(start + i * QUARTER for i in range(count)),
        hours=np.full(count, HOURS),
        import_kwh=imported,
        pool_kwh={name: HOURS * means[pool_key(site, name)] for name in site.pools},
        cooling_kwh={name: HOURS * means[cooling_key(name)] for name in site.cooling_plants},
        solar_kwh=added(solar, count) if len(solar) == len(site.solar) else None,
        genset_kwh=added(list(gensets.values()), count),
        stored_kwh=_stored(site, means, count),
        water_in_m3=_flows([waters[name] for name, meter in meters.items() if meter.flows == "in"], count),
        potable_m3=_flows([waters[name] for name, meter in meters.items() if meter.flows == "in" and meter.potable], count, any_=bool(meters)),
        water_out_m3=_flows([waters[name] for name, meter in meters.items() if meter.flows == "out"], count, any_=bool(meters)),
        reused_kwh=reused,
        supply_c=supply_c,
        outdoor_c=means["site/weather/outdoor/temperature_c"],
        carbon_kg=None if carbon_g_per_kwh is None else _carbon(site, imported, gensets, carbon_g_per_kwh),
    )


def read_power(reader: Reader, site: Site, start: datetime, end: datetime, every: timedelta) -> dict[datetime, float]:
    """The meter's means that are known in [start, end), kW, by the beginning of their intervals. Raises StoreFault."""
    told = read(reader, site, (import_key(site),), start, end, every)
    known = zip(told.edges, told.of(import_key(site)).tolist(), strict=False)
    return {at: kw for at, kw in known if kw == kw}  # noqa: PLR0124 - NaN is what was not measured


def _points(site: Site) -> list[str]:
    told = site.sustainability
    return [
        import_key(site),
        "site/weather/outdoor/temperature_c",
        *(pool_key(site, name) for name in site.pools),
        *(cooling_key(name) for name in site.cooling_plants),
        *(battery_key(name) for name in site.batteries),
        *(f"site/solar/{name}/power_kw" for name, plant in site.solar.items() if plant.metered),
        *(_genset(site, name) for name in site.gensets),
        *(f"site/water/{name}/flow_m3_per_h" for name in told.water_meters),
        *(f"site/heat/{name}/{point}" for name in told.heat_meters for point in ("reused_kw", "supply_c")),
    ]


def _genset(site: Site, name: str) -> str:
    return f"site/genset/{name}/{'power_kw' if site.gensets[name].metered else 'sent_power_kw'}"


def _stored(site: Site, means: Mapping[str, Floats], count: int) -> Floats:
    """What batteries hold more, kWh, by their power and the site file's efficiency; those without any reading left out."""
    parts = []
    for name, battery in site.batteries.items():
        kwh = HOURS * means[battery_key(name)]
        if np.isfinite(kwh).any():
            parts.append(np.where(kwh > 0, battery.efficiency * kwh, kwh / battery.efficiency))
    return added(parts, count)


def _heat(site: Site, means: Mapping[str, Floats], count: int) -> tuple[Series, Series]:
    """Heat used outside, kWh, and the temperature at which it was supplied, weighed by the heat."""
    names = list(site.sustainability.heat_meters)
    if not names:
        return None, None
    parts = [HOURS * means[f"site/heat/{name}/reused_kw"] for name in names]
    weighed = [kwh * means[f"site/heat/{name}/supply_c"] for name, kwh in zip(names, parts, strict=True)]
    heat = added(parts, count)
    supply_c = np.divide(added(weighed, count), heat, out=np.full(count, np.nan), where=heat > 0)
    return heat, supply_c


def _flows(parts: Sequence[Floats], count: int, *, any_: bool = False) -> Series:
    """The sum of meters; None where there is none, unless `any_` meter of water says that none flows there."""
    return added(parts, count) if parts or any_ else None


def _carbon(site: Site, imported: Floats, gensets: Mapping[str, Floats], intensity_g_per_kwh: Floats) -> Floats:
    burnt_g = added([kwh * site.gensets[name].carbon_g_per_kwh for name, kwh in gensets.items()], len(imported))
    return np.asarray((np.maximum(imported, 0.0) * intensity_g_per_kwh + burnt_g) / 1000, float)
