"""Baseline: what a site would have drawn, had nobody called it: what it drew at the same time of like days, set right by the same day.

    raw[i]  = mean over like days of the meter at the same local time                             kW, for each quarter i of the call
    factor  = mean of the meter / mean of raw, over the three hours that end an hour before it     at least 0.8, at most 1.2
    base[i] = factor * raw[i]

Like days are the `DAYS` newest before the call, of working days (Monday to Friday) or of the others, without those on which anybody was called
and those with a gap at these times, none further back than `FURTHEST`. Where there are fewer than `LEAST`, the baseline is flat: the mean of the
same day, three hours before the call and two after it, an hour of grace left out on each side. Where that has a gap too there is none.

Holidays are not known, and count as working days. Both hours of a night that has one twice are the same local time: the first counts.

Sources: California ISO's ten-in-ten and four-in-four with a same-day multiplier of 20 % either way, on which the Australian operator's wholesale
demand response is based (its Baseline Methodology Register); "X of Y" in general: North American Energy Standards Board, REQ.13; three hours
before and two after with an hour of grace: PJM, Manual 11, Same Day (3 + 2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
DAYS: Final = {True: 10, False: 4}
"""How many like days: of working days, and of the others."""
LEAST: Final = {True: 5, False: 4}
FURTHEST: Final = timedelta(days=45)
MOST_CHANGE: Final = 0.2
"""How far the same day moves a baseline at most, of 1."""
ADJUSTED: Final = 3 * HOUR
GRACE: Final = HOUR

Meter = Mapping[datetime, float]
"""Mean import by quarter of an hour, kW, by its beginning (UTC); one that is not there was not measured."""


@dataclass(frozen=True)
class Baseline:
    """`kw` by quarter of the call and of the hour after it, how it was found, the days that it rests on, and the factor of the same day, 1 where
    it is flat.
    """

    kw: tuple[float, ...]
    method: str
    days: tuple[date, ...] = ()
    factor: float = 1.0


def baseline(meter: Meter, start: datetime, end: datetime, called: Collection[date], zone: ZoneInfo) -> Baseline | None:
    """The baseline of a call in [start, end), UTC and ramps included, and of the hour after it; `called` are the local days with any call."""
    quarters = _quarters(start, end + GRACE)
    before = _quarters(start - GRACE - ADJUSTED, start - GRACE)
    working = start.astimezone(zone).weekday() < 5
    days = _like_days(meter, start, (*before, *quarters), called, zone)[: DAYS[working]]
    if len(days) < LEAST[working]:
        return _same_day(meter, start, end, len(quarters))
    raw = _means(meter, quarters, start, days, zone)
    seen = [meter[quarter] for quarter in before if quarter in meter]
    base = sum(_means(meter, before, start, days, zone)) / len(before)
    factor = 1.0
    if len(seen) == len(before) and base > 0:
        factor = min(max(sum(seen) / len(seen) / base, 1 - MOST_CHANGE), 1 + MOST_CHANGE)
    kind = "working days" if working else "days off"
    said = f"mean of {len(days)} {kind} at the same time, times {factor:.3f} for the same day"
    return Baseline(tuple(factor * kw for kw in raw), said, tuple(days), factor)


def _quarters(start: datetime, end: datetime) -> list[datetime]:
    """The quarters of an hour that [start, end) touches."""
    at = start.astimezone(UTC).replace(minute=start.minute // 15 * 15, second=0, microsecond=0)
    found = []
    while at < end:
        found.append(at)
        at += QUARTER
    return found


def _like_days(meter: Meter, start: datetime, quarters: Sequence[datetime], called: Collection[date], zone: ZoneInfo) -> list[date]:
    """Days of the same kind before the call with everything measured, the newest first."""
    local = start.astimezone(zone)
    found = []
    for back in range(1, FURTHEST.days + 1):
        day = local.date() - timedelta(days=back)
        alike = (day.weekday() < 5) == (local.weekday() < 5)
        if alike and day not in called and all(_earlier(quarter, local.date(), day, zone) in meter for quarter in quarters):
            found.append(day)
    return found


def _earlier(quarter: datetime, today: date, day: date, zone: ZoneInfo) -> datetime:
    """The quarter that begins at the same local time as `quarter`, as many days from `day` as that is from `today`."""
    local = quarter.astimezone(zone).replace(fold=0)
    shifted = datetime.combine(day + (local.date() - today), local.time(), zone)
    return shifted.astimezone(UTC)


def _means(meter: Meter, quarters: Sequence[datetime], start: datetime, days: Sequence[date], zone: ZoneInfo) -> list[float]:
    today = start.astimezone(zone).date()
    return [sum(meter[_earlier(quarter, today, day, zone)] for day in days) / len(days) for quarter in quarters]


def _same_day(meter: Meter, start: datetime, end: datetime, length: int) -> Baseline | None:
    beside = (*_quarters(start - GRACE - 3 * HOUR, start - GRACE), *_quarters(end + GRACE, end + GRACE + 2 * HOUR))
    if any(quarter not in meter for quarter in beside):
        return None
    kw = sum(meter[quarter] for quarter in beside) / len(beside)
    return Baseline((kw,) * length, "mean of the same day, three hours before and two after, an hour of grace on each side")
