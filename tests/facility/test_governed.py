"""What is sent is what the verifier accepts, whoever wants it otherwise; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from facility.daemon.question import Question, answer
from facility.decide import Decided, Undecided
from facility.site import Site
from facility.verify import Violation, verify
from models.solving.solver import Solver
from tests.facility.test_daemon import NOW, SITE, House

THERMAL = {"heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 1e6, "start_c": 24, "cooling_plant": "c"}
COOLED = Site.model_validate(SITE.model_dump(mode="json", exclude_unset=True) | {
    "feeders": {"main": {"rating_kw": 3.2}}, "halls": {"h": {"feeder": "main", "thermal": THERMAL}},
    "cooling_plants": {"c": {"feeder": "main", "design_heat_kw": 9, "max_heat_kw": 9, "pump_kw": 0, "fan_kw": 0}},
})  # fmt: skip


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    assert made.daemon.cycle().outcome == "published"
    yield made
    made.kill()


def test_a_plan_that_breaks_the_grids_limit_is_sent_where_it_says_so_only(planned: House) -> None:
    told = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat(), "target_kw": 0.0}
    planned.say("grid/main/event", told, retain=True)

    def silently(asked: Question) -> Decided | Undecided:
        found = answer(asked, Solver)
        assert isinstance(found, Decided)
        assert "grid.event" in found.broken
        return replace(found, broken=found.broken - {"grid.event"})

    planned.daemon._planner = silently
    refused = planned.daemon.cycle()
    assert (refused.outcome, refused.reason.partition(":")[0]) == ("held", "the verifier refused the plan")
    planned.daemon._planner = lambda asked: answer(asked, Solver)
    assert planned.daemon.cycle().outcome == "published"


def test_what_goes_on_after_a_command_must_fit_or_safe_caps_are_sent(planned: House) -> None:
    """Six at 400 W give off 2.54 kW of heat, at 250 W 1.67 kW; of a plant that removes 2 kW the former is too much, and safe caps are 200 W.

    Before, caps give way to what the feeder carries, 350 W: that is 2.25 kW of heat still.
    """
    assert planned.caps() == {"": 100, "c": 400}
    planned.order("pool/h/p", "cap_w", 250)
    known, governor = planned.daemon.rooms.known, planned.daemon.rooms.governor
    plant = {"feeder": "main", "design_heat_kw": 9, "max_heat_kw": 2, "pump_kw": 0, "fan_kw": 0}
    changed = {"feeders": {"main": {"rating_kw": 2.5}}, "halls": {"h": {"feeder": "main", "thermal": THERMAL}}, "cooling_plants": {"c": plant}}
    cramped = Site.model_validate(SITE.model_dump(mode="json", exclude_unset=True) | changed)
    governor.enforce(replace(known.situation(NOW, ()), site=cramped))
    assert governor.outcome.mode == "SAFE"
    assert "more heat than the plant removes" in governor.outcome.reason
    assert set(planned.caps().values()) == {200}


@pytest.fixture
def cooled(tmp_path: Path) -> Iterator[House]:
    """A house whose GPUs may have 320 W each as long as it is cold outside, for then nothing is chilled."""
    made = House(tmp_path / "cooled.sqlite", COOLED)
    warms(made, 10.0, minutes=1)
    yield made
    made.kill()


def warms(house: House, outdoor_c: float, minutes: int, air_c: float = 24.0) -> None:
    """Let time pass, with readings of the weather and of the hall's air in every half of a minute."""
    for n in range(2 * minutes):
        house.clock.advance(30)
        for sensor, value_c in (("site/weather/outdoor/temperature_c", outdoor_c), ("h/hall/h/air_temperature_c", air_c)):
            house.say(f"tele/{sensor}", {"value": value_c + n * 1e-3, "timestamp": int(house.clock.now().timestamp() * 1000)})
        house.daemon.upkeep.guard_s -= 30  # which goes by the machine's clock
        house.daemon.upkeep.judged_s -= 30
        house.settle()


def worst(house: House) -> tuple[Violation, ...]:
    """What feeders would carry too much of by what was sent last."""
    governor, here = house.daemon.rooms.governor, house.daemon.rooms.known.situation(house.clock.now())
    assert governor.in_force is not None
    assert here.outdoor_c > 29
    return verify(here.site, here.snapshot, replace(governor.in_force, first_step_s=None), outdoor_c=here.outdoor_c)


def test_as_it_gets_warmer_caps_give_way_when_the_first_step_of_the_plan_is_over_though_no_cycle_comes(cooled: House) -> None:
    assert cooled.daemon.cycle().mode == "NORMAL"
    warms(cooled, 30.0, minutes=3)
    assert cooled.caps() == {"": 100, "c": 400}, "what the plan had in mind for its first step was judged for all of it"
    warms(cooled, 30.0, minutes=2)
    assert (worst(cooled), cooled.mode()) == ((), "NORMAL")
    lower = cooled.caps()["c"]
    assert 300 < lower < 400
    sent = cooled.retained("cap/h/p/desired")
    warms(cooled, 30.0, minutes=3)
    assert cooled.retained("cap/h/p/desired") == sent, "what fits is not sent again"


def test_amid_a_first_step_whose_hall_is_as_warm_as_it_was_to_be_caps_give_way_too(cooled: House) -> None:
    assert cooled.daemon.cycle().mode == "NORMAL"
    began = cooled.daemon.rooms.governor.in_force
    assert began is not None
    (wanted_c,) = [c for order in began.cooling for _, c in order.hall_c]
    warms(cooled, 30.0, minutes=3, air_c=wanted_c)
    assert cooled.clock.now() < began.at + timedelta(seconds=began.first_step_s or 0)
    assert (worst(cooled), cooled.mode()) == ((), "NORMAL")
    assert 300 < cooled.caps()["c"] < 400


def test_what_somebody_commands_over_safe_caps_gives_way_too_as_it_gets_warmer(cooled: House) -> None:
    assert cooled.order("pool/h/p", "cap_w", 320, ttl_s=3600)["status"] == "accepted"
    assert (cooled.mode(), set(cooled.caps().values())) == ("SAFE", {320})
    warms(cooled, 30.0, minutes=2)
    assert (worst(cooled), cooled.mode()) == ((), "SAFE")
    assert 240 < cooled.caps()["c"] < 320


def test_safe_caps_give_a_hall_that_is_too_hot_no_more_than_it_has(cooled: House) -> None:
    """They are 256 W, and the rental has 150 W of a command that ends."""
    cooled.daemon.cycle()
    cooled.order("pool/h/p", "cap_w", 150)
    governor, here = cooled.daemon.rooms.governor, cooled.daemon.rooms.known.situation(cooled.clock.now(), ())
    measured_kw = {"p": 6 * 0.15 + 4 * 0.05}
    governor.safe(replace(here, snapshot=replace(here.snapshot, hall_c={"h": 36.0}, pool_kw=measured_kw)), "it is too hot")
    assert (cooled.caps(), governor.verdict) == ({"": 100, "c": 150}, ())
    governor.safe(replace(here, snapshot=replace(here.snapshot, hall_c={"h": 34.0}, pool_kw=measured_kw)), "it was too hot")
    assert {group.cap_w for pool in governor.in_force.pools for group in pool.groups} == {256}  # type: ignore[union-attr]
