"""Forecast: what is expected in each step - price, weather, carbon, base load - from files or the bus, else from the site file.

Where a file tells quantiles, their mean is expected and the P90 of weather and load is what limits are held against.

Whatever nobody told is taken from the site's own stated value and named in `assumed`, so that a reader of a plan sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from facility.inputs.series import CARBON, LOAD, OUTDOOR, PRICE, SOLAR, Series
from facility.site import Site
from facility.steps import Edges, as_datetime64
from facility.tariff import energy_price_per_mwh, quarters
from models.horizon import Floats

Signals = Mapping[str, Series]
"""Series by the name of their quantity (`facility.inputs.series.PRICE.name` and the like)."""


@dataclass(frozen=True)
class Forecast:
    """Means of each step, shape (T,): price (money/MWh), outdoor temperature (degC), carbon intensity (g/kWh), base load (kW).

    `demand_gpus` holds, by contract whose demand varies, the most GPUs that are needed at any instant of each step, and `rented_gpus`, by
    contract that comes or goes among the steps, how many are kept for it. The base load
    is that of all halls; None: the site file's. `outdoor_high_c` and `load_high_kw` are pessimistic, None where nobody told.
    `solar_kw` is what each solar plant could give, by id.
    """

    price_per_mwh: Floats
    outdoor_c: Floats
    carbon_g_per_kwh: Floats
    assumed: tuple[str, ...]
    demand_gpus: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    load_kw: Floats | None = None
    outdoor_high_c: Floats | None = None
    load_high_kw: Floats | None = None
    solar_kw: Mapping[str, Floats] = field(default_factory=dict)
    rented_gpus: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def expect(site: Site, edges: Edges, signals: Signals, high: Signals | None = None) -> Forecast:
    """What `signals` say for the steps between `edges`, and the site's own values for what they do not.

    `high` holds the P90 of those that were told as a band; the steps' means are taken of it as if all rose together.
    InputError where a signal does not cover the steps.
    """
    assumed: list[str] = []
    tariff = site.tariff

    def steps(quantity: str, fallback: Sequence[float], said: str) -> Floats:
        if quantity in signals:
            return _means(signals[quantity], edges)
        assumed.append(said)
        return by_local_hour(site, edges, fallback)

    if PRICE.name in signals:
        price = steps(PRICE.name, (), "")
    else:
        key = "energy_price_by_hour_per_mwh" if tariff.energy_price_per_mwh is None else f"energy_price_per_mwh, {tariff.energy_price_per_mwh:g}"
        assumed.append(f"price: the site's tariff.{key}{', and its tariff.windows' if tariff.windows else ''}")
        price = energy_price_per_mwh(site, edges)
    outdoor = steps(OUTDOOR.name, site.weather.outdoor_by_hour_c, "weather: the site's weather.outdoor_by_hour_c (design day)")
    intensity = site.carbon.intensity_g_per_kwh
    carbon = steps(CARBON.name, [intensity] * 24, f"carbon: the site's carbon.intensity_g_per_kwh, {intensity:g}")
    demand: dict[str, tuple[int, ...]] = {}
    for name, contract in site.contracts.items():
        key = demand_of(name)
        if key in signals:
            demand[name] = _most(signals[key], edges)
        elif contract.gpus and contract.demand_by_hour_gpus is not None:
            assumed.append(f"{key}: the site's contracts.{name}.demand_by_hour_gpus")
            demand[name] = _most(_hourly(site, edges, contract.demand_by_hour_gpus), edges)
    bands = high or {}
    load_kw, load_high_kw = (_means(told[LOAD.name], edges) if LOAD.name in told else None for told in (signals, bands))
    outdoor_high = _means(bands[OUTDOOR.name], edges) if OUTDOOR.name in bands else None
    for name in bands:
        held = "" if name == PRICE.name else "; limits hold at P90"
        assumed.append(f"{name}: the mean of P10, P50 and P90 (0.3, 0.4, 0.3) is expected{held}")
    if load_kw is not None:
        assumed.append("base load: --load in place of the halls' base_kw, in proportion to it")
    shapes = {name: plant.output_by_hour_kw_per_kwp for name, plant in site.solar.items()}
    said = "solar: the site's own output_by_hour_kw_per_kwp"
    solar_kw = {name: site.solar[name].peak_kw * steps(SOLAR.name, shape, said) for name, shape in shapes.items()}
    return Forecast(price, outdoor, carbon, tuple(dict.fromkeys(assumed)), demand, load_kw, outdoor_high, load_high_kw, solar_kw)


def demand_of(contract: str) -> str:
    """The name under which `expect` finds the series of a contract's demand, GPUs."""
    return f"demand of {contract}"


def _means(series: Series, edges: Edges) -> Floats:
    return np.asarray(series.means(as_datetime64(edges)), float)


def by_local_hour(site: Site, edges: Edges, values: Sequence[float]) -> Floats:
    """Means over each step of a daily shape given by 24 values of the site's local hour, shape (T,)."""
    return np.asarray(_hourly(site, edges, values).means(as_datetime64(edges)), float)


def _hourly(site: Site, edges: Edges, values: Sequence[float]) -> Series:
    """A daily shape by the site's local hour, through all of `edges`."""
    return quarters(site, edges, lambda local: values[local.hour])


def _most(series: Series, edges: Edges) -> tuple[int, ...]:
    """The highest value that touches each step, rounded up."""
    series.means(as_datetime64(edges))
    begin = as_datetime64(edges)
    touches = (series.start < begin[1:, None]) & (series.end > begin[:-1, None])
    return tuple(np.ceil(np.where(touches, series.value, -np.inf).max(axis=1)).astype(int).tolist())


def hours_between(start: datetime, instant: datetime) -> float:
    """Hours from `start` to `instant`, negative if before."""
    return (instant - start).total_seconds() / 3600
