"""An outlook says what is known where it is known, and beyond it a band that covers what it claims."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facility.forecast import Band, outlook
from facility.inputs.series import Series

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
BEGIN = datetime(2023, 1, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


def series(values: np.ndarray | list[float], begin: datetime = BEGIN, minutes: int = 60, unit: str = "c") -> Series:
    first, step = np.datetime64(begin.replace(tzinfo=None), "s"), np.timedelta64(60 * minutes, "s")
    start = first + np.arange(len(values)) * step
    return Series("what was seen", unit, start, start + step, np.asarray(values, float))


def steps(first: datetime, count: int, step: timedelta = HOUR) -> tuple[datetime, ...]:
    return tuple(first + i * step for i in range(count + 1))


def after(known: Series, count: int = 24, step: timedelta = HOUR) -> tuple[datetime, ...]:
    return steps(known.end[-1].astype(datetime).replace(tzinfo=UTC), count, step)


def thrice(band: Band) -> np.ndarray:
    return np.array([band.low, band.middle, band.high])


@pytest.mark.parametrize("days", [1, 3, 40])
def test_what_was_always_the_same_goes_on_so_exactly(days: int) -> None:
    known = series([0.1] * 24 * days)
    assert (thrice(outlook(known, after(known, 48), BERLIN)) == 0.1).all()


@pytest.mark.parametrize("days", [7, 60])
@pytest.mark.parametrize("minutes", [15, 60])
def test_a_day_that_repeats_goes_on_so_exactly_after_a_week(days: int, minutes: int) -> None:
    day = np.random.default_rng(1).normal(size=24 * 60 // minutes)
    known = series(np.tile(day, days), minutes=minutes)
    band = outlook(known, after(known, 2 * len(day), timedelta(minutes=minutes)), UTC_ZONE)
    assert thrice(band) == pytest.approx(np.tile(day, (3, 2)), abs=1e-9)


def test_a_day_by_the_local_clock_stays_one_when_the_clocks_change() -> None:
    begin = datetime(2023, 1, 1, 23, tzinfo=UTC)
    edges = steps(begin, 24 * 120)
    local = np.array([edge.astimezone(BERLIN).hour for edge in edges])
    last = edges.index(datetime(2023, 3, 25, 23, tzinfo=UTC))
    ahead = edges[last : last + 24]
    band = outlook(series(local[:last], begin), ahead, BERLIN)
    assert band.middle == pytest.approx(local[last : last + 23], abs=1e-9)
    assert 3 in band.middle.round()
    assert 2 not in band.middle.round()


def test_a_week_that_repeats_is_seen() -> None:
    week = np.random.default_rng(2).normal(size=168)
    known = series(np.tile(week, 30), unit="eur_per_mwh")
    band = outlook(known, after(known), UTC_ZONE)
    assert np.abs(band.middle - week[:24]).mean() < 0.1 * np.abs(week[-24:] - week[:24]).mean()


def test_steps_that_are_known_have_their_mean_thrice_and_those_beyond_a_band() -> None:
    values = np.random.default_rng(3).normal(size=24 * 40)
    known = series(values)
    edges = steps(known.end[-7].astype(datetime).replace(tzinfo=UTC), 12)
    band = outlook(known, edges, BERLIN)
    assert thrice(band)[:, :6].tolist() == [values[-6:].tolist()] * 3
    assert band.mean[:6].tolist() == values[-6:].tolist()
    assert (band.low[6:] < band.high[6:]).all()


def test_where_all_is_known_nothing_is_said_to_be_learnt() -> None:
    known = series(np.arange(48.0))
    assert (outlook(known, steps(BEGIN, 48), BERLIN).days, outlook(known, steps(BEGIN, 48), BERLIN).said) == (0, "")
    assert outlook(known, steps(BEGIN, 49), BERLIN).said.startswith("learnt from 2 days: as at the same time of the newest day")
    assert outlook(series(np.arange(5.0)), steps(BEGIN, 6), BERLIN).said.startswith("learnt from 5 h")
    assert outlook(series(np.arange(24.0 * 40)), steps(BEGIN, 24 * 41), BERLIN).said == "learnt from 40 days"


def test_a_step_that_is_known_in_part_has_a_narrower_band() -> None:
    known = series(np.random.default_rng(4).normal(size=24 * 40))
    end = known.end[-1].astype(datetime).replace(tzinfo=UTC)
    wide = outlook(known, (end, end + HOUR), UTC_ZONE)
    half = outlook(known, (end - HOUR, end + HOUR), UTC_ZONE)
    assert half.high - half.low == pytest.approx((wide.high - wide.low) / 2)
    assert half.middle == pytest.approx((wide.middle + known.value[-1]) / 2)


def test_a_hole_is_as_the_day_before_and_breaks_nothing() -> None:
    day = np.random.default_rng(5).normal(size=24)
    whole = series(np.tile(day, 40))
    kept = np.r_[0 : 24 * 20, 24 * 21 + 5 : 24 * 40]
    known = Series("holed", "c", whole.start[kept], whole.end[kept], whole.value[kept])
    hole = steps(BEGIN + timedelta(days=20), 24)
    assert thrice(outlook(known, hole, UTC_ZONE)) == pytest.approx(np.tile(day, (3, 1)), abs=1e-9)
    assert outlook(known, after(known), UTC_ZONE).middle == pytest.approx(day, abs=1e-9)


def test_what_is_never_below_zero_is_not_expected_below_it() -> None:
    values = np.maximum(np.random.default_rng(6).normal(size=24 * 40), 0)
    load, warm = series(values, unit="kw"), series(values, unit="c")
    assert (outlook(load, after(load), UTC_ZONE).low >= 0).all()
    assert (outlook(warm, after(warm), UTC_ZONE).low < 0).any()


def test_the_fewer_days_are_known_the_wider_are_the_bands() -> None:
    values = np.random.default_rng(7).normal(size=24 * 400)
    width = []
    for days in (2, 4, 16, 300):
        known = series(values[-24 * days :])
        band = outlook(known, after(known), UTC_ZONE)
        width.append((band.high - band.low).mean())
    assert width == sorted(width, reverse=True)


def test_of_nothing_nothing_is_learnt() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        outlook(series([]), steps(BEGIN, 2), BERLIN)


def test_what_is_older_than_a_year_changes_nothing() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(size=24 * 420)
    other = values.copy()
    other[: 24 * 54] = rng.permutation(values[: 24 * 54])
    one, two = (outlook(known := series(each), after(known, 72), BERLIN) for each in (values, other))
    assert (thrice(one) == thrice(two)).all()


def test_what_comes_later_changes_nothing_that_was_said() -> None:
    """A series that is cut at the same instant, whatever follows it, gives the same band."""
    values = np.random.default_rng(9).normal(size=24 * 60)
    known, edges = series(values[: 24 * 50]), after(series(values[: 24 * 50]))
    before = thrice(outlook(known, edges, BERLIN))
    outlook(series(values), after(series(values)), BERLIN)
    assert (thrice(outlook(series(values[: 24 * 50]), edges, BERLIN)) == before).all()


@settings(max_examples=60)
@given(
    st.lists(st.floats(-500, 5000), min_size=1, max_size=30),
    st.integers(1, 24 * 45),
    st.sampled_from([5, 15, 30, 60]),
    st.integers(-30, 200),
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "America/Phoenix", "Australia/Lord_Howe"]),
)
def test_whatever_was_seen_the_quantiles_are_numbers_in_their_order(pattern: list[float], count: int, minutes: int, far_h: int, zone: str) -> None:
    values = np.resize(pattern, count) + np.random.default_rng(count).normal(size=count) * (count % 3)
    known = series(values, datetime(2023, 3, 1, tzinfo=UTC), minutes)
    first = known.end[-1].astype(datetime).replace(tzinfo=UTC) + far_h * HOUR
    edges = (*steps(first, 24, timedelta(minutes=5)), *(first + i * HOUR for i in range(3, 60)))
    band = outlook(known, edges, ZoneInfo(zone))
    assert np.isfinite(thrice(band)).all()
    assert (band.low <= band.middle).all()
    assert (band.middle <= band.high).all()


def seasonal(rng: np.random.Generator, days: int, noise: np.ndarray) -> np.ndarray:
    """A day's shape, and noise that fades by a tenth an hour."""
    hours = np.arange(24 * days)
    wrong = np.zeros(len(hours))
    for t, shock in enumerate(rng.normal(size=len(hours)) * noise):
        wrong[t] = 0.9 * wrong[t - 1] + shock
    return 10 * np.sin(hours / 24 * 2 * np.pi) + wrong


def coverage(values: np.ndarray, days: range) -> float:
    inside = []
    for day in days:
        known = series(values[: 24 * day])
        band = outlook(known, after(known), UTC_ZONE)
        came = values[24 * day : 24 * day + 24]
        inside.append((came >= band.low) & (came <= band.high))
    return float(np.mean(inside))


def test_bands_cover_what_they_claim_of_noise_that_lasts() -> None:
    rng = np.random.default_rng(10)
    assert 0.75 <= coverage(seasonal(rng, 340, np.ones(24 * 340)), range(100, 340, 2)) <= 0.85


def test_bands_cover_what_they_claim_of_noise_that_is_five_times_as_large_at_noon() -> None:
    rng = np.random.default_rng(11)
    noise = np.where(np.abs(np.arange(24 * 340) % 24 - 12) < 4, 5.0, 1.0)
    values = seasonal(rng, 340, noise)
    assert 0.75 <= coverage(values, range(100, 340, 2)) <= 0.85
    known = series(values)
    width = np.ptp(thrice(outlook(known, after(known), UTC_ZONE)), axis=0)
    assert width[10:14].mean() > 2 * width[2:6].mean()


def test_bands_cover_what_they_claim_after_the_level_and_the_noise_have_changed() -> None:
    rng = np.random.default_rng(12)
    values = seasonal(rng, 300, np.where(np.arange(24 * 300) < 24 * 200, 1.0, 4.0))
    values[24 * 200 :] += 100
    assert 0.7 <= coverage(values, range(205, 300)) <= 0.85


def test_bands_of_a_few_days_are_wide_enough() -> None:
    rng = np.random.default_rng(13)
    found = [coverage(seasonal(rng, days + 1, np.ones(24 * (days + 1))), range(days, days + 1)) for days in (2, 3, 5, 9) for _ in range(30)]
    assert np.mean(found) >= 0.75


def test_a_call_with_a_year_of_hours_takes_five_milliseconds_at_most() -> None:
    """Of this process's own time, with the fit of the hour kept, as in all calls but the first of an hour."""
    known = series(np.random.default_rng(14).normal(size=8760))
    edges = (*after(known, 24, timedelta(minutes=5)), *steps(known.end[-1].astype(datetime).replace(tzinfo=UTC) + 3 * HOUR, 33))
    outlook(known, edges, BERLIN)
    spent_s = []
    for _ in range(10):
        begun = time.process_time()
        outlook(known, edges, BERLIN)
        spent_s.append(time.process_time() - begun)
    assert min(spent_s) <= 0.005
