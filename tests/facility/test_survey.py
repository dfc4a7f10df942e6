"""`facility check --listen`: each sensor with what is wrong with it, and what looks like a reading and is mapped to nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.commands.check import run_check
from facility.commands.listen import rule_line
from facility.config import load_site
from facility.site import Site
from facility.telemetry import strays
from facility.telemetry.survey import Finding, Survey
from tests.processes import Mosquitto, end, needs_mosquitto

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DEMO = "site_configs/demo.yaml"
METER = {"topic": "meter", "sensor": "meter/main/import_kw", "unit": "kW", "period_s": 5}
HALL = {"topic": "hall/{hall}", "sensor": "hall/{hall}/air_temperature_c", "unit": "degC"}
TIMED = METER | {"value": "v", "timestamp": {"path": "at", "unit": "ms"}}


def site(*rules: dict[str, Any]) -> Site:
    return load_site(DEMO, [f"bus.mapping={json.dumps(rules)}"])


def found(messages: list[tuple[float, str, Any]], *rules: dict[str, Any], key: str = "site/meter/main/import_kw") -> Finding:
    """What is said of a sensor after (second, topic, payload) of half a minute."""
    survey = Survey(site(*rules))
    for second, topic, payload in messages:
        survey.hear(Message(topic, json.dumps(payload).encode()), NOW + timedelta(seconds=second))
    return next(finding for finding in survey.findings(30.0) if finding.sensor.key == key)


def every(step_s: float, topic: str, *values: Any) -> list[tuple[float, str, Any]]:
    return [(step_s * i, topic, value) for i, value in enumerate(values)]


def test_a_sensor_that_speaks_as_expected_is_fine() -> None:
    finding = found(every(5, "meter", 500, 510, 490, 505), METER)
    assert (finding.verdict, finding.words) == ("fine", "")
    heard = finding.heard
    assert (heard.told, heard.used, heard.every_s, heard.low, heard.last, heard.high) == (4, 4, 5.0, 490, 505, 510)


def test_the_first_true_verdict_is_told_with_what_to_do() -> None:
    ahead = int((NOW + timedelta(hours=1)).timestamp() * 1000)
    late = int((NOW - timedelta(hours=1)).timestamp() * 1000)
    redundant = [METER | {"redundant": True}, METER | {"redundant": True, "topic": "other"}]
    cases = [
        (found([], METER), "missing", "nothing was heard"),
        (found(every(5, "meter", "a", None), METER), "refused", "'a' is not a number"),
        (found(every(5, "meter", 5e5, 5.1e5), METER), "wrong unit", "it is sent in W"),
        (found(every(5, "hall/h1", 75, 76), HALL, key="h1/hall/h1/air_temperature_c"), "wrong unit", "it is sent in degF"),
        (found(every(5, "hall/h1", 297, 298), HALL, key="h1/hall/h1/air_temperature_c"), "wrong unit", "it is sent in K"),
        (found(every(5, "hall/h1", 24, 25), HALL | {"unit": "degF"}, key="h1/hall/h1/air_temperature_c"),
         "wrong unit", "it is sent in degC and taken for degF"),
        (found(every(5, "meter", 500, -9e9), METER), "range", "1 of 2 values, such as -9e+09, are not in"),
        (found([(0, "meter", {"v": 5, "at": ahead})], TIMED), "clock", "measured +3600 s from when it came"),
        (found([(0, "meter", {"v": 5, "at": late})], TIMED), "clock", "measured -3600 s from when it came"),
        (found(every(10, "meter", 1, 2, 3), METER), "slow", "every 10 s, expected every 5 s"),
        (found([(0, "meter", 5)], METER), "slow", "every 30 s"),
        (found([*every(5, "meter", 1, 2), *every(5, "other", 3, 4)], *redundant), "doubled", "told by meter, other"),
    ]  # fmt: skip
    for finding, verdict, words in cases:
        assert (finding.verdict, words in finding.words) == (verdict, True), finding


def test_what_comes_twice_through_two_subscriptions_counts_once_and_retained_is_no_rhythm() -> None:
    finding = found([(second + off, "meter", 500) for second in (0, 5, 10) for off in (0, 0.001)], METER)
    assert (finding.heard.told, finding.heard.every_s) == (3, 5.0)
    survey = Survey(site())
    sample = json.dumps({"value": 500, "timestamp": int(NOW.timestamp() * 1000) - 60_000}).encode()
    survey.hear(Message("facility/v1/demo/tele/site/meter/main/import_kw", sample, retain=True), NOW)
    heard = next(f.heard for f in survey.findings(30.0) if f.sensor.key == "site/meter/main/import_kw")
    assert (heard.told, heard.live) == (1, 0)


def test_our_own_tree_is_surveyed_too_in_the_unit_that_it_describes() -> None:
    survey = Survey(site())
    root, seconds = "facility/v1/demo", range(0, 30, 5)
    survey.hear(Message(f"{root}/meta/site/meter/main/import_kw", b'{"unit": "MW"}', retain=True), NOW)
    for second in seconds:
        survey.hear(Message(f"{root}/tele/site/meter/main/import_kw", b"0.5"), NOW + timedelta(seconds=second))
    finding = next(f for f in survey.findings(30.0) if f.sensor.key == "site/meter/main/import_kw")
    assert (finding.verdict, finding.heard.last) == ("fine", 500.0)


STRAYS = [
    ("bms/H1/IT/H1_A/P", 98_700, {"sensor": "pool/h1-a/it_power_kw", "unit": "W"}),
    ("roof/outdoor/temp", 25.5, {"sensor": "weather/outdoor/temperature_c", "unit": "degC"}),
    ("battery/bess-1", {"energy": {"kwh": 200}}, {"value": "energy.kwh", "sensor": "battery/bess-1/energy_kwh", "unit": "kWh"}),
    ("nobody/knows", "12.5", {"sensor": "?", "unit": "?"}),
    ("gw/modbus", {"metrics": [{"name": "m", "tags": {"device": name}, "fields": {"power": 1e5}} for name in ("busway-1a", "ups-2")]},
     {"each": "metrics[*]", "where": {"tags.device": "busway-1a"}, "value": "fields.power", "sensor": "feeder/busway-1a/power_kw",
      "unit": "W"}),
    ("odd/names", {"a b.c": {"mech power": 80}}, {"value": '"a b.c"."mech power"', "sensor": "?", "unit": "?"}),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "payload", "rule"), STRAYS, ids=lambda part: part if isinstance(part, str) else "")
def test_what_looks_like_a_reading_and_is_mapped_to_nothing_is_told_with_a_rule(topic: str, payload: Any, rule: dict[str, Any]) -> None:
    survey = Survey(site())
    survey.hear(Message(topic, json.dumps(payload).encode()), NOW)
    (stray,) = survey.strays()
    assert (stray.topic, stray.heard) == (topic, 1)
    assert stray.rules[0] == {"topic": topic, **rule}
    (pasted,) = yaml.safe_load(rule_line(stray.rules[0]))
    assert pasted == stray.rules[0]
    if rule["sensor"] == "?":
        return
    told = Survey(site(pasted))
    told.hear(Message(topic, json.dumps(payload).encode()), NOW)
    assert [finding.heard.used for finding in told.findings(1.0) if finding.heard.told] == [1]


@pytest.mark.parametrize("payload", [b"", b"on", b"{", b"1784109600", b'{"ts": 5, "seq": 7, "id": 3}', b'{"a": true, "b": "x"}', b"[" * 9999])
def test_times_counters_words_and_rubbish_are_no_readings(payload: bytes) -> None:
    survey = Survey(site())
    survey.hear(Message("some/where", payload), NOW)
    survey.hear(Message("facility/v1/other/tele/site/meter/main/import_kw", b"500"), NOW)
    assert survey.strays() == ()


def test_no_flood_of_topics_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays, "MOST_TOPICS", 20)
    survey = Survey(site())
    for number in range(50):
        survey.hear(Message(f"x/{number}", json.dumps({f"v{i}": 1.5 for i in range(100)}).encode()), NOW)
    kept = survey.strays()
    assert len(kept) == 20
    assert max(len(stray.values) for stray in kept) == 50


@pytest.fixture(scope="module")
def building(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker on which a building speaks Telegraf."""
    broker = Mosquitto(tmp_path_factory.mktemp("building"))
    plant = subprocess.Popen(
        [sys.executable, "-m", "facility.simulate", "site_configs/demo-telegraf.yaml", "--broker", broker.url,
         "--building", "telegraf", "--speed", "30", "--epoch", f"{time.time():.3f}:{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%S+00:00}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ear = MqttBus(broker.url, "ear")
    ear.subscribe("telegraf/#")
    assert ear.receive(30) is not None
    ear.close()
    yield broker
    end(plant)
    broker.stop()


def checked(capsys: pytest.CaptureFixture[str], broker: Mosquitto, file: str, *settings: str, as_json: bool = False) -> tuple[int, str]:
    code = run_check(file, settings, schema=False, asyncapi=False, as_json=as_json, listen="2s", broker=broker.url)
    return code, capsys.readouterr().out


@needs_mosquitto
def test_a_building_is_heard_through_its_mapping_or_told_how_to_map_it(building: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, building, "site_configs/demo-telegraf.yaml", as_json=True)
    told = json.loads(out)
    assert code == 1, "at 30 times its speed the plant's clock is another"
    assert {item["name"] for item in told["checklist"] if item["result"] == "fail"} <= {"clocks agree", "they speak as often as expected"}
    assert len(told["sensors"]) == 17
    assert all(sensor["used"] for sensor in told["sensors"])
    assert told["unmapped"] == []
    code, out = checked(capsys, building, DEMO)
    assert code == 1
    assert "missing: h1/pool/h1-a/it_power_kw, " in out
    assert '- {topic: "telegraf/gw-site/grid", each: "metrics[*]", where: ' in out
    assert "17 sensors expected, 0 told something usable, 17 did not" in out
    assert re.search(r"checklist: \d+ pass, [1-9] fail, \d+ not seen", out)


def test_a_broker_that_is_not_there_is_bad_input_and_so_is_a_time_that_is_none(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facility", "check", DEMO, "--listen", "soon", "--broker", "mqtt://127.0.0.1:1"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("facility: --listen: ")
