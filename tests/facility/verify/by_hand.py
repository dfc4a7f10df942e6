"""One small site carries most cases of the second opinion. Its pool `p` has 10 GPUs (100 to 400 W, idle 50 W; hosts 20 W idle, 40 W
busy) on feeder `pdu` in hall `h` (base 2 kW). The rental `c` has 6 GPUs at 200 W, where they draw 190 W; job `j` has 2 at 400 W,
drawing 390 W:

    IT       6 * (190 + 40) + 2 * (390 + 40) + 2 idle * (50 + 20)        = 2.380 kW
    heat     2.380 + 2 base + (10 - 24) degC / 14 K/kW                   = 3.380 kW
    cooling  free at 10 degC; pumps 0.2, fans 0.15 (their least), 0.5    = 0.850 kW
    pdu      2.380 + 2                                                   = 4.380 kW
    main     (4.380 + 0.850) * 1.02                                      = 5.3346 kW
    worst    6 * 200 + 2 * 400 + 2 * 100 + 10 * 40 W = 2.6 kW; pdu 4.6;  main (4.6 + 0.85) * 1.02 = 5.559 kW
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from facility.decision import CapGroup, CoolingOrder, Decision, JobOrder, PoolCaps
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.verify import verify

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
POINTS = [
    {"cap_w": 100, "draw_w": 100, "speed": 0.2},
    {"cap_w": 200, "draw_w": 190, "speed": 0.6},
    {"cap_w": 400, "draw_w": 390, "speed": 1},
]
FIGURES: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "Europe/Berlin", "currency": "EUR",
    "grid": {"import_limit_kw": 100}, "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {
        "min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"points": POINTS, "source": "by hand"}}}},
    "feeders": {"main": {"rating_kw": 100, "loss_share": 0.02}, "pdu": {"rating_kw": 100, "parent": "main"}},
    "halls": {"h": {"feeder": "pdu", "base_kw": 2, "thermal": {
        "heat_capacity_kwh_per_k": 10, "resistance_k_per_kw": 14, "start_c": 24, "cooling_plant": "plant"}}},
    "cooling_plants": {"plant": {
        "feeder": "main", "design_heat_kw": 10, "max_heat_kw": 20, "pump_kw": 1, "fan_kw": 1, "misc_kw": 0.5}},
    "pools": {"p": {"hall": "h", "feeder": "pdu", "gpu_model": "g", "gpus": 10, "host_idle_w": 20, "host_run_w": 40}},
    "batteries": {"b": {"feeder": "pdu", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3,
        "efficiency": 0.9, "min_share": 0.1}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "floor_speed": 0.5}},
    "jobs": {"curve": "train"},
}  # fmt: skip
JOB = Job("j", "p", "train", 2, 10.0, NOW, NOW + timedelta(hours=8))
SNAPSHOT = Snapshot(NOW, jobs=(JOB,))


def site_with(**changes: Any) -> Site:
    """Return the small site with some keys changed: `feeders__pdu__rating_kw=5`."""
    figures = copy.deepcopy(FIGURES)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = figures
        for key in parents:
            part = part[key]
        part[last] = value
    return Site.model_validate(figures)


def caps(firm: int = 6, firm_w: Any = 200, job: int = 2, job_w: Any = 400, rest_w: Any = 100) -> PoolCaps:
    """Return the caps of pool `p`."""
    return PoolCaps("p", rest_w, (CapGroup("c", firm, firm_w), CapGroup("j", job, job_w)))


def decision(pool: PoolCaps | None = None, **changes: Any) -> Decision:
    """Return the decision of the module's docstring, valid for a quarter of an hour, with some fields changed."""
    whole = Decision(NOW, NOW + timedelta(minutes=15), (pool or caps(),), (JobOrder("j", "run", 2),))
    return replace(whole, **changes)


def broken(site: Site, made: Decision, snapshot: Snapshot = SNAPSHOT, **more: Any) -> set[str]:
    """Return the names of the rules that fire at 10 degC."""
    return {violation.rule for violation in verify(site, snapshot, made, **{"outdoor_c": 10.0} | more)}


def backed(spare_kw: float, **changes: Any) -> Site:
    """Return the small site where `pdu` and an empty feeder `spare` back each other."""
    group = {"parent": "main", "redundancy_group": "ab"}
    feeders = {"main": FIGURES["feeders"]["main"], "pdu": {"rating_kw": 100, **group}, "spare": {"rating_kw": spare_kw, **group}}
    return site_with(feeders=feeders, **changes)


def generating(**changes: Any) -> Site:
    """Return the small site with a solar plant of 5 kW and a genset of 1 to 4 kW under `pdu`."""
    solar = {"roof": {"feeder": "pdu", "peak_kw": 5, "output_by_hour_kw_per_kwp": [0.5] * 24}}
    gensets = {"g": {"feeder": "pdu", "max_kw": 4, "min_load_share": 0.25, "fuel_price_per_mwh": 200}}
    return site_with(solar=solar, gensets=gensets, **changes)


def tanked(store_kw: float | None, step_s: float = 900, **changes: Any) -> tuple[Site, Decision]:
    """Return a tank of 4 kWh that takes in 2 kW and gives 1 kW, and an order to it."""
    store = {"capacity_kwh": 4, "charge_kw": 2, "discharge_kw": 1, "loss_share_per_h": 0.19} | changes
    made = decision(cooling=(CoolingOrder("plant", (("h", 24.0),), store_kw),), first_step_s=step_s)
    return site_with(cooling_plants__plant__store=store), made


def warming(by_k: float, step_s: float | None = 900) -> Decision:
    """Return the decision with an order that lets the hall warm from half of `by_k` below 24 degC to half of it above."""
    return decision(cooling=(CoolingOrder("plant", (("h", 24 + by_k / 2),)),), first_step_s=step_s)


def at_its_limit(max_heat_kw: float, allowable_c: float = 24.0) -> Site:
    """A site whose hall may end no warmer than it is ordered to, or only as warm as `allowable_c`."""
    band = {"halls__h__thermal__recommended_max_c": 23.5, "halls__h__thermal__allowable_max_c": allowable_c}
    return site_with(cooling_plants__plant__max_heat_kw=max_heat_kw, **band)


def chosen(supply_c: Any, approach: float = 1.0, **more: Any) -> tuple[Site, Decision]:
    """The small site whose plant may supply 16 (as usual) or 20 degC, and the decision of the docstring at one of them."""
    point = {"levels_c": [16, 20], "usual_c": 16, "cop_gain_per_k": 0.1, "approach_k_per_kw": approach}
    made = decision(cooling=(CoolingOrder("plant", (("h", 24.0),), supply_c=supply_c),), **more)
    return site_with(cooling_plants__plant__set_point=point), made
