"""Feeds: several connections, each within its own limit, all together within the site's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.heat.hall import Hall
from models.plan import Plan
from models.power.feed import Feed
from models.power.feeder import Feeder
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.room import Room


def two_feeds(site: Callable[..., Problem], a_kw: float, b_kw: float, hours: int = 2, **terms: Any) -> Problem:
    """Hours; ten GPUs under the root `a` and ten under the root `b`, each on a feed of its own."""
    feeders = (Feeder("a", None, 1000.0), Feeder("b", None, 1000.0))
    pool = site((1.0,) * hours, (0.1, 0.3)[:hours]).pools[0]
    default = {
        "feeders": feeders,
        "halls": (Hall("hall", "a"),),
        "pools": (replace(pool, feeder="a"), replace(pool, id="side", feeder="b")),
        "feeds": (Feed("north", "a", a_kw), Feed("south", "b", b_kw)),
    }
    return site((1.0,) * hours, (0.1, 0.3)[:hours], **(default | terms))


def test_each_feed_keeps_its_limit_and_the_sum_is_paid(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Rentals of ten GPUs each, worth 1 a GPU h: 1.2 kW on the north let 120 W, speed 0.4; the south runs at 300 W and 1.

    0.1 * (1.2 + 3) - 4 - 10 in the first hour, 0.3 * 4.2 - 14 in the second.
    """
    rentals = (firm(value_per_gpu_h=1.0), firm(id="other", pool="side", value_per_gpu_h=1.0))
    problem = two_feeds(site, 1.2, 50.0, firms=rentals)
    assert optimum(problem).objective == pytest.approx(0.4 * 4.2 - 28)
    plan = planned(problem)
    assert plan.status == "optimal"
    assert plan.account.import_kw == pytest.approx([4.2, 4.2], abs=0.01)
    assert plan.account.feeder_kw[0].max() <= 1.2
    assert plan.marginal_prices["feed[north].limits"] == pytest.approx(2 * 5 - 0.4)


def test_the_limit_of_the_site_is_on_the_sum(site: Any, firm: Any, optimum: Any) -> None:
    """4 kW for twenty GPUs: 200 W and 0.8 each. 0.1 * 4 - 16 in the only hour."""
    rentals = (firm(value_per_gpu_h=1.0), firm(id="other", pool="side", value_per_gpu_h=1.0))
    assert optimum(two_feeds(site, 50.0, 50.0, 1, firms=rentals, limit_kw=4.0)).objective == pytest.approx(-15.6)


def test_a_feed_too_small_is_broken_by_exactly_the_difference(site: Any, planned: Any, optimum: Any) -> None:
    """2 kW of base load on 1.5 kW, twice: 0.4 * 2 + 1000 * 2 * 0.5, and the site's own limit is kept."""
    problem = two_feeds(site, 1.5, 9.0, halls=(Hall("hall", "a", 2.0),))
    assert optimum(problem).objective == pytest.approx(1000.8)
    account = planned(problem).account
    assert account.breach["over_feed_kw"].sum(axis=1).tolist() == pytest.approx([1.0, 0.0])
    assert account.breach["over_limit_kw"].sum() == 0.0
    assert account.objective == pytest.approx(1000.8)


def test_rounding_gives_back_no_more_than_a_feed_has_left(site: Any) -> None:
    problem = two_feeds(site, 1.0, 9.0)
    rest = Schedule(Groups.of([]), {}, {"hall": np.full(2, 24.0)})
    assert Room(problem, rest).take("pool", 0, 1.0, 0.98, 0.0)
    assert not Room(problem, rest).take("pool", 0, 1.0, 0.99, 0.0)
    assert Room(problem, rest).take("side", 0, 1.0, 0.99, 0.0)


def test_several_roots_need_a_feed_each(site: Any) -> None:
    with pytest.raises(ValueError, match="one for each feed"):
        two_feeds(site, 1.0, 1.0, feeds=(Feed("north", "a", 1.0),))


def test_a_site_without_feeds_has_neither_rows_nor_breaches_of_them(site: Any, planned: Any) -> None:
    account = planned(site()).account
    assert not any("feed_" in kind for kind in (*account.breach, *account.cost))


def test_golden_rows(site: Any, golden: Any) -> None:
    golden(two_feeds(site, 1.2, 5.0), "feed.limits")
