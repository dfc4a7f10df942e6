"""Cooling: the figures of a plant and of its halls, from what it drew, what its halls gave off, and how warm it was.

    power_kw[n] = chiller(heat[n], outdoor[n]) + pumps + fans + misc                        models.heat.chiller, the shape that plans use
    heat[n]     = sum over halls (it + base - (T - outdoor) / R - C dT/dt) + chips' heat in its loops
                  or what a meter of heat read, `site/cooling/PLANT/heat_kw`

Pumps, fans and the rest are told by hours in which the plant cools freely, where they are all that it draws, if those tell them better than
all hours do: then what is not as it should be in the curve of its chillers does not reach them. With a meter of heat, C and R of the halls
follow from their own balance. Without, all is told by the plant's power, for what is taken to cool the air further has to be removed; it is
then as good as the curve of the plant is true and the mean of heat stands for heat, and a difference below `BY_CURVE` is not flagged.

| symbol  | name                                          | unit |
|---------|-----------------------------------------------|------|
| heat    | heat removed, mean of interval n              | kW   |
| it      | power of the hall's pools, less what their loops take | kW |
| T       | temperature of the hall                       | degC |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from facility.fit.estimate import MATTERS_SHARE, Estimate, Fitted, Model, Parameter, fit, spread
from facility.fit.figures import laid_on, of_hall, of_plant
from facility.fit.intervals import Intervals, intervals
from facility.fit.telemetry import Telemetry
from facility.problem.thermal import chiller_of
from facility.site import Site
from models.horizon import Floats

OUTDOOR = "site/weather/outdoor/temperature_c"
LEAST = 50
"""Intervals below which nothing is fitted."""
MOVES = 8.0
"""A hall's temperature tells its heat capacity where its rate of change has so many times the variance that noise gives it. What noise
takes from the estimate (attenuation, that share of it) is given back.
"""
BY_CURVE = 0.15
SHORT_S = 60.0
"""Where heat is metered the plant is fitted to spans so short, or as long as its slowest sensor's period: the mean of a curve is not the
curve at the mean.
"""
ALWAYS = ("pump_kw", "fan_kw", "misc_kw")
"""What a plant draws that cools freely."""
SURELY_K = 1.0
"""So far below where it begins to, a plant cools freely, whatever its dead band and the place of the thermometer."""


@dataclass(frozen=True)
class PlantFit:
    """One plant: estimates, over how many intervals, and by how much the power that the site file says, and that the fitted figures say, is off.

    `bias_pct` and `spread_pct` are the mean and the usual size of measured less said, % of the mean power: (site file, fitted).
    """

    plant: str
    estimates: tuple[Estimate, ...]
    intervals: int
    bias_pct: tuple[float, float] | None = None
    spread_pct: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def fit_plants(site: Site, telemetry: Telemetry, every_s: float) -> Iterator[PlantFit]:
    """Fit every cooling plant of which anything was recorded."""
    for name in site.cooling_plants:
        if _power(name) in telemetry.tracks:
            yield _plant(site, name, telemetry, every_s)


def _plant(site: Site, name: str, telemetry: Telemetry, every_s: float) -> PlantFit:
    plant = site.cooling_plants[name]
    odd = [key for key, there in (("stages", plant.stages), ("a tank", plant.store), ("set-points", plant.set_point)) if there]
    if odd:
        return PlantFit(name, (), 0, notes=(f"not fitted: it has {' and '.join(odd)}, of which one meter of power does not tell the parts",))
    halls = [hall for hall, each in site.halls.items() if each.thermal is not None and each.thermal.cooling_plant == name]
    pools = [pool for pool, each in site.pools.items() if each.hall in halls or _loop(site, pool) == name]
    needed = [_power(name), OUTDOOR, *(_it(site, pool) for pool in pools), *(_air(hall) for hall in halls)]
    measured = _heat(name) in telemetry.tracks
    needed += [_heat(name)] if measured else []
    if missing := [key for key in needed if key not in telemetry.tracks]:
        return PlantFit(name, (), 0, notes=(f"not fitted: nothing was recorded of {', '.join(missing)}",))
    told = intervals(telemetry.tracks, needed, [_air(hall) for hall in halls], every_s)
    if len(told) < LEAST:
        return PlantFit(name, (), len(told), notes=(f"not fitted: {len(told)} intervals in which every sensor speaks, at least {LEAST} are needed",))
    if not measured:
        return _fitted(site, name, halls, told, told, measured=False)
    own = [_power(name), OUTDOOR, _heat(name)]
    slowest_s = max(float(np.median(np.diff(telemetry.tracks[key].at_s))) for key in own)
    fine = intervals(telemetry.tracks, own, [], min(every_s, max(SHORT_S, slowest_s)))
    return _fitted(site, name, halls, told, fine, measured=True)


def _fitted(site: Site, name: str, halls: list[str], told: Intervals, fine: Intervals, *, measured: bool) -> PlantFit:
    """The halls are fitted to `told`, the plant to `fine`."""
    power_kw, chiller = fine.mean[_power(name)], chiller_of(site, name)
    parameters = [*of_plant(site, name)]
    held: dict[str, str] = {}
    of_halls = [each for hall in halls for each in of_hall(site, hall)]
    still = {f"{hall}.heat_capacity": why for hall in halls if (why := _still(told, hall))}
    if not measured:
        parameters, held = parameters + of_halls, still

    def model(values: Mapping[str, float]) -> Floats:
        heat_kw = fine.mean[_heat(name)] if measured else _removed_kw(site, name, halls, told, values)
        return laid_on(chiller, values).power_kw(np.maximum(heat_kw, 0.0), fine.mean[OUTDOOR])

    found = fit(model, power_kw, parameters, held)
    found = _freely(model, power_kw, fine.mean[OUTDOOR], parameters, held, found)
    estimates = [*_estimates(name, found, parameters, told)]
    if measured and halls:
        estimates += _by_balance(site, name, halls, told, of_halls, still)
    said = model({each.name: each.was for each in parameters})
    rest = [power_kw - said, power_kw - found.modelled]
    mean_kw = float(power_kw.mean())
    bias, usual = ([100 * how(each) / mean_kw for each in rest] for how in (lambda each: float(each.mean()), spread))
    notes = () if measured or not halls else (f"its halls are told by way of its curve; a meter of heat, {_heat(name)}, tells them better",)
    return PlantFit(name, tuple(estimates), len(told), (bias[0], bias[1]), (usual[0], usual[1]), notes)


def _freely(
    model: Model, power_kw: Floats, outdoor_c: Floats, parameters: list[Parameter], held: Mapping[str, str], found: Fitted
) -> Fitted:
    """Fit again with what does not belong to chillers as the hours without them have it, where those tell more of it or tell it better."""
    if "free_cooling_full_below_c" not in found.errors:
        return found
    cold = outdoor_c < found.values["free_cooling_full_below_c"] - SURELY_K
    if cold.sum() < LEAST:
        return found
    always, others = ([each for each in parameters if _always(each.name) == there] for there in (True, False))
    alone = fit(lambda values: model({**found.values, **values})[cold], power_kw[cold], always, held)
    told = {each.name for each in always} & found.errors.keys()
    if alone.errors.keys() != told and not alone.errors.keys() > told:
        return found
    if alone.errors.keys() == told and any(alone.errors[name] > found.errors[name] for name in told):
        return found
    rest = fit(lambda values: model({**alone.values, **values}), power_kw, others, {})
    return Fitted({**alone.values, **rest.values}, {**alone.errors, **rest.errors}, {**alone.held, **rest.held}, rest.modelled)


def _always(name: str) -> bool:
    """Whether a figure counts while no chiller runs: those of `ALWAYS`, and the halls'."""
    return name in ALWAYS or "." in name


def _removed_kw(site: Site, name: str, halls: list[str], told: Intervals, values: Mapping[str, float]) -> Floats:
    """Heat removed, kW, shape (N,)."""
    outdoor_c, total = told.mean[OUTDOOR], np.zeros(len(told))
    for hall in halls:
        stored = values[f"{hall}.heat_capacity"] * told.per_h[_air(hall)]
        total += _air_kw(site, hall, told) - values[f"{hall}.conductance"] * (told.mean[_air(hall)] - outdoor_c) - stored
    looped = [pool for pool in site.pools if _loop(site, pool) == name]
    return total + sum((site.pools[pool].liquid_share * told.mean[_it(site, pool)] for pool in looped), np.zeros(len(told)))


def _air_kw(site: Site, hall: str, told: Intervals) -> Floats:
    inside = [pool for pool, each in site.pools.items() if each.hall == hall]
    return site.halls[hall].base_kw + sum(((1 - site.pools[pool].liquid_share) * told.mean[_it(site, pool)] for pool in inside), np.zeros(len(told)))


def _by_balance(
    site: Site, name: str, halls: list[str], told: Intervals, parameters: list[Parameter], held: Mapping[str, str]
) -> Iterator[Estimate]:
    """C and R of the halls of a plant with a meter of heat: in - removed = sum of (T - outdoor) / R + C dT/dt."""
    looped = [pool for pool in site.pools if _loop(site, pool) == name]
    into_kw = sum((_air_kw(site, hall, told) for hall in halls), np.zeros(len(told)))
    into_kw = into_kw + sum((site.pools[pool].liquid_share * told.mean[_it(site, pool)] for pool in looped), np.zeros(len(told)))

    def model(values: Mapping[str, float]) -> Floats:
        kept = np.zeros(len(told))
        for hall in halls:
            warmer_k = told.mean[_air(hall)] - told.mean[OUTDOOR]
            kept += values[f"{hall}.conductance"] * warmer_k + values[f"{hall}.heat_capacity"] * told.per_h[_air(hall)]
        return kept

    yield from _estimates(name, fit(model, into_kw - told.mean[_heat(name)], parameters, held), parameters, told)


def _still(told: Intervals, hall: str) -> str:
    """Why a hall's temperature does not tell its heat capacity; empty where it does."""
    if _true_share(told, hall) >= 1 - 1 / MOVES:
        return ""
    return "the hall's temperature hardly moves; it takes a set-point that is moved by 2 K a few times"


def _true_share(told: Intervals, hall: str) -> float:
    """The share of the variance of a hall's rate of change that is no noise."""
    moves, noise = float(np.var(told.per_h[_air(hall)])), told.noise_per_h[_air(hall)]
    return 1 - noise / moves if moves > noise else 0.0


def _estimates(name: str, found: Fitted, parameters: list[Parameter], told: Intervals) -> Iterator[Estimate]:
    """Estimates under the keys of the site file; a conductance becomes a resistance, a capacity gets back what noise took."""
    for each in parameters:
        part, _, what = each.name.rpartition(".")
        value, error = found.values[each.name], found.errors.get(each.name)
        key, unit, was = f"cooling_plants.{name}.{each.name}", each.unit, each.was
        if what == "heat_capacity":
            key = f"halls.{part}.thermal.heat_capacity_kwh_per_k"
            if error is not None:
                value, error = value / _true_share(told, part), error / _true_share(told, part)
        if what == "conductance":
            key, unit, was = f"halls.{part}.thermal.resistance_k_per_kw", "K/kW", 1 / each.was
            error = None if error is None or value <= 0 else error / value**2
            value = np.inf if value <= 0 else 1 / value
        known = error is not None and np.isfinite(value)
        matters = BY_CURVE if _always(each.name) and _heat(name) not in told.mean else MATTERS_SHARE
        yield Estimate(key, unit, was, float(value) if known else None, error if known else None, found.held.get(each.name, ""), matters)


def _loop(site: Site, pool: str) -> str | None:
    thermal = site.halls[site.pools[pool].hall].thermal
    return thermal.liquid_plant if thermal is not None and site.pools[pool].liquid_share else None


def _power(plant: str) -> str:
    return f"site/cooling/{plant}/power_kw"


def _heat(plant: str) -> str:
    return f"site/cooling/{plant}/heat_kw"


def _it(site: Site, pool: str) -> str:
    return f"{site.pools[pool].hall}/pool/{pool}/it_power_kw"


def _air(hall: str) -> str:
    return f"{hall}/hall/{hall}/air_temperature_c"
