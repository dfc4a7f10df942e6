"""A set-point of the building: written, read back, moved slowly, yielded to who is at the machine, and handed back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from facility.agents.building.point import Point, Terms, Write

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_order_is_written_once_and_obeyed_when_it_is_read_back() -> None:
    point = Point(Terms(18, 27))
    assert point.due(NOW) is None
    point.order(24.0, LATER)
    assert point.due(NOW) == Write(24.0)
    assert not point.obeys
    point.hear(24.05, at(1))
    assert point.obeys
    assert [point.due(at(s)) for s in range(2, 60)] == [None] * 58


def test_nothing_beyond_its_bounds_is_written() -> None:
    point = Point(Terms(18, 27))
    point.order(35.0, LATER)
    assert point.due(NOW) == Write(27.0)
    point.order(-3.0, LATER)
    assert point.due(at(2)) == Write(18.0)


def test_what_is_not_taken_is_written_again_ever_more_seldom_and_that_is_said() -> None:
    point = Point(Terms(18, 27, answers_s=10))
    point.order(24.0, LATER)
    written = [s for s in range(400) if point.due(at(s)) is not None]
    assert written == [0, 10, 30, 70, 150, 310]
    assert point.doubt == "24 was written 6 times and is not taken"
    point.hear(24.0, at(401))
    assert point.doubt == ""


def test_without_a_read_back_it_is_believed() -> None:
    point = Point(Terms(-100, 100, reads_back=False))
    point.order(40.0, LATER)
    assert point.due(NOW) == Write(40.0)
    assert point.obeys
    assert point.due(at(300)) is None


def test_who_sets_it_at_the_machine_keeps_it_until_he_gives_it_back() -> None:
    point = Point(Terms(18, 27, answers_s=10, yields_s=900))
    point.order(24.0, LATER)
    point.due(NOW)
    point.hear(24.0, at(1))
    point.hear(20.0, at(5))
    assert point.due(at(14)) is None
    assert point.state == "driven"  # it may be a slip
    assert point.due(at(15)) is None
    assert (point.state, point.doubt, point.obeys) == ("yielded", "somebody else has set it to 20", False)
    point.order(25.0, LATER)
    assert [point.due(at(s)) for s in (16, 100, 914)] == [None] * 3
    point.hear(24.0, at(915 - 1))
    assert point.state == "driven"
    assert point.due(at(915)) == Write(25.0)


def test_after_a_while_it_is_tried_again() -> None:
    point = Point(Terms(18, 27, answers_s=10, yields_s=900))
    point.order(24.0, LATER)
    point.due(NOW)
    point.hear(24.0, at(1))
    point.hear(20.0, at(5))
    assert point.due(at(15)) is None
    assert point.due(at(914)) is None
    assert point.due(at(915)) == Write(24.0)


def test_at_its_end_it_is_handed_back_once_and_not_while_somebody_else_has_it() -> None:
    point = Point(Terms(18, 27))
    point.order(24.0, at(60))
    point.due(NOW)
    point.hear(24.0, at(1))
    assert point.due(at(59)) is None
    assert point.due(at(60)) == Write(None)
    assert point.due(at(61)) is None
    assert point.due(at(70)) == Write(None)  # the read-back is still ours
    point.hear(20.5, at(71))
    assert [point.due(at(s)) for s in range(72, 100)] == [None] * 28
    point.order(24.0, at(200))
    assert point.due(at(102)) == Write(24.0)
    point.hear(24.0, at(103))
    point.hear(20.0, at(104))
    point.due(at(120))
    assert point.due(at(200)) is None
    assert point.state == "local"


def test_what_was_heard_before_it_was_handed_back_does_not_show_that_that_was_taken() -> None:
    point = Point(Terms(-100, 100, answers_s=10))
    point.hear(0.0, NOW)
    point.order(40.0, at(1))
    assert point.due(NOW) == Write(40.0)  # and the broker is gone before anybody reads it back
    assert point.due(at(1)) == Write(None)
    assert [s for s in range(2, 400) if point.due(at(s)) is not None] == [11, 31, 71, 151, 311]
    point.hear(40.0, at(400))  # the gateway is back
    assert point.due(at(471)) is None, "five times, and it answers"


def test_as_long_as_its_gateway_is_away_it_is_handed_back_again() -> None:
    point = Point(Terms(-100, 100, answers_s=10))
    point.order(40.0, at(60))
    point.due(NOW)
    point.hear(40.0, at(1))
    said = [s for s in range(2, 1000) if point.due(at(s)) is not None]
    assert said == [60, 70, 90, 130, 210, 370, 530, 690, 850]
    point.hear(0.0, at(1001))
    assert [point.due(at(s)) for s in range(1002, 3000)] == [None] * 1998


def test_where_nothing_hands_it_back_it_stays_as_it_is() -> None:
    point = Point(Terms(18, 27, releases=False))
    point.order(24.0, at(60))
    point.due(NOW)
    assert point.due(at(60)) is None
    assert point.hand_back(NOW) is None


def test_where_nobody_reads_back_it_is_handed_back_five_times_ever_more_seldom() -> None:
    point = Point(Terms(18, 27, reads_back=False, answers_s=10))
    assert point.hand_back(NOW) == Write(None)
    assert [s for s in range(1, 1000) if point.due(at(s)) is not None] == [10, 30, 70, 150]


def test_a_slow_point_starts_where_it_is_and_waits_for_each_step() -> None:
    point = Point(Terms(18, 27, per_s=0.1))
    point.order(24.0, LATER)
    assert point.due(NOW) is None
    assert point.doubt == "it may only move slowly, and nobody tells where it is"
    point.hear(22.0, at(1))
    assert point.due(at(1)) == Write(22.1)
    assert point.due(at(3)) is None  # the first step is not taken yet
    point.hear(22.1, at(4))
    assert point.due(at(5)).value == 22.5  # type: ignore[union-attr]
    point.hear(22.5, at(6))
    assert point.due(at(600)) == Write(24.0)
    point.hear(24.0, at(601))
    point.due(at(3000))
    point.order(20.0, LATER)
    assert abs(point.due(at(3001)).value - 23.9) < 1e-9  # type: ignore[union-attr]  # standing still gives no right to jump


@given(st.lists(st.tuples(st.sampled_from(["order", "hear", "due"]), st.floats(10, 40), st.floats(0.1, 30)), max_size=60))
def test_whatever_comes_it_stays_in_bounds_and_moves_no_faster_than_it_may(what: list[tuple[str, float, float]]) -> None:
    point, now = Point(Terms(18, 27, per_s=0.05, within=0.2)), NOW
    last: tuple[float, datetime] | None = None
    for kind, value, seconds in what:
        now += timedelta(seconds=seconds)
        if kind == "order":
            point.order(value, now + timedelta(seconds=120))
        elif kind == "hear":
            point.hear(value, now)
        elif (write := point.due(now)) is not None:
            if write.value is None:
                last = None
                continue
            assert 18 <= write.value <= 27
            if last is not None and last[0] != write.value:
                assert abs(write.value - last[0]) <= 0.05 * (now - last[1]).total_seconds() + 1e-9
                assert now - last[1] >= timedelta(seconds=1)
            last = write.value, now
