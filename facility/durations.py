"""Durations and instants as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from facility.errors import Fault, InputError

FIRST_YEAR, LAST_YEAR = 1970, 2200
LONGEST = timedelta(days=366 * (LAST_YEAR - FIRST_YEAR))
"""A longer time reaches beyond any calendar, from wherever it begins."""
UNITS_S = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str, place: str) -> timedelta:
    """Elapsed time from `36h`, `15min`, `90s`, `14d` or a sum such as `1h30min`; InputError names `place`.

    >>> parse_duration("1h30min", "--horizon")
    datetime.timedelta(seconds=5400)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != re.sub(r"\s", "", text.strip().lower()) or any(unit not in UNITS_S for _, unit in parts):
        raise InputError(Fault(place, f"{text!r} is not a duration", "write it like 36h, 15min, 90s or 14d"))
    seconds = sum(float(number) * UNITS_S[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise InputError(Fault(place, f"{text!r} is beyond any calendar", "write it like 36h, 15min, 90s or 14d"))
    duration = timedelta(seconds=seconds)
    if duration <= timedelta(0):
        raise InputError(Fault(place, f"{text!r} is no time at all", "give a duration above 0"))
    return duration


def parse_instant(text: str, zone: ZoneInfo, place: str) -> tuple[datetime, bool]:
    """UTC instant of an ISO 8601 text (local to `zone` where it has no offset), and whether it is a bare date."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            Fault(place, f"{text!r} is not a date or time", "write it like 2023-07-02 or 2023-07-02T06:00+02:00")
        ) from None
    bare = re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text.strip()) is not None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InputError(Fault(place, f"{text!r} is in the year {found.year}", f"give a year from {FIRST_YEAR} to {LAST_YEAR}"))
    local = found if found.tzinfo else found.replace(tzinfo=zone)
    instant = local.astimezone(UTC)
    if not bare and found.tzinfo is None and instant.astimezone(zone).replace(tzinfo=None) != found:
        raise InputError(
            Fault(place, f"{text} does not exist in {zone.key}: clocks go forward", "give another time, or one with an offset")
        )
    return instant, bare
