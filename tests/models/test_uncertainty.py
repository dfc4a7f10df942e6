"""Uncertainty: limits hold at the pessimistic forecast, money is counted at the expected one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.grid.uncertainty import line_above, plant_margin_kw
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.power.redundancy import Redundancy
from models.problem import Problem
from models.solving.solver import Solver
from models.telling.margin import margin_price

PLAIN = Chiller(100, 100, 5, 0.1, 2, 0.0, 10, 20, 0, 0.0, 0, 0.0, 0)
"""No pumps, no fans, no minimum load: at 25 degC it draws 1 kW for 5 of heat, at 35 degC 1 for 4."""

CURVED = Chiller(100, 100, 5, 0.1, 2, 0.3, 10, 20, 4, 0.25, 8, 0.125, 1)


def warm(site: Callable[..., Problem], high_c: float, base_kw: float = 40.0, **terms: Any) -> Problem:
    """Hours at 25 degC that may become `high_c`, and a hall behind 10 K/kW that is 25 degC and may not be warmer nor cooler."""
    hall_terms = {k: terms.pop(k) for k in tuple(terms) if k in Hall.__dataclass_fields__}
    figures = {"heat_capacity_kwh_per_k": 10.0, "resistance_k_per_kw": 10.0, "start_c": 25.0}
    figures |= {"recommended_min_c": 25.0, "recommended_max_c": 25.0, "allowable_max_c": 25.0}
    hall = Hall("hall", "root", base_kw=base_kw, cooling_plant="plant", **(figures | hall_terms))
    chiller = terms.pop("chiller", PLAIN)
    feeders = terms.pop("feeders", (Feeder("root", None, 1000.0),))
    plants = (CoolingPlant("plant", feeders[-1].id, chiller),)
    prices = terms.pop("price", (0.1,))
    problem = site((1.0,) * len(prices), prices, halls=(hall,), feeders=feeders, cooling_plants=plants, outdoor_c=25.0, **terms)
    return replace(problem, outdoor_high_c=np.full(len(prices), high_c))


def test_a_limit_leaves_room_for_the_warmer_forecast_and_the_bill_does_not_pay_it(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """40 kW of base and the job's 2 kW at 200 W want 42 / 5 = 8.4 kW of cooling; 50.4 kW in all.

    At 35 degC the hall takes 1 kW more from outside: (42 + 1) / 4 - 8.4 = 2.35 kW more. 52.75 kW are just enough.
    With 0.0125 kW less the job lacks 0.01 kW, which with a quarter for cooling makes that: 0.04 GPU h at 10 each are not done.
    """
    work = (job(8.0, 1.0, elastic=True, unfinished_price_per_gpu_h=10.0),)
    held = warm(site, 35.0, jobs=work, limit_kw=52.75)
    plan = planned(held)
    assert plan.account.import_kw.tolist() == pytest.approx([50.4], rel=1e-3)
    assert plan.account.uncertain_kw[0].tolist() == pytest.approx([2.35], rel=1e-3)
    assert optimum(held).objective == pytest.approx(5.04)
    less = replace(held.grid, limit_kw=(52.7375,))
    assert optimum(replace(held, grid=less)).objective == pytest.approx(5.04 - 0.1 * 0.012 + 0.4)
    assert optimum(replace(held, grid=less).certain).objective == pytest.approx(5.04)


def test_a_limit_that_only_the_warmer_forecast_breaks_is_broken_by_what_is_missing(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """40 + 8 kW are expected; at 35 degC 41 / 4 = 10.25 kW of cooling make 50.25 kW: 0.25 over a limit of 50.

    0.1 * 48 + 1000 * 0.25 = 254.8.
    """
    problem = warm(site, 35.0, limit_kw=50.0)
    assert optimum(problem).objective == pytest.approx(254.8)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_limit_kw"].tolist() == pytest.approx([0.25])
    assert plan.account.objective == pytest.approx(254.8)
    assert margin_price(plan, 10.0, Solver) is None


def test_losses_carry_the_margin_up_the_tree_and_each_feeder_keeps_it(site: Any, optimum: Any) -> None:
    """The plant's 2.25 kW pass a feeder that loses 10 %: 2.475 kW there and at the root, whose rating they then break by 0.075.

    40 + 1.1 * 8 = 48.8 expected, 51.275 at 35 degC, rated 51.2 kW: 0.075 kW over, expected and at worst, 10000 each.
    """
    feeders = (Feeder("root", None, 51.2), Feeder("mech", "root", 1000.0, loss_share=0.1))
    best = optimum(warm(site, 35.0, feeders=feeders, gpus=0.0))
    assert [best.model.uncertainty[f].margin_kw[0].value for f in ("mech", "root")] == pytest.approx([2.475, 2.475])
    assert best.objective == pytest.approx(4.88 + 2 * 10_000 * 0.075)


def test_more_base_load_than_expected_takes_its_cooling_with_it(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """5 kW more of base load are 5 kW more of heat, 1 kW more of cooling: 6 kW of margin, and 40 + 8 on the bill."""
    problem = replace(warm(site, 25.0, more_base_kw=(5.0,)), outdoor_high_c=None)
    account = planned(problem).account
    assert account.uncertain_kw[0].tolist() == pytest.approx([6.0])
    assert account.objective == pytest.approx(4.8)


def test_an_event_is_kept_at_the_pessimistic_forecast(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """As above, but an event's target of 53 kW: 54 could come, 1 over."""
    problem = warm(site, 25.0, more_base_kw=(5.0,), event_target_kw=(53.0,))
    assert planned(problem).account.breach["over_event_kw"].tolist() == pytest.approx([1.0])


def test_a_plant_spares_what_the_warmer_forecast_will_ask_of_it(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """The plant can remove just the 100 kW of heat; at 35 degC the hall takes 1 kW more from outside, which then stays in it.

    After an hour at R C = 1 h the hall is 1 kW * 10 K/kW * (1 - 1 / e) = 6.32 K above what is allowed.
    """
    problem = warm(site, 35.0, 100.0, heat_capacity_kwh_per_k=0.1)
    too_hot_k = 10 * (1 - np.exp(-1.0))
    assert optimum(problem).model.hall["hall"].too_hot_k[0].value == pytest.approx(too_hot_k)
    assert planned(problem).account.breach["too_hot_k"][0, 0] == pytest.approx(too_hot_k)
    assert optimum(problem.certain).model.hall["hall"].too_hot_k[0].value == pytest.approx(0.0)


def test_a_plant_that_does_less_in_the_heat_spares_that_too(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """At 35 degC the plant removes 90 of the 95 + 1 kW of heat: 6 kW stay in the hall, 6 * 10 * (1 - 1 / e) K after an hour."""
    chiller = replace(PLAIN, capacity=((25.0, 1.0), (35.0, 0.9)))
    problem = warm(site, 35.0, 95.0, heat_capacity_kwh_per_k=0.1, chiller=chiller)
    too_hot_k = 60 * (1 - np.exp(-1.0))
    assert optimum(problem).model.hall["hall"].too_hot_k[0].value == pytest.approx(too_hot_k)
    assert planned(problem).account.breach["too_hot_k"][0, 0] == pytest.approx(too_hot_k)


def test_what_a_lost_feeder_leaves_carries_the_margin_too(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kW of base on feeder a may be 3 kW; losing either of a and b leaves one of 2.5 kW: 0.5 over, expected and at worst."""
    feeders = (Feeder("root", None, 1000.0), Feeder("a", "root", 5.0), Feeder("b", "root", 2.5))
    groups = (Redundancy("pair", ("a", "b")),)
    halls = (Hall("hall", "a", base_kw=2.0, more_base_kw=(1.0,)),)
    problem = site((1.0,), (0.1,), halls=halls, feeders=feeders, redundancies=groups, gpus=0.0)
    assert optimum(problem).objective == pytest.approx(0.2 + 2 * 10_000 * 0.5)
    breach = planned(problem).account.breach
    assert [breach[family][0, 0] for family in ("over_n1_kw", "over_worst_n1_kw")] == pytest.approx([0.5, 0.5])


def test_a_battery_rides_through_the_pessimistic_load(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """Half an hour of the 3 kW that 2 kW of base may become wants 1.5 kWh of a battery that has 1: it charges 0.5 kW, 0.25 in all."""
    store = Battery("battery", "root", 4.0, 2.0, 2.0, 1.0, 0.0, 1.0, ride_through_h=0.5)
    halls = (Hall("hall", "root", base_kw=2.0, more_base_kw=(1.0,)),)
    problem = site((1.0,), (0.1,), halls=halls, batteries=(store,), gpus=0.0)
    assert planned(problem).account.objective == pytest.approx(0.25, rel=1e-4)
    assert planned(problem.certain).account.objective == pytest.approx(0.2, rel=1e-4)


def test_caution_costs_what_it_moves_to_a_dearer_hour(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """A base of 1 kW that may be 2 kW, under a limit of 3 kW: 6 GPU h at 200 W want 1.5 kWh of the cheap hour and get 1.

    The other half kWh is drawn in the dear hour: 0.5 * (0.3 - 0.1) = 0.1 dearer.
    """
    hall = Hall("hall", "root", base_kw=1.0, more_base_kw=(1.0, 1.0))
    problem = site((1.0, 1.0), (0.1, 0.3), halls=(hall,), limit_kw=3.0, jobs=(job(6.0, elastic=True),))
    assert margin_price(planned(problem), 10.0, Solver) == pytest.approx(0.1, rel=1e-3)
    assert margin_price(planned(problem.certain), 10.0, Solver) is None


@given(st.floats(0, 100), st.floats(-5, 40), st.floats(0, 15), st.floats(0, 30))
def test_the_line_lies_on_or_above_the_margin_that_it_stands_for(heat_kw: float, outdoor_c: float, warmer_k: float, more_kw: float) -> None:
    plant, outdoor, high = CoolingPlant("plant", "root", CURVED), np.array([outdoor_c]), np.array([outdoor_c + warmer_k])
    more = np.array([more_kw])
    heat = np.minimum(heat_kw, 100 - more)
    rest, per_kw = line_above(plant, 100 - more, more, outdoor, high)
    assert float((rest + per_kw * heat)[0]) >= float(plant_margin_kw(plant, heat, more, outdoor, high)[0]) - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_keeps_its_limits_at_the_pessimistic_forecast_wherever_the_program_does(
    random_site: Any, planned: Callable[[Problem], Plan], optimum: Any, seed: int
) -> None:
    """The account's curve lies below the program's line, so what the program keeps the plan keeps."""
    problem = random_site(seed, cooled=True, lowest_price=0.01)
    steps = len(problem.horizon)
    halls = tuple(replace(h, more_base_kw=(0.3,) * steps) for h in problem.halls)
    problem = replace(problem, halls=halls, outdoor_high_c=problem.outdoor_c + 4.0)
    model, plan = optimum(problem).model, planned(problem)
    kept = all((model.grid.over_limit_kw[t].value or 0.0) < 1e-6 for t in model.STEPS)
    if kept and plan.record.weights_stand is None and not plan.record.tiers:
        assert plan.account.breach["over_limit_kw"].max() <= 1e-6
        most_kw = np.asarray(problem.grid.limit_kw)
        assert (plan.account.import_kw + plan.account.uncertain_kw[0] <= most_kw + 1e-6).all()
    assert (plan.account.uncertain_kw >= 0).all()
    costs = [plan.why.gpu(w, k, t) for w, k, t in model.workload.gpus]
    assert not [cause for found in costs for cause in found if cause.family.startswith("uncertainty.")]


def test_golden_rows(site: Any, golden: Any) -> None:
    feeders = (Feeder("root", None, 1000.0), Feeder("mech", "root", 1000.0, loss_share=0.1))
    problem = warm(site, 35.0, feeders=feeders, chiller=CURVED, more_base_kw=(5.0,))
    golden(problem, "uncertainty.adds")
