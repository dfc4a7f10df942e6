"""Past: what the history database tells of the last hour, day and week, as means; read beside the daemon that writes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from facility.clock import milliseconds
from facility.console.hub import Hub
from facility.errors import InputError
from facility.history.place import open_database
from facility.history.reading import Reader
from facility.journal.store import StoreFault
from facility.site import Site
from facility.steps import rolling
from facility.tariff import energy_price_per_mwh

SPANS: Final[Mapping[str, tuple[timedelta, timedelta]]] = {
    "hour": (timedelta(hours=1), timedelta(seconds=30)),
    "day": (timedelta(days=1), timedelta(minutes=5)),
    "week": (timedelta(days=7), timedelta(minutes=30)),
}
"""By name: how far back, and of how much each mean is."""
FRESH_S: Final = 5.0
Curve = Sequence[tuple[datetime, float | None]]


class Past:
    """A history at `place`, a file or a database's address. Its answers are kept for a few seconds, for everybody who looks."""

    def __init__(self, site: Site, place: str) -> None:
        self._site, self._place, self._lock = site, place, threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, Curve]] = {}

    def points(self) -> tuple[str, ...]:
        """The points that it knows. Raises StoreFault or InputError."""
        with self._lock, closing(open_database(self._place, self._site.id, read_only=True)) as database:
            return Reader(database).points()

    def curve(self, point: str, span: str, now: datetime) -> Curve:
        """The means of a point in a span that ends now, by time; None where nothing was believed. Raises StoreFault or InputError."""
        with self._lock:
            at_s, kept = self._kept.get((point, span), (-FRESH_S, ()))
            if time.monotonic() - at_s < FRESH_S:
                return kept
            back, every = SPANS[span]
            every_ms = every // timedelta(milliseconds=1)
            end_ms = milliseconds(now) // every_ms * every_ms
            with closing(open_database(self._place, self._site.id, read_only=True)) as database:
                reader = Reader(database)
                if point not in reader.points():
                    return ()
                values = list(reader.means([point], end_ms - back // timedelta(milliseconds=1), end_ms, every_ms))
            found = tuple((datetime.fromtimestamp(value.at_ms / 1000, UTC), value.value) for value in values)
            self._kept[point, span] = time.monotonic(), found
            return found

    def today(self, since: datetime, until: datetime) -> tuple[float, float] | None:
        """What energy cost from `since` until `until` by the site's own prices, and the energy, kWh; None where too little of it was metered.

        Raises StoreFault or InputError.
        """
        meter, every_ms = f"site/meter/{self._site.grid.feed}/import_kw", 300_000
        with self._lock, closing(open_database(self._place, self._site.id, read_only=True)) as database:
            reader = Reader(database)
            if meter not in reader.points():
                return None
            values = list(reader.means([meter], milliseconds(since), milliseconds(until), every_ms))
        known = [value for value in values if value.value is not None]
        if not values or len(known) < 0.9 * len(values):
            return None
        cost = energy_kwh = 0.0
        for value in known:
            assert value.value is not None
            at = datetime.fromtimestamp(value.at_ms / 1000, UTC)
            kwh = value.value * every_ms / 3_600_000
            energy_kwh += kwh
            cost += kwh * float(energy_price_per_mwh(self._site, rolling(at)[:2])[0]) / 1000
        return cost, energy_kwh


def tell_today(past: Past, hub: Hub, over: threading.Event) -> None:
    """Tell the hub, once it knows the site's instant, what the day has cost before; nothing where the history does not know."""
    while hub.spend.since is None:
        if over.wait(1):
            return
    since = hub.spend.since
    midnight = since.astimezone(hub.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
    with suppress(StoreFault, InputError):
        if (found := past.today(midnight, since)) is not None:
            hub.spent_before(midnight, *found)


__all__ = ["SPANS", "Curve", "Past", "StoreFault", "tell_today"]
