"""Money: what energy, peaks, the connection and carbon cost, and whose it is. Pure; rows have shape (R,), slots (T,).

| item     | whole cost                                                      | shared out by                                    |
|----------|-----------------------------------------------------------------|--------------------------------------------------|
| energy   | energy drawn x its price in the slot                            | each one's kWh x that price                      |
| fees     | energy drawn x fees, network fees and tax                       | the same                                         |
| export   | energy given back x what is paid for it, below nought           | the site's own                                   |
| peak     | each demand charge x the month's highest billing interval,      | each one's kW in that interval                   |
|          | the span's share of that month                                  |                                                  |
| standing | the standing charge, the span's share of it                     | GPU hours kept, of all there are                 |
| carbon   | what the energy drawn and fuel emitted x the carbon price       | each one's kWh x the intensity in the slot;      |
|          |                                                                 | of fuel the site's own                           |
| fuel     | what gensets gave x the price of their fuel, where it is metered| the site's own, as is what they gave             |
| water    | water that came in x its price, where it is metered             | each one's part of the cooling energy            |

While a site gives back more than it draws, who drew pays the price all the same; that it cost less is the site's own, whose generation it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.bill.period import Period
from facility.bill.rows import Rows
from facility.site import Site
from facility.steps import Edges
from facility.tariff import billing_interval, charges, in_window, month_share
from models.horizon import Floats


@dataclass(frozen=True)
class Peak:
    """What a demand charge costs in a month, and the billing interval it is charged for: its mean, kW, its slots, and which month's it is."""

    charge: str
    month: str
    start: datetime
    kw: float
    cost: float
    slots: tuple[int, ...]


def per_kwh(rows: Rows, energy_kwh: Floats, per_unit: Floats) -> Floats:
    """Each row's energy at the price of its slot, `per_unit` per 1,000 kWh, shape (R,): money per MWh, or g per kWh as kg."""
    return np.asarray(energy_kwh * per_unit[rows.slot] / 1000, float)


def peaks(site: Site, period: Period, edges: Edges, import_kwh: Floats) -> list[Peak]:
    """The peak of each demand charge in each month that the span touches; an interval that is not wholly in the span counts by its mean."""
    zone, found = ZoneInfo(site.timezone), dict[tuple[str, str], Peak]()
    intervals: dict[datetime, list[int]] = {}
    for slot, start in enumerate(edges[:-1]):
        intervals.setdefault(billing_interval(site, start), []).append(slot)
    slot_h = (edges[1] - edges[0]) / timedelta(hours=1)
    for start, slots in intervals.items():
        kw = float(import_kwh[slots].mean()) / slot_h
        month = start.astimezone(zone).strftime("%Y-%m")
        for name, charge in charges(site).items():
            known = found.get((name, month))
            if in_window(site, charge, start) and (known is None or kw > known.kw):
                charged_kw = max(kw, charge.ratchet_share * charge.highest_of_year_kw, 0.0)
                cost = charge.price_per_kw * charged_kw * month_share(site, period.start, period.end, month)
                found[name, month] = Peak(name, month, start, kw, cost, tuple(slots))
    return list(found.values())


def peak_cost(rows: Rows, energy_kwh: Floats, import_kwh: Floats, peak: Peak) -> Floats:
    """A demand charge: by each one's energy in the interval of the peak, of what the meter counted in it. Money, shape (R,)."""
    slots = list(peak.slots)
    whole = float(import_kwh[slots].sum())
    inside = np.isin(rows.slot, slots)
    return np.where(inside, energy_kwh * (peak.cost / whole if whole > 0 else 0.0), 0.0)


def fuel_cost(site: Site, genset_kwh: Mapping[str, Floats]) -> float:
    """What gensets burnt for what they gave, money."""
    return math.fsum(site.gensets[name].fuel_price_per_mwh * math.fsum(kwh) / 1000 for name, kwh in genset_kwh.items())


def fuel_kg(site: Site, genset_kwh: Mapping[str, Floats]) -> float:
    """What that emitted, kg of CO2."""
    return math.fsum(site.gensets[name].carbon_g_per_kwh * math.fsum(kwh) / 1000 for name, kwh in genset_kwh.items())


def water_cost(site: Site, rows: Rows, chilled_kwh: Floats, whole_kwh: Floats, water_m3: Floats) -> Floats:
    """Water: by cooling energy, of all that plants drew in the slot. Money, shape (R,); `whole_kwh` and `water_m3` have shape (T,)."""
    per_kwh_chilled = np.divide(site.tariff.water_price_per_m3 * water_m3, whole_kwh, out=np.zeros(len(water_m3)), where=whole_kwh > 0)
    return np.asarray(chilled_kwh * per_kwh_chilled[rows.slot], float)


def standing_cost(site: Site, period: Period, rows: Rows, whole: float) -> Floats:
    """The standing charge: by GPU hours kept - reserved, or held by a job - of all that the site has. Money, shape (R,)."""
    there = sum(pool.gpus for pool in site.pools.values()) * period.hours
    return np.asarray(whole * rows.kept_gpu_h / there, float)
