"""Battery: energy moved between steps, one way at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.room import Room


def with_battery(site: Callable[..., Problem], price: tuple[float, ...], base_kw: float = 2.0, **terms: Any) -> Problem:
    """Hours of `base_kw` and an empty battery of 4 kWh, 2 kW, 80 % one way; `terms` of the battery or the site."""
    mine = {k: terms.pop(k) for k in tuple(terms) if k in Battery.__dataclass_fields__}
    defaults = {"capacity_kwh": 4.0, "charge_kw": 2.0, "discharge_kw": 2.0, "efficiency": 0.8, "min_kwh": 0.0, "start_kwh": 0.0}
    battery = Battery("battery", "root", **(defaults | mine))
    halls = (Hall("hall", "root", base_kw=base_kw),)
    return site((1.0,) * len(price), price, gpus=0.0, halls=halls, batteries=(battery,), **terms)


def stored_kwh(problem: Problem, plan: Plan) -> list[float]:
    """What the orders that are sent leave in the battery at the end of each step."""
    battery = problem.batteries[0]
    power = plan.schedule.battery_kw["battery"]
    gain = np.maximum(power, 0) * battery.efficiency - np.maximum(-power, 0) / battery.efficiency
    return [float(kwh) for kwh in battery.start_kwh + np.cumsum(problem.horizon.h * gain)]


def test_energy_is_bought_cheap_and_used_dear(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kWh in leave 1.6 stored and give 1.28 back: 0.1 * (2 + 2) + 0.5 * (2 - 1.28) = 0.76."""
    problem = with_battery(site, (0.1, 0.5))
    assert optimum(problem).objective == pytest.approx(0.76)
    plan = planned(problem)
    assert plan.schedule.battery_kw["battery"].tolist() == pytest.approx([2.0, -1.28])
    assert stored_kwh(problem, plan) == pytest.approx([1.6, 0.0])
    assert plan.account.objective == pytest.approx(0.76)


@pytest.mark.parametrize(("wear", "objective"), [(0.1, 0.76 + 0.128), (0.5, 0.1 * 2 + 0.5 * 2)])
def test_wear_is_paid_or_the_battery_rests(site: Any, optimum: Any, wear: float, objective: float) -> None:
    """A kWh taken in gives 0.64 back, worth 0.64 * (0.5 - wear) - 0.1: 0.156 at 0.1, -0.1 at 0.5."""
    assert optimum(with_battery(site, (0.1, 0.5), wear_price_per_kwh=wear)).objective == pytest.approx(objective)


def test_what_was_stored_at_the_start_is_there_at_the_end(site: Any, optimum: Any) -> None:
    """At one price only, storing loses: nothing moves, and the kWh that is there stays."""
    model = optimum(with_battery(site, (0.3, 0.3), start_kwh=1.0)).model
    assert model.battery["battery"].stored_kwh[1].value == pytest.approx(1.0)


def test_a_reserve_is_not_touched(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """Of 3 kWh only what lies above 2.5 may go: 0.5 * 0.8 = 0.4 kWh in the dear hour, bought back in the cheap one after."""
    problem = with_battery(site, (0.5, 0.1), start_kwh=3.0, min_kwh=2.5)
    plan = planned(problem)
    assert plan.schedule.battery_kw["battery"].tolist() == pytest.approx([-0.4, 0.5 / 0.8])


def test_a_limit_is_broken_by_what_the_battery_cannot_give(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """0.3 kWh fit in, without loss; 2 kW against a limit of 1.5 kW want 0.5: 0.2 kW over.

    0.1 * 2.3 + 0.1 * 1.7 + 1000 * 0.2 = 200.4.
    """
    problem = with_battery(site, (0.1, 0.1), limit_kw=(1000.0, 1.5), charge_kw=0.3, efficiency=1.0)
    assert optimum(problem).objective == pytest.approx(200.4)
    account = planned(problem).account
    assert account.breach["over_limit_kw"].tolist() == pytest.approx([0.0, 0.2])
    assert account.objective == pytest.approx(200.4)


def test_the_grid_limit_goes_before_a_rating(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Nothing may be imported in the first hour. The battery could give the 1 kW, but taking it back passes 2 kW through 1 kW.

    So the grid limit is broken by 1 kW and the rating is not: 0.1 * 2 + 1000 * 1.
    """
    feeders = (Feeder("root", None, 1.0),)
    problem = with_battery(site, (0.1, 0.1), 1.0, limit_kw=(0.0, 1000.0), start_kwh=1.0, capacity_kwh=1.0, efficiency=1.0, feeders=feeders)
    assert optimum(problem).objective == pytest.approx(1000.2)
    account = planned(problem).account
    assert account.breach["over_limit_kw"].tolist() == pytest.approx([1.0, 0.0])
    assert np.all(account.breach["over_rating_kw"] <= 1e-9)


def test_a_battery_that_discharges_lowers_the_expected_load_but_not_the_worst_case(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    problem = with_battery(site, (0.1, 0.5))
    worst_kw = optimum(problem).model.feeder["root"].worst_kw
    assert [worst_kw[t].value for t in range(2)] == pytest.approx([4.0, 2.0])
    account = planned(problem).account
    assert account.feeder_kw[0].tolist() == pytest.approx([4.0, 0.72])
    assert account.feeder_worst_kw[0].tolist() == pytest.approx([4.0, 2.0])


def test_no_plan_charges_and_discharges_at_once(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Paid for what it burns, the program does both at once; the plan fills 1 kWh once: 1 / 0.8 = 1.25 kWh more.

    -0.2 * (5 + 5 + 1.25) = -2.25. The program takes C kWh in and D out, C + D = 2 and 0.8 C - 1.25 D = 1: C - D = 2.9 / 2.05.
    Fixing the direction of one hour alone would only move the burning to the other.
    """
    problem = with_battery(site, (-0.2, -0.2), 5.0, capacity_kwh=1.0, charge_kw=1.0, discharge_kw=1.0)
    best = optimum(problem)
    block = best.model.battery["battery"]
    assert max(min(block.charge_kw[t].value, block.discharge_kw[t].value) for t in range(2)) > 0.01
    assert best.objective == pytest.approx(-0.2 * (10 + 2.9 / 2.05))
    plan = planned(problem)
    assert max(stored_kwh(problem, plan)) <= 1.0 + 1e-6
    assert plan.account.objective == pytest.approx(-2.25)


def test_what_carries_the_load_for_a_time_stays_stored(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kW for 45 min are 1.5 kWh, 1.875 stored. Of 3 kWh 1.125 go: 0.9 kWh in the dear hour, bought back with 1.125 / 0.8.

    0.5 * (2 - 0.9) + 0.1 * (2 + 1.40625) = 0.890625.
    """
    problem = with_battery(site, (0.5, 0.1), start_kwh=3.0, ride_through_h=0.75)
    assert optimum(problem).objective == pytest.approx(0.890625)
    plan = planned(problem)
    assert plan.schedule.battery_kw["battery"].tolist() == pytest.approx([-0.9, 1.40625], abs=1e-4)
    assert plan.status == "optimal"
    assert plan.account.breach["short_ride_through_kwh"].max() <= 1e-6


def test_what_is_never_used_carries_nothing(site: Any, optimum: Any) -> None:
    """Of 3 kWh 1 may not be used; 1.5 kWh for 2 kW want 1.875 of the other 2: 0.125 go, 0.1 kWh. 0.95 + 0.1 * 2.15625."""
    problem = with_battery(site, (0.5, 0.1), start_kwh=3.0, min_kwh=1.0, ride_through_h=0.75)
    assert optimum(problem).objective == pytest.approx(0.5 * 1.9 + 0.1 * (2 + 0.125 / 0.8))


def test_caps_are_lowered_to_what_the_battery_carries(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Half a kWh carries 2 kW for 15 min: ten GPUs at 200 W, speed 0.8. 0.1 * 2 - 8."""
    figures = {"capacity_kwh": 0.5, "start_kwh": 0.5, "efficiency": 1.0, "ride_through_h": 0.25}
    problem = with_battery(site, (0.1,), 0.0, pools=site((1.0,), (0.1,)).pools, firms=(firm(value_per_gpu_h=1.0),), **figures)
    assert optimum(problem).objective == pytest.approx(-7.8)
    plan = planned(problem)
    assert plan.status == "optimal"
    assert plan.account.carried_kw[0, 0] <= 2.0
    assert plan.account.objective == pytest.approx(-7.8, abs=0.01)


def test_an_empty_battery_breaks_its_ride_through_by_what_it_cannot_yet_hold(site: Any, planned: Any, optimum: Any) -> None:
    """An hour at 2 kW stores 1.6 kWh, good for 1.28 of the 2 that are wanted; 0.9 more do in the second, 1.125 kWh bought.

    0.1 * (2 + 2 + 2 + 1.125) + 10000 * 0.72 = 7200.7125.
    """
    problem = with_battery(site, (0.1, 0.1), ride_through_h=1.0)
    assert optimum(problem).objective == pytest.approx(7200.7125)
    account = planned(problem).account
    assert account.breach["short_ride_through_kwh"][0].tolist() == pytest.approx([0.72, 0.0], abs=1e-4)
    assert account.objective == pytest.approx(7200.7125, rel=1e-4)


def test_another_feeder_may_be_carried_with_its_losses(site: Any, planned: Any) -> None:
    """2 kW of the row's hall are 2.5 kW with the row's losses of 25 %; nothing else counts. 0.4 h: 1 kWh, 1.25 stored."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 1000.0, 0.25))
    halls = (Hall("hall", "row", base_kw=2.0), Hall("other", "root", base_kw=7.0))
    terms = {"start_kwh": 2.0, "ride_through_h": 0.4, "carries": "row", "feeders": feeders}
    problem = with_battery(site, (0.5, 0.1), **terms)
    plan = planned(replace(problem, halls=halls))
    assert plan.account.carried_kw[0].tolist() == pytest.approx([2.5, 2.5])
    assert stored_kwh(problem, plan)[0] == pytest.approx(1.25, abs=1e-4)


def test_rounding_gives_back_no_more_than_the_battery_carries(site: Any) -> None:
    """Half a kWh carries 2 kW for 15 min, 1 kW of it the lowest caps of ten GPUs."""
    figures = {"capacity_kwh": 0.5, "start_kwh": 0.5, "efficiency": 1.0, "ride_through_h": 0.25}
    problem = with_battery(site, (0.1,), 0.0, pools=site((1.0,), (0.1,)).pools, **figures)
    rest = Schedule(Groups.of([]), {"battery": np.zeros(1)}, {"hall": np.full(1, 24.0)})
    assert Room(problem, rest).take("pool", 0, 0.0, 1.0, 0.98)
    assert not Room(problem, rest).take("pool", 0, 0.0, 1.0, 0.99)


@pytest.mark.parametrize("seed", range(12))
def test_rounding_breaks_no_ride_through_that_the_program_kept(random_site: Any, planned: Any, optimum: Any, seed: int) -> None:
    free = random_site(seed)
    if not free.batteries:
        free = replace(free, batteries=random_site(seed + 100).batteries)
    problem = replace(free, batteries=tuple(replace(b, ride_through_h=0.3) for b in free.batteries))
    best = optimum(problem).model.battery
    program = sum(v.value for b in problem.batteries for v in best[b.id].short_ride_through_kwh.values())
    plan = planned(problem)
    if problem.batteries:
        assert plan.account.breach["short_ride_through_kwh"].sum() <= program * (1 + 1e-4) + 1e-5


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = with_battery(site, (0.1, 0.5), start_kwh=1.0, wear_price_per_kwh=0.01)
    for name in ("stores_first", "stores", "one_way", "ends_no_emptier"):
        golden(problem, f"battery.{name}")
    golden(with_battery(site, (0.1,), start_kwh=1.0, min_kwh=0.5, ride_through_h=0.25), "battery.rides_through")
