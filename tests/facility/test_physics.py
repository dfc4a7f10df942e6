"""What a plan says it imports is what physics draws for its caps, temperatures and battery: recomputed here from the files alone.

The prices are negative, where a program is paid for what it burns: a plant that draws more than its curve, a battery that charges
and discharges at once, work that nobody asked for would all show as import that these lines do not find.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report.tables import write_tables

ROOT = Path(__file__).parents[2]
SITES = ("demo", "dallas")
DAY = datetime(2023, 7, 2, tzinfo=UTC)


def burnt(site: str, tmp: Path) -> Planned:
    """A day on which energy is paid for, -500 at noon, with twenty jobs."""
    prices, jobs = tmp / "prices.csv", tmp / "jobs.csv"
    currency = "usd" if site == "dallas" else "eur"
    hours = [f"{(DAY + timedelta(hours=i - 4)).isoformat()},{-500 if 10 < i < 18 else -20 + 3 * (i % 5)}" for i in range(40)]
    prices.write_text("\n".join([f"time,price_{currency}_per_mwh", *hours]) + "\n", encoding="utf-8")
    rows = [f"j{i},{(DAY + timedelta(hours=6 + i % 9)).isoformat()},{3600 * (1 + i % 4)},{8 * (1 + i % 3)}" for i in range(20)]
    jobs.write_text("\n".join(["job_id,submit_time,duration_s,num_gpus", *rows]) + "\n", encoding="utf-8")
    found = plan(Request(str(ROOT / f"site_configs/{site}.yaml"), "2023-07-02", step="30min", prices=str(prices), jobs=str(jobs)))
    assert not isinstance(found, Undecided)
    return found


def plant_kw(plant: dict[str, float], heat_kw: float, outdoor_c: float) -> float:
    """A chiller that free cooling relieves, pumps by the square of load, fans by its cube."""
    span = plant["free_cooling_none_above_c"] - plant["free_cooling_full_below_c"]
    free = min(max((plant["free_cooling_none_above_c"] - outdoor_c) / span, 0), 1)
    cop = max(plant["cop_min"], plant["cop_at_25c"] - plant["cop_loss_per_k"] * (outdoor_c - 25))
    load = heat_kw / plant["design_heat_kw"]
    chiller_kw = (1 - free) * max(heat_kw, plant["min_load_share"] * plant["design_heat_kw"]) / cop
    movers_kw = plant["pump_kw"] * max(load**2, plant["pump_min_share"]) + plant["fan_kw"] * max(load**3, plant["fan_min_share"])
    return float(chiller_kw + movers_kw + plant["misc_kw"])


def draw_w(points: list[dict[str, float]], cap_w: float) -> float:
    """Between two measured points in proportion, above the last one no more."""
    for low, high in pairwise(points):
        if cap_w <= high["cap_w"]:
            share = (cap_w - low["cap_w"]) / (high["cap_w"] - low["cap_w"])
            return float(low["draw_w"] + share * (high["draw_w"] - low["draw_w"]))
    return points[-1]["draw_w"]


def pools_kw(site: dict[str, Any], caps: list[dict[str, str]]) -> dict[str, float]:
    """IT power of each pool under the rows of one step."""
    kw: dict[str, float] = {}
    for name, pool in site["pools"].items():
        model = site["gpu_models"][pool["gpu_model"]]
        idle_w = model["idle_w"] + pool["host_idle_w"]
        kw[name] = pool["gpus"] * idle_w / 1000
        for row in caps:
            if row["pool"] == name:
                curve = site["contracts"].get(row["workload"], {}).get("curve", site["jobs"]["curve"])
                busy_w = draw_w(model["curves"][curve]["points"], float(row["cap_w"])) + pool["host_run_w"]
                kw[name] += float(row["gpus"]) * (busy_w - idle_w) / 1000
    return kw


@pytest.mark.parametrize("name", SITES)
def test_import_is_what_physics_draws_at_negative_prices(name: str, tmp_path: Path) -> None:
    found = burnt(name, tmp_path)
    write_tables(found, tmp_path)
    site = yaml.safe_load((ROOT / f"site_configs/{name}.yaml").read_text(encoding="utf-8"))
    steps = list(csv.DictReader((tmp_path / "plan.csv").open(encoding="utf-8")))
    caps: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader((tmp_path / "caps.csv").open(encoding="utf-8")):
        caps[row["time"]].append(row)
    hall_c = {h: hall["thermal"]["start_c"] for h, hall in site["halls"].items()}
    assert min(float(step[f"price_{site['currency'].lower()}_per_mwh"]) for step in steps) == -500
    for t, step in enumerate(steps):
        it_kw, outdoor_c = pools_kw(site, caps[step["time"]]), float(step["outdoor_c"])
        below: dict[str, float] = defaultdict(float)
        removed_kw: dict[str, float] = defaultdict(float)
        for h, hall in site["halls"].items():
            thermal, to_c = hall["thermal"], float(found.decided.plan.schedule.hall_c[h][t])
            left = math.exp(-float(step["hours"]) / (thermal["resistance_k_per_kw"] * thermal["heat_capacity_kwh_per_k"]))
            settles_at_c = (to_c - left * hall_c[h]) / (1 - left)
            heat_kw = hall["base_kw"] + sum(kw for pool, kw in it_kw.items() if site["pools"][pool]["hall"] == h)
            removed_kw[thermal["cooling_plant"]] += max(heat_kw - (settles_at_c - outdoor_c) / thermal["resistance_k_per_kw"], 0)
            hall_c[h] = to_c
            below[hall["feeder"]] += hall["base_kw"]
        for plant, kw in removed_kw.items():
            assert kw <= site["cooling_plants"][plant]["max_heat_kw"] * (1 + 1e-6)
            below[site["cooling_plants"][plant]["feeder"]] += plant_kw(site["cooling_plants"][plant], kw, outdoor_c)
        for pool, kw in it_kw.items():
            below[site["pools"][pool]["feeder"]] += kw
        for battery in site.get("batteries", {}).values():
            below[battery["feeder"]] += float(step["battery_kw"])  # these sites have one at most

        def into(feeder: str, below: dict[str, float] = below) -> float:
            children = [name for name, f in site["feeders"].items() if f.get("parent") == feeder]
            return (below[feeder] + sum(into(child) for child in children)) * (1 + site["feeders"][feeder].get("loss_share", 0))

        (root,) = [name for name, f in site["feeders"].items() if f.get("parent") is None]
        assert float(step["import_kw"]) == pytest.approx(into(root), rel=1e-3)
