"""Gather: everything that is told of a span, from the history of readings and the journal."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.availability.contract import Availability, availabilities
from facility.clock import milliseconds
from facility.events import Event
from facility.forecast import Past
from facility.forecast.past import PREFIX
from facility.history.reading import Reader
from facility.journal.calls import Calls
from facility.journal.journal import Journal
from facility.kpi.annex import annex
from facility.kpi.baseline import ADJUSTED, FURTHEST, GRACE
from facility.kpi.delivery import Delivered, called_days, delivered
from facility.kpi.figure import Figure
from facility.kpi.indicators import indicators
from facility.kpi.metered import Metered, Series
from facility.kpi.readings import read_metered, read_power
from facility.kpi.work import Work, by_model, by_tenant
from facility.metering import QUARTER
from facility.rental.sold import Sold
from facility.report.month.calls import joined, recorded
from facility.report.month.gaps import lacking, ordered
from facility.report.month.signals import Files, carbon_g_per_kwh, price_per_mwh
from facility.report.month.span import Span
from facility.site import Site
from facility.usage.usage import quarter_of
from facility.windows import inside
from models.horizon import Floats

Say = Callable[[str], None]
MINUTE = timedelta(minutes=1)
AROUND = ADJUSTED + GRACE
FINE = (MINUTE, 5 * MINUTE)
NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Day:
    """A local day, as far as it lies in the span: figures by key, None where not known; the highest quarter-hour mean of the import, kW."""

    date: str
    hours: float
    total_kwh: float | None
    it_kwh: float | None
    peak_kw: float | None
    covered: float
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class Called:
    """A call with what came of it, and what was sold as a reserve at its beginning that it may draw on, kW by product."""

    delivered: Delivered
    reserves_kw: Mapping[str, float]


@dataclass(frozen=True)
class Told:
    """A span as it is reported. `interim` says why it is not whole, nothing where it is; `assumed` what came from the site file.

    `energy_cost` is of the energy drawn at its price, fees, peaks and credits apart, in the site's currency.
    """

    site: Site
    span: Span
    metered: Metered
    figures: tuple[Figure, ...]
    annex: tuple[Figure, ...]
    days: tuple[Day, ...]
    import_kwh: float | None
    energy_cost: float | None
    peak_kw: float | None
    models: tuple[Work, ...]
    tenants: tuple[Work, ...]
    contracts: tuple[Availability, ...]
    calls: tuple[Called, ...]
    interim: tuple[str, ...]
    assumed: tuple[str, ...]


def gather(site: Site, span: Span, reader: Reader, journal: Journal | None, files: Files, events: Sequence[Event], say: Say) -> Told:
    """Everything of a span. Raises InputError for a bad file, StoreFault where a database fails."""
    zone = ZoneInfo(site.timezone)
    past = Past() if journal is None else Past(journal.get_all(PREFIX))
    carbon, price = (signal(site, files, past, span.start, span.until) for signal in (carbon_g_per_kwh, price_per_mwh))
    say("reading the meters")
    metered = read_metered(reader, site, span.start, span.until, carbon.value)
    say("reading who had what")
    usages = [] if journal is None else list(journal.usage(span.start, span.until))
    say("reading what the grid asked for")
    calls, gap = _asked(span, journal, events)
    pool_kwh = {(pool, at): float(kwh) for pool, series in metered.pool_kwh.items() for at, kwh in zip(metered.start, series, strict=True)}
    days = _days(site, span, metered, zone)
    return Told(
        site=site,
        span=span,
        metered=metered,
        figures=indicators(site, metered, annual=span.annual(zone) and _whole(metered.import_kwh)),
        annex=annex(site, metered, _day_means_c(span, metered, zone)),
        days=days,
        import_kwh=metered.sums(metered.import_kwh)[0][0],
        energy_cost=_cost(metered, price.value),
        peak_kw=_peak_kw(metered),
        models=tuple(by_model(site, usages, pool_kwh)),
        tenants=tuple(by_tenant(usages, pool_kwh)),
        contracts=tuple(availabilities(usages, Sold(site, () if journal is None else journal.rentals()).terms, span.start, span.until, zone)),
        calls=tuple(_calls(site, reader, span, calls, zone, say)),
        interim=(*lacking(span, metered, None if journal is None else usages), *([gap] if gap else [])),
        assumed=tuple(each for each in (carbon.assumed, price.assumed, *ordered(site)) if each),
    )


def _whole(series: Floats) -> bool:
    return bool(np.isfinite(series).all())


def _days(site: Site, span: Span, metered: Metered, zone: ZoneInfo) -> tuple[Day, ...]:
    found = []
    for begin, end in span.days(zone):
        part = metered.only(_between(metered, begin, end))
        (total, it), covered = part.sums(part.total_kwh, part.it_kwh)
        figures = {figure.key: figure.value for figure in indicators(site, part, annual=False)}
        hours = (end - begin) / timedelta(hours=1)
        found.append(Day(begin.astimezone(zone).date().isoformat(), hours, total, it, _peak_kw(part), covered, figures))
    return tuple(found)


def _between(metered: Metered, begin: datetime, end: datetime) -> np.ndarray:
    chosen = np.zeros(len(metered.start), bool)
    chosen[bisect_left(metered.start, begin) : bisect_left(metered.start, end)] = True
    return chosen


def _day_means_c(span: Span, metered: Metered, zone: ZoneInfo) -> list[float]:
    """The mean temperature outdoors of each day of which at least half was measured."""
    found = []
    for begin, end in span.days(zone):
        outdoor_c: Series = metered.only(_between(metered, begin, end)).outdoor_c
        known = np.array([]) if outdoor_c is None else outdoor_c[np.isfinite(outdoor_c)]
        if outdoor_c is not None and len(known) * 2 >= len(outdoor_c) > 0:
            found.append(float(known.mean()))
    return found


def _peak_kw(metered: Metered) -> float | None:
    means = metered.import_kwh / metered.hours
    known = means[np.isfinite(means)]
    return float(known.max()) if len(known) else None


def _cost(metered: Metered, price_per_mwh: Series) -> float | None:
    if price_per_mwh is None:
        return None
    (cost,), _ = metered.sums(metered.drawn_kwh * price_per_mwh / 1000)
    return cost


def _asked(span: Span, journal: Journal | None, events: Sequence[Event]) -> tuple[tuple[Event, ...], str]:
    """The calls of a span and of the days before it that baselines may rest on; and of what time of the span they are not known any more."""
    first = span.start - FURTHEST - timedelta(days=1)
    kept = None if journal is None else Calls(journal)
    heard = () if kept is None else recorded(kept, first, span.until)[0]
    gap = "" if kept is None else recorded(kept, span.start, span.until)[1]
    return joined((event for event in events if first <= event.start < span.until), heard), gap


def _calls(site: Site, reader: Reader, span: Span, asked: Sequence[Event], zone: ZoneInfo, say: Say) -> Iterator[Called]:
    """What came of the calls of a span; `asked` are also those before it, whose days are like no other."""
    days = called_days(asked, zone)
    events = [event for event in asked if event.start >= span.start]
    for i, event in enumerate(events, 1):
        say(f"call {i} of {len(events)}")
        begin, end = quarter_of(event.start - event.ramp - AROUND), quarter_of(event.end + event.ramp + AROUND) + QUARTER
        meter = read_power(reader, site, begin - FURTHEST, end, QUARTER)
        fine, every = _finest(reader, site, event, begin, end)
        yield Called(delivered(event, meter, fine, every, days, zone), _reserves_kw(site, event, zone))


def _finest(reader: Reader, site: Site, event: Event, begin: datetime, end: datetime) -> tuple[dict[datetime, float], timedelta]:
    """The meter around a call, in the shortest intervals nearly all of which have a reading while it lasts."""
    finest_ms = reader.resolution_ms(milliseconds(begin), milliseconds(end), MINUTE // timedelta(milliseconds=1))
    for every in (each for each in FINE if each >= timedelta(milliseconds=finest_ms)):
        means = read_power(reader, site, begin, end, every)
        if sum(event.start - every < at < event.end for at in means) * every >= NEARLY_ALL * (event.end - event.start):
            return means, every
    return read_power(reader, site, begin, end, QUARTER), QUARTER


def _reserves_kw(site: Site, event: Event, zone: ZoneInfo) -> dict[str, float]:
    """What is sold at the beginning of a call to be taken off the grid, kW."""
    local = f"{event.start.astimezone(zone):%H:%M}"
    found = {}
    for name, reserve in site.grid.reserves.items():
        sold = [window.committed_kw for window in reserve.committed if inside(window, local)]
        if reserve.direction == "up" and sold:
            found[name] = max(sold)
    return found
