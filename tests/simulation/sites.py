"""A small site for each seed: one to four pools in one or two halls, under one to three feeders, tight enough that caps matter."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from facility.decision import PoolCaps
from facility.site import Site
from facility.verify import fallback_caps, fits
from facility.verify.draw import worst_pool_kw
from facility.verify.loads import feeder_kw

ROOT = "facility/v1/s"
MOST_SHARE = 0.9
"""Of its rating that any feeder carries under the fallback caps, so that guarding it does not begin with what nobody can lower."""
LIMIT_SHARE = 0.97
"""Of what may be imported that the fallback caps need: a site that cannot keep its limit without a battery is nobody's to run."""


@cache
def site_of(seed: int) -> Site:
    """The site of a seed. Its fallback caps fit; its highest caps often do not."""
    rng = Random(f"{seed}/site")
    halls = [f"h{i}" for i in range(rng.choice((1, 1, 2)))]
    feeders = [f"f{i}" for i in range(rng.randint(1, 3))]
    pools = {f"p{i}": _pool(rng, rng.choice(halls), feeders[i % len(feeders)]) for i in range(rng.randint(1, 4))}
    low_w, high_w = rng.choice(((100, 400), (200, 700)))
    raw: dict[str, Any] = {
        "id": "s", "name": "s", "timezone": rng.choice(("UTC", "Europe/Berlin", "America/Chicago")), "currency": "EUR",
        "grid": {"import_limit_kw": 1e6}, "tariff": {"energy_price_per_mwh": 50},
        "weather": {"outdoor_by_hour_c": [20 + 8 * math.sin((hour - 9) / 24 * 2 * math.pi) for hour in range(24)]},
        "gpu_models": {"g": {"min_cap_w": low_w, "max_cap_w": high_w, "idle_w": 50, "power_step_w": rng.choice((1, 1, 5)), "curves": {
            "train": {"source": "by hand", "points": _curve(rng, low_w, high_w)}}}},
        "feeders": {"root": {"rating_kw": 1e6}} | {f: {"rating_kw": 1e6, "parent": "root", "loss_share": rng.choice((0.0, 0.02))} for f in feeders},
        "halls": {hall: {"feeder": rng.choice(feeders), "base_kw": rng.randint(2, 8), "thermal": {
            "heat_capacity_kwh_per_k": rng.randint(4, 20), "resistance_k_per_kw": 2, "start_c": 24, "allowable_max_c": 35,
            "cooling_plant": "c"}} for hall in halls},
        "cooling_plants": {"c": {"feeder": "root", "design_heat_kw": 300, "max_heat_kw": 1000, "pump_kw": 3, "fan_kw": 2}},
        "pools": pools,
        "tenants": {"t": {"name": "T"}},
        "contracts": {f"c{i}": {"tenant": "t", "kind": "reserved", "pool": name, "gpus": rng.randint(pool["gpus"] // 3, pool["gpus"]),
                                "curve": "train", "value_per_gpu_h": 2, "floor_speed": rng.choice((0.0, 0.3))}
                      for i, (name, pool) in enumerate(pools.items()) if rng.random() < 0.7},
        "jobs": {"curve": "train"},
        "control": {"cycle_s": rng.choice((300, 600))},
    }  # fmt: skip
    if rng.random() < 0.4:
        raw["batteries"] = {"x": {"feeder": "root", "capacity_kwh": 60, "charge_kw": 10, "discharge_kw": 12}}
    return _rated(raw, rng, grouped=len(feeders) > 1 and rng.random() < 0.4)


def start_of(seed: int) -> datetime:
    """The midnight, UTC, at which the day of a seed begins: any of a year, some of them with a change of the clock or a leap day."""
    rng = Random(f"{seed}/start")
    special = rng.choice((date(2026, 3, 28), date(2026, 10, 24), date(2026, 3, 8), date(2028, 2, 28), date(2026, 12, 31)))
    day = special if rng.random() < 0.3 else date(2026, 1, 1) + timedelta(days=rng.randrange(365))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _pool(rng: Random, hall: str, feeder: str) -> dict[str, Any]:
    return {"hall": hall, "feeder": feeder, "gpu_model": "g", "gpus": rng.randint(10, 100), "host_run_w": 80, "host_idle_w": 40}


def _curve(rng: Random, low_w: int, high_w: int) -> list[dict[str, float]]:
    draws = rng.uniform(0.9, 1.0)
    caps = (low_w, (low_w + high_w) // 2, high_w)
    return [{"cap_w": cap_w, "draw_w": draws * cap_w, "speed": speed} for cap_w, speed in zip(caps, (0.3, 0.8, 1.0), strict=True)]


def _rated(raw: dict[str, Any], rng: Random, *, grouped: bool) -> Site:
    """The site with ratings around what its highest caps need, raised until its fallback caps fit."""
    wide = Site.model_validate(raw)
    hottest_c = max(wide.weather.outdoor_by_hour_c)
    worst = {name: worst_pool_kw(pool, (PoolCaps(name, wide.gpu_models["g"].max_cap_w),)) for name, pool in wide.pools.items()}
    loads = feeder_kw(wide, worst, worst, {}, hottest_c)
    share, tight = {name: rng.uniform(0.75, 1.1) for name in loads}, 1.0
    leaves = [name for name in loads if name != "root"]
    while True:
        for name, load_kw in loads.items():
            raw["feeders"][name]["rating_kw"] = max(round(tight * share[name] * load_kw, 1), 5.0)
        if grouped:
            most_kw = max(*(raw["feeders"][name]["rating_kw"] for name in leaves), sum(loads[name] for name in leaves) / (len(leaves) - 1))
            for name in leaves:
                raw["feeders"][name] |= {"redundancy_group": "g", "rating_kw": round(most_kw * tight, 1)}
        raw["grid"]["import_limit_kw"] = round(raw["feeders"]["root"]["rating_kw"] * rng.uniform(0.85, 1.0), 1)
        site = Site.model_validate(raw)
        loads_kw = _fallback_kw(site, hottest_c)
        if not fits(site, fallback_caps(site), hottest_c) and all(kw <= MOST_SHARE * site.feeders[name].rating_kw for name, kw in loads_kw.items()):
            raw["grid"]["import_limit_kw"] = max(raw["grid"]["import_limit_kw"], round(loads_kw["root"] / LIMIT_SHARE, 1))
            return Site.model_validate(raw)
        tight *= 1.1


def _fallback_kw(site: Site, hottest_c: float) -> dict[str, float]:
    """What feeders carry under the fallback caps where it is hottest, kW."""
    caps = {name: PoolCaps(name, cap_w) for name, cap_w in fallback_caps(site).items()}
    it_kw = {name: worst_pool_kw(pool, (caps[name],)) for name, pool in site.pools.items()}
    return feeder_kw(site, it_kw, it_kw, {}, hottest_c)
