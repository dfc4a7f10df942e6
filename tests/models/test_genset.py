"""Genset: fuel instead of a dear grid, on or off, for as long as it must and may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from models.heat.hall import Hall
from models.horizon import Horizon
from models.plan import Plan
from models.power.genset import Genset, committed, whole
from models.problem import Problem


def with_genset(site: Callable[..., Problem], price: tuple[float, ...], base_kw: float = 4.0, **terms: Any) -> Problem:
    """Hours of `base_kw` and a genset of 1 to 2 kW at 0.2 a kWh; `terms` of the genset or the site."""
    mine = {k: terms.pop(k) for k in tuple(terms) if k in Genset.__dataclass_fields__}
    figures = {"least_kw": 1.0, "most_kw": 2.0, "fuel_price_per_kwh": 0.2}
    genset = Genset("diesel", "root", **(figures | mine))
    return site((1.0,) * len(price), price, gpus=0.0, halls=(Hall("hall", "root", base_kw=base_kw),), gensets=(genset,), **terms)


def given_kw(plan: Plan) -> list[float]:
    return [float(kw) for kw in plan.schedule.given_kw["diesel"]]


def test_fuel_is_burnt_where_the_grid_is_dearer(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """0.1 * 4, then 0.5 * 2 from the grid and 0.2 * 2 of fuel: 1.8."""
    problem = with_genset(site, (0.1, 0.5))
    assert optimum(problem).objective == pytest.approx(1.8)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([0.0, 2.0])
    assert plan.account.objective == pytest.approx(1.8)
    assert plan.account.cost["fuel"] == pytest.approx(0.4)
    assert plan.baseline.import_kw.tolist() == pytest.approx([4.0, 4.0])


@pytest.mark.parametrize(("start", "is_on", "objective"), [(0.5, False, 2.7), (0.7, False, 2.8), (0.7, True, 2.2)])
def test_a_start_is_paid_once_or_not_worth_it(site: Any, planned: Any, optimum: Any, start: float, is_on: bool, objective: float) -> None:
    """Two hours at 0.25 and 0.45 save 0.1 + 0.5 of 2.8: worth a start at 0.5, not at 0.7; one that runs already needs none."""
    problem = with_genset(site, (0.25, 0.45), start_price=start, is_on=is_on)
    assert optimum(problem).objective == pytest.approx(objective)
    assert planned(problem).account.objective == pytest.approx(objective)


def test_it_runs_at_its_least_load_through_a_cheap_hour_where_a_start_is_dear(site: Any, planned: Any, optimum: Any) -> None:
    """0.5, 0.15, 0.5: 2 kW save 0.6 an hour; between them 1 kW loses 0.05, a second start 0.3. 4 * 1.15 - 1.2 + 0.05 + 0.3."""
    problem = with_genset(site, (0.5, 0.15, 0.5), start_price=0.3)
    assert optimum(problem).objective == pytest.approx(4.6 - 1.2 + 0.05 + 0.3)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([2.0, 1.0, 2.0])
    assert plan.account.cost["starts"] == pytest.approx(0.3)
    assert plan.account.objective == pytest.approx(3.75)


def test_once_started_it_runs_for_its_minimum(site: Any, planned: Any, optimum: Any) -> None:
    """Three hours from the dear one on: 2 kW save 0.6, then 1 kW twice loses 0.08 each. 4 * 0.84 - 0.6 + 0.16."""
    problem = with_genset(site, (0.1, 0.5, 0.12, 0.12), min_run_h=3.0)
    assert optimum(problem).objective == pytest.approx(2.92)
    assert given_kw(planned(problem)) == pytest.approx([0.0, 2.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("still_h", "hours_left", "given"), [(0.0, None, [0.0, 0.0]), (0.5, None, [1.0, 0.0]), (1.5, None, [1.0, 1.0]), (1.5, 1.0, [1.0, 0.0])]
)
def test_what_is_left_of_a_minimum_run_that_began_before_is_run_as_far_as_its_hours_last(
    site: Any, planned: Any, optimum: Any, still_h: float, hours_left: float | None, given: list[float]
) -> None:
    """At 0.1 fuel at 0.2 is never worth it: 0.8 for two hours, and 0.1 for each that its least 1 kW must go on; no start is paid."""
    problem = with_genset(site, (0.1, 0.1), start_price=9.0, min_run_h=2.0, is_on=True, still_h=still_h, hours_left=hours_left)
    assert optimum(problem).objective == pytest.approx(0.8 + 0.1 * sum(given))
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx(given)
    assert plan.account.objective == pytest.approx(0.8 + 0.1 * sum(given))
    assert plan.baseline.given_kw["diesel"].tolist() == pytest.approx(given)
    assert not plan.baseline.is_breached


def test_a_minimum_run_is_broken_off_where_the_site_cannot_take_its_least_load(site: Any, planned: Any, optimum: Any) -> None:
    """0.5 kW are wanted and 1 is the least: the program runs half of the hour, a plan breaks the hour off. 0.5 * 0.1 and 50."""
    problem = with_genset(site, (0.1,), base_kw=0.5, min_run_h=2.0, is_on=True, still_h=1.0)
    assert optimum(problem).objective == pytest.approx(0.5 * 0.2 + 50 * 0.5)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([0.0])
    assert plan.status == "breached"
    assert plan.account.breach["stopped_early_h"].tolist() == [[pytest.approx(1.0)]]
    assert plan.account.objective == pytest.approx(50.05)


def test_hours_that_are_too_many_are_not_taken_from_a_minimum_run_that_began_before() -> None:
    genset = Genset("g", "root", 1.0, 2.0, 0.2, min_run_h=3.0, hours_left=3.0, is_on=True, still_h=1.0)
    runs = np.array([True, False, True, True, True])
    assert committed(genset, runs, 1.0 * runs, Horizon((1.0,) * 5)).tolist() == [True, False, False, False, False]


def test_below_its_least_load_it_stays_off(site: Any, planned: Any, optimum: Any) -> None:
    """0.5 kW are wanted and 1 is the least: the program runs it for half of the hour; a plan leaves it off. 0.5 * 0.5."""
    problem = with_genset(site, (0.5,), base_kw=0.5)
    assert optimum(problem).model.genset["diesel"].on[0].value == pytest.approx(0.5, abs=0.26)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([0.0])
    assert plan.account.objective == pytest.approx(0.25)


def test_the_hours_that_are_left_go_to_the_dearest(site: Any, planned: Any, optimum: Any) -> None:
    """One hour of two: 0.6 * 2 and 0.4 * 4, and 0.4 of fuel."""
    problem = with_genset(site, (0.4, 0.6), hours_left=1.0)
    assert optimum(problem).objective == pytest.approx(1.2 + 1.6 + 0.4)
    assert given_kw(planned(problem)) == pytest.approx([0.0, 2.0])


def test_less_than_an_hour_that_is_left_is_not_used_for_one(site: Any, planned: Any) -> None:
    """The program runs for half of it, a plan not at all."""
    assert given_kw(planned(with_genset(site, (0.6,), hours_left=0.5))) == pytest.approx([0.0])


def test_it_keeps_a_limit_that_the_grid_alone_would_break(site: Any, planned: Any, optimum: Any) -> None:
    """3.5 kW of 4 may be drawn: 0.5 are missing and 1 is the least. The program burns half an hour's worth, a plan a whole."""
    problem = with_genset(site, (0.1,), limit_kw=3.5)
    assert optimum(problem).objective == pytest.approx(0.1 * 3.5 + 0.2 * 0.5)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([1.0])
    assert plan.status != "breached"


def test_it_never_lowers_the_worst_case(site: Any, planned: Any) -> None:
    account = planned(with_genset(site, (0.5,))).account
    assert account.feeder_kw[0, 0] == pytest.approx(2.0)
    assert account.feeder_worst_kw[0, 0] == pytest.approx(4.0)


def test_a_pattern_is_made_whole_long_enough_and_not_too_long() -> None:
    """A run of two hours at least; where 3 h are left the run that leans less goes, where half of one all do."""
    horizon = Horizon((1.0,) * 6)
    genset = Genset("g", "root", 1.0, 2.0, 0.2, min_run_h=2.0)
    on = np.array([0.6, 0.0, 0.0, 0.9, 0.2, 0.9])
    runs = on >= 0.5
    assert committed(genset, runs, on, horizon).tolist() == [True, True, False, True, True, True]
    assert committed(replace(genset, hours_left=3.0), runs, on, horizon).tolist() == [False] * 3 + [True] * 3
    assert committed(replace(genset, is_on=True), runs, on, horizon).tolist() == [True, False, False, True, True, True]
    assert not committed(replace(genset, hours_left=0.5), runs, on, horizon).any()


def test_the_variables_that_must_be_whole_are_known(site: Any, optimum: Any) -> None:
    block = optimum(with_genset(site, (0.1, 0.5))).model.genset["diesel"]
    assert [v.name for v in whole(block)] == ["genset[diesel].on[0]", "genset[diesel].on[1]"]


@pytest.mark.parametrize("seed", range(12))
def test_every_step_is_off_or_between_least_and_most(random_site: Any, planned: Any, seed: int) -> None:
    free = random_site(seed)
    genset = Genset("diesel", "row", 0.5, 2.0, 0.15, start_price=0.05, min_run_h=1.0, hours_left=1.5)
    plan = planned(replace(free, gensets=(genset,)))
    kw = plan.account.given_kw["diesel"]
    assert (((kw >= 0.5 - 1e-6) & (kw <= 2.0 + 1e-6)) | (np.abs(kw) <= 1e-6)).all()
    assert plan.problem.horizon.h @ (kw > 1e-6) <= 1.5 + 1e-6


def cheapest(prices: tuple[float, ...], start: float, min_run: int, most_h: float) -> float:
    """The least cost of 4 kW in hours at `prices`, over every pattern of a genset of 1 to 2 kW at 0.2 a kWh; by enumeration."""
    best = np.inf
    for on in product((False, True), repeat=len(prices)):
        begins = [t for t, runs in enumerate(on) if runs and not (t and on[t - 1])]
        if sum(on) <= most_h and all(all(on[t : t + min_run]) for t in begins):
            given = [(2.0 if price > 0.2 else 1.0) * runs for price, runs in zip(prices, on, strict=True)]
            money = sum(price * (4 - kw) + 0.2 * kw for price, kw in zip(prices, given, strict=True))
            best = min(best, money + start * len(begins))
    return best


@pytest.mark.parametrize("seed", range(20))
def test_no_pattern_of_on_and_off_is_cheaper_by_more_than_a_start(site: Any, planned: Any, seed: int) -> None:
    """The patterns that are tried are few; the exact optimum is at most this much below, and never above."""
    rng = np.random.default_rng(seed)
    prices = tuple(np.round(rng.uniform(0.05, 0.6, 6), 2).tolist())
    start, min_run, hours = round(float(rng.uniform(0, 0.6)), 2), int(rng.integers(1, 4)), float(rng.integers(2, 6))
    problem = with_genset(site, prices, start_price=start, min_run_h=float(min_run), hours_left=hours)
    cost = planned(problem).account.objective
    best = cheapest(prices, start, min_run, hours)
    assert best - 1e-6 <= cost <= best + start + 0.1


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = with_genset(site, (0.1, 0.5), start_price=0.3, min_run_h=2.0, hours_left=1.5, is_on=True, still_h=0.5)
    for name in ("runs_most", "runs_least", "starts_first", "starts", "keeps_on", "runs_on", "keeps_hours"):
        golden(problem, f"genset.{name}")
