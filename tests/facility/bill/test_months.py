"""Random months: whatever was measured and counted, all accounts are the meter's energy and the site's whole cost, and rounded money adds up."""

from __future__ import annotations

import math
import random
import time
from typing import Any

import pytest

from facility.bill.billed import Billed
from facility.bill.reckon import ITEMS, Reckoned
from facility.site import Site
from facility.usage.usage import Lack, Usage
from tests.facility.bill.made import QUARTER, START, THERMAL, TOLD, reckoned, site

NAN = float("nan")


def a_site(chance: random.Random) -> Site:
    """Anything that a bill depends on."""
    tariff: dict[str, Any] = {"energy_price_by_hour_per_mwh": [chance.uniform(-80, 300) for _ in range(24)], "tax_share": chance.choice([0, 0.19])}
    tariff |= {"fees_per_mwh": chance.uniform(0, 40), "standing_charge_per_month": chance.choice([0, 700.0])}
    tariff |= {"billing_interval_min": chance.choice([5, 15, 30, 60]), "peak_price_per_kw": chance.choice([0, 12.5])}
    halls = {"h": {"feeder": "ups", "base_kw": chance.uniform(0, 3), "thermal": chance.choice([THERMAL, None])}}
    pools = {name: pool | {"liquid_share": 0.0} for name, pool in TOLD["pools"].items()}
    solar = {"s": {"feeder": "main", "peak_kw": 30, "output_by_hour_kw_per_kwp": [0.5] * 24, "metered": True}}
    genset = {"g": {"feeder": "main", "max_kw": 20, "fuel_price_per_mwh": 250, "carbon_g_per_kwh": 700, "metered": True}}
    tariff["water_price_per_m3"] = chance.choice([0, 4.5])
    contracts = {
        "c": TOLD["contracts"]["c"] | {"greatest_slowdown": 2, "credit_per_gpu_h": 0.05, "price_per_gpu_h": 1.7},
        "d": TOLD["contracts"]["d"] | {"pausable": chance.random() < 0.5},
    }
    return site(
        tariff=tariff, halls=halls, pools=pools, contracts=contracts, solar=chance.choice([{}, solar]), gensets=chance.choice([{}, genset]),
        sustainability={"water_meters": {"w": {"most_m3_per_h": 9}}},
        carbon={"intensity_g_per_kwh": 380, "price_per_tonne": chance.choice([0, 90])}, currency=chance.choice(["EUR", "JPY", "KWD"]),
    )  # fmt: skip


def usages(chance: random.Random, quarters: int) -> list[Usage]:
    """Contracts, jobs that come and go, and quarters of which nobody counted anything."""
    found = []
    for i in range(quarters):
        if chance.random() < 0.05:
            continue
        start = START + i * QUARTER
        for pool, contract, tenant, gpus in (("p", "c", "t", 6), ("q", "d", "u", 5)):
            lacks = (Lack("gone", start, 0.25, chance.uniform(0, 1)),) if chance.random() < 0.1 else ()
            slow = chance.choice([0.0, 0.4])
            gpu_h = (gpus / 4,) * 4
            kwh = chance.uniform(0, 1), 0.05
            found.append(Usage(start, 0.25, pool, contract, "contract", tenant, contract, *gpu_h, *kwh, slow, lacks))
            for job in range(chance.randint(0, 3)):
                whose, kwh_of_job = chance.choice(["t", "u", ""]), chance.uniform(0, 0.3)
                found.append(Usage(start, 0.1, pool, f"job-{i // 20}-{job}", "job", whose, None, gpu_h=0.25, expected_kwh=kwh_of_job))
            found.append(Usage(start, 0.25, pool, "", "free", idle_kwh=chance.uniform(0, 0.2)))
    return found


def meters(chance: random.Random, slots: int, where: Site) -> dict[str, list[float]]:
    """What was read, with gaps; now and then a meter that is not there at all."""
    ranges = {"site/meter/main/import_kw": (-5, 40), "h/pool/p/it_power_kw": (1, 5), "h/pool/q/it_power_kw": (1, 5),
              "site/cooling/chill/power_kw": (0, 4), "site/battery/b/power_kw": (-4, 4)}  # fmt: skip
    if where.solar:
        ranges["site/solar/s/power_kw"] = (0, 30)
    if where.gensets:
        ranges["site/genset/g/power_kw"] = (0, 20)
    ranges["site/water/w/flow_m3_per_h"] = (0, 9)
    gap = chance.choice([0.0, 0.1])
    lost = chance.choice([None, *ranges])
    return {
        key: [NAN if key == lost or chance.random() < gap else chance.uniform(*between) for _ in range(slots)] for key, between in ranges.items()
    }


def month(seed: int, quarters: int = 40) -> tuple[Reckoned, Any, Billed]:
    chance = random.Random(seed)
    where = a_site(chance)
    slots = quarters * (3 if where.tariff.billing_interval_min == 5 else 1)
    return reckoned(usages(chance, quarters), slots, meters(chance, slots, where), where)


@pytest.mark.parametrize("seed", range(200))
def test_all_accounts_are_the_meter_and_the_whole_cost(seed: int) -> None:
    found, energy, bill = month(seed)
    scale = math.fsum(abs(energy.import_kwh))
    assert math.fsum(found.energy_kwh) == pytest.approx(math.fsum(energy.import_kwh), abs=1e-9 * scale)
    for i in range(len(found.lines)):
        parts = math.fsum(float(kwh[i]) for kwh in found.parts_kwh.values())
        assert parts == pytest.approx(float(found.energy_kwh[i]), abs=1e-9 * scale)
    by_tenant = math.fsum(account.entry.figures["energy_kwh"] for account in bill.accounts)
    assert by_tenant == pytest.approx(bill.whole.figures["energy_kwh"], abs=1e-9 * scale)
    money = math.fsum(float(value) for item in ITEMS for value in found.money[item])
    spent = math.fsum(abs(float(value)) for item in ITEMS for value in found.money[item])
    assert math.fsum(account.entry.unrounded for account in bill.accounts) == pytest.approx(money, abs=1e-9 * spent)


@pytest.mark.parametrize("seed", range(200))
def test_rounded_money_adds_up_every_way(seed: int) -> None:
    found, _, bill = month(seed, quarters=12)
    assert bill.whole.total == sum(account.entry.total for account in bill.accounts)
    for item in ITEMS:
        assert bill.whole.units[item] == sum(account.entry.units[item] for account in bill.accounts)
        for account in bill.accounts:
            assert account.entry.units[item] == sum(entry.units[item] for _, entry in account.lines)
    unit = 10.0**-bill.digits
    assert bill.money(bill.whole.total) == pytest.approx(math.fsum(found.cost), abs=0.5001 * unit)
    for account in bill.accounts:
        assert bill.money(account.entry.total) == pytest.approx(account.entry.unrounded, abs=3 * len(ITEMS) * unit)


def test_a_month_of_a_hundred_tenants_and_ten_thousand_jobs_is_billed_within_a_minute() -> None:
    """2,976 quarters; each job lasts five hours, so that 67 run at any time."""
    tenants = {f"t{i}": {"name": f"Tenant {i}"} for i in range(100)}
    terms = {"kind": "reserved", "gpus": 10, "curve": "train", "value_per_gpu_h": 1, "price_per_gpu_h": 1}
    contracts = {f"c{i}": {"tenant": f"t{i}", "pool": "pq"[i % 2]} | terms for i in range(100)}
    pools = {name: pool | {"gpus": 800} for name, pool in TOLD["pools"].items()}
    where = site(tenants=tenants, contracts=contracts, pools=pools, feeders={"main": {"rating_kw": 900}, "ups": {"rating_kw": 800, "parent": "main"}})
    found = []
    for i in range(2976):
        start = START + i * QUARTER
        found += [Usage(start, 0.25, "pq"[n % 2], f"c{n}", "contract", f"t{n}", f"c{n}", 2.5, 2.5, 2.5, 2.4, 1.1) for n in range(100)]
        running = range(int(max(i - 19, 0) * 3.3602), int((i + 1) * 3.3602))
        found += [Usage(start, 0.25, "pq"[n % 2], f"job-{n}", "job", f"t{n % 100}", None, gpu_h=1.0, expected_kwh=0.4) for n in running]
        found += [Usage(start, 0.25, pool, "", "free", idle_kwh=1.0) for pool in "pq"]
    keys = ("site/meter/main/import_kw", "h/pool/p/it_power_kw", "h/pool/q/it_power_kw", "site/cooling/chill/power_kw")
    kw = {key: [100.0] * 2976 for key in keys}
    began = time.process_time()
    reckoning, energy, bill = reckoned(found, 2976, kw, where)
    assert time.process_time() - began < 60
    assert len({line.workload for line in reckoning.lines}) > 10_000
    assert len(bill.accounts) == 101
    assert math.fsum(reckoning.energy_kwh) == pytest.approx(math.fsum(energy.import_kwh), rel=1e-9)
