"""Signals: the latest step series from outside - price, carbon, weather, grid limit - and what they say for a plan's steps.

A signal that covers only part of the horizon is used for that part; the site file's own values stand for the rest. A limit
counts for every step that it touches, with its lowest value there. What is not believable is refused, and the one before stays.
A grid event is kept as it was told, for only a plan's baseline says what it asks of each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from facility.bus import messages as m
from facility.bus.messages import Rejected, decode
from facility.errors import InputError
from facility.events import LONGEST_RAMP_MIN, Event
from facility.forecast import Forecast, expect
from facility.inputs.series import CARBON, OUTDOOR, PRICE, Series
from facility.overrides.arbitrate import CRITICAL_PRIORITY, Bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

PAYLOADS: dict[str, type[m.Series]] = {
    "grid_price": m.GridPrice,
    "grid_carbon": m.GridCarbon,
    "signal_weather": m.WeatherSignal,
    "grid_limit": m.GridLimit,
}
EVENT = "grid_event"
NAMES = {*PAYLOADS, EVENT}
SAID = {"grid_price": "price:", "grid_carbon": "carbon:", "signal_weather": "weather:"}
"""How `Forecast.assumed` begins where nobody told."""
QUANTITIES = {"grid_price": PRICE, "grid_carbon": CARBON, "signal_weather": OUTDOOR}


class Signals:
    """The latest signal of each kind."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._series: dict[str, Series] = {}
        self.events: tuple[Event, ...] = ()
        """The grid event that was told last, if any."""

    def accept(self, name: str, payload: bytes, feed: str | None = None) -> str | None:
        """Take the signal `name` (a topic's name); an empty payload withdraws it. Returns why it is refused, or None."""
        if feed not in {None, self._site.grid.feed}:
            return f"the site has no feed {feed}"
        if name == EVENT:
            return self._accept_event(payload)
        if not payload:
            self._series.pop(name, None)
            return None
        try:
            told = decode(payload, PAYLOADS[name])
        except Rejected as rejected:
            return rejected.reason
        values = np.array([point.value for point in told.points], float)
        if refused := self._unbelievable(name, told, values):
            return refused
        start, end = (as_datetime64([getattr(point, side) for point in told.points]) for side in ("start", "end"))
        if (start >= end).any() or (start[1:] <= start[:-1]).any():
            return "its intervals last less than a second"
        self._series[name] = Series(name, told.unit, start, end, values)
        return None

    def _accept_event(self, payload: bytes) -> str | None:
        if not payload:
            self.events = ()
            return None
        try:
            told = decode(payload, m.GridEvent)
        except Rejected as rejected:
            return rejected.reason
        if told.ramp_min > LONGEST_RAMP_MIN:
            return f"ramp_min is not in 0 to {LONGEST_RAMP_MIN:g} min"
        ramp = timedelta(minutes=told.ramp_min)
        self.events = (Event(told.start, told.end, told.target_kw, told.reduction_pct, ramp),)
        return None

    def forecast(self, edges: Edges, site: Site | None = None) -> Forecast:
        """What is expected for the steps between `edges`, for the contracts of `site` where it is not the site file's."""
        own = expect(site or self._site, edges, {})
        told = tuple(SAID[name] for name in self._series if name in SAID)
        return replace(
            own,
            price_per_mwh=self._over("grid_price", edges, own.price_per_mwh),
            carbon_g_per_kwh=self._over("grid_carbon", edges, own.carbon_g_per_kwh),
            outdoor_c=self._over("signal_weather", edges, own.outdoor_c),
            assumed=tuple(text for text in own.assumed if not text.startswith(told)),
        )

    def limited(self, asked: Bounds, edges: Edges, proposals: Sequence[Proposal] = ()) -> Bounds:
        """`asked` with the grid's own limit where it is lower, except while an import limit of priority 5 or less commands."""
        series = self._series.get("grid_limit")
        if series is None:
            return asked
        critical = [p for p in proposals if p.kind == "import_limit_kw" and p.priority <= CRITICAL_PRIORITY]
        times, limits = as_datetime64(edges), list(asked.import_limit_kw)
        for t in range(len(limits)):
            here = (series.start < times[t + 1]) & (series.end > times[t])
            if here.any() and not any(p.start <= edges[t] and p.end >= edges[t + 1 if t else 0] for p in critical):
                limits[t] = min(limits[t], float(series.value[here].min()))
        return replace(asked, import_limit_kw=tuple(limits))

    def _unbelievable(self, name: str, told: m.Series, values: Floats) -> str | None:
        if isinstance(told, m.GridPrice) and told.unit != f"{self._site.currency}/MWh":
            return f"unit {told.unit} is not the site's, {self._site.currency}/MWh"
        if not len(values):
            return "it has no points"
        low, high = (QUANTITIES[name].low, QUANTITIES[name].high) if name in QUANTITIES else (0.0, np.inf)
        if not ((values >= low) & (values <= high)).all():
            return f"a value is not in {low:g} to {high:g} {told.unit}"
        return None

    def _over(self, name: str, edges: Edges, otherwise: Floats) -> Floats:
        series = self._series.get(name)
        if series is None:
            return otherwise
        told = otherwise.copy()
        for t in range(len(edges) - 1):
            try:
                told[t] = series.means(as_datetime64(edges[t : t + 2]))[0]
            except InputError:
                continue
        return told
