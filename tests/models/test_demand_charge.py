"""Demand charge: the mean of a billing interval, what was metered in it, windows, what the month has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from models.grid.demand_charge import DemandCharge, Headroom, Interval
from models.plan import Plan
from models.problem import Problem


@pytest.mark.parametrize(("so_far_kw", "objective"), [(0.0, 0.4 + 10 * 2.0), (1.5, 0.4 + 10 * 2.0), (3.0, 0.4 + 10 * 3.0)])
def test_a_peak_costs_once_and_never_less_than_it_did(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any, so_far_kw: float, objective: float
) -> None:
    """16 GPU h in two hours at one price: 2 kW in each is the least peak. 0.1 * 4 kWh + 10 * max(2, so far)."""
    problem = site(price_per_kwh=(0.1, 0.1), peak_price_per_kw=10.0, peak_so_far_kw=so_far_kw, jobs=(job(16.0),))
    assert optimum(problem).objective == pytest.approx(objective)
    assert planned(problem).account.objective == pytest.approx(objective, abs=1e-3)


def test_the_peak_is_of_an_intervals_mean(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """8 GPU h are 2 kWh, in the cheap half of an interval of two hours: a mean of 1 kW. 0.1 * 2 + 10 * 1."""
    charge = DemandCharge("peak", 10.0, 0.0, (Interval(0.0, ((0, 0.5), (1, 0.5))),))
    problem = site(jobs=(job(8.0),), demand_charges=(charge,))
    assert optimum(problem).objective == pytest.approx(10.2)
    plan = planned(problem)
    assert plan.account.import_kw.tolist() == pytest.approx([2.0, 0.0])
    assert plan.account.objective == pytest.approx(10.2)


def test_what_was_metered_in_the_running_interval_counts(site: Any, job: Any, optimum: Any) -> None:
    """Of the first interval half is over, at 3 kW: 1.5 + x / 2 <= 2 lets 1 kWh of 2 into the cheap hour. 0.1 + 0.3 + 10 * 2."""
    intervals = (Interval(1.5, ((0, 0.5),)), Interval(0.0, ((1, 1.0),)))
    problem = site(jobs=(job(8.0, elastic=True),), demand_charges=(DemandCharge("peak", 10.0, 2.0, intervals),))
    assert optimum(problem).objective == pytest.approx(20.4)


def test_a_margin_counts_as_power(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """1 kW in a step longer than an interval is a peak of 1.02 kW: 0.1 + 10.2."""
    charge = DemandCharge("peak", 10.0, 0.0, (Interval(0.0, ((0, 1.02),)),))
    assert planned(site((1.0,), (0.1,), firms=(firm(),), demand_charges=(charge,))).account.objective == pytest.approx(10.3)


def test_each_window_has_a_peak_of_its_own(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """The cheap hour costs 10 a kW, either hour 1: the work goes to the dear hour. 0.3 * 2 + 1 * 2."""
    day, noon = (Interval(0.0, ((0, 1.0),)), Interval(0.0, ((1, 1.0),))), (Interval(0.0, ((0, 1.0),)),)
    charges = (DemandCharge("all-day", 1.0, 0.0, day), DemandCharge("noon", 10.0, 0.0, noon))
    problem = site(jobs=(job(8.0),), demand_charges=charges)
    assert optimum(problem).objective == pytest.approx(2.6)
    plan = planned(problem)
    assert [c.peak_kw(plan.account.import_kw) for c in charges] == pytest.approx([2.0, 0.0])
    assert plan.account.cost["peak"] == pytest.approx(2.0)


def test_below_the_months_peak_power_costs_nothing_more(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """The plan is the one of a site without the charge; what the month has seen is paid either way."""
    free, seen = (planned(site(jobs=(job(8.0),), peak_price_per_kw=price, peak_so_far_kw=5.0)) for price in (0.0, 10.0))
    assert seen.account.import_kw.tolist() == free.account.import_kw.tolist()
    assert seen.account.objective == pytest.approx(free.account.objective + 50.0)


def test_a_charge_without_an_interval_in_the_horizon_keeps_its_peak(site: Any, planned: Callable[[Problem], Plan]) -> None:
    assert planned(site(demand_charges=(DemandCharge("winter", 2.0, 3.0, ()),))).account.cost["peak"] == 6.0


def test_headroom_is_shared_by_the_steps_of_an_interval(site: Any) -> None:
    """A mean of 1 kW below a peak of 2 and 1 above it: 2 kW more of the mean, 4 kW of either hour, and then none of the other."""
    charge = DemandCharge("peak", 1.0, 2.0, (Interval(0.0, ((0, 0.5), (1, 0.5))),))
    left = Headroom((charge,), site().outdoor_c * 0 + 1, 1.0)
    assert (left.kw(0), left.kw(1), left.kw(2)) == (4.0, 4.0, float("inf"))
    left.take(0, 4.0)
    assert left.kw(1) == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_agrees_with_its_program_on_its_peak(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """Rounding takes power and may give back as much as raises the peak by a kilowatt, never more."""
    problem = random_site(seed, lowest_price=0.01)
    steps = len(problem.horizon)
    pairs = tuple(Interval(0.1, ((t, 0.4), (t + 1, 0.5))) for t in range(steps - 1))
    plan = planned(replace(problem, demand_charges=(DemandCharge("pairs", 3.0, 0.2, pairs),)))
    assert plan.account.objective >= plan.record.bound - 1e-6
    drawn = plan.account.import_kw.tolist()
    means = [0.1 + 0.4 * one + 0.5 * other for one, other in pairwise(drawn)]
    assert plan.account.cost["peak"] == pytest.approx(3.0 * max(0.2, *means))


def test_golden_rows(site: Any, golden: Any) -> None:
    intervals = (Interval(0.5, ((0, 0.5),)), Interval(0.0, ((0, 0.25), (1, 0.75))))
    golden(site((0.5, 1.0), demand_charges=(DemandCharge("peak", 10.0, 3.0, intervals),)), "demand_charge.peaks")
