"""Firm workload: it runs now, at its floor or better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.problem import Problem
from models.work.gpu import Curve

Sent = Callable[[Plan, int, int], list[tuple[int, int, Any]]]


def test_speed_is_bought_while_it_is_worth_its_energy(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """From 100 to 200 W: 0.5 of speed for 0.1 kWh, worth 0.015 at 0.03 a GPU h; to 300 W: 0.006.

    At 0.1 a kWh (0.01) the first step pays, at 0.3 (0.03) none does: 0.1 * 2 + 0.3 * 1 - 0.03 * (8 + 3) = 0.17.
    """
    problem = site(firms=(firm(value_per_gpu_h=0.03),))
    assert optimum(problem).objective == pytest.approx(0.17)
    plan = planned(problem)
    assert (sent(plan, 0, 0), sent(plan, 0, 1)) == ([(10, 200, 1.0)], [(10, 100, 1.0)])
    assert plan.account.objective == pytest.approx(0.17)


def test_a_spot_rental_stands_idle_while_its_energy_costs_more_than_it_earns(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Worth 0.03 a GPU h, 0.025 at 200 W in the first hour, 0.075 in the second: 0.1 * 2 - 0.03 * 8, then nothing."""
    problem = site(firms=(firm(value_per_gpu_h=0.03, pausable=True),))
    assert optimum(problem).objective == pytest.approx(-0.04)
    assert planned(problem).account.running[0].tolist() == pytest.approx([10.0, 0.0])


def test_a_rental_keeps_all_its_gpus_and_one_that_may_pause_the_efficient_ones(site: Any, firm: Any, optimum: Any) -> None:
    """Speed 0.4 of ten GPUs is 4 GPU h: ten at 120 W, 1.2 kW; or five at 200 W, 1 kW."""
    price = {"hours": (1.0,), "price_per_kwh": (0.1,)}
    assert optimum(site(**price, firms=(firm(floor_speed=0.4),))).objective == pytest.approx(0.12)
    assert optimum(site(**price, firms=(firm(floor_speed=0.4, pausable=True),))).objective == pytest.approx(0.10)


def test_a_floor_out_of_reach_is_missed_by_exactly_the_rest(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """An operator's cap of 200 W leaves speed 0.8 of a promised 0.9: 1 GPU h short in the hour. 0.1 * 2 + 1 * 50 = 50.2."""
    problem = site((1.0,), (0.1,), firms=(firm(floor_speed=0.9, cap_w=(200.0,)),))
    assert optimum(problem).objective == pytest.approx(50.2)
    plan = planned(problem)
    assert sent(plan, 0, 0) == [(10, 200, 1.0)]
    assert plan.account.breach["short_gpu_h"].tolist() == [[pytest.approx(1.0)]]
    assert plan.account.objective == pytest.approx(50.2)


def test_held_by_order_it_is_short_of_all_it_was_promised(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Half speed of ten GPUs in the first of two hours: 5 GPU h."""
    account = planned(site(firms=(firm(floor_speed=0.5, order=("hold", None)),))).account
    assert account.running[0].tolist() == [0.0, 10.0]
    assert account.breach["short_gpu_h"][0].tolist() == pytest.approx([5.0, 0.0])


def test_rounding_to_watts_does_not_miss_a_floor(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """0.8765 is 238.25 W: of seven GPUs two, not one, get 239 W, for one would leave 0.0015 GPU h a step short.

    (0.1 + 0.3) * (2 * 0.239 + 5 * 0.238) = 0.6672.
    """
    plan = planned(site(firms=(firm(gpus=7, floor_speed=0.8765),)))
    assert plan.status == "optimal"
    assert np.all(plan.account.work_gpu_h[0] >= 0.8765 * 7)
    assert plan.account.objective == pytest.approx(0.6672)


def test_a_floor_that_is_no_whole_number_of_gpus_is_still_kept(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent
) -> None:
    """5.5 GPU h are 6.875 GPUs at 200 W: seven for 0.982 of the hour, not six."""
    plan = planned(site((1.0,), (0.1,), firms=(firm(floor_speed=0.55, pausable=True),)))
    assert sent(plan, 0, 0) == [(7, 200, pytest.approx(6.875 / 7))]
    assert plan.account.objective == pytest.approx(0.1 * 1.375)


def test_a_mixture_of_caps_survives_rounding(
    site: Any, firm: Any, saturated: Curve, planned: Callable[[Problem], Plan], sent: Sent
) -> None:
    """Where draws are scarce, points that draw alike are mixed: five GPUs at 300 W and five at 100 W, (98 + 195) / 2 W, speed 0.75.

    All ten at the cap of that mean draw would be at 152 W and speed 0.63.
    """
    plan = planned(site((1.0,), (0.1,), limit_kw=1.465 * 1.001, firms=(firm(curve=saturated, floor_speed=0.75),)))
    assert sent(plan, 0, 0) == [(5, 100, 1.0), (5, 300, 1.0)]
    assert not plan.account.is_breached


def test_a_service_runs_the_gpus_that_are_demanded_whole_and_no_others(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """Four, none and ten GPUs at their lowest cap: 0.1 * 0.4 + 0.3 * 0 + 0.2 * 1 = 0.24."""
    problem = site((1.0,) * 3, (0.1, 0.3, 0.2), firms=(firm(demand=(4, 0, 10)),))
    assert optimum(problem).objective == pytest.approx(0.24)
    plan = planned(problem)
    assert [sent(plan, 0, t) for t in range(3)] == [[(4, 100, 1.0)], [], [(10, 100, 1.0)]]
    assert plan.account.objective == pytest.approx(0.24)
    assert plan.status == "optimal"


def test_a_services_floor_is_of_the_gpus_that_are_demanded(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Speed 0.8 of five GPUs is five at 200 W: 0.1 * 1. Where a command holds them there, 0.9 of five is missed by 0.5 GPU h."""
    service = firm(floor_speed=0.8, demand=(5,))
    assert optimum(site((1.0,), (0.1,), firms=(service,))).objective == pytest.approx(0.1)
    short = site((1.0,), (0.1,), firms=(firm(floor_speed=0.9, demand=(5,), cap_w=(200.0,)),))
    assert optimum(short).objective == pytest.approx(0.1 + 25)
    account = planned(short).account
    assert account.breach["short_gpu_h"].tolist() == [[pytest.approx(0.5)]]
    assert account.objective == pytest.approx(25.1)


def test_a_service_that_may_pause_runs_at_most_what_is_demanded(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """Worth 1 a GPU h, it runs all that is wanted uncapped: 0.1 * 3 * 0.3 - 3, and floors of it round to whole GPUs."""
    problem = site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0, pausable=True, demand=(3,)),))
    assert optimum(problem).objective == pytest.approx(0.09 - 3)
    assert sent(planned(problem), 0, 0) == [(3, 300, 1.0)]
    part = site((1.0,), (0.1,), firms=(firm(floor_speed=0.5, pausable=True, demand=(5,)),))
    assert sent(planned(part), 0, 0) == [(4, 200, pytest.approx(3.125 / 4))]


def test_idle_gpus_of_a_service_are_kept_for_it_unless_it_releases_them(site: Any, firm: Any, job: Any, optimum: Any) -> None:
    """Six of its ten GPUs idle in the hour: 4.8 GPU h of a job are 240 of penalty, or six GPUs at 200 W, 0.12. It draws 0.04."""
    for elastic in (True, False):
        work = job(4.8, 1.0, gpus=6, elastic=elastic)
        kept, released = (site((1.0,), (0.1,), firms=(firm(demand=(4,), releases_idle=r),), jobs=(work,)) for r in (False, True))
        assert optimum(kept).objective == pytest.approx(240.04)
        assert optimum(released).objective == pytest.approx(0.16)


def test_golden_rows(site: Any, firm: Any, golden: Any) -> None:
    problem = site((0.5,), (0.1,), firms=(firm(floor_speed=0.8, value_per_gpu_h=2.0),))
    for name in ("runs", "serves"):
        golden(problem, f"firm.{name}")
