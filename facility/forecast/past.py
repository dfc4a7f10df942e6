"""Past: what was told and measured of a quantity in the last year, so that what comes after it can be learnt, also after a restart.

What is told replaces what was told before from its own beginning on: a publisher's newest word counts, and what lies before it stays. What
is measured goes before what was told of the same time. Both are kept by days of UTC, each at its place in a ring of a year, so that the
oldest day gives way to the newest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from facility.forecast.outlook import MOST_DAYS, Band, outlook
from facility.forecast.slots import DAY_S, HOUR_S, seconds
from facility.inputs.series import Quantity, Series
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

log = logging.getLogger(__name__)

PREFIX: Final = "past "
"""How the keys begin under which it is kept."""
MEASURED: Final = ", measured"
SOON: Final = timedelta(days=7)
RING: Final = MOST_DAYS + 9
"""Days that are kept: a year, and the week ahead that may be told already."""
LEAST_DAYS: Final = 2.0
"""What must be known before anything is learnt from it; the site's own values are better than less."""
OLDEST: Final = timedelta(days=3)
"""How long ago it may have ended."""

Row = tuple[int, int, float]
"""Start and end in seconds since 1970, and the value."""


class Past:
    """The past of several quantities. `kept` is what an earlier process had from `changed`."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        rows: dict[str, list[Row]] = {}
        for key, value in (kept or {}).items():
            rows.setdefault(key.removeprefix(PREFIX).rpartition(" ")[0], []).extend(_day(key, value))
        self._known = {name: _series(sorted(found)) for name, found in rows.items()}
        self._changed: dict[str, set[int]] = {}
        self._hour = dict[str, tuple[int, float, int]]()

    def tell(self, quantity: Quantity, told: Series, now: datetime) -> None:
        """Know what is told at an instant, in place of all that was told from its beginning on; what is said of next week and later is left."""
        soon = told.start < as_datetime64([now + SOON])
        if soon.any():
            self._replace(quantity.name, replace(told, start=told.start[soon], end=told.end[soon], value=told.value[soon]))

    def measure(self, quantity: Quantity, at: datetime, value: float) -> None:
        """Know what is measured at an instant; an hour has the mean of what was measured in it, until that instant or the next hour's first."""
        now, name = int(at.timestamp()), quantity.name + MEASURED
        hour = now - now % HOUR_S
        last, total, count = self._hour.get(name, (hour, 0.0, 0))
        if hour > last:
            self._replace(name, _series([(last, last + HOUR_S, total / count)]))
        if hour != last:
            total, count = 0.0, 0
        self._hour[name] = (hour, total + value, count + 1)
        if now > hour:
            self._replace(name, _series([(hour, now, (total + value) / (count + 1))]))

    def forget(self, quantity: Quantity) -> None:
        """Forget all that was told; what is measured stays."""
        if quantity.name in self._known:
            self._change(quantity.name, self._known.pop(quantity.name).start)

    def known(self, quantity: Quantity) -> Series:
        """All that is known: what is measured, and what was told of the time before and after."""
        told, measured = (self._known.get(name, _series([])) for name in (quantity.name, quantity.name + MEASURED))
        if len(measured.value):
            before, after = told.start < measured.start[0], told.end > measured.end[-1]
            told = _joined(
                (told.start[before], np.minimum(told.end[before], measured.start[0]), told.value[before]),
                (measured.start, measured.end, measured.value),
                (np.maximum(told.start[after], measured.end[-1]), told.end[after], told.value[after]),
            )
        return replace(told, name=f"{quantity.name} so far", unit=quantity.unit)

    def teaches(self, quantity: Quantity, now: datetime) -> bool:
        """Whether enough is known to learn from, and did not end too long ago."""
        known = self.known(quantity)
        if not len(known.value):
            return False
        begin, end = seconds(known.start), seconds(known.end)
        there_s = (end - begin)[begin > end[-1] - MOST_DAYS * DAY_S].sum()
        return bool(there_s >= LEAST_DAYS * DAY_S and end[-1] >= (now - OLDEST).timestamp())

    def ahead(self, quantity: Quantity, edges: Edges, zone: ZoneInfo) -> Band | None:
        """What is expected of the steps between `edges`; None where nothing is known that teaches it."""
        return outlook(self.known(quantity), edges, zone) if self.teaches(quantity, edges[0]) else None

    def changed(self) -> Mapping[str, bytes]:
        """What is to be kept, by key: the days that have changed since the last one was `saved`."""
        found = {}
        for name, days in self._changed.items():
            known = self._known.get(name, _series([]))
            day = seconds(known.start) // DAY_S
            for each in days:
                here = day == each
                rows = zip(seconds(known.start[here]).tolist(), seconds(known.end[here]).tolist(), known.value[here].tolist(), strict=True)
                found[f"{PREFIX}{name} {each % RING}"] = msgspec.json.encode(list(rows))
        return found

    def saved(self) -> None:
        """What has changed so far is kept."""
        self._changed = {}

    def _replace(self, name: str, told: Series) -> None:
        """Put what is told in place of what is known from its beginning on."""
        known = self._known.get(name, _series([]))
        before = known.start < told.start[0]
        kept = (known.start[before], np.minimum(known.end[before], told.start[0]), known.value[before])
        self._change(name, np.concatenate([known.start[~before], told.start]))
        joined = _joined(kept, (told.start, told.end, told.value))
        lasting = seconds(joined.start) // DAY_S > seconds(joined.end[-1:]) // DAY_S - RING
        self._known[name] = _joined((joined.start[lasting], joined.end[lasting], joined.value[lasting]))

    def _change(self, name: str, starts: NDArray[np.datetime64]) -> None:
        self._changed.setdefault(name, set()).update(np.unique(seconds(starts) // DAY_S).tolist())


def _day(key: str, kept: bytes) -> list[Row]:
    try:
        return msgspec.json.decode(kept, type=list[Row])
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("a day that was seen cannot be read (%s): %s", key, error)
        return []


def _series(rows: list[Row]) -> Series:
    start, end, value = (np.array([row[i] for row in rows], kind) for i, kind in enumerate((np.int64, np.int64, float)))
    return _joined((start.view("datetime64[s]"), end.view("datetime64[s]"), value))


def _joined(*parts: tuple[NDArray[np.datetime64], NDArray[np.datetime64], Floats]) -> Series:
    start, end, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Series("", "", start, end, value)
