"""A site small enough to bill by hand, and what it takes to reckon a bill without a journal or a history.

Two pools in one hall under a UPS that loses 10 %: `p` of 10 GPUs, `q` of 10. A GPU idles at 50 W; its hosts draw nothing. The hall's base load is
2 kW, its heat goes to `chill` under the root, which loses nothing, and so does the battery. Slots are quarters of an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from facility.bill.billed import Billed, billed
from facility.bill.making import _expected
from facility.bill.metered import Metered, metered
from facility.bill.period import Period
from facility.bill.prices import prices_of
from facility.bill.reckon import Reckoned, reckon
from facility.bill.rows import Reading, Rows
from facility.bill.terms import Owed
from facility.metering import Metering
from facility.rental.sold import Sold
from facility.site import Site
from facility.steps import uniform
from facility.usage.usage import Usage
from tests.facility.test_daemon import POINTS

START = datetime(2026, 7, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
POOL = {"hall": "h", "feeder": "ups", "gpu_model": "g", "gpus": 10}
THERMAL = {"heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 1, "start_c": 24, "cooling_plant": "chill"}
TOLD: dict[str, Any] = {
    "id": "s", "name": "Small site", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 40},
    "tariff": {"energy_price_per_mwh": 100}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": POINTS}}}},
    "feeders": {"main": {"rating_kw": 60}, "ups": {"rating_kw": 40, "parent": "main", "loss_share": 0.1}},
    "halls": {"h": {"feeder": "ups", "base_kw": 2, "thermal": THERMAL}},
    "cooling_plants": {"chill": {"feeder": "main", "design_heat_kw": 20, "max_heat_kw": 30, "pump_kw": 1, "fan_kw": 1}},
    "pools": {"p": POOL, "q": POOL},
    "batteries": {"b": {"feeder": "main", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 4, "efficiency": 0.8}},
    "tenants": {"t": {"name": "T"}, "u": {"name": "U"}},
    "contracts": {
        "c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "value_per_gpu_h": 2},
        "d": {"tenant": "u", "kind": "reserved", "pool": "q", "gpus": 5, "curve": "train", "value_per_gpu_h": 3, "penalty_per_gpu_h": 9},
    },
    "jobs": {"curve": "train"},
}  # fmt: skip


def site(**more: Any) -> Site:
    return Site.model_validate(TOLD | more)


SITE = site()


def period(slots: int, where: Site = SITE, start: datetime = START) -> Period:
    slot = min(QUARTER, timedelta(minutes=where.tariff.billing_interval_min))
    return Period("2026-07", start, start + slots * slot, start + slots * slot, slot)


def usage(slot: int, pool: str, workload: str, expected: float, *, kept: float = 0.0, idle: float = 0.0, tenant: str = "", **more: Any) -> Usage:
    """A row of a quarter; `kept` GPU hours are a contract's where one is named so."""
    firm = workload in SITE.contracts
    told: dict[str, Any] = {"kind": "contract" if firm else "job" if workload else "free", "contract": workload if firm else None} | more
    gpu_h = {"reserved_gpu_h": kept} if told["kind"] == "contract" else {"gpu_h": kept}
    return Usage(START + slot * QUARTER, 0.25, pool, workload, tenant=tenant, expected_kwh=expected, idle_kwh=idle, **(gpu_h | told))


def rows_of(usages: Sequence[Usage], slots: int, where: Site = SITE) -> Rows:
    span = period(slots, where)
    return Reading(where, span.start, span.end, span.slot).take(usages)


def metering(slots: int, kw: Mapping[str, Sequence[float]], where: Site = SITE) -> Metering:
    """Mean power by key, kW."""
    span = period(slots, where)
    return Metering(uniform(span.start, span.end, span.slot), {key: np.array(values, float) for key, values in kw.items()})


def reckoned(
    usages: Sequence[Usage], slots: int, kw: Mapping[str, Sequence[float]], where: Site = SITE
) -> tuple[Reckoned, Metered, Billed]:
    """Everything, from usages and means of meters."""
    span, read = period(slots, where), metering(slots, kw, where)
    owed, reading = Owed(Sold(where)), Reading(where, span.start, span.end, span.slot)
    rows = reading.take(usages, owed.see)
    energy = metered(where, read, _expected(where, rows, slots, read.hours))
    found = reckon(where, span, read.edges, rows, reading.sums, energy, prices_of(where, read.edges, {}), owed)
    return found, energy, billed(where, span, found, [str(gap) for gap in energy.gaps], energy.provisional, energy.assumed, sorted(owed.unknown))


def of(found: Reckoned, values: Any, workload: str) -> float:
    """A line's value."""
    (i,) = (i for i, line in enumerate(found.lines) if line.workload == workload and (workload or not line.pool))
    return float(values[i])
