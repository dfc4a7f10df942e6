"""Sites to measure on: the product's own problem at four sizes, one GPU model, everything that ties pools together.

Each pool of A100s hangs on a feeder of its own under that of its hall; four pools share a hall, its cooling plant and a feeder with
losses; all share a battery, an import limit and a demand charge. Prices and weather are like those of a day in July. Jobs ask for
45 % of the GPUs' hours, or for so many that much has to run faster than is cheap and some is left undone, though there is power
for it (`scarce`). A job in a hurry needs more than the most efficient speed. Of the GPUs' measured curves three to five points are on the ladder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from models.grid.demand_charge import DemandCharge, Interval
from models.grid.grid_connection import GridConnection
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.horizon import Floats, Horizon
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.problem import Problem
from models.work.gpu import Curve, Host, ladder
from models.work.job import Job
from models.work.pool import Pool

SIZES = {"S": (100, 4), "M": (500, 16), "L": (2_000, 64), "XL": (10_000, 200)}
"""Jobs and pools; the largest has about 100,000 GPUs."""

STEPS = {"non-uniform": (1 / 12,) * 24 + (0.25,) * 16 + (1.0,) * 18, "uniform": (1 / 12,) * 288}
"""Hours of the steps of a day."""

CAPS_W = (100.0, 200.0, 250.0, 300.0, 350.0, 400.0)
CURVES = (  # A100-SXM4, github ai-emerald/emerald-ai-demo-may-2025: inference, fine-tuning and pre-training of language models
    Curve(CAPS_W, (97.9, 194.6, 241.8, 288.9, 332.9, 368.4), (0.225, 0.781, 0.871, 0.931, 0.976, 1.0)),
    Curve(CAPS_W, (100.1, 195.4, 239.8, 285.5, 317.1, 343.4), (0.228, 0.784, 0.878, 0.937, 0.967, 1.0)),
    Curve(CAPS_W, (100.0, 198.4, 247.5, 295.7, 343.3, 387.8), (0.175, 0.626, 0.787, 0.874, 0.935, 1.0)),
)
HOST = Host(idle_w=50.0, host_idle_w=60.0, host_run_w=120.0, min_cap_w=100.0)
BUSY_KW = (387.8 + HOST.host_run_w) / 1000

EUR_PER_KWH = np.array(
    [88, 80, 76, 74, 77, 86, 104, 118, 112, 90, 70, 55, 44, 38, 42, 56, 78, 104, 132, 150, 140, 122, 108, 96]
) / 1000  # by hour  # fmt: skip
SUNNY_EUR_PER_KWH = np.where((np.arange(24) >= 10) & (np.arange(24) < 16), EUR_PER_KWH - 0.1, EUR_PER_KWH)
OUTDOOR_C = 24 + 7 * np.sin((np.arange(24) - 9) / 24 * 2 * np.pi)

POOLS_A_HALL = 4


def a_bench_site(
    jobs: int,
    pools: int,
    steps: Literal["non-uniform", "uniform"] = "non-uniform",
    *,
    scarce: bool = False,
    negative: bool = False,
    seed: int = 0,
) -> Problem:
    """A day of `jobs` jobs in `pools` pools from midnight on; `negative`: energy costs less than nothing around noon."""
    rng = np.random.default_rng(seed)
    horizon = Horizon(STEPS[steps])
    pool = rng.integers(0, pools, jobs)
    gpus, speed_1_h, arrival_h, deadline_h = _asked(rng, jobs, horizon.end_h, arrived=0.5)
    asked = np.bincount(pool, gpus * np.minimum(speed_1_h, horizon.end_h - arrival_h), pools)
    sizes = np.maximum(128, np.ceil(asked / horizon.end_h / (0.95 if scarce else 0.45)))
    halls = [sizes[i : i + POOLS_A_HALL].sum() for i in range(0, pools, POOLS_A_HALL)]
    site_kw, hours = float(sizes.sum()) * BUSY_KW, len(horizon)
    price = _by_step(SUNNY_EUR_PER_KWH if negative else EUR_PER_KWH, horizon, 0.0)
    return Problem(
        horizon,
        GridConnection(((1.4 if scarce else 0.75) * site_kw,) * hours, tuple(price.tolist())),
        _by_step(OUTDOOR_C, horizon, 0.0),
        (Feeder("root", None, site_kw), *_feeders(sizes, halls)),
        tuple(_hall(i, float(n)) for i, n in enumerate(halls)),
        tuple(
            Pool(f"pool{i}", f"hall{i // POOLS_A_HALL}", f"row{i}", HOST, 400.0, (float(n),) * hours) for i, n in enumerate(sizes)
        ),
        cooling_plants=tuple(CoolingPlant(f"plant{i}", "root", _chiller(float(n) * BUSY_KW)) for i, n in enumerate(halls)),
        batteries=(Battery("battery", "root", site_kw, site_kw / 4, site_kw / 4, 0.95, site_kw / 10, site_kw / 2, 0.015),),
        jobs=tuple(_jobs(rng, "job", pool, (gpus, speed_1_h, arrival_h, deadline_h), float(price.mean()))),
        demand_charges=(DemandCharge("peak", 0.3, 0.45 * site_kw, tuple(_intervals(horizon, 0.0))),),
    )


def rolled(problem: Problem, step: int, work_gpu_h: Floats | None = None) -> Problem:
    """`problem`, the site after `step - 1` of its first steps, one more step later.

    Of each job `work_gpu_h`, shape (J,), is done in the step; None: as much as keeps it to its deadline. One in two hundred ends
    early, and as many as ended have come.
    """
    rng = np.random.default_rng((step, 1))
    first_h, now_h = problem.horizon.hours[0], step * problem.horizon.hours[0]
    horizon, jobs = problem.horizon, problem.jobs
    left_h = np.maximum(np.array([j.deadline_h - max(j.arrival_h, 0.0) for j in jobs]), first_h)
    asked = np.array([j.work_gpu_h for j in jobs])
    here_h = np.array([max(0.0, first_h - max(j.arrival_h, 0.0)) for j in jobs])
    left = asked - (asked * here_h / left_h if work_gpu_h is None else work_gpu_h)
    stays = (left > 1e-6) & np.array([j.deadline_h > first_h + 1e-9 for j in jobs])
    stays[rng.choice(len(jobs), max(1, len(jobs) // 200), replace=False)] = False
    kept = [
        replace(j, work_gpu_h=float(left[i]), arrival_h=j.arrival_h - first_h, deadline_h=j.deadline_h - first_h)
        for i, j in enumerate(jobs)
        if stays[i]
    ]
    new = len(jobs) - len(kept)
    asked_of = _asked(rng, new, horizon.end_h, arrived=1.0)
    pool = rng.integers(0, len(problem.pools), new)
    negative = min(problem.grid.price_per_kwh) < 0
    price = _by_step(SUNNY_EUR_PER_KWH if negative else EUR_PER_KWH, horizon, now_h)
    charge = problem.demand_charges[0]
    return replace(
        problem,
        grid=replace(problem.grid, price_per_kwh=tuple(price.tolist())),
        outdoor_c=_by_step(OUTDOOR_C, horizon, now_h),
        jobs=(*kept, *_jobs(rng, f"late{step}-", pool, asked_of, float(price.mean()))),
        demand_charges=(replace(charge, intervals=tuple(_intervals(horizon, now_h))),),
    )


def _by_step(by_hour: Floats, horizon: Horizon, now_h: float) -> Floats:
    """Means over the steps of a day that begins at `now_h`, shape (T,), of what repeats `by_hour`."""
    total = np.concatenate([[0.0], np.cumsum(np.tile(by_hour, 4))])
    at = np.interp(now_h + np.append(horizon.starts, horizon.end_h), np.arange(len(total)), total)
    return np.diff(at) / horizon.h


def _asked(rng: np.random.Generator, jobs: int, end_h: float, arrived: float) -> tuple[Floats, Floats, Floats, Floats]:
    """What jobs ask for: GPUs, hours at speed 1, arrival and deadline; a share `arrived` is there, some may run past the end."""
    gpus = rng.choice([8.0, 16.0, 32.0, 64.0], jobs)
    speed_1_h = rng.uniform(0.5, 8, jobs)
    arrival_h = np.where(rng.random(jobs) < arrived, 0.0, rng.uniform(0, 0.7 * end_h, jobs))
    deadline_h = arrival_h + speed_1_h * rng.uniform(1.05, 4, jobs) + rng.uniform(0, 6, jobs)
    return gpus, speed_1_h, arrival_h, deadline_h


def _jobs(
    rng: np.random.Generator, name: str, pool: np.ndarray, asked: tuple[Floats, Floats, Floats, Floats], price: float
) -> Iterator[Job]:
    carry = [price * ladder(curve, HOST, may_pause=True).best_energy_kwh for curve in CURVES]
    kinds, elastic = rng.integers(0, len(CURVES), len(pool)).tolist(), (rng.random(len(pool)) < 0.5).tolist()
    columns = (v.tolist() for v in (pool, *asked))
    for i, (p, gpus, hours, arrival_h, deadline_h) in enumerate(zip(*columns, strict=True)):
        yield Job(
            f"{name}{i}",
            f"pool{p}",
            CURVES[kinds[i]],
            int(gpus),
            work_gpu_h=gpus * hours,
            arrival_h=arrival_h,
            deadline_h=deadline_h,
            elastic=elastic[i],
            carry_price_per_gpu_h=carry[kinds[i]],
        )


def _feeders(sizes: Floats, halls: list[float]) -> Iterator[Feeder]:
    """One for each hall, which cannot carry all of its GPUs at their highest caps, and under it one for each pool."""
    for i, n in enumerate(halls):
        yield Feeder(f"ups{i}", "root", 0.9 * n * BUSY_KW, loss_share=0.03)
    for i, n in enumerate(sizes.tolist()):
        yield Feeder(f"row{i}", f"ups{i // POOLS_A_HALL}", 0.95 * n * BUSY_KW)


def _hall(i: int, gpus: float) -> Hall:
    full_kw = gpus * BUSY_KW
    return Hall(
        f"hall{i}",
        f"ups{i}",
        base_kw=0.02 * full_kw,
        cooling_plant=f"plant{i}",
        heat_capacity_kwh_per_k=0.05 * full_kw,
        resistance_k_per_kw=250 / full_kw,
    )


def _chiller(heat_kw: float) -> Chiller:
    """The plant of `models.heat.chiller`, as large as it takes for `heat_kw`."""
    size = heat_kw / 1400
    return Chiller(heat_kw, 1.1 * heat_kw, 4.5, 0.05, 1.5, 0.1, 12, 25, 60 * size, 0.2, 30 * size, 0.15, 25 * size)


def _intervals(horizon: Horizon, now_h: float) -> Iterator[Interval]:
    """Quarters of an hour of the clock, as far as steps are finer; a longer step is one, with a margin for the peaks it hides."""
    fine = horizon.h < 0.25 - 1e-9
    quarter = np.floor((now_h + horizon.starts) * 4 + 1e-6).astype(int)
    for q in np.unique(quarter[fine]).tolist():
        yield Interval(0.0, tuple((t, horizon.hours[t] * 4) for t in np.flatnonzero(fine & (quarter == q)).tolist()))
    for t in np.flatnonzero(~fine).tolist():
        yield Interval(0.0, ((t, 1.0 if horizon.hours[t] < 0.5 else 1.05),))
