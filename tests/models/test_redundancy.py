"""Redundancy: the loss of any one feeder of a group leaves the others able to carry it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.heat.hall import Hall
from models.plan import Plan
from models.power.feeder import Feeder
from models.power.redundancy import Redundancy, left_kw
from models.power.solar import Solar
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.room import Room
from models.work.gpu import Curve
from models.work.pool import Pool

HALF = Curve((100.0, 200.0, 300.0), (50.0, 100.0, 150.0), (0.3, 0.8, 1.0))
"""Draws half of what its cap allows."""


def two_feeders(site: Callable[..., Problem], a_kw: float, b_kw: float, margin: float = 1.0, **terms: Any) -> Problem:
    """An hour; ten GPUs under feeder `a` and ten under `b`, which back each other; everything else under the root."""
    feeders = (Feeder("root", None, 1000.0), Feeder("a", "root", a_kw, 0.0, margin), Feeder("b", "root", b_kw, 0.0, margin))
    pool = site((1.0,), (0.1,)).pools[0]
    pools = (replace(pool, feeder="a"), replace(pool, id="side", feeder="b"))
    default = {"feeders": feeders, "pools": pools, "redundancies": (Redundancy("ab", ("a", "b")),)}
    return site((1.0,), (0.1,), **(default | terms))


def test_the_loss_of_the_largest_leaves_the_least() -> None:
    """Of 3 * 0.5, 2 and 1 kW at worst the second is the largest, of the ratings alone the first."""
    feeders = (Feeder("a", None, 3.0, 0.0, 0.5), Feeder("b", None, 2.0), Feeder("c", None, 1.0), Feeder("d", None, 9.0))
    assert left_kw(Redundancy("abc", ("a", "b", "c")), feeders) == (3.0, 2.5)


def test_all_caps_fit_under_what_a_loss_leaves(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Without `a` 2.5 kW are left for twenty GPUs, 2 kW at their lowest caps: 0.5 kW lift the ten of the rental to 150 W.

    Speed 0.55, draw 75 W: 0.1 * 0.75 - 5.5 = -5.425. Each feeder by itself would carry 300 W.
    """
    problem = two_feeders(site, 4.0, 2.5, firms=(firm(curve=HALF, value_per_gpu_h=1.0),))
    assert optimum(problem).objective == pytest.approx(-5.425)
    assert optimum(replace(problem, redundancies=())).objective == pytest.approx(0.1 * 1.5 - 10)
    plan = planned(problem)
    assert plan.account.objective == pytest.approx(-5.425, abs=0.01)
    assert plan.status == "optimal"
    assert plan.marginal_prices["redundancy[ab].survives_worst"] == pytest.approx(5 - 0.1 * 0.5)


def test_what_is_expected_fits_under_the_ratings_that_a_loss_leaves(site: Any, firm: Any, planned: Any, optimum: Any) -> None:
    """The worst case may reach ten times the rating, the expected load 1.2 kW: ten GPUs at 120 W, speed 0.4: 0.12 - 4."""
    problem = two_feeders(site, 3.0, 1.2, margin=10.0, firms=(firm(value_per_gpu_h=1.0),))
    assert optimum(problem).objective == pytest.approx(-3.88)
    assert planned(problem).status == "optimal"


def test_a_group_too_small_is_broken_by_exactly_the_difference(site: Any, planned: Any, optimum: Any) -> None:
    """2 kW of base load under `a`; `b` alone is rated 0.5 kW: 1.5 kW over, expected and at worst. 0.1 * 2 + 10000 * 3."""
    problem = two_feeders(site, 3.0, 0.5, halls=(Hall("hall", "a", 2.0),), pools=())
    assert optimum(problem).objective == pytest.approx(30_000.2)
    account = planned(problem).account
    assert account.breach["over_n1_kw"][0, 0] == pytest.approx(1.5)
    assert account.breach["over_worst_n1_kw"][0, 0] == pytest.approx(1.5)
    assert account.breach["over_rating_kw"].sum() == 0.0
    assert account.objective == pytest.approx(30_000.2)


def sunny(site: Callable[..., Problem], b_kw: float) -> Problem:
    """An hour without load; 5 kW of sun under `a`, for which 0.1 a kWh is paid; `b`, which backs `a`, is rated `b_kw`."""
    free = two_feeders(site, 10.0, b_kw, solar=(Solar("roof", "a", (5.0,)),), pools=(), halls=())
    return replace(free, grid=replace(free.grid, export_limit_kw=100.0, export_price_per_kwh=(0.1,)))


def test_what_flows_back_fits_through_what_a_loss_leaves(site: Any, planned: Any, optimum: Any) -> None:
    """Of 5 kW 2 fit through `b` if `a` is lost: 2 kWh are given back, -0.2. A group of no feeders would give -0.5."""
    problem = sunny(site, 2.0)
    assert optimum(problem).objective == pytest.approx(-0.2)
    assert optimum(replace(problem, redundancies=())).objective == pytest.approx(-0.5)
    plan = planned(problem)
    assert plan.account.export_kw[0] == pytest.approx(2.0, rel=1e-4)
    assert not plan.account.is_breached


def test_what_must_flow_back_breaks_a_group_by_what_a_loss_does_not_leave(site: Any) -> None:
    """The site without control gives back 5 kW where `b` would take 2: 3 kW over, 10000 each for an hour."""
    told = account(sunny(site, 2.0), baseline(sunny(site, 2.0)))
    assert told.breach["over_n1_kw"].tolist() == [[3.0]]
    assert told.cost["over_n1_kw"] == pytest.approx(30_000)


def test_rounding_gives_back_no_more_than_the_group_has_left(site: Any) -> None:
    """At rest twenty GPUs take 2 of 2.5 kW at worst and nothing is drawn: 0.49 kW of caps fit, with 2 % to spare, no more."""
    problem = two_feeders(site, 4.0, 2.5)
    rest = Schedule(Groups.of([]), {}, {"hall": np.full(1, 24.0)})
    assert not Room(problem, rest).take("pool", 0, 0.0, 0.0, 0.5)
    room = Room(problem, rest)
    assert room.take("pool", 0, 0.0, 0.0, 0.4)
    assert not room.take("side", 0, 0.0, 0.0, 0.1)
    assert not Room(problem, rest).take("side", 0, 0.0, 2.5, 0.0)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_spare_feeder_without_load_is_as_good_as_a_rating_of_the_smaller(random_site: Any, planned: Any, optimum: Any, seed: int) -> None:
    """A group of a loaded feeder and an empty one, three quarters as large: without the first the second carries it alone."""
    free = random_site(seed)
    row = next(f for f in free.feeders if f.id == "row")
    smaller = replace(row, rating_kw=0.75 * row.rating_kw)
    spare = replace(smaller, id="spare")
    backed = replace(free, feeders=(*free.feeders, spare), redundancies=(Redundancy("pair", ("row", "spare")),))
    rated = replace(free, feeders=tuple(smaller if f is row else f for f in free.feeders))
    as_rated = optimum(rated)
    assert max(v.value for v in as_rated.model.feeder["row"].over_worst_kw.values()) <= 1e-6
    assert optimum(backed).objective == pytest.approx(as_rated.objective, rel=1e-7, abs=1e-6)
    breach = planned(backed).account.breach
    assert max(breach["over_n1_kw"].max(), breach["over_worst_n1_kw"].max()) <= 1e-6


def test_a_site_without_groups_has_neither_rows_nor_breaches_of_them(site: Any, planned: Any) -> None:
    account = planned(site()).account
    assert not any("n1" in kind for kind in (*account.breach, *account.cost))


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = two_feeders(site, 4.0, 2.5, margin=0.9, pools=(Pool("pool", "hall", "a", site().pools[0].host, 300.0, (10.0,)),))
    for name in ("survives", "survives_worst"):
        golden(problem, f"redundancy.{name}")
    golden(sunny(site, 2.0), "redundancy.survives_back")
