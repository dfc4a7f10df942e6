"""Load targets replace, meet and end as the schedule says, whatever their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.messages import Rejected
from facility.dsx.flex import MOST_TARGETS, Interval, Power, Request, Strategy
from facility.dsx.schedule import ALWAYS, Schedule
from facility.events import targets_kw

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def ask(kw: float | None, start: float | None = None, end: float | None = None, *, best_effort: bool = False) -> Request:
    interval = Interval(start_time=None if start is None else at(start), end_time=None if end is None else at(end))
    constraint = None if kw is None else Power(value=kw, unit="kilowatt")
    return Request(interval=interval, load_constraint=constraint, strategy=Strategy(best_effort=best_effort))


def ordered(schedule: Schedule, *requests: Request, by: str = "a", made: float = 0, now: float = 0, event: UUID | None = None) -> Schedule:
    event = event or uuid4()
    return schedule.ordered(by, event, event, at(made), requests, at(now))


def kw(schedule: Schedule, minutes: float) -> float | None:
    found = schedule.binding(at(minutes))
    return None if found is None else found.constraint.kw


def test_without_a_start_it_begins_now_and_without_an_end_it_stays() -> None:
    schedule = ordered(Schedule(), ask(500), now=5)
    (target,) = schedule.standing(at(5))
    assert (target.start, target.end) == (at(5), ALWAYS)
    assert (kw(schedule, 4.9), kw(schedule, 5), kw(schedule, 1e6)) == (None, 500, 500)


def test_a_later_order_replaces_inside_its_interval_only() -> None:
    schedule = ordered(ordered(Schedule(), ask(500, 0, 60)), ask(700, 20, 40), made=1, now=1)
    assert [kw(schedule, minutes) for minutes in (0, 19, 20, 39, 40, 59, 60)] == [500, 500, 700, 700, 500, 500, None]
    assert len({target.correlation for target in schedule.standing(at(1))}) == 2


def test_null_takes_away_what_stands_in_its_interval() -> None:
    schedule = ordered(ordered(Schedule(), ask(500)), ask(None, 20, 40), made=1, now=1)
    assert [kw(schedule, minutes) for minutes in (19, 20, 39, 40)] == [500, None, None, 500]
    assert not ordered(schedule, ask(None), made=2, now=2).standing(at(2))


def test_in_one_order_the_lowest_counts_where_requests_meet() -> None:
    for requests in ((ask(500, 0, 60), ask(700, 20, 80)), (ask(700, 20, 80), ask(500, 0, 60))):
        schedule = ordered(Schedule(), *requests)
        assert [kw(schedule, minutes) for minutes in (10, 30, 70)] == [500, 500, 700]


def test_several_orderers_each_keep_their_own() -> None:
    schedule = ordered(ordered(Schedule(), ask(500), by="a"), ask(400, 10, 20), by="b")
    assert [kw(schedule, minutes) for minutes in (5, 15, 25)] == [500, 400, 500]
    schedule = ordered(schedule, ask(None), by="b", made=1, now=1)
    assert kw(schedule, 15) == 500
    assert not schedule.only(["b"]).targets


@pytest.mark.parametrize(("made", "now", "why"), [(-1, 0, "before the last one"), (2, 0, "ahead")])
def test_what_came_too_late_or_is_not_yet_does_not_act(made: float, now: float, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        ordered(ordered(Schedule(), ask(500)), ask(700), made=made, now=now)


def test_an_order_that_comes_twice_acts_once_and_two_of_one_instant_both_do() -> None:
    event = uuid4()
    schedule = ordered(ordered(Schedule(), ask(500), event=event), ask(700))
    with pytest.raises(Rejected, match="acts once"):
        ordered(schedule, ask(500), event=event)
    assert kw(schedule, 0) == 700


def test_of_an_order_that_is_partly_past_the_rest_counts_and_one_all_past_is_refused() -> None:
    schedule = ordered(Schedule(), ask(500, -60, -30), ask(600, -10, 10))
    assert [(target.start, target.constraint.kw) for target in schedule.standing(NOW)] == [(at(-10), 600)]
    with pytest.raises(Rejected, match="all of it is past"):
        ordered(Schedule(), ask(500, -60, -30))


def test_more_targets_than_anybody_needs_are_refused() -> None:
    full = ordered(Schedule(), *(ask(500, i, i + 1) for i in range(MOST_TARGETS)))
    with pytest.raises(Rejected, match="targets would stand"):
        ordered(full, ask(400, -1, 0.5), made=1, now=0)


def test_they_are_grid_events_firm_unless_best_effort_and_what_ended_makes_no_rebound() -> None:
    schedule = ordered(Schedule(), ask(500, 0, 10), ask(400, 10, 20, best_effort=True))
    assert [(event.target_kw, event.firm) for event in schedule.events()] == [(500, True), (400, False)]
    later = ordered(schedule, ask(300, 40, 50), made=30, now=30)
    assert len(later.events()) == 3
    edges = tuple(at(minutes) for minutes in (30, 35, 40, 45))
    assert targets_kw(later.events(), edges, np.full(3, 900.0)) == (900, 900, 300)
    assert len(ordered(later, ask(300, 200, 210), made=150, now=150).events()) == 1


ORDER = st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 20), st.integers(1, 20))


@given(st.lists(ORDER, max_size=12))
def test_it_is_what_a_table_of_minutes_says(orders: list[tuple[str, int | None, int, int]]) -> None:
    """The same, kept by hand: for each orderer what it asked last for each minute."""
    schedule, table = Schedule(), {"a": [None] * 41, "b": [None] * 41}
    for by, constraint, start, length in orders:
        schedule = ordered(schedule, ask(constraint, start, start + length), by=by)
        table[by][start : start + length] = [constraint] * length
    for minute in range(41):
        asked = [row[minute] for row in table.values() if row[minute] is not None]
        assert kw(schedule, minute) == (min(asked) if asked else None)
