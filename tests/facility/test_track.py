"""One sensor's readings in a row: leaps that the next reading confirms or not, spikes, values that stand still.

A pool whose GPUs draw 100 kW at most: it may leap by 25 kW between two readings, 5 s apart. A hall's air: 1 K and 0.1 K/s, 10 s apart.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.sensors import Sensor
from facility.telemetry.track import Track

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
POOL = Sensor("h", "pool", "p", "it_power_kw", "kW", 5.0, 0.0, 150.0, step=25.0, still_after=60, idle=5.0)
HALL = Sensor("h", "hall", "h", "air_temperature_c", "degC", 10.0, 0.0, 60.0, step=1.0, per_s=0.1, still_after=360, inertial=True)
TANK = Sensor("site", "cooling", "c", "stored_kwh", "kWh", 5.0, 0.0, 100.0, step=2.0, per_s=0.01, inertial=True, worse="low")


def told(sensor: Sensor, *values: float, track: Track | None = None) -> Track:
    """A track after these readings, one a period."""
    track = track or Track(sensor)
    begin = track.newest_at or NOW - timedelta(seconds=sensor.period_s)
    for i, value in enumerate(values, 1):
        track.take(value, begin + timedelta(seconds=i * sensor.period_s), timedelta(seconds=max(3 * sensor.period_s, 15)))
    return track


def test_a_spike_is_seen_by_the_guard_at_once_and_never_by_a_plan() -> None:
    track = told(POOL, 50, 51, 140)
    assert (track.used, track.high, track.doubtful) == (51, 140, True)
    told(POOL, 50, track=track)
    assert (track.used, track.high, track.doubtful, track.spikes) == (51, 51, False, 1)
    told(POOL, 52, 51, track=track)
    assert (track.used, track.doubtful) == (51, False)


def test_a_spike_that_is_delivered_twice_is_still_one_reading() -> None:
    track = told(POOL, 50, 51, 140)
    assert track.newest_at is not None
    track.take(140, track.newest_at, timedelta(seconds=15))
    assert (track.used, track.doubtful) == (51, True)


def test_a_step_that_stands_reaches_the_plan_one_period_later() -> None:
    """Training that starts: from 50 to 90 kW."""
    track = told(POOL, 50, 50.5, 90)
    assert (track.used, track.high, track.doubtful) == (50.5, 90, True)
    told(POOL, 91, track=track)
    assert (track.used, track.high, track.doubtful, track.spikes) == (90, 91, False, 0)


def test_a_spike_downward_endangers_nobody_and_is_not_used() -> None:
    track = told(POOL, 50, 51, 0)
    assert (track.used, track.high, track.doubtful) == (51, 51, True)


@pytest.mark.parametrize(("before", "after", "used"), [(24.0, 34.0, 34.0), (34.0, 24.0, 34.0)])
def test_a_hall_that_leaps_is_as_hot_as_the_hotter_one_until_it_may_have_moved_so_far(before: float, after: float, used: float) -> None:
    """10 K at 0.1 K/s, 1 K at once: after 90 s."""
    track = told(HALL, before, before, after, after)
    assert (track.used, track.high, track.doubtful) == (used, used, True)
    told(HALL, *[after] * 7, track=track)
    assert (track.used, track.doubtful) == (used, True)
    told(HALL, after, track=track)
    assert (track.used, track.doubtful, track.spikes) == (after, False, 0)


def test_a_hall_without_cooling_that_gains_a_kelvin_every_ten_seconds_is_believed() -> None:
    track = Track(HALL)
    for value in range(24, 40):
        assert not told(HALL, float(value), track=track).doubtful
    assert (track.used, track.high) == (38, 39)


def test_of_a_tank_the_lower_counts_and_no_leap_lasts_longer_than_two_minutes() -> None:
    """20 kWh at 0.01 kWh/s would take half an hour."""
    track = told(TANK, 50, 50, 70, 70)
    assert (track.used, track.high) == (50, 50)
    told(TANK, *[70] * 22, track=track)
    assert (track.used, track.doubtful) == (50, True)
    told(TANK, 70, track=track)
    assert (track.used, track.doubtful) == (70, False)


def test_after_a_silence_the_past_says_nothing() -> None:
    track = told(HALL, 24, 24)
    track.take(34.0, NOW + timedelta(minutes=10), timedelta(seconds=30))
    assert (track.used, track.doubtful) == (34, False)


def test_a_busy_meter_that_repeats_itself_to_the_last_digit_is_stuck_after_five_minutes_and_moves_again() -> None:
    noise = random.Random(1)
    track = told(POOL, *(noise.gauss(50, 0.2) for _ in range(200)))
    told(POOL, *[50.123] * 60, track=track)
    assert not track.stuck  # sixty are 59 without a change
    told(POOL, 50.123, track=track)
    assert track.stuck
    assert track.doubtful
    told(POOL, 50.124, track=track)
    assert not track.stuck


def test_a_meter_of_nothing_may_stand_still() -> None:
    assert not told(POOL, 50, 51, *[0.0] * 5000).stuck


def test_a_meter_that_shows_whole_kilowatts_and_often_repeats_itself_is_not_called_stuck() -> None:
    """It moves by single digits: a day of them, and a thermometer of half degrees, a week."""
    noise = random.Random(2)
    track = Track(POOL)
    for _ in range(17_280):
        assert not told(POOL, float(round(noise.gauss(60.2, 0.25))), track=track).stuck
    track, air_c = Track(HALL), 24.0
    for _ in range(60_480):
        air_c += 0.002 * (24 - air_c) + noise.gauss(0, 0.01)
        assert not told(HALL, round(2 * air_c) / 2, track=track).stuck


@given(st.lists(st.floats(0, 150), min_size=3, max_size=30))
def test_what_is_used_is_a_median_of_three_and_the_guard_never_sees_less_than_the_newest(values: list[float]) -> None:
    track = Track(POOL)
    for i, value in enumerate(values):
        told(POOL, value, track=track)
        assert track.high >= value
        assert track.used >= median((values[0], values[0], *values[: i + 1])[-3:])
        assert track.used in values
