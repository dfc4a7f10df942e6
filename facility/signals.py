"""Signals: the latest step series from outside - price, carbon, weather, grid limit - and what they say for a plan's steps.

A signal that covers only part of the horizon is used for that part. For the rest stands what was learnt from its past, where that is two
days or more (`facility.forecast.past`), else the site file's own values; whoever withdraws a signal takes back what was learnt from it. A
limit counts for every step that it touches, with its lowest value there. What is not believable is refused, and the one before stays; so
is what is past already. `amiss` tells what was refused, what ran out, and what has gaps.

The base load of the halls is expected as it is told. Where that is below the site file's, limits hold at the file's all the same: what
somebody forecasts may lower caps, and never raises one. Where load or weather are learnt, limits hold at their P90. A load under which
the fallback caps would not fit is not believed.

A grid event is kept as it was told, for only a plan's baseline says what it asks of each step; a firm one is a limit as well. While one
lasts, `target_kw` tells what the meter is to be held to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.base_load import base_kw, too_heavy, with_base
from facility.bus import messages as m
from facility.bus.messages import Rejected, decode
from facility.errors import InputError
from facility.events import LONGEST_RAMP_MIN, Event
from facility.forecast import Band, Forecast, Past, by_local_hour, expect
from facility.inputs.series import CARBON, LOAD, OUTDOOR, PRICE, Series
from facility.overrides.allowed import Allowed
from facility.overrides.arbitrate import Bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.steps import Edges, as_datetime64
from facility.tariff import energy_price_per_mwh
from models.horizon import Floats

PAYLOADS: dict[str, type[m.Series]] = {
    "grid_price": m.GridPrice,
    "grid_carbon": m.GridCarbon,
    "signal_weather": m.WeatherSignal,
    "signal_load": m.LoadSignal,
    "grid_limit": m.GridLimit,
}
EVENT = "grid_event"
NAMES = {*PAYLOADS, EVENT}
SAID = {"grid_price": "price:", "grid_carbon": "carbon:", "signal_weather": "weather:", "signal_load": "base load:"}
"""How `Forecast.assumed` begins where nobody told."""
QUANTITIES = {"grid_price": PRICE, "grid_carbon": CARBON, "signal_weather": OUTDOOR, "signal_load": LOAD}
"""Those that are expected for every step of a plan, so that they can run out."""
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)


class Signals:
    """The latest signal of each kind; `past` is what was known of them so far, and is told what comes."""

    def __init__(self, site: Site, past: Past | None = None) -> None:
        self._site, self._zone, self._past = site, ZoneInfo(site.timezone), past or Past()
        self._series: dict[str, Series] = {}
        self._refused: dict[str, str] = {}
        self._loaded: tuple[Site, float, Site] = (site, base_kw(site), site)
        self._event: tuple[Event, ...] = ()
        self.ordered: tuple[Event, ...] = ()
        """Grid events that came another way than by their topic."""

    @property
    def events(self) -> tuple[Event, ...]:
        """The grid event that was told last, if any, and what was ordered beside it."""
        return (*self._event, *self.ordered)

    def accept(self, name: str, payload: bytes, feed: str | None = None, now: datetime | None = None) -> str | None:
        """Take the signal `name` (a topic's name) at `now`; an empty payload withdraws it. Returns why it is refused, or None."""
        refused = self._accept(name, payload, feed, now)
        self._refused.pop(name, None)
        if refused is not None:
            self._refused[name] = refused
        return refused

    def amiss(self, now: datetime) -> Mapping[str, str]:
        """What is wrong with signals at `now`, by name, in words."""
        found = {name: f"refused: {why}; what was told before holds" for name, why in self._refused.items()}
        for name in self._series.keys() & QUANTITIES.keys() - found.keys():
            series, at = self._series[name], as_datetime64([now])[0]
            gaps = (series.start[1:] > series.end[:-1]) & (series.start[1:] > at)
            if series.end[-1] <= at:
                holds = "what was learnt of it holds" if self._past.teaches(QUANTITIES[name], now) else "the site's own values hold"
                found[name] = f"it ended at {_clock(series.end[-1])}; {holds}"
            elif gaps.any():
                gap = int(np.flatnonzero(gaps)[0])
                span = f"from {_clock(series.end[gap])} to {_clock(series.start[gap + 1])}"
                found[name] = f"it tells nothing {span}; the site's own values hold then"
        return found

    def _accept(self, name: str, payload: bytes, feed: str | None, now: datetime | None) -> str | None:
        if feed not in {None, self._site.grid.feed}:
            return f"the site has no feed {feed}"
        if name == EVENT:
            return self._accept_event(payload)
        if not payload:
            self._series.pop(name, None)
            if name in QUANTITIES:
                self._past.forget(QUANTITIES[name])
            return None
        try:
            told = decode(payload, PAYLOADS[name])
        except Rejected as rejected:
            return rejected.reason
        values = np.array([point.value for point in told.points], float)
        if refused := self._unbelievable(name, told, values, now):
            return refused
        start, end = (as_datetime64([getattr(point, side) for point in told.points]) for side in ("start", "end"))
        if (start >= end).any() or (start[1:] <= start[:-1]).any():
            return "its intervals last less than a second"
        self._series[name] = Series(name, told.unit, start, end, values)
        if name in QUANTITIES and now is not None:
            self._past.tell(QUANTITIES[name], self._series[name], now)
        return None

    def _accept_event(self, payload: bytes) -> str | None:
        if not payload:
            self._event = ()
            return None
        try:
            told = decode(payload, m.GridEvent)
        except Rejected as rejected:
            return rejected.reason
        if told.ramp_min > LONGEST_RAMP_MIN:
            return f"ramp_min is not in 0 to {LONGEST_RAMP_MIN:g} min"
        ramp = timedelta(minutes=told.ramp_min)
        self._event = (Event(told.start, told.end, told.target_kw, told.reduction_pct, ramp),)
        return None

    def forecast(self, edges: Edges, site: Site | None = None) -> Forecast:
        """What is expected for the steps between `edges`, for the contracts of `site` where it is not the site file's."""
        own = expect(site or self._site, edges, {})
        learnt = {name: band for name, kind in QUANTITIES.items() if (band := self._past.ahead(kind, edges, self._zone))}
        known = tuple(SAID[name] for name in self._series.keys() | learnt.keys() if name in SAID)
        said = (f"{SAID[name]} beyond what was told: {band.said}" for name, band in learnt.items() if band.said)
        load_kw, load_high_kw = self._load_kw(edges, learnt.get("signal_load"))
        weather = learnt.get("signal_weather")
        return replace(
            own,
            load_kw=load_kw,
            load_high_kw=load_high_kw,
            price_per_mwh=self._expected("grid_price", edges, own.price_per_mwh, learnt),
            carbon_g_per_kwh=self._expected("grid_carbon", edges, own.carbon_g_per_kwh, learnt),
            outdoor_c=self._expected("signal_weather", edges, own.outdoor_c, learnt),
            outdoor_high_c=None if weather is None or not weather.said else self._over("signal_weather", edges, weather.high),
            assumed=(*(text for text in own.assumed if not text.startswith(known)), *said),
        )

    def _expected(self, name: str, edges: Edges, own: Floats, learnt: Mapping[str, Band]) -> Floats:
        """What is told, learnt, or else the site's own."""
        return self._over(name, edges, learnt[name].mean if name in learnt else own)

    def warmest_c(self, now: datetime) -> float:
        """The highest temperature expected within an hour of `now`, degC, as told, else of the site's own design day: it stands in for one that
        nobody measures.
        """
        quarters = tuple(now + n * QUARTER for n in range(HOUR // QUARTER + 2))
        own = by_local_hour(self._site, quarters, self._site.weather.outdoor_by_hour_c)
        return float(self._over("signal_weather", quarters, own).max())

    def price_per_mwh(self, edges: Edges) -> float:
        """The energy price of the first step between `edges`, money/MWh: as told, else the site's own."""
        first = edges[:2]
        return float(self._over("grid_price", first, energy_price_per_mwh(self._site, first))[0])

    def loaded(self, site: Site, edges: Edges) -> Site:
        """`site` with the base load that limits hold at in the first step between `edges`; the same object where it is the file's."""
        load_kw, high_kw = self._load_kw(edges[:2])
        held = high_kw if high_kw is not None else load_kw
        if held is None or held[0] == base_kw(site):
            return site
        if self._loaded[:2] != (site, float(held[0])):
            self._loaded = (site, float(held[0]), with_base(site, float(held[0])))
        return self._loaded[2]

    def _load_kw(self, edges: Edges, learnt: Band | None = None) -> tuple[Floats | None, Floats | None]:
        """The base load expected in each step and, where any of that is below the site file's, or learnt, what limits hold at; kW."""
        if "signal_load" not in self._series and learnt is None:
            return None, None
        own = np.full(len(edges) - 1, base_kw(self._site))
        told = self._over("signal_load", edges, own if learnt is None else learnt.mean)
        held = np.maximum(told if learnt is None else self._over("signal_load", edges, learnt.high), own)
        return told, held if (held > told).any() else None

    @property
    def allowed(self) -> Allowed:
        """What may be drawn from the grid whatever people command."""
        return Allowed(self._series.get("grid_limit"), tuple(event for event in self.ordered if event.firm))

    def limited(self, asked: Bounds, edges: Edges, proposals: Sequence[Proposal] = ()) -> Bounds:
        """As `Allowed.of`."""
        return self.allowed.of(asked, edges, proposals)

    def target_kw(self, now: datetime) -> float | None:
        """The lowest target of the events that last at `now`, kW; None where none does, none names power, or all are but wishes."""
        orders = (*self._event, *(event for event in self.ordered if event.firm))
        return min((e.target_kw for e in orders if e.target_kw is not None and e.start <= now < e.end), default=None)

    def _unbelievable(self, name: str, told: m.Series, values: Floats, now: datetime | None) -> str | None:
        if isinstance(told, m.GridPrice) and told.unit != f"{self._site.currency}/MWh":
            return f"unit {told.unit} is not the site's, {self._site.currency}/MWh"
        if not len(values):
            return "it has no points"
        low, high = (QUANTITIES[name].low, QUANTITIES[name].high) if name in QUANTITIES else (0.0, np.inf)
        if not ((values >= low) & (values <= high)).all():
            return f"a value is not in {low:g} to {high:g} {told.unit}"
        if name in QUANTITIES and now is not None and told.points[-1].end <= now:
            return f"all of it is past, it ended at {told.points[-1].end:%Y-%m-%d %H:%M} UTC"
        return too_heavy(self._site, float(values.max())) if name == "signal_load" else None

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


def _clock(at: np.datetime64) -> str:
    return f"{at.astype(datetime):%Y-%m-%d %H:%M} UTC"
