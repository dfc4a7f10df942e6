"""Delivery: what was delivered of each call of the grid's operator: less power than the baseline, when, and what came back afterwards.

    asked     = mean over the call of max(baseline - target, 0)        of a reduction: its share of the baseline
    delivered = mean over the call of baseline - meter                 below 0 where more was drawn
    late      = minutes from its beginning until the meter is at the target for the first time
    over      = minutes of the call, late ones included, in which the meter is above the target
    rebound   = energy above the baseline in the hour after the call and its ramp

A meter is above a target where it exceeds it by more than `TOLERANCE` of it, what a meter of class 0.5 may err. Minutes are as fine as the
readings that are still kept: seconds for some days, then minutes, then quarters of an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from facility.events import NO_REBOUND, Event
from facility.kpi.baseline import QUARTER, Baseline, Meter, baseline

TOLERANCE: Final = 0.005
MINUTE: Final = timedelta(minutes=1)
BaseKw = Callable[[datetime], float]
"""The baseline at an instant, kW."""
NO_BASELINE: Final = "no baseline: too few like days were measured, and the hours beside the call have gaps"


@dataclass(frozen=True)
class Delivered:
    """One call. `unknown` says why figures are None; `covered` is the share of the call's time that was measured."""

    event: Event
    baseline: Baseline | None
    baseline_kw: float | None = None
    asked_kw: float | None = None
    delivered_kw: float | None = None
    delivered_kwh: float | None = None
    late_min: float | None = None
    over_min: float | None = None
    rebound_kwh: float | None = None
    covered: float = 0.0
    unknown: str = ""

    def told(self) -> dict[str, Any]:
        """The call as a summary has it."""
        event, base = self.event, self.baseline
        called = {"start": _iso(event.start), "end": _iso(event.end), "target_kw": event.target_kw, "reduction_pct": event.reduction_pct}
        method = {"method": None if base is None else base.method, "days": [] if base is None else [day.isoformat() for day in base.days]}
        numbers = ("baseline_kw", "asked_kw", "delivered_kw", "delivered_kwh", "late_min", "over_min", "rebound_kwh", "covered")
        figures = {name: getattr(self, name) for name in numbers}
        return called | {"ramp_min": event.ramp / MINUTE} | method | figures | {"unknown": self.unknown or None}


def delivered(
    event: Event, meter: Meter, fine: Mapping[datetime, float], fine_length: timedelta, called: Sequence[date], zone: ZoneInfo
) -> Delivered:
    """What came of one call. `meter` is by quarter, `fine` the same meter in intervals of `fine_length` around the call, kW."""
    base = baseline(meter, event.start - event.ramp, event.end + event.ramp, called, zone)
    if base is None:
        over = _over(event, None, fine, fine_length)
        return Delivered(event, None, over_min=over, late_min=_late(event, None, fine, fine_length), unknown=NO_BASELINE)
    first = _floor(event.start - event.ramp)

    def base_kw(at: datetime) -> float:
        return base.kw[min(max((_floor(at) - first) // QUARTER, 0), len(base.kw) - 1)]

    inside = [(base_kw(at), kw, hours) for at, kw, hours in _within(fine, fine_length, event.start, event.end)]
    whole_h = (event.end - event.start) / timedelta(hours=1)
    measured_h = sum(hours for _, _, hours in inside)
    if not inside:
        return Delivered(event, base, unknown="the meter told nothing during the call")
    after = _within(fine, fine_length, event.end + event.ramp, event.end + event.ramp + NO_REBOUND)
    kwh = sum((expected - kw) * hours for expected, kw, hours in inside)
    return Delivered(
        event=event,
        baseline=base,
        baseline_kw=sum(expected * hours for expected, _, hours in inside) / measured_h,
        asked_kw=sum(max(expected - event.full_kw(expected), 0.0) * hours for expected, _, hours in inside) / measured_h,
        delivered_kw=kwh / measured_h,
        delivered_kwh=kwh,
        late_min=_late(event, base_kw, fine, fine_length),
        over_min=_over(event, base_kw, fine, fine_length),
        rebound_kwh=sum(max(kw - base_kw(at), 0.0) * hours for at, kw, hours in after),
        covered=measured_h / whole_h,
    )


def called_days(events: Sequence[Event], zone: ZoneInfo) -> list[date]:
    """The local days that any of `events` touches, ramps and the hour after them included."""
    found = set()
    for event in events:
        day, last = ((at.astimezone(zone)).date() for at in (event.start - event.ramp, event.end + event.ramp + NO_REBOUND))
        while day <= last:
            found.add(day)
            day += timedelta(days=1)
    return sorted(found)


def _target(event: Event, base_kw: BaseKw | None, at: datetime) -> float | None:
    """The target at an instant, kW; None where it is a share of a baseline that is not known."""
    if event.target_kw is not None:
        return event.target_kw
    return None if base_kw is None else event.full_kw(base_kw(at))


def _above(event: Event, base_kw: BaseKw | None, fine: Mapping[datetime, float], length: timedelta) -> list[tuple[datetime, bool, float]] | None:
    found = []
    for at, kw, hours in _within(fine, length, event.start, event.end):
        target = _target(event, base_kw, at)
        if target is None:
            return None
        found.append((at, kw > target * (1 + TOLERANCE), 60 * hours))
    return found or None


def _over(event: Event, base_kw: BaseKw | None, fine: Mapping[datetime, float], length: timedelta) -> float | None:
    seen = _above(event, base_kw, fine, length)
    return None if seen is None else sum(minutes for _, above, minutes in seen if above)


def _late(event: Event, base_kw: BaseKw | None, fine: Mapping[datetime, float], length: timedelta) -> float | None:
    seen = _above(event, base_kw, fine, length)
    if seen is None:
        return None
    reached = next((at for at, above, _ in seen if not above), event.end)
    return max((reached - event.start) / MINUTE, 0.0)


def _within(fine: Mapping[datetime, float], length: timedelta, start: datetime, end: datetime) -> Iterator[tuple[datetime, float, float]]:
    """The intervals of `fine` that touch [start, end), in order: where each begins inside, kW, and how long it is inside, h."""
    for at in sorted(fine):
        begins, ends = max(at, start), min(at + length, end)
        if begins < ends:
            yield begins, fine[at], (ends - begins) / timedelta(hours=1)


def _floor(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
