"""Points of a building management system become readings: by their metadata, converted once, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.interface import Message, matches
from facility.dsx.bms import Value, parse, pattern
from facility.dsx.facts import POINTS
from facility.dsx.naming import expression
from facility.sensors import sensors
from facility.site import Site
from facility.telemetry import Telemetry
from facility.telemetry.readings import Refusal
from facility.telemetry.sums import Sum

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CURVE = {"source": "by hand", "points": [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 390, "speed": 1}]}
RULES = [
    {"object_type": "PowerMeter", "point_type": "ActivePower", "id": "UTILITY", "sensor": "meter/main/import_kw"},
    {"object_type": "PowerMeter", "point_type": "ActivePower", "id": "PM-{asset}", "sensor": "feeder/{asset}/power_kw"},
    {"object_type": "UPS", "point_type": "GenericPoint", "id": "{asset}", "sensor": "feeder/{asset}/power_kw", "names": {"USV 7": "main"}},
    {"object_type": "Rack", "point_type": "RackPower", "id": "R*", "sensor": "pool/p/it_power_kw", "sum_of": 2},
    {"object_type": "CRAH", "point_type": "AirTemperature", "id": "*", "process_area": ["Supply"], "sensor": "hall/h/air_temperature_c"},
    {"object_type": "GenericObject", "point_type": "GenericPoint", "id": "OUT", "sensor": "weather/outdoor/temperature_c"},
]
SITE = Site.model_validate({
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 4},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": CURVE}}},
    "feeders": {"main": {"rating_kw": 5}, "ups": {"rating_kw": 5, "parent": "main"}},
    "halls": {"h": {"feeder": "main", "thermal": {"heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 1, "start_c": 24, "cooling_plant": "c"}}},
    "cooling_plants": {"c": {"feeder": "main", "design_heat_kw": 5, "max_heat_kw": 5, "pump_kw": 0, "fan_kw": 0}},
    "pools": {"p": {"hall": "h", "feeder": "ups", "gpu_model": "g", "gpus": 10}}, "jobs": {"curve": "train"},
    "bus": {"profile": "dsx", "dsx": {"agent": "a", "points": RULES}},
})  # fmt: skip
METER = "site/meter/main/import_kw"
POOL = "h/pool/p/it_power_kw"


class Building:
    """What the building management system says, and what telemetry makes of it."""

    def __init__(self) -> None:
        self.telemetry = Telemetry(SITE)

    def hear(self, kind: str, place: str, payload: Any, *, retain: bool = False) -> str | None:
        told = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        topic = f"BMS/v1/PUB/{kind}/{place}"
        assert any(matches(asked, topic) for asked in self.telemetry.patterns)
        return self.telemetry.accept(Message(topic, told, retain=retain), NOW)

    def describe(self, place: str, **fields: Any) -> str | None:
        object_type, point_type, _ = place.split("/", 2)
        return self.hear("Metadata", place, {"objectType": object_type, "pointType": point_type} | fields, retain=True)

    def value(self, place: str, value: Any, *, ago_s: float = 0.0, quality: int = 1) -> str | None:
        at_ms = int((NOW - timedelta(seconds=ago_s)).timestamp() * 1000)
        return self.hear("Value", place, {"value": value, "timestamp": at_ms, "quality": quality})

    def now(self, key: str) -> float | None:
        reading = self.telemetry.reading(key, NOW)
        return None if reading is None else reading.value


UTILITY = "PowerMeter/ActivePower/site1/yard/utility"


def meter(unit: str = "kW", **more: Any) -> dict[str, Any]:
    return {"objectName": "Utility", "objectId": "UTILITY", "servesId": ["UPS"], "engUnit": unit} | more


@pytest.mark.parametrize(("unit", "told", "kw"), [("kW", 2.5, 2.5), ("W", 2500, 2.5), ("MW", 0.0025, 2.5)])
def test_a_value_is_converted_once_from_the_unit_of_its_metadata(unit: str, told: float, kw: float) -> None:
    building = Building()
    assert building.describe(UTILITY, **meter(unit)) is None
    assert building.value(UTILITY, told) is None
    assert building.now(METER) == pytest.approx(kw)


@pytest.mark.parametrize("unit", ["mW", "kVA", "kilowatt", "", "C"])
def test_a_unit_that_is_not_known_or_measures_something_else_is_not_guessed_at(unit: str) -> None:
    building = Building()
    assert "unit" in str(building.describe(UTILITY, **meter(unit)))
    assert "unit" in str(building.value(UTILITY, 2.5))
    assert building.now(METER) is None
    assert building.telemetry.refused["unit"] == 2


def test_states_are_no_unit() -> None:
    building = Building()
    fields = {key: value for key, value in meter().items() if key != "engUnit"}
    assert "unit" in str(building.describe(UTILITY, **fields, stateText=[{"value": 0, "text": "Off"}]))


def test_a_value_before_its_metadata_is_counted_and_waits_with_its_own_time() -> None:
    building = Building()
    assert "metadata has not come" in str(building.value(UTILITY, 1000, ago_s=30))
    assert "metadata has not come" in str(building.value(UTILITY, 2500, ago_s=20))
    assert building.now(METER) is None
    assert building.telemetry.refused["unit"] == 2
    assert building.describe(UTILITY, **meter("W")) is None
    assert building.now(METER) == 2.5
    assert building.telemetry.age_s(METER, NOW) == 20


def test_metadata_that_comes_again_changes_nothing_and_another_unit_counts_from_then_on() -> None:
    building = Building()
    for _ in range(2):
        assert building.describe(UTILITY, **meter("W")) is None
        assert building.value(UTILITY, 2500) is None
    assert building.describe(UTILITY, **meter("kW")) is None
    assert building.value(UTILITY, 3) is None
    assert building.now(METER) == 3


def test_metadata_that_is_withdrawn_makes_values_wait_again() -> None:
    building = Building()
    building.describe(UTILITY, **meter())
    assert building.hear("Metadata", UTILITY, b"", retain=True) is None
    assert "metadata has not come" in str(building.value(UTILITY, 2.5))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"value": None, "timestamp": 1_782_907_200_000, "quality": 1}, "quality"),
        ({"value": 1.0, "timestamp": 1_782_907_200_000, "quality": 0}, "quality"),
        ({"value": 1.0, "timestamp": 1_782_907_200_000, "quality": 192}, "quality"),
        ({"value": 1.0, "timestamp": 1_782_907_200_000}, "malformed"),
        ({"value": 1.0, "quality": 1}, "malformed"),
        ({"value": "1.0", "timestamp": 1_782_907_200_000, "quality": 1}, "malformed"),
        ({"value": 1.0, "timestamp": "2026-07-01T12:00:00Z", "quality": 1}, "malformed"),
        ({"value": 1.0, "timestamp": 1_782_907_200_000 + 120_000, "quality": 1}, "future"),
        (b"1.0", "malformed"),
        (b"\xff", "malformed"),
    ],
)
def test_only_a_good_value_with_its_time_and_quality_counts(payload: Any, why: str) -> None:
    building = Building()
    building.describe(UTILITY, **meter())
    assert str(building.hear("Value", UTILITY, payload)).startswith(why)
    assert building.now(METER) is None
    assert building.telemetry.refused[why] == 1


def test_a_rule_finds_our_id_in_theirs() -> None:
    building = Building()
    place = "PowerMeter/ActivePower/x/y"
    assert building.describe(place, **meter(objectId="PM-ups")) is None
    assert building.value(place, 3.0) is None
    assert building.now("site/feeder/ups/power_kw") == 3.0
    assert "no sensor feeder/spare/power_kw" in str(building.describe("PowerMeter/ActivePower/z", **meter(objectId="PM-spare")))


def test_what_the_building_calls_an_asset_may_be_told_and_then_others_are_not_read() -> None:
    building = Building()
    for place, name in (("UPS/GenericPoint/a", "USV 7"), ("UPS/GenericPoint/b", "ups")):
        assert building.describe(place, objectName=name, objectId=name, engUnit="kW") is None
        assert building.value(place, 3.0) is None
    assert [building.now(f"site/feeder/{feeder}/power_kw") for feeder in ("main", "ups")] == [3.0, None]


def test_points_that_no_rule_names_set_points_and_those_of_integrations_are_none_of_ours() -> None:
    building = Building()
    places = [f"PowerMeter/ActivePower/{i}" for i in range(3)]
    for place, more in zip(places, ({"objectId": "lift"}, {"isSetpoint": True}, {"integration": "MEPAI"}), strict=True):
        assert building.describe(place, **meter(**more)) is None
        assert building.value(place, 3.0) is None
    assert building.now(METER) is None
    assert not building.telemetry.refused


def test_where_two_points_would_be_one_sensor_the_first_has_it() -> None:
    building = Building()
    building.describe(UTILITY, **meter())
    assert "is meter/main/import_kw already" in str(building.describe("PowerMeter/ActivePower/b", **meter()))
    building.value(UTILITY, 2.0)
    assert "already" in str(building.value("PowerMeter/ActivePower/b", 3.0))
    assert building.now(METER) == 2.0
    building.hear("Metadata", UTILITY, b"", retain=True)
    assert building.describe("PowerMeter/ActivePower/b", **meter()) is None
    building.value("PowerMeter/ActivePower/b", 3.0)
    assert building.now(METER) == 3.0


def test_metadata_that_contradicts_its_topic_is_refused() -> None:
    building = Building()
    payload = {"objectType": "Rack", "pointType": "RackPower"} | meter()
    assert "malformed" in str(building.hear("Metadata", UTILITY, payload))


def test_process_areas_must_all_be_there_and_what_an_object_is_associated_with_counts_as_its_id() -> None:
    building = Building()
    supply, back = "CRAH/AirTemperature/a", "CRAH/AirTemperature/b"
    building.describe(supply, associateId="crah-1", engUnit="C", processArea=["Supply", "Cold aisle"])
    building.describe(back, associateId="crah-1", engUnit="C", processArea=["Return"])
    building.value(supply, 23.5)
    building.value(back, 35.0)
    assert building.now("h/hall/h/air_temperature_c") == 23.5


RACKS = "Rack/RackPower/row1/r1", "Rack/RackPower/row1/r2"


def racks(building: Building) -> None:
    for place in RACKS:
        assert building.describe(place, rackLocationName=place[-2:], rackLocationId=f"R{place[-1]}", engUnit="kW") is None


def test_racks_make_a_pool_once_all_are_known_as_old_as_the_oldest() -> None:
    building = Building()
    racks(building)
    assert "1 of 2" in str(building.value(RACKS[0], 1.5, ago_s=90))
    assert building.now(POOL) is None
    assert building.value(RACKS[1], 1.25) is None
    assert building.now(POOL) == 2.75
    assert building.telemetry.age_s(POOL, NOW) == 90


def test_a_rack_that_is_silent_or_not_good_leaves_the_pool_unknown() -> None:
    building = Building()
    racks(building)
    building.value(RACKS[0], 1.5, ago_s=400)
    assert str(building.value(RACKS[1], 1.25)).startswith("old: ")
    assert str(building.value(RACKS[0], None)).startswith("quality: ")
    assert building.now(POOL) is None
    assert building.value(RACKS[0], 1.0) is None
    assert building.now(POOL) == 2.25


def test_more_racks_than_the_site_file_says_are_no_sum() -> None:
    building = Building()
    racks(building)
    building.value(RACKS[0], 1.0)
    building.value(RACKS[1], 1.0)
    building.describe("Rack/RackPower/row1/r3", rackLocationName="r3", rackLocationId="R3", engUnit="kW")
    assert "3 of 2" in str(building.value("Rack/RackPower/row1/r3", 1.0))


PART = st.tuples(st.integers(0, 3), st.one_of(st.none(), st.floats(-1e6, 1e6)), st.integers(0, 400), st.sampled_from([1, 1, 1, 0]))


@given(st.lists(PART, max_size=60))
def test_a_sum_is_that_of_its_parts_whatever_comes(said: list[tuple[int, float | None, int, int]]) -> None:
    """The same, added up anew each time."""
    (sensor,) = (s for s in sensors(SITE) if s.key == POOL)
    parts: dict[int, tuple[float | None, int, int]] = {}
    found, newest = Sum(sensor, 4), 0
    for part, value, at_s, quality in said:
        parts[part] = (value, 1000 * at_s, quality)
        newest = max(newest, 1000 * at_s)
        known = len(parts) == 4 and newest - min(at for _, at, _ in parts.values()) <= 300_000
        known &= all(v is not None and q == 1 for v, _, q in parts.values())
        if not known:
            with pytest.raises(Refusal, match=r"unknown|old|quality"):
                found.told(str(part), Value(value, 1000 * at_s, quality))
            continue
        told = found.told(str(part), Value(value, 1000 * at_s, quality))
        assert told.values[POOL] == pytest.approx(sum(v or 0.0 for v, _, _ in parts.values()), abs=1e-6)
        assert told.at_ms == min(at for _, at, _ in parts.values())


def test_a_sensor_of_the_exchange_is_patient_for_three_times_the_hundred_seconds_that_values_take() -> None:
    building = Building()
    building.describe(UTILITY, **meter())
    building.value(UTILITY, 2.0)
    assert building.telemetry.reading(METER, NOW + timedelta(seconds=299)) is not None
    assert building.telemetry.reading(METER, NOW + timedelta(seconds=301)) is None


def test_only_what_rules_name_is_asked_for() -> None:
    asked = [p for p in Telemetry(SITE).patterns if p.startswith("BMS/")]
    assert len(asked) == 2 * len({(rule["object_type"], rule["point_type"]) for rule in RULES})
    assert "BMS/v1/PUB/Value/Rack/RackPower/#" in asked


@pytest.mark.parametrize(
    "topic", ["BMS/v1/PUB/Value/Rack/RackPower", "BMS/v1/PUB/Alarm/Rack/RackPower/x", "BMS/v1/MEPAI/Value/Rack/RackPower/x", "x"]
)
def test_other_topics_are_none_of_the_building_management_systems_values(topic: str) -> None:
    assert parse(topic) is None
    assert not Telemetry(SITE).hear(Message(topic, b"{}"), NOW)


@given(tag=st.lists(st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5).map("/".join))
def test_every_point_is_found_in_its_topic_and_its_pattern_asks_for_it(tag: str) -> None:
    for object_type, points in POINTS.items():
        topic = f"BMS/v1/PUB/Value/{object_type}/{points[0]}/{tag}"
        found = parse(topic)
        assert found is not None
        assert found == ("Value", (object_type, points[0], tag))
        assert matches(pattern("Value", object_type, points[0]), topic)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_nothing_but_a_refusal_comes_of_them(payload: bytes) -> None:
    building = Building()
    for kind in ("Metadata", "Value"):
        building.hear(kind, UTILITY, payload)


@pytest.mark.parametrize("text", ["{Feeder}", "{a}{a}", "a{b", "}"])
def test_a_pattern_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"brace|twice"):
        expression(text)
