"""Annex: what a data centre of 500 kW or more tells the Union's database once a year: Delegated Regulation (EU) 2024/1364, Annex II.

Sums of the span are of the intervals that were measured, with the share of time that those make up; what is not known says what it needs.
Capacity and traffic stand in the Regulation for servers of general use; of a GPU site the bandwidth is stated and the rest has no meter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from facility.kpi.figure import Figure
from facility.kpi.indicators import GENERATION, HEAT, READINGS, WATER
from facility.kpi.metered import Metered, Series
from facility.sensors import busy_kw
from facility.site import Site
from models.horizon import Floats

SOURCE = "Delegated Regulation (EU) 2024/1364, Annex II"
WARM_DAY_C, WARM_BASE_C = 24.0, 21.0
"""A day's mean outdoors from which on it counts as one of cooling, and what is counted above (Eurostat, cooling degree days), degC."""


def annex(site: Site, metered: Metered, day_means_c: Sequence[float]) -> tuple[Figure, ...]:
    """The figures in the order of the Annex; `day_means_c` are the mean temperatures outdoors of the span's days that were measured."""
    used = (*_energy(site, metered), *_water(metered), *_heat(site, metered, day_means_c))
    return (*_buildings(site), *used, *_renewable(site, metered), *_capacity(site))


def cooling_degree_days(day_means_c: Sequence[float]) -> float:
    """Cooling degree days of days with these mean temperatures, K d.

    >>> cooling_degree_days([23.9, 24.0, 26.5])
    8.5
    """
    return float(sum(mean_c - WARM_BASE_C for mean_c in day_means_c if mean_c >= WARM_DAY_C))


def _buildings(site: Site) -> Iterator[Figure]:
    told = site.sustainability
    installed_kw = told.installed_it_kw or sum(busy_kw(site, pool) for pool in site.pools)
    says = "as the site file states it" if told.installed_it_kw else "of the pools, every GPU at its highest cap and its host at work"
    yield _figure("installed_it_kw", "installed IT power demand, PD_IT", installed_kw, "kW", says=says)
    yield _stated("floor_area_m2", "floor area of the data centre, S_DC", told.floor_area_m2, "m2")
    yield _stated("computer_room_m2", "floor area of computer rooms, S_CR", told.computer_room_m2, "m2")


def _energy(site: Site, metered: Metered) -> Iterator[Figure]:
    yield _summed("total_kwh", "total energy consumption, E_DC", metered, metered.total_kwh, "kWh", GENERATION)
    yield _summed("genset_kwh", "of it by backup generators, E_DC-BG", metered, metered.genset_kwh, "kWh", "a meter of each genset (`metered: true`)")
    yield _summed("it_kwh", "energy consumption of IT equipment, E_IT", metered, metered.it_kwh, "kWh", READINGS)
    sold = bool(site.grid.reserves)
    unknown = "needs what of the reserves that are sold batteries hold" if sold else ""
    yield _figure("battery_to_grid_kw", "average battery capacity offered to the grid, C_BtG", None if sold else 0.0, "kW", unknown=unknown)


def _water(metered: Metered) -> Iterator[Figure]:
    yield _summed("water_m3", "total water input, W_IN", metered, metered.water_in_m3, "m3", WATER)
    yield _summed("potable_m3", "of it drinking water, W_IN-POT", metered, metered.potable_m3, "m3", WATER)


def _heat(site: Site, metered: Metered, day_means_c: Sequence[float]) -> Iterator[Figure]:
    yield _summed("reused_kwh", "waste heat reused, E_REUSE", metered, metered.reused_kwh, "kWh", HEAT)
    supply_c = _weighed(metered.supply_c, metered.reused_kwh)
    unknown = "" if supply_c is not None else f"needs {HEAT if metered.reused_kwh is None else 'heat that was taken while its temperature was read'}"
    yield _figure("reused_c", "average temperature of waste heat, T_WH", supply_c, "degC", unknown=unknown, says="weighed by the heat taken")
    told = site.sustainability
    yield _stated("intake_set_point_c", "average set-point of intake air, T_IN", told.intake_set_point_c, "degC")
    kinds = None if told.refrigerants is None else float(len(told.refrigerants))
    named = ", ".join(told.refrigerants or ()) or "none"
    yield _stated("refrigerants", "types of refrigerants", kinds, "", says=named if told.refrigerants is not None else "")
    degrees = cooling_degree_days(day_means_c) if day_means_c else None
    unknown = "" if day_means_c else "needs readings of the temperature outdoors"
    says = f"of {len(day_means_c)} days, by their means outdoors" if day_means_c else ""
    yield _figure("cooling_degree_days", "cooling degree days, CDD", degrees, "K d", unknown=unknown, says=says)


def _renewable(site: Site, metered: Metered) -> Iterator[Figure]:
    """By contract and on site; the sum where all of them are known."""
    bought = site.sustainability.renewables
    kinds: dict[str, tuple[str, Series, str]] = {
        "guarantees_kwh": ("renewable energy by guarantees of origin, E_RES-GOO", _share(bought.guarantees_of_origin_share, metered), "both shares"),
        "power_purchase_kwh": ("by power purchase agreements, E_RES-PPA", _share(bought.power_purchase_share, metered), "both shares"),
        "on_site_kwh": ("made on site, E_RES-OS", metered.own_solar_kwh, ""),
    }
    every = [series for _, series, _ in kinds.values()]
    total = None if any(series is None for series in every) else np.asarray(sum(series for series in every if series is not None), float)
    needs = "each of its three kinds, below"
    yield _summed("renewable_kwh", "total renewable energy consumption, E_RES-TOT", metered, total, "kWh", needs)
    for key, (name, series, lacks) in kinds.items():
        yield _summed(key, name, metered, series, "kWh", "its share in `sustainability.renewables`" if lacks else GENERATION)


def _share(share: float | None, metered: Metered) -> Series:
    return None if share is None else np.asarray(share * metered.drawn_kwh, float)


def _capacity(site: Site) -> Iterator[Figure]:
    told = site.sustainability
    gpus = sum(pool.gpus for pool in site.pools.values())
    rating = f"needs a server efficiency rating (SERT); it has none for GPUs, of which there are {gpus:,}"
    yield _figure("server_capacity", "ICT capacity of servers, C_SERV", None, "", unknown=rating)
    yield _stated("storage_pb", "ICT capacity of storage, C_STOR", told.storage_pb, "PB")
    yield _stated("incoming_gbps", "incoming traffic bandwidth, B_IN", told.incoming_gbps, "Gbit/s")
    yield _stated("outgoing_gbps", "outgoing traffic bandwidth, B_OUT", told.outgoing_gbps, "Gbit/s")
    for key, name in (("incoming_eb", "incoming data traffic, T_IN"), ("outgoing_eb", "outgoing data traffic, T_OUT")):
        yield _figure(key, name, None, "EB", unknown="needs a meter of traffic, which the service does not read")


def _weighed(values: Series, weights: Series) -> float | None:
    """The mean of `values` by `weights` where both are known; None where nothing weighs."""
    if values is None or weights is None:
        return None
    known = np.isfinite(values) & np.isfinite(weights)
    by: Floats = weights[known]
    return float(values[known] @ by / by.sum()) if by.sum() > 0 else None


def _summed(key: str, name: str, metered: Metered, series: Series, unit: str, needs: str) -> Figure:
    (found,), covered = metered.sums(series)
    lacks = f"needs {READINGS if series is not None else needs}"
    return _figure(key, name, found, unit, unknown="" if found is not None else lacks, covered=covered)


def _stated(key: str, name: str, value: float | None, unit: str, says: str = "as the site file states it") -> Figure:
    known = value is not None
    return _figure(key, name, value, unit, says=says if known else "", unknown="" if known else f"needs `sustainability.{key}` in the site file")


def _figure(key: str, name: str, value: float | None, unit: str, *, says: str = "", unknown: str = "", covered: float = 1.0) -> Figure:
    return Figure(key, name, value, unit, SOURCE, says if value is not None else "", unknown, covered)
