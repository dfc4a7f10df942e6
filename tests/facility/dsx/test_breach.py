"""A breach begins, escalates and ends when the meter has said so for long enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from facility.dsx.breach import Breach, Watch
from facility.dsx.flex import Power
from facility.dsx.powerstate import Seen
from facility.dsx.schedule import ALWAYS, Target

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def target(kw: float) -> Target:
    return Target(orderer="a", correlation=uuid4(), start=NOW, end=ALWAYS, constraint=Power(value=kw, unit="kilowatt"))


class Feed:
    """A watch that looks every 10 s, with 60 s to be sure and 300 s to escalate."""

    def __init__(self) -> None:
        self.at, self.watch = NOW, Watch(uuid4, timedelta(seconds=60), timedelta(seconds=300))

    def shows(self, kw: float | None, seconds: float, limit_kw: float | None) -> list[str]:
        told: list[Breach] = []
        for _ in range(round(seconds / 10)):
            self.at += timedelta(seconds=10)
            found = self.watch.look(Seen(self.at, 0.0, kw, False, 0), None if limit_kw is None else target(limit_kw))
            told += [found] if found is not None else []
        return [f"{breach.status} {breach.severity}" for breach in told]


def test_it_begins_after_a_minute_above_and_ends_after_a_minute_within() -> None:
    feed = Feed()
    assert feed.shows(110, 60, 100) == []
    assert feed.shows(110, 10, 100) == ["active warning"]
    assert feed.shows(100, 60, 100) == []
    assert feed.shows(100, 10, 100) == ["resolved warning"]


def test_a_moment_within_ends_nothing_and_a_moment_above_begins_nothing() -> None:
    feed = Feed()
    assert feed.shows(110, 50, 100) + feed.shows(100, 10, 100) + feed.shows(110, 50, 100) == []
    assert feed.shows(110, 20, 100) == ["active warning"]
    assert feed.shows(100, 50, 100) + feed.shows(110, 10, 100) + feed.shows(100, 50, 100) == []


def test_a_target_that_falls_gives_its_minute_again_and_one_that_rises_does_not() -> None:
    feed = Feed()
    assert feed.shows(110, 50, 100) + feed.shows(110, 60, 90) == []
    assert feed.shows(110, 10, 90) == ["active critical"]
    feed = Feed()
    assert feed.shows(110, 50, 90) == []
    assert feed.shows(110, 20, 100) == ["active warning"]


def test_it_escalates_when_it_lasts_or_grows_once() -> None:
    feed = Feed()
    assert feed.shows(110, 360, 100) == ["active warning"]
    assert feed.shows(110, 300, 100) == ["escalated warning"]
    feed = Feed()
    assert feed.shows(110, 70, 100) == ["active warning"]
    assert feed.shows(121, 60, 100) == ["escalated critical"]


def test_it_ends_with_its_target() -> None:
    feed = Feed()
    feed.shows(110, 70, 100)
    assert feed.shows(110, 10, None) == ["resolved warning"]
    assert feed.shows(110, 100, None) == []


@pytest.mark.parametrize(("kw", "told"), [(101.0, []), (101.1, ["active warning"]), (120.0, ["active warning"]), (120.1, ["active critical"])])
def test_a_hundredth_above_is_none_and_a_fifth_is_critical(kw: float, told: list[str]) -> None:
    assert Feed().shows(kw, 70, 100) == told
