"""Exact: no pattern of runs is better, and no rounded plan; the proof is in money, and what time does not allow is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from models.heat.hall import Hall
from models.plan import Plan, make_plan
from models.power.genset import Genset
from models.problem import Problem
from models.solving.exact import Exact, search
from models.solving.outcome import TimedOut, Whole
from models.solving.session import Session
from models.solving.tiers import breaks_less

Pattern = tuple[str, ...]
"""What a gang does in each step: it runs whole, waits, or ends inside it."""
NEVER = 1e4
"""Price of a GPU hour that a gang leaves undone though it ended: no such schedule is the best."""


@dataclass(frozen=True)
class Case:
    """Gangs on one pool, at 200 to 300 W: 0.8 to 1 of speed. Shapes (W,) and (T,), arrival and deadline in whole hours."""

    hours: np.ndarray[Any, Any]
    price: np.ndarray[Any, Any]
    limit_kw: np.ndarray[Any, Any]
    pool_gpus: int
    gpus: np.ndarray[Any, Any]
    work: np.ndarray[Any, Any]
    window: np.ndarray[Any, Any]

    def patterns(self, w: int) -> Iterator[Pattern]:
        """All that gang `w` can do without doing more than its work."""
        steps = len(self.hours)
        for pattern in product(["run", "wait", "end"], repeat=steps):
            ends = [t for t, does in enumerate(pattern) if does == "end"]
            busy = [t for t, does in enumerate(pattern) if does != "wait"]
            runs = [t for t in busy if t not in ends]
            least = 0.8 * self.gpus[w] * self.hours[runs].sum()
            most = self.gpus[w] * self.hours[busy].sum()
            if len(ends) > 1 or (ends and ends[0] != max(busy)) or not self.window[w][busy].all() or least > self.work[w]:
                continue
            if not ends or most >= self.work[w]:
                yield pattern

    def schedules(self) -> Iterator[tuple[Pattern, ...]]:
        """All that fit the pool and the limit while they run whole; the limit comes before all work."""
        for patterns in product(*(list(self.patterns(w)) for w in range(len(self.gpus)))):
            whole = np.array([[does == "run" for does in pattern] for pattern in patterns])
            if (self.gpus @ whole <= self.pool_gpus).all() and (0.2 * self.gpus @ whole <= self.limit_kw + 1e-9).all():
                yield patterns


def least_cost(case: Case) -> float:
    """The least cost of all schedules, each a linear program of its caps; they are solved together, being independent.

    Columns of a schedule: GPUs at 200 W or higher (w, t), of them raised to 300 W (w, t), GPU h undone (w).
    """
    gangs, steps = len(case.gpus), len(case.hours)
    cells, size = gangs * steps, 2 * gangs * steps + gangs
    hours, price = np.tile(case.hours, gangs), np.tile(case.price, gangs)
    cost = np.r_[0.2 * price * hours, 0.1 * price * hours, np.full(gangs, 50.0)]
    costs = []
    by_gang, by_step = np.kron(np.eye(gangs), np.ones(steps)), np.kron(np.ones(gangs), np.eye(steps))
    does_work = np.hstack([0.8 * by_gang * hours, 0.2 * by_gang * hours, np.eye(gangs)])
    within = np.hstack([0.2 * by_step, 0.1 * by_step, np.zeros((steps, gangs))])
    sizes = np.repeat(case.gpus, steps)
    in_pool = np.hstack([by_step, np.zeros((steps, size - cells))])
    raised = np.hstack([-np.eye(cells), np.eye(cells), np.zeros((cells, size - 2 * cells))])
    upper_rows, upper = np.vstack([within, in_pool, raised]), np.r_[case.limit_kw, np.full(steps, case.pool_gpus), np.zeros(cells)]

    bounds = []
    for patterns in case.schedules():
        does = np.array(patterns).ravel()
        low = np.r_[np.where(does == "run", sizes, 0), np.zeros(size - cells)]
        high = np.r_[np.where(does == "wait", 0, sizes), np.where(does == "wait", 0, sizes), np.full(gangs, np.inf)]
        costs.append(np.r_[cost[:-gangs], [NEVER if "end" in pattern else 50.0 for pattern in patterns]])
        bounds.append(np.stack([low, high], axis=1))
    many = sp.eye(len(bounds))
    found = linprog(
        np.concatenate(costs),
        A_ub=sp.kron(many, upper_rows),
        b_ub=np.tile(upper, len(bounds)),
        A_eq=sp.kron(many, does_work),
        b_eq=np.tile(case.work, len(bounds)),
        bounds=np.vstack(bounds),
        method="highs",
    )
    assert found.status == 0, found.message
    return float((found.x.reshape(len(bounds), size) * np.array(costs)).sum(axis=1).min())


def a_case(seed: int) -> Case:
    """Two gangs over four steps or three over three; GPUs, limits and windows from ample to scarce."""
    rng = np.random.default_rng(seed)
    gangs, steps = ((2, 4), (3, 3))[seed % 2]
    gpus = rng.integers(2, 11, gangs)
    begins = rng.integers(0, 2, gangs)
    ends = rng.integers(steps - 1, steps + 1, gangs)
    window = np.array([[b <= t < e for t in range(steps)] for b, e in zip(begins, ends, strict=True)])
    hours = rng.choice([0.5, 1.0, 2.0], steps)
    return Case(
        hours=hours,
        price=np.round(rng.uniform(0.01, 0.5, steps), 2),
        limit_kw=np.round(rng.uniform(0.2, 1.0, steps) * 0.2 * gpus.sum(), 2),
        pool_gpus=int(rng.integers(gpus.max(), gpus.sum() + 1)),
        gpus=gpus,
        work=np.round(gpus * (window @ hours) * rng.uniform(0.2, 0.9, gangs), 2),
        window=window,
    )


def as_a_site(case: Case, site: Callable[..., Problem], job: Callable[..., Any]) -> Problem:
    ends = np.r_[0.0, np.cumsum(case.hours)]
    jobs = []
    for w, gpus in enumerate(case.gpus.tolist()):
        steps = np.flatnonzero(case.window[w])
        span = {"arrival_h": float(ends[steps[0]]), "deadline_h": float(ends[steps[-1] + 1])}
        jobs.append(job(float(case.work[w]), id=f"gang{w}", gpus=gpus, **span))
    return site(
        tuple(case.hours.tolist()),
        tuple(case.price.tolist()),
        limit_kw=tuple(case.limit_kw.tolist()),
        gpus=float(case.pool_gpus),
        jobs=tuple(jobs),
    )


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_no_pattern_of_runs_is_better_on_a_hundred_tiny_sites(site: Any, job: Any, best: Any, first: int) -> None:
    for seed in range(first, first + 10):
        case = a_case(seed)
        found = best(as_a_site(case, site, job), len(case.hours)).solved.objective
        assert found == pytest.approx(least_cost(case), rel=1e-5, abs=1e-5), seed


SITES = (*range(8), 37)
HAIR = 2e-3
"""What the order of breaches is kept to, 1e-7 of a tier's unit, is worth up to 1e-3 money at the prices of the plant's."""


def planned_exactly(problem: Problem, whole_steps: int = 1) -> Plan:
    plan = make_plan(problem, 10.0, Exact(1e-6, whole_steps))
    assert isinstance(plan, Plan)
    assert plan.record.proof is not None
    return plan


@pytest.mark.parametrize("seed", SITES)
def test_the_exact_optimum_lies_between_the_bound_and_the_rounded_plan_and_rises_with_whole_steps(
    random_site: Any, planned: Callable[[Problem], Plan], seed: int
) -> None:
    problem = random_site(seed)
    rounded, first, every = planned(problem), planned_exactly(problem), planned_exactly(problem, len(problem.horizon))
    for plan in (first, every):
        proof = plan.record.proof
        assert proof.missed is None
        assert proof.gap == pytest.approx(0.0, abs=HAIR)
        assert proof.bound >= plan.record.bound - HAIR
        assert plan.record.certificate.holds
    assert not breaks_less(rounded.account, first.account)
    assert first.account.objective <= rounded.account.objective + HAIR or breaks_less(first.account, rounded.account)
    assert first.record.proof.bound <= every.record.proof.bound + HAIR or breaks_less(first.account, every.account)


@pytest.mark.parametrize("seed", range(4))
def test_with_every_step_whole_a_gang_runs_waits_or_ends_in_each(random_site: Any, seed: int) -> None:
    problem = random_site(seed)
    plan = planned_exactly(problem, len(problem.horizon))
    for i, job in enumerate(problem.jobs):
        w = len(problem.firms) + i
        share = plan.account.running[w] / job.gpus
        between = np.flatnonzero((share > 1e-6) & (share < problem.cells.share[w] - 1e-6))
        assert job.elastic or (len(between) <= 1 and not share[between.max(initial=-1) + 1 :][: len(between) * len(share)].any())


def test_a_plan_better_than_the_rounded_one_is_found_and_both_distances_are_told(random_site: Any, planned: Callable[[Problem], Plan]) -> None:
    """On this site fixing each gang of the first step to the side it leans to costs 0.227 more than the best."""
    problem = random_site(61)
    rounded, plan = planned(problem), planned_exactly(problem)
    proof, bound = plan.record.proof, plan.record.bound
    assert proof.rounded == pytest.approx(rounded.account.objective - bound)
    assert proof.exact == pytest.approx(plan.account.objective - bound)
    assert proof.exact < proof.rounded - 0.2
    assert plan.status == "optimal"


def test_an_operators_order_to_run_is_kept(site: Any, job: Any) -> None:
    """It would run in the cheap second hour."""
    plan = planned_exactly(site(price_per_kwh=(0.3, 0.1), jobs=(job(8.0, order=("run", None)),)))
    assert plan.account.running[0].tolist() == pytest.approx([10.0, 0.0])


def test_the_proof_is_to_the_money_that_was_asked_for(site: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof to 0.5 may stop at a point that costs as much too much, and says so."""
    problem = site(limit_kw=(1.0, 2.5), jobs=(job(8.0),))
    asked: list[float] = []
    real = Session.solve_whole

    def spy(self: Session, variables: Any, start: Any, gap: float, budget_s: float) -> Any:
        asked.append(gap)
        point = real(self, variables, start, gap, budget_s)
        assert isinstance(point, Whole)
        return replace(point, bound=point.objective - 0.4)

    monkeypatch.setattr(Session, "solve_whole", spy)
    plan = make_plan(problem, 10.0, Exact(0.5))
    assert isinstance(plan, Plan)
    assert asked == [0.5]
    assert plan.record.proof.gap == pytest.approx(0.4)


def test_without_a_point_in_time_the_plan_is_the_rounded_one_and_says_so(
    site: Any, job: Any, planned: Callable[[Problem], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = site(limit_kw=(1.0, 2.5), jobs=(job(8.0),))
    rounded = planned(problem)
    monkeypatch.setattr(Session, "solve_whole", lambda *_: TimedOut(1.0, "made up"))
    plan = make_plan(problem, 10.0, Exact())
    assert isinstance(plan, Plan)
    assert plan.record.proof.missed == "made up"
    assert plan.record.proof.exact is None
    assert plan.account.objective == rounded.account.objective


def test_no_time_for_a_search_is_told_as_timed_out(random_site: Any, optimum: Any) -> None:
    problem = random_site(8)
    assert isinstance(search(problem, optimum(problem).session, Exact(), time.perf_counter() - 1), TimedOut)


def test_a_genset_is_on_or_off(site: Any, optimum: Any, best: Any) -> None:
    """A kW of base load at 0.3 and no way back: half on, the genset would give it at 0.1; but it gives 2 kW or none."""
    genset = Genset("genset", "root", least_kw=2.0, most_kw=4.0, fuel_price_per_kwh=0.1)
    problem = site((1.0,), (0.3,), gpus=0.0, halls=(Hall("hall", "root", base_kw=1.0),), gensets=(genset,))
    assert optimum(problem).objective == pytest.approx(0.1)
    assert best(problem, 1).solved.objective == pytest.approx(0.3)
