"""The bus in words: a sentence for every topic, what repeats is said once, readings are folded, and a flood is counted."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from facility.bus.interface import Message
from facility.bus.messages import Status
from facility.bus.topics import BY_NAME, TABLE, Topics
from facility.commands.tail import FOLD, MOST_LINES, Ear, Line
from facility.config import load_site
from facility.report.sentences import SAYS, Place, sentence

SITE = load_site("site_configs/demo.yaml")
TOPICS = Topics(SITE.bus.root, SITE.id)
NOW = datetime(2026, 7, 15, 12, 0, 30, tzinfo=UTC)
STAMP = {"epoch": 7, "seq": 9, "issued_at": "2026-07-15T12:00:00Z", "valid_until": "2026-07-15T12:15:00Z"}
SPAN = {"start": "2026-07-15T12:00:00Z", "end": "2026-07-15T13:00:00Z"}
NEXT = {"start": "2026-07-15T13:00:00Z", "end": "2026-07-16T14:00:00Z"}
WHO = {"id": "x-1", "by": "ann", "reason": "busbar warm"}
RENT = {"tenant": "lumen", "kind": "reserved", "pool": "h1-a", "gpus": 64, "curve": "train"} | NEXT


def series(unit: str, a: float, b: float) -> dict[str, Any]:
    return {"unit": unit, "points": [SPAN | {"value": a}, NEXT | {"value": b}]}


SAID: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "tele": (
        {"hall": "h1", "asset_type": "pool", "asset": "h1-a", "point": "it_power_kw"},
        {"value": 88.25, "quality": 3},
        "pool h1-a: it_power_kw 88.25, quality 3: not used",
    ),
    "batch": (
        {"hall": "h1", "gateway": "gw-1"},
        {"values": {"pool/h1-a/it_power_kw": 88}},
        "gateway gw-1 of h1: 1 values",
    ),
    "meta": (
        {"hall": "h1", "asset_type": "pool", "asset": "h1-a", "point": "it_power_kw"},
        {"unit": "kW", "period_s": 5},
        "pool h1-a: it_power_kw is in kW, every 5 s",
    ),
    "grid_limit": (
        {"feed": "main"},
        series("kW", 800, 700),
        "grid limit: 800 kW now, 700 to 800 kW from 14:00 until 16 Jul 16:00",
    ),
    "grid_price": (
        {"feed": "main"},
        series("EUR/MWh", 72.5, -5),
        "price of energy: 72.5 EUR/MWh now, -5 to 72.5 EUR/MWh from 14:00 until 16 Jul 16:00",
    ),
    "grid_carbon": (
        {"feed": "main"},
        series("g/kWh", 300, 400),
        "carbon intensity: 300 g/kWh now, 300 to 400 g/kWh from 14:00 until 16 Jul 16:00",
    ),
    "grid_event": (
        {"feed": "main"},
        NEXT | {"reduction_pct": 25, "ramp_min": 15},
        "grid main asks for 25 % less from 15:00 until 16 Jul 16:00, ramps of 15 min",
    ),
    "signal_weather": (
        {},
        series("degC", 31, 18),
        "weather: 31 degC now, 18 to 31 degC from 14:00 until 16 Jul 16:00",
    ),
    "signal_load": (
        {},
        {"points": []},
        "base load: nothing is told",
    ),
    "cap_desired": (
        {"hall": "h1", "pool": "h1-b"},
        STAMP
        | {
            "cap_w": 100,
            "fallback_cap_w": 250,
            "groups": [{"workload": "kepler-tune", "gpus": 192, "cap_w": 250}],
            "reason": "price is high",
        },
        "pool h1-b: 250 W for kepler-tune (192 GPUs), 100 W else, until 14:15; price is high",
    ),
    "cap_reported": (
        {"hall": "h1", "pool": "h1-b"},
        {"timestamp": 1, "enforced_cap_w": 250, "draw_kw": 33.5},
        "pool h1-b enforces at most 250 W",
    ),
    "cap_node_reported": (
        {"hall": "h1", "pool": "h1-b", "node": "node-17"},
        {"timestamp": 1, "enforced_cap_w": 250, "draw_kw": 3.5},
        "node node-17 of pool h1-b enforces at most 250 W",
    ),
    "job_spec": (
        {"job": "train-a"},
        {
            "submit": "2026-07-15T12:00:00Z",
            "gpus": 128,
            "work_gpu_h": 512,
            "pool": "h1-a",
            "deadline": "2026-07-16T06:00:00Z",
            "tenant": "kepler",
        },
        "job train-a of kepler: 128 GPUs in h1-a, 512 GPU h left, due 16 Jul 08:00",
    ),
    "job_desired": (
        {"job": "train-a"},
        STAMP
        | {
            "action": "hold",
            "gpus": 128,
            "until": "2026-07-15T23:00:00Z",
            "reason": "energy costs 55.00 instead of 132.00 EUR/MWh then",
        },
        "job train-a: hold until 16 Jul 01:00; energy costs 55.00 instead of 132.00 EUR/MWh then",
    ),
    "job_reported": (
        {"job": "train-a"},
        {"timestamp": 1, "state": "running", "done_gpu_h": 3.5, "gpus": ["node-1/0"]},
        "job train-a is running on 1 GPU",
    ),
    "contract_set": (
        {"contract": "burst"},
        RENT | WHO,
        "ann asks for contract burst: 64 GPUs of h1-a for lumen (reserved) from 15:00 until 16 Jul 16:00; busbar warm",
    ),
    "contract_clear": (
        {"contract": "burst"},
        WHO,
        "ann ends contract burst; busbar warm",
    ),
    "contract_result": (
        {"contract": "burst"},
        {"id": "x-1", "status": "rejected", "reason": "64 GPUs of h1-a are not free all that time, 32 are"},
        "contract burst: rejected; 64 GPUs of h1-a are not free all that time, 32 are",
    ),
    "contract_state": (
        {"contract": "burst"},
        RENT | WHO,
        "contract burst: 64 GPUs of h1-a for lumen (reserved) from 15:00 until 16 Jul 16:00; busbar warm",
    ),
    "position_set": (
        {},
        WHO | {"points": [SPAN | {"value": 700}]},
        "ann commits to 700 kW from 14:00 until 15:00; busbar warm",
    ),
    "position_result": (
        {},
        {"id": "x-1", "status": "accepted", "reason": "1 steps are committed"},
        "position: accepted; 1 steps are committed",
    ),
    "position_state": (
        {},
        {"by": "ann", "points": [SPAN | {"value": 700}, NEXT | {"value": 650}]},
        "committed by ann: 650 to 700 kW from 14:00 until 16 Jul 16:00",
    ),
    "quote_request": (
        {},
        WHO | {"gpus": 64, "hours": 72, "start": "2026-07-16T06:00:00Z"},
        "ann asks what 64 GPUs for 72 h from 16 Jul 08:00 would cost",
    ),
    "quote_result": (
        {},
        {"id": "x-1", "status": "refused", "says": "64 GPUs are free in no pool"},
        "quote: refused; 64 GPUs are free in no pool",
    ),
    "cooling_desired": (
        {"plant": "chiller"},
        STAMP | {"halls": {"h1": {"temperature_c": 24}}, "store_kw": -30},
        "cooling chiller: h1 at 24.0 degC, tank discharge 30 kW, until 14:15",
    ),
    "cooling_reported": (
        {"plant": "chiller"},
        {"timestamp": 1, "power_kw": 120, "halls": {"h1": {"temperature_c": 24.2}}},
        "cooling chiller draws 120.0 kW: h1 at 24.2 degC",
    ),
    "battery_desired": (
        {"battery": "bess-1"},
        STAMP | {"power_kw": -40},
        "battery bess-1: discharge 40 kW, until 14:15",
    ),
    "battery_reported": (
        {"battery": "bess-1"},
        {"timestamp": 1, "power_kw": 0, "energy_kwh": 200},
        "battery bess-1: rest, holds 200.0 kWh",
    ),
    "genset_desired": (
        {"genset": "diesel"},
        STAMP | {"power_kw": 0},
        "genset diesel: off, until 14:15",
    ),
    "solar_desired": (
        {"solar": "roof"},
        STAMP | {"limit_kw": 50},
        "solar roof: at most 50 kW, until 14:15",
    ),
    "override_set": (
        {"target": "pool/h1/h1-b"},
        WHO | {"kind": "cap_w", "value": 250, "ttl_s": 1800},
        "ann orders a cap of 250 W on pool/h1/h1-b for 30 min (priority 8); busbar warm",
    ),
    "override_clear": (
        {"target": "pool/h1/h1-b"},
        WHO,
        "ann clears x-1 on pool/h1/h1-b; busbar warm",
    ),
    "override_result": (
        {"target": "pool/h1/h1-b"},
        {"id": "x-1", "status": "accepted", "effective": 250, "until": "2026-07-15T12:30:00Z", "reason": "cap 250 W by ann"},
        "override on pool/h1/h1-b: accepted until 14:30; cap 250 W by ann",
    ),
    "override_state": (
        {"target": "pool/h1/h1-b"},
        {"overrides": [{"id": "x-1", "kind": "cap_w", "value": 250, "effective": 250, "priority": 8, "by": "ann"} | SPAN]},
        "in force on pool/h1/h1-b: a cap of 250 W by ann until 15:00",
    ),
    "whatif_set": (
        {"question": "q-1"},
        WHO | {"changes": [{"target": "pool/h1/h1-b", "kind": "cap_w", "value": 250}, {"target": "site", "clear": "x-2"}]},
        "ann asks what would become of a cap of 250 W on pool/h1/h1-b and clear x-2 on site",
    ),
    "whatif_result": (
        {"question": "q-1"},
        {"id": "q-1", "status": "refused", "says": "ann asks too often"},
        "what if: refused; ann asks too often",
    ),
    "why_set": ({"question": "q-2"}, WHO | {"about": "pool/h1/h1-b"}, "ann asks why pool/h1/h1-b is as it is"),
    "why_result": (
        {"question": "q-2"},
        {"id": "q-2", "status": "ok", "says": "pool h1-b: the import limit keeps caps low", "about": "pool/h1/h1-b"},
        "why: pool h1-b: the import limit keeps caps low",
    ),
    "tenant_view": (
        {"tenant": "lumen"},
        {
            "tenant": "lumen", "issued_at": SPAN["start"], "valid_until": SPAN["end"], "jobs_left_out": 1,
            "rentals": [{"contract": "lumen-chat", "pool": "h1-a", "gpus": 288, "running": 288, "speed": 0.975, "caps": []}],
            "jobs": [{"job": "j", "pool": "h1-a", "gpus": 4, "running": 4, "speed": 1, "caps": [], "work_left_gpu_h": 3, "deadline": NEXT["end"]}],
            "refused": [{"job": "k", "reason": "it names another tenant"}],
        },
        "tenant lumen: lumen-chat runs 288 of 288 GPUs at 98%; 1 of 2 jobs run; job k was not taken: it names another tenant",
    ),
    "tenant_job_spec": (
        {"tenant": "kepler", "job": "train-b"},
        {"submit": SPAN["start"], "gpus": 1, "work_gpu_h": 2, "pool": "h1-a", "contract": "kepler-jobs"},
        "job train-b of kepler-jobs: 1 GPU in h1-a, 2 GPU h left",
    ),
    "quality": (
        {},
        {
            "at": SPAN["start"], "counts": {"good": 14, "suspect": 1, "missing": 6}, "left_out": 1,
            "not_good": [{"key": f"h1/pool/p{i}/it_power_kw", "verdict": "missing", "kind": "silent", "reason": "not heard for 40 s",
                          "since": SPAN["start"]} for i in range(6)],
        },
        "sensors: 1 suspect, 6 missing of 21: " + "; ".join(f"h1/pool/p{i}/it_power_kw is missing since 14:00: not heard for 40 s" for i in range(5))
        + "; and 2 more",
    ),
    "plan": (
        {},
        {
            "plan_id": "p-7",
            "issued_at": "2026-07-15T12:00:00Z",
            "site": "demo",
            "currency": "EUR",
            "mode": "NORMAL",
            "steps": [{"time": "2026-07-15T12:00:00Z", "hours": 1, "import_kw": 712.34, "import_limit_kw": 810, "it_kw": 500}],
            "saving_pct": 5.12,
            "reason": "plan p-7 verified",
        },
        "plan p-7: import 712.3 of 810 kW now, saves 5.1 %, until 15:00",
    ),
    "status": (
        {"instance": "facility-1"},
        {"instance": "facility-1", "mode": "HOLD", "heartbeat": 5, "reason": "no certified plan", "alarms": ["two-daemons"]},
        "daemon facility-1 is HOLD; no certified plan; alarms: two-daemons",
    ),
    "alarm": (
        {"alarm": "two-daemons"},
        {
            "id": "two-daemons",
            "severity": "alarm",
            "cause": "another daemon runs this site",
            "since": "2026-07-14T20:00:00Z",
            "place": "svc/x/status",
            "remedy": "stop one of the two",
        },
        "alarm two-daemons since 14 Jul 22:00: another daemon runs this site (svc/x/status); stop one of the two",
    ),
    "alarm_shelve": (
        {"alarm": "lost-h1"},
        {"id": "s-1", "by": "ann", "ttl_s": 1800, "reason": "it is being mended"},
        "ann shelves alarm lost-h1 for 30 min; it is being mended",
    ),
    "alarm_unshelve": ({"alarm": "lost-h1"}, {"id": "s-2", "by": "bo"}, "bo takes alarm lost-h1 off its shelf"),
    "alarm_result": (
        {"alarm": "lost-h1"},
        {"id": "s-1", "status": "accepted", "until": "2026-07-15T12:30:00Z", "reason": "shelved by ann"},
        "alarm lost-h1: accepted until 14:30; shelved by ann",
    ),
}
"""By name of a topic: its ids, a payload, and what a person in Berlin reads at 14:00:30."""


def said(name: str, payload: bytes | None = None) -> str:
    ids, told, _ = SAID[name]
    return sentence(Place(name, ids, NOW, ZoneInfo("Europe/Berlin")), json.dumps(told).encode() if payload is None else payload)


def message(name: str, payload: dict[str, Any] | bytes | None = None, **more: Any) -> Message:
    ids, told, _ = SAID[name]
    given = told if payload is None else payload
    return Message(TOPICS.of(name, **ids), given if isinstance(given, bytes) else json.dumps(given).encode(), **more)


def test_every_topic_has_a_sentence_and_a_payload_without_one_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = {topic.payload.__name__ for topic in TABLE if topic.payload not in SAYS}
    assert not silent, "write a sentence for each in facility/report/sentences, and an example here"
    assert set(SAID) == set(BY_NAME)
    monkeypatch.delitem(SAYS, Status)
    assert said("status").startswith('status facility-1: {"instance":"facility-1","mode":"HOLD"')


@pytest.mark.parametrize("name", SAID)
def test_a_message_is_said_in_an_operators_words(name: str) -> None:
    assert said(name) == SAID[name][2]


@pytest.mark.parametrize("name", SAID)
def test_what_cannot_be_read_says_why_and_what_is_empty_is_over(name: str) -> None:
    assert "cannot be read: " in said(name, b'{"value":')
    assert said(name, b"")
    assert "cannot be read" not in said(name, b"")


def test_what_is_over_is_said_so() -> None:
    found = [said(name, b"") for name in ("alarm", "override_state", "contract_state", "grid_price")]
    assert found == [
        "alarm two-daemons is over",
        "nothing is in force on pool/h1/h1-b",
        "contract burst is over",
        "grid price main: withdrawn",
    ]


def lines(ear: Ear, *messages: Message, now: datetime = NOW) -> list[str]:
    return [line.text() for each in messages for line in ear.take(each, now)]


def test_a_line_has_the_local_time_and_says_what_the_broker_had_kept() -> None:
    ear = Ear(SITE)
    assert lines(ear, message("job_reported")) == ["14:00:30  job train-a is running on 1 GPU"]
    assert lines(ear, message("grid_event", retain=True))[0].startswith("standing  grid main asks for 25 % less")


def test_what_repeats_is_said_once_and_what_changes_again() -> None:
    ear, beat = Ear(SITE), SAID["status"][1]
    assert len(lines(ear, *(message("status", beat | {"heartbeat": i, "seq": i}) for i in range(5)))) == 1
    assert lines(ear, message("status", beat | {"mode": "NORMAL"}))[0].startswith("14:00:30  daemon facility-1 is NORMAL")
    draws = (message("cap_reported", SAID["cap_reported"][1] | {"draw_kw": kw, "timestamp": kw}) for kw in range(5))
    assert len(lines(ear, *draws)) == 1


def meter(value: float | None, quality: int = 1) -> Message:
    told = {"value": value, "timestamp": int(NOW.timestamp() * 1000), "quality": quality}
    return Message(TOPICS.tele("site", "meter", "main", "import_kw"), json.dumps(told).encode())


def test_readings_are_folded_into_one_line() -> None:
    ear, hall = Ear(SITE), TOPICS.tele("h1", "hall", "h1", "air_temperature_c")
    assert lines(ear, *(meter(700 + i) for i in range(10)), Message(hall, b"null"), Message(hall, b"{")) == []
    assert list(ear.keep_time(NOW)) == []
    (line,) = ear.keep_time(NOW + FOLD)
    assert line.says.startswith(
        "readings: 11 of 2 sensors; the meter shows 709.0 kW; missing or bad: h1/hall/h1/air_temperature_c; 1 not readable: "
    )
    assert (line.about["readings"], line.about["import_kw"]) == (11, 709)
    assert list(ear.keep_time(NOW + 2 * FOLD)) == []


def test_what_a_sensor_measures_is_said_with_each_reading_only() -> None:
    assert lines(Ear(SITE), message("meta")) == []
    assert lines(Ear(SITE, each=True), message("meta")) == ["14:00:30  h1/pool/h1-a/it_power_kw is in kW"]


def test_readings_are_said_one_by_one_where_that_is_asked_for() -> None:
    ear = Ear(SITE, each=True)
    assert lines(ear, meter(700), meter(701, quality=2), meter(None)) == [
        "14:00:30  site/meter/main/import_kw 700",
        "14:00:30  site/meter/main/import_kw 701, quality 2: not used",
        "14:00:30  site/meter/main/import_kw is missing",
    ]


def test_a_flood_is_said_as_far_as_a_person_can_read_and_the_rest_is_counted() -> None:
    ear = Ear(SITE)
    flood = [message("job_reported", {"timestamp": 1, "state": "running", "gpus": i}) for i in range(2, 1002)]
    assert len(lines(ear, *flood)) == MOST_LINES
    later = NOW + timedelta(seconds=1)
    assert [line.says for line in ear.keep_time(later)] == [
        f"... and {1000 - MOST_LINES} more, left out: more came than can be read"
    ]
    assert len(lines(ear, message("alarm"), now=later)) == 1
    assert list(ear.rest(later)) == []


def test_all_that_the_broker_kept_is_said_at_once() -> None:
    ear = Ear(SITE)
    kept = [message("job_reported", {"timestamp": 1, "state": "running", "gpus": i}, retain=True) for i in range(2, 502)]
    assert len(lines(ear, *kept)) == 500


def test_only_what_matches_the_pattern_is_said() -> None:
    ear = Ear(SITE, TOPICS.of("override_set", target="site").replace("site/set", "#"))
    assert ear.patterns == ("facility/v1/demo/override/#",)
    assert lines(ear, message("alarm")) == []
    assert len(lines(ear, message("override_set"))) == 1


def test_a_line_for_programs_has_the_payload_beside_the_words() -> None:
    (line,) = Ear(SITE).take(message("override_result"), NOW)
    told = json.loads(line.json())
    assert (told["name"], told["ids"], told["payload"]["status"]) == ("override_result", {"target": "pool/h1/h1-b"}, "accepted")
    assert told["says"] == SAID["override_result"][2]
    assert json.loads(Line(NOW, "the broker is gone").json()) == {
        "at": NOW.isoformat(),
        "says": "the broker is gone",
        "standing": False,
    }


def test_what_is_no_topic_of_the_service_is_named() -> None:
    assert lines(Ear(SITE), Message("facility/v1/demo/what/is/this", b"abc")) == [
        "14:00:30  facility/v1/demo/what/is/this: no topic of this service, 3 bytes"
    ]


def test_fifty_messages_a_second_leave_nearly_all_of_the_second_free() -> None:
    ear = Ear(SITE)
    second = [
        *(meter(700 + i) for i in range(40)),
        *(message("cap_desired", SAID["cap_desired"][1] | {"cap_w": 100 + i}) for i in range(10)),
    ]
    lines(ear, *second)
    began = time.process_time()
    for i in range(10):
        lines(ear, *second, now=NOW + timedelta(seconds=i))
    assert time.process_time() - began < 1.0


def test_times_are_by_the_daemons_clock_once_it_is_heard() -> None:
    ear, later = Ear(SITE), NOW + timedelta(days=1)
    beat = SAID["status"][1] | {"heartbeat": int(later.timestamp() * 1000)}
    assert lines(ear, message("battery_desired"))[0].endswith("until 14:15")
    said = lines(ear, message("status", beat), message("battery_desired", SAID["battery_desired"][1] | {"power_kw": 5}))
    assert said[1] == "14:00:30  battery bess-1: charge 5 kW, until 15 Jul 14:15"
    assert lines(ear, message("status", beat | {"heartbeat": 10**18, "mode": "SAFE"}))
