"""Account: the same prices and the same physics as the program, for schedules from anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import account
from models.power.feeder import Feeder
from models.problem import Problem
from models.schedule import Groups, Schedule


def schedule(problem: Problem, *rows: tuple[int, int, int, float, int, float, float]) -> Schedule:
    """Groups of (w, t, count, share, cap W, draw W, speed); batteries rest, halls keep their temperature."""
    steps = len(problem.horizon)
    return Schedule(
        Groups.of(list(rows)), {b.id: np.zeros(steps) for b in problem.batteries}, {z.id: np.full(steps, z.start_c) for z in problem.halls}
    )


def as_solved(problem: Problem, model: Any) -> Schedule:
    """The program's own solution as a schedule: the part of each workload on each rung as one GPU for that many steps."""
    steps = range(len(problem.horizon))
    rows = []
    for w in range(len(problem.workloads)):
        for t in (t for t in steps if problem.cells.share[w, t] > 0):
            rungs = problem.cells.ladder(w, t)
            reach = [model.workload.gpus[w, k, t].value for k in range(len(rungs))] + [0.0]
            rows += [(w, t, 1, reach[k] - reach[k + 1], int(rungs.cap_w[k]), rungs.draw_w[k], rungs.speed[k]) for k in range(len(rungs))]
    power = {
        b.id: np.array([model.battery[b.id].charge_kw[t].value - model.battery[b.id].discharge_kw[t].value for t in steps])
        for b in problem.batteries
    }
    return Schedule(Groups.of(rows), power, {z.id: np.full(len(steps), z.start_c) for z in problem.halls})


@settings(max_examples=25, derandomize=True)
@given(st.integers(0, 10_000))
def test_the_programs_own_solution_costs_what_the_program_says(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed, cooled=False, lowest_price=0.01)
    best = optimum(problem)
    assert account(problem, as_solved(problem, best.model)).objective == pytest.approx(best.objective, abs=1e-6, rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_a_service_beside_jobs_costs_what_the_program_says_and_its_plan_no_less(
    random_site: Any, firm: Any, optimum: Any, planned: Any, seed: int
) -> None:
    """Its GPUs are whole in every step, nobody has those it keeps, and rounding breaks nothing that the program does not."""
    problem, rng = random_site(seed, cooled=False, lowest_price=0.01), np.random.default_rng(seed)
    size = int(min(problem.pools[0].available)) // 2
    demand = tuple(rng.integers(0, size + 1, len(problem.horizon)).tolist())
    service = firm(gpus=size, demand=demand, floor_speed=0.5, value_per_gpu_h=0.01, releases_idle=bool(seed % 2))
    problem = replace(problem, firms=(service,))
    best = optimum(problem)
    assert account(problem, as_solved(problem, best.model)).objective == pytest.approx(best.objective, abs=1e-6, rel=1e-9)
    plan = planned(problem)
    assert plan.account.running[0].tolist() == list(demand)
    on_pool = [w for w, x in enumerate(problem.workloads) if x.pool == "pool"]
    assert np.all(plan.account.running[on_pool].sum(axis=0) <= problem.pools[0].available - problem.idle_kept("pool") + 1e-6)
    assert plan.account.objective >= best.objective - 1e-4 * abs(best.objective)


def test_each_kind_of_money_by_hand(site: Any, job: Any, firm: Any) -> None:
    """A rental of four GPUs at 200 W (0.8) and a gang of six at 300 W for half the first hour, 1.5 of its 5 GPU h too few.

    Power: 4 * 0.2 + 6 * 0.3 / 2 = 1.7 kW, then 0.8 kW. Work: 3.2 and 3.2 GPU h of the rental, 3 of the job.
    """
    problem = site(
        peak_price_per_kw=10.0,
        firms=(firm(gpus=4, value_per_gpu_h=0.5, floor_speed=0.9),),
        jobs=(job(5.0, 2.05, gpus=6, delay_price_per_gpu_h=0.01, carry_price_per_gpu_h=0.2),),
        limit_kw=(1.5, 1000.0),
        event_target_kw=(None, 0.7),
        ramp_kw_per_h=0.5,
        feeders=(Feeder("root", None, 2.0, worst_case_margin=0.8),),
    )
    result = account(
        problem, schedule(problem, (0, 0, 4, 1.0, 200, 200.0, 0.8), (0, 1, 4, 1.0, 200, 200.0, 0.8), (1, 0, 6, 0.5, 300, 300.0, 1.0))
    )
    assert result.import_kw.tolist() == pytest.approx([1.7, 0.8])
    assert result.feeder_worst_kw[0].tolist() == pytest.approx([1.0 + 0.4 + 0.6, 1.0 + 0.4])  # 10 * 100 W, + 100 W, + 200 W / 2
    assert result.carried_gpu_h.tolist() == pytest.approx([0.05 * 6])
    assert {family: amount.sum() for family, amount in result.breach.items() if amount.sum()} == {
        "over_worst_kw": pytest.approx(2.0 - 1.6),
        "over_limit_kw": pytest.approx(0.2),
        "over_event_kw": pytest.approx(0.1),
        "over_ramp_kw": pytest.approx(0.9 - 0.5),
        "short_gpu_h": pytest.approx(2 * 0.4),
        "unfinished_gpu_h": pytest.approx(5 - 3 - 0.3),
    }
    money = {
        "energy": 0.1 * 1.7 + 0.3 * 0.8,
        "peak": 17.0,
        "delay": 0.01 * 0.5 * 3,
        "carried": 0.2 * 0.3,
        "value": -0.5 * 6.4,
        "over_worst_kw": 10_000 * 0.4,
        "over_limit_kw": 1_000 * 0.2,
        "over_event_kw": 500 * 0.1,
        "over_ramp_kw": 500 * 0.4,
        "short_gpu_h": 50 * 0.8,
        "unfinished_gpu_h": 50 * 1.7,
    }
    assert {kind: amount for kind, amount in result.cost.items() if amount} == pytest.approx(money)
    assert result.objective == pytest.approx(sum(money.values()))
    assert result.is_breached


def test_a_peak_of_earlier_is_paid_all_the_same(site: Any) -> None:
    problem = site(peak_price_per_kw=10.0, peak_so_far_kw=7.0)
    assert account(problem, schedule(problem)).cost["peak"] == 70.0


def test_import_is_never_negative_and_what_flows_back_earns_nothing(site: Any) -> None:
    from models.power.battery import Battery

    problem = site(batteries=(Battery("battery", "root", 9.0, 2.0, 2.0, 1.0, 0.0, 9.0, 0.5),))
    asked = replace(schedule(problem), battery_kw={"battery": np.array([-2.0, 0.0])})
    result = account(problem, asked)
    assert result.import_kw.tolist() == [0.0, 0.0]
    assert result.cost["wear"] == pytest.approx(1.0)
    assert result.objective == pytest.approx(1.0)


def test_nothing_to_run_costs_nothing(site: Any) -> None:
    problem = site()
    result = account(problem, schedule(problem))
    assert result.objective == 0.0
    assert not result.is_breached


def test_groups_are_ordered_and_mean_over_the_step(site: Any) -> None:
    groups = Groups.of([(1, 0, 4, 0.5, 200, 200.0, 0.8), (0, 1, 2, 1.0, 100, 100.0, 0.3)])
    assert groups.w.tolist() == [0, 1]
    assert groups.gpus.tolist() == [2.0, 2.0]
    assert groups.running(2, 2).tolist() == [[0.0, 2.0], [2.0, 0.0]]
    assert groups.work_gpu_h(replace(site().horizon, hours=(2.0, 1.0)), 2).tolist() == [[0.0, 0.6], [3.2, 0.0]]
