"""I17: every cycle ends in exactly one of published, held and safe, with a reason, in time - whatever becomes of its plan.

The site and the bus are those of `test_daemon`; what answers a cycle is handed in.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from facility.daemon import loop
from facility.daemon.question import Question, answer
from facility.decide import Decided, Undecided
from facility.site import Site
from models.solving.child import Child
from models.solving.solver import Solver
from tests.facility.test_daemon import SITE, House

HASTY = Site.model_validate(SITE.model_dump(mode="json", exclude_unset=True) | {"control": {"solver_budget_s": 2.0}})

Answer = Callable[[House, Question], Decided | Undecided]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", HASTY)
    assert made.daemon.cycle().outcome == "published"
    yield made
    made.kill()


def plan(_: House, asked: Question) -> Decided | Undecided:
    return answer(asked, Solver)


def without_a_plan(house: House, asked: Question) -> Decided:
    """A decision as the simulation's planner makes them."""
    found = plan(house, asked)
    assert isinstance(found, Decided)
    return Decided(found.decision, found.edges, found.broken, found.stopped)


def overload(house: House, asked: Question) -> Decided:
    found = without_a_plan(house, asked)
    pools = tuple(replace(pool, cap_w=4000) for pool in found.decision.pools)
    return replace(found, decision=replace(found.decision, pools=pools))


def no_number(house: House, asked: Question) -> Decided:
    found = without_a_plan(house, asked)
    pools = tuple(replace(pool, cap_w=cast("int", math.nan)) for pool in found.decision.pools)
    return replace(found, decision=replace(found.decision, pools=pools))


def nothing(*_: object) -> Undecided:
    return Undecided("no certified plan in time")


def raises(*_: object) -> Decided:
    raise RuntimeError("a fault of the program")


def no_answer(*_: object) -> Decided:
    return cast("Decided", None)


def late(house: House, asked: Question) -> Decided:
    found = without_a_plan(house, asked)
    house.clock.advance(HASTY.control.cap_ttl_s)
    return found


@pytest.mark.parametrize(
    ("answers", "outcome", "mode", "reason"),
    [
        (plan, "published", "NORMAL", "verified"),
        (without_a_plan, "published", "NORMAL", "verified"),
        (overload, "held", "HOLD", "the verifier refused the plan"),
        (no_number, "held", "HOLD", "the verifier refused the plan: cap.whole"),
        (nothing, "held", "HOLD", "no certified plan in time"),
        (raises, "held", "HOLD", "the planner failed: RuntimeError: a fault of the program"),
        (no_answer, "safe", "SAFE", "the plan could not be sent: AttributeError"),
        (late, "safe", "SAFE", "the plan came too late, 900 s after its readings"),
    ],
)
def test_a_cycle_ends_in_one_way_with_a_reason_and_is_written_down(
    house: House, answers: Answer, outcome: str, mode: str, reason: str
) -> None:
    house.daemon._planner = lambda asked: answers(house, asked)
    before = house.caps()
    found = house.daemon.cycle()
    assert (found.outcome, found.mode) == (outcome, mode)
    assert reason in found.reason
    first, second = sorted(house.journal.cycles(), key=lambda record: record.cycle)
    assert (first.outcome, second.outcome, second.mode, second.reason) == ("published", outcome, mode, found.reason)
    assert outcome == "safe" or house.caps() == before
    house.daemon._planner = lambda asked: plan(house, asked)
    assert house.daemon.cycle().mode == "NORMAL"


def test_a_cycle_that_cannot_even_be_asked_ends_as_held(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(loop, "ask", lambda *_, **__: 1 / 0)
        found = house.daemon.cycle()
        assert (found.outcome, found.mode) == ("held", "HOLD")
        assert found.reason == "what a plan is made from could not be gathered: ZeroDivisionError: division by zero"
        house.clock.advance(HASTY.control.cap_ttl_s)
        assert house.daemon.cycle().outcome == "safe"
    assert house.daemon.faults == {"ZeroDivisionError in a question": 2}
    assert house.daemon.cycle().outcome == "published"


def test_a_cycle_whose_solver_hangs_ends_within_a_tenth_more_than_its_budget(house: House) -> None:
    with Child(grace_s=0.0) as child:
        house.daemon._planner = lambda asked: answer(asked, child)
        assert house.daemon.cycle().outcome == "published"
        os.kill(child.pid, signal.SIGSTOP)
        began = time.monotonic()
        found = house.daemon.cycle()
        assert time.monotonic() - began <= 1.1 * HASTY.control.solver_budget_s + 0.3
        assert (found.outcome, "the solver was killed" in found.reason) == ("held", True)
        assert house.daemon.cycle().outcome == "published"


