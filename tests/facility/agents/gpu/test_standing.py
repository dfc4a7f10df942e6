"""Which order of caps holds, and what holds when none does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from facility.agents.gpu.standing import Moment, Standing
from facility.bus.messages import CapDesired, CapGroup

START = datetime(2026, 7, 15, 10, tzinfo=UTC)


def at(seconds: float, wall: float | None = None) -> Moment:
    return Moment(START + timedelta(seconds=seconds if wall is None else wall), seconds)


def order(seq: int, cap_w: int = 300, *, issued: float = 0, lasts: float = 60, epoch: int = 1, fallback_w: int = 150, groups=()) -> CapDesired:
    issued_at = START + timedelta(seconds=issued)
    end = issued_at + timedelta(seconds=lasts)
    return CapDesired(epoch=epoch, seq=seq, issued_at=issued_at, valid_until=end, cap_w=cap_w, fallback_cap_w=fallback_w, groups=groups)


@pytest.fixture
def standing() -> Standing:
    return Standing(100, 400)


def test_the_newest_order_holds_until_its_end_and_then_its_fallback(standing: Standing) -> None:
    assert standing.in_force(at(0)) is None
    assert standing.fallback_w is None
    assert not standing.take(order(1, 300), at(0))
    assert not standing.take(order(2, 200), at(1))
    assert standing.in_force(at(59.9)) == order(2, 200)
    assert standing.left_s(at(50)) == pytest.approx(10)
    assert standing.in_force(at(60)) is None
    assert standing.left_s(at(60)) is None
    assert standing.fallback_w == 150


@pytest.mark.parametrize("late", [order(5), order(4), order(9, epoch=0)], ids=["twice", "older", "of an earlier epoch"])
def test_what_is_not_newer_is_dropped(standing: Standing, late: CapDesired) -> None:
    standing.take(order(5, 200), at(0))
    assert "not newer" in standing.take(late, at(1))
    assert standing.order == order(5, 200)
    assert not standing.take(order(1, epoch=2), at(1))


def test_an_order_past_its_end_is_dropped_and_the_fallback_of_the_first_counts(standing: Standing) -> None:
    assert "past its end" in standing.take(order(1, fallback_w=250), at(60))
    assert standing.in_force(at(60)) is None
    assert standing.fallback_w == 250
    standing.take(order(2, issued=60), at(61))
    assert "past its end" in standing.take(order(3, fallback_w=120), at(70))
    assert standing.fallback_w == 150


@pytest.mark.parametrize(
    "wrong",
    [order(2, 99), order(2, 401), order(2, fallback_w=0), order(2, groups=(CapGroup(workload="j", gpus=1, cap_w=4000),))],
    ids=["below", "above", "fallback", "group"],
)
def test_a_cap_that_no_gpu_can_have_spoils_its_whole_order(standing: Standing, wrong: CapDesired) -> None:
    standing.take(order(1, 200), at(0))
    assert "can be set to" in standing.take(wrong, at(1))
    assert standing.order == order(1, 200)


def test_a_wall_clock_that_is_set_back_makes_no_order_last_longer(standing: Standing) -> None:
    standing.take(order(1), at(0))
    assert standing.in_force(at(59, wall=-3600)) is not None
    assert standing.in_force(at(60, wall=-3600)) is None


def test_a_wall_clock_that_is_set_forward_ends_an_order(standing: Standing) -> None:
    standing.take(order(1), at(0))
    assert standing.in_force(at(1, wall=3600)) is None


def test_a_clock_that_is_late_makes_an_order_last_as_long_as_it_was_made_for(standing: Standing) -> None:
    standing.take(order(1, issued=3600), at(0))
    assert standing.in_force(at(59)) is not None
    assert standing.in_force(at(60)) is None
