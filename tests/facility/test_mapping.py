"""A building's own topics become readings by the site file's rules: each way to speak that we know, and what is refused."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facility.bus.interface import Message
from facility.config import load_site
from facility.config.rules.mapping import known_sensors
from facility.errors import InputError
from facility.sensors import sensors
from facility.site import Site
from facility.telemetry import Telemetry
from facility.telemetry.mapping import Mapping
from facility.telemetry.readings import Refusal
from facility.telemetry.routes import Told

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW_S = 1_782_907_200
DEMO = "site_configs/demo.yaml"
PLAIN = {"topic": "bms/{hall}/{pool}", "sensor": "pool/{pool}/it_power_kw", "unit": "W"}
RACKS = {"topic": "racks", "sensor": "feeder/{rack}/power_kw", "value": "kw.{rack}", "unit": "kW"}


def site(*rules: dict[str, Any]) -> Site:
    return load_site(DEMO, [f"bus.mapping={json.dumps(rules)}"])


def heard(message: Any, *rules: dict[str, Any], topic: str = "t", retain: bool = False) -> tuple[dict[str, float], str | None]:
    """What is believed after one message, by sensor, and why it, or its first part, is not used."""
    telemetry = Telemetry(site(*rules))
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    refused = telemetry.accept(Message(topic, payload, retain=retain), NOW)
    found = {sensor.key: telemetry.reading(sensor.key, NOW) for sensor in sensors(site(*rules))}
    return {key: round(reading.value, 9) for key, reading in found.items() if reading is not None}, refused


def at(reading: str, message: Any, rule: dict[str, Any]) -> datetime | None:
    telemetry = Telemetry(site(rule))
    telemetry.accept(Message("t", json.dumps(message).encode()), NOW)
    found = telemetry.reading(reading, NOW)
    return None if found is None else found.at


# --- ways to speak ---


def test_a_plain_number_on_a_topic_is_of_the_sensor_that_the_topic_names() -> None:
    assert heard(b"123456", PLAIN, topic="bms/h1/h1-a") == ({"h1/pool/h1-a/it_power_kw": 123.456}, None)
    assert heard(b" 1.5e5\n", PLAIN, topic="bms/h1/h1-a") == ({"h1/pool/h1-a/it_power_kw": 150.0}, None)
    assert heard(b'"150000"', PLAIN, topic="bms/h1/h1-a") == ({"h1/pool/h1-a/it_power_kw": 150.0}, None)


def test_what_the_building_calls_an_asset_is_translated_and_others_are_not_read() -> None:
    rule = PLAIN | {"names": {"POOL_1A": "h1-a"}}
    assert heard(b"1000", rule, topic="bms/EG/POOL_1A") == ({"h1/pool/h1-a/it_power_kw": 1.0}, None)
    assert Mapping(site(rule)).route("bms/EG/h1-a") is None


def test_the_counts_of_a_register_are_scaled_before_they_are_converted() -> None:
    rule = {"topic": "t", "sensor": "weather/outdoor/temperature_c", "unit": "degF", "scale": 0.1}
    assert heard(b"770", rule) == ({"site/weather/outdoor/temperature_c": 25.0}, None)


def test_a_state_is_the_number_that_the_rule_gives_it() -> None:
    rule = {"topic": "t", "sensor": "cooling/chiller/power_kw", "states": {"ON": 60, "OFF": 1, "true": 60, "2": 90}}
    for payload, value in ((b"ON", 60.0), (b'"OFF"', 1.0), (b"true", 60.0), (b"2", 90.0)):
        assert heard(payload, rule) == ({"site/cooling/chiller/power_kw": value}, None)
    assert heard(b"on", rule) == (
        {},
        "malformed: site/cooling/chiller/power_kw: 'on' is none of the states ON, OFF, true, 2",
    )


TELEGRAF = {
    "topic": "t",
    "each": "metrics[name=modbus]",
    "where": {"tags.type": "holding"},
    "captures": {"meter": "tags.device"},
    "names": {"QF1": "busway-1a", "QF2": "busway-1b"},
    "sensor": "feeder/{meter}/power_kw",
    "value": "fields.power",
    "unit": "W",
    "timestamp": {"path": "timestamp", "unit": "s"},
}


def metric(device: str, power: Any, at_s: int = NOW_S, kind: str = "holding", name: str = "modbus") -> dict[str, Any]:
    return {"fields": {"power": power}, "name": name, "tags": {"device": device, "type": kind}, "timestamp": at_s}


def test_telegraf_tells_by_tags_whose_values_they_are_one_or_many_in_a_message() -> None:
    batch = {"metrics": [metric("QF1", 2e5), metric("QF2", 1e5), metric("QF9", 1.0), metric("QF1", 9e4, kind="coil"),
                         metric("QF1", 8e4, name="cpu")]}  # fmt: skip
    both = {"site/feeder/busway-1a/power_kw": 200.0, "site/feeder/busway-1b/power_kw": 100.0}
    assert heard(batch, TELEGRAF) == (both, None)
    alone = {key: value for key, value in TELEGRAF.items() if key != "each"}
    assert heard(metric("QF1", 2e5), alone) == ({"site/feeder/busway-1a/power_kw": 200.0}, None)


def test_sparkplug_batches_are_read_with_the_time_of_each_metric_and_null_is_missing() -> None:
    rule = {
        "topic": "t", "each": "metrics[name={m}]", "names": {"Power/UPS-1": "ups-1", "Power/UPS-2": "ups-2", "Power/Mech": "mech"},
        "sensor": "feeder/{m}/power_kw", "value": "value", "unit": "kW", "timestamp": {"path": "timestamp", "unit": "ms"},
        "quality": {"path": "is_null", "good": ["false", "null"]},
    }  # fmt: skip
    sent = NOW_S * 1000
    message = {"timestamp": sent, "seq": 2, "metrics": [
        {"name": "Power/UPS-1", "timestamp": sent - 4000, "datatype": "Double", "value": 311.5},
        {"name": "Power/UPS-2", "timestamp": sent, "datatype": "Double", "is_null": True, "value": 0.0},
        {"name": "Power/Mech", "timestamp": sent, "datatype": "Double", "is_null": False, "value": 100},
        {"name": "Node Control/Rebirth", "timestamp": sent, "datatype": "Boolean", "value": False},
    ]}  # fmt: skip
    believed, refused = heard(message, rule)
    assert believed == {"site/feeder/ups-1/power_kw": 311.5, "site/feeder/mech/power_kw": 100.0}
    assert refused is not None
    assert refused.startswith("quality: site/feeder/ups-2/power_kw")
    assert at("site/feeder/ups-1/power_kw", message, rule) == NOW - timedelta(seconds=4)


def test_one_message_of_a_device_feeds_several_rules_and_a_batch_is_keyed_by_name() -> None:
    device = {"topic": "t", "unit": "kWh", "sensor": "battery/bess-1/energy_kwh", "value": "soc.energy"}
    power = {"topic": "t", "unit": "W", "sensor": "battery/bess-1/power_kw", "value": "ac.power[1]"}
    message = {"soc": {"energy": 200}, "ac": {"power": [0, -50_000]}}
    told = {"site/battery/bess-1/energy_kwh": 200.0, "site/battery/bess-1/power_kw": -50.0}
    assert heard(message, device, power) == (told, None)
    believed, refused = heard({"kw": {"busway-1a": 200, "busway-9": 1, "mech": 80}}, RACKS, topic="racks")
    assert believed == {"site/feeder/busway-1a/power_kw": 200.0, "site/feeder/mech/power_kw": 80.0}
    assert refused == "unknown: the site has no sensor feeder/busway-9/power_kw"


def test_what_a_message_does_not_tell_is_nothing_amiss_but_a_message_that_tells_nothing_is() -> None:
    assert heard({"kw": {}, "more": 1}, RACKS, topic="racks") == ({}, "topic: racks tells nothing that the mapping looks for")
    other = {"topic": "racks", "sensor": "meter/main/import_kw", "value": "import", "unit": "kW"}
    assert heard({"kw": {"mech": 80}}, RACKS, other, topic="racks") == ({"site/feeder/mech/power_kw": 80.0}, None)


def test_what_a_gateway_tells_together_is_one_fact_and_a_sensor_told_twice_is_two() -> None:
    route = Mapping(site(TELEGRAF)).route("t")
    assert route is not None
    items = [metric("QF1", 1), metric("QF2", 2), metric("QF1", 3), metric("QF2", 4, at_s=NOW_S - 1), metric("QF2", "x")]
    facts = list(route(json.dumps({"metrics": items}).encode(), False))
    assert [fact.values for fact in facts if isinstance(fact, Told)] == [
        {"site/feeder/busway-1a/power_kw": 1.0, "site/feeder/busway-1b/power_kw": 2.0},
        {"site/feeder/busway-1a/power_kw": 3.0},
        {"site/feeder/busway-1b/power_kw": 4.0},
    ]
    assert [fact.kind for fact in facts if isinstance(fact, Refusal)] == ["malformed"]


# --- time and quality ---


@pytest.mark.parametrize(
    ("unit", "sent"),
    [
        ("s", NOW_S - 3), ("s", NOW_S - 3.0), ("s", str(NOW_S - 3)), ("ms", (NOW_S - 3) * 1000), ("us", (NOW_S - 3) * 10**6),
        ("ns", (NOW_S - 3) * 10**9), ("iso", "2026-07-01T11:59:57Z"), ("iso", "2026-07-01T13:59:57.000000+02:00"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_the_unit_that_the_rule_names(unit: str, sent: Any) -> None:
    rule = {"topic": "t", "sensor": "meter/main/import_kw", "unit": "kW", "value": "v", "timestamp": {"path": "at", "unit": unit}}
    assert at("site/meter/main/import_kw", {"v": 500, "at": sent}, rule) == NOW - timedelta(seconds=3)


@pytest.mark.parametrize(
    ("unit", "sent", "words"),
    [
        ("s", NOW_S * 1000, "not between 1970 and 2100"),
        ("ms", -1, "not between 1970 and 2100"),
        ("ms", True, "no time in ms"),
        ("ms", None, "no time in ms"),
        ("iso", "2026-07-01T12:00:00", "no offset"),
        ("iso", "noon", "no time of ISO 8601"),
        ("iso", NOW_S, "no time of ISO 8601"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(unit: str, sent: Any, words: str) -> None:
    rule = {"topic": "t", "sensor": "meter/main/import_kw", "unit": "kW", "value": "v", "timestamp": {"path": "at", "unit": unit}}
    believed, refused = heard({"v": 500, "at": sent}, rule)
    assert not believed
    assert words in str(refused)
    assert "nothing is no time" in str(heard({"v": 500}, rule)[1])


def test_a_retained_value_counts_only_with_its_time() -> None:
    timed = {"topic": "t", "sensor": "meter/main/import_kw", "unit": "kW", "value": "v", "timestamp": {"path": "at", "unit": "s"}}
    untimed = {key: value for key, value in timed.items() if key != "timestamp"}
    plain = PLAIN | {"topic": "t/{pool}"}
    assert heard({"v": 5, "at": NOW_S}, timed, retain=True)[0]
    for message, rule, topic in (({"v": 5}, untimed, "t"), (b"5", plain, "t/h1-a")):
        believed, refused = heard(message, rule, topic=topic, retain=True)
        assert not believed
        assert str(refused).startswith("old")


def test_only_the_qualities_that_the_rule_calls_good_are_used() -> None:
    rule = {"topic": "t", "sensor": "meter/main/import_kw", "unit": "kW", "value": "v"}
    told = {"path": "q", "good": ["GOOD", "192", "true"]}
    for quality in ("GOOD", 192, True):
        assert heard({"v": 5, "q": quality}, rule | {"quality": told})[0]
    for message in ({"v": 5, "q": "good"}, {"v": 5}, {"v": 5, "q": None}, {"v": 5, "q": []}):
        believed, refused = heard(message, rule | {"quality": told})
        assert not believed
        assert str(refused).startswith("quality")


# --- what is refused ---


@pytest.mark.parametrize("payload", [b"", b"nan", b"NaN", b"Infinity", b"true", b"12,5", b"12 kW", b"[5]", b"{}", b"\xff", b'"1_000"'])
def test_what_is_no_number_is_refused(payload: bytes) -> None:
    believed, refused = heard(payload, PLAIN, topic="bms/h1/h1-a")
    assert not believed
    assert str(refused).startswith("malformed")


def test_null_is_missing_and_what_no_sensor_can_say_is_out_of_range() -> None:
    assert str(heard(b"null", PLAIN, topic="bms/h1/h1-a")[1]).startswith("quality")
    assert str(heard(b"1e30", PLAIN, topic="bms/h1/h1-a")[1]).startswith("range")
    assert str(heard(b"1e999", PLAIN, topic="bms/h1/h1-a")[1])[:5] in ("malfo", "range")
    assert heard(b"5", PLAIN, topic="bms/h1/h9") == ({}, "unknown: the site has no sensor pool/h9/it_power_kw")


@pytest.mark.parametrize("payload", [b"[" * 60_000, b"9" * 60_000, b"{" + b" " * 70_000 + b"}", b'{"kw":' * 9_000])
def test_bombs_are_refused_in_a_moment(payload: bytes) -> None:
    began = time.monotonic()
    believed, refused = heard(payload, RACKS, topic="racks")
    assert (believed, str(refused)[:9]) == ({}, "malformed")
    assert time.monotonic() - began < 1.5


def test_a_message_of_thousands_of_items_is_read_in_linear_time() -> None:
    rule = TELEGRAF | {"where": {"$.all[name=x].ok": "true"}}
    items = [{"name": "modbus"}] * 2000
    mapping = Mapping(site(rule))
    route = mapping.route("t")
    assert route is not None
    payload = json.dumps({"metrics": items, "all": [{"name": str(i)} for i in range(1400)]}).encode()
    assert len(payload) < 65_536
    began = time.perf_counter()
    with pytest.raises(Refusal):
        route(payload, False)
    assert time.perf_counter() - began < 0.2


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kw", "metrics", "fields", "tags", "name"]), inner),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_whatever_comes_is_told_or_refused(everything: Mapping, payload: bytes) -> None:
    for topic in ("t", "racks", "bms/h1/h1-a"):
        route = everything.route(topic)
        assert route is not None
        try:
            facts = list(route(payload, False))
        except Refusal:
            continue
        assert all(isinstance(fact, Told | Refusal) for fact in facts)


@pytest.fixture(scope="module")
def everything() -> Mapping:
    return Mapping(site(TELEGRAF, RACKS, PLAIN))


def test_no_rule_reads_below_our_own_root_so_that_none_swallows_a_command() -> None:
    greedy = {"topic": "+/+/+/override/site/set", "sensor": "meter/main/import_kw", "unit": "kW"}
    mapping = Mapping(site(greedy, {"topic": "#", "sensor": "feeder/mech/power_kw", "unit": "kW"}))
    assert mapping.patterns == ("+/+/+/override/site/set", "#")
    assert mapping.route("facility/v1/demo/override/site/set") is None
    assert mapping.route("other/v1/demo/override/site/set") is not None
    assert mapping.route("$SYS/broker/uptime") is None


def test_a_plain_number_is_read_in_less_than_ten_microseconds() -> None:
    route = Mapping(site(PLAIN)).route("bms/h1/h1-a")
    assert route is not None

    def once() -> float:
        began = time.perf_counter()
        for _ in range(2000):
            route(b"123456.7", False)
        return (time.perf_counter() - began) / 2000

    assert min(once() for _ in range(5)) < 10e-6


# --- what a rule says of its sensor ---


def test_the_period_and_range_of_a_rule_hold_for_the_sensors_it_reaches() -> None:
    rule = PLAIN | {"names": {"a": "h1-a"}, "period_s": 30, "low": -5, "high": 100}
    known = {sensor.key: sensor for sensor in sensors(site(rule))}
    usual = {sensor.key: sensor for sensor in sensors(site())}
    mine = known.pop("h1/pool/h1-a/it_power_kw")
    assert (mine.period_s, mine.low, mine.high) == (30, 0, 100)
    usual.pop("h1/pool/h1-a/it_power_kw")
    assert known == usual


# --- faults of the site file ---

FAULTS = [
    ({"topic": "a/#/b"}, "topic", "`a/#/b`", "# only as the last"),
    ({"topic": "a/x{pool}"}, "topic", "`a/x{pool}`", "a text, + or {name} as a whole"),
    ({"topic": "{pool}/{pool}"}, "topic", "`{pool}` twice", "a name of its own"),
    ({"topic": "facility/v1/demo/tele/{pool}"}, "topic", "below our own root", "leave the rule out"),
    ({"sensor": "pool/{pol}/it_power_kw"}, "sensor", "`{pol}` is captured nowhere", "did you mean `pool`?"),
    ({"sensor": "pool/{pool}"}, "sensor", "`pool/{pool}`", "type/asset/point"),
    ({"sensor": "pool/a{pool}/it_power_kw"}, "sensor", "`pool/a{pool}/it_power_kw`", "a {name} is a whole level"),
    ({"sensor": "{pool}/h1-a/it_power_kw"}, "sensor", "`{pool}/h1-a/it_power_kw`", "only the asset can be captured"),
    ({"sensor": "rack/h1-a/it_power_kw"}, "sensor", "no type `rack`", "use one of pool, hall"),
    ({"sensor": "pool/h1-a/power_kw"}, "sensor", "no point `power_kw` of a pool", "did you mean `it_power_kw`?"),
    ({"sensor": "pool/h1-z/it_power_kw"}, "sensor", "no pool `h1-z`", "did you mean `h1-"),
    ({"names": {"A": "h1-z"}}, "names.A", "no pool `h1-z`", "did you mean `h1-"),
    ({"unit": "kilowatt"}, "unit", "`kilowatt` for kW", "use one of W, kW, MW"),
    ({"unit": "degC"}, "unit", "`degC` for kW", "use one of W, kW, MW"),
    ({"unit": None}, "unit", "missing", "one of W, kW, MW, or states"),
    ({"states": {"ON": 1}}, "unit", "`W`, beside states", "one of the two"),
    ({"scale": 0}, "scale", "0", "what one of the sender's counts is"),
    ({"low": 5, "high": 5}, "high", "5", "above low"),
    ({"value": "a[?]"}, "value", "has no [0], [*] or [name=text]", "write it as fields.power"),
    ({"value": "$.a"}, "value", "`$.a` begins at the message", "a path that begins at the item"),
    ({"value": "v", "timestamp": {"path": "a.{x}", "unit": "s"}}, "timestamp.path", "`a.{x}` captures", "capture in topic"),
    ({"timestamp": {"path": "at", "unit": "s"}}, "value", "missing", "leave timestamp out: without it the payload is one plain value"),
    ({"format": "x"}, "format", "no `x` in bus.formats", "there is none in this file"),
    ({"value": "v", "where": {"a..b": "x"}}, "where.a..b", "has no name", "write it as"),
    ({"value": "v", "timestamp": {"path": "at", "unit": "h"}}, "timestamp.unit", "the text `h`", "one of s, ms, us, ns or iso"),
    ({"value": "v", "quality": {"path": "q", "good": [192]}}, "quality.good.0", "192", "text; put it in quotes"),
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case[1]}-{case[2]}")
def test_a_fault_of_a_rule_is_told_with_its_place_and_remedy(case: tuple[dict[str, Any], str, str, str]) -> None:
    change, key, found, remedy = case
    rule = {name: value for name, value in (PLAIN | change).items() if value is not None}
    with pytest.raises(InputError) as raised:
        site(rule)
    fault = next(fault for fault in raised.value.faults if f": bus.mapping.0.{key} (" in fault.place)
    assert found in fault.found
    assert remedy in fault.remedy


def test_the_faults_of_all_rules_are_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        site(PLAIN | {"unit": "x"}, PLAIN | {"sensor": "pool/{q}/it_power_kw", "value": "a."})
    assert [fault.place.partition(" (")[0].rpartition(": ")[2] for fault in raised.value.faults] == [
        "bus.mapping.0.unit", "bus.mapping.1.value", "bus.mapping.1.sensor",
    ]  # fmt: skip


def test_two_rules_for_one_sensor_say_that_they_are_redundant() -> None:
    named = PLAIN | {"names": {"A": "h1-a", "B": "h1-b"}}
    literal = {"topic": "x", "sensor": "pool/h1-b/it_power_kw", "unit": "kW"}
    with pytest.raises(InputError) as raised:
        site(named, literal, RACKS, RACKS)
    (fault,) = raised.value.faults
    assert "bus.mapping.1.sensor" in fault.place
    assert fault.found == "bus.mapping.0 tells pool/h1-b/it_power_kw too"
    assert site(named | {"redundant": True}, literal | {"redundant": True})
    believed, _ = heard(b"7", named | {"redundant": True}, literal | {"redundant": True}, topic="x")
    assert believed == {"h1/pool/h1-b/it_power_kw": 7.0}


def test_a_rule_may_tell_a_sensor_that_the_site_file_names_as_redundant(tmp_path: Path) -> None:
    raw, file = yaml.safe_load(Path("site_configs/demo.yaml").read_text(encoding="utf-8")), tmp_path / "site.yaml"
    raw["sensors"] = {"h1/hall/h1/air_temperature_c": {"redundant": ["h1/hall/h1/air_temperature_c-north"]}}
    raw["bus"] = {"mapping": [{"topic": "bms/north", "sensor": "hall/h1/air_temperature_c-north", "unit": "degF"}]}
    file.write_text(yaml.safe_dump(raw), "utf-8")
    telemetry = Telemetry(load_site(file))
    assert telemetry.accept(Message("bms/north", b"77"), NOW) is None
    assert telemetry.snapshot(NOW).hall_c == {"h1": pytest.approx(25.0)}
    raw["bus"]["mapping"][0] |= {"sensor": "hall/h1/air_temperature_c-south"}
    file.write_text(yaml.safe_dump(raw), "utf-8")
    with pytest.raises(InputError) as raised:
        load_site(file)
    assert [fault.found for fault in raised.value.faults] == ["no point `air_temperature_c-south` of a hall"]


class Everything:
    """A whole site file as the rules see it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, *path: str | int) -> Any:
        found = self.value
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def malformed(self, *_path: str | int) -> bool:
        return False

    def ids(self, *path: str | int) -> tuple[Any, ...]:
        return tuple(self.get(*path) or ())


@pytest.mark.parametrize("name", ["demo", "hamburg", "frankfurt"])
def test_the_rules_know_every_sensor_of_a_site_and_its_unit(name: str) -> None:
    file = Path(f"site_configs/{name}.yaml")
    units = known_sensors(Everything(yaml.safe_load(file.read_text(encoding="utf-8"))))
    for sensor in sensors(load_site(file)):
        assert units[sensor.asset_type, sensor.asset, sensor.point] == sensor.unit


def test_a_redundant_sensor_is_mapped_as_any_other() -> None:
    rule = {"topic": "t/{hall}", "sensor": "hall/{hall}/inlet", "unit": "degF"}
    redundant = 'sensors={h1/hall/h1/air_temperature_c: {redundant: ["h1/hall/h1/inlet"]}}'
    telemetry = Telemetry(load_site(DEMO, [redundant, f"bus.mapping={json.dumps([rule])}"]))
    assert telemetry.accept(Message("t/h1", b"77"), NOW) is None
    reading = telemetry.reading("h1/hall/h1/inlet", NOW)
    assert reading is not None
    assert round(reading.value, 9) == 25.0
    with pytest.raises(InputError, match="`W` for degC"):
        load_site(DEMO, [redundant, f"bus.mapping={json.dumps([rule | {'unit': 'W'}])}"])
    with pytest.raises(InputError, match="no point `inlet` of a hall"):
        load_site(DEMO, [f"bus.mapping={json.dumps([rule])}"])


def test_the_shipped_mapping_of_hamburg_reads_what_its_comments_say() -> None:
    telemetry = Telemetry(load_site("site_configs/hamburg.yaml"))
    for topic, message in (
        ("telegraf/gw/modbus", {"metrics": [metric("QN1", 2e5)]}),
        ("bms/h1/it/h1-a", 1034),
        ("bacnet/chilled-water", {"analogInput": [{"name": "flow"}, {"name": "stored", "presentValue": 0.25}]}),
        ("env/air", {"at": "2026-07-01T11:59:59Z", "air": {"h1": {"t": 24.5}, "h2": {"t": 25.5}}}),
        ("env/roof", {"t": 77.0, "ok": True}),
    ):
        assert telemetry.accept(Message(topic, json.dumps(message).encode()), NOW) is None
    telemetry.accept(Message("bms/warm-water/run", b"ON"), NOW)
    snapshot = telemetry.snapshot(NOW)
    assert (snapshot.feeder_kw, snapshot.pool_kw) == ({"ups-n1": 200.0, "mech-south": 46.0}, {"h1-a": 103.4})
    assert (snapshot.thermal_store_kwh, snapshot.hall_c) == ({"chilled": 250.0}, {"h1": 24.5, "h2": 25.5})
    assert (round(snapshot.outdoor_c or 0, 9), snapshot.cooling_kw) == (25.0, {"warm-water": 46.0})
