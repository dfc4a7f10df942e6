"""The guard in the daemon: what it makes give way is published at once, told, and planned around. Readings on a bus in memory, the real solver.

The site is that of `test_blind`: pools `a` and `b` of 100 GPUs under busways of 60 kW, in hall `h` and hall `k`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facility.site import Site
from tests.facility.test_blind import COOL, SITE, Blind
from tests.facility.test_daemon import no_plan
from tests.facility.test_quality import METER

BUS_A = "site/feeder/bus-a/power_kw"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Blind]:
    """A house whose two pools may have all they can use."""
    made = Blind(tmp_path / "journal.sqlite")
    made.limit(150)
    made.pass_by(30)
    assert made.daemon.cycle().mode == "NORMAL"
    assert set(made.highest().values()) == {400}
    yield made
    made.kill()


def test_a_feeder_with_too_much_gets_less_at_once_and_plans_keep_to_it_until_it_is_over(house: Blind) -> None:
    house.pass_by(5, **{BUS_A: 59.5})
    cut = house.highest()
    assert cut["a"] < cut["b"] == 400
    assert house.daemon.outcome.reason.endswith("feeder bus-a carried 59.5 of 60 kW: caps give way")
    alarm = house.retained("alarm/over-feeder-bus-a")
    assert alarm is not None
    assert (alarm["place"], alarm["severity"]) == ("feeder bus-a", "alarm")
    house.pass_by(30, **{BUS_A: 57.0})
    assert house.daemon.cycle().mode == "NORMAL"
    assert house.highest()["a"] <= cut["a"]
    house.pass_by(70, **{BUS_A: 57.0})
    assert house.daemon.cycle().mode == "NORMAL"
    plan = house.daemon.rooms.governor.plan
    assert plan is not None
    planned = next(caps for caps in plan.decision.pools if caps.pool == "a")
    assert max(group.cap_w for group in planned.groups) == house.highest()["a"], "the plan itself does not push against it"
    assert house.highest()["a"] == pytest.approx(cut["a"], abs=2)
    house.pass_by(70)
    assert house.retained("alarm/over-feeder-bus-a") is None
    house.daemon.cycle()
    assert house.highest() == {"a": 400, "b": 400}


def test_a_hall_that_warms_up_too_fast_gets_less_and_plans_hold_it_there(house: Blind) -> None:
    for c in (25.0, 26.0, 27.0, 28.0, 29.0, 30.0):
        house.pass_by(10, **{COOL: c})
    cut = house.highest()
    assert cut["a"] < 400 == cut["b"]
    assert house.retained("alarm/over-hall-h") is not None
    house.pass_by(100, **{COOL: 30.0})
    house.daemon.cycle()
    assert house.highest()["a"] <= cut["a"]
    assert house.mode() == "NORMAL"
    for c in (29.0, 28.0, 27.0, 26.0, 25.0, *[24.0] * 6):
        house.pass_by(10, **{COOL: c})
    assert house.retained("alarm/over-hall-h") is None
    house.daemon.cycle()
    assert house.highest()["a"] == 400


def test_it_works_while_the_planner_hangs_and_what_the_planner_brings_afterwards_does_not_undo_it(
    house: Blind, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    planner = house.daemon._planner

    def hanging(question: object) -> object:
        found = planner(question)  # type: ignore[arg-type]
        house.pass_by(5, **{BUS_A: 59.5})
        asked.append(house.highest()["a"])
        return found

    monkeypatch.setattr(house.daemon, "_planner", hanging)
    house.daemon.cycle()
    assert asked[0] < 400
    assert house.highest()["a"] <= asked[0]


def test_a_person_cannot_command_above_it_and_what_is_held_goes_on_below_it(house: Blind, monkeypatch: pytest.MonkeyPatch) -> None:
    house.pass_by(5, **{BUS_A: 59.5})
    cut = house.highest()["a"]
    house.order("pool/h/a", "cap_w", 400)
    assert house.highest()["a"] <= cut
    no_plan(monkeypatch)
    house.daemon.cycle()
    assert (house.mode(), house.highest()["a"] <= cut) == ("HOLD", True)
    house.order("site", "manual")
    assert (house.mode(), house.highest()["a"] <= cut) == ("MANUAL", True)


def test_a_pool_that_draws_more_than_its_caps_allow_is_an_alarm(house: Blind) -> None:
    house.order("pool/h/a", "cap_w", 200)
    house.pass_by(90, **{"h/pool/a/it_power_kw": 48.0})
    alarm = house.retained("alarm/draw-a")
    assert alarm is not None
    assert "its caps allow 30.0 kW" in alarm["cause"]
    house.pass_by(30)
    assert house.retained("alarm/draw-a") is None


def test_what_gave_way_at_the_grid_comes_back_before_the_next_plan_once_the_meter_shows_room(tmp_path: Path) -> None:
    """Halls hold and lose next to no heat, so that the plan does not count on their warming up."""
    halls = {name: hall.model_dump(exclude_unset=True) for name, hall in SITE.halls.items()}
    steady = {"heat_capacity_kwh_per_k": 0.001, "resistance_k_per_kw": 1000}
    light = {name: hall | {"thermal": hall["thermal"] | steady} for name, hall in halls.items()}
    house = Blind(tmp_path / "journal.sqlite", Site.model_validate(SITE.model_dump(exclude_unset=True) | {"halls": light}))
    house.limit(100)
    house.pass_by(30)
    house.daemon.cycle()
    before = house.highest()
    house.pass_by(20)
    house.pass_by(5, **{METER: 102.0})
    cut = house.highest()
    assert all(cut[pool] < before[pool] for pool in before)
    house.pass_by(120, **{METER: 98.0})
    assert house.highest() == cut, "no room"
    house.pass_by(90, **{METER: 70.0})
    assert house.highest() == before
    assert house.daemon.outcome.reason.endswith("verified")
    house.kill()


def test_what_gave_way_comes_back_no_further_than_plants_remove_its_heat(house: Blind) -> None:
    """The plan let halls warm up; as they are by now, 400 W everywhere is 8 kW more heat than the plant removes."""
    house.pass_by(5, **{METER: 152.0})
    cut = house.highest()
    assert all(cap_w < 400 for cap_w in cut.values())
    house.pass_by(120, **{METER: 90.0})
    assert house.highest() == cut
    assert house.mode() == "NORMAL"
