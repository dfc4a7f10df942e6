"""Marginal: a price lies between what a little less of its limit would have cost and a little more would have saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.breach import FAMILIES
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.problem import Problem
from models.telling.marginal import ALSO, LIMITS, PROMISES, Marginal, marginal_prices
from models.work.gpu import Curve

GOLDEN = Path(__file__).parent / "golden"
BLOCKS = {"grid_connection": "grid"}
MORE = 1e-3


def more_of_grid(field: str) -> Callable[[Problem, Any, float], Problem]:
    def more(problem: Problem, _: Any, by: float) -> Problem:
        old = getattr(problem.grid, field)
        new = old + by if isinstance(old, float) else tuple(None if kw is None else kw + by for kw in old)
        return replace(problem, grid=replace(problem.grid, **{field: new}))

    return more


def more_of(assets: str, field: str, of: float = 1.0) -> Callable[[Problem, Any, float], Problem]:
    def more(problem: Problem, asset: Any, by: float) -> Problem:
        changed = [
            replace(x, **{field: np.add(getattr(x, field), of * by).tolist()}) if x.id == asset else x for x in getattr(problem, assets)
        ]
        return replace(problem, **{assets: tuple(changed)})

    return more


MORE_OF = {
    "grid.limits": more_of_grid("limit_kw"),
    "grid.event": more_of_grid("event_target_kw"),
    "grid.ramps": more_of_grid("ramp_kw_per_h"),
    "feeder.ratings": more_of("feeders", "rating_kw"),
    "hall.recommended_min": more_of("halls", "recommended_min_c", -1),
    "hall.recommended_max": more_of("halls", "recommended_max_c"),
    "hall.allowable_max": more_of("halls", "allowable_max_c"),
    "battery.stored_kwh": more_of("batteries", "capacity_kwh"),
    "firm.serves": more_of("firms", "floor_speed", -0.01),
}
TOGETHER = {"grid.rises": "grid.ramps", "grid.falls": "grid.ramps", "feeder.carries": "feeder.ratings", "feeder.carries_worst": "feeder.ratings"}
"""Two families whose limit is one key of the site file: what more of it saves is the sum of both."""


def by_key(prices: tuple[Marginal, ...]) -> dict[tuple[str, Any], float]:
    found: dict[tuple[str, Any], float] = {}
    for price in prices:
        key = TOGETHER.get(price.family, price.family), price.asset
        found[key] = found.get(key, 0.0) + price.total
    return found


@pytest.mark.parametrize("seed", range(50))
def test_a_price_lies_between_the_differences_of_the_optimum_on_both_sides(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed)
    if seed % 3 == 0:
        problem = replace(problem, grid=replace(problem.grid, ramp_kw_per_h=0.1 * sum(p.available[0] for p in problem.pools)))
    here = optimum(problem)
    prices = by_key(marginal_prices(problem, here.session, here.solved))
    rng = np.random.default_rng(seed)
    known = [key for key in prices if key[0] in MORE_OF]
    for family, asset in rng.permutation(np.array(known, dtype=object))[:1].tolist() if known else []:
        saved = here.objective - optimum(MORE_OF[family](problem, asset, MORE)).objective
        cost = optimum(MORE_OF[family](problem, asset, -MORE)).objective - here.objective
        price = MORE * prices[family, asset]
        near = 1e-8 * max(1.0, abs(here.objective))
        assert saved * 0.99 - near <= price <= cost * 1.01 + near, (family, asset)


@pytest.mark.parametrize("seed", range(10))
def test_a_limit_without_a_price_saves_nothing(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed)
    here = optimum(problem)
    prices = by_key(marginal_prices(problem, here.session, here.solved))
    free = [("feeder.ratings", f.id) for f in problem.feeders] + [("grid.limits", None)]
    for family, asset in free:
        if (family, asset) not in prices:
            assert optimum(MORE_OF[family](problem, asset, MORE)).objective == pytest.approx(here.objective, rel=1e-8)
            return


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_every_row_that_binds_is_priced_in_its_own_step(random_site: Any, optimum: Any, seed: int) -> None:
    problem = random_site(seed)
    here = optimum(problem)
    for price in marginal_prices(problem, here.session, here.solved):
        if price.family == "grid.limits":
            t = int(price.saved.argmax())
            step = np.where(np.arange(len(problem.horizon)) == t, MORE, 0.0)
            more, less = (
                optimum(replace(problem, grid=replace(problem.grid, limit_kw=tuple(problem.grid.limit_kw + sign * step)))).objective
                for sign in (1, -1)
            )
            near = 1e-8 * max(1.0, abs(here.objective))
            assert here.objective - more - near <= MORE * price.saved[t] <= less - here.objective + near


def only(plan: Plan) -> Marginal:
    (price,) = plan.marginal
    return price


def test_a_kilowatt_more_of_a_margin_counts_as_the_rating_it_is_a_margin_of(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """GPUs that draw half their cap. 2.5 kW of caps for 2 kW of rating: a kW more is 1.25 kW of caps, 2 GPU h and 0.5 kWh at 0.1 each."""
    half = Curve((100.0, 200.0, 300.0), (50.0, 100.0, 150.0), (0.3, 0.8, 1.0))
    feeders = (Feeder("root", None, 2.0, worst_case_margin=1.25),)
    problem = site((1.0,), (0.1,), firms=(firm(curve=half, value_per_gpu_h=1.0),), feeders=feeders)
    price = only(planned(problem))
    assert (price.name, price.unit) == ("feeder[root].carries_worst", "kW")
    assert price.saved.tolist() == pytest.approx([1.25 * (2 - 0.05)])


def test_a_ramp_is_priced_by_the_kw_per_hour(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Steps of half an hour: from 1 kW, for energy is dear at first, by half the ramp to 2.5. A kW more earns 0.5 h * (2 - 0.1)."""
    problem = site((0.5, 0.5), (100.0, 0.1), ramp_kw_per_h=3.0, firms=(firm(value_per_gpu_h=1.0),))
    (price,) = [p for p in planned(problem).marginal if p.family == "grid.rises"]
    assert price.unit == "kW/h"
    assert price.saved.tolist() == pytest.approx([0.0, 0.5 * 0.5 * (2 - 0.1)])


def test_a_floor_is_priced_by_the_hundredth(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Ten GPUs held at a mean speed of 0.8 for 2 h by the floor alone. 0.01 less is 0.2 GPU h, at 4 GPU h less a kWh below 200 W: 0.1 / 5 each."""
    price = only(planned(site((2.0,), (0.1,), firms=(firm(floor_speed=0.8),))))
    assert (price.name, price.unit) == ("firm[firm].serves", "% of speed")
    assert price.saved.tolist() == pytest.approx([0.2 * 0.1 / 5])


def test_an_emptier_battery_at_the_end_is_worth_what_its_energy_replaces(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Nothing is to be gained at one price; a kWh that need not be bought back saves its price, 0.2."""
    battery = Battery("battery", "root", 10.0, 5.0, 5.0, 1.0, 0.0, 5.0)
    price = only(planned(site((1.0,), (0.2,), firms=(firm(),), batteries=(battery,))))
    assert price.name == "battery[battery].ends_no_emptier"
    assert price.total == pytest.approx(0.2)


def test_a_cooling_plants_capacity_is_priced_by_the_kw_of_heat(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """A hall that may get no warmer gives away what its plant cannot remove: a kW more of heat is a kW more of IT, speed 2, less its power."""
    chiller = Chiller(2.0, 2.0, 4.0, 0.0, 4.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    hall = Hall("hall", "root", cooling_plant="plant", start_c=24, resistance_k_per_kw=1e6, heat_capacity_kwh_per_k=1e-3)
    plan = planned(
        site(
            (1.0,),
            (0.1,),
            firms=(firm(value_per_gpu_h=1.0),),
            halls=(replace(hall, recommended_max_c=24.0, allowable_max_c=24.0),),
            cooling_plants=(CoolingPlant("plant", "root", chiller),),
            outdoor_c=24.0,
        )
    )
    (price,) = [p for p in plan.marginal if p.family == "cooling_plant.heat_kw"]
    assert price.total == pytest.approx(2.0 - 0.1 * 1.25, rel=0.01)


def test_every_family_of_rows_that_a_breach_relaxes_has_an_entry() -> None:
    """A new limit needs a line in `LIMITS`; what is no limit, in `PROMISES`."""
    relaxed = set()
    for path in GOLDEN.glob("*.lp"):
        rows = path.read_text(encoding="utf-8").partition("\nst\n")[2].partition("\nbounds\n")[0]
        room, name = path.stem.split(".")
        if any(re.search(rf"\b{family}\b", rows) for family in FAMILIES):
            relaxed.add(f"{BLOCKS.get(room, room)}.{name}")
    assert relaxed
    assert relaxed <= set(LIMITS) | PROMISES | set(ALSO)
