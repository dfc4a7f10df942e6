"""The checklist before a daemon is left alone: each line passes, fails or was not seen, for what was heard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.mqtt import MqttBus
from facility.commands.check import run_check
from facility.commands.checklist import DROPPED, Checklist, Item, Machine
from facility.config import load_site
from facility.telemetry.survey import Survey
from tests.facility.test_daemon import NOW, ROOT, SITE
from tests.processes import Mosquitto, needs_mosquitto

DEMO = "site_configs/demo.yaml"
FINE = Machine(free_bytes=2**40, cautions=(), refused=(), echoed=MAX_PAYLOAD_BYTES)
STAMP = {"issued_at": NOW, "valid_until": NOW + timedelta(minutes=10), "epoch": 7, "seq": 3}
ORDER = STAMP | {"cap_w": 200, "fallback_cap_w": 150}
REPORT = {"timestamp": 0, "epoch": 7, "seq": 3, "enforced_cap_w": 200}
AGENT, METERS = "the agent of p obeys and reads back", "the meters of grid balance"


def items(told: Mapping[str, Any], machine: Machine = FINE, site: Any = SITE) -> dict[str, Item]:
    """The list after what was told on topics below the site's, twice, a second apart."""
    survey, checklist = Survey(site), Checklist(site)
    for second in (0, 1):
        for topic, payload in told.items():
            told_as = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
            message = Message(topic if topic.startswith("$") else f"{ROOT}/{topic}", told_as)
            for room in (survey, checklist):
                room.hear(message, NOW + timedelta(seconds=second))
    return {item.name: item for item in checklist.items(survey.findings(2.0), machine)}


def test_of_silence_nothing_passes_that_has_to_be_told() -> None:
    found = items({})
    assert found["every sensor is heard"].result == "fail"
    assert {found[name].result for name in (AGENT, METERS, "the grid's limit is told", "the broker loses nothing")} == {"not seen"}
    assert all(item.remedy for item in found.values() if item.result == "fail")


@pytest.mark.parametrize(
    ("report", "order", "result"),
    [
        (REPORT, ORDER, "pass"),
        (REPORT, None, "not seen"),
        (None, ORDER, "not seen"),
        (REPORT | {"seq": 2}, ORDER, "fail"),
        (REPORT | {"enforced_cap_w": 250}, ORDER, "fail"),
        (REPORT | {"enforced_cap_w": 4000}, ORDER, "fail"),
        (b"{", b"{", "not seen"),
    ],
    ids=["as ordered", "no order", "no report", "an older order", "more than ordered", "no such cap", "garbage"],
)
def test_an_agent_passes_when_it_confirms_the_order_and_enforces_no_more(report: Any, order: Any, result: str) -> None:
    told = {"cap/h/p/reported": report, "cap/h/p/desired": order}
    assert items({topic: payload for topic, payload in told.items() if payload is not None})[AGENT].result == result


@pytest.mark.parametrize(("metered_kw", "result"), [(3.0, "pass"), (9.0, "fail")])
def test_meters_that_do_not_balance_fail(metered_kw: float, result: str) -> None:
    told = {"tele/site/meter/main/import_kw": {"value": metered_kw}, "tele/site/feeder/main/power_kw": {"value": 3.0}}
    assert items(told)[METERS].result == result


def test_limit_clock_and_losses_are_seen() -> None:
    late = int((NOW - timedelta(seconds=30)).timestamp() * 1000)
    status = {"instance": "facility-1", "mode": "NORMAL", "heartbeat": late}
    found = items({"grid/main/limit": {"points": [], "import_limit_kw": 4}, "svc/facility-1/status": status, DROPPED: b"12"})
    assert found["the grid's limit is told"].result == "pass"
    assert found["clocks agree"].result == "fail"
    assert "-31.0 s" in found["clocks agree"].found
    assert found["the broker loses nothing"].result == "fail"
    assert items({DROPPED: b"0"})["the broker loses nothing"].result == "pass"


@pytest.mark.parametrize(
    ("machine", "name", "result"),
    [
        ({"free_bytes": 2**20}, "there is room on the disk", "fail"),
        ({"cautions": ("bus.cert_file: ends in 3 days",)}, "certificates, keys, passwords", "fail"),
        ({"refused": ("a/#",)}, "access rules let us read", "fail"),
        ({"echoed": None}, "it passes long messages", "not seen"),
        ({"echoed": 1000}, "it passes long messages", "fail"),
        ({}, "it passes long messages", "pass"),
        ({}, "there is room on the disk", "pass"),
    ],
    ids=str,
)
def test_what_is_beside_the_bus_is_seen(machine: dict[str, Any], name: str, result: str) -> None:
    item = items({}, replace(FINE, **machine))[name]
    assert item.result == result
    assert bool(item.remedy) == (result != "pass")


def test_fallback_caps_of_the_site_file_must_fit_in_four_fifths_of_every_feeder() -> None:
    assert items({})["fallback caps fit"].result == "pass"
    pool = SITE.pools["p"].model_copy(update={"fallback_cap_w": 400})
    tight = SITE.feeders["main"].model_copy(update={"rating_kw": 4.5})
    site = SITE.model_copy(update={"pools": {"p": pool}, "feeders": {"main": tight}})
    assert items({}, site=site)["fallback caps fit"].result == "fail"


@needs_mosquitto
@pytest.mark.parametrize(("lines", "result"), [((), "pass"), (("message_size_limit 4096",), "not seen")], ids=["any", "short"])
def test_a_real_broker_is_asked_whether_it_passes_long_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], result: str
) -> None:
    broker = Mosquitto(tmp_path, "allow_anonymous true", "sys_interval 1", *lines)
    with closing(MqttBus(broker.url, "ear")) as ear:
        ear.subscribe("facility/v1/demo/svc/+/status")
        assert run_check(DEMO, (), as_json=True, listen="2s", broker=broker.url) == 1
        told = {item["name"]: item for item in json.loads(capsys.readouterr().out)["checklist"]}
        assert told["it passes long messages"]["result"] == result
        assert told["the broker loses nothing"]["result"] == "pass"
        said = ear.receive(10 if result == "pass" else 0.5)
        assert (said is None) == (result == "not seen")
        assert said is None or json.loads(said.payload)["mode"] == "offline"
    broker.stop()


def test_the_list_is_of_the_whole_demo() -> None:
    checklist = Checklist(load_site(DEMO))
    names = [item.name for item in checklist.items((), FINE)]
    assert "the agent of h2-a obeys and reads back" in names
    assert "the meters of ups-1 balance" in names
