"""Liquid loop: the chips' heat that never reaches the air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.problem import Problem
from models.work.pool import Pool

AIR = CoolingPlant("air", "root", Chiller(10, 10, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0))
"""Draws a fifth of the heat that it removes."""
CURVED = Chiller(4, 4, 5, 0, 5, 0, -99, -98, 0.4, 0.25, 0, 0, 0.1)
"""A fifth of the heat, pumps of 0.4 kW at 4 kW of heat that fall with its square, 0.1 kW always."""


def looped(site: Callable[..., Problem], firm: Any, price: float = 0.1, chiller: Chiller | None = None, **terms: Any) -> Problem:
    """An hour of ten GPUs at up to 300 W, 80 % of it to water, 20 % to a hall at 25 degC, as outside, that must end no hotter."""
    wet = CoolingPlant("wet", "root", chiller or Chiller(10, 10, 20, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0))
    zone = Hall("hall", "root", cooling_plant="air", liquid_plant="wet", start_c=25.0, recommended_min_c=25.0)
    bare = site((1.0,), (price,))
    pools = (replace(bare.pools[0], liquid_share=0.8),)
    return site(
        (1.0,), (price,), outdoor_c=25.0, halls=(zone,), pools=pools, cooling_plants=(AIR, wet), firms=(firm(**terms),)
    )


def test_water_takes_its_share_and_the_air_the_rest(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Of 3 kW the loop takes 2.4 at COP 20 and the air 0.6 at COP 5: 0.12 + 0.12 kW, 0.324 in all."""
    problem = looped(site, firm, floor_speed=1.0)
    best = optimum(problem)
    assert best.model.liquid_loop["hall"].removed_kw[0].value == pytest.approx(2.4)
    assert best.model.cooling_plant["air"].heat_kw[0].value == pytest.approx(0.6)
    assert best.objective == pytest.approx(0.324)
    account = planned(problem).account
    assert account.heat_kw[:, 0].tolist() == pytest.approx([0.6, 2.4])
    assert account.cooling_kw[:, 0].tolist() == pytest.approx([0.12, 0.12])
    assert account.objective == pytest.approx(0.324)


@pytest.mark.parametrize("price", [0.1, -0.1])
def test_a_plant_of_water_draws_what_its_curve_says_at_any_price(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], price: float
) -> None:
    """2.4 of 4 kW: 0.48 + 0.4 * 0.36 + 0.1 = 0.724 kW, at a negative price too, where its chord would let 0.8 be burnt."""
    account = planned(looped(site, firm, price, CURVED, floor_speed=1.0)).account
    assert account.cooling_kw[:, 0].tolist() == pytest.approx([0.12, 0.724])
    assert account.objective == pytest.approx(price * (3 + 0.12 + 0.724))


def test_a_contract_goes_before_a_chip_is_left_uncooled(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """A loop of 2 kW carries 2.5 kW of GPUs: 250 W each, at 0.9 of full speed, which leaves 1 GPU h of the contract undone."""
    small = Chiller(2, 2, 20, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)
    problem = looped(site, firm, chiller=small, floor_speed=1.0, short_price_per_gpu_h=50.0)
    best = optimum(problem).model
    assert best.firm.short_gpu_h[0, 0].value == pytest.approx(1.0)
    assert best.liquid_loop["hall"].uncooled_kw[0].value == pytest.approx(0.0)
    plan = planned(problem)
    assert plan.account.breach["uncooled_kw"].max() == 0.0
    assert plan.account.breach["short_gpu_h"][0, 0] == pytest.approx(1.0, abs=0.01)


def test_chips_that_draw_their_least_and_more_than_the_loop_carries_are_left_uncooled(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """At 100 W each ten GPUs give 0.8 kW to a loop of 0.5 kW: 0.3 kW stay in the chips, at 10,000 a kWh."""
    tiny = Chiller(0.5, 0.5, 20, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)
    problem = looped(site, firm, chiller=tiny)
    best = optimum(problem)
    assert best.model.liquid_loop["hall"].uncooled_kw[0].value == pytest.approx(0.3)
    assert best.objective == pytest.approx(3000 + 0.1 * (1 + 0.2 / 5 + 0.5 / 20))
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["uncooled_kw"][0, 0] == pytest.approx(0.3)
    assert plan.account.objective == pytest.approx(best.objective, rel=1e-4)


def test_a_pool_with_a_liquid_share_needs_a_loop(site: Any) -> None:
    bare = site()
    with pytest.raises(ValueError, match="needs a hall with a liquid plant"):
        site(pools=(replace(bare.pools[0], liquid_share=0.5),))


@pytest.mark.parametrize("seed", range(12))
def test_rounding_leaves_no_chip_uncooled(
    random_site: Callable[..., Problem], planned: Callable[[Problem], Plan], optimum: Any, seed: int
) -> None:
    """Random sites with a loop for GPUs at about 200 W: it binds, and what is sent never breaks it more than the program does."""
    problem = random_site(seed, cooled=True)

    def liquid_kw(pool: Pool) -> float:
        return pool.liquid_share * max(pool.available) * (pool.host.lowest_worst_w + pool.host.min_cap_w) / 1000

    pools = tuple(replace(p, liquid_share=share) for p, share in zip(problem.pools, (0.75, 0.5), strict=True))
    most_kw = sum(liquid_kw(p) for p in pools)
    wet = replace(CURVED, design_heat_kw=most_kw, max_heat_kw=most_kw, pump_kw=most_kw / 20)
    hall = replace(problem.halls[0], liquid_plant="wet")
    problem = replace(problem, halls=(hall,), pools=pools, cooling_plants=(*problem.cooling_plants, CoolingPlant("wet", "root", wet)))
    slack = optimum(problem).model.liquid_loop["hall"].uncooled_kw
    uncooled_kw = np.array([v.value for v in slack.values()])
    assert planned(problem).account.breach["uncooled_kw"].sum() <= uncooled_kw.sum() + 1e-6


def test_golden_rows(site: Any, firm: Any, golden: Any) -> None:
    golden(looped(site, firm), "liquid_loop.takes_heat")
