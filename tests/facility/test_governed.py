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
from models.solving.solver import Solver
from tests.facility.test_daemon import NOW, SITE, House


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
    thermal = {"heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 1e6, "start_c": 24, "cooling_plant": "c"}
    plant = {"feeder": "main", "design_heat_kw": 9, "max_heat_kw": 2, "pump_kw": 0, "fan_kw": 0}
    changed = {"feeders": {"main": {"rating_kw": 2.5}}, "halls": {"h": {"feeder": "main", "thermal": thermal}}, "cooling_plants": {"c": plant}}
    cramped = Site.model_validate(SITE.model_dump(mode="json", exclude_unset=True) | changed)
    governor.enforce(replace(known.situation(NOW, ()), site=cramped))
    assert governor.outcome.mode == "SAFE"
    assert "more heat than the plant removes" in governor.outcome.reason
    assert set(planned.caps().values()) == {200}
