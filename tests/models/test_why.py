"""Why: what one more GPU costs, taken apart without a remainder, and the parts that a hand can reckon."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.plan import Plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.telling.why import Cause, Why, largest


@pytest.mark.parametrize("seed", range(40))
def test_the_parts_of_a_gpus_cost_are_all_of_it(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed)
    best = optimum(problem)
    why = Why(problem, best.session, best.solved)
    for w, k, t in best.model.workload.gpus:
        parts = why.gpu(w, k, t)
        assert sum(parts.values()) == pytest.approx(why.reduced(w, k, t), rel=1e-6, abs=1e-6 * max(1.0, *map(abs, parts.values())))


@pytest.mark.parametrize("seed", range(40))
def test_no_variable_of_the_chain_is_left_as_a_part(random_site: Any, optimum: Any, seed: int) -> None:
    """All power ends at the meter, at a limit, at a bound or at a temperature, never at a balance on the way."""
    problem = random_site(seed)
    best = optimum(problem)
    why = Why(problem, best.session, best.solved)
    families = {cause.family for w, k, t in best.model.workload.gpus for cause in why.gpu(w, k, t)}
    assert not families & {"pool.draws", "pool.could_draw", "feeder.sums", "feeder.sums_worst", "grid.meters", "cooling_plant.has_capacity"}


def test_a_gpu_hour_costs_its_energy_with_losses_and_what_the_limit_takes(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Two jobs, 8 and 4 GPU h, 2 kW each at 200 W with 5 % losses at the meter; 2.1 kW are allowed in the cheap hour.

    A GPU h takes 0.25 kWh, 0.2625 at the meter: 0.02625 at 0.1 and 0.07875 at 0.3. The limit takes the difference.
    """
    feeders = (Feeder("root", None, 1000.0, 0.05),)
    jobs = (job(8.0, elastic=True), job(4.0, id="other", elastic=True))
    plan = planned(site(limit_kw=2.1, gpus=20.0, feeders=feeders, jobs=jobs))
    cheap = plan.why.hour(0, 0)
    assert cheap[Cause("grid.import_kw", None, 0)] == pytest.approx(0.02625)
    assert cheap[Cause("grid.limits", None, 0)] == pytest.approx(0.07875 - 0.02625)
    assert plan.why.worth(0) == pytest.approx(0.07875)
    assert plan.why.limit(Cause("grid.limits", None, 0)) == pytest.approx(2.1, rel=1e-4)


def test_scarce_gpus_cost_what_others_would_do_on_them(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Two elastic jobs of 8 GPU h want the same ten GPUs in the cheap hour; the dear one costs 0.05 a GPU h more."""
    plan = planned(site(jobs=(job(8.0, elastic=True), job(8.0, id="other", elastic=True))))
    held = plan.why.hour(1, 0)
    assert held[Cause("pool.holds", "pool", 0)] > 0
    assert largest(held) == (Cause("pool.holds", "pool", 0), pytest.approx(held[Cause("pool.holds", "pool", 0)]))


def test_what_keeps_caps_low_is_the_limit_that_binds(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """2.5 kW for ten GPUs that would draw 3: 5 of them could be raised by 100 W, at 2 - 0.1 a kWh of the limit."""
    plan = planned(site((1.0,), (0.1,), limit_kw=2.5, firms=(firm(value_per_gpu_h=1.0),)))
    assert plan.why.raising([0], 0) == {Cause("grid.limits", None, 0): pytest.approx(0.5 * 1.9, rel=1e-3)}
    assert planned(site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0),))).why.raising([0], 0) == {}


def test_the_window_of_a_job_that_cannot_finish_names_what_is_in_its_way(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """1 kW is half of what 8 GPU h an hour take: the limit is worth the penalty, 50 a GPU h, less the energy."""
    plan = planned(site((1.0,), (0.1,), limit_kw=1.0, jobs=(job(8.0, 1.0, elastic=True),)))
    assert plan.why.worth(0) == pytest.approx(50.0)
    cause, money = largest(plan.why.window(0)) or (None, 0.0)
    assert (cause, money) == (Cause("grid.limits"), pytest.approx(10 * (50 - 0.025)))


def test_a_job_without_a_window_costs_nothing_to_hold(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    held = replace(job(8.0), order=("hold", "hold"))
    why = planned(site(jobs=(held,))).why
    assert why.gpu(0, 0, 0) == why.window(0) == {}
    assert why.worth(0) == 0.0


def test_it_answers_long_after_the_program_was_solved(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Rows and columns know their asset only while their model lives."""
    plan = planned(site(jobs=(job(8.0),)))
    gc.collect()
    assert plan.why.hour(0, 0)
