"""Remedy: what more of a limit would have saved is what the optimum with so much more of it costs less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.telling.remedy import WhatIf, later_deadline


@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_the_saving_is_that_of_exactly_so_much_more(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed)
    what_if = WhatIf(problem, 10.0)
    for limit in what_if.marginal:
        if limit.family != "grid.limits":
            continue
        found = what_if.without(limit, range(len(problem.horizon)))
        assert found is not None
        raised = [kw + found.more * (found.first <= t <= found.last) for t, kw in enumerate(problem.grid.limit_kw)]
        better = optimum(replace(problem, grid=replace(problem.grid, limit_kw=tuple(raised)))).objective
        prices = {"plant_kwh": 10_000.0, "grid_limit_kwh": 1_000.0, "grid_event_kwh": 500.0}
        saved = found.saved + sum(prices[tier] * less for tier, less in found.eased.items() if tier in prices)
        cost = optimum(problem).objective
        assert saved == pytest.approx(cost - better, rel=1e-6, abs=1e-6 * max(1.0, abs(cost)))


def test_after_a_question_the_limit_holds_again(random_site: Any) -> None:
    what_if = WhatIf(problem := random_site(2), 10.0)
    before = what_if.marginal
    first, second = ([what_if.without(limit, range(len(problem.horizon))) for limit in before] for _ in range(2))
    assert [f and f.saved for f in first] == pytest.approx([s and s.saved for s in second])


def test_power_for_the_work_of_the_cheap_hour(site: Any, job: Any) -> None:
    """8 GPU h at 200 W are 2 kW; 1 kW is allowed in the cheap hour. 1 kW more, double, moves 1 kWh from 0.3 to 0.1."""
    what_if = WhatIf(site(limit_kw=(1.0, 9.0), jobs=(job(8.0, elastic=True),)), 10.0)
    (limit,) = what_if.marginal
    found = what_if.without(limit, range(2))
    assert found is not None
    assert (found.family, found.first, found.last) == ("grid.limits", 0, 0)
    assert (found.more, found.share, found.saved) == pytest.approx((1.0, 1.0, 0.2))
    assert found.running.tolist() == [pytest.approx([10.0, 0.0])]
    assert found.eased == {}
    assert what_if.without(limit, range(1, 2)) is None


def test_a_penalty_is_money_and_the_price_of_what_breaks_the_grid_is_none(site: Any, job: Any, firm: Any) -> None:
    """Ten GPUs must draw 1 kW where 0.4 are allowed: 0.6 kWh over for an hour, and no money but that of nothing."""
    over = WhatIf(site((1.0,), (0.1,), limit_kw=0.4, firms=(firm(),)), 10.0)
    found = over.without(over.marginal[0], range(1))
    assert found is not None
    assert (found.more, found.saved) == pytest.approx((0.6, 0.0))
    assert found.eased == {"grid_limit_kwh": pytest.approx(0.6)}
    late = WhatIf(site((1.0,), (0.1,), limit_kw=1.0, jobs=(job(8.0, 1.0, elastic=True),)), 10.0)
    found = late.without(late.marginal[0], range(1))
    assert found is not None
    assert found.eased == {"contract_gpu_h": pytest.approx(4.0)}
    assert found.saved == pytest.approx(4 * 50 - 0.1)


def test_an_hour_more_of_a_deadline_saves_the_penalty(site: Any, job: Any) -> None:
    """The other 4 GPU h are done in the second hour, at 0.075 each."""
    problem = site(limit_kw=1.0, jobs=(job(8.0, 1.0, elastic=True),))
    assert later_deadline(problem, 0, 1.0, 10.0) == pytest.approx(4 * (50 - 0.075))
