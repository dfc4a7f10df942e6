"""Expectation: the forecast of a controller, from what was known at an instant, or from the truth for one that sees the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.backtest.world import World
from facility.forecast import Forecast, expect, outlook
from facility.inputs.series import OUTDOOR, Series
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

FINE = ((timedelta(minutes=5), timedelta(hours=2)), (timedelta(minutes=15), timedelta(hours=6)))
"""Steps and how far they reach, before hours; none is shorter than a cycle."""


def edges_of(now: datetime, cycle: timedelta, until: timedelta) -> Edges:
    """The steps of a cycle's plan: the daemon's, with none shorter than the cycle, and hours until `until` from `now`."""
    edges = [now]
    for step, reach in (*FINE, (timedelta(hours=1), until)):
        while edges[-1] < now + min(reach, until):
            edges.append(edges[-1] + max(step, cycle))
    return tuple(edges)


def expected(world: World, at: datetime, edges: Edges, *, foresight: bool = False) -> Forecast:
    """What is expected for the steps between `edges` at `at`, as the daemon expects it: what is known, and beyond it what that taught, with
    limits held at the P90 of the weather. With `foresight` the truth, as far as it is told.
    """
    zone, times = ZoneInfo(world.site.timezone), as_datetime64(edges)
    told: dict[str, Series] = {}
    outdoor_high_c: Floats | None = None
    for quantity, truth in world.signals.items():
        known = truth if foresight else world.known(quantity, at)
        if known is None or known.start[0] > times[0]:
            continue
        band = outlook(known, edges, zone)
        told[quantity] = Series(truth.name, truth.unit, times[:-1], times[1:], band.mean)
        if quantity == OUTDOOR.name and band.said and not foresight:
            outdoor_high_c = band.high
    return replace(expect(world.site, edges, told), outdoor_high_c=outdoor_high_c)
