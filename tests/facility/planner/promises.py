"""What a plan promises, checked from its files alone by arithmetic of its own; it reads YAML, CSV and JSON and knows nothing of the
program that wrote them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isclose
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEMO, PHOENIX = ROOT / "site_configs/demo.yaml", ROOT / "site_configs/phoenix-256gpu.yaml"
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
Row = dict[str, str]


# The checker. It reads YAML, CSV and JSON and knows nothing of the program that wrote them.


@dataclass(frozen=True)
class Told:
    """What a plan's folder says, and what it was asked."""

    site: dict[str, Any]
    jobs: list[Row]
    steps: list[Row]
    caps: list[Row]
    done: dict[str, Row]
    summary: dict[str, Any]

    @property
    def hours(self) -> list[float]:
        return [float(step["hours"]) for step in self.steps]

    def column(self, name: str) -> list[float]:
        return [float(step[name]) for step in self.steps]

    def caps_at(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.caps:
            found[row["time"]].append(row)
        return found

    def breached(self, family: str) -> set[str]:
        return {breach["asset"] for breach in self.summary["breaches"] if breach["family"] == family}


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def told(folder: Path, site: Path, jobs: Path | None) -> Told:
    done = read(folder / "jobs.csv")
    assert len({job["job_id"] for job in done}) == len(done), "a job stands twice in jobs.csv"
    return Told(
        yaml.safe_load(site.read_text(encoding="utf-8")),
        read(jobs) if jobs else [],
        read(folder / "plan.csv"),
        read(folder / "caps.csv"),
        {job["job_id"]: job for job in done},
        json.loads((folder / "summary.json").read_text(encoding="utf-8"), parse_constant=pytest.fail),
    )


def check(t: Told, start: datetime, steps: int) -> None:
    """Fail on any promise of the plan that does not hold."""
    for promise in (
        steps_are_laid_end_to_end, money_and_energy_add_up, import_stays_under_the_limit, plan_is_no_dearer_than_the_baseline,
        caps_are_settable_and_on_the_curve, pools_hold_what_runs, jobs_keep_their_windows, jobs_are_finished, power_adds_up,
        feeders_carry_it, batteries_stay_in_bounds, status_says_what_is_broken,
    ):  # fmt: skip
        promise(t, start, steps)


def steps_are_laid_end_to_end(t: Told, start: datetime, steps: int) -> None:
    assert len(t.steps) == steps
    at = start
    for step in t.steps:
        assert datetime.fromisoformat(step["time"]) == at
        at += float(step["hours"]) * HOUR
    assert datetime.fromisoformat(t.summary["start"]) == start
    assert datetime.fromisoformat(t.summary["end"]) == at


def money_and_energy_add_up(t: Told, *_: object) -> None:
    drawn, price = t.column("import_kw"), t.column("price_" + t.site["currency"].lower() + "_per_mwh")
    cost = sum(kw * each / 1000 * h for kw, each, h in zip(drawn, price, t.hours, strict=True))
    assert near(t.summary["energy_cost"], cost)
    energy_kwh = sum(kw * h for kw, h in zip(drawn, t.hours, strict=True))
    assert near(t.summary["energy_kwh"], energy_kwh)
    assert near(t.summary["peak_kw"], max(drawn))
    assert near(t.summary["carbon_kg"], energy_kwh * t.site.get("carbon", {}).get("intensity_g_per_kwh", 0) / 1000)
    base = t.summary["baseline"]["energy_cost"]
    assert t.summary["saving_pct"] is None if base == 0 else near(t.summary["saving_pct"], 100 * (base - cost) / abs(base))


def import_stays_under_the_limit(t: Told, *_: object) -> None:
    over = 0
    for step in t.steps:
        local = f"{datetime.fromisoformat(step['time']).astimezone(ZoneInfo(t.site['timezone'])):%H:%M}"
        windows = t.site["grid"].get("limit_windows", [])
        limits = [w["import_limit_kw"] for w in windows if w["from_local"] <= local < w["to_local"]]
        assert float(step["import_limit_kw"]) == min([t.site["grid"]["import_limit_kw"], *limits])
        over += float(step["import_kw"]) > float(step["import_limit_kw"]) + 1e-6
    assert bool(over) == bool(t.breached("over_limit_kw"))


def plan_is_no_dearer_than_the_baseline(t: Told, *_: object) -> None:
    assert t.summary["objective"] <= t.summary["baseline"]["objective"] + 1e-6


def caps_are_settable_and_on_the_curve(t: Told, *_: object) -> None:
    for row in t.caps:
        model = t.site["gpu_models"][t.site["pools"][row["pool"]]["gpu_model"]]
        cap_w = int(row["cap_w"])
        assert model["min_cap_w"] <= cap_w <= model["max_cap_w"]
        points = model["curves"][curve_of(t, row["workload"])]["points"]
        assert near(float(row["draw_w"]), interpolated(points, "draw_w", cap_w))
        assert near(float(row["speed"]), interpolated(points, "speed", cap_w))


def pools_hold_what_runs(t: Told, *_: object) -> None:
    at = t.caps_at()
    assert set(at) <= {step["time"] for step in t.steps}
    short: set[str] = set()
    for step in t.steps:
        rows = at[step["time"]]
        assert near(sum(float(row["gpus"]) for row in rows), float(step["gpus_running"]))
        assert all(row["hours"] == step["hours"] for row in rows)
        for pool, its in t.site["pools"].items():
            assert sum(float(row["gpus"]) for row in rows if row["pool"] == pool) <= its["gpus"] + 1e-6
            kept = sum(c.get("gpus", 0) for c in t.site["contracts"].values() if c.get("pool") == pool and not c.get("pausable"))
            gangs = {job["job_id"]: int(job["num_gpus"]) for job in t.jobs if job["elastic"] not in ("True", "true")}
            assert all(gangs.get(row["workload"], 0) <= its["gpus"] - kept for row in rows if row["pool"] == pool)
        for name, contract in t.site["contracts"].items():
            mine = [row for row in rows if row["workload"] == name]
            assert all(row["pool"] == contract["pool"] for row in mine)
            running = sum(float(row["gpus"]) for row in mine)
            assert running <= contract.get("gpus", 0)
            assert running == contract.get("gpus", 0) or contract.get("pausable", False)
            speed = sum(float(row["gpus"]) * float(row["speed"]) for row in mine)
            if speed < contract.get("floor_speed", 0) * contract.get("gpus", 0) - 1e-5:
                short.add(name)
    assert short == t.breached("short_gpu_h")


def jobs_keep_their_windows(t: Told, *_: object) -> None:
    begin = {step["time"]: datetime.fromisoformat(step["time"]) for step in t.steps}
    running: dict[tuple[str, str], float] = defaultdict(float)
    for row in t.caps:
        if row["workload"] not in t.site["contracts"]:
            running[row["workload"], row["time"]] += float(row["gpus"])
            assert row["pool"] == t.done[row["workload"]]["pool"]
    ran: dict[str, list[datetime]] = defaultdict(list)
    for (job_id, at), gpus in running.items():
        job, length = t.done[job_id], next(float(s["hours"]) for s in t.steps if s["time"] == at) * HOUR
        submit, deadline = (datetime.fromisoformat(job[key]) for key in ("submit", "deadline"))
        inside = min(begin[at] + length, deadline) - max(begin[at], submit)
        assert gpus <= int(job["num_gpus"]) * max(inside / length, 0.0) + 1e-6, f"{job_id} at {at}"
        ran[job_id] += [begin[at], begin[at] + length]
    for job_id, job in t.done.items():
        assert bool(job["start"]) == bool(ran[job_id])
        if job["start"]:
            first, submit = (datetime.fromisoformat(job[key]) for key in ("start", "submit"))
            assert submit <= first
            assert min(ran[job_id]) <= first < max(ran[job_id])
            assert near(float(job["deferred_h"]), (first - submit) / HOUR)
        if job["finish"]:
            last, deadline = (datetime.fromisoformat(job[key]) for key in ("finish", "deadline"))
            assert last <= deadline + timedelta(microseconds=2)
            assert min(ran[job_id]) < last <= max(ran[job_id]) + timedelta(microseconds=2)


def jobs_are_finished(t: Told, *_: object) -> None:
    assert len(t.done) == len(t.jobs)
    end = datetime.fromisoformat(t.summary["end"])
    work, energy = defaultdict[str, float](float), defaultdict[str, float](float)
    for row in t.caps:
        gpu_h = float(row["gpus"]) * float(row["hours"])
        work[row["workload"]] += gpu_h * float(row["speed"])
        energy[row["workload"]] += gpu_h * (float(row["draw_w"]) + t.site["pools"][row["pool"]]["host_run_w"]) / 1000
    unfinished: set[str] = set()
    for given in t.jobs:
        job = t.done[given["job_id"]]
        asked = float(given["duration_s"]) * int(given["num_gpus"]) / 3600
        assert near(float(job["work_gpu_h"]), asked)
        assert datetime.fromisoformat(job["submit"]) == datetime.fromisoformat(given["submit_time"])
        assert near(float(job["done_gpu_h"]), work[given["job_id"]])
        assert near(float(job["energy_kwh"]), energy[given["job_id"]])
        finished = near(work[given["job_id"]], asked)
        assert work[given["job_id"]] <= asked * (1 + 1e-6), "work that nobody asked for"
        assert finished == bool(job["finish"])
        if datetime.fromisoformat(job["deadline"]) <= end and not finished:
            unfinished.add(given["job_id"])
    assert unfinished == t.breached("unfinished_gpu_h")


def power_adds_up(t: Told, *_: object) -> None:
    at = t.caps_at()
    for step in t.steps:
        assert near(sum(pool_kw(t, pool, at[step["time"]])[0] for pool in t.site["pools"]), float(step["it_kw"]))
        assert near(max(load(t, step, at[step["time"]], root(t))[0], 0.0), float(step["import_kw"]))


def feeders_carry_it(t: Told, *_: object) -> None:
    at = t.caps_at()
    for step in t.steps:
        for name, feeder in t.site["feeders"].items():
            expected_kw, worst_kw = load(t, step, at[step["time"]], name)
            assert expected_kw <= feeder["rating_kw"] + 1e-6
            assert worst_kw <= feeder["rating_kw"] * feeder.get("worst_case_margin", 1.0) + 1e-6


def batteries_stay_in_bounds(t: Told, *_: object) -> None:
    for battery in t.site.get("batteries", {}).values():
        started = stored = battery["start_share"] * battery["capacity_kwh"]
        for kw, h in zip(t.column("battery_kw"), t.hours, strict=True):
            assert -battery["discharge_kw"] - 1e-6 <= kw <= battery["charge_kw"] + 1e-6
            stored += h * (kw * battery["efficiency"] if kw > 0 else kw / battery["efficiency"])
            assert battery["min_share"] * battery["capacity_kwh"] - 1e-5 <= stored <= battery["capacity_kwh"] + 1e-5
        assert stored >= started - 1e-5


def status_says_what_is_broken(t: Told, *_: object) -> None:
    assert (t.summary["status"] == "breached") == bool(t.summary["breaches"])
    assert all(breach["remedy"] and breach["amount"] > 0 for breach in t.summary["breaches"])


def near(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def curve_of(t: Told, workload: str) -> str:
    if workload in t.site["contracts"]:
        return str(t.site["contracts"][workload]["curve"])
    return next(job["curve"] for job in t.jobs if job["job_id"] == workload) or t.site["jobs"]["curve"]


def interpolated(points: list[dict[str, float]], key: str, cap_w: float) -> float:
    below = max((p for p in points if p["cap_w"] <= cap_w), key=lambda p: p["cap_w"])
    above = min((p for p in points if p["cap_w"] >= cap_w), key=lambda p: p["cap_w"], default=below)
    way = 0.0 if above is below else (cap_w - below["cap_w"]) / (above["cap_w"] - below["cap_w"])
    return below[key] + way * (above[key] - below[key])


def pool_kw(t: Told, pool: str, rows: list[Row]) -> tuple[float, float]:
    """Expected and worst draw of a pool, kW."""
    its = t.site["pools"][pool]
    model = t.site["gpu_models"][its["gpu_model"]]
    idle_w, least_w = model["idle_w"] + its["host_idle_w"], model["min_cap_w"] + its["host_run_w"]
    mine = [(float(row["gpus"]), float(row["draw_w"]), int(row["cap_w"])) for row in rows if row["pool"] == pool]
    draw_w = its["gpus"] * idle_w + sum(n * (draw + its["host_run_w"] - idle_w) for n, draw, _ in mine)
    return draw_w / 1000, (its["gpus"] * least_w + sum(n * (cap - model["min_cap_w"]) for n, _, cap in mine)) / 1000


def load(t: Told, step: Row, rows: list[Row], feeder: str) -> tuple[float, float]:
    """Expected and worst load of a feeder at its supply side, kW; the sites here have at most one plant and one battery."""
    below = [(h["base_kw"], h["base_kw"]) for h in t.site["halls"].values() if h["feeder"] == feeder]
    below += [pool_kw(t, name, rows) for name, pool in t.site["pools"].items() if pool["feeder"] == feeder]
    below += [load(t, step, rows, name) for name, child in t.site["feeders"].items() if child.get("parent") == feeder]
    cooling, battery = float(step["cooling_kw"]), float(step["battery_kw"])
    below += [(cooling, cooling) for plant in t.site.get("cooling_plants", {}).values() if plant["feeder"] == feeder]
    below += [(battery, max(battery, 0.0)) for each in t.site.get("batteries", {}).values() if each["feeder"] == feeder]
    lost = 1 + t.site["feeders"][feeder].get("loss_share", 0.0)
    return sum(kw for kw, _ in below) * lost, sum(kw for _, kw in below) * lost


def root(t: Told) -> str:
    return next(str(name) for name, feeder in t.site["feeders"].items() if "parent" not in feeder)


def root_of(site: Path) -> str:
    return next(str(name) for name, f in yaml.safe_load(site.read_text(encoding="utf-8"))["feeders"].items() if "parent" not in f)
