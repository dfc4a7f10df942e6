"""Cooling plant: straight lines that stand for the curve, from above and no further than the chord."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.heat.chiller import Chiller, Stage
from models.heat.cooling_plant import CoolingPlant, secants, water_m3
from models.heat.hall import Hall
from models.plan import Plan
from models.problem import Problem
from models.solving.outcome import Solved
from models.solving.settle import settle

CURVED = Chiller(100, 100, 5, 0.1, 2, 0.1, 10, 20, 4, 0.25, 8, 0.125, 1)
SMALL = Chiller(40, 40, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)
"""Removes at most 40 kW, at a COP of 5 and nothing else."""


def steady(site: Callable[..., Problem], price: float, chiller: Chiller, **hall: Any) -> Problem:
    """One hour at 25 degC outside, a hall at 25 degC that 50 kW heat and that must end no hotter."""
    zone = Hall("hall", "root", 50.0, "plant", 25.0, resistance_k_per_kw=1.0, **hall)
    return site((1.0,), (price,), outdoor_c=25.0, gpus=0.0, halls=(zone,), cooling_plants=(CoolingPlant("plant", "root", chiller),))


def test_what_heats_the_hall_is_removed_at_the_curves_price(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Ending at 25 degC, with 25 outside, takes all 50 kW: 50 / 5 + 1 + 1 + 1 = 13 kW, a breakpoint of the curve.

    (50 + 13) kW * 0.1 = 6.3, in the program as in the account.
    """
    problem = steady(site, 0.1, CURVED, heat_capacity_kwh_per_k=100.0)
    best = optimum(problem)
    assert best.model.cooling_plant["plant"].heat_kw[0].value == pytest.approx(50.0)
    assert best.objective == pytest.approx(6.3)
    plan = planned(problem)
    assert plan.account.cooling_kw[0, 0] == pytest.approx(13.0)
    assert plan.account.objective == pytest.approx(best.objective, abs=1e-6)


def test_at_a_negative_price_no_more_is_burnt_than_the_chord_and_the_account_knows_the_curve(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """From 5 kW at rest to 33 kW at full heat the chord is 5 + 0.28 q: 19 kW at 50 kW. -(50 + 19) * 0.1 = -6.9.

    Cooling on would burn 0.28 kW more per kW, 0.028 a kW, but chill the hall (100 kWh/K) below its 25 degC by
    (1 - exp(-1 / 100)) K per kW, at 0.5 a kWh: 0.4975. The plant itself draws 13 kW: -(50 + 13) * 0.1 = -6.3.
    """
    problem = steady(site, -0.1, CURVED, heat_capacity_kwh_per_k=100.0, recommended_min_c=25.0)
    best = optimum(problem)
    assert best.model.cooling_plant["plant"].power_kw[0].value == pytest.approx(19.0)
    assert best.objective == pytest.approx(-6.9)
    assert planned(problem).account.objective == pytest.approx(-6.3)


def test_a_plan_settles_on_what_the_plant_draws(site: Any, optimum: Any) -> None:
    """As above: settled, the program itself knows the 13 kW at 50 kW, a breakpoint, and -6.3 instead of -6.9."""
    problem = steady(site, -0.1, CURVED, heat_capacity_kwh_per_k=100.0, recommended_min_c=25.0)
    best = optimum(problem)

    def again() -> Solved:
        outcome = best.session.solve(10.0)
        assert isinstance(outcome, Solved)
        best.session.load(outcome)
        return outcome

    settled = settle(best.session, problem, again)
    assert isinstance(settled, Solved)
    assert settled.objective == pytest.approx(-6.3)
    assert best.session.value(best.model.cooling_plant["plant"].power_kw[0]) == pytest.approx(13.0)


def test_a_plant_too_small_lets_the_hall_get_too_hot_by_what_it_cannot_remove(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """10 of 50 kW stay: after an hour at R C = 1 h the hall is 10 * (1 - 1 / e) = 6.32 K above what is allowed."""
    problem = steady(site, 0.1, SMALL, heat_capacity_kwh_per_k=1.0, recommended_max_c=25.0, allowable_max_c=25.0)
    too_hot_k = 10 * (1 - np.exp(-1.0))
    assert optimum(problem).model.hall["hall"].too_hot_k[0].value == pytest.approx(too_hot_k)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["too_hot_k"][0, 0] == pytest.approx(too_hot_k)
    assert plan.account.heat_kw[0, 0] == pytest.approx(40.0)


def hot_second_hour(site: Callable[..., Problem], price: tuple[float, float], **hall: Any) -> Problem:
    """A hall that 50 kW heat and nothing leaves, 10 kWh/K; 60 kW of cooling at COP 5, a third less of it in the second hour."""
    figures = {"resistance_k_per_kw": 1e6, "heat_capacity_kwh_per_k": 10.0}
    zone = Hall("hall", "root", 50.0, "plant", 25.0, **(figures | hall))
    chiller = Chiller(60, 60, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0, capacity=((25.0, 1.0), (45.0, 2 / 3)))
    problem = site((1.0, 1.0), price, gpus=0.0, halls=(zone,), cooling_plants=(CoolingPlant("plant", "root", chiller),))
    return replace(problem, outdoor_c=np.array([25.0, 45.0]))


def test_what_a_plant_cannot_remove_in_the_heat_it_removes_before(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """40 of 50 kW in the hot hour: the 10 kWh left go an hour earlier, at the dear price, by cooling the hall to 24 degC.

    0.3 * (50 + 60 / 5) + 0.1 * (50 + 40 / 5) = 24.4.
    """
    problem = hot_second_hour(site, (0.3, 0.1))
    assert optimum(problem).objective == pytest.approx(24.4, rel=1e-4)
    account = planned(problem).account
    assert account.heat_kw[0].tolist() == pytest.approx([60.0, 40.0], rel=1e-4)
    assert account.hall_c[0].tolist() == pytest.approx([24.0, 25.0], rel=1e-4)
    assert account.objective == pytest.approx(24.4, rel=1e-4)


def test_a_plant_that_the_heat_makes_too_small_is_a_hall_too_hot(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """10 of 50 kWh stay in each of two hot hours: 1 K, then 2 K, above what is allowed."""
    problem = hot_second_hour(site, (0.1, 0.1), recommended_max_c=25.0, allowable_max_c=25.0)
    problem = replace(problem, outdoor_c=np.array([45.0, 45.0]))
    assert optimum(problem).model.hall["hall"].too_hot_k[1].value == pytest.approx(2.0, rel=1e-4)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["too_hot_k"][0].tolist() == pytest.approx([1.0, 2.0], rel=1e-4)


STAGED = Chiller(70, 70, 1, 0, 1, 0, -99, -98, 0, 0, 0, 0, 0, stages=(Stage(40, 3), Stage(30, 6)))


@pytest.mark.parametrize("price", [0.1, -0.1])
@pytest.mark.parametrize("capacity", [(), ((25.0, 52 / 70),)], ids=["whole", "52 kW left"])
def test_the_program_settles_on_what_the_stages_draw(
    site: Any, planned: Callable[[Problem], Plan], price: float, capacity: tuple[tuple[float, float], ...]
) -> None:
    """50 kW of heat are 30 / 6 + 20 / 3 = 11.67 kW, at a negative price too, where the chord would let 13.1 be burnt."""
    problem = steady(site, price, replace(STAGED, capacity=capacity), heat_capacity_kwh_per_k=100.0, recommended_min_c=25.0)
    plan = planned(problem)
    assert plan.account.cooling_kw[0, 0] == pytest.approx(30 / 6 + 20 / 3)
    assert plan.account.objective == pytest.approx(price * (50 + 30 / 6 + 20 / 3))
    assert not plan.account.is_breached


def test_water_that_evaporates_is_paid_for(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """50 kWh of heat, half of it free at 15 degC: 1.8 l/kWh * 25 kWh = 0.045 m3 at 4 a m3 are 0.18 more than without a price."""
    dry = replace(steady(site, 0.1, CURVED, heat_capacity_kwh_per_k=100.0), outdoor_c=np.array([15.0]))
    dry = replace(dry, halls=(replace(dry.halls[0], resistance_k_per_kw=1e6),))
    wet = replace(dry, cooling_plants=(replace(dry.cooling_plants[0], water_l_per_kwh=1.8, water_price_per_m3=4.0),))
    assert optimum(wet).objective == pytest.approx(optimum(dry).objective + 0.18, rel=1e-6)
    account = planned(wet).account
    assert water_m3(wet.cooling_plants, account.heat_kw, wet.outdoor_c, wet.horizon.h).tolist() == pytest.approx([0.045], rel=1e-6)
    assert account.cost["water"] == pytest.approx(0.18, rel=1e-6)
    assert account.objective == pytest.approx(optimum(wet).objective, rel=1e-6)


@pytest.mark.parametrize(("price_per_m3", "first_share"), [(0.0, 1.0), (200.0, 0.0)])
def test_work_waits_for_dry_cooling_where_water_is_dear(
    site: Any, job: Any, planned: Callable[[Problem], Plan], price_per_m3: float, first_share: float
) -> None:
    """An hour at 25 degC costs 0.10 a kWh and 1.8 l of water, 0.36 at 200 a m3; the next, at 5 degC, 0.30 and none. The hall holds no heat."""
    zone = Hall("hall", "root", 0.0, "plant", 25.0, resistance_k_per_kw=1e6, heat_capacity_kwh_per_k=1e-4)
    chiller = Chiller(10, 10, 100, 0, 100, 0, 10, 20, 0, 0, 0, 0, 0)
    plant = CoolingPlant("plant", "root", chiller, water_l_per_kwh=1.8, water_price_per_m3=price_per_m3)
    terms = {"price_per_kwh": (0.10, 0.30), "halls": (zone,), "cooling_plants": (plant,)}
    problem = replace(site(**terms, jobs=(job(8.0),)), outdoor_c=np.array([25.0, 5.0]))
    account = planned(problem).account
    assert account.work_gpu_h[0].tolist() == pytest.approx([8 * first_share, 8 * (1 - first_share)])


@given(st.floats(0, 100), st.floats(-10, 45))
def test_the_segments_lie_on_or_above_the_curve_and_the_chord_on_or_above_them(heat_kw: float, outdoor_c: float) -> None:
    outdoor = np.array([outdoor_c])
    slope, intercept, chord = secants(CURVED, outdoor)
    segments = float((intercept[:, 0] + slope[:, 0] * heat_kw).max())
    assert segments >= float(CURVED.power_kw(np.array(heat_kw), outdoor)[0]) - 1e-9
    assert segments <= float(chord[1, 0] + chord[0, 0] * heat_kw) + 1e-9


@given(st.floats(-10, 45))
def test_the_segments_meet_the_curve_at_its_breakpoints(outdoor_c: float) -> None:
    outdoor = np.array([outdoor_c])
    slope, intercept, _ = secants(CURVED, outdoor)
    for heat_kw in CURVED.breakpoints_kw():
        curve = float(CURVED.power_kw(np.array(heat_kw), outdoor)[0])
        assert float((intercept[:, 0] + slope[:, 0] * heat_kw).max()) == pytest.approx(curve)


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = steady(site, 0.1, Chiller(100, 100, 5, 0.1, 2, 0.5, 10, 20, 4, 0.25, 8, 0.125, 1))
    for name in ("has_capacity", "removes_heat", "burns_no_more"):
        golden(problem, f"cooling_plant.{name}")
