"""Flexibility delivered: baselines of like days set right by the same day, and what came of each call, all of it by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from facility.events import Event
from facility.kpi.baseline import QUARTER, baseline
from facility.kpi.delivery import called_days, delivered

BERLIN = ZoneInfo("Europe/Berlin")
CALL = datetime(2026, 7, 15, 14, tzinfo=UTC)
"""16:00 in Berlin, a Wednesday."""
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def meter(first: datetime, last: datetime, kw: float = 100.0) -> dict[datetime, float]:
    """The same power in every quarter of [first, last)."""
    return {first + i * QUARTER: kw for i in range(int((last - first) / QUARTER))}


def on_days(kw: dict[int, float]) -> dict[datetime, float]:
    """A meter with one power throughout each local day of July 2026."""
    found = {}
    for day, power in kw.items():
        start = datetime(2026, 7, day, tzinfo=BERLIN).astimezone(UTC)
        found |= meter(start, start + 24 * HOUR, power)
    return found


def test_ten_working_days_are_averaged_and_weekends_and_called_days_are_not() -> None:
    """1 to 14 July: working days are 1-3, 6-10, 13 and 14, ten of them, 101 to 114 kW by their date; the mean is 107.3."""
    measured = on_days({day: 100.0 + day for day in range(1, 16)} | {15: 107.3})
    found = baseline(measured, CALL, CALL + 2 * HOUR, [], BERLIN)
    assert found is not None
    assert len(found.days) == 10
    assert date(2026, 7, 11) not in found.days
    assert found.kw == pytest.approx([107.3] * 12), "two hours, and the hour after them"
    assert found.factor == pytest.approx(1.0)
    without = baseline(measured, CALL, CALL + 2 * HOUR, [date(2026, 7, 14)], BERLIN)
    assert without is not None
    assert len(without.days) == 9
    assert without.factor == pytest.approx(107.3 * 9 / (1073 - 114))


@pytest.mark.parametrize(("today", "factor"), [(110.0, 1.1), (95.0, 0.95), (150.0, 1.2), (20.0, 0.8)])
def test_the_same_day_moves_a_baseline_by_at_most_a_fifth(today: float, factor: float) -> None:
    found = baseline(on_days(dict.fromkeys(range(1, 15), 100.0) | {15: today}), CALL, CALL + HOUR, [], BERLIN)
    assert found is not None
    assert found.factor == pytest.approx(factor)
    assert found.kw == pytest.approx([100 * factor] * 8)


def test_the_hour_before_a_call_adjusts_nothing_for_a_site_may_fill_its_stores_in_it() -> None:
    measured = on_days(dict.fromkeys(range(1, 16), 100.0)) | meter(CALL - HOUR, CALL, 180.0)
    found = baseline(measured, CALL, CALL + HOUR, [], BERLIN)
    assert found is not None
    assert found.factor == 1.0


def test_days_off_are_measured_against_days_off() -> None:
    """Saturday 25 July: 4, 5, 11, 12, 18 and 19 are days off, of which the four newest count."""
    saturday = datetime(2026, 7, 25, 14, tzinfo=UTC)
    weekend = {4: 10.0, 5: 20.0, 11: 40.0, 12: 50.0, 18: 60.0, 19: 70.0}
    found = baseline(on_days(dict.fromkeys(range(1, 26), 100.0) | weekend | {25: 55.0}), saturday, saturday + HOUR, [], BERLIN)
    assert found is not None
    assert [day.day for day in found.days] == [19, 18, 12, 11]
    assert found.kw == pytest.approx([55.0] * 8)


def test_a_day_with_a_gap_is_left_out_and_too_few_days_leave_the_same_day_or_nothing() -> None:
    gap = on_days(dict.fromkeys(range(1, 16), 100.0))
    del gap[CALL - 24 * HOUR]
    found = baseline(gap, CALL, CALL + HOUR, [], BERLIN)
    assert found is not None
    assert date(2026, 7, 14) not in found.days
    today = on_days({15: 80.0}) | meter(CALL + 2 * HOUR, CALL + 4 * HOUR, 130.0)
    alone = baseline(today, CALL, CALL + HOUR, [], BERLIN)
    assert alone is not None
    assert alone.days == ()
    assert alone.kw == pytest.approx([(3 * 80 + 2 * 130) / 5] * 8)
    assert baseline(meter(CALL, CALL + HOUR), CALL, CALL + HOUR, [], BERLIN) is None


def test_like_times_are_those_of_the_local_clock_also_after_the_clocks_were_changed() -> None:
    """A call at 16:00 on Monday 26 October 2026, after the change on Sunday: 16:00 on Friday is an hour earlier in UTC."""
    call = datetime(2026, 10, 26, 15, tzinfo=UTC)
    measured = meter(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC), 50.0)
    for back in range(3, 26):
        measured |= meter(call - HOUR - back * 24 * HOUR, call - back * 24 * HOUR, 90.0)
    found = baseline(measured, call, call + HOUR, [], BERLIN)
    assert found is not None
    assert found.kw[:4] == pytest.approx([90.0] * 4)


def test_a_call_is_told_with_what_was_asked_delivered_late_over_and_came_back() -> None:
    """Base 100 kW, target 70 for an hour: 100 kW for five minutes, then 65, and 75 in the last five; 110 for a quarter afterwards."""
    event = Event(CALL, CALL + HOUR, target_kw=70.0)
    measured = on_days(dict.fromkeys(range(1, 16), 100.0))
    fine = {CALL - HOUR + i * MINUTE: 100.0 for i in range(180)}
    fine |= {CALL + i * MINUTE: 100.0 if i < 5 else 75.0 if i >= 55 else 65.0 for i in range(60)}
    fine |= {CALL + (60 + i) * MINUTE: 110.0 for i in range(15)}
    found = delivered(event, measured, fine, MINUTE, [], BERLIN)
    assert found.baseline_kw == pytest.approx(100.0)
    assert found.asked_kw == pytest.approx(30.0)
    assert found.delivered_kwh == pytest.approx((0 * 5 + 35 * 50 + 25 * 5) / 60)
    assert (found.late_min, found.over_min) == pytest.approx((5.0, 10.0))
    assert found.rebound_kwh == pytest.approx(10 * 0.25)
    assert found.covered == pytest.approx(1.0)
    reduced = delivered(Event(CALL, CALL + HOUR, reduction_pct=30.0), measured, fine, MINUTE, [], BERLIN)
    assert (reduced.asked_kw, reduced.over_min) == pytest.approx((30.0, 10.0))


def test_minutes_of_a_call_with_a_ramp_and_a_gap_are_those_that_were_measured() -> None:
    event = Event(CALL, CALL + HOUR, target_kw=70.0, ramp=15 * MINUTE)
    measured = on_days(dict.fromkeys(range(1, 16), 100.0))
    fine = {CALL + i * MINUTE: 69.0 for i in range(30)}
    found = delivered(event, measured, fine, MINUTE, [], BERLIN)
    assert (found.covered, found.delivered_kw, found.late_min, found.over_min) == pytest.approx((0.5, 31.0, 0.0, 0.0))
    nothing = delivered(event, measured, {}, MINUTE, [], BERLIN)
    assert nothing.delivered_kwh is None
    assert nothing.unknown


def test_without_a_baseline_only_a_target_can_be_held_against_the_meter() -> None:
    fine = {CALL + i * MINUTE: 80.0 if i < 10 else 60.0 for i in range(60)}
    found = delivered(Event(CALL, CALL + HOUR, target_kw=70.0), {}, fine, MINUTE, [], BERLIN)
    assert (found.late_min, found.over_min, found.delivered_kwh) == (10.0, 10.0, None)
    assert "no baseline" in found.unknown
    share = delivered(Event(CALL, CALL + HOUR, reduction_pct=20.0), {}, fine, MINUTE, [], BERLIN)
    assert (share.late_min, share.over_min) == (None, None)


def test_called_days_are_local_and_count_the_hour_after() -> None:
    late = Event(datetime(2026, 7, 15, 20, tzinfo=UTC), datetime(2026, 7, 15, 21, 30, tzinfo=UTC), target_kw=1.0)
    assert called_days([late], BERLIN) == [date(2026, 7, 15), date(2026, 7, 16)]
