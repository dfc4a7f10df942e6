"""While caps rise step by step: what makes them give way gives the rest up, and what a person does holds what is there.

The site of `test_daemon`: 10 GPUs of 100 to 400 W under 5 kW; a step is at most 0.25 kW, 25 W on every GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from facility.daemon.question import Question
from facility.decide import Decided
from facility.decision import CapGroup, Decision, PoolCaps
from tests.facility.test_daemon import SITE, House

STEEP = SITE.model_copy(update={"control": SITE.control.model_copy(update={"rise_share": 0.05, "rise_pause_s": (10.0, 10.0)})})


class Climbing(House):
    """A house whose plans are what the test says."""

    cap_w = 100

    def open(self) -> None:
        super().open()
        self.daemon._planner = self.plan

    def plan(self, asked: Question) -> Decided:
        now = asked.edges[0]
        caps = PoolCaps("p", self.cap_w, (CapGroup("c", 6, self.cap_w),))
        return Decided(Decision(now, now + timedelta(minutes=5), (caps,)), asked.edges)

    def sent(self) -> int:
        caps = self.caps()
        assert caps[""] == caps["c"]
        return caps[""]

    def confirm(self) -> None:
        told = self.retained("cap/h/p/desired")
        assert told is not None
        at = int(self.clock.now().timestamp() * 1000)
        report = {"timestamp": at, "epoch": told["epoch"], "seq": told["seq"], "enforced_cap_w": told["cap_w"]}
        self.say("cap/h/p/reported", report, retain=True)

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.settle()

    def metered(self, kw: float) -> None:
        self.say("tele/site/meter/main/import_kw", {"value": kw, "timestamp": int(self.clock.now().timestamp() * 1000)})
        self.daemon.upkeep.guard_s -= 1
        self.settle()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Climbing]:
    made = Climbing(tmp_path / "journal.sqlite", STEEP)
    made.daemon.cycle()
    made.confirm()
    made.cap_w = 300
    made.daemon.cycle()
    made.pass_by(25)
    assert made.sent() == 175, "three of eight steps"
    yield made
    made.kill()


def test_left_alone_a_rise_gets_there(house: Climbing) -> None:
    house.pass_by(60)
    assert house.sent() == 300
    assert house.daemon.outcome.mode == "NORMAL"


def test_where_the_guard_makes_caps_give_way_the_rest_of_a_rise_is_given_up(house: Climbing) -> None:
    house.metered(4.2)
    cut = house.sent()
    assert cut < 175, "below what was there, not below what was to come"
    house.pass_by(45)
    assert house.sent() <= cut


def test_where_the_meter_is_lost_a_rise_stays_where_it_has_come_to(house: Climbing) -> None:
    house.metered(2.0)
    house.pass_by(2)
    house.clock.advance(40)
    house.daemon.upkeep.guard_s -= 1
    house.settle()
    there = house.sent()
    assert house.daemon.outcome.reason.endswith("the power at the grid is not measured: caps do not rise")
    house.pass_by(60)
    assert house.sent() == there < 300


@pytest.mark.parametrize("kind", ["freeze", "manual"])
def test_what_a_person_takes_over_stays_where_the_rise_has_come_to(house: Climbing, kind: str) -> None:
    house.order("site", kind)
    house.pass_by(60)
    assert house.sent() == 175
    assert house.daemon.outcome.mode == "MANUAL"


def test_an_operators_cap_is_there_at_once_amid_a_rise_and_what_follows_it_goes_in_steps(house: Climbing) -> None:
    house.order("pool/h/p", "cap_w", 280, ttl_s=5)
    assert house.sent() == 280
    house.pass_by(60)
    assert house.sent() == 300


def test_a_lower_plan_is_there_at_once(house: Climbing) -> None:
    house.cap_w = 120
    house.daemon.cycle()
    assert house.sent() == 120
    house.pass_by(60)
    assert house.sent() == 120
