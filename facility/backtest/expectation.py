"""Expectation: the forecast of a controller, from what was known at an instant, or from the truth for one that sees the future."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.backtest.world import World
from facility.forecast import Forecast, expect
from facility.inputs.series import Series
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

DAY = np.timedelta64(24 * 3600, "s")
FINE = ((timedelta(minutes=5), timedelta(hours=2)), (timedelta(minutes=15), timedelta(hours=6)))
"""Steps and how far they reach, before hours; none is shorter than a cycle."""

Outlook = Callable[[Series, Edges, ZoneInfo], Floats]
"""What is expected of a quantity in each step, shape (T,), from what is known of it."""


def edges_of(now: datetime, cycle: timedelta, until: timedelta) -> Edges:
    """The steps of a cycle's plan: the daemon's, with none shorter than the cycle, and hours until `until` from `now`."""
    edges = [now]
    for step, reach in (*FINE, (timedelta(hours=1), until)):
        while edges[-1] < now + min(reach, until):
            edges.append(edges[-1] + max(step, cycle))
    return tuple(edges)


def day_before(known: Series, edges: Edges, _zone: ZoneInfo) -> Floats:
    """What is known, and beyond that what was at the same time of the day before; the last value where that is not known."""
    start, end, value = [known.start], [known.end], [known.value]
    last, until = known.end[-1], as_datetime64(edges[-1:])[0]
    again = known.start >= last - DAY
    if until > last and (not again.any() or known.start[again][0] != last - DAY):
        start, end, value = [*start, np.array([last])], [*end, np.array([until])], [*value, known.value[-1:]]
    elif until > last:
        for days in range(1, int((until - last) // DAY) + 2):
            start, end = [*start, known.start[again] + days * DAY], [*end, known.end[again] + days * DAY]
            value = [*value, known.value[again]]
    whole = Series(known.name, known.unit, np.concatenate(start), np.concatenate(end), np.concatenate(value))
    return np.asarray(whole.means(as_datetime64(edges)), float)


def expected(world: World, at: datetime, edges: Edges, *, outlook: Outlook | None) -> Forecast:
    """What is expected for the steps between `edges` at `at`; without an `outlook` the truth, as far as it is told, and no surprise."""
    zone, times = ZoneInfo(world.site.timezone), as_datetime64(edges)
    told: dict[str, Series] = {}
    for quantity, truth in world.signals.items():
        known = truth if outlook is None else world.known(quantity, at)
        if known is not None and known.start[0] <= times[0]:
            values = (outlook or day_before)(known, edges, zone)
            told[quantity] = Series(truth.name, truth.unit, times[:-1], times[1:], values)
    return expect(world.site, edges, told)
