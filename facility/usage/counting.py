"""Counting: what stands, quarter by quarter, as usages. Pure: instants and sites are handed in.

A standing counts from the instant at which it was seen until another is, or until its order lapses; from then on the fallback does. What was
counted of a quarter can be kept and gone on with (`Kept`), so that the time in which nobody counted is counted once somebody does again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from facility.site import Site
from facility.usage.standing import Rate, Standing, rates
from facility.usage.usage import QUARTER, Cause, Lack, Usage, quarter_of

LONGEST: Final = timedelta(days=32)
"""What is further back when nobody counted, or a clock that leapt years, is not counted."""
SET_BACK: Final = timedelta(minutes=1)
"""A clock that goes back further was set back."""


@dataclass(frozen=True)
class Kept:
    """Up to which instant all is counted, what of the quarter under way, what stands since then, and since when what lacks does."""

    until: datetime
    rows: tuple[Usage, ...] = ()
    standing: Standing | None = None
    since: tuple[tuple[str, str, Cause, datetime], ...] = ()


@dataclass
class _Sum:
    """What of a quarter is counted of one workload; `values` in the order of `Usage`'s, `lacks` by cause and beginning."""

    rate: Rate
    hours: float = 0.0
    values: list[float] = field(default_factory=lambda: [0.0] * 7)
    lacks: dict[tuple[Cause, datetime], tuple[float, float, float]] = field(default_factory=dict)


class Counter:
    """Counts. `finished` are the quarters that are over, by their beginning, until somebody takes them."""

    def __init__(self, fallback_w: Mapping[str, int], site_at: Callable[[datetime], Site], kept: Kept | None = None) -> None:
        self._fallback_w, self._site_at = fallback_w, site_at
        self.until = None if kept is None else kept.until
        self.standing = None if kept is None else kept.standing
        self._sums = {} if kept is None else {(row.pool, row.workload): _resumed(row) for row in kept.rows}
        self._since = {} if kept is None else {(pool, workload, cause): at for pool, workload, cause, at in kept.since}
        self._reckoned: tuple[Site | None, Standing | None, tuple[bool, datetime] | None] = (None, None, None)
        self._found: tuple[Rate, ...] = ()
        self.finished: dict[datetime, tuple[Usage, ...]] = {}

    @property
    def kept(self) -> Kept | None:
        """What is to be kept; None where nothing was counted yet."""
        if self.until is None:
            return None
        since = tuple((*key, at) for key, at in self._since.items())
        return Kept(self.until, self._rows(quarter_of(self.until)), self.standing, since)

    def stand(self, standing: Standing, now: datetime) -> None:
        """Count up to `now`; from then on `standing` stands."""
        self.count(now)
        self.standing = standing

    def count(self, now: datetime) -> None:
        """Count what stands up to `now`."""
        if self.until is None or self.until - now > SET_BACK:
            self._finish()
            self.until, self._since = now, {}
            return
        start = max(self.until, now - LONGEST)
        if quarter_of(start) != quarter_of(self.until):
            self._finish()
        while start < now:
            standing = self.standing
            lapses = now if standing is None or start >= standing.until else standing.until
            end = min(now, quarter_of(start) + QUARTER, lapses)
            if standing is not None:
                self._add(self._rates(standing, start), start, end)
            self.until = start = end
            if start == quarter_of(start):
                self._finish(start - QUARTER)

    def _rates(self, standing: Standing, start: datetime) -> tuple[Rate, ...]:
        """What stands comes to; reckoned anew only where it may have changed: demand goes by the hour, and losses by maintenance."""
        site, lapsed = self._site_at(start), start >= standing.until
        moves = site.maintenance or any(standing.gone.values())
        when = lapsed, start if moves else quarter_of(start)
        was = self._reckoned
        if was[0] is not site or was[1] is not standing or was[2] != when:
            self._reckoned = site, standing, when
            self._found = rates(site, standing.lapsed(self._fallback_w) if lapsed else standing, start)
            lacking = {(rate.pool, rate.workload, cause) for rate in self._found for cause, *_ in rate.lacks}
            self._since = {key: at for key, at in self._since.items() if key in lacking}
        return self._found

    def _add(self, found: tuple[Rate, ...], start: datetime, end: datetime) -> None:
        hours = (end - start) / timedelta(hours=1)
        for rate in found:
            sums = self._sums.setdefault((rate.pool, rate.workload), _Sum(rate))
            sums.hours += hours
            sums.values = [had + hours * more for had, more in zip(sums.values, _values(rate), strict=True)]
            for cause, missed, withheld in rate.lacks:
                key = cause, self._since.setdefault((rate.pool, rate.workload, cause), start)
                had = sums.lacks.get(key, (0.0, 0.0, 0.0))
                sums.lacks[key] = had[0] + hours, had[1] + hours * missed, had[2] + hours * withheld

    def _finish(self, quarter: datetime | None = None) -> None:
        """End a quarter, by default the one under way."""
        if self._sums and self.until is not None:
            begun = quarter_of(self.until) if quarter is None else quarter
            self.finished[begun] = self._rows(begun)
            self._sums = {}

    def _rows(self, quarter: datetime) -> tuple[Usage, ...]:
        return tuple(_usage(quarter, sums) for sums in self._sums.values())


def _values(rate: Rate) -> tuple[float, ...]:
    return rate.promised_gpus, rate.reserved_gpus, rate.gpus, rate.speed_gpus, rate.expected_kw, rate.idle_kw, rate.slow_gpus


def _usage(quarter: datetime, sums: _Sum) -> Usage:
    rate = sums.rate
    lacks = tuple(Lack(cause, since, *told) for (cause, since), told in sums.lacks.items())
    promised, reserved, gpu_h, speed_gpu_h, expected_kwh, idle_kwh, slow = sums.values
    return Usage(
        quarter, sums.hours, rate.pool, rate.workload, rate.kind, rate.tenant, rate.contract,
        promised, reserved, gpu_h, speed_gpu_h, expected_kwh, idle_kwh, slow, lacks,
    )  # fmt: skip


def _resumed(row: Usage) -> _Sum:
    values = [row.promised_gpu_h, row.reserved_gpu_h, row.gpu_h, row.speed_gpu_h, row.expected_kwh, row.idle_kwh, row.slow_gpu_h]
    lacks = {(lack.cause, lack.since): (lack.hours, lack.missed_gpu_h, lack.withheld_gpu_h) for lack in row.lacks}
    return _Sum(Rate(row.pool, row.workload, row.kind, row.tenant, row.contract), row.hours, values, lacks)
