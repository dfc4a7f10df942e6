"""200 sites that nobody would build: always a plan, certified, that the second opinion agrees with, broken in order.

Every key of a site file is there in some of them, with limits from slack to contradictory. What the verifier finds in the first
step, the plan must own up to as a breach of that kind; what tiers say must be broken, no more of it is; no plan is worse than
doing nothing, and none costs less than its program.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facility.config import load_site
from facility.decide import Optimised, decide
from facility.events import Event
from facility.forecast import Forecast, expect
from facility.overrides.arbitrate import Bounds, bounds
from facility.problem import called
from facility.rental import spans
from facility.site import Part, Site
from facility.snapshot import Job, Snapshot
from facility.steps import Edges
from facility.verify import Violation, verify
from models.baseline import baseline
from models.breach import GRID_LIMIT, PLANT
from models.sending.first_step import fits_at_once
from models.solving.tiers import breaks_less

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
    "grid.feed": {"over_feed_kw"},
    "grid.export": {"over_export_kw"},
    "grid.event": {"over_event_kw"},
    "cooling.removes_heat": {"too_hot_k", "uncooled_kw"},
    "hall.temperature": {"too_hot_k"},
    "battery.ride_through": {"short_ride_through_kwh"},
    "firm.floor": {"short_gpu_h"},
    "job.min_run": {"cut_short_gpu_h"},
    "firm.budget": {"over_budget_h"},
    "grid.reserve_up": {"short_reserve_kw"},
    "grid.reserve_down": {"short_reserve_kw"},
}
"""By rule of the verifier, the breaches with which a plan owns up to it."""
BELOW_BOUND = 1e-3
"""The straight lines of a plant's segments lie this much above its curve, as a share of all costs, at most."""


@dataclass(frozen=True)
class Some:
    """Choices of one random site."""

    rng: Random

    def between(self, low: float, high: float) -> float:
        return round(self.rng.uniform(low, high), 2)

    def perhaps(self, chance: float = 0.5) -> bool:
        return self.rng.random() < chance

    def any(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def of(self, chance: float, **keys: Any) -> dict[str, Any]:
        """Each of `keys` with a chance of its own."""
        return {key: value for key, value in keys.items() if self.perhaps(chance)}

    def by_hour(self, low: float, high: float) -> list[float]:
        return [self.between(low, high) for _ in range(24)]

    def window(self) -> dict[str, Any]:
        """A part of the local calendar, most often with the afternoon of `NOW` in it."""
        return {
            **self.of(0.5, from_local=self.any("00:00", "12:00", "16:30"), to_local=self.any("17:15", "19:00", "24:00")),
            **self.of(0.15, weekdays=["wed", "fri"], months=[7, 12], dates=["2026-07-15"]),
        }


def a_site(rng: Random) -> dict[str, Any]:
    """Two pools in one or two halls under a small tree, and a random choice of everything else."""
    some = Some(rng)
    sizes = {"p-a": rng.randint(4, 400), "p-b": rng.randint(1, 60)}
    it_kw = {name: gpus * 0.42 for name, gpus in sizes.items()}
    all_kw = sum(it_kw.values())
    cooled, liquid, fed = some.perhaps(0.7), some.perhaps(0.3), some.perhaps(0.2)
    halls = ["h", some.any("h", "hall-2")]
    feeders = a_tree(some, it_kw, fed=fed)
    export_kw = some.any(0.0, 0.0, all_kw * some.between(0, 1))
    site = {
        "id": "random", "name": "Random", "timezone": "Europe/Berlin", "currency": "EUR",
        "grid": a_grid(some, all_kw, fed=fed, export_kw=export_kw),
        "tariff": a_tariff(some, may_export=export_kw > 0),
        "weather": {"outdoor_by_hour_c": some.by_hour(5, 40)},
        **some.of(0.3, carbon={
            "intensity_g_per_kwh": some.between(0, 900),
            **some.of(0.6, price_per_tonne=some.between(0, 200), cap_kg_per_day=some.between(0, 1) * all_kw * 10),
        }),
        "gpu_models": {
            "g": {
                "min_cap_w": 100, "max_cap_w": 300, "idle_w": some.any(0, 20, 50), **some.of(0.2, power_step_w=some.any(5, 50)),
                "curves": {
                    name: {
                        "source": "made up", **some.of(0.1, assumed=True),
                        "points": [{"cap_w": c, "draw_w": d, "speed": s} for c, d, s in points],
                    }
                    for name, points in CURVES.items()
                },
            }
        },
        "feeders": feeders,
        "halls": {
            hall: {
                "feeder": "utility", **some.of(0.7, base_kw=some.between(0, 3)),
                **({"thermal": a_climate(some, all_kw, liquid=liquid)} if cooled else {}),
            }
            for hall in dict.fromkeys(halls)
        },
        "cooling_plants": {name: a_plant(some, all_kw) for name in ("air", "water")[: 1 + liquid]} if cooled else {},
        "pools": {
            name: {
                "hall": hall, "feeder": name.replace("p", "row"), "gpu_model": "g", "gpus": gpus,
                **some.of(0.5, host_idle_w=20, host_run_w=60), **some.of(0.1, fallback_cap_w=150),
                **({"liquid_share": 0.8} if cooled and liquid and some.perhaps(0.8) else {}),
            }
            for hall, (name, gpus) in zip(halls, sizes.items(), strict=True)
        },
        **some.of(0.5, batteries={f"bess-{i}": a_battery(some, all_kw) for i in range(some.any(1, 1, 2))}),
        **some.of(0.3, solar={"roof": {
            "feeder": some.any("utility", "row-a", "mech"), "peak_kw": all_kw * some.between(0.05, 1.5) + 0.1,
            "output_by_hour_kw_per_kwp": some.by_hour(0, 1),
        }}),
        **some.of(0.3, gensets={"diesel": a_genset(some, all_kw)}),
        "tenants": {"t": {"name": "T"}},
        "contracts": contracts(some, sizes["p-a"]),
        "jobs": {
            "curve": "even", "contract": "work",
            **some.of(0.3, pause_cost_gpu_h=some.between(0.01, 0.5), slack_h=4.0, unfinished_penalty_per_gpu_h=some.between(1, 80)),
            **some.of(0.2, delay_price_per_gpu_h=some.any(0, 0.01)),
            **some.of(0.3, min_run_h=some.any(0.1, 0.5, 2)),
        },
        **some.of(0.4, maintenance=maintenances(some, sizes)),
        **some.of(0.1, control={
            "cycle_s": 600.0, "solver_budget_s": 30.0, "cap_ttl_s": 1200.0, "heartbeat_s": 2.0,
            "override_default_s": 1800.0, "override_ceiling_s": 7200.0, "move_price_per_mwh": 5.0,
        }, bus={"broker": "mqtt://127.0.0.1:1884", "root": "random/v1"}, sample_jobs=[
            {"submit_local": "08:00", "duration_h": 2, "gpus": 4, "slack_h": 3, "contract": "work", "curve": "even", "elastic": True}
        ]),
    }  # fmt: skip
    for contract in site["contracts"].values():  # none that comes amid the first step: it has its orders once it is there
        contract.update(some.of(0.1, gpus_from=at(some.any(-1, 2))) | some.of(0.1, gpus_until=at(some.any(2.25, 3))))
    return site


def a_tree(some: Some, it_kw: dict[str, float], *, fed: bool) -> dict[str, Any]:
    """Rows and cooling under one utility; where the site is `fed` twice, one row has a connection of its own."""
    all_kw = sum(it_kw.values())
    feeders: dict[str, Any] = {
        "utility": {"rating_kw": all_kw * some.between(0.6, 2) + 5},
        "row-a": {"rating_kw": it_kw["p-a"] * some.between(0.4, 1.3) + 1, "parent": "utility"},
        "row-b": {"rating_kw": it_kw["p-b"] * some.between(0.5, 1.5) + 1, **({} if fed else {"parent": "utility"})},
        "mech": {"rating_kw": all_kw * some.between(0.1, 0.6) + 2, "parent": "utility"},
    }
    for feeder in feeders.values():
        feeder.update(some.of(0.3, loss_share=some.any(0.0, 0.03), worst_case_margin=0.9))
    if some.perhaps(0.25):
        feeders["row-a"]["redundancy_group"] = feeders["row-b"]["redundancy_group"] = "rows"
    return feeders


def a_grid(some: Some, all_kw: float, *, fed: bool, export_kw: float) -> dict[str, Any]:
    feeds = {name: {"feeder": root, "import_limit_kw": all_kw * some.between(0.1, 1.2) + 1} for name, root in (("a", "utility"), ("b", "row-b"))}
    window = {"from_local": "16:30", "to_local": "18:00", "import_limit_kw": all_kw * some.between(0.1, 1) + 1}
    return {
        "import_limit_kw": all_kw * some.between(0.2, 1.6) + 2,
        **({"feeds": feeds} if fed else {}),
        **({"export_limit_kw": export_kw} if export_kw else {}),
        **some.of(0.3, ramp_kw_per_h=all_kw * some.between(0.2, 3), reserves=reserves(some, all_kw), limit_windows=[window]),
        **some.of(0.1, feed="north"),
    }


def reserves(some: Some, all_kw: float) -> dict[str, Any]:
    return {
        way: {
            "direction": way, "duration_min": some.any(15, 60), **some.of(0.6, price_per_mw_h=30, most_kw=all_kw * some.between(0, 0.5)),
            **some.of(0.6, committed=[{"from_local": "15:00", "to_local": "18:00", "committed_kw": all_kw * some.between(0.01, 0.5)}]),
        }
        for way in ("up", "down") if some.perhaps(0.7)
    }  # fmt: skip


def a_tariff(some: Some, *, may_export: bool) -> dict[str, Any]:
    peaks = some.any(
        {}, {}, {"peak_price_per_kw": 2.0},
        {"demand_charges": {
            "all": {"price_per_kw": some.between(0, 8), **some.of(0.5, ratchet_share=0.8, highest_of_year_kw=some.between(1, 80))},
            "peak": {**some.window(), "price_per_kw": 3.0},
        }},
    )  # fmt: skip
    for charge in peaks.get("demand_charges", {}).values():
        if "ratchet_share" in charge:
            charge.setdefault("highest_of_year_kw", 20.0)
    price = some.any({"energy_price_per_mwh": some.between(-50, 200)}, {"energy_price_by_hour_per_mwh": some.by_hour(-300, 500)})
    export = some.any({}, {"export_price_per_mwh": some.between(-50, 300)}, {"export_fee_per_mwh": some.between(-10, 60)})
    return {
        **price, **peaks, **(export if may_export else {}),
        **some.of(
            0.25, windows=[{**some.window(), "energy_price_per_mwh": some.between(-300, 500)}], fees_per_mwh=some.between(0, 80),
            network_fee_windows=[{**some.window(), "fee_per_mwh": some.between(0, 60)}], tax_share=0.19, billing_interval_min=some.any(5, 30, 60),
            coarse_step_margin_share=some.any(0.0, 0.1), imbalance_premium_per_mwh=some.between(0, 300), water_price_per_m3=3.0,
            standing_charge_per_month=100.0,
        ),
    }  # fmt: skip


def a_climate(some: Some, all_kw: float, *, liquid: bool) -> dict[str, Any]:
    return {
        "heat_capacity_kwh_per_k": some.between(0.02, 0.1) * all_kw,
        "resistance_k_per_kw": some.between(10, 1000) / all_kw,
        "start_c": some.between(12, 30),
        "cooling_plant": "air",
        **({"liquid_plant": "water"} if liquid else {}),
        **some.of(0.2, recommended_min_c=some.between(15, 20), recommended_max_c=some.between(23, 28), allowable_max_c=some.between(29, 36)),
    }


def a_plant(some: Some, all_kw: float) -> dict[str, Any]:
    heat_kw = some.between(0.5, 1.6) * all_kw + 5
    most_kw = heat_kw * some.between(0.9, 1.2)
    plant = {
        "feeder": "mech", "design_heat_kw": heat_kw, "max_heat_kw": most_kw, "pump_kw": heat_kw * 0.04, "fan_kw": heat_kw * 0.02,
        **some.of(
            0.3, misc_kw=heat_kw * 0.02, water_l_per_kwh=1.5, min_load_share=some.between(0, 0.4), pump_min_share=some.between(0, 0.5),
            fan_min_share=some.between(0, 0.5), cop_at_25c=some.between(2.5, 6), cop_loss_per_k=some.between(0, 0.1), cop_min=some.between(1, 2.5),
            free_cooling_full_below_c=some.between(5, 15), free_cooling_none_above_c=some.between(20, 30),
            capacity_by_outdoor=[{"outdoor_c": 20, "share": 1}, {"outdoor_c": 40, "share": 0.7}],
            stages=[{"max_heat_kw": heat_kw * 0.6, "cop_at_25c": 5}, {"max_heat_kw": heat_kw * 0.8, "cop_at_25c": 3.5}],
            store={
                "capacity_kwh": all_kw * some.between(0.1, 2), "charge_kw": all_kw * some.between(0.05, 0.5),
                "discharge_kw": all_kw * some.between(0.05, 0.5), **some.of(0.5, loss_share_per_h=0.02, start_share=some.between(0, 1)),
            },
        ),
    }  # fmt: skip
    return plant if "store" in plant else {**plant, **some.of(0.2, set_point=a_set_point(some, heat_kw))}


def a_set_point(some: Some, heat_kw: float) -> dict[str, Any]:
    """Levels below and above the temperature at which halls start."""
    return {
        "levels_c": [12, 16, some.any(20, 24)], "usual_c": some.any(12, 16), "cop_gain_per_k": some.between(0, 0.2),
        "approach_k_per_kw": some.between(1, 8) / heat_kw,
        **some.of(0.5, free_cooling_shift_per_k=some.between(0, 2)),
    }  # fmt: skip


def a_battery(some: Some, all_kw: float) -> dict[str, Any]:
    rides = some.of(0.4, ride_through_min=some.between(1, 20))
    return {
        "feeder": some.any("utility", "row-a"), "capacity_kwh": all_kw * some.between(0.1, 2),
        "charge_kw": all_kw * some.between(0.1, 1), "discharge_kw": all_kw * some.between(0.1, 1), "start_share": some.between(0.1, 1),
        **some.of(0.5, efficiency=some.any(0.9, 0.95, 1.0), wear_price_per_mwh=20, min_share=some.between(0, 0.1)),
        **rides, **(some.of(0.3, ride_through_feeder=some.any("row-a", "row-b", "utility")) if rides else {}),
    }  # fmt: skip


def a_genset(some: Some, all_kw: float) -> dict[str, Any]:
    return {
        "feeder": some.any("utility", "row-a"), "max_kw": all_kw * some.between(0.1, 1), "fuel_price_per_mwh": some.between(0, 400),
        **some.of(
            0.5, min_load_share=some.between(0.1, 1), start_cost=some.between(0, 20), min_run_h=some.between(0, 3),
            run_hours_left=some.between(0, 4), carbon_g_per_kwh=700,
        ),
    }  # fmt: skip


def contracts(some: Some, gpus: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "work": {
            "tenant": "t", "kind": some.any("on-demand", "spot"),
            **some.of(0.5, value_per_gpu_h=some.between(0, 0.2), penalty_per_gpu_h=some.between(1, 80)),
            **some.of(0.15, tier=some.any("T0", "T1", "T2", "T3", "T4", "T5"), max_defer_h=some.between(0, 5)),
            **some.of(0.15, carbon_price_per_tonne=some.between(10, 500)),
        }
    }  # fmt: skip
    for name in ("rent", "serve")[: some.any(0, 1, 1, 2)]:
        rented = some.rng.randint(1, max(1, gpus // 4))
        slower = some.any(
            {}, {}, {"floor_speed": some.between(0, 1)}, some.of(0.9, tier=some.any("T0", "T1", "T2", "T3", "T4", "T5")),
            {"greatest_slowdown": some.between(1, 3)},
        )  # fmt: skip
        if "tier" in slower or "greatest_slowdown" in slower:
            slower |= some.of(0.4, slow_hours=some.between(0, 3), slow_window=some.any("day", "week", "month"), credit_per_gpu_h=some.between(0, 0.2))
        found[name] = {
            "tenant": "t", "kind": "reserved", "pool": "p-a", "gpus": rented, "curve": some.any(*CURVES), **slower,
            "value_per_gpu_h": some.any(0, 0.05, 2), "penalty_per_gpu_h": some.between(1, 60),
            **some.of(0.3, pausable=True, weight=1.0, releases_idle=True, demand_by_hour_gpus=[some.rng.randint(0, rented) for _ in range(24)]),
        }  # fmt: skip
    return found


def at(hours: float) -> str:
    """An instant so many hours after the plan begins."""
    return (NOW + timedelta(hours=hours)).isoformat()


def maintenances(some: Some, sizes: dict[str, int]) -> dict[str, Any]:
    """One at a fixed time and one with a choice, neither of more GPUs than contracts leave."""
    begins, early, hours = some.any(-2, 0, 0.5, 1.25), some.any(-1, 0, 0.75), some.any(0.25, 0.5, 1, 2)
    return some.of(
        0.6,
        repair={"pool": "p-b", "gpus": some.rng.randint(1, (sizes["p-b"] + 1) // 2), "start": at(begins), "end": at(begins + some.any(0.5, 3))},
        refresh={
            "pool": "p-a", "gpus": some.rng.randint(1, max(1, sizes["p-a"] // 4)), "hours": hours, "earliest": at(early),
            "latest": at(early + hours + some.any(0, 0.5, 3)), **some.of(0.5, penalty_per_gpu_h=some.between(1, 60)),
        },
    )  # fmt: skip


def some_jobs(rng: Random, site: Site, end_h: float) -> tuple[Job, ...]:
    """Jobs of which most could be done, whatever else there is."""
    jobs = []
    for i in range(rng.randint(1, 10)):
        pool = rng.choice(list(site.pools))
        gpus = rng.randint(1, max(1, site.pools[pool].gpus // rng.choice([2, 20])))
        submit_h, length_h = (rng.uniform(0, 0.7 * end_h) if rng.random() < 0.25 else 0.0), rng.uniform(0.2, 1.3 * end_h)
        running = rng.random() < 0.5
        others = tuple(other for other in site.pools if other != pool) if not running and rng.random() < 0.15 else ()
        since = NOW - timedelta(hours=rng.uniform(0, 1)) if running and rng.random() < 0.5 else None
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
                running=running,
                pause_cost_gpu_h=rng.choice([None, None, 0.1]),
                other_pools=others,
                running_since=since,
            )
        )
    return tuple(jobs)


def measured(rng: Random, site: Site, jobs: tuple[Job, ...]) -> Snapshot:
    """What sensors would say, mostly what the site file takes for granted; no hall above its allowable band, where the verifier gives
    none more power whatever a plan says.
    """
    some = Some(rng)
    return Snapshot(
        NOW,
        jobs,
        hall_c={h: min(t.start_c + some.any(0, 0, 0, 4), t.allowable_max_c) for h, hall in site.halls.items() if (t := hall.thermal) is not None},
        battery_kwh={name: b.start_share * b.capacity_kwh for name, b in site.batteries.items()},
        thermal_store_kwh={c: plant.store.start_share * plant.store.capacity_kwh for c, plant in site.cooling_plants.items() if plant.store},
        slow_hours_used=some.of(0.2, rent=some.between(0, 2)),
        peak_so_far_kw=some.any(0.0, 10.0, 100.0),
        **some.of(0.2, interval_kwh=some.between(0, 10), interval_s=300.0),
    )


def expected(rng: Random, site: Site, edges: Edges) -> Forecast:
    """What the site file says, and sometimes a pessimistic forecast beside it."""
    told, some = expect(site, edges, {}), Some(rng)
    if some.perhaps(0.85):
        return told
    return replace(told, outdoor_high_c=told.outdoor_c + some.between(0, 5))


def asked(rng: Random, site: Site, snapshot: Snapshot, forecast: Forecast, edges: Edges) -> Bounds:
    """Nothing by people; sometimes a grid event, or a position that was committed a day ahead."""
    some = Some(rng)
    free = bounds(site, (), NOW, edges, jobs={job.id: job.pool for job in snapshot.jobs})
    if site.tariff.imbalance_premium_per_mwh is not None:
        most_kw = site.grid.import_limit_kw
        free = replace(free, position_kw=tuple(some.any(None, some.between(0, 1) * most_kw) for _ in edges[1:]))
    begins = NOW + timedelta(hours=some.any(-0.5, 0, 1))
    event = Event(begins, begins + timedelta(hours=1), reduction_pct=some.between(0, 60), ramp=timedelta(minutes=some.any(0, 30)))
    return called(site, snapshot, forecast, free, (event,) * some.perhaps(0.15), edges)


@dataclass(frozen=True)
class Case:
    """A random site, what is known of it, and what was decided."""

    site: Site
    snapshot: Snapshot
    made: Optimised


def decided(rng: Random) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "site.yaml"
        file.write_text(yaml.safe_dump(a_site(rng), sort_keys=False), encoding="utf-8")
        site = load_site(file)
    hours = rng.choices([0.25, 0.5, 1.0, 2.0], k=rng.randint(2, 5))
    edges: Edges = tuple(NOW + timedelta(hours=sum(hours[:i])) for i in range(len(hours) + 1))
    snapshot = measured(rng, site, some_jobs(rng, site, sum(hours)))
    forecast = expected(rng, site, edges)
    made = decide(site, snapshot, forecast, asked(rng, site, snapshot, forecast, edges), edges, 20.0)
    assert isinstance(made, Optimised), made
    return Case(site, snapshot, made)


def unowned(case: Case) -> list[Violation]:
    """What the verifier finds in the first step, and the plan's account does not."""
    plan = case.made.plan
    verdict = verify(spans.at(case.site, NOW), case.snapshot, case.made.decision, outdoor_c=float(plan.problem.outdoor_c[0]))
    broken = {family for family, amount in plan.account.breach.items() if (amount > 0).any()}
    return [violation for violation in verdict if not OWNS.get(violation.rule, set()) & broken]


def broken_more(case: Case) -> dict[str, tuple[float, float]]:
    """The highest tiers of which the plan breaks more than its program says is needed: (amount, least), kWh.

    Whole gangs may break more of what a contract or a reserve asks for.
    """
    plan = case.made.plan
    least, found = dict(plan.record.tiers), {}
    for tier in (PLANT, GRID_LIMIT):
        amount = sum(plan.account.cost.get(family, 0.0) for family in tier.families) / tier.price
        if amount > least.get(tier.name, 0.0) * 1.001 + 1e-3:
            found[tier.name] = (amount, least.get(tier.name, 0.0))
    return found


def is_worse_than_nothing(case: Case) -> bool:
    """Whether the site without control breaks less than the plan, or no more and costs less, and could be sent.

    Not asked where a job moved, for then the problem of the baseline is another.
    """
    plan = case.made.plan
    moved = any(job.other_pools for job in case.snapshot.jobs)
    if moved or not fits_at_once(plan.problem, baseline(plan.problem)):
        return False
    less = breaks_less(plan.baseline, plan.account)
    return plan.baseline.objective < plan.account.objective - 1e-6 if less is None else less


def is_below_bound(case: Case) -> bool:
    """Whether a plan that breaks nothing costs less than its program's optimum, by more than a plant's straight lines lie above its curve."""
    account, bound = case.made.plan.account, case.made.plan.record.bound
    scale = sum(abs(money) for money in account.cost.values())
    tight = bool(case.made.plan.record.tiers)  # a limit broken only by what is kept for rounding
    return not account.is_breached and not tight and account.objective < bound - BELOW_BOUND * max(1.0, scale)


@settings(max_examples=200, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**63 - 1))
def test_any_site_has_a_certified_plan_that_the_second_opinion_agrees_with(seed: int) -> None:
    case = decided(Random(seed))
    assert case.made.plan.record.certificate.holds
    assert not unowned(case)
    assert not broken_more(case)
    assert not is_worse_than_nothing(case)
    assert not is_below_bound(case)


def keys_set(part: Any) -> set[tuple[str, str]]:
    """The keys that a site file gives, as (kind of part, key)."""
    if isinstance(part, Part):
        own = {(type(part).__name__, key) for key in part.model_fields_set}
        return own.union(*(keys_set(value) for _, value in part))
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, tuple) else ()
    return set().union(*(keys_set(value) for value in inside))


SERVICE = {
    *(("Site", key) for key in ("based_on", "bus", "sensors", "history", "schedulers", "scrape", "quotes", "sustainability")),
    *(("Control", key) for key in ("guard", "rise_share", "rise_pause_s", "turns_per_h")),
    *(("Contract", "price_per_gpu_h"), ("Pool", "spare_gpus"), ("Genset", "metered"), ("Solar", "metered")),
}
"""Keys of a site file that no plan reads."""


def keys_below(kind: str, kinds: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(part, key) of every key that a part, and the parts in it, may have, but for what no plan reads."""
    found = {(kind, key) for key in kinds[kind]["properties"] if (kind, key) not in SERVICE}
    inside = {key: json.dumps(kinds[kind]["properties"][key]) for _, key in found}
    parts = {part for told in inside.values() for part in re.findall(r"#/\$defs/(\w+)", told)}
    return found.union(*(keys_below(part, kinds) for part in parts if "properties" in kinds[part]))


def test_every_key_that_a_plan_reads_is_in_some_random_site() -> None:
    """What no random site has is not tested here: give it a place in `a_site`."""
    schema = Site.model_json_schema()
    known = keys_below("Site", {"Site": schema, **schema["$defs"]})
    given_ = set().union(*(keys_set(Site.model_validate(a_site(Random(seed)))) for seed in range(400)))
    assert {("GpuModel", "power_step_w"), ("Battery", "capacity_kwh"), ("Control", "cycle_s")} <= known
    assert known <= given_
    assert {part for part, _ in given_ - known} <= {"Bus", "Site"}
