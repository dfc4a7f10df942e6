"""Approach: a hall is cooled as far as its supply and its heat allow, and not at all while it is colder than its supply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from models.heat.approach import idle_c
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.plan import Plan
from models.problem import Problem
from models.solving.cold import ColdHalls
from models.solving.session import Session
from tests.models.cold import AT_20, with_a_cold_hall


@pytest.fixture
def cold(site: Any) -> Callable[..., Problem]:
    """Ten GPUs in a hall at 16 degC that is cooled at 20: see `with_a_cold_hall`."""
    return partial(with_a_cold_hall, site)


def test_nothing_is_removed_from_a_hall_that_is_colder_than_its_supply(
    cold: Any, job: Any, optimum: Any, planned: Callable[[Problem], Plan]
) -> None:
    """Ten GPUs at 300 W all through two hours, 3 kW: 19 degC after the first, which is below the supply, so nothing is removed.

    By itself the hall would then come to 22. So 20 + 0.5 * q = 22 - q, q = 4/3 kW, 62/3 degC. That is 2/3 K above the band, 14/3 K above
    the start, at 0.5 each, and 2 * 3 + 4/3 / 5 kWh at 0.1.

    The program takes the hall's 16 degC without the job for its least, so T >= 16 + (0.5 + 4/20) * q lets it remove heat at once.
    """
    problem = cold((1.0, 1.0), 0.0, jobs=(job(20.0),))
    relaxed = optimum(problem)
    assert relaxed.session.values(relaxed.model.hall["hall"].removed_kw)[0] == pytest.approx((19 - 16) / (1 + 0.5 + 4 / 20))
    plan = planned(problem)
    assert plan.account.removed_kw[0].tolist() == pytest.approx([0.0, 4 / 3], abs=1e-3)
    assert plan.account.hall_c[0].tolist() == pytest.approx([19.0, 62 / 3], abs=1e-3)
    assert plan.schedule.hall_c["hall"].tolist() == pytest.approx([19.0, 62 / 3], abs=1e-3)
    cost = 0.1 * (6 + 4 / 15) + 0.5 * 2 / 3 + 0.5 * 14 / 3
    assert relaxed.objective < cost - 0.1
    assert plan.account.objective == pytest.approx(cost, abs=1e-3)


def test_heat_that_is_there_whatever_is_planned_needs_no_settling(cold: Any, optimum: Any) -> None:
    """3 kW of base load: the program itself removes nothing in the first hour and 4/3 kW in the second."""
    found = optimum(problem := cold((1.0, 1.0), 3.0))
    assert found.session.values(found.model.hall["hall"].removed_kw).tolist() == pytest.approx([0.0, 4 / 3], abs=1e-4)
    assert not ColdHalls(found.session, problem).cooled(problem.supply_c or {"plant": np.full(2, 20.0)})


def test_idle_gpus_and_rentals_warm_a_hall_whatever_is_planned(cold: Any, firm: Any, optimum: Any) -> None:
    """A rental's ten GPUs at 100 W at least are 1 kW, idle ones of 50 W half of that: a kelvin, or half of one, an hour."""
    zone = cold((1.0, 1.0), 0.0).halls[0]
    assert idle_c(zone, np.ones(2), np.full(2, 25.0), np.array([1.0, 0.5])).tolist() == pytest.approx([17.0, 17.5], abs=1e-3)
    rented = optimum(cold((1.0, 1.0), 0.0, firms=(firm(),)))
    assert [rented.model.approach["hall"].least_c[0, t] for t in (0, 1)] == pytest.approx([17.0, 18.0], abs=1e-3)


def test_a_hall_colder_than_any_supply_is_left_alone(cold: Any, planned: Any, optimum: Any) -> None:
    """No heat and 16 degC outside, at which the hall stays: 2 K below its band, at 0.5 a K and hour and kWh/K, 10 of them."""
    outside = {"recommended_min_c": 18.0, "resistance_k_per_kw": 0.1, "heat_capacity_kwh_per_k": 10.0}
    problem = cold((1.0,), 0.0, figures=outside, outdoor_c=16.0)
    assert optimum(problem).objective == pytest.approx(10.0)
    plan = planned(problem)
    assert plan.account.heat_kw[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert plan.account.objective == pytest.approx(10.0)
    assert not plan.account.is_breached


def test_an_empty_cold_hall_does_not_hold_down_the_supply_of_a_busy_one(cold: Any, planned: Callable[[Problem], Plan]) -> None:
    """10 kW at 25 degC leave 25 - 0.4 * 10 = 21 for the supply, so 20 of 18, 20 and 23, at COP 7; the empty hall stays at 16."""
    levels = SetPoint((18.0, 20.0, 23.0), 18.0, cop_gain_per_k=1.0, free_shift_per_k=0.0, approach_k_per_kw=0.4)
    busy = Hall("busy", "root", 10.0, "plant", 25.0, 1e-3, 1e6, recommended_max_c=25.0, allowable_max_c=30.0)
    empty = cold((1.0,), 0.0).halls[0]
    problem = cold((1.0,), 0.0, levels, halls=(busy, empty))
    plan = planned(problem)
    assert plan.schedule.supply_c["plant"].tolist() == [20.0]
    assert plan.account.objective == pytest.approx(0.1 * (10 + 10 / 7), rel=1e-3)


def test_where_what_would_warm_a_hall_is_done_elsewhere_it_is_left_alone(
    cold: Any, job: Any, optimum: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to keep 20 degC in a hall that nothing warms once the job is fixed to wait, which no point does: nothing is removed then."""
    problem = cold((1.0, 1.0), 0.0, jobs=(job(20.0),))
    found = optimum(problem)
    session: Session = found.session
    halls = ColdHalls(session, problem)
    too_cold = [each._replace(is_warm=True) for each in halls.cooled({"plant": np.full(2, 20.0)})]
    assert [each.least_c for each in too_cold] == [20.0, 20.0]
    gpus = found.model.workload.gpus
    session.fix([gpus[0, k, t] for k in (0, 1) for t in (0, 1)], [0.0] * 4)

    def solve() -> Any:
        outcome = session.solve(10.0)
        if hasattr(outcome, "x"):
            session.load(outcome)
        return outcome

    assert hasattr(halls.solve(too_cold, solve), "x")
    assert session.values(found.model.hall["hall"].removed_kw).tolist() == [0.0, 0.0]
    halls.lift()
    assert np.isinf(session.upper[session.columns(found.model.hall["hall"].removed_kw)]).all()


def test_golden_rows(cold: Any, golden: Any) -> None:
    """Two levels, both above what the hall is at least in the first step, 16.5 degC, and one of them in the second, 17.5."""
    point = replace(AT_20, levels_c=(17.0, 20.0), usual_c=17.0)
    golden(cold((0.5, 1.0), 1.0, point), "approach.keeps_above")
