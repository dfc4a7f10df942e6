"""`facility history`: what each point read over a span of time, as a table, JSON or a file."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from facility.clock import SystemClock, milliseconds
from facility.config import load_site
from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.history import default_place
from facility.history.export import export, iso
from facility.history.place import open_database
from facility.history.reading import Reader, Summary
from facility.journal.store import StoreFault

EVERY_MS = 60_000
MOST_INTERVALS = 10_000_000
WIDEST = 1000
"""Names of points are never cut, whatever the terminal."""


@dataclass(frozen=True)
class Span:
    """A span of time as people write it: from, to, or the last of it; and the resolution asked for."""

    start: str | None = None
    end: str | None = None
    last: str | None = None
    every: str | None = None

    def bounds_ms(self, zone: ZoneInfo, now: datetime) -> tuple[int, int]:
        """Its begin and end, ms since 1970; without an end it is until `now`. Raises InputError."""
        if self.last is not None and self.start is not None:
            raise InputError(Fault("--last", "stands beside --from", "give one of them"))
        end = now if self.end is None else parse_instant(self.end, zone, "--to")[0]
        if self.start is not None:
            start = parse_instant(self.start, zone, "--from")[0]
        else:
            start = end - (parse_duration(self.last, "--last") if self.last is not None else timedelta(hours=1))
        if start >= end:
            raise InputError(Fault("--from", "is not before --to", "give a span that begins before it ends"))
        return milliseconds(start), math.ceil(end.timestamp() * 1000)

    def every_ms(self) -> int | None:
        """The resolution, ms; None where none is asked for. Raises InputError."""
        if self.every is None:
            return None
        every_ms = parse_duration(self.every, "--every") // timedelta(milliseconds=1)
        if every_ms < 1:
            raise InputError(Fault("--every", f"{self.every!r} is less than a millisecond", "give a longer interval"))
        return every_ms


def run_history(
    site_file: str, settings: tuple[str, ...], place: str | None, pattern: str, span: Span, out: Path | None, *, as_json: bool
) -> int:
    """Print or write it; 0 where there was any reading, 1 where there was none."""
    site = load_site(site_file, settings)
    zone, now = ZoneInfo(site.timezone), SystemClock().now()
    asked_ms, place = span.every_ms(), place or default_place(site.id)
    try:
        with closing(open_database(place, site.id, read_only=True)) as database:
            reader = Reader(database)
            points = reader.points(pattern)
            if not points:
                raise InputError(Fault("--points", f"no point matches {pattern!r}", "see them all without --points"))
            start_ms, end_ms = span.bounds_ms(zone, max(now, reader.newest() or now))  # a rehearsal's clock may be ahead
            every_ms = reader.resolution_ms(start_ms, end_ms, asked_ms or EVERY_MS)
            if (end_ms - start_ms) // every_ms * len(points) > MOST_INTERVALS:
                raise InputError(Fault("--every", f"more than {MOST_INTERVALS:,} intervals", "ask for longer ones, or for fewer points"))
            if out is not None:
                fine = asked_ms is None
                values = reader.values(points, start_ms, end_ms) if fine else reader.means(points, start_ms, end_ms, every_ms)
                rows = export(values, out)
                print(f"{out}: {rows:,} {'readings' if fine else 'means'} of {len(points)} points")
                return 0 if rows else 1
            summaries = reader.summaries(points, start_ms, end_ms, every_ms)
    except StoreFault as fault:
        raise InputError(Fault("--history", str(fault), "name the history of a running site")) from fault
    if as_json:
        told = {"site": site.id, "from": iso(start_ms), "to": iso(end_ms), "every_s": every_ms / 1000}
        print(json.dumps(told | {"points": [_told(summary) for summary in summaries]}, allow_nan=False))
    else:
        _show(site.id, summaries, start_ms, end_ms, every_ms)
    return 0 if any(summary.good + summary.bad for summary in summaries) else 1


def _told(summary: Summary) -> dict[str, object]:
    return asdict(summary) | {"last_at": None if summary.last_at_ms is None else iso(summary.last_at_ms)}


def _show(site: str, summaries: list[Summary], start_ms: int, end_ms: int, every_ms: int) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(title=f"{site}, {iso(start_ms)} to {iso(end_ms)}", title_justify="left")
    table.add_column("point")
    for name in ("readings", "min", "mean", "max", "last", "bad", f"gaps of {timedelta(milliseconds=every_ms)}"):
        table.add_column(name, justify="right")
    for summary in summaries:
        every = summary.good + summary.bad
        table.add_row(
            summary.point,
            f"{every:,}",
            *(_number(value) for value in (summary.low, summary.mean, summary.high, summary.last)),
            f"{summary.bad / every:.1%}" if every else "",
            f"{summary.missing:,} of {summary.slots:,}" if summary.missing else "",
        )
    Console(width=Measurement.get(Console(width=WIDEST), Console(width=WIDEST).options, table).maximum).print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")
