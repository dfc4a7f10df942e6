"""Hundreds of sites that nobody would build: always a plan, certified, that the second opinion agrees with, broken in order.

Every optional part of a site file is there in some of them, with limits from slack to contradictory. What the verifier finds in
the first step, the plan must own up to as a breach of that kind; what tiers say must be broken, no more of it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import yaml

from facility.config import load_site
from facility.decide import Decided, decide
from facility.forecast import expect
from facility.overrides.arbitrate import bounds
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.steps import Edges
from facility.verify import verify
from models.breach import GRID_LIMIT, PLANT

NOW = datetime(2026, 7, 15, 14, tzinfo=UTC)
CURVES = {
    "even": [(100, 100, 0.3), (200, 200, 0.8), (300, 300, 1.0)],
    "saturated": [(100, 98, 0.5), (200, 190, 0.8), (300, 195, 1.0)],
    "dented": [(100, 100, 0.186), (150, 149, 0.41), (200, 197, 0.629), (250, 243, 0.76), (300, 291, 1.0)],
}
OWNS = {
    "feeder.carries": {"over_rating_kw"},
    "feeder.worst_case": {"over_worst_kw"},
    "redundancy.carries": {"over_n1_kw"},
    "redundancy.worst_case": {"over_worst_n1_kw"},
    "grid.limit": {"over_limit_kw"},
    "cooling.removes_heat": {"too_hot_k", "loop_too_hot_kw"},
    "battery.ride_through": {"short_ride_through_kwh"},
    "firm.floor": {"short_gpu_h"},
    "grid.reserve_up": {"short_reserve_kw"},
    "grid.reserve_down": {"short_reserve_kw"},
}
"""By rule of the verifier, the breaches with which a plan owns up to it."""


def a_site(rng: Random) -> dict[str, Any]:
    """Two pools in one or two halls under a small tree, and a random choice of everything else."""

    def between(low: float, high: float) -> float:
        return round(rng.uniform(low, high), 2)

    def perhaps(chance: float = 0.5) -> bool:
        return rng.random() < chance

    def some(kwargs: dict[str, Any], chance: float = 0.4) -> dict[str, Any]:
        return {key: value for key, value in kwargs.items() if perhaps(chance)}

    sizes = {"p-a": rng.randint(4, 400), "p-b": rng.randint(1, 60)}
    it_kw = {name: gpus * 0.42 for name, gpus in sizes.items()}
    all_kw = sum(it_kw.values())
    cooled, liquid = perhaps(0.7), perhaps(0.3)
    thermal = {
        "heat_capacity_kwh_per_k": between(0.02, 0.1) * all_kw,
        "resistance_k_per_kw": between(10, 1000) / all_kw,
        "start_c": between(20, 30),
        "cooling_plant": "air",
        **({"liquid_plant": "water"} if liquid else {}),
    }
    feeders: dict[str, Any] = {
        "utility": {"rating_kw": all_kw * between(0.6, 2) + 5},
        "row-a": {"rating_kw": it_kw["p-a"] * between(0.4, 1.3) + 1, "parent": "utility", **some({"loss_share": 0.03, "worst_case_margin": 0.9})},
        "row-b": {"rating_kw": it_kw["p-b"] * between(0.5, 1.5) + 1, "parent": "utility"},
        "mech": {"rating_kw": all_kw * between(0.1, 0.6) + 2, "parent": "utility"},
    }
    if perhaps(0.25):
        feeders["row-a"]["redundancy_group"] = feeders["row-b"]["redundancy_group"] = "rows"
    plants = {"air": a_plant(rng, all_kw), "water": {**a_plant(rng, all_kw), "free_cooling_full_below_c": 25, "free_cooling_none_above_c": 35}}
    contracts: dict[str, Any] = {"work": {"tenant": "t", "kind": rng.choice(["on-demand", "spot"]), "value_per_gpu_h": between(0, 0.2)}}
    if perhaps(0.7):
        rented = rng.randint(1, max(1, sizes["p-a"] // 3))
        contracts["rent"] = {
            "tenant": "t", "kind": "reserved", "pool": "p-a", "gpus": rented, "curve": rng.choice(list(CURVES)),
            "floor_speed": between(0, 1), "value_per_gpu_h": rng.choice([0, 0.05, 2]), "pausable": perhaps(0.3), "penalty_per_gpu_h": between(1, 60),
            **some({"demand_by_hour_gpus": [rng.randint(0, rented) for _ in range(24)], "releases_idle": True}, 0.3),
        }  # fmt: skip
    capacity_kwh = all_kw * between(0.1, 2)
    site: dict[str, Any] = {
        "id": "random", "name": "Random", "timezone": "Europe/Berlin", "currency": "EUR",
        "grid": {
            "import_limit_kw": all_kw * between(0.2, 1.6) + 2,
            **some({"ramp_kw_per_h": all_kw * between(0.2, 3), "reserves": reserves(rng, all_kw)}, 0.3),
        },
        "tariff": {
            "energy_price_by_hour_per_mwh": [between(-300, 500) for _ in range(24)],
            **some({"peak_price_per_kw": 2.0, "water_price_per_m3": 3.0}, 0.3),
        },
        "weather": {"outdoor_by_hour_c": [between(5, 40) for _ in range(24)]},
        "gpu_models": {
            "g": {
                "min_cap_w": 100, "max_cap_w": 300, "idle_w": rng.choice([0, 20, 50]),
                "curves": {
                    name: {"source": "made up", "points": [{"cap_w": c, "draw_w": d, "speed": s} for c, d, s in points]}
                    for name, points in CURVES.items()
                },
            }
        },
        "feeders": feeders,
        "halls": {"h": {"feeder": "utility", "base_kw": between(0, 3), **({"thermal": thermal} if cooled else {})}},
        "cooling_plants": {"air": plants["air"], **({"water": plants["water"]} if liquid else {})} if cooled else {},
        "pools": {
            name: {
                "hall": "h", "feeder": name.replace("p", "row"), "gpu_model": "g", "gpus": gpus,
                "host_idle_w": 20 if perhaps() else 0, "host_run_w": 60 if perhaps() else 30,
                **({"liquid_share": 0.8} if cooled and liquid and perhaps(0.8) else {}),
            }
            for name, gpus in sizes.items()
        },
        "batteries": {
            "bess": {
                "feeder": rng.choice(["utility", "row-a"]), "capacity_kwh": capacity_kwh, "charge_kw": all_kw * between(0.1, 1),
                "discharge_kw": all_kw * between(0.1, 1), "start_share": between(0.1, 1), "efficiency": rng.choice([0.9, 0.95, 1.0]),
                **some({"ride_through_min": between(1, 20), "wear_price_per_mwh": 20}, 0.4),
            }
        } if perhaps() else {},
        "tenants": {"t": {"name": "T"}},
        "contracts": contracts,
        "jobs": {"curve": "even", "contract": "work", **some({"pause_cost_gpu_h": between(0.01, 0.5)}, 0.3)},
    }  # fmt: skip
    return site


def a_plant(rng: Random, all_kw: float) -> dict[str, Any]:
    heat_kw = round(all_kw * rng.uniform(0.5, 1.6) + 5, 2)
    plant: dict[str, Any] = {
        "feeder": "mech", "design_heat_kw": heat_kw, "max_heat_kw": round(heat_kw * rng.uniform(0.9, 1.2), 2),
        "pump_kw": heat_kw * 0.04, "fan_kw": heat_kw * 0.02, "misc_kw": heat_kw * 0.02,
    }  # fmt: skip
    if rng.random() < 0.3:
        plant["capacity_by_outdoor"] = [{"outdoor_c": 20, "share": 1}, {"outdoor_c": 40, "share": 0.7}]
    if rng.random() < 0.3:
        plant["stages"] = [{"max_heat_kw": heat_kw * 0.6, "cop_at_25c": 5}, {"max_heat_kw": heat_kw * 0.8, "cop_at_25c": 3.5}]
    if rng.random() < 0.3:
        plant["water_l_per_kwh"] = 1.5
    return plant


def reserves(rng: Random, all_kw: float) -> dict[str, Any]:
    return {
        way: {
            "direction": way, "duration_min": rng.choice([15, 60]), "price_per_mw_h": rng.choice([0, 30]),
            "most_kw": all_kw * rng.uniform(0, 0.5),
            "committed": [{"from_local": "15:00", "to_local": "18:00", "committed_kw": all_kw * rng.uniform(0.01, 0.5)}] * (rng.random() < 0.5),
        }
        for way in ("up", "down") if rng.random() < 0.7
    }  # fmt: skip


def some_jobs(rng: Random, site: Site, end_h: float) -> tuple[Job, ...]:
    """Jobs of which most could be done, whatever else there is."""
    jobs = []
    for i in range(rng.randint(1, 10)):
        pool = rng.choice(list(site.pools))
        gpus = rng.randint(1, max(1, site.pools[pool].gpus // rng.choice([2, 20])))
        submit_h, length_h = (rng.uniform(0, 0.7 * end_h) if rng.random() < 0.25 else 0.0), rng.uniform(0.2, 1.3 * end_h)
        jobs.append(
            Job(
                id=f"job{i}",
                pool=pool,
                curve=rng.choice(list(CURVES)),
                gpus=gpus,
                work_gpu_h=gpus * length_h * rng.uniform(0.05, 1.1),
                submit=NOW + timedelta(hours=submit_h),
                deadline=NOW + timedelta(hours=submit_h + length_h),
                contract="work",
                elastic=rng.random() < 0.4,
                running=rng.random() < 0.5,
            )
        )
    return tuple(jobs)


def decided(rng: Random, tmp: Any, step_w: int = 1) -> tuple[Site, Snapshot, Decided]:
    file = tmp / "site.yaml"
    figures = a_site(rng)
    gpu = figures["gpu_models"]["g"]
    gpu["power_step_w"] = step_w
    if step_w > 1:
        gpu["curves"]["even"]["points"].insert(2, {"cap_w": 212, "draw_w": 211, "speed": 0.86})
    file.write_text(yaml.safe_dump(figures, sort_keys=False), encoding="utf-8")
    site = load_site(file)
    hours = rng.choices([0.25, 0.5, 1.0, 2.0], k=rng.randint(2, 5))
    edges: Edges = tuple(NOW + timedelta(hours=sum(hours[:i])) for i in range(len(hours) + 1))
    halls = {h: t.start_c for h, hall in site.halls.items() if (t := hall.thermal) is not None}
    stored = {name: b.start_share * b.capacity_kwh for name, b in site.batteries.items()}
    snapshot = Snapshot(NOW, some_jobs(rng, site, sum(hours)), halls, stored)
    forecast = expect(site, edges, {})
    asked = bounds(site, (), NOW, edges, jobs={job.id: job.pool for job in snapshot.jobs})
    made = decide(site, snapshot, forecast, asked, edges, 20.0)
    assert isinstance(made, Decided), made
    return site, snapshot, made


@pytest.mark.parametrize("seed", range(500))
def test_seed(seed: int, tmp_path: Any) -> None:
    check(*decided(Random(seed), tmp_path))


@pytest.mark.parametrize("step_w", [5, 25])
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_where_caps_are_set_in_steps_every_cap_is_on_one_and_all_else_holds(seed: int, step_w: int, tmp_path: Any) -> None:
    """A curve is measured at 212 W too, between two of them."""
    site, snapshot, made = decided(Random(seed), tmp_path, step_w)
    assert not (made.plan.schedule.groups.cap_w % step_w).any()
    check(site, snapshot, made)


def check(site: Site, snapshot: Snapshot, made: Decided) -> None:
    plan = made.plan
    assert plan.record.certificate.holds
    verdict = verify(site, snapshot, made.decision, outdoor_c=float(plan.problem.outdoor_c[0]))
    broken = {family for family, amount in plan.account.breach.items() if (amount > 0).any()}
    unowned = [v for v in verdict if not OWNS.get(v.rule, set()) & broken]
    assert not unowned
    least = dict(plan.record.tiers)
    for tier in (PLANT, GRID_LIMIT):  # whole gangs may break more of what a contract or a reserve asks for
        amount = sum(plan.account.cost.get(family, 0.0) for family in tier.families) / tier.price
        assert amount <= least.get(tier.name, 0.0) * 1.001 + 1e-3
