"""Grid connection: limits, prices and fees, events, ramps, export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.breach import GRID_LIMIT, PLANT, TINY
from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.problem import Problem


def test_a_limit_moves_work_to_a_dearer_hour(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """11 GPU h, elastic. 1 kW in the cheap hour is five GPUs at 200 W, 4 GPU h; the other 7 take 1.75 kWh in the dear one.

    0.1 * 1 + 0.3 * 1.75 = 0.625. One more kW then would move 4 GPU h from 0.25 * 0.3 to 0.25 * 0.1 each: 0.2.
    """
    problem = site(limit_kw=(1.0, 1000.0), jobs=(job(11.0, elastic=True),))
    assert optimum(problem).objective == pytest.approx(0.625)
    plan = planned(problem)
    assert plan.account.import_kw[0] <= 1.0
    assert plan.account.objective == pytest.approx(0.625, abs=1e-3)
    assert plan.marginal_prices == {"grid.limits": pytest.approx(0.2)}


def test_a_limit_that_does_not_bind_has_no_price(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    assert planned(site(jobs=(job(8.0),))).marginal_prices == {}


def test_what_must_run_breaks_a_limit_below_it_by_exactly_the_difference(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Ten GPUs at 100 W are 1 kW against 0.4 kW: 1 * 0.1 + 1000 * 0.6 = 600.1."""
    problem = site((1.0,), (0.1,), limit_kw=0.4, firms=(firm(),))
    assert optimum(problem).objective == pytest.approx(600.1)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_limit_kw"].tolist() == pytest.approx([0.6])
    assert plan.account.objective == pytest.approx(600.1)


def test_a_contract_goes_before_the_grid_limit(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Speed 0.8 takes 2 kW, 1.5 kW are to be had: 150 W each is speed 0.55. 8 - 5.5 = 2.5 GPU h short, and no kW over.

    1.5 * 0.1 + 2.5 * 50 = 125.15.
    """
    problem = site((1.0,), (0.1,), limit_kw=1.5, firms=(firm(floor_speed=0.8),))
    assert optimum(problem).objective == pytest.approx(125.15)
    account = planned(problem).account
    assert account.breach["over_limit_kw"][0] == 0.0
    assert account.breach["short_gpu_h"][0, 0] == pytest.approx(2.5, abs=0.01)


def test_a_job_goes_before_the_grid_limit(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """8 GPU h by the end of an hour take 2 kW; 1 kW lets five GPUs do 4."""
    account = planned(site((1.0,), (0.1,), limit_kw=1.0, jobs=(job(8.0, 1.0, elastic=True),))).account
    assert account.breach["over_limit_kw"][0] == 0.0
    assert account.breach["unfinished_gpu_h"][0] == pytest.approx(4.0, abs=0.01)


def test_an_event_moves_work_to_a_dearer_hour_as_a_limit_does(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """As with a limit of 1 kW in the first hour: 0.1 * 1 + 0.3 * 1.75 = 0.625, and the second hour is free."""
    problem = site(event_target_kw=(1.0, None), jobs=(job(11.0, elastic=True),))
    assert optimum(problem).objective == pytest.approx(0.625)
    plan = planned(problem)
    assert 0.999 < plan.account.import_kw[0] <= 1.0
    assert plan.account.import_kw[1] > 1.7
    assert plan.account.objective == pytest.approx(0.625, abs=1e-3)
    assert plan.marginal_prices == {"grid.event": pytest.approx(0.2)}
    assert not plan.account.is_breached


def test_the_lower_of_event_and_limit_counts(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    jobs = (job(8.0, elastic=True),)
    assert planned(site(limit_kw=1.5, event_target_kw=(1.0, None), jobs=jobs)).account.import_kw[0] == pytest.approx(1.0, abs=1e-2)
    assert planned(site(limit_kw=1.0, event_target_kw=(1.5, None), jobs=jobs)).account.import_kw[0] == pytest.approx(1.0, abs=1e-2)


def test_a_contract_goes_before_an_event_and_what_must_run_breaks_it_by_exactly_the_difference(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Floor speed 0.8 on ten GPUs is 2 kW; 0.4 kW are called, and at 100 W each they still draw 1 kW, at speed 0.3.

    8 - 3 = 5 GPU h short, 0.6 kW over: 1 * 0.1 + 5 * 50 + 0.6 * 500 = 550.1.
    """
    problem = site((1.0,), (0.1,), event_target_kw=(0.4,), firms=(firm(floor_speed=0.8),))
    assert optimum(problem).objective == pytest.approx(550.1)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_event_kw"].tolist() == pytest.approx([0.6])
    assert plan.account.breach["short_gpu_h"][0, 0] == pytest.approx(5.0)
    assert plan.account.cost["over_event_kw"] == pytest.approx(300.0)
    assert plan.account.objective == pytest.approx(550.1)


def test_what_is_drawn_above_event_and_limit_is_owed_for_both(site: Any, firm: Any, optimum: Any) -> None:
    """1 kW must run, 0.5 kW may be drawn in all and 0.4 kW are called: 0.5 * 1000 + 0.6 * 500 + 0.1."""
    problem = site((1.0,), (0.1,), limit_kw=0.5, event_target_kw=(0.4,), firms=(firm(),))
    assert optimum(problem).objective == pytest.approx(800.1)


@pytest.mark.parametrize("price_per_kwh", [(0.1, 0.3), (0.3, 0.1)])
def test_a_ramp_holds_the_cheap_hour_near_the_dear_one_both_ways(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any, price_per_kwh: tuple[float, float]
) -> None:
    """11 GPU h at 4 a kWh below 2 kW. x and 2.75 - x, 1 kW apart: 1.875 and 0.875. 0.1 * 1.875 + 0.3 * 0.875 = 0.45.

    Without the ramp, 3 kW and 0.25 kW: 0.375.
    """
    jobs = (job(11.0, elastic=True),)
    assert optimum(site(price_per_kwh=price_per_kwh, jobs=jobs)).objective == pytest.approx(0.375)
    problem = site(price_per_kwh=price_per_kwh, ramp_kw_per_h=1.0, jobs=jobs)
    assert optimum(problem).objective == pytest.approx(0.45)
    plan = planned(problem)
    assert sorted(plan.account.import_kw) == pytest.approx([0.875, 1.875], abs=0.01)
    assert abs(plan.account.import_kw[1] - plan.account.import_kw[0]) <= 1.0
    assert not plan.account.is_breached
    assert set(plan.marginal_prices) == {"grid.falls" if price_per_kwh[0] < price_per_kwh[1] else "grid.rises"}


def test_a_ramp_counts_from_the_middle_of_a_step_to_the_middle_of_the_next(site: Any, job: Any, optimum: Any) -> None:
    """Steps of 1 h and 3 h are 2 h apart: 0.5 kW/h allow 1 kW. 15 GPU h take x in the first and (3.75 - x) / 3 in each later hour.

    x - (3.75 - x) / 3 = 1 at x = 1.6875: 0.1 * 1.6875 + 0.3 * 2.0625 = 0.7875.
    """
    problem = site((1.0, 3.0), ramp_kw_per_h=0.5, jobs=(job(15.0, 4.0, elastic=True),))
    assert optimum(problem).objective == pytest.approx(0.7875)


def test_a_job_goes_before_a_ramp(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Work of the second hour alone, from nothing in the first: 1 kW, 4 of 8 GPU h, and no faster."""
    account = planned(site(ramp_kw_per_h=1.0, jobs=(job(8.0, arrival_h=1.0, elastic=True),))).account
    assert account.breach["over_ramp_kw"].tolist() == [0.0, 0.0]
    assert account.breach["unfinished_gpu_h"][0] == pytest.approx(4.0, abs=0.02)


def exporting(site: Any, price: tuple[float, ...], sold: tuple[float, ...], limit_kw: float = 1.5, **terms: Any) -> Problem:
    """Hours without load, an empty battery of 4 kWh and 2 kW without losses, and `limit_kw` that may be given back at `sold`."""
    battery = Battery("battery", "root", 4.0, 2.0, 2.0, 1.0, 0.0, 0.0)
    assets = {"gpus": 0.0, "batteries": (battery,), "export_limit_kw": limit_kw, "export_price_per_kwh": sold}
    return site((1.0,) * len(price), price, **(assets | terms))


def test_energy_is_sold_where_it_earns_most_up_to_the_export_limit(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """1.5 kWh bought at 0.1 and sold at 0.4: 0.15 - 0.6 = -0.45. One more kW would earn 0.3."""
    problem = exporting(site, (0.1, 0.5), (0.0, 0.4))
    assert optimum(problem).objective == pytest.approx(-0.45)
    plan = planned(problem)
    assert plan.account.import_kw.tolist() == pytest.approx([1.5, 0.0], abs=1e-4)
    assert plan.account.export_kw.tolist() == pytest.approx([0.0, 1.5], abs=1e-4)
    assert (plan.account.cost["energy"], plan.account.cost["export"]) == (pytest.approx(0.15, abs=1e-4), pytest.approx(-0.6, abs=1e-4))
    assert plan.marginal_prices["grid.exports"] == pytest.approx(0.3)
    assert not plan.account.is_breached


def test_nothing_is_given_back_where_nothing_may_be(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    problem = exporting(site, (0.1, 0.5), (), limit_kw=0.0)
    assert optimum(problem).objective == pytest.approx(0.0)
    assert planned(problem).account.export_kw.tolist() == [0.0, 0.0]


def test_what_must_be_given_back_breaks_the_export_limit_by_exactly_the_difference(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """3 kW come whatever we do, 1 kW is to be given back and the battery takes 0.5: 1.5 kW over. 1000 * 1.5 - 0.1 * 2.5."""
    battery = Battery("battery", "root", 0.5, 0.5, 0.5, 1.0, 0.0, 0.0)
    problem = exporting(site, (0.2,), (0.1,), 1.0, halls=(Hall("hall", "root", base_kw=-3.0),), batteries=(battery,))
    assert optimum(problem).objective == pytest.approx(1499.75)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_export_kw"].tolist() == pytest.approx([1.5])
    assert plan.account.objective == pytest.approx(1499.75)


def test_a_ramp_counts_what_is_given_back_as_less_than_nothing(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """1 kW/h from buying x to selling x is x = 0.5: 0.1 * 0.5 - 0.4 * 0.5 = -0.15; the other way round as well."""
    problem = exporting(site, (0.1, 0.5), (0.0, 0.4), ramp_kw_per_h=1.0)
    assert optimum(problem).objective == pytest.approx(-0.15)
    assert planned(problem).account.breach["over_ramp_kw"].tolist() == [0.0, 0.0]
    full = (Battery("battery", "root", 4.0, 2.0, 2.0, 1.0, 0.0, 4.0),)
    assert optimum(exporting(site, (0.5, 0.1), (0.4, 0.0), ramp_kw_per_h=1.0, batteries=full)).objective == pytest.approx(-0.15)


def test_drawing_and_giving_back_at_once_earns_nothing_from_nothing(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """1 kW must run at 0.1, and 0.3 is paid for export: the hull of either way allows (1 + e) / 3 + e / 2 <= 1, so e = 0.8.

    0.1 * 1.8 - 0.3 * 0.8 = -0.06. The plan draws 1 kW and gives nothing: 0.1.
    """
    problem = site((1.0,), (0.1,), limit_kw=3.0, export_limit_kw=2.0, export_price_per_kwh=(0.3,), firms=(firm(),))
    assert optimum(problem).objective == pytest.approx(-0.06)
    plan = planned(problem)
    assert (plan.account.import_kw.tolist(), plan.account.export_kw.tolist()) == ([pytest.approx(1.0)], [0.0])
    assert plan.account.objective == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_that_may_export_agrees_with_its_program(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """No limit is broken by rounding alone, and the account is dearer than the program's optimum only by what rounding takes."""
    problem = random_site(seed, lowest_price=-0.1)
    price = np.asarray(problem.grid.price_per_kwh)
    grid = replace(problem.grid, export_limit_kw=0.4, export_price_per_kwh=tuple(price[::-1] - 0.01))
    problem = replace(problem, grid=grid)
    plan = planned(problem)
    for family in (*PLANT.families, *GRID_LIMIT.families):
        assert plan.record.tiers or np.all(plan.account.breach.get(family, 0.0) <= TINY), family
    assert plan.account.objective >= plan.record.bound - 1e-6
    assert np.all((plan.account.import_kw == 0) | (plan.account.export_kw == 0))
    assert account(problem, baseline(problem)).export_kw.tolist() == [0.0] * len(price)


def test_fees_are_paid_beside_the_energy(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """8 GPU h are 2 kWh: 0.3 + 0.05 in the second hour is less than 0.1 + 0.4 in the first."""
    problem = site(fees_per_kwh=(0.4, 0.05), jobs=(job(8.0),))
    assert optimum(problem).objective == pytest.approx(0.7)
    cost = planned(problem).account.cost
    assert (cost["energy"], cost["fees"]) == (pytest.approx(0.6), pytest.approx(0.1))


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = site((0.5, 1.0), limit_kw=4.0, event_target_kw=(None, 2.0), ramp_kw_per_h=1.0)
    for name in ("meters", "limits", "event", "rises", "falls"):
        golden(problem, f"grid_connection.{name}")
    for name in ("exports", "one_way"):
        golden(exporting(site, (0.1, 0.5), (0.0, 0.6)), f"grid_connection.{name}")
