"""Thermal store: cold moved between hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.heat.thermal_store import ThermalStore
from models.plan import Plan
from models.problem import Problem

FIFTH = Chiller(20, 20, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)
"""Draws a fifth of the heat it removes, up to 20 kW, whatever the weather."""


def tanked(site: Callable[..., Problem], price: tuple[float, ...], max_heat_kw: float = 20.0, base_kw: float = 10.0, **terms: Any) -> Problem:
    """Hours of `base_kw` in a hall that holds no heat, and an empty tank of 4 kWh, 3 kW either way; `terms` of the tank."""
    figures = {"capacity_kwh": 4.0, "charge_kw": 3.0, "discharge_kw": 3.0, "loss_share_per_h": 0.0, "start_kwh": 0.0}
    zone = Hall("hall", "root", base_kw, "plant", 25.0, heat_capacity_kwh_per_k=1e-4, resistance_k_per_kw=1e9, recommended_min_c=25.0)
    plant = CoolingPlant("plant", "root", replace(FIFTH, max_heat_kw=max_heat_kw), store=ThermalStore(**(figures | terms)))
    return site((1.0,) * len(price), price, gpus=0.0, outdoor_c=25.0, halls=(zone,), cooling_plants=(plant,))


@pytest.mark.parametrize(("loss", "second_kw"), [(0.0, 7.0), (0.1, 7.3)])
def test_cold_is_made_cheap_and_used_dear(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any, loss: float, second_kw: float
) -> None:
    """3 kWh more in the cheap hour, of which 3 or 2.7 are left: 0.1 * (10 + 13 / 5) + 0.3 * (10 + 7 / 5 or 7.3 / 5)."""
    problem = tanked(site, (0.1, 0.3), loss_share_per_h=loss)
    objective = 0.1 * (10 + 13 / 5) + 0.3 * (10 + second_kw / 5)
    assert optimum(problem).objective == pytest.approx(objective)
    state = planned(problem).account
    assert state.heat_kw[0].tolist() == pytest.approx([13.0, second_kw], rel=1e-4)
    assert state.thermal_store_kw[0].tolist() == pytest.approx([3.0, second_kw - 10])
    assert state.thermal_store_kwh[0].tolist() == pytest.approx([3.0, 0.0], abs=1e-6)
    assert state.objective == pytest.approx(objective, rel=1e-4)


def test_a_tank_ends_as_full_as_it_began_what_it_loses_made_up_for(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Of 2 kWh an hour takes 0.2: 10.2 kW of heat at COP 5 and 0.3 a kWh, cheaper than 0.5 a kWh that the end lacks."""
    problem = tanked(site, (0.3,), start_kwh=2.0, loss_share_per_h=0.1)
    assert optimum(problem).objective == pytest.approx(0.3 * (10 + 10.2 / 5))
    assert planned(problem).account.thermal_store_kwh[0, 0] == pytest.approx(2.0)


def test_a_tank_is_emptied_where_energy_is_dearer_than_comfort(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """At 5 a kWh, 2 kWh of cold save 2 and lack 1: 5 * (10 + 8 / 5) + 0.5 * 2 = 59."""
    problem = tanked(site, (5.0,), start_kwh=2.0)
    best = optimum(problem)
    assert best.model.thermal_store["plant"].end_empty_kwh.value == pytest.approx(2.0)
    assert best.objective == pytest.approx(59.0, rel=1e-4)
    state = planned(problem).account
    assert state.cost["emptied"] == pytest.approx(1.0)
    assert state.objective == pytest.approx(59.0, rel=1e-4)


def test_a_tank_carries_what_its_plant_cannot(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """A plant of 8 kW and 2 kWh of cold for an hour of 10 kW: nothing gets too hot. Half a kWh less warms the hall."""
    enough, short = tanked(site, (0.1,), 8.0, start_kwh=2.0), tanked(site, (0.1,), 8.0, start_kwh=1.5)
    assert optimum(enough).objective == pytest.approx(0.1 * (10 + 8 / 5) + 0.5 * 2)
    plan = planned(enough)
    assert plan.status == "optimal"
    assert not plan.account.is_breached
    assert optimum(short).model.hall["hall"].too_hot_k[0].value == pytest.approx(0.5 / 1e-4 - 10, rel=1e-4)  # kWh / kWh/K, less the band
    assert planned(short).status == "breached"


def test_paid_for_drawing_a_plan_fills_the_tank_once(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """3 kW, then the 1 kW that fits: -0.1 * (10 + 13 / 5) - 0.1 * (10 + 11 / 5) = -2.48; nothing fills and empties at once."""
    problem = tanked(site, (-0.1, -0.1))
    assert optimum(problem).objective == pytest.approx(-2.48)
    state = planned(problem).account
    assert state.thermal_store_kwh[0, -1] == pytest.approx(4.0)
    assert state.objective == pytest.approx(-2.48, rel=1e-4)


@pytest.mark.parametrize("price", [-0.1, 0.1])
def test_a_plant_with_a_tank_draws_what_its_curve_says(site: Any, planned: Callable[[Problem], Plan], price: float) -> None:
    """The import is the base load and what the published curve says of the heat; at a negative price nothing else burns."""
    problem = tanked(site, (price, 3 * price))
    curved = replace(FIFTH, pump_kw=3.0, pump_min_share=0.2, fan_kw=2.0, fan_min_share=0.1, misc_kw=0.5)
    problem = replace(problem, cooling_plants=(replace(problem.cooling_plants[0], chiller=curved),))
    state = planned(problem).account
    heat_kw = 10 + state.thermal_store_kw[0]
    assert state.heat_kw[0].tolist() == pytest.approx(heat_kw.tolist(), rel=1e-4)
    load = heat_kw / 20
    cooling_kw = heat_kw / 5 + 3 * np.maximum(load**2, 0.2) + 2 * np.maximum(load**3, 0.1) + 0.5
    assert state.import_kw.tolist() == pytest.approx((10 + cooling_kw).tolist(), rel=1e-3)


@pytest.mark.parametrize(
    ("asked_kw", "kept_kwh", "heat_kw", "most_kw", "happens_kw"),
    [
        (2.0, 1.0, 5.0, 20.0, 2.0),
        (2.0, 3.5, 5.0, 20.0, 1.0),  # half a kWh fits in half an hour: 1 kW
        (9.0, 0.0, 5.0, 20.0, 3.0),  # no more than it takes in
        (2.0, 1.0, 5.0, 6.0, 1.0),  # what the plant has left
        (-2.0, 4.0, 5.0, 20.0, -2.0),
        (-9.0, 4.0, 5.0, 20.0, -3.0),  # no more than it gives
        (-2.0, 0.5, 5.0, 20.0, -1.0),  # no more than it holds
        (-2.0, 4.0, 1.5, 20.0, -1.5),  # no more than there is to cool
        (2.0, 4.0, 5.0, 4.0, -1.0),  # the plant falls short by 1 kW
        (0.0, 4.0, 9.0, 4.0, -3.0),  # and by more than the tank gives
    ],
)
def test_what_is_asked_happens_as_far_as_it_can(asked_kw: float, kept_kwh: float, heat_kw: float, most_kw: float, happens_kw: float) -> None:
    tank = ThermalStore(4.0, 3.0, 3.0, 0.0, 0.0)
    assert tank.follows_kw(asked_kw, kept_kwh, 0.5, heat_kw, most_kw) == pytest.approx(happens_kw)


def test_without_us_a_tank_is_kept_as_full_as_it_is(site: Any) -> None:
    problem = tanked(site, (0.1, 0.3), start_kwh=2.0, loss_share_per_h=0.1)
    assert account(problem, baseline(problem)).thermal_store_kwh[0].tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("seed", range(10))
def test_what_is_sent_is_what_the_tank_does_up_to_rounding(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    problem = random_site(seed, cooled=True)
    tank = ThermalStore(4.0, 2.0, 3.0, 0.05, 2.0)
    problem = replace(problem, cooling_plants=(replace(problem.cooling_plants[0], store=tank),))
    plan = planned(problem)
    assert plan.account.thermal_store_kw[0].tolist() == pytest.approx(plan.schedule.thermal_store_kw["plant"].tolist(), abs=0.05)
    assert plan.account.thermal_store_kwh.min() >= 0
    assert plan.account.thermal_store_kwh.max() <= 4.0 + 1e-9


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = tanked(site, (0.1, 0.3), start_kwh=2.0, loss_share_per_h=0.1)
    for name in ("stores_first", "stores", "ends_no_emptier"):
        golden(problem, f"thermal_store.{name}")
