"""Making: a bill out of a site file, a journal and a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facility import metering
from facility.bill.billed import Billed, billed
from facility.bill.metered import metered
from facility.bill.period import Period, period_of
from facility.bill.prices import prices_of
from facility.bill.reckon import reckon
from facility.bill.rows import Reading, Rows
from facility.bill.terms import Owed
from facility.clock import milliseconds
from facility.config import load_site
from facility.errors import Fault, InputError
from facility.forecast.past import PREFIX
from facility.history import default_place
from facility.history.place import open_database
from facility.history.reading import Reader
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.rental.sold import Sold
from facility.site import Site
from facility.usage.usage import Usage
from models.horizon import Floats

ENOUGH = 0.999
"""The share of an interval from which on it is wholly counted."""
Tell = Callable[[str, float], None]
"""Hears what is done, and how much of it, a share."""


@dataclass(frozen=True)
class Request:
    """What `facility bill` was asked, as it is written."""

    site: str
    month: str | None = None
    start: str | None = None
    end: str | None = None
    state: Path | None = None
    history: str | None = None
    prices: str | None = None
    carbon: str | None = None
    timezone: str | None = None
    settings: tuple[str, ...] = ()


def make(request: Request, now: datetime, tell: Tell) -> Billed:
    """Make the bill. InputError for bad input, and where nothing was measured."""
    site = load_site(request.site, request.settings)
    state = request.state or Path(f"{site.id}.sqlite")
    place = request.history or default_place(site.id, state.parent)
    try:
        with closing(open_database(place, site.id, read_only=True)) as database:
            reader = Reader(database)
            newest = reader.newest()
            period = period_of(site, max(now, newest or now), request.month, request.start, request.end)
            tell("reading meters", 0.0)
            period, coarse = _as_kept(reader, period)
            read = metering.read(reader, site, _keys(site), period.start, period.end, period.slot)
    except StoreFault as fault:
        raise InputError(Fault("--history", str(fault), "name the history of a running site")) from fault
    if all(np.isnan(means).all() for means in read.means.values()):
        raise InputError(Fault("--history", f"{place} has no reading of {period.name}", "name the history of that time, or another month"))
    with Journal(state, read_only=True) as journal:
        past, owed = journal.get_all(PREFIX), Owed(Sold(site, journal.rentals()))
        reading = Reading(site, period.start, period.end, period.slot)
        rows = reading.take(_told(journal, period, tell), owed.see)
    tell("sharing out", 1.0)
    energy = metered(site, read, _expected(site, rows, len(read), read.hours))
    prices = prices_of(site, read.edges, past, request.prices, request.carbon, request.timezone)
    found = reckon(site, period, read.edges, rows, reading.sums, energy, prices, owed)
    uncounted = _uncounted(site, rows, len(read), read.hours)
    provisional = [*_unfinished(period), *energy.provisional]
    gaps = [str(gap) for gap in energy.gaps]
    gaps += [f"usage: the site file has no pool {name}; what was had there is left out, rent and credits with it" for name in sorted(reading.lost)]
    if uncounted:
        gaps.append(f"usage: not wholly counted in {uncounted} of {len(read)} intervals; what nobody is known to have used then is the site's own")
        provisional.append(f"usage was not wholly counted in {uncounted} of {len(read)} intervals")
    return billed(site, period, found, gaps, provisional, [*prices.assumed, *energy.assumed, *coarse], sorted(owed.unknown))


def _as_kept(reader: Reader, period: Period) -> tuple[Period, list[str]]:
    """The period in slots that the history still tells apart: what is old is there as means of a quarter of an hour only."""
    slot_ms = period.slot // timedelta(milliseconds=1)
    kept_ms = reader.resolution_ms(milliseconds(period.start), milliseconds(period.end), slot_ms)
    if kept_ms <= slot_ms:
        return period, []
    slot = timedelta(milliseconds=kept_ms)
    said = f"intervals: the history keeps means of {slot // timedelta(minutes=1)} min of that time, peaks are of those"
    return replace(period, slot=slot), [said]


def _keys(site: Site) -> list[str]:
    pools = [metering.pool_key(site, name) for name in site.pools]
    plants = [metering.cooling_key(name) for name in site.cooling_plants]
    batteries = [metering.battery_key(name) for name in site.batteries]
    return [metering.import_key(site), *pools, *plants, *batteries, *metering.generation_keys(site).values(), *metering.water_keys(site).values()]


def _told(journal: Journal, period: Period, tell: Tell) -> Iterator[Usage]:
    """The usage of the period, a day at a time."""
    day = timedelta(days=1)
    start = period.start
    while start < period.end:
        tell("reading usage", (start - period.start) / (period.end - period.start))
        yield from journal.usage(start, min(start + day, period.end))
        start += day


def _expected(site: Site, rows: Rows, slots: int, slot_h: float) -> dict[str, Floats]:
    """What was expected of each pool in each slot, kWh, NaN where it was not wholly counted."""
    kwh = np.bincount(rows.pool * slots + rows.slot, rows.expected_kwh, len(site.pools) * slots).reshape(len(site.pools), slots)
    counted = _counted(site, rows, slots, slot_h)
    return {name: np.where(counted[i], kwh[i], np.nan) for i, name in enumerate(site.pools)}


def _uncounted(site: Site, rows: Rows, slots: int, slot_h: float) -> int:
    """In how many slots some pool was not counted all the time."""
    return int((~_counted(site, rows, slots, slot_h)).any(axis=0).sum())


def _counted(site: Site, rows: Rows, slots: int, slot_h: float) -> NDArray[np.bool_]:
    """Whether a pool was counted all the time of a slot, shape (P, T)."""
    longest_h = np.zeros(len(site.pools) * slots)
    np.maximum.at(longest_h, rows.pool * slots + rows.slot, rows.hours)
    return np.asarray(longest_h.reshape(len(site.pools), slots) >= ENOUGH * slot_h)


def _unfinished(period: Period) -> list[str]:
    return [] if period.is_over else [f"{period.name} is not over: it is billed until {period.end:%Y-%m-%d %H:%M} UTC"]
