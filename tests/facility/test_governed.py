"""What is sent is what the verifier accepts, whoever wants it otherwise; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from facility.daemon.question import Question, answer
from facility.decide import Decided, Undecided
from models.solving.solver import Solver
from tests.facility.test_daemon import NOW, TIGHT, House


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
    """Six at 400 and four at 100 W are 2.8 kW, at 250 W 1.9 kW; a feeder of 2.5 kW, of which safe caps fill 80 %, carries the latter only."""
    assert planned.caps() == {"": 100, "c": 400}
    planned.order("pool/h/p", "cap_w", 250)
    known, governor = planned.daemon.rooms.known, planned.daemon.rooms.governor
    feeders = {"main": TIGHT.feeders["main"].model_copy(update={"rating_kw": 2.5})}
    governor.enforce(replace(known.situation(NOW, ()), site=TIGHT.model_copy(update={"feeders": feeders})))
    assert governor.outcome.mode == "SAFE"
    assert "is more than this feeder may carry" in governor.outcome.reason
    assert max(planned.caps().values()) <= 200
