"""The table of topics, both ways, and the document and sensors that follow from it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.document import asyncapi
from facility.bus.interface import matches
from facility.bus.topics import TABLE, TARGET, Topic, Topics, placeholders, shape
from facility.errors import InputError
from facility.sensors import sensors
from facility.site import Site

TOPICS = Topics("facility/v1", "berlin")

SITE = Site.model_validate(
    {
        "id": "berlin",
        "name": "Berlin",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "grid": {"feed": "utility", "import_limit_kw": 9000},
        "tariff": {"energy_price_per_mwh": 80},
        "weather": {"outdoor_by_hour_c": [10] * 24},
        "gpu_models": {
            "h100": {
                "min_cap_w": 200,
                "max_cap_w": 700,
                "idle_w": 70,
                "curves": {"training": {"points": [{"cap_w": 700, "draw_w": 650, "speed": 1}], "source": "made up"}},
            }
        },
        "feeders": {"main": {"rating_kw": 10_000}, "bus-a": {"rating_kw": 2000, "parent": "main"}},
        "halls": {
            "h1": {
                "feeder": "main",
                "thermal": {
                    "heat_capacity_kwh_per_k": 50,
                    "resistance_k_per_kw": 0.01,
                    "start_c": 24,
                    "cooling_plant": "chillers",
                },
            },
            "h2": {"feeder": "main"},
        },
        "cooling_plants": {
            "chillers": {"feeder": "main", "design_heat_kw": 3000, "max_heat_kw": 3000, "pump_kw": 50, "fan_kw": 80}
        },
        "pools": {"train": {"hall": "h1", "feeder": "bus-a", "gpu_model": "h100", "gpus": 1000, "host_run_w": 300}},
        "batteries": {"bank": {"feeder": "main", "capacity_kwh": 2000, "charge_kw": 500, "discharge_kw": 1000}},
        "jobs": {"curve": "training"},
        "bus": {"broker": "mqtts://ops:secret@bus.example"},
    }
)


def ids_for(topic: Topic) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({name: st.from_regex(shape(name), fullmatch=True) for name in placeholders(topic.pattern)})


@pytest.mark.parametrize("topic", TABLE, ids=lambda topic: topic.name)
@given(data=st.data())
def test_what_is_built_is_parsed_back_and_is_what_was_subscribed_to(topic: Topic, data: st.DataObject) -> None:
    ids = data.draw(ids_for(topic))
    built = TOPICS.of(topic.name, **ids)
    assert TOPICS.parse(built) == (topic.name, ids)
    assert any(matches(pattern, built) for pattern in TOPICS.patterns(topic.name))


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (TOPICS.tele("h1", "pool", "train", "it_power_kw"), "tele/h1/pool/train/it_power_kw"),
        (TOPICS.batch("h1", "gw-1"), "tele/h1/batch/gw-1"),
        (TOPICS.meta("site", "meter", "utility", "import_kw"), "meta/site/meter/utility/import_kw"),
        (TOPICS.grid("utility", "price"), "grid/utility/price"),
        (TOPICS.cap_desired("h1", "train"), "cap/h1/train/desired"),
        (TOPICS.cap_reported("h1", "train"), "cap/h1/train/reported"),
        (TOPICS.job("j-17", "spec"), "job/j-17/spec"),
        (TOPICS.contract("c1", "state"), "contract/c1/state"),
        (TOPICS.position("state"), "position/state"),
        (TOPICS.quote("request"), "quote/request"),
        (TOPICS.cooling("chillers", "desired"), "cooling/chillers/desired"),
        (TOPICS.battery("bank", "reported"), "battery/bank/reported"),
        (TOPICS.override("site", "set"), "override/site/set"),
        (TOPICS.override("pool/h1/train", "result"), "override/pool/h1/train/result"),
        (TOPICS.plan(), "plan/current"),
        (TOPICS.status("main"), "svc/main/status"),
        (TOPICS.alarm("feeder-bus-a"), "alarm/feeder-bus-a"),
    ],
)
def test_topics_are_spelt_as_the_interface_says(built: str, expected: str) -> None:
    assert built == f"facility/v1/berlin/{expected}"


@pytest.mark.parametrize("bad", ["", "H1", "a/b", "+", "#", "a b", "-a", "ä", "a\n", "a_b", "a\0"])
def test_an_id_that_could_change_the_topic_is_refused(bad: str) -> None:
    with pytest.raises(InputError, match="does not fit"):
        TOPICS.cap_desired("h1", bad)
    with pytest.raises(InputError, match="does not fit"):
        TOPICS.override(f"hall/{bad}", "set")


@pytest.mark.parametrize("target", ["pool/train", "site/h1", "hall", "grid/a/b", "rack/7", "pool/h1/train/x", "site\n"])
def test_a_target_has_one_of_five_forms(target: str) -> None:
    assert re.fullmatch(TARGET, "pool/h1/train")
    with pytest.raises(InputError, match="target"):
        TOPICS.override(target, "set")
    assert TOPICS.parse(f"facility/v1/berlin/override/{target}/set") is None


def test_a_topic_takes_exactly_its_ids() -> None:
    with pytest.raises(KeyError, match="cap_desired"):
        TOPICS.of("cap_desired", hall="h1")
    with pytest.raises(KeyError, match="plan"):
        TOPICS.of("plan", hall="h1")


@pytest.mark.parametrize(
    "topic", ["", "facility/v1/berlin", "facility/v1/paris/plan/current", "facility/v1/berlin/plan/old", "x/plan/current"]
)
def test_what_is_not_in_the_table_is_nothing(topic: str) -> None:
    assert TOPICS.parse(topic) is None


def test_rows_are_unique_and_no_topic_has_two_meanings() -> None:
    assert len({topic.name for topic in TABLE}) == len({topic.pattern for topic in TABLE}) == len(TABLE)
    assert TOPICS.parse("facility/v1/berlin/tele/h1/batch/gw-1") == ("batch", {"hall": "h1", "gateway": "gw-1"})


def test_what_is_ordered_is_retained_and_what_people_command_is_not() -> None:
    retained = {topic.name: topic.retained for topic in TABLE}
    assert all(retained[name] for name in retained if name.endswith(("_desired", "_reported", "_state")))
    assert not any(retained[name] for name in retained if name.endswith(("_set", "_clear", "_result", "_request")))
    assert all(topic.qos == 1 for topic in TABLE if topic.name not in {"tele", "batch"})


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {node["$ref"]} if "$ref" in node else set().union(*map(references, node.values()), set())
    return set().union(*map(references, node), set()) if isinstance(node, list) else set()


@pytest.mark.parametrize("site", [None, SITE], ids=["any site", "a site"])
def test_the_document_is_whole_and_names_every_topic(site: Site | None) -> None:
    document = json.loads(json.dumps(asyncapi(site)))
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == set(document["operations"]) == {topic.name for topic in TABLE}
    for reference in references(document):
        node = document
        for level in reference.removeprefix("#/").split("/"):
            node = node[level]
    for channel in document["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))


def test_the_document_says_who_sends_and_how() -> None:
    operations = asyncapi(None)["operations"]
    assert operations["override_set"]["action"] == "receive"
    assert operations["cap_desired"]["action"] == "send"
    assert operations["cap_desired"]["bindings"]["mqtt"] == {"qos": 1, "retain": True, "bindingVersion": "0.2.0"}


def test_the_document_of_a_site_knows_its_ids_and_broker_and_not_its_password() -> None:
    document = asyncapi(SITE)
    assert document["channels"]["cap_desired"]["address"] == "facility/v1/berlin/cap/{hall}/{pool}/desired"
    assert document["channels"]["cap_desired"]["parameters"]["pool"]["enum"] == ["train"]
    assert "enum" not in document["channels"]["tele"]["parameters"]["hall"]
    assert document["servers"] == {"broker": {"host": "bus.example:8883", "protocol": "secure-mqtt"}}
    assert "secret" not in json.dumps(document)


def test_a_site_has_these_sensors() -> None:
    assert [sensor.key for sensor in sensors(SITE)] == [
        "h1/pool/train/it_power_kw",
        "h1/hall/h1/air_temperature_c",
        "site/cooling/chillers/power_kw",
        "site/feeder/main/power_kw",
        "site/feeder/bus-a/power_kw",
        "site/meter/utility/import_kw",
        "site/battery/bank/energy_kwh",
        "site/battery/bank/power_kw",
        "site/weather/outdoor/temperature_c",
    ]


def test_every_sensor_has_a_topic_and_a_range() -> None:
    for sensor in sensors(SITE):
        assert TOPICS.tele(sensor.hall, sensor.asset_type, sensor.asset, sensor.point).endswith(f"/tele/{sensor.key}")
        assert sensor.low < sensor.high
        assert sensor.period_s == (10 if sensor.unit == "degC" else 5)


def test_ranges_hold_what_ratings_allow_and_show_a_wrong_unit() -> None:
    by_key = {sensor.key: sensor for sensor in sensors(SITE)}
    pool = by_key["h1/pool/train/it_power_kw"]
    assert 1000 * (700 + 300) / 1000 < pool.high < 0.5 * 1000 * (70 + 300)  # W for kW, even when idle
    assert by_key["h1/hall/h1/air_temperature_c"].high < 64.4  # 18 degC in Fahrenheit
    assert by_key["site/feeder/bus-a/power_kw"].high == 3000
    assert (by_key["site/battery/bank/power_kw"].low, by_key["site/battery/bank/power_kw"].high) == (-1500, 750)
    assert by_key["site/meter/utility/import_kw"].low == -1500
