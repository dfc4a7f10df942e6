"""Span: the hours that are looked at, with what files and the site say of each, month by month.

A month is read as a plan of it would be: the same forecast, the same limits, the same problem. Where no file tells the weather, every day is
the site's design day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from facility.capacity.contracted import jobs_of, with_added
from facility.capacity.place import Place
from facility.forecast import Forecast, Signals, expect
from facility.overrides.arbitrate import Bounds, bounds
from facility.problem import problem_of
from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import Edges, local_midnight, uniform
from facility.tariff import fees_per_mwh
from models.horizon import Floats
from models.problem import Problem
from models.sending.tightened import tightened

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Part:
    """Hours in a row: their edges, what is expected in them, and what may be drawn."""

    edges: Edges
    forecast: Forecast
    asked: Bounds

    def problem(self, site: Site) -> Problem:
        """The problem of these hours on a site, which may have pools more than were asked about."""
        return problem_of(site, Snapshot(at=self.edges[0]), self.forecast, self.asked_of(site), self.edges)

    def asked_of(self, site: Site) -> Bounds:
        """What may be drawn, and that nobody commands a pool of the site."""
        steps = len(self.edges) - 1
        caps: dict[str, tuple[float | None, ...]] = dict.fromkeys(site.pools, (None,) * steps)
        return replace(self.asked, pool_cap_w=caps, held_pools=dict.fromkeys(site.pools, (False,) * steps))

    def without(self, site: Site, place: Place) -> Problem:
        """The problem of these hours without added GPUs, with as much room left for rounding as a plan leaves that has some at `place`."""
        told = tightened(self.problem(with_added(site, place, 1, 1.0)))
        return replace(
            told,
            pools=tuple(p for p in told.pools if p.id in site.pools),
            firms=tuple(f for f in told.firms if f.id in site.contracts),
            halls=tuple(h for h in told.halls if h.id in site.halls),
            feeders=tuple(f for f in told.feeders if f.id in site.feeders),
            cooling_plants=tuple(c for c in told.cooling_plants if c.id in site.cooling_plants),
        )

    def paid_per_kwh(self, site: Site) -> Floats:
        """What a kWh costs, fees included, money, shape (T,)."""
        price = self.forecast.price_per_mwh
        return np.asarray((price + fees_per_mwh(site, self.edges, price)) / 1000)


@dataclass(frozen=True)
class Span:
    """The hours from `start` to `end`, UTC, of `site`; `busy_gpus` tells by pool how many GPUs do jobs in each."""

    site: Site
    start: datetime
    end: datetime
    signals: Signals
    busy_gpus: Mapping[str, tuple[int, ...]]

    @cached_property
    def edges(self) -> Edges:
        """The edges of all hours."""
        return uniform(self.start, self.end, HOUR)

    @property
    def zone(self) -> ZoneInfo:
        """The site's."""
        return ZoneInfo(self.site.timezone)

    @cached_property
    def months(self) -> tuple[tuple[datetime, datetime], ...]:
        """The parts of calendar months of the site's zone, as instants."""
        firsts, local = [self.start], self.start.astimezone(self.zone)
        while True:
            local = (local.replace(day=1, hour=12) + timedelta(days=32)).replace(day=1)
            begins = local_midnight(local.replace(tzinfo=None), self.zone)
            if begins >= self.end:
                return tuple(pairwise((*firsts, self.end)))
            firsts.append(begins)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The months."""
        return tuple(self.part(begins, ends) for begins, ends in self.months)

    def part(self, begins: datetime, ends: datetime) -> Part:
        """The hours between two instants, whole hours after the start."""
        edges = uniform(begins, ends, HOUR)
        first = (begins - self.start) // HOUR
        told = expect(self.site, edges, self.signals)
        jobs = {jobs_of(pool): gpus[first : first + len(edges) - 1] for pool, gpus in self.busy_gpus.items()}
        forecast = replace(told, demand_gpus={**told.demand_gpus, **jobs})
        return Part(edges, forecast, bounds(self.site, (), edges[0], edges))

    def day(self, at: datetime) -> Part:
        """The hours of the local calendar day of an instant that are looked at."""
        local = at.astimezone(self.zone).replace(tzinfo=None)
        begins, ends = (local_midnight(local + timedelta(days=n), self.zone) for n in (0, 1))
        return self.part(max(begins, self.start), min(ends, self.end))
