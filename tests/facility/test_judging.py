"""What of a verdict keeps a plan from being sent, what of it is worse than what is in force, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from facility.daemon.judging import fatal, told, worse_than
from facility.decide import Decided
from facility.decision import Decision
from facility.verify import Violation

NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)
OWNED_UP = Decided(Decision(NOON, NOON + timedelta(minutes=15), (), ()), (NOON,), frozenset({"grid.limit"}), frozenset({"j"}))
RATING = Violation("feeder.rating", "f", 110.0, "kW", 100.0, "draws more than its rating", "plant")
LIMIT = Violation("grid.limit", "main", 90.0, "kW", 80.0, "import above the limit", "grid")
FLOOR = Violation("contract.floor", "c", 0.5, "1", 0.75, "mean speed is below the floor", "contract")
MIN_RUN = Violation("job.min_run", "j", None, "h", None, "stopped before its minimum run", "contract")


@pytest.mark.parametrize(
    ("verdict", "kept_back"),
    [
        ((RATING,), [RATING]),
        ((FLOOR, RATING), [RATING]),
        ((LIMIT,), []),
        ((Violation("grid.export", "main", 9.0, "kW", 8.0, "export above the limit", "grid"),), ["grid.export"]),
        ((FLOOR,), []),
        ((MIN_RUN,), [MIN_RUN]),
        ((Violation("job.min_run", "another", None, "h", None, "stopped before its minimum run", "contract"),), []),
    ],
    ids=["plant", "plant beside another", "owned up to", "not owned up to", "contract", "stopped and hidden", "stopped and told"],
)
def test_what_endangers_the_plant_or_is_not_owned_up_to_keeps_a_plan_back(verdict: tuple[Violation, ...], kept_back: list[object]) -> None:
    assert [v if v in kept_back else v.rule for v in fatal(verdict, OWNED_UP)] == kept_back


def test_what_was_broken_as_far_before_is_no_worse() -> None:
    before = (RATING, FLOOR)
    assert worse_than((RATING,), before) == ()
    further = Violation("feeder.rating", "f", 111.0, "kW", 100.0, "draws more than its rating", "plant")
    assert worse_than((further, LIMIT), before) == (further, LIMIT)
    assert worse_than((MIN_RUN,), (MIN_RUN,)) == (MIN_RUN,), "what has no amount cannot be compared"


def test_a_verdict_is_told_with_its_numbers_and_no_longer_than_a_line() -> None:
    assert told((RATING, FLOOR)) == "f: draws more than its rating (110 of 100 kW); c: mean speed is below the floor (0.5 of 0.75)"
    assert told((MIN_RUN,)) == "j: stopped before its minimum run"
    assert told((RATING,) * 5).endswith("; and 2 more")
