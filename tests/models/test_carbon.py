"""Carbon: a price moves work to clean hours, a cap holds before money and after contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.breach import CONTRACT, TINY
from models.grid.carbon import Carbon
from models.heat.hall import Hall
from models.plan import Plan
from models.power.genset import Genset
from models.problem import Problem


def test_a_price_of_carbon_moves_work_to_the_clean_hour(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kWh at 0.1: 1.0 kg in the first hour, 0.2 kg in the second, 1 a kg. 0.2 + 0.2."""
    problem = site(price_per_kwh=(0.1, 0.1), jobs=(job(8.0),), carbon=Carbon((0.5, 0.1), price_per_kg=1.0))
    assert optimum(problem).objective == pytest.approx(0.4)
    cost = planned(problem).account.cost
    assert (cost["energy"], cost["carbon"]) == (pytest.approx(0.2), pytest.approx(0.2))


def test_a_cap_moves_work_to_a_dear_clean_hour(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kWh, x of them in the first hour: 0.5 x + 0.1 (2 - x) <= 0.5 at x = 0.75. 0.1 * 0.75 + 0.3 * 1.25 = 0.45.

    A kg more would move 2.5 kWh, each 0.2 cheaper.
    """
    problem = site(jobs=(job(8.0, elastic=True),), carbon=Carbon((0.5, 0.1), cap_kg=0.5))
    assert optimum(problem).objective == pytest.approx(0.45)
    plan = planned(problem)
    assert plan.account.objective == pytest.approx(0.45, abs=1e-3)
    assert float(Carbon((0.5, 0.1)).kg(problem.horizon, plan.account.import_kw).sum()) <= 0.5
    assert not plan.account.is_breached
    assert plan.marginal_prices["carbon.keeps_cap"] == pytest.approx(0.5)


def test_what_must_run_breaks_the_cap_by_exactly_the_difference(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """1 kWh a step emits 0.5 kg, 0.4 kg are allowed in two: 0.6 kg over. 0.2 + 5 * 0.6."""
    problem = site((1.0, 1.0), (0.1, 0.1), firms=(firm(),), carbon=Carbon((0.5, 0.5), cap_kg=0.4))
    assert optimum(problem).objective == pytest.approx(3.2)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_carbon_kg"].tolist() == pytest.approx([0.3, 0.3])
    assert plan.account.objective == pytest.approx(3.2)


def test_a_contract_is_kept_before_the_cap(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Floor speed 0.8 is 2 kW, 1 kg; 0.2 kg are allowed, and not a GPU hour is short."""
    account = planned(site((1.0,), (0.1,), firms=(firm(floor_speed=0.8),), carbon=Carbon((0.5,), cap_kg=0.2))).account
    assert account.breach["over_carbon_kg"].sum() == pytest.approx(0.8)
    assert account.breach["short_gpu_h"].sum() == pytest.approx(0.0, abs=1e-9)


def test_no_value_of_work_buys_carbon_above_the_cap(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """A kWh more is 5 GPU h of 10 each and costs 0.1 and 2.5 for carbon: it would pay, and is not done. 0.5 kg are 1 kW."""
    plan = planned(site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=10.0),), carbon=Carbon((0.5,), cap_kg=0.5)))
    assert plan.account.import_kw.tolist() == pytest.approx([1.0])
    assert plan.account.breach["over_carbon_kg"].sum() <= 1e-4


BURNING = Genset("diesel", "root", 1.0, 2.0, 0.2, carbon_g_per_kwh=800.0)


def test_a_price_of_carbon_is_paid_for_fuel_too(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """4 kW: a kWh is 0.3 and 0.1 kg from the grid, 0.2 and 0.8 kg of fuel; at 0.1 a kg fuel is 0.03 cheaper, at 0.2 dearer by 0.04."""
    for price, cost, fuel_kw in ((0.1, 4 * 0.31 - 2 * 0.03, 2.0), (0.2, 4 * 0.32, 0.0)):
        carbon = Carbon((0.1,), price_per_kg=price)
        problem = site((1.0,), (0.3,), gpus=0.0, halls=(Hall("hall", "root", base_kw=4.0),), gensets=(BURNING,), carbon=carbon)
        assert optimum(problem).objective == pytest.approx(cost)
        account = planned(problem).account
        assert account.given_kw["diesel"].tolist() == pytest.approx([fuel_kw])
        assert account.objective == pytest.approx(cost)


def test_a_cap_counts_what_gensets_burn(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """4 kW from the grid are 0.4 kg; each kW of fuel adds 0.7. 1.1 kg are 1 kW of 0.2 and 3 of 0.3: 1.1. Without the genset's: 1.0."""
    carbon = Carbon((0.1,), cap_kg=1.1 + 1e-4)
    problem = site((1.0,), (0.3,), gpus=0.0, halls=(Hall("hall", "root", base_kw=4.0),), gensets=(BURNING,), carbon=carbon)
    assert optimum(problem).objective == pytest.approx(1.1, abs=1e-4)
    account = planned(problem).account
    assert account.given_kw["diesel"].tolist() == pytest.approx([1.0], abs=1e-3)
    assert not account.is_breached


@pytest.mark.parametrize("seed", range(8))
def test_no_rounding_breaks_a_cap_that_its_program_keeps(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """The cap is nine tenths of what the plan without it emits."""
    problem = random_site(seed, lowest_price=0.01)
    intensity = tuple(0.2 + 0.3 * (t % 2) for t in range(len(problem.horizon)))
    free = planned(problem).account
    cap_kg = 0.9 * float(Carbon(intensity).kg(problem.horizon, free.import_kw).sum())
    plan = planned(replace(problem, carbon=Carbon(intensity, 0.05, cap_kg)))
    promised = dict(plan.record.tiers).get(CONTRACT.name, 0.0) > 0
    assert promised or (plan.account.breach["over_carbon_kg"] <= TINY).all()
    assert plan.account.objective >= plan.record.bound - 1e-6


def test_golden_rows(site: Any, golden: Any) -> None:
    golden(site((0.5, 1.0), gensets=(BURNING,), carbon=Carbon((0.5, 0.1), 0.08, 3.0)), "carbon.keeps_cap")
