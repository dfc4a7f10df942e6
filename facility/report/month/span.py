"""Span: the time that a report tells of: a calendar month of the site's zone, or from one instant to another, and how much of it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from facility.durations import FIRST_YEAR, LAST_YEAR, parse_instant
from facility.errors import Fault, InputError
from facility.steps import local_midnight

QUARTER = timedelta(minutes=15)
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """[start, end), UTC, at quarters of an hour; `until` is up to where it is over. `name` is how people call it."""

    name: str
    start: datetime
    end: datetime
    until: datetime

    @property
    def over(self) -> bool:
        """Whether all of it is."""
        return self.until == self.end

    def annual(self, zone: ZoneInfo) -> bool:
        """Whether it is a whole year of a zone's calendar that is over, which key figures are defined for; one from 29 February lasts to 1 March."""
        first = self.start.astimezone(zone).replace(tzinfo=None, fold=0)
        leaps = (first.month, first.day) == (2, 29)
        after = (first + A_DAY if leaps else first).replace(year=first.year + 1)
        return self.over and self.end >= after.replace(tzinfo=zone)

    def days(self, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """Its local days as far as they are over, UTC: the first and the last may be cut off."""
        found, at = [], self.start
        while at < self.until:
            midnight = local_midnight(at.astimezone(zone).replace(tzinfo=None) + A_DAY, zone)
            found.append((at, min(midnight, self.until)))
            at = midnight
        return found


def month_of(text: str, zone: ZoneInfo, now: datetime) -> Span:
    """The calendar month `2026-07` of a zone. Raises InputError."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", text.strip())
    year, month = (int(part) for part in found.groups()) if found else (0, 0)
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12):
        raise InputError(Fault("--month", f"{text!r} is no month", "write it like 2026-07"))
    first, after = datetime(year, month, 1, tzinfo=zone), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return _span(text.strip(), first.astimezone(UTC), after.astimezone(UTC), now)


def span_of(start: str, end: str, zone: ZoneInfo, now: datetime) -> Span:
    """From one date or instant to another, which is no part of it. Raises InputError."""
    (first, _), (last, _) = parse_instant(start, zone, "--from"), parse_instant(end, zone, "--to")
    if first >= last:
        raise InputError(Fault("--from", "is not before --to", "give a span that begins before it ends"))
    for name, at in (("--from", first), ("--to", last)):
        if at != _floor(at):
            raise InputError(Fault(name, f"{at.isoformat()} is not at a quarter of an hour", "give a full quarter"))
    return _span(f"{start} to {end}", first, last, now)


def _span(name: str, start: datetime, end: datetime, now: datetime) -> Span:
    if start + QUARTER > now:
        raise InputError(Fault("--month", f"{name} has not begun", "name a time that is over, or has begun"))
    return Span(name, start, end, min(end, _floor(now)))


def _floor(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
