"""Reserve: what is sold to the grid's operator is held by caps, jobs and batteries, for as long as a call lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.grid.grid_connection import GridConnection
from models.grid.reserve import Direction, Reserve
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.power.feed import Feed
from models.power.feeder import Feeder
from models.power.redundancy import Redundancy
from models.problem import Problem
from models.work.gpu import Curve

PRICE = 0.01
HALF = Curve((100.0, 200.0, 300.0), (50.0, 100.0, 150.0), (0.3, 0.8, 1.0))
"""Draws half of what its cap allows."""


def a_reserve(
    direction: Direction = "up",
    steps: int = 1,
    *,
    committed_kw: float = 0.0,
    most_kw: float = 50.0,
    price: float = PRICE,
    **terms: Any,
) -> Reserve:
    """As much as can be held, for an hour; `terms` are fields of `Reserve`."""
    default = {"id": direction, "duration_h": 1.0}
    each = {"committed_kw": (committed_kw,) * steps, "most_kw": (most_kw,) * steps, "price_per_kw_h": (price,) * steps}
    return Reserve(direction=direction, **(default | each | terms))


def stored(site: Any, direction: Direction, steps: int = 1, duration_h: float = 1.0, **figures: Any) -> Problem:
    """A battery of 4 kWh and 2 kW, 80 % one way, beside 5 kW of base load, and one reserve."""
    default = {"capacity_kwh": 4.0, "charge_kw": 2.0, "discharge_kw": 2.0, "efficiency": 0.8, "min_kwh": 0.0, "start_kwh": 1.0}
    battery = Battery("battery", "root", **(default | figures))
    halls = (Hall("hall", "root", base_kw=5.0),)
    reserves = (a_reserve(direction, steps, duration_h=duration_h),)
    return site((1.0,) * steps, (0.1,) * steps, gpus=0.0, halls=halls, batteries=(battery,), reserves=reserves)


def offered_kw(optimum: Any, problem: Problem) -> list[float]:
    """What the program offers of its first reserve."""
    block = optimum(problem).model.reserve[problem.reserves[0].id]
    return [block.offered_kw[t].value for t in range(len(problem.horizon))]


def held_kw(plan: Plan) -> list[float]:
    """What the plan really holds of its first reserve."""
    return [float(kw) for kw in plan.account.reserve_kw[0]]


def test_a_rental_falls_to_its_floor_and_no_further(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Ten GPUs at 300 W, worth 1 a GPU h, with a floor that 100 W keeps: 2 kW can go. 3 * 0.1 - 10 - 2 * 0.01."""
    problem = site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0, floor_speed=0.3),), reserves=(a_reserve(),))
    assert optimum(problem).objective == pytest.approx(0.3 - 10 - 0.02)
    plan = planned(problem)
    assert held_kw(plan) == pytest.approx([2.0], abs=0.02)
    assert plan.account.cost["reserve"] == pytest.approx(-0.02, abs=2e-4)


def test_what_stays_when_a_rental_falls_still_serves(site: Any, firm: Any, optimum: Any) -> None:
    """Floor 0.8, 2.2 kW to be had, a kW of reserve worth far more than work. All at 200 W and two raised to 300: those 0.2 kW can go.

    With eight and two thirds raised at all and three and a third of them twice, a third of a kW would seem to: the floor would not hold.
    """
    problem = site((1.0,), (0.1,), limit_kw=2.2, firms=(firm(floor_speed=0.8),), reserves=(a_reserve(price=9.0),))
    best = optimum(problem)
    assert best.model.reserve["up"].offered_kw[0].value == pytest.approx(0.2)


def test_what_a_rental_keeps_is_a_ladder(
    site: Any, firm: Any, saturated: Curve, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """98, 190, 195 W at speeds 0.5, 0.8, 1.0, and a floor of 0.7: four of ten GPUs stay at 195 W, six fall by 97 W: 0.582 kW.

    Dropping the middle rung alone, 92 W at 0.3 of speed, would be 0.92 kW, and cannot be done.
    """
    problem = site((1.0,), (0.1,), firms=(firm(curve=saturated, value_per_gpu_h=1.0, floor_speed=0.7),), reserves=(a_reserve(),))
    assert optimum(problem).model.reserve["up"].offered_kw[0].value == pytest.approx(0.582)
    assert held_kw(planned(problem)) == pytest.approx([0.582], abs=0.02)


def test_nothing_rises_when_a_call_comes_to_draw_less(site: Any, firm: Any, saturated: Curve, optimum: Any) -> None:
    """2 kW of caps hold all ten at 200 W, speed 0.8. Floor 0.7 lets a third of them fall by 92 W: 0.307 kW.

    With four raised to 300 W in the call and the others fallen it would be more, and caps that the feeder does not carry.
    """
    feeders = (Feeder("root", None, 2.0),)
    firms = (firm(curve=saturated, value_per_gpu_h=1.0, floor_speed=0.7),)
    assert offered_kw(optimum, site((1.0,), (0.1,), firms=firms, feeders=feeders, reserves=(a_reserve(),))) == pytest.approx(
        [0.92 / 3]
    )


def test_a_rental_that_may_pause_falls_to_nothing(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    problem = site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0, pausable=True),), reserves=(a_reserve(),))
    assert held_kw(planned(problem)) == pytest.approx([3.0], abs=0.02)


def test_an_operators_cap_is_not_sold(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    firms = (firm(value_per_gpu_h=1.0, cap_w=(300.0,)),)
    assert held_kw(planned(site((1.0,), (0.1,), firms=firms, reserves=(a_reserve(),)))) == [0.0]


def test_what_was_sold_is_held_though_it_costs(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Worth nothing, the rental would run at 100 W. 1 kW sold keeps it at 200 W: 2 * 0.1, less what holding pays."""
    problem = site((1.0,), (0.1,), firms=(firm(),), reserves=(a_reserve(committed_kw=1.0),))
    assert optimum(problem).objective == pytest.approx(0.2 - 0.01)
    plan = planned(problem)
    assert plan.status == "optimal"
    assert held_kw(plan)[0] >= 1.0


def test_what_was_sold_and_cannot_be_held_is_a_breach(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """All ten at 300 W hold 2 kW of 2.5: 3 * 0.1 + 0.5 * 500 - 2 * 0.01."""
    problem = site((1.0,), (0.1,), firms=(firm(),), reserves=(a_reserve(committed_kw=2.5),))
    assert optimum(problem).objective == pytest.approx(0.3 + 250 - 0.02)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["short_reserve_kw"][0, 0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("deadline_h", "kw"), [(3.0, 2.0), (2.5, 0.0)])
def test_a_job_is_dropped_only_where_it_has_time(
    site: Any, job: Any, planned: Callable[[Problem], Plan], deadline_h: float, kw: float
) -> None:
    """8 GPU h in the cheap first hour at 2 kW. A call in it may end at 2 h: then an hour is enough for ten GPUs, half an hour is not."""
    problem = site((1.0, 1.0, 1.0), (0.1, 0.3, 0.3), jobs=(job(8.0, deadline_h),), reserves=(a_reserve("up", 3),))
    assert held_kw(planned(problem)) == pytest.approx([kw, 0.0, 0.0], abs=0.02)


def test_one_kw_is_sold_once_and_to_who_pays_more(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    reserves = (a_reserve(id="slow", duration_h=4.0), a_reserve(id="fast", price=0.02, most_kw=1.5))
    plan = planned(site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0),), reserves=reserves))
    assert plan.account.reserve_kw[:, 0].tolist() == pytest.approx([0.5, 1.5], abs=0.02)


@pytest.mark.parametrize(("start_kwh", "kw"), [(1.0, 0.8), (3.0, 2.0)])
def test_a_battery_gives_what_it_can_as_long_as_it_must(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any, start_kwh: float, kw: float
) -> None:
    """1 kWh gives 0.8 kW for an hour; 3 kWh would give 2.4, and 2 kW is the most."""
    problem = stored(site, "up", start_kwh=start_kwh)
    assert offered_kw(optimum, problem) == pytest.approx([kw])
    assert held_kw(planned(problem)) == pytest.approx([kw])


def test_a_longer_call_takes_more_energy(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """A call of 2 h from either hour takes 2 / 0.8 kWh a kW: 2 kWh hold 0.8 kW, in both hours."""
    assert held_kw(planned(stored(site, "up", 2, 2.0, start_kwh=2.0))) == pytest.approx([0.8, 0.8])


def test_a_call_may_last_into_steps_in_which_the_battery_is_emptier(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Full at 4 kWh, and full again at the end: 1.6 kWh go in in the last hour, 1.28 kW come out in the dear second one.

    The 2.4 kWh left then hold 1.92 kW in the first hour too, not 2 kW; in the second, 2 - 1.28 kW.
    """
    problem = stored(site, "up", 3, 1.0, start_kwh=4.0)
    problem = replace(problem, grid=replace(problem.grid, price_per_kwh=(0.1, 9.0, 0.1)))
    assert offered_kw(optimum, problem)[:2] == pytest.approx([1.92, 0.72])
    assert held_kw(planned(problem))[:2] == pytest.approx([1.92, 0.72])


@pytest.mark.parametrize(("start_kwh", "kw"), [(3.0, 0.8), (1.0, 2.0)])
def test_a_battery_takes_what_it_can_as_long_as_it_must(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any, start_kwh: float, kw: float
) -> None:
    """1 kWh of room is counted for 0.8 kW for an hour, for what is not given is kept whole; 3 kWh for 2.4, and 2 kW is the most."""
    problem = stored(site, "down", start_kwh=start_kwh)
    assert offered_kw(optimum, problem) == pytest.approx([kw])
    assert held_kw(planned(problem)) == pytest.approx([kw])


@pytest.mark.parametrize(
    ("price", "kw"), [((0.1, 0.15, 0.2, 9.0), [2.0, 3.125]), ((0.2, 0.1, 0.15, 9.0), [0.0, 2.0])], ids=["now", "later"]
)
def test_a_call_may_come_before_the_battery_is_charged(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any, price: tuple[float, ...], kw: list[float]
) -> None:
    """Empty, and 2.5 kWh are to be there for the dear last hour: 2 kW charge it in the cheapest hour, 1.125 kW in the next.

    A call of a quarter of an hour may come as the first of them begins: not charging is all there is. In the one after it, 1.6 kWh
    are there to give besides.
    """
    problem = replace(stored(site, "up", 4, 0.25, start_kwh=0.0), grid=GridConnection((1000.0,) * 4, price))
    assert offered_kw(optimum, problem)[:2] == pytest.approx(kw)
    assert held_kw(planned(problem))[:2] == pytest.approx(kw)


@pytest.mark.parametrize(
    ("price", "kw"), [((9.0, 8.0, 7.0, 0.1, 0.1), [2.0, 2.56]), ((7.0, 9.0, 8.0, 0.1, 0.1), [0.0, 2.0])], ids=["now", "later"]
)
def test_a_call_may_come_before_the_battery_is_discharged(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any, price: tuple[float, ...], kw: list[float]
) -> None:
    """Full, and full again at the end: 2.56 kWh come out in the dear hours, 2 kW in the dearest and 0.56 kW in the next.

    A call as the first of them begins: not giving is all there is. In the one after it there is room to charge besides.
    """
    problem = replace(stored(site, "down", 5, 0.25, start_kwh=4.0), grid=GridConnection((1000.0,) * 5, price))
    assert offered_kw(optimum, problem)[:2] == pytest.approx(kw)
    assert held_kw(planned(problem))[:2] == pytest.approx(kw)


@pytest.mark.parametrize(
    ("terms", "kw"),
    [
        ({}, 2.0),
        ({"limit_kw": 2.5}, 1.5),
        ({"event_target_kw": (2.0,)}, 1.0),
        ({"limit_kw": 2.5, "halls": (Hall("hall", "root", more_base_kw=(0.5,)),)}, 1.0),
        ({"feeders": (Feeder("root", None, 2.2, worst_case_margin=2.0),)}, 1.2),
        ({"feeders": (Feeder("root", None, 2.6, loss_share=0.3, worst_case_margin=2.0),)}, 1.0),
    ],
    ids=["free", "limit", "event", "pessimistic base", "rating", "losses"],
)
def test_a_rental_rises_as_far_as_every_limit_lets_it(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], terms: dict[str, Any], kw: float
) -> None:
    """Ten GPUs at 100 W could rise to 300 W, by 2 kW, or to where 1 kW and the call fill what is there."""
    plan = planned(site((1.0,), (0.1,), firms=(firm(),), reserves=(a_reserve("down"),), **terms))
    assert held_kw(plan) == pytest.approx([kw], abs=0.02)


def test_a_rise_of_caps_must_fit_in_the_worst_case(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """GPUs that draw half their caps: 1 kW of caps, 2 kW allowed; half a kW of draw raises caps by one."""
    feeders = (Feeder("root", None, 2.0),)
    plan = planned(site((1.0,), (0.1,), firms=(firm(curve=HALF),), feeders=feeders, reserves=(a_reserve("down"),)))
    assert held_kw(plan) == pytest.approx([0.5], abs=0.02)


@pytest.mark.parametrize(("curve", "rating_kw", "kw"), [(None, 1.5, 0.5), (HALF, 1.6, 0.3)], ids=["expected", "worst"])
def test_a_rise_must_leave_what_the_loss_of_a_feeder_needs(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], curve: Curve | None, rating_kw: float, kw: float
) -> None:
    """Two feeders that back each other: without one, the other carries 1 kW and the call, or at worst 1 kW of caps and twice the call."""
    margin = 2.0 if curve is None else 1.0
    feeders = (
        Feeder("root", None, 1000.0),
        Feeder("a", "root", rating_kw, worst_case_margin=margin),
        Feeder("b", "root", rating_kw, worst_case_margin=margin),
    )
    pools = (replace(site((1.0,), (0.1,)).pools[0], feeder="a"),)
    firms = (firm() if curve is None else firm(curve=curve),)
    group = (Redundancy("pair", ("a", "b")),)
    problem = site((1.0,), (0.1,), firms=firms, pools=pools, feeders=feeders, redundancies=group, reserves=(a_reserve("down"),))
    problem = replace(problem, feeders=(feeders[0], replace(feeders[1], rating_kw=100.0), feeders[2]))
    assert held_kw(planned(problem)) == pytest.approx([kw], abs=0.02)


def test_a_rise_must_fit_through_each_feed(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Ten GPUs at 100 W behind a feed of 1.4 kW could rise by 2 kW, and may by 0.4."""
    feeders, feeds = (Feeder("root", None, 1000.0), Feeder("other", None, 1000.0)), (Feed("n", "root", 1.4), Feed("s", "other", 9.0))
    problem = site((1.0,), (0.1,), firms=(firm(),), feeders=feeders, feeds=feeds, reserves=(a_reserve("down"),))
    assert held_kw(planned(problem)) == pytest.approx([0.4], abs=0.02)


def test_a_battery_that_must_ride_through_holds_no_power_to_give(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Of 4 kWh 2 could go within the call; what carries the load for a minute may not be sold with them."""
    free = stored(site, "up", start_kwh=4.0)
    bound = replace(free, batteries=(replace(free.batteries[0], ride_through_h=1 / 60),))
    assert offered_kw(optimum, free)[0] > 1.0
    assert offered_kw(optimum, bound) == [pytest.approx(0.0)]
    assert held_kw(planned(bound)) == [pytest.approx(0.0)]


def test_a_rise_must_be_cooled(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """1 kW in a hall as warm as the outside, a plant that removes 1.75 kW: 0.75 kW may come."""
    zone = Hall("hall", "root", cooling_plant="plant", start_c=25.0, resistance_k_per_kw=1.0, heat_capacity_kwh_per_k=1.0)
    plant = CoolingPlant("plant", "root", Chiller(100, 1.75, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0))
    reserves = (a_reserve("down"),)
    plan = planned(
        site((1.0,), (0.1,), outdoor_c=25.0, firms=(firm(),), halls=(zone,), cooling_plants=(plant,), reserves=reserves)
    )
    assert held_kw(plan) == pytest.approx([0.75], abs=0.02)


def test_a_job_is_not_expected_to_rise(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    assert held_kw(planned(site((1.0,), (0.1,), jobs=(job(8.0, 1.0),), reserves=(a_reserve("down"),)))) == [0.0]


def test_golden_rows(site: Any, firm: Any, job: Any, golden: Any) -> None:
    zone = Hall("hall", "root", cooling_plant="plant", start_c=25.0)
    battery = Battery("battery", "root", 4.0, 2.0, 2.0, 0.8, 0.5, 1.0)
    problem = site(
        (1.0, 0.5),
        (0.1, 0.2),
        event_target_kw=(None, 2.0),
        firms=(firm(gpus=4, floor_speed=0.8),),
        jobs=(job(2.0, 9.0, gpus=6),),
        halls=(zone,),
        cooling_plants=(CoolingPlant("plant", "root", Chiller(100, 10, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)),),
        batteries=(battery,),
        feeders=(Feeder("root", None, 100.0, 0.1), Feeder("a", "root", 5.0), Feeder("b", "root", 5.0)),
        feeds=(Feed("north", "root", 50.0),),
        redundancies=(Redundancy("pair", ("a", "b")),),
        reserves=(a_reserve("up", 2, committed_kw=1.0), a_reserve("down", 2)),
    )
    for room, names in {
        "reserve": ("keeps", "is_held"),
        "reserve_up": (
            "falls",
            "keeps_a_ladder",
            "stays_on",
            "still_serves",
            "pools_can_drop",
            "batteries_can_give",
            "gives_as_long",
            "gives_now",
            "gives_later",
        ),
        "reserve_down": (
            "pools_can_rise",
            "batteries_can_take",
            "takes_as_long",
            "takes_now",
            "takes_later",
            "feeder_takes",
            "feeder_takes_worst",
            "feed_takes",
            "group_takes",
            "group_takes_worst",
            "grid_takes",
            "event_takes",
            "plant_takes",
        ),
    }.items():
        for name in names:
            golden(problem, f"{room}.{name}")
