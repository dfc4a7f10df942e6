"""The building management system and we hear that the other is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from tests.facility.dsx.exchange import NOW, Exchange

OURS = "System/HeartbeatTimestampIntegration/site1/facility"
ECHO = "System/HeartbeatEchoIntegration/site1/facility"
THEIRS = "System/HeartbeatTimestampBms/site1"


class House(Exchange):
    def bms(self, kind: str, place: str, payload: Any) -> None:
        self.ear.publish(Message(f"BMS/v1/PUB/{kind}/{place}", b"" if payload is None else json.dumps(payload).encode(), 1, kind == "Metadata"))
        self.settle()

    def describe(self, place: str, object_id: str, integration: str | None = "FACILITY") -> None:
        kind = place.split("/")[1]
        told = {"objectType": "System", "pointType": kind, "objectName": object_id, "objectId": object_id, "integration": integration}
        self.bms("Metadata", place, {key: value for key, value in told.items() if value is not None})

    def beat(self, value: float) -> None:
        self.bms("Value", THEIRS, {"value": value, "timestamp": int(self.clock.now().timestamp() * 1000), "quality": 1})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.kill()


def test_we_beat_every_ten_seconds_on_the_point_that_is_ours_and_no_other(house: House) -> None:
    house.describe(OURS, "FACILITY")
    house.describe(f"{OURS}-other", "MEPAI", "MEPAI")
    house.passes(60)
    told = house.since(f"BMS/v1/FACILITY/Value/{OURS}")
    assert len(told) == 6
    assert {beat["quality"] for beat in told} == {1}
    assert all(beat["value"] == beat["timestamp"] for beat in told)
    assert {b["timestamp"] - a["timestamp"] for a, b in pairwise(told)} == {10_000}
    assert not [m for m in house.heard if m.topic.startswith("BMS/v1/FACILITY/") and "other" in m.topic]
    house.bms("Metadata", OURS, None)
    house.passes(30)
    assert not house.since(f"BMS/v1/FACILITY/Value/{OURS}")


def test_their_beat_is_echoed_as_it_was_told(house: House) -> None:
    house.describe(THEIRS, "BMS", None)
    house.describe(ECHO, "BMS")
    house.passes(20)
    assert not house.since(f"BMS/v1/FACILITY/Value/{ECHO}")
    house.beat(1_782_907_200_123)
    house.passes(10)
    assert [beat["value"] for beat in house.since(f"BMS/v1/FACILITY/Value/{ECHO}")] == [1_782_907_200_123]


def test_a_beat_that_stops_stands_as_an_alarm_until_it_is_heard_again(house: House) -> None:
    house.passes(60)
    assert house.alarms() == set()
    house.beat(1.0)
    house.passes(30)
    assert house.alarms() == set()
    house.passes(5)
    assert house.alarms() == {"bms-silent"}
    house.beat(2.0)
    assert house.alarms() == set()
    assert house.clock.now() - NOW == timedelta(seconds=95)


@pytest.mark.parametrize("payload", [None, {}, {"value": None, "timestamp": 1, "quality": 1}, {"value": 1, "timestamp": 1, "quality": 0}, [1]])
def test_what_is_no_beat_is_none(house: House, payload: Any) -> None:
    house.bms("Value", THEIRS, payload)
    house.bms("Metadata", OURS, payload)
    house.passes(40)
    assert house.alarms() == set()
    assert not house.daemon.faults
