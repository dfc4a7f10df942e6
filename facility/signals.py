"""Signals: the latest step series from outside - price, carbon, weather, grid limit - and what they say for a plan's steps.

A signal that covers only part of the horizon is used for that part; the site file's own values stand for the rest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facility import messages as m
from facility.arbitrate import Bounds
from facility.errors import InputError
from facility.forecast import Forecast, expect
from facility.messages import Rejected, decode
from facility.series import CARBON, OUTDOOR, PRICE, Series
from facility.site import Site
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

PAYLOADS: dict[str, type[m.Series]] = {
    "grid_price": m.GridPrice,
    "grid_carbon": m.GridCarbon,
    "signal_weather": m.WeatherSignal,
    "grid_limit": m.GridLimit,
}
QUANTITIES = {"grid_price": PRICE.name, "grid_carbon": CARBON.name, "signal_weather": OUTDOOR.name}


class Signals:
    """The latest signal of each kind."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._series: dict[str, Series] = {}

    def accept(self, name: str, payload: bytes) -> str | None:
        """Take the signal `name` (a topic's name); an empty payload withdraws it. Returns why it is refused, or None."""
        if not payload:
            self._series.pop(name, None)
            return None
        try:
            told = decode(payload, PAYLOADS[name])
        except Rejected as rejected:
            return rejected.reason
        if isinstance(told, m.GridPrice) and told.unit != f"{self._site.currency}/MWh":
            return f"unit {told.unit} is not the site's, {self._site.currency}/MWh"
        if not told.points:
            return "it has no points"
        self._series[name] = Series(
            name,
            told.unit,
            as_datetime64([point.start for point in told.points]),
            as_datetime64([point.end for point in told.points]),
            np.array([point.value for point in told.points], float),
        )
        return None

    def forecast(self, edges: Edges) -> Forecast:
        """What is expected for the steps between `edges`."""
        own = expect(self._site, edges, {})
        return replace(
            own,
            price_per_mwh=self._over("grid_price", edges, own.price_per_mwh),
            carbon_g_per_kwh=self._over("grid_carbon", edges, own.carbon_g_per_kwh),
            outdoor_c=self._over("signal_weather", edges, own.outdoor_c),
            assumed=tuple(text for text in own.assumed if not any(text.startswith(QUANTITIES[n]) for n in self._series if n in QUANTITIES)),
        )

    def limited(self, bounds: Bounds, edges: Edges) -> Bounds:
        """`bounds` with the grid's own limit in them where it is lower."""
        limit = self._over("grid_limit", edges, np.asarray(bounds.import_limit_kw, float))
        return replace(bounds, import_limit_kw=tuple(np.minimum(limit, bounds.import_limit_kw).tolist()))

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
