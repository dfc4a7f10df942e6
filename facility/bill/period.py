"""Period: which span a bill is for, and the slots it is reckoned in: quarters of an hour, or billing intervals where those are shorter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from facility.durations import FIRST_YEAR, LAST_YEAR, parse_instant
from facility.errors import Fault, InputError
from facility.metering import QUARTER
from facility.site import Site
from facility.steps import local_midnight


@dataclass(frozen=True)
class Period:
    """A span [start, end), UTC, as far as it is over, and its `name`; it would last until `whole_end`."""

    name: str
    start: datetime
    end: datetime
    whole_end: datetime
    slot: timedelta

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is still to come."""
        return self.end == self.whole_end

    @property
    def hours(self) -> float:
        """How long it lasts as far as it is over, h."""
        return (self.end - self.start) / timedelta(hours=1)


def period_of(site: Site, now: datetime, month: str | None, first: str | None, last: str | None) -> Period:
    """The local month `month`, such as 2026-07, or the span from `first` to `last`, as far as it is over at `now`. InputError for none."""
    zone = ZoneInfo(site.timezone)
    if (month is None) == (first is None or last is None):
        raise InputError(Fault("--month", "a bill is for a month, or for a span", "give --month 2026-07, or --from and --to"))
    slot = min(QUARTER, timedelta(minutes=site.tariff.billing_interval_min))
    if month is not None:
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) or not FIRST_YEAR <= int(month[:4]) <= LAST_YEAR:
            raise InputError(Fault("--month", f"{month!r} is no month", "write it like 2026-07"))
        begins = datetime.fromisoformat(f"{month}-01")
        start, end, name = local_midnight(begins, zone), local_midnight((begins + timedelta(days=32)).replace(day=1), zone), month
    else:
        (start, _), (end, _) = parse_instant(first or "", zone, "--from"), parse_instant(last or "", zone, "--to")
        name = f"{_named(start, zone)}--{_named(end, zone)}"
    if start >= end:
        raise InputError(Fault("--to", "is not after --from", "give a later one; it is no part of the span"))
    if any((at - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER for at in (start, end)):
        raise InputError(Fault("--from, --to", "is amid a quarter of an hour", "give instants that begin one"))
    over = now.astimezone(UTC) - (now.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
    if over <= start:
        raise InputError(Fault("--month" if month else "--from", "nothing of it is over yet", "name one that has begun"))
    return Period(name, start, min(end, over), end, slot)


def _named(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (0, 0) else f"{local:%Y-%m-%dT%H%M}"
