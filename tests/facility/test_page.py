"""The demonstration's page shows what was said last, and what it cost beside doing nothing; the plant is that of `test_plant`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import CapDesired, CapGroup, JobDesired, Override, OverrideState, Status, encode
from facility.clock import ManualClock
from facility.commands.page import Page
from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.simulate.reference import Reference
from tests.facility.test_plant import START, site

SITE = site()
ROOT = f"{SITE.bus.root}/{SITE.id}"


class Shown:
    """A page, the plant on the same bus, and a clock that both follow."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.broker = MemoryBroker(self.clock.now)
        self.bus, self.voice = self.broker.connect(), self.broker.connect()
        self.device = Device(Plant(SITE, START, seed=None), self.broker.connect(), self.clock)
        self.page = Page(SITE, self.clock, Reference(SITE, START))  # type: ignore[arg-type]
        self.page.subscribe(self.bus)

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.clock.advance(5)
            self.device.tick()
            self.read()

    def read(self) -> None:
        while (message := self.bus.receive(0.0)) is not None:
            self.page.take(message)
        self.page.keep_up()

    def say(self, topic: str, payload: Any) -> None:
        told = payload if isinstance(payload, bytes) else encode(payload)
        self.voice.publish(Message(f"{ROOT}/{topic}", told, qos=1, retain=True))
        self.read()

    def text(self) -> str:
        console = Console(width=200, record=True, file=None, quiet=False)
        with console.capture() as seen:
            console.print(self.page.render())
        return seen.get()


@pytest.fixture
def shown() -> Shown:
    made = Shown()
    made.pass_by(60)
    return made


def stamped(**more: Any) -> dict[str, Any]:
    return {"epoch": 1, "seq": 1, "issued_at": START, "valid_until": START + timedelta(minutes=15)} | more


def test_before_anybody_has_said_anything_the_page_says_so() -> None:
    page = Shown().page
    assert "starting: - of 150 kW, 100 EUR/MWh, caps up to -, jobs 0 running 0 held, 0.00 EUR so far" in page.line()


def test_what_was_said_last_is_shown_in_a_line_and_on_the_page(shown: Shown) -> None:
    groups = (CapGroup(workload="rent", gpus=30, cap_w=300), CapGroup(workload="rent", gpus=("a/0", "a/1"), cap_w=250))
    shown.say("cap/h1/p1/desired", CapDesired(cap_w=200, groups=groups, fallback_cap_w=200, reason="cheap now", **stamped()))
    shown.say("svc/d/status", Status(instance="d", mode="HOLD", reason="no plan today"))
    standing = Override(
        id="x", kind="cap_w", value=250, effective=250, priority=8, start=START, end=START + timedelta(hours=1), by="ann", reason="warm"
    )
    shown.say("override/pool/h1/p1/state", OverrideState(overrides=(standing,)))
    line, text = shown.page.line(), shown.text()
    assert " HOLD: " in line
    assert "caps up to p1 300 W" in line
    for part in ("HOLD", "no plan today", "30 at 300, 2 at 250", "cheap now", "h1 24.0 of", "b1 5 of 10 kWh", "cap_w 250 by ann until 12:00"):
        assert part in text
    shown.say("override/pool/h1/p1/state", b"")
    shown.say("cap/h1/p1/desired", b"{")
    assert "no override in force" in shown.text()
    assert "30 at 300" in shown.text()


def test_jobs_are_counted_until_they_are_gone(shown: Shown) -> None:
    jobs = [topic.split("/")[4] for topic in shown.broker.retained if topic.endswith("/spec")]
    assert len(jobs) == 1
    assert "jobs 0 running 1 held" in shown.page.line()
    shown.say(f"job/{jobs[0]}/desired", JobDesired(action="run", gpus=80, **stamped()))
    shown.pass_by(15)
    assert "jobs 1 running 0 held" in shown.page.line()
    shown.say(f"job/{jobs[0]}/reported", b"")
    assert "jobs 0 running 0 held" in shown.page.line()


def test_the_cost_is_what_the_meter_shows_at_the_price_and_a_silent_meter_adds_nothing(shown: Shown) -> None:
    shown.pass_by(540)
    power_kw = shown.device.plant.import_kw
    assert shown.page._cost == pytest.approx(0.1 * power_kw / 6, rel=0.05)  # 100 EUR/MWh for ten minutes
    before = shown.page._cost
    shown.clock.advance(3600)
    shown.read()
    assert shown.page._cost == before
    assert "- of 150 kW" in shown.page.line()
