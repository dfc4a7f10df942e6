"""Batteries, generation, feeds and the grid's limits hold at the derived amount and fire just beyond."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from facility.decision import BatteryOrder, CapGroup, GensetOrder, SolarOrder
from facility.verify import expected_kw, verify
from tests.facility.verify.by_hand import FIGURES, SNAPSHOT, broken, caps, decision, generating, site_with


def test_each_feed_keeps_its_limit_and_the_sum_the_sites() -> None:
    """5.3346 kW are expected on `main`, nothing on a root beside it."""
    feeders = FIGURES["feeders"] | {"other": {"rating_kw": 9}}
    for north_kw, south_kw, rules in ((5.3346, 0.1, set()), (5.3345, 0.1, {"grid.feed"})):
        feeds = {
            "north": {"feeder": "main", "import_limit_kw": north_kw},
            "south": {"feeder": "other", "import_limit_kw": south_kw},
        }
        assert broken(site_with(feeders=feeders, grid__feeds=feeds), decision()) == rules
    assert broken(site_with(feeders=feeders, grid__feeds=feeds, grid__import_limit_kw=5.3345), decision()) == {"grid.feed", "grid.limit"}


def test_a_charging_battery_loads_its_feeder_and_a_discharging_one_helps_only_what_is_expected() -> None:
    """Charging 4 kW: worst 4.6 + 4 = 8.6 kW. Giving 3 kW: expected 4.38 - 3 = 1.38 kW, worst still 4.6 kW."""
    charge, give = (decision(batteries=(BatteryOrder("b", kw),)) for kw in (4.0, -3.0))
    assert broken(site_with(feeders__pdu__rating_kw=8.6), charge) == set()
    assert broken(site_with(feeders__pdu__rating_kw=8.599), charge) == {"feeder.worst_case"}
    assert expected_kw(site_with(), give, SNAPSHOT, 10.0)["pdu"] == pytest.approx(1.38)
    assert broken(site_with(feeders__pdu__rating_kw=4.599), give) == {"feeder.worst_case"}


@pytest.mark.parametrize(("kw", "just_over_kw"), [(4.0, 4.001), (-3.0, -3.001)])
def test_a_battery_gives_and_takes_its_power_and_no_more(kw: float, just_over_kw: float) -> None:
    assert broken(site_with(), decision(batteries=(BatteryOrder("b", kw),))) == set()
    assert broken(site_with(), decision(batteries=(BatteryOrder("b", just_over_kw),))) == {"battery.power"}
    assert broken(site_with(), decision(batteries=(BatteryOrder("elsewhere", kw),))) == {"battery.known"}


@pytest.mark.parametrize(("kw", "stored_kwh", "step_kwh"), [(4.0, 9.1, 0.001), (-3.0, 1 + 0.75 / 0.9, -0.001)])
def test_a_battery_ends_between_its_least_energy_and_its_capacity(kw: float, stored_kwh: float, step_kwh: float) -> None:
    """A quarter of an hour at 4 kW stores 0.9 kWh, at -3 kW it takes 0.75 / 0.9 kWh; between 1 and 10 kWh may be stored."""
    made = decision(batteries=(BatteryOrder("b", kw),))
    assert broken(site_with(), made, replace(SNAPSHOT, battery_kwh={"b": stored_kwh})) == set()
    assert broken(site_with(), made, replace(SNAPSHOT, battery_kwh={"b": stored_kwh + step_kwh})) == {"battery.energy"}


def test_a_battery_is_not_discharged_into_what_carries_the_worst_case_for_its_ride_through() -> None:
    """4.6 kW for 15 min are 1.15 kWh. 3.1112 - 0.75 / 0.9 given - 1 never used, times 0.9, are just enough; resting is always."""
    site, give = site_with(batteries__b__ride_through_min=15), decision(batteries=(BatteryOrder("b", -3.0),))
    assert broken(site, give, replace(SNAPSHOT, battery_kwh={"b": 3.1112})) == set()
    assert broken(site, give, replace(SNAPSHOT, battery_kwh={"b": 3.1111})) == {"battery.ride_through"}
    assert broken(site, decision(batteries=(BatteryOrder("b", 0.0),)), replace(SNAPSHOT, battery_kwh={"b": 1.0})) == set()
    other = site_with(batteries__b__ride_through_min=15, batteries__b__ride_through_feeder="main")
    assert broken(other, give, replace(SNAPSHOT, battery_kwh={"b": 3.1112})) == {"battery.ride_through"}


def test_generation_lowers_what_is_expected_and_never_the_worst_case() -> None:
    """4.38 kW under `pdu` less 2 of the sun and 3 of fuel are -0.62: main takes 0.85 - 0.62, times 1.02."""
    made = decision(solar=(SolarOrder("roof", 2.0),), gensets=(GensetOrder("g", 3.0),))
    assert expected_kw(generating(), made, SNAPSHOT, 10.0) == pytest.approx({"pdu": -0.62, "main": 0.23 * 1.02})
    assert broken(generating(grid__import_limit_kw=0.2347), made) == set()
    assert broken(generating(grid__import_limit_kw=0.2345), made) == {"grid.limit"}
    assert broken(generating(feeders__pdu__rating_kw=4.599), made) == {"feeder.worst_case"}


def test_generation_stays_within_what_it_is_rated() -> None:
    for kw in (0.0, 1.0, 4.0):
        assert broken(generating(), decision(gensets=(GensetOrder("g", kw),))) == set()
    for kw in (-1.0, 0.999, 4.001):
        assert broken(generating(), decision(gensets=(GensetOrder("g", kw),))) == {"genset.power"}
    assert broken(generating(), decision(solar=(SolarOrder("roof", 5.0, 5.0),))) == set()
    for order in (SolarOrder("roof", 5.001), SolarOrder("roof", -0.001), SolarOrder("roof", 1.0, 5.001)):
        assert broken(generating(), decision(solar=(order,))) == {"solar.power"}
    assert broken(generating(), decision(gensets=(GensetOrder("x", 1.0),), solar=(SolarOrder("x", 1.0),))) == {"genset.known", "solar.known"}
    assert broken(generating(), decision(gensets=(GensetOrder("g", 1.0),) * 2)) == {"order.once"}
    assert broken(generating(), decision(gensets=(GensetOrder("g", math.nan),))) == {"number.finite"}


def test_a_battery_that_is_empty_already_may_rest_or_charge() -> None:
    for kw in (0.0, 1.0):
        assert (
            broken(site_with(), decision(batteries=(BatteryOrder("b", kw),)), replace(SNAPSHOT, battery_kwh={"b": 0.5})) == set()
        )


def test_the_limit_of_the_decision_counts_before_the_sites() -> None:
    assert broken(site_with(grid__import_limit_kw=5), decision(import_limit_kw=5.3346)) == set()
    told = verify(site_with(), SNAPSHOT, decision(import_limit_kw=5.3345), outdoor_c=10.0)
    assert [(v.rule, v.tier, v.allowed) for v in told] == [("grid.limit", "grid", 5.3345)]


def test_a_grid_event_counts_beside_the_limit() -> None:
    assert broken(site_with(), decision(event_target_kw=5.3346)) == set()
    told = verify(site_with(), SNAPSHOT, decision(event_target_kw=5.3345), outdoor_c=10.0)
    assert [(v.rule, v.tier, v.allowed) for v in told] == [("grid.event", "grid", 5.3345)]
    assert broken(site_with(), decision(event_target_kw=float("nan"))) == {"number.finite"}


def test_a_daily_window_limits_a_decision_that_reaches_into_it() -> None:
    """12:00 UTC is 14:00 in Berlin in July; the decision lasts until 14:15."""
    for start, rules in (("14:15", set()), ("14:14", {"grid.limit"})):
        window = {"from_local": start, "to_local": "24:00", "import_limit_kw": 5}
        assert broken(site_with(grid__limit_windows=[window]), decision()) == rules
    limit = {"grid.limit"}
    for start, end, rules in (("10:00", "14:00", set()), ("22:00", "14:00", set()), ("22:00", "14:01", limit), ("14:14", "06:00", limit)):
        window = {"from_local": start, "to_local": end, "import_limit_kw": 5}
        assert broken(site_with(grid__limit_windows=[window]), decision()) == rules


def test_what_is_given_back_holds_at_the_export_limit_and_fires_just_above() -> None:
    """8 kW given under 4.38 kW of load leave 3.62 kW, of which cooling takes 0.85 kW and losses 2 % of the rest: 2.7146 kW."""
    site = site_with(batteries__b__discharge_kw=8)
    given = decision(batteries=(BatteryOrder("b", -8.0),))
    export_kw = -expected_kw(site, given, SNAPSHOT, 10.0)["main"]
    assert export_kw == pytest.approx(2.7146)
    assert broken(site, given) == set()
    assert broken(site_with(batteries__b__discharge_kw=8, grid__export_limit_kw=export_kw), given) == set()
    assert broken(site_with(batteries__b__discharge_kw=8, grid__export_limit_kw=export_kw - 1e-3), given) == {"grid.export"}


def test_a_plans_order_to_a_battery_is_judged_over_its_first_step_only() -> None:
    """-3 kW for 5 min take 0.25 / 0.9 = 0.278 kWh; for a quarter of an hour they would take 0.833 kWh."""
    stored = replace(SNAPSHOT, battery_kwh={"b": 1.3})
    made = decision(batteries=(BatteryOrder("b", -3.0),))
    assert broken(site_with(), replace(made, first_step_s=300), stored) == set()
    assert broken(site_with(), made, stored) == {"battery.energy"}


def test_what_was_sold_to_the_grids_operator_is_there_and_work_that_nobody_knows_adds_nothing_to_it() -> None:
    """Up, for an hour: the rental mixes 100 and 190 W to its floor, 6 * 22.5 W; the job has time, 2 * (390 + 40 - 50 - 20) W; the battery, 3 kW."""
    site = site_with(grid__reserves={"up": {"direction": "up", "duration_min": 60, "most_kw": 9}})
    known = caps()
    stranger = replace(known, groups=(*known.groups, CapGroup("stranger", 1, 400)))
    assert broken(site, decision(reserve_up_kw=3.8549)) == set()
    assert broken(site, decision(reserve_up_kw=3.8551)) == {"grid.reserve_up"}
    assert broken(site, decision(stranger, reserve_up_kw=3.8549)) == {"group.known"}
    assert broken(site, decision(stranger, reserve_up_kw=3.8551)) == {"group.known", "grid.reserve_up"}
