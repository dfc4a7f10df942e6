"""Reckon: everything put together. Lines of tenants and jobs, and the site's own as the last one, which closes every sum exactly: of every
energy and every item of money it is the whole less the sum of all other lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facility.bill import rules
from facility.bill.metered import Metered
from facility.bill.money import Peak, fuel_cost, fuel_kg, peak_cost, peaks, per_kwh, standing_cost, water_cost
from facility.bill.period import Period
from facility.bill.prices import Prices
from facility.bill.rows import OWN, Line, Rows, Sums
from facility.bill.terms import OWED, Owed
from facility.site import Site
from facility.steps import Edges
from facility.tariff import standing_charge
from models.horizon import Floats

ENERGIES = ("it", "base", "cooling", "losses", "batteries", "generation")
"""What a line's energy is made of; of batteries tenants have the losses, and the site what is stored."""
COSTS = ("energy", "fees", "export", "peak", "standing", "carbon", "fuel", "water")
ITEMS = (*COSTS, *OWED)
"""Items of money; what passes between tenants and the site is as much less for the one as it is more for the other."""
OWN_LINE = Line(OWN, "free", "", "", "")


@dataclass(frozen=True)
class Reckoned:
    """By line, shape (L,), the site's own last: kWh by part and all together, kg of CO2, kW in the peaks' intervals, money by item."""

    lines: tuple[Line, ...]
    sums: tuple[Sums, ...]
    parts_kwh: Mapping[str, Floats]
    energy_kwh: Floats
    carbon_kg: Floats
    peak_kw: Floats
    money: Mapping[str, Floats]
    peaks: tuple[Peak, ...]

    @property
    def cost(self) -> Floats:
        """All items of money together, shape (L,)."""
        return np.asarray(sum(self.money.values()), float)


@dataclass(frozen=True)
class _Shares:
    """Each row's energy by part, and all together, kWh."""

    parts: Mapping[str, Floats]
    whole: Floats


def reckon(
    site: Site, period: Period, edges: Edges, rows: Rows, sums: Sequence[Sums], metered: Metered, prices: Prices, owed: Owed
) -> Reckoned:
    """Share everything out."""
    shares = _shares(site, rows, metered, len(edges) - 1, period)
    wholes = _wholes(metered)
    drawn, back = np.maximum(metered.import_kwh, 0.0), np.maximum(-metered.import_kwh, 0.0)
    found = tuple(peaks(site, period, edges, metered.import_kwh))
    standing = standing_charge(site, edges)
    energy = shares.whole
    rates = {"energy": prices.energy_per_mwh, "fees": prices.fees_per_mwh, "carbon": prices.carbon_g_per_kwh * site.carbon.price_per_tonne / 1000}
    costs = {item: (per_kwh(rows, energy, rate), math.fsum(drawn * rate / 1000)) for item, rate in rates.items()}
    costs["export"] = np.zeros(len(energy)), -math.fsum(prices.sold_per_mwh * back / 1000)
    at_peaks = [peak_cost(rows, energy, metered.import_kwh, peak) for peak in found]
    costs["peak"] = np.asarray(sum(at_peaks, np.zeros(len(energy))), float), math.fsum(peak.cost for peak in found)
    burnt_kg = fuel_kg(site, metered.genset_kwh)
    costs["carbon"] = costs["carbon"][0], costs["carbon"][1] + burnt_kg * site.carbon.price_per_tonne / 1000
    costs["fuel"] = np.zeros(len(energy)), fuel_cost(site, metered.genset_kwh)
    chilled = np.asarray(sum(metered.cooling_kwh.values(), np.zeros(len(edges) - 1)), float)
    watered = water_cost(site, rows, shares.parts["cooling"], chilled, metered.water_m3)
    costs["water"] = watered, site.tariff.water_price_per_m3 * math.fsum(metered.water_m3)
    costs["standing"] = standing_cost(site, period, rows, standing), standing
    money = {item: _closed(rows.by_line(costs[item][0]), costs[item][1]) for item in COSTS}
    money |= {item: _closed(owed.by_line(item, len(rows.lines)), 0.0) for item in OWED}
    kg = per_kwh(rows, energy, prices.carbon_g_per_kwh)
    return Reckoned(
        lines=(*rows.lines, OWN_LINE),
        sums=(*sums, Sums()),
        parts_kwh={part: _closed(rows.by_line(shares.parts[part]), wholes[part]) for part in ENERGIES},
        energy_kwh=_closed(rows.by_line(energy), math.fsum(metered.import_kwh)),
        carbon_kg=_closed(rows.by_line(kg), math.fsum(drawn * prices.carbon_g_per_kwh / 1000) + burnt_kg),
        peak_kw=_at_peak(rows, energy, metered, found, period),
        money=money,
        peaks=found,
    )


def _shares(site: Site, rows: Rows, metered: Metered, slots: int, period: Period) -> _Shares:
    """Each row's energy, rule by rule."""
    slot_h = period.slot.total_seconds() / 3600
    it = rules.it_energy(rows, np.array([metered.pool_kwh[name] for name in site.pools]))
    base = rules.base_energy(site, rows, metered.base_kwh, slot_h)
    cooling = rules.cooling_energy(site, rows, it, base, (metered.pool_kwh, metered.base_kwh), metered.cooling_kwh)
    lost = {name: rules.lost_per_kwh(site, pool.feeder) for name, pool in site.pools.items()}
    by_pool = np.array([lost[name] for name in site.pools])[rows.pool]
    by_hall = np.array([rules.lost_per_kwh(site, site.halls[pool.hall].feeder) for pool in site.pools.values()])[rows.pool]
    plants = {name: rules.lost_per_kwh(site, site.cooling_plants[name].feeder) for name in cooling}
    chilled = np.asarray(sum(cooling.values(), np.zeros(len(it))), float)
    key = it * by_pool + base * by_hall + sum((kwh * plants[name] for name, kwh in cooling.items()), np.zeros(len(it)))
    own = it + base + chilled
    whole_energy, whole_key = np.zeros(slots), np.zeros(slots)
    loads = [(metered.pool_kwh[name], lost[name]) for name in site.pools]
    loads += [(kwh, rules.lost_per_kwh(site, site.halls[name].feeder)) for name, kwh in metered.base_kwh.items()]
    loads += [(kwh, plants[name]) for name, kwh in metered.cooling_kwh.items()]
    for kwh, per_kwh_lost in loads:
        whole_energy, whole_key = whole_energy + kwh, whole_key + kwh * per_kwh_lost
    losses = rules.losses(key, own, whole_key, whole_energy, metered.losses_kwh, rows.slot)
    batteries = rules.by_energy(rules.battery_losses(site, metered.battery_kwh, slots), own, whole_energy, rows.slot)
    parts = {"it": it, "base": base, "cooling": chilled, "losses": losses, "batteries": batteries, "generation": np.zeros(len(it))}
    return _Shares(parts, own + losses + batteries)


def _wholes(metered: Metered) -> dict[str, float]:
    """What all lines together have of each part, kWh."""
    parts = {"it": metered.pool_kwh, "base": metered.base_kwh, "cooling": metered.cooling_kwh, "batteries": metered.battery_kwh}
    wholes = {part: math.fsum(kwh for each in by_id.values() for kwh in each) for part, by_id in parts.items()}
    return wholes | {"losses": math.fsum(metered.losses_kwh), "generation": -math.fsum(metered.given_kwh)}


def _at_peak(rows: Rows, energy: Floats, metered: Metered, found: Sequence[Peak], period: Period) -> Floats:
    """Each line's kW in the interval of the highest peak; 0 where no peak is charged."""
    if not found:
        return np.zeros(len(rows.lines) + 1)
    highest = max(found, key=lambda peak: peak.kw)
    slots = list(highest.slots)
    hours = len(slots) * period.slot.total_seconds() / 3600
    inside = np.where(np.isin(rows.slot, slots), energy, 0.0)
    return _closed(rows.by_line(inside) / hours, float(metered.import_kwh[slots].sum()) / hours)


def _closed(values: Floats, whole: float) -> Floats:
    """`values`, and what is left of the whole as the site's own."""
    return np.append(values, whole - math.fsum(values))
