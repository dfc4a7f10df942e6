"""A battery or cooling plant that reports and does not do what it is told raises an alarm; the site is that of `test_standby`, with both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.telling.heeding import LATE
from facility.site import Site
from tests.facility.test_daemon import NOW, House
from tests.facility.test_standby import BATTERY, TANKED

BOTH = Site.model_validate(TANKED.model_dump(mode="json", exclude_unset=True) | {"batteries": {"b": BATTERY}})
THINGS = {"battery": "b", "cooling": "w"}
LATE_S = LATE.total_seconds()


class Told(House):
    """A house whose battery and cooling plant say what they act on."""

    def ordered(self, kind: str) -> tuple[int, int]:
        """Epoch and number of the order that stands."""
        sent = self.retained(f"{kind}/{THINGS[kind]}/desired")
        assert sent is not None
        return sent["epoch"], sent["seq"]

    def report(self, kind: str, order: tuple[int | None, int | None], **more: Any) -> None:
        at_ms = round(self.clock.now().timestamp() * 1000)
        self.say(f"{kind}/{THINGS[kind]}/reported", {"timestamp": at_ms, "epoch": order[0], "seq": order[1]} | more, retain=True)

    def plan(self) -> None:
        assert self.daemon.cycle().outcome == "published"

    def later(self, seconds: float) -> None:
        """Let time pass, with a plan every minute, as orders are renewed."""
        over = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < over:
            self.clock.advance(min(60.0, (over - self.clock.now()).total_seconds()))
            self.look()
            self.plan()
        self.look()

    def look(self) -> None:
        """Have the guard look, which it does by real seconds."""
        self.daemon.upkeep.guard_s = -math.inf
        self.daemon.rooms.pulse.connected()
        self.settle()

    def alarm(self, kind: str) -> dict[str, Any] | None:
        return self.retained(f"alarm/heeds-not-{kind}-{THINGS[kind]}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path / "journal.sqlite", BOTH)
    made.plan()
    yield made
    made.kill()


@pytest.mark.parametrize("kind", THINGS)
def test_what_does_not_act_on_orders_that_are_late_is_told_until_it_does(house: Told, kind: str) -> None:
    first = house.ordered(kind)
    house.report(kind, first)
    house.later(LATE_S - 1)
    assert house.alarm(kind) is None, "of what was sent since, nothing is late"
    house.later(61)
    told = house.alarm(kind)
    assert told is not None
    assert (told["severity"], told["place"]) == ("warning", f"{kind} {THINGS[kind]}")
    assert f"it tells of order {first[1]}" in told["cause"]
    assert f"sent at {NOW + timedelta(minutes=1):%H:%M}" in told["cause"]
    house.report(kind, house.ordered(kind))
    house.look()
    assert house.alarm(kind) is None


@pytest.mark.parametrize("kind", THINGS)
def test_one_that_follows_some_orders_late_is_not_told(house: Told, kind: str) -> None:
    for _ in range(6):
        order = house.ordered(kind)
        house.later(60)
        house.report(kind, order)
    assert house.alarm(kind) is None


def test_one_that_says_that_it_acts_on_none_or_on_an_earlier_epochs_is_told(house: Told) -> None:
    house.report("battery", (None, None), power_kw=0.0)
    epoch, seq = house.ordered("cooling")
    house.report("cooling", (epoch - 1, seq + 1000))
    house.later(LATE_S)
    battery, cooling = house.alarm("battery"), house.alarm("cooling")
    assert battery is not None
    assert "it tells of none" in battery["cause"]
    assert cooling is not None
    assert f"of order {seq + 1000} of epoch {epoch - 1}" in cooling["cause"]


def test_one_that_never_reports_or_takes_its_report_back_is_not_judged(house: Told) -> None:
    house.later(LATE_S * 2)
    assert house.alarm("battery") is None
    house.report("battery", (None, None))
    house.later(1)
    assert house.alarm("battery") is not None
    house.say("battery/b/reported", b"", retain=True)
    house.look()
    assert house.alarm("battery") is None


def test_nothing_is_late_whose_order_has_ended_or_that_could_not_be_sent(house: Told) -> None:
    heeding = house.daemon.rooms.heeding
    house.report("battery", (None, None))
    house.later(LATE_S - 1)
    heeding.look(house.clock.now(), unheard=True)
    house.later(LATE_S - 1)
    assert house.alarm("battery") is None
    house.later(1)
    assert house.alarm("battery") is not None
    heeding.look(house.clock.now() + timedelta(days=1))
    assert house.alarm("battery") is None


def test_what_cannot_be_read_changes_nothing(house: Told) -> None:
    house.report("battery", house.ordered("battery"))
    house.say("battery/b/reported", b"\xff not a report", retain=True)
    house.later(LATE_S + 60)
    told = house.alarm("battery")
    assert told is not None
    assert "it tells of order" in told["cause"]
