"""The billing meter: the mean of each billing interval by the wall clock, and the highest of the calendar month, in all and by charge.

A reading holds until the next one, but no longer than a reading stays fresh; what lies beyond is unknown. An interval of which
less than half is known does not count, because its mean would be a guess. A month is one of the site's zone. Every zone's
offset from UTC is a whole number of quarters, so quarters begin at the same instants everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

QUARTER = timedelta(minutes=15)
LEAST_KNOWN_SHARE = 0.5


def quarter(instant: datetime) -> datetime:
    """Find the beginning of the quarter of an hour that `instant` lies in, UTC.

    >>> quarter(datetime(2026, 7, 1, 12, 44, 59, tzinfo=UTC)).isoformat()
    '2026-07-01T12:30:00+00:00'
    """
    utc = instant.astimezone(UTC)
    return utc.replace(minute=utc.minute // 15 * 15, second=0, microsecond=0)


@dataclass(frozen=True)
class Metered:
    """What the meter remembers: the month's peak, the running interval as far as it is known, and the last reading."""

    month: str = ""
    peak_kw: float = 0.0
    interval: datetime | None = None
    energy_kwh: float = 0.0
    known_s: float = 0.0
    last_at: datetime | None = None
    last_kw: float = 0.0
    peaks_kw: dict[str, float] = field(default_factory=dict)


class Meter:
    """Follows the readings of one meter, in order of time.

    `begin` tells where the billing interval of an instant begins, `length` is how long one lasts, `charged` names the demand
    charges in whose window the interval that begins at an instant lies.
    """

    def __init__(
        self,
        timezone: str,
        metered: Metered | None = None,
        *,
        begin: Callable[[datetime], datetime] = quarter,
        length: timedelta = QUARTER,
        charged: Callable[[datetime], Collection[str]] = lambda _: (),
    ) -> None:
        self._zone = ZoneInfo(timezone)
        self._begin, self._length, self._charged = begin, length, charged
        self.metered = metered or Metered()

    def read(self, import_kw: float, at: datetime, holds: timedelta) -> None:
        """Take in a reading that is not older than the last one; the last one `holds` at most that long."""
        last = self.metered
        if last.last_at is not None:
            self._hold(last.last_at, min(at, last.last_at + holds), last.last_kw)
        self._enter(self._begin(at))
        self.metered = replace(self.metered, last_at=at, last_kw=import_kw)

    def peak_so_far_kw(self, now: datetime) -> float:
        """Tell the highest mean of a finished interval in the month of `now`, kW; 0 where the month has none."""
        return self.metered.peak_kw if self.metered.month == self._month(now) else 0.0

    def peaks_so_far_kw(self, now: datetime) -> dict[str, float]:
        """Tell the same by demand charge, of those in whose window an interval has finished."""
        return dict(self.metered.peaks_kw) if self.metered.month == self._month(now) else {}

    def running(self, now: datetime) -> tuple[float | None, float]:
        """Tell what was metered in the billing interval of `now`: kWh, None where nothing was, and for how long, s."""
        here = self.metered
        if here.interval != self._begin(now) or not here.known_s:
            return None, 0.0
        return here.energy_kwh, here.known_s

    def _hold(self, start: datetime, end: datetime, power_kw: float) -> None:
        while start < end:
            self._enter(self._begin(start))
            stop = min(end, self._begin(start) + self._length)
            seconds = (stop - start).total_seconds()
            energy_kwh = self.metered.energy_kwh + power_kw * seconds / 3600
            self.metered = replace(self.metered, energy_kwh=energy_kwh, known_s=self.metered.known_s + seconds)
            start = stop

    def _enter(self, interval: datetime) -> None:
        """Finish the interval before `interval` where that is a new one."""
        done = self.metered
        if interval != done.interval:
            if done.interval is not None and done.known_s >= LEAST_KNOWN_SHARE * self._length.total_seconds():
                month, mean_kw = self._month(done.interval), done.energy_kwh * 3600 / done.known_s
                peak_kw = max(mean_kw, done.peak_kw) if month == done.month else max(mean_kw, 0.0)
                peaks_kw = dict(done.peaks_kw) if month == done.month else {}
                for charge in self._charged(done.interval):
                    peaks_kw[charge] = max(mean_kw, peaks_kw.get(charge, 0.0))
                done = replace(done, month=month, peak_kw=peak_kw, peaks_kw=peaks_kw)
            self.metered = replace(done, interval=interval, energy_kwh=0.0, known_s=0.0)

    def _month(self, instant: datetime) -> str:
        local = instant.astimezone(self._zone)
        return f"{local.year:04}-{local.month:02}"
