"""Local clock: a plan's time as people at the site read it, on a day of 23, 24 or 25 hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

MOST_LABELS = 9
TICKS_MIN = (15, 30, 60, 120, 180, 360, 720, 1440)


class Clock:
    """The plan's time: minutes since its start, what the site's local clock `zone` shows then, and the start in ms since 1970."""

    def __init__(self, edges: Sequence[datetime], zone: ZoneInfo) -> None:
        self._start, self._end, self._zone = edges[0], edges[-1], zone
        self.zone = zone.key
        self.start_ms = round(edges[0].timestamp() * 1000)
        self.minutes = [round((edge - edges[0]) / timedelta(minutes=1), 3) for edge in edges]
        self.said = [f"{edge.astimezone(zone):%a %d %b %H:%M %Z}" for edge in edges]

    def clipped(self, begins: str, ends: str) -> tuple[float, float]:
        """Minutes since the start of both instants, inside the plan."""
        first, last = (min(max(datetime.fromisoformat(at), self._start), self._end) - self._start for at in (begins, ends))
        return first / timedelta(minutes=1), last / timedelta(minutes=1)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Minutes and labels of at most nine round local times; a day's first one carries its date."""
        span_min = self.minutes[-1]
        days = max(1, -(-int(span_min / 1440) // MOST_LABELS))
        every = next((m for m in TICKS_MIN if span_min / m <= MOST_LABELS), 1440 * days)
        at = self._start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        found: list[tuple[float, datetime]] = []
        while at < self._end:
            local = at.astimezone(self._zone)
            round_time = (local.hour * 60 + local.minute) % min(every, 1440) == 0
            if at >= self._start and round_time and local.toordinal() % days == 0:
                found.append(((at - self._start) / timedelta(minutes=1), local))
            at += timedelta(minutes=15)
        labels: list[str] = []
        for _, day in groupby(found, key=lambda tick: tick[1].date()):
            first, *rest = (local for _, local in day)
            labels += [f"{first:%H:%M}<br>{first:%a %d %b}", *(f"{local:%H:%M}" for local in rest)]
        return [minute for minute, _ in found], labels
