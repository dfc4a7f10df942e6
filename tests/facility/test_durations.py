"""Durations and instants: what people write is read as they mean it, or refused with the place named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from facility.durations import parse_duration, parse_instant
from facility.errors import InputError

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("36h", 129_600), ("15min", 900), ("15m", 900), ("90s", 90), ("14d", 1_209_600),
        ("1h30min", 5400), (" 1 H 30 MIN ", 5400), ("0.5h", 1800),
    ],
)  # fmt: skip
def test_a_duration_is_a_sum_of_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text, "--step") == timedelta(seconds=seconds)


NO_DURATIONS = ["", "15", "h", "15 parsecs", "-1h", "1h-30min", "1h,30min", "nan h", "0min", "0h0s", "9999999999d", "9999999d", "1..5h"]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused_and_its_place_named(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_duration(text, "--step")
    assert error.value.faults[0].place == "--step"


@pytest.mark.parametrize(
    ("text", "instant", "bare"),
    [
        ("2023-07-02", datetime(2023, 7, 1, 22, tzinfo=UTC), True),
        ("2023-01-02", datetime(2023, 1, 1, 23, tzinfo=UTC), True),
        ("20230702", datetime(2023, 7, 1, 22, tzinfo=UTC), True),
        ("2023-07-02T06:00", datetime(2023, 7, 2, 4, tzinfo=UTC), False),
        ("2023-07-02T06:00+02:00", datetime(2023, 7, 2, 4, tzinfo=UTC), False),
        ("2023-07-02T06:00Z", datetime(2023, 7, 2, 6, tzinfo=UTC), False),
        ("2023-07-02T00:00", datetime(2023, 7, 1, 22, tzinfo=UTC), False),
        ("2023-10-29T02:30", datetime(2023, 10, 29, 0, 30, tzinfo=UTC), False),
    ],
)
def test_an_instant_without_an_offset_is_by_the_sites_clock(text: str, instant: datetime, bare: bool) -> None:
    assert parse_instant(text, BERLIN, "--start") == (instant, bare)


NO_INSTANTS = ["", "yesterday", "2023-13-02", "2023-02-30", "02.07.2023", "2023-07-02T25:00", "2023-03-26T02:30"]


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_an_instant_that_does_not_exist_is_refused_and_its_place_named(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_instant(text, BERLIN, "--start")
    assert error.value.faults[0].place == "--start"
