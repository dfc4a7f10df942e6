"""What goes on without a new plan lasts; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.holding.standby import goes_on, no_higher
from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import verify
from tests.facility.test_daemon import NOW, SITE, House, no_plan

WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
BATTERY = {"feeder": "main", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 4, "efficiency": 0.9, "ride_through_min": 6}
STORE = {"capacity_kwh": 4, "charge_kw": 8, "discharge_kw": 8, "loss_share_per_h": 0.19}
TANKED = Site.model_validate(
    WHOLE
    | {
        "feeders": {"main": {"rating_kw": 12}},
        "halls": {"h": {"feeder": "main", "thermal": {"heat_capacity_kwh_per_k": 9, "resistance_k_per_kw": 9, "start_c": 24, "cooling_plant": "w"}}},
        "cooling_plants": {
            "w": {"feeder": "main", "design_heat_kw": 9, "max_heat_kw": 9, "pump_kw": 0.1, "fan_kw": 0.1, "cop_at_25c": 4, "store": STORE}
        },
    }
)
BACKED = Site.model_validate(
    WHOLE | {"batteries": {"b": BATTERY}, "gensets": {"g": {"feeder": "main", "max_kw": 1, "fuel_price_per_mwh": 10, "run_hours_left": 2}}}
)
SENT = Decision(NOW, NOW + timedelta(minutes=15), (PoolCaps("p", 100, (CapGroup("c", 6, 400),)),))
"""2.4 kW at the caps of the rental and 0.4 kW of idle GPUs: 2.8 kW at worst, 0.28 kWh for six minutes."""


def held(site: Site, made: Decision, **told: Any) -> Decision:
    """`made` as it goes on until it ends, which the second opinion accepts."""
    snapshot = Snapshot(NOW, **told)
    on = goes_on(site, made, snapshot, NOW, made.until, 10.0)
    assert not verify(site, snapshot, on, outdoor_c=10.0)
    return on


@pytest.mark.parametrize(("stored_kwh", "kw"), [(1.2, 0.0), (2.0, -2.48), (9.0, -3.0)])
def test_a_battery_that_is_held_gives_what_leaves_a_ride_through(stored_kwh: float, kw: float) -> None:
    """Above its least 1 kWh 1.0 give 0.9; 0.28 are kept, and 0.62 in a quarter of an hour are 2.48 kW. Of 0.2 nothing is left."""
    made = replace(SENT, batteries=(BatteryOrder("b", -3.0),))
    assert held(BACKED, made, battery_kwh={"b": stored_kwh}).batteries[0].power_kw == pytest.approx(kw)


def test_a_battery_without_a_ride_through_gives_all_above_its_least() -> None:
    """0.9 kWh of 1.0 in a quarter of an hour are 3.6 kW."""
    site = BACKED.model_copy(update={"batteries": {"b": BACKED.batteries["b"].model_copy(update={"ride_through_min": 0.0})}})
    made = replace(SENT, batteries=(BatteryOrder("b", -4.0),))
    assert held(site, made, battery_kwh={"b": 2.0}).batteries[0].power_kw == pytest.approx(-3.6)


@pytest.mark.parametrize(("ran_h", "kw"), [(1.75, 1.0), (1.76, 0.0)])
def test_a_genset_whose_permit_ends_before_is_stopped(ran_h: float, kw: float) -> None:
    made = replace(SENT, gensets=(GensetOrder("g", 1.0),))
    assert held(BACKED, made, genset_hours_run={"g": ran_h}).gensets == (GensetOrder("g", kw),)


@pytest.mark.parametrize(("stored_kwh", "asked_kw", "kw"), [(1.0, -8.0, -1.8), (3.0, 8.0, 2.6), (3.0, 2.0, 2.0), (3.0, -2.0, -2.0)])
def test_a_tank_takes_and_gives_what_fits_for_as_long(stored_kwh: float, asked_kw: float, kw: float) -> None:
    """Half an hour keeps 0.9 of what is stored: 1 kWh gives 0.9 in it, 1.8 kW; 3 leave room for 4 - 2.7, 2.6 kW."""
    made = replace(SENT, until=NOW + timedelta(minutes=30), cooling=(CoolingOrder("w", (("h", 24.0),), asked_kw),))
    assert held(TANKED, made, thermal_store_kwh={"w": stored_kwh}).cooling[0].store_kw == pytest.approx(kw)


def test_a_plan_that_is_held_discharges_a_battery_no_further_than_its_ride_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At noon energy is dear. Five minutes later 1.5 kWh are left of 9: 0.45 - 0.28 kWh in ten minutes are 1.02 kW."""
    house = House(tmp_path / "journal.sqlite", BACKED.model_copy(update={"gensets": {}}))
    try:
        steps = ((0, 1, 500.0), (1, 30, 10.0))
        points = [{"start": (NOW + timedelta(hours=a)).isoformat(), "end": (NOW + timedelta(hours=z)).isoformat(), "value": v} for a, z, v in steps]
        house.say("grid/main/price", {"unit": "EUR/MWh", "points": points}, retain=True)

        def stored(kwh: float) -> None:
            house.say("battery/b/reported", {"timestamp": int(house.clock.now().timestamp() * 1000), "energy_kwh": kwh})

        def ordered_kw() -> float:
            sent = house.retained("battery/b/desired")
            assert sent is not None
            return float(sent["power_kw"])

        stored(9.0)
        assert house.daemon.cycle().outcome == "published"
        assert ordered_kw() < -2
        no_plan(monkeypatch)
        house.clock.advance(300)
        stored(1.5)
        house.daemon.cycle()
        assert house.mode() == "HOLD"
        assert ordered_kw() == pytest.approx(-1.02)
        assert not house.daemon.rooms.governor.verdict
    finally:
        house.kill()


def test_what_bounds_a_pool_bounds_work_that_is_new_there_too() -> None:
    """Work that was not there before has the highest cap that was in the pool, GPUs in no group what those had."""
    bound = PoolCaps("p", 150, (CapGroup("c", 6, 300), CapGroup("d", 1, 200)))
    wanted = PoolCaps("p", 400, (CapGroup("c", 3, 250), CapGroup("c", 3, 400), CapGroup("new", 2, 400), CapGroup("d", 1, 400)))
    bounded = no_higher(replace(SENT, pools=(wanted,)), (bound,))
    assert bounded.pools == (PoolCaps("p", 150, (CapGroup("c", 3, 250), CapGroup("c", 3, 300), CapGroup("new", 2, 300), CapGroup("d", 1, 200))),)
