"""Feeder: what passes, with losses; what could pass; what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.problem import Problem
from models.work.gpu import Curve

HALF = Curve((100.0, 200.0, 300.0), (50.0, 100.0, 150.0), (0.3, 0.8, 1.0))
"""Draws half of what its cap allows."""


def test_losses_are_bought_on_the_way(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """8 GPU h on ten GPUs at 200 W: 2 kW, 2.2 kW behind the row's losses of 10 %, 2.31 kW behind the root's 5 %. At 0.1."""
    feeders = (Feeder("row", "root", 1000.0, 0.1), Feeder("root", None, 1000.0, 0.05))
    pool = replace(site().pools[0], feeder="row")
    problem = site(jobs=(job(8.0),), feeders=feeders, pools=(pool,))
    account = planned(problem).account
    assert account.feeder_kw[:, 0].tolist() == pytest.approx([2.2, 2.31])
    assert account.objective == pytest.approx(0.231)


def test_the_sum_of_caps_is_kept_though_less_is_expected(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """A rental worth 1 a GPU h wants 300 W. 2.5 kW for ten GPUs leave 250 W: speed 0.9, 9 GPU h, and 1.25 kW are drawn.

    1.25 * 0.1 - 9 * 1 = -8.875. One kW more would be ten GPUs at 100 W more, though only 50 W more each are to be had.
    """
    problem = site((1.0,), (0.1,), firms=(firm(curve=HALF, value_per_gpu_h=1.0),), feeders=(Feeder("root", None, 2.5),))
    assert optimum(problem).objective == pytest.approx(-8.875)
    plan = planned(problem)
    assert plan.account.feeder_worst_kw[0, 0] <= 2.5
    assert plan.account.objective == pytest.approx(-8.875, abs=0.01)
    assert plan.marginal_prices["feeder[root].carries_worst"] == pytest.approx(2 - 0.1 * 0.5)


def test_a_margin_widens_what_the_worst_case_may_reach(site: Any, firm: Any, optimum: Any) -> None:
    """2.4 kW * 1.25 = 3 kW are enough for ten GPUs at 300 W: -10 + 0.1 * 1.5."""
    feeders = (Feeder("root", None, 2.4, worst_case_margin=1.25),)
    problem = site((1.0,), (0.1,), firms=(firm(curve=HALF, value_per_gpu_h=1.0),), feeders=feeders)
    assert optimum(problem).objective == pytest.approx(-9.85)


def test_a_rating_below_what_must_run_is_broken_by_exactly_the_difference(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Ten GPUs at their lowest cap are 1 kW; 0.4 kW are rated: 0.6 kW over, expected and in the worst case.

    1 * 0.1 + 10000 * (0.6 + 0.6) = 12000.1.
    """
    problem = site((1.0,), (0.1,), firms=(firm(),), feeders=(Feeder("root", None, 0.4),))
    assert optimum(problem).objective == pytest.approx(12000.1)
    account = planned(problem).account
    assert account.breach["over_rating_kw"][0, 0] == pytest.approx(0.6)
    assert account.breach["over_worst_kw"][0, 0] == pytest.approx(0.6)
    assert account.objective == pytest.approx(12000.1)


def test_base_load_counts_where_its_hall_hangs(site: Any, planned: Callable[[Problem], Plan]) -> None:
    feeders = (Feeder("root", None, 1000.0), Feeder("aux", "root", 1000.0, 0.5))
    account = planned(site((1.0,), (0.1,), feeders=feeders, halls=(Hall("hall", "aux", base_kw=2.0),), gpus=0.0)).account
    assert account.feeder_kw[:, 0].tolist() == pytest.approx([3.0, 3.0])


def test_a_tree_has_one_root_and_no_loop(site: Any) -> None:
    with pytest.raises(ValueError, match="one root"):
        site(feeders=(Feeder("root", None, 1.0), Feeder("other", None, 1.0)))
    looped = site(feeders=(Feeder("root", None, 1.0), Feeder("a", "b", 1.0), Feeder("b", "a", 1.0)))
    with pytest.raises(ValueError, match="loop"):
        looped.leaves_first()


def test_every_feeder_comes_before_its_parent(site: Any) -> None:
    tree = (Feeder("root", None, 1.0), Feeder("ups", "root", 1.0), Feeder("pdu", "ups", 1.0), Feeder("aux", "root", 1.0))
    order = [f.id for f in site(feeders=tree).leaves_first()]
    assert order.index("pdu") < order.index("ups") < order.index("root")
    assert order.index("aux") < order.index("root")


def returning(site: Any, price: tuple[float, ...], sold: tuple[float, ...], rating_kw: float, **terms: Any) -> Problem:
    """Hours of an empty battery of 4 kWh and 2 kW without losses on a row that loses 10 % of what passes, either way."""
    feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", rating_kw, loss_share=0.1))
    battery = Battery("battery", "row", 4.0, 2.0, 2.0, 1.0, 0.0, 0.0)
    assets = {"gpus": 0.0, "feeders": feeders, "batteries": (battery,), "export_limit_kw": 9.0, "export_price_per_kwh": sold}
    return site((1.0,) * len(price), price, **(assets | terms))


def test_what_flows_back_loses_on_the_way_too(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """2 kWh into the battery are 2.2 at the meter, 2 kWh out of it 1.8: 0.1 * 2.2 - 0.5 * 1.8 = -0.68."""
    problem = returning(site, (0.1, 0.6), (0.0, 0.5), 1000.0)
    assert optimum(problem).objective == pytest.approx(-0.68)
    account = planned(problem).account
    assert account.feeder_kw[1].tolist() == pytest.approx([2.2, -1.8], abs=1e-3)
    assert account.objective == pytest.approx(-0.68, abs=1e-3)


def test_a_rating_holds_for_what_flows_back(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """0.9 of what the battery gives is 1.1 kW at most: 1.1 / 0.9 kWh, bought in two hours. 0.11 * 1.1 / 0.9 - 0.5 * 1.1."""
    problem = returning(site, (0.1, 0.1, 0.6), (0.0, 0.0, 0.5), 1.1)
    assert optimum(problem).objective == pytest.approx(0.11 * 1.1 / 0.9 - 0.55)
    plan = planned(problem)
    assert plan.account.feeder_kw[1].min() == pytest.approx(-1.1, abs=1e-3)
    assert not plan.account.is_breached
    assert plan.marginal_prices["feeder[row].carries_back"] > 0


def test_more_than_the_rating_that_flows_back_is_a_breach_of_it(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """3 kW come on the row whatever we do and the battery takes 0.5: 2.5 * 0.9 = 2.25 kW against 2 kW. 10,000 * 0.25 - 0.1 * 2.25."""
    battery = Battery("battery", "row", 0.5, 0.5, 0.5, 1.0, 0.0, 0.0)
    problem = returning(site, (0.1,), (0.1,), 2.0, halls=(Hall("hall", "row", base_kw=-3.0),), batteries=(battery,))
    account = planned(problem).account
    assert account.breach["over_rating_kw"][1].tolist() == pytest.approx([0.25])
    assert account.objective == pytest.approx(2499.775)


def test_no_plan_burns_power_in_a_feeders_losses(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Paid for what it draws, the program draws and returns at once up to the rating; the plan draws 1 kW and fills 1 kWh.

    -0.2 * 1.1 * (1 + 1 + 1) = -0.66.
    """
    battery = Battery("battery", "row", 1.0, 2.0, 2.0, 1.0, 0.0, 0.0)
    problem = returning(site, (-0.2, -0.2), (-0.2, -0.2), 50.0, halls=(Hall("hall", "row", base_kw=1.0),), batteries=(battery,))
    assert optimum(problem).objective < -1.0
    assert planned(problem).account.objective == pytest.approx(-0.66)


def test_power_returns_only_above_what_can_give_it(site: Any) -> None:
    problem = returning(site, (0.1,), (0.1,), 9.0)
    aside = replace(problem, feeders=(*problem.feeders, Feeder("aside", "root", 1.0)))
    assert {f.id: aside.may_return(f) for f in aside.feeders} == {"root": True, "row": True, "aside": False}
    closed = replace(problem, grid=replace(problem.grid, export_limit_kw=0.0))
    assert not any(closed.may_return(f) for f in closed.feeders)


def test_golden_rows(site: Any, golden: Any) -> None:
    feeders = (Feeder("root", None, 5.0), Feeder("row", "root", 2.0, loss_share=0.02, worst_case_margin=0.9))
    pool = replace(site((1.0,), (0.1,)).pools[0], feeder="row")
    problem = site((1.0,), (0.1,), feeders=feeders, pools=(pool,), halls=(Hall("hall", "root", base_kw=1.0),))
    for name in ("sums", "sums_worst", "carries", "carries_worst"):
        golden(problem, f"feeder.{name}")
    for name in ("nets", "loses", "carries_back"):
        golden(returning(site, (0.1,), (0.1,), 2.0), f"feeder.{name}")
