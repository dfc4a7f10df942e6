"""Solar: free power, taken as far as it helps, flowing up the tree with losses either way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.heat.hall import Hall
from models.plan import Plan
from models.power.feeder import Feeder
from models.power.solar import Solar
from models.problem import Problem


def with_solar(site: Callable[..., Problem], price: tuple[float, ...], available: tuple[float, ...], **terms: Any) -> Problem:
    """Hours of 2 kW of base load at the root, and a plant under `row`, which has nothing else."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 1000.0))
    default = {"feeders": feeders, "halls": (Hall("hall", "root", base_kw=2.0),), "solar": (Solar("roof", "row", available),)}
    return site((1.0,) * len(price), price, gpus=0.0, **(default | terms))


def given_kw(plan: Plan) -> list[float]:
    return [float(kw) for kw in plan.schedule.given_kw["roof"]]


def test_what_the_sky_gives_is_not_bought_and_what_nobody_needs_is_curtailed(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """0.5 of 2 kW come for nothing in the first hour, all 2 of 3 in the second: 0.1 * 1.5. They flow back through the row."""
    problem = with_solar(site, (0.1, 0.3), (0.5, 3.0))
    assert optimum(problem).objective == pytest.approx(0.15)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([0.5, 2.0])
    assert plan.account.feeder_kw[1].tolist() == pytest.approx([-0.5, -2.0])
    assert plan.account.objective == pytest.approx(0.15)
    assert plan.account.import_kw.tolist() == pytest.approx([1.5, 0.0])
    assert plan.baseline.import_kw.tolist() == pytest.approx([1.5, 0.0])


def test_paid_to_draw_a_site_takes_nothing_from_the_sky(site: Any, planned: Any) -> None:
    """At -0.1 every kWh from the grid earns: 2 kW of it, none of the sun's."""
    plan = planned(with_solar(site, (-0.1,), (1.0,)))
    assert given_kw(plan) == pytest.approx([0.0])
    assert plan.account.objective == pytest.approx(-0.2)


def test_what_flows_back_up_is_lost_on_the_way_too(site: Any, planned: Any, optimum: Any) -> None:
    """Of 1 kW 0.9 reach the root through a row that loses 10 %: 0.3 * 1.1."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 1000.0, 0.1))
    problem = with_solar(site, (0.3,), (1.0,), feeders=feeders)
    assert optimum(problem).objective == pytest.approx(0.33)
    plan = planned(problem)
    assert plan.account.feeder_kw[:, 0].tolist() == pytest.approx([1.1, -0.9])
    assert plan.account.objective == pytest.approx(0.33)


def test_losses_are_paid_downwards_where_the_row_needs_more_than_the_sky_gives(site: Any, planned: Any, optimum: Any) -> None:
    """2 kW under the row less 1 of the sun are 1, bought as 1.1: 0.3 * 1.1."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 1000.0, 0.1))
    problem = with_solar(site, (0.3,), (1.0,), feeders=feeders, halls=(Hall("hall", "row", base_kw=2.0),))
    assert optimum(problem).objective == pytest.approx(0.33)
    assert planned(problem).account.objective == pytest.approx(0.33)


def test_no_plan_sends_power_both_ways_through_a_feeder(site: Any, planned: Any, optimum: Any) -> None:
    """Paid to draw, the program would lose power down and up at once, without end; a plan draws what there is, 2.2 kW."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 1000.0, 0.1))
    problem = with_solar(site, (-0.1,), (1.0,), feeders=feeders, halls=(Hall("hall", "row", base_kw=2.0),))
    assert optimum(problem).objective < -1.0
    assert planned(problem).account.objective == pytest.approx(-0.22)


def test_no_more_flows_back_than_the_feeder_is_rated(site: Any, planned: Any, optimum: Any) -> None:
    """The row is rated 0.5 kW: of 1 kW half is curtailed. 0.3 * 1.5."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", 0.5))
    problem = with_solar(site, (0.3,), (1.0,), feeders=feeders)
    assert optimum(problem).objective == pytest.approx(0.45)
    plan = planned(problem)
    assert given_kw(plan) == pytest.approx([0.5], abs=1e-4)
    assert plan.account.breach["over_rating_kw"].sum() == 0.0


def test_the_sun_never_lowers_the_worst_case(site: Any, firm: Any, optimum: Any) -> None:
    """2 kW of caps under a root of 2 kW, though 5 are given beside: speed 0.8 and not 1."""
    feeders, halls = (Feeder("root", None, 2.0),), (Hall("hall", "root"),)
    problem = site((1.0,), (0.1,), firms=(firm(value_per_gpu_h=1.0),), feeders=feeders, halls=halls, solar=(Solar("roof", "root", (5.0,)),))
    assert optimum(problem).objective == pytest.approx(-8.0)


@pytest.mark.parametrize("seed", range(10))
def test_the_account_agrees_with_the_program(random_site: Any, planned: Any, seed: int) -> None:
    """Prices above zero, so that the program itself sends no power both ways."""
    free = random_site(seed, lowest_price=0.01)
    rng = np.random.default_rng((seed, 3))
    available = tuple(np.round(rng.uniform(0, 3, len(free.horizon)), 2).tolist())
    feeders = tuple(replace(f, loss_share=0.04) if f.id == "row" else f for f in free.feeders)
    plan = planned(replace(free, feeders=feeders, solar=(Solar("roof", "row", available),)))
    assert plan.account.objective == pytest.approx(plan.record.bound, rel=2e-3, abs=0.05) or plan.status != "optimal"
    assert (plan.account.given_kw["roof"] <= np.array(available) + 1e-9).all()
