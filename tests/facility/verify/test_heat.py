"""Halls, plants, loops and tanks: what cooling draws, what it can remove, and how warm a hall may be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from facility.site import Site
from facility.verify import expected_kw, steady_cooling_kw
from facility.verify.cooling import Drift, most_heat_kw, recovering_kw
from tests.facility.verify.by_hand import FIGURES, SNAPSHOT, at_its_limit, broken, chosen, decision, site_with, tanked, warming


def test_a_plant_draws_no_more_than_for_the_heat_it_can_remove() -> None:
    """1 kW is all it removes, at full pumps and fans: 1 + 1 + 0.5 kW; main is (4.38 + 2.5) * 1.02 kW."""
    site = site_with(cooling_plants__plant__design_heat_kw=1, cooling_plants__plant__max_heat_kw=1)
    assert expected_kw(site, decision(), SNAPSHOT, 10.0)["main"] == pytest.approx(7.0176)


def test_a_hall_above_its_allowable_band_gets_no_more_power() -> None:
    """The decision gives the hall's pool 2.380 kW."""
    for hall_c, was_kw, rules in ((35.0, 2.0, set()), (35.1, 2.38, set()), (35.1, 2.379, {"hall.temperature"})):
        seen = replace(SNAPSHOT, hall_c={"h": hall_c}, pool_kw={"p": was_kw})
        assert broken(site_with(), decision(), seen) == rules
    assert broken(site_with(), decision(), replace(SNAPSHOT, hall_c={"h": 35.1})) == {"hall.temperature"}


def test_what_a_plant_draws_to_cool_a_hall_down_is_what_is_measured_beyond_what_the_heat_of_now_needs() -> None:
    """2.380 kW of IT in a hall of 24 degC need 0.85 kW of cooling; where somebody ordered the hall to move that is reckoned with already."""

    def beyond_kw(drawn_kw: float = 1.25, hall_c: float = 25.0, pool_kw: float | None = 2.38, moving: bool = False) -> dict[str, float]:
        pools = {} if pool_kw is None else {"p": pool_kw}
        seen = replace(SNAPSHOT, hall_c={"h": hall_c}, pool_kw=pools, cooling_kw={"plant": drawn_kw})
        return recovering_kw(site_with(), seen, 10.0, {"h": Drift(24.5, -10.0)} if moving else {}, {})

    assert beyond_kw() == {"plant": pytest.approx(0.4)}
    assert beyond_kw(drawn_kw=0.8) == {"plant": 0.0}
    assert beyond_kw(hall_c=24.05) == beyond_kw(moving=True) == beyond_kw(pool_kw=None) == {}


def test_the_published_plant_reaches_its_published_pue() -> None:
    """1,400 kW of IT: 1.082 at 12 degC, 1.212 at 20, 1.304 at 25, 1.349 at 40 (Sun et al. 2020, Zhao et al. 2024)."""
    plant = {"feeder": "main", "design_heat_kw": 1400, "max_heat_kw": 1400, "pump_kw": 60, "fan_kw": 30, "misc_kw": 25}
    site = site_with(cooling_plants__plant=plant)
    pue = [round(1 + steady_cooling_kw(site, "plant", 1400.0, outdoor_c) / 1400, 3) for outdoor_c in (12.0, 20.0, 25.0, 40.0)]
    assert pue == [1.082, 1.212, 1.304, 1.349]
    assert steady_cooling_kw(site, "plant", 70.0, 25.0) == pytest.approx(140 / 4.5 + 60 * 0.2 + 30 * 0.15 + 25)
    assert steady_cooling_kw(site, "plant", 1400.0, 90.0) == pytest.approx(1400 / 1.5 + 60 + 30 + 25)


def test_a_plants_stages_are_loaded_best_first_and_its_capacity_falls_with_the_heat_outside() -> None:
    """20 kW of heat, at 35 degC 15: 10 at COP 6 - 0.5 and 5 at COP 4 - 0.5, pumps (15 / 10)^2, fans (15 / 10)^3, 0.5 always."""
    stages = [{"max_heat_kw": 10, "cop_at_25c": 4}, {"max_heat_kw": 10, "cop_at_25c": 6}]
    capacity = [{"outdoor_c": 25, "share": 1}, {"outdoor_c": 45, "share": 0.5}]
    site = site_with(cooling_plants__plant__stages=stages, cooling_plants__plant__capacity_by_outdoor=capacity)
    plant = site.cooling_plants["plant"]
    assert [most_heat_kw(plant, outdoor_c) for outdoor_c in (-5, 25, 35, 45, 60)] == pytest.approx([20, 20, 15, 10, 10])
    staged_kw = steady_cooling_kw(site, "plant", 15.0, 35.0)
    assert staged_kw == pytest.approx(10 / 5.5 + 5 / 3.5 + 1.5**2 + 1.5**3 + 0.5)
    assert steady_cooling_kw(site, "plant", 0.5, 35.0) == pytest.approx(1 / 5.5 + 0.2 + 0.15 + 0.5)  # at the minimum load


@pytest.mark.parametrize(("share", "rules"), [(0.1691, set()), (0.1689, {"cooling.removes_heat"})])
def test_a_plant_is_judged_by_what_it_removes_in_the_weather(share: float, rules: set[str]) -> None:
    """3.38 kW of heat are a share of 0.169 of 20 kW."""
    assert broken(site_with(cooling_plants__plant__capacity_by_outdoor=[{"outdoor_c": 10, "share": share}]), decision()) == rules


def test_the_heat_of_chips_goes_to_the_loops_plant_and_the_rest_to_the_halls() -> None:
    """80 % of 2.38 kW of IT are 1.904 kW to a plant of 2 kW design; the hall keeps 0.476 + 2 - 1 = 1.476 kW.

    Air: pumps, fans and 0.5 at their least, 0.85 kW. Water: pumps 0.5 * (1.904 / 2)^2 = 0.453152, fans none, free at 10 degC.
    """
    wet = {"feeder": "main", "design_heat_kw": 2, "max_heat_kw": 2, "pump_kw": 0.5, "fan_kw": 0}

    def looped(**figures: Any) -> Site:
        thermal = FIGURES["halls"]["h"]["thermal"] | {"liquid_plant": "wet"}
        changes = {"halls__h__thermal": thermal, "pools__p__liquid_share": 0.8, "cooling_plants__wet": dict(wet)}
        return site_with(**changes, **{f"cooling_plants__{key}": value for key, value in figures.items()})

    assert expected_kw(looped(), decision(), SNAPSHOT, 10.0)["main"] == pytest.approx((4.38 + 0.85 + 0.453152) * 1.02)
    assert broken(looped(wet__max_heat_kw=1.905, plant__max_heat_kw=1.477), decision()) == set()
    assert broken(looped(wet__max_heat_kw=1.903), decision()) == {"cooling.removes_heat"}
    assert broken(looped(plant__max_heat_kw=1.475), decision()) == {"cooling.removes_heat"}


def test_a_tank_is_charged_by_its_plant_and_takes_heat_off_it() -> None:
    """At 30 degC heat is 2.38 + 2 + 6 / 14 = 4.8086 kW; the tank's charge comes on top at COP 4.25."""
    for store_kw in (2.0, -1.0):
        site, made = tanked(store_kw)
        heat_kw = 2.38 + 2 + 6 / 14 + store_kw
        pumps_fans_kw = max((heat_kw / 10) ** 2, 0.2) + max((heat_kw / 10) ** 3, 0.15)
        cooling_kw = heat_kw / 4.25 + pumps_fans_kw + 0.5
        assert expected_kw(site, made, SNAPSHOT, 30.0)["main"] == pytest.approx((4.38 + cooling_kw) * 1.02)
        assert broken(site, made, outdoor_c=30.0) == set()


@pytest.mark.parametrize(("kw", "just_over_kw"), [(2.0, 2.001), (-1.0, -1.001)])
def test_a_tank_gives_and_takes_its_power_and_no_more(kw: float, just_over_kw: float) -> None:
    assert broken(*tanked(kw)) == set()
    assert broken(*tanked(just_over_kw)) == {"tank.power"}


@pytest.mark.parametrize(
    ("store_kw", "holds_kwh", "fires_kwh"),
    [
        (2.0, 3 / 0.9 - 0.001, 3 / 0.9 + 0.001),  # 0.9 of it are left after 30 min, and 1 kWh comes to it
        (-1.0, 0.5 / 0.9 + 0.001, 0.5 / 0.9 - 0.001),  # and half a kWh goes
    ],
)
def test_a_tank_ends_between_nothing_and_its_capacity(store_kw: float, holds_kwh: float, fires_kwh: float) -> None:
    site, made = tanked(store_kw, step_s=1800)
    assert broken(site, made, replace(SNAPSHOT, thermal_store_kwh={"plant": holds_kwh})) == set()
    assert broken(site, made, replace(SNAPSHOT, thermal_store_kwh={"plant": fires_kwh})) == {"tank.energy"}


def test_a_hall_that_warms_takes_up_heat_that_its_plant_need_not_remove() -> None:
    """0.02 K in a quarter of an hour around 24 degC store 10 * 0.02 * 4 = 0.8 kW: 3.38 - 0.8 = 2.58 kW are to be removed.

    At 38 degC, COP 3.85, steady: heat 5.38, cooling 5.38 / 3.85 + 0.289444 + 0.155720872 + 0.5; warming: heat 4.58, cooling
    4.58 / 3.85 + 0.209764 + 0.15 + 0.5.
    """
    measured = replace(SNAPSHOT, hall_c={"h": 23.99})
    assert broken(at_its_limit(2.5801), warming(0.02), measured) == set()
    assert broken(at_its_limit(2.5799), warming(0.02), measured) == {"cooling.removes_heat"}
    steady_kw = (4.38 + 5.38 / 3.85 + 0.289444 + 0.155720872 + 0.5) * 1.02
    warming_kw = (4.38 + 4.58 / 3.85 + 0.209764 + 0.15 + 0.5) * 1.02
    assert expected_kw(site_with(), warming(0.02), measured, 38.0)["main"] == pytest.approx(warming_kw)
    assert expected_kw(site_with(), warming(0.02), SNAPSHOT, 38.0)["main"] == pytest.approx(steady_kw)
    assert expected_kw(site_with(), warming(0.02, None), measured, 38.0)["main"] == pytest.approx(steady_kw)
    assert expected_kw(site_with(), decision(first_step_s=900), measured, 38.0)["main"] == pytest.approx(steady_kw)


def test_a_hall_that_cools_down_gives_its_plant_more_to_remove_and_none_removes_less_than_nothing() -> None:
    """0.02 K down make 3.38 + 0.8 = 4.18 kW, of which the 0.02 K up to the band's end may stay; 2 K up would store 80 kW."""
    cooling = replace(SNAPSHOT, hall_c={"h": 24.01})
    assert broken(at_its_limit(3.3801, 24.01), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(3.3799, 24.01), warming(-0.02), cooling) == {"cooling.removes_heat"}
    coasting = replace(SNAPSHOT, hall_c={"h": 23.0})
    assert broken(site_with(cooling_plants__plant__max_heat_kw=0.001), warming(2), coasting) == set()


def test_a_hall_below_its_band_may_end_a_little_warmer_than_ordered() -> None:
    """Half a kelvin in 10 kWh/K over a quarter of an hour takes up 20 kW, a tenth of one, 4 kW: all but 0.18 of the 4.18 kW."""
    cooling = replace(SNAPSHOT, hall_c={"h": 24.01})
    assert broken(site_with(cooling_plants__plant__max_heat_kw=0.001), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(0.1801, 24.09), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(0.1799, 24.09), warming(-0.02), cooling) == {"cooling.removes_heat"}


@pytest.mark.parametrize(("supply_c", "share", "cop"), [(16, 8 / 13, 4.75), (20, 4 / 13, 5.15), (None, 8 / 13, 4.75)])
def test_a_plant_draws_what_its_ordered_supply_says(supply_c: Any, share: float, cop: float) -> None:
    """At 20 degC, between 12 and 25 (or 16 and 29) degC of free cooling; COP 4.5 + 0.05 * 5, and 0.1 * 4. Not told, it is the coldest."""
    site, made = chosen(supply_c)
    heat_kw = 2.38 + 2 + (20 - 24) / 14
    assert expected_kw(site, made, SNAPSHOT, 20.0)["main"] == pytest.approx((4.38 + 0.85 + share * heat_kw / cop) * 1.02)
    just_kw = expected_kw(site, made, SNAPSHOT, 20.0)["main"]
    for margin_kw, rules in ((1e-3, set()), (-1e-3, {"grid.limit"})):
        assert broken(site, replace(made, import_limit_kw=just_kw + margin_kw), outdoor_c=20.0) == rules


@pytest.mark.parametrize(("supply_c", "approach", "rules"), [
    (20, (24.5 - 20) / 3.38 - 1e-3, set()),
    (20, (24.5 - 20) / 3.38 + 1e-3, {"cooling.supply"}),
    (16, (24.5 - 20) / 3.38 + 1e-3, set()),
])  # fmt: skip
def test_a_hall_is_no_colder_than_its_supply_and_its_heat_allow(supply_c: float, approach: float, rules: set[str]) -> None:
    """3.38 kW leave the hall; half a K more than the 24 degC ordered may stay."""
    assert broken(*chosen(supply_c, approach)) == rules


@pytest.mark.parametrize(("longer_s", "rules"), [(-10.0, set()), (10.0, {"cooling.supply"})])
def test_a_hall_that_nothing_can_be_removed_from_gets_no_warmer_than_it_does_by_itself(longer_s: float, rules: set[str]) -> None:
    """3.38 kW that stay in the hall warm it by 14 K/kW * (1 - exp(-h / 140)): by half a K once h = -140 * ln(1 - 0.5 / (14 * 3.38))."""
    half_a_kelvin_s = -3600 * 140 * math.log(1 - 0.5 / (14 * 3.38))
    site, made = chosen(20, 100.0, first_step_s=half_a_kelvin_s + longer_s)
    assert broken(site, made) == rules
