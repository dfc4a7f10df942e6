"""World: what happened - prices, weather, carbon, jobs - and what of it was known at an instant.

| what              | known at an instant                                                                     |
|-------------------|-----------------------------------------------------------------------------------------|
| price             | to the end of the local day; from `published` on to the end of the next one             |
| weather, carbon   | what was observed, to the instant                                                       |
| jobs              | those that were submitted, with their work and deadline                                 |

Up to a year of each file before the span is known from the beginning. Beyond what is known, a controller that does not see the future
expects what `facility.forecast` learns from it. What no file tells is the site's own stated value, and known to everybody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from facility.backtest.request import Request, Span
from facility.config import assumed_curves
from facility.errors import Fault, InputError
from facility.inputs.jobfile import read_jobs
from facility.inputs.series import CARBON, OUTDOOR, PRICE, Quantity, Series, read_series
from facility.site import Site
from facility.snapshot import Job
from facility.steps import local_midnight

HISTORY_DAYS = 365
"""How many days of a file before the span are known at most; where it has gaps, as many as are whole."""


@dataclass(frozen=True)
class World:
    """A site and what happened around it from `span.start` on, and before as far as the files tell it.

    `signals` holds the truth by the name of its quantity, `jobs` all jobs by (submit, id).
    """

    site: Site
    span: Span
    signals: Mapping[str, Series]
    jobs: tuple[Job, ...]
    assumed: tuple[str, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Job]:
        """The jobs by their id."""
        return {job.id: job for job in self.jobs}

    def known_until(self, quantity: str, at: datetime) -> datetime:
        """The instant up to which a quantity is known at `at`, UTC."""
        if quantity != PRICE.name:
            return at
        return _auctioned(at, self.site.timezone, self.span.published)

    def known(self, quantity: str, at: datetime) -> Series | None:
        """What is known of a quantity at `at`; None where nothing is. A row that is under way is known, for it is what is observed."""
        series = self.signals[quantity]
        until = np.datetime64(self.known_until(quantity, at).astimezone(UTC).replace(tzinfo=None), "s")
        rows = int(np.searchsorted(series.start, until, side="left" if quantity == PRICE.name else "right"))
        if not rows:
            return None
        return replace(series, start=series.start[:rows], end=series.end[:rows], value=series.value[:rows], rows=())


@lru_cache(maxsize=64)
def _auctioned(at: datetime, timezone: str, published: timedelta) -> datetime:
    zone = ZoneInfo(timezone)
    local = at.astimezone(zone)
    told = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second) >= published
    return local_midnight(local.replace(tzinfo=None) + timedelta(days=2 if told else 1), zone)


def read_world(request: Request, site: Site, span: Span) -> World:
    """Read the files of `request`. InputError names every fault of the first file that has any."""
    lacking = [name for name, there in (("solar", site.solar), ("gensets", site.gensets)) if there]
    if lacking:
        found = "the plant that a backtest runs on has none"
        raise InputError(*(Fault(f"{request.site}: {name}", found, f"leave it out: --set {name}={{}}") for name in lacking))
    ahead = timedelta(hours=request.foresight_h)
    signals, assumed = dict[str, Series](), list[str]()
    for quantity, argument in ((PRICE, request.prices), (OUTDOOR, request.weather), (CARBON, request.carbon)):
        if argument is None:
            assumed.append(f"{quantity.name}: the site file's own, and known to all")
            continue
        signals[quantity.name], history = _read(argument, quantity, span, ahead, request, site)
        assumed.append(f"{quantity.name}: {history.days} days of the file before the span are known from the beginning")
    assumed += [f"curve {name}: nobody measured it on this GPU model" for name in assumed_curves(site)]
    if request.jobs is None:
        return World(site, span, signals, (), (*assumed, "jobs: none given, firm load only"))
    table = read_jobs(
        request.jobs, site, start=span.start, end=span.end + ahead, timezone=request.timezone, jobs_from=request.jobs_from
    )
    jobs = tuple(replace(job, other_pools=()) for job in table.jobs)
    notes = [note.replace("the plan's start", "the span's start") for note in table.notes]
    assumed += [*notes, "jobs: their work is known when they are submitted"]
    return World(site, span, signals, jobs, tuple(assumed))


def _read(
    argument: str, quantity: Quantity, span: Span, ahead: timedelta, request: Request, site: Site
) -> tuple[Series, timedelta]:
    """A file over the span, with as much before it and after it as is there without a gap, and how much that is before it."""

    def read(days_before: int, after: timedelta) -> Series:
        start, end = span.start - timedelta(days=days_before), span.end + after
        return read_series(argument, quantity, start=start, end=end, timezone=request.timezone, currency=site.currency)

    def lacks(days_before: int, after: timedelta) -> bool:
        try:
            read(days_before, after)
        except InputError:
            return True
        return False

    nothing = timedelta(0)
    read(0, nothing)  # whose faults are told
    after = next((more for more in (ahead, timedelta(hours=24)) if not lacks(0, more)), nothing)
    days = bisect_left(range(1, HISTORY_DAYS + 1), True, key=lambda more: lacks(more, after))
    return read(days, after), timedelta(days=days)
