"""A topic is looked up once among the sources; what one message tells of several instants is used as far as it can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from facility.bus.interface import Message
from facility.bus.messages import Meta
from facility.config import load_site
from facility.telemetry import Telemetry, latest, routes
from facility.telemetry.readings import AS_IT_IS
from facility.telemetry.routes import Described, Route, Routes, Told

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW_MS = 1_782_907_200_000
METER, OUTDOOR = "site/meter/main/import_kw", "site/weather/outdoor/temperature_c"


class Building:
    """A source that knows one topic, and counts how often it is asked."""

    patterns = ("bms/#",)

    def __init__(self, *facts: Told | Described) -> None:
        self.facts, self.asked = facts, 0

    def route(self, topic: str) -> Route | None:
        self.asked += 1
        return (lambda _payload, _retained: self.facts) if topic == "bms/all" else None


def test_the_first_source_that_knows_a_topic_has_it_and_is_asked_once() -> None:
    first, second = Building(Told({METER: 1.0})), Building(Told({METER: 2.0}))
    both = Routes((first, second))
    for _ in range(3):
        route = both.of("bms/all")
        assert route is not None
        assert route(b"", False) == first.facts
        assert both.of("bms/other") is None
    assert (first.asked, second.asked) == (2, 1)
    assert both.patterns == ("bms/#", "bms/#")


def test_no_flood_of_topics_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_TOPICS", 10)
    known = Routes((Building(),))
    for number in range(1000):
        known.of(f"bms/{number}")
    assert len(known._known) <= 10


def test_of_a_message_with_several_instants_what_can_be_believed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = NOW_MS + 3_600_000
    building = Building(
        Told({METER: 500.0}, ahead),
        Described(OUTDOOR, Meta(unit="degF")),
        Described("site/meter/main/nothing", None),
        Told({OUTDOOR: 50.0, "site/meter/none/import_kw": 1.0}, NOW_MS - 2000),
        Told({METER: 400_000.0}, NOW_MS - 1000, convert=AS_IT_IS),
        Told({METER: 300.0}, NOW_MS),
    )
    monkeypatch.setattr(latest, "sources", lambda _site: (building,))
    telemetry = Telemetry(load_site("site_configs/demo.yaml"))
    assert telemetry.patterns == ("bms/#",)
    assert not telemetry.hear(Message("bms/some", b""), NOW)
    refused = telemetry.accept(Message("bms/all", b""), NOW)
    assert refused is not None
    assert refused.startswith("future")
    assert telemetry.refused == {"future": 1, "unknown": 2, "range": 1}
    outdoor, meter = telemetry.reading(OUTDOOR, NOW), telemetry.reading(METER, NOW)
    assert outdoor is not None
    assert meter is not None
    assert (round(outdoor.value, 9), outdoor.at) == (10.0, NOW - timedelta(seconds=2))
    assert (meter.value, meter.at) == (300.0, NOW)
