"""What is believed of several sensors, and what stands in for those that are not heard.

The site: pools `a` and `b` of 100 GPUs of 400 W and 100 W hosts (50 kW each at most) on busways of 60 kW under a UPS with 2 % loss, in hall
`h` of 10 kWh/K and with three thermometers, chilled by `c`; a battery; base load 4 kW on the UPS. All of it under `root`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.config import load_site
from facility.simulate.reference import Reference
from facility.site import Site
from facility.snapshot import Snapshot
from facility.telemetry import Telemetry
from facility.telemetry.balance import balances
from facility.telemetry.survey import Survey
from facility.verdict import Verdict, worst

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR",
    "grid": {"import_limit_kw": 150}, "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [30] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {
        "train": {"points": [{"cap_w": 100, "draw_w": 100, "speed": 0.5}, {"cap_w": 400, "draw_w": 380, "speed": 1}], "source": "by hand"}}}},
    "feeders": {"root": {"rating_kw": 200}, "ups": {"rating_kw": 120, "parent": "root", "loss_share": 0.02},
                "bus-a": {"rating_kw": 60, "parent": "ups"}, "bus-b": {"rating_kw": 60, "parent": "ups"}},
    "halls": {"h": {"feeder": "ups", "base_kw": 4, "thermal": {
        "heat_capacity_kwh_per_k": 10, "resistance_k_per_kw": 2, "start_c": 24, "allowable_max_c": 35, "cooling_plant": "c"}}},
    "cooling_plants": {"c": {"feeder": "root", "design_heat_kw": 100, "max_heat_kw": 120, "pump_kw": 3, "fan_kw": 2,
                             "store": {"capacity_kwh": 40, "charge_kw": 20, "discharge_kw": 20}}},
    "pools": {"a": {"hall": "h", "feeder": "bus-a", "gpu_model": "g", "gpus": 100, "host_run_w": 100},
              "b": {"hall": "h", "feeder": "bus-b", "gpu_model": "g", "gpus": 100, "host_run_w": 100}},
    "batteries": {"x": {"feeder": "root", "capacity_kwh": 60, "charge_kw": 10, "discharge_kw": 12, "efficiency": 1.0}},
    "jobs": {"curve": "train"},
}  # fmt: skip
HALL, METER, OUTDOOR = "h/hall/h/air_temperature_c", "site/meter/main/import_kw", "site/weather/outdoor/temperature_c"
A, B, UPS, BUS_A = "h/pool/a/it_power_kw", "h/pool/b/it_power_kw", "site/feeder/ups/power_kw", "site/feeder/bus-a/power_kw"
CHILLER, BATTERY, TANK, ROOT = "site/cooling/c/power_kw", "site/battery/x/power_kw", "site/cooling/c/stored_kwh", "site/feeder/root/power_kw"
SITE = Site.model_validate(RAW)
TWINS = [f"{HALL}-2", f"{HALL}-3"]
THREE = Site.model_validate(RAW | {"sensors": {HALL: {"redundant": TWINS}}})
GOOD = {
    A: 30.0, B: 40.0, BUS_A: 30.0, "site/feeder/bus-b/power_kw": 40.0, UPS: 75.48, CHILLER: 25.0, TANK: 20.0,
    BATTERY: 0.0, "site/battery/x/energy_kwh": 30.0, ROOT: 100.48, METER: 100.48, HALL: 24.0, OUTDOOR: 28.0,
}  # fmt: skip
"""A state in balance: (30 + 40 + 4) * 1.02 = 75.48 through the UPS, 25 for cooling."""


class Meters:
    """Tells readings once a period; what it is told to leave out falls silent."""

    def __init__(self, site: Site = SITE) -> None:
        self.telemetry, self.at = Telemetry(site), NOW
        self.told = dict(GOOD) | {key: 24.0 for rules in site.sensors.values() for key in rules.redundant}
        self.digit = 0

    def pass_by(self, seconds: float, without: tuple[str, ...] = (), **more: float) -> Snapshot:
        """Let `seconds` pass in steps of 5 s, every sensor that is not left out speaking; the last digit moves."""
        for _ in range(round(seconds / 5)):
            self.at += timedelta(seconds=5)
            self.digit += 1
            for key, value in self.told.items():
                if key not in without:
                    self.say(key, value * (1 + (self.digit % 5) * 1e-7))
            self.telemetry.snapshot(self.at)
        return self.telemetry.snapshot(self.at)

    def say(self, key: str, value: float | None, **more: Any) -> str | None:
        payload = {"value": value, "timestamp": round(self.at.timestamp() * 1000)} | more
        return self.telemetry.accept(Message(f"facility/v1/s/tele/{key}", json.dumps(payload).encode()), self.at)


def kinds(seen: Snapshot) -> dict[str, tuple[str, str]]:
    return {key: (doubt.verdict, doubt.kind) for key, doubt in seen.doubts.items()}


def test_of_several_verdicts_the_worst_counts() -> None:
    order = (Verdict.GOOD, Verdict.SUSPECT, Verdict.SUBSTITUTED, Verdict.BAD, Verdict.MISSING)
    assert tuple(Verdict) == order
    assert worst([Verdict.BAD, Verdict.SUSPECT]) == Verdict.BAD
    assert worst([]) == Verdict.GOOD


def test_where_all_speak_and_agree_nothing_is_doubted() -> None:
    seen = Meters(THREE).pass_by(600)
    assert (dict(seen.doubts), seen.stale) == ({}, ())
    assert (seen.import_kw, seen.import_high_kw) == (pytest.approx(100.48), pytest.approx(100.48))


# --- several sensors of one quantity ---


@pytest.mark.parametrize(
    ("second", "third", "used"), [(24.5, 25.0, 24.5), (24.5, 31.0, 24.5), (30.0, 31.0, 30.0)]
)
def test_of_three_thermometers_the_median_counts(second: float, third: float, used: float) -> None:
    meters = Meters(THREE)
    meters.told |= dict(zip(TWINS, (second, third), strict=True))
    assert meters.pass_by(30).hall_c == {"h": pytest.approx(used, abs=1e-3)}


def test_one_of_three_that_drifts_is_named_after_a_minute_and_changes_nothing() -> None:
    meters = Meters(THREE)
    meters.pass_by(60)
    drift = 0.0
    while drift < 4:
        drift += 0.05
        meters.told[TWINS[1]] = 24.0 + drift
        meters.pass_by(5)
    meters.pass_by(60)
    seen = meters.pass_by(5)
    assert kinds(seen) == {TWINS[1]: ("suspect", "drift")}
    assert "shows 28.05, the median of 3 is 24 degC" in seen.doubts[TWINS[1]].says
    assert seen.hall_c == {"h": pytest.approx(24.0, abs=1e-3)}


def test_two_that_are_left_agree_or_the_hotter_counts_and_one_alone_is_suspect() -> None:
    meters = Meters(THREE)
    meters.told[TWINS[0]] = 25.0
    meters.pass_by(60)
    seen = meters.pass_by(60, without=(HALL,))
    assert seen.hall_c == {"h": pytest.approx(24.5, abs=1e-3)}
    assert kinds(seen) == {HALL: ("missing", "silent")}
    assert seen.doubts[HALL].measured
    meters.told[TWINS[0]] = 28.0
    seen = meters.pass_by(120, without=(HALL,))
    assert seen.hall_c == {"h": pytest.approx(28.0, abs=1e-3)}
    assert kinds(seen) == {HALL: ("suspect", "disagrees"), **dict.fromkeys(TWINS, ("suspect", "disagrees"))}
    seen = meters.pass_by(60, without=(HALL, TWINS[0]))
    assert kinds(seen)[HALL] == ("suspect", "alone")
    assert seen.hall_c == {"h": pytest.approx(24.0, abs=1e-3)}


# --- balance ---


def test_the_balance_of_each_feeder_is_what_hangs_on_it_and_the_grids_is_the_roots() -> None:
    found = {b.name: (set(b.parts), b.base_kw, b.tolerance_kw) for b in balances(SITE)}
    assert found["ups"] == ({BUS_A, "site/feeder/bus-b/power_kw"}, 4.0, 10.0)
    assert found["bus-a"] == ({A}, 0.0, 3.0)
    assert found["root"] == ({UPS, CHILLER, BATTERY}, 0.0, 10.0)
    assert found["grid"] == ({ROOT}, 0.0, 10.0)
    assert [b.name for b in balances(SITE)][-2:] == ["root", "grid"]


@pytest.mark.parametrize(("key", "value", "blamed"), [(A, 20.0, {A}), (UPS, 50.0, {UPS}), (METER, 60.0, {METER}), (CHILLER, 5.0, {CHILLER, BATTERY})])
def test_a_meter_that_does_not_add_up_for_a_minute_is_named(key: str, value: float, blamed: set[str]) -> None:
    """A UPS that its busways and its parent contradict is itself to blame; of the root feeder, which the grid's meter confirms, what hangs on
    it by itself: chiller and battery, for nobody can tell which.
    """
    meters = Meters()
    meters.pass_by(60)
    meters.told[key] = value
    assert meters.pass_by(55).doubts.keys() <= {key}
    seen = meters.pass_by(30)
    assert seen.doubts.keys() == blamed
    assert {kind for _, kind in kinds(seen).values()} == {"balance"}


def test_where_the_meter_shows_less_than_what_hangs_on_it_that_counts() -> None:
    meters = Meters()
    meters.pass_by(60)
    meters.told[METER] = 60.0
    assert meters.pass_by(120).import_kw == pytest.approx(100.48)
    assert meters.pass_by(5).import_high_kw == pytest.approx(100.48)


def test_feeders_of_a_group_carry_for_each_other_and_are_in_balance_as_long_as_their_sum_is() -> None:
    feeders = {name: RAW["feeders"][name] | {"redundancy_group": "bus"} for name in ("bus-a", "bus-b")}
    meters = Meters(Site.model_validate(RAW | {"feeders": RAW["feeders"] | feeders}))
    meters.told |= {BUS_A: 0.0, "site/feeder/bus-b/power_kw": 70.0}
    seen = meters.pass_by(120)
    assert (dict(seen.doubts), seen.feeder_kw["bus-a"], round(seen.feeder_kw["bus-b"])) == ({}, 0.0, 70)
    meters.told["site/feeder/bus-b/power_kw"] = 40.0
    assert kinds(meters.pass_by(120)) == {BUS_A: ("suspect", "balance")}


def test_a_job_that_starts_between_two_samples_breaks_no_balance() -> None:
    meters = Meters()
    meters.pass_by(60)
    for a_kw in (45.0, 20.0, 45.0, 20.0):
        meters.told[A] = a_kw
        meters.pass_by(10)
        meters.told |= {BUS_A: a_kw, UPS: (a_kw + 44) * 1.02, ROOT: (a_kw + 44) * 1.02 + 25, METER: (a_kw + 44) * 1.02 + 25}
        seen = meters.pass_by(30)
    assert dict(seen.doubts) == {}


# --- stand-ins ---


def test_a_pool_that_is_not_heard_may_draw_its_caps_and_its_hosts_but_no_value_is_made_up() -> None:
    """100 GPUs at 250 W as reported, and 100 W of hosts: 35 kW; where nobody reports, 400 W: 50 kW."""
    meters = Meters()
    seen = meters.pass_by(60, without=(A,))
    assert seen.doubts[A].value == pytest.approx(50.0)
    report = {"enforced_cap_w": 250, "timestamp": round(meters.at.timestamp() * 1000)}
    meters.telemetry.accept(Message("facility/v1/s/cap/h/a/reported", json.dumps(report).encode()), meters.at)
    seen = meters.pass_by(5, without=(A,))
    assert (seen.doubts[A].verdict, seen.doubts[A].value) == ("substituted", pytest.approx(35.0))
    assert seen.pool_kw.keys() == {"b"}


def test_of_a_pool_whose_gpus_tell_their_own_power_that_is_what_they_may_draw() -> None:
    """12 kW of the GPUs and 100 W for each host; of GPUs that tell more than their caps allow, the caps."""
    rule = {"topic": "dcgm/a", "sensor": "pool/a/gpu_power_kw", "unit": "kW"}
    meters = Meters(Site.model_validate(RAW | {"bus": {"mapping": [rule]}}))
    for gpus_kw, worst_kw in ((12.0, 22.0), (45.0, 50.0)):
        meters.pass_by(60, without=(A,))
        for seconds in (1, 2, 3):
            at = meters.at + timedelta(seconds=seconds)
            meters.telemetry.accept(Message("dcgm/a", str(gpus_kw).encode()), at)
        assert meters.telemetry.snapshot(at).doubts[A].value == pytest.approx(worst_kw)


def test_a_meter_that_falls_silent_is_what_hangs_on_it_as_long_as_that_is_measured() -> None:
    meters = Meters()
    meters.pass_by(60)
    seen = meters.pass_by(60, without=(METER,))
    assert (seen.import_kw, seen.import_high_kw) == (pytest.approx(100.48), pytest.approx(100.48))
    assert (seen.doubts[METER].verdict, seen.doubts[METER].stands_in, seen.doubts[METER].measured) == ("substituted", "what hangs on it", True)
    assert meters.pass_by(60, without=(METER, ROOT, A, BUS_A)).import_kw == pytest.approx(100.48)
    seen = meters.pass_by(60, without=(METER, ROOT, BATTERY))
    assert (seen.import_kw, seen.import_high_kw, seen.doubts[METER].measured) == (None, None, False)
    assert seen.doubts[METER].value == pytest.approx(75.48 + 25 + 10), "the battery may charge"


def test_a_hall_that_falls_silent_warms_up_at_the_worst_rate_and_is_unknown_in_the_end() -> None:
    """2 * 50 kW + 4 kW + (30 - 18) K / 2 K/kW = 110 kW into 10 kWh/K: 11 K/h, so an hour from 24 to 35 degC."""
    meters = Meters()
    meters.pass_by(60)
    heard = meters.at
    seen = meters.pass_by(1800, without=(HALL,))
    assert seen.hall_c["h"] == pytest.approx(24 + 11 * 0.5, abs=0.01)
    assert kinds(seen)[HALL] == ("substituted", "silent")
    assert heard.strftime("%H:%M:%S") in seen.doubts[HALL].says
    seen = meters.pass_by(1830, without=(HALL,))
    assert seen.hall_c == {"h": 35.0}
    assert kinds(seen)[HALL] == ("missing", "silent")
    assert "unknown" in seen.doubts[HALL].says
    seen = meters.pass_by(5)
    assert (seen.hall_c, seen.doubts.get(HALL)) == ({"h": pytest.approx(24.0, abs=1e-3)}, None)


def test_a_thermometer_that_stands_still_is_as_a_silent_one_from_when_it_is_found_out() -> None:
    meters = Meters()
    meters.pass_by(600)
    told = meters.told.pop(HALL)
    for _ in range(361):
        meters.pass_by(5)
        meters.say(HALL, told)
    assert meters.telemetry.snapshot(meters.at).doubts.keys() == {HALL}
    seen = meters.telemetry.snapshot(meters.at + timedelta(seconds=12))
    assert kinds(seen)[HALL] == ("substituted", "stuck")
    assert seen.hall_c["h"] == pytest.approx(24 + 11 * 12 / 3600, abs=0.002)


def test_a_battery_and_a_tank_that_fall_silent_empty_as_fast_as_they_can() -> None:
    """30 kWh at 12 kW down to 6 kWh that are never used: two hours; 20 kWh of cold at 20 kW: one."""
    meters = Meters()
    meters.pass_by(60)
    silent = ("site/battery/x/energy_kwh", TANK)
    seen = meters.pass_by(1800, without=silent)
    assert seen.battery_kwh == {"x": pytest.approx(24.0, abs=0.01)}
    assert seen.thermal_store_kwh == {"c": pytest.approx(10.0, abs=0.01)}
    seen = meters.pass_by(7200, without=silent)
    assert (seen.battery_kwh, seen.thermal_store_kwh) == ({"x": 6.0}, {"c": 0.0})


def test_with_every_sensor_lost_all_is_named_and_nothing_is_made_up() -> None:
    meters = Meters()
    meters.pass_by(60)
    seen = meters.pass_by(60, without=tuple(GOOD))
    assert set(seen.doubts) == set(seen.stale) == set(GOOD)
    assert (seen.pool_kw, seen.cooling_kw, seen.feeder_kw, seen.import_kw, seen.import_high_kw, seen.outdoor_c) == ({}, {}, {}, None, None, None)
    assert seen.doubts[UPS].value == pytest.approx((50 + 50 + 4) * 1.02)
    assert seen.doubts[METER].value == pytest.approx(seen.doubts[ROOT].value)
    assert not any(doubt.measured for doubt in seen.doubts.values())
    assert seen.doubts[OUTDOOR].value == pytest.approx(28.0, abs=1e-3)


def test_a_sensor_that_the_building_does_not_have_is_no_doubt_but_counts_at_worst() -> None:
    meters = Meters(Site.model_validate(RAW | {"sensors": {BUS_A: {"absent": True}, A: {"absent": True}}}))
    seen = meters.pass_by(60, without=(A, BUS_A, UPS, ROOT, METER))
    assert {A, BUS_A}.isdisjoint(seen.doubts)
    assert {A, BUS_A}.isdisjoint(seen.stale)
    assert {A, BUS_A}.isdisjoint(finding.sensor.key for finding in Survey(meters.telemetry._site).findings(60))
    assert seen.doubts[UPS].value == pytest.approx((50 + 40 + 4) * 1.02)
    meters.pass_by(10)
    assert meters.pass_by(60, without=(A,)).doubts[A].kind == "silent", "it is there after all"


def test_what_is_refused_is_bad_and_says_why_and_what_was_never_heard_is_awaited_first() -> None:
    meters = Meters()
    meters.told.pop(HALL)
    assert kinds(meters.pass_by(25))[HALL] == ("missing", "awaited")
    assert kinds(meters.pass_by(25))[HALL] == ("missing", "unheard")
    meters.say(HALL, 77.0)
    seen = meters.telemetry.snapshot(meters.at)
    assert kinds(seen)[HALL] == ("bad", "refused")
    assert "would fit in degF" in seen.doubts[HALL].says
    assert seen.hall_c == {}


def test_a_sender_whose_clock_is_behind_or_ahead_is_told_from_one_that_is_silent() -> None:
    meters = Meters()
    meters.pass_by(60, without=(A,))
    for _ in range(6):
        meters.pass_by(5, without=(A,))
        meters.say(A, 30.0, timestamp=round((meters.at - timedelta(seconds=40)).timestamp() * 1000))
    assert kinds(meters.telemetry.snapshot(meters.at))[A] == ("substituted", "late")
    meters.say(A, 30.0, timestamp=round((meters.at + timedelta(seconds=90)).timestamp() * 1000))
    seen = meters.telemetry.snapshot(meters.at)
    assert kinds(seen)[A] == ("substituted", "refused")
    assert "is more than 60 s ahead" in seen.doubts[A].says


def test_after_a_restart_a_hall_that_stays_silent_goes_on_warming_up_and_a_meter_was_heard_before() -> None:
    meters = Meters()
    meters.pass_by(60)
    again = Telemetry(SITE)
    again.restore(meters.telemetry.dump())
    assert again.dump() == meters.telemetry.dump()
    assert again.snapshot(meters.at + timedelta(seconds=5)).hall_c == {"h": pytest.approx(24.0, abs=1e-3)}
    seen = again.snapshot(meters.at + timedelta(minutes=30))
    assert seen.hall_c == {"h": pytest.approx(24 + 11 * 0.5, abs=0.01)}
    assert (kinds(seen)[METER][1], kinds(seen)[A][1]) == ("silent", "unheard")
    assert Telemetry(SITE).restore(b'{"site":"s","metered":{},"specs":{},"reports":{}}') == (), "what an older version wrote"


def test_two_hours_of_a_sound_site_with_jobs_that_come_and_go_raise_no_doubt() -> None:
    """Every GPU uncapped, so that steps are as large as they get; with each instrument's noise. (So do days: `Reference` for 24 h.)"""
    site = load_site("site_configs/demo.yaml")
    plant, telemetry, at = Reference(site, NOW, seed=1), Telemetry(site), NOW
    due = dict.fromkeys(plant.sensors, at)
    doubts: set[tuple[str, str]] = set()
    for _ in range(1440):
        at += timedelta(seconds=5)
        plant.advance(at)
        for sensor in due:
            if at >= due[sensor]:
                due[sensor] = at + timedelta(seconds=sensor.period_s)
                payload = json.dumps({"value": plant.read(sensor), "timestamp": round(at.timestamp() * 1000)}).encode()
                assert telemetry.accept(Message(f"facility/v1/demo/tele/{sensor.key}", payload), at) is None
        doubts |= {(key, doubt.kind) for key, doubt in telemetry.snapshot(at).doubts.items()}
    assert {kind for _, kind in doubts} <= {"awaited", "unconfirmed"}
