"""Charts of a span: power by use, hour by hour, and key figures by day. What was not measured is a gap in every line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.report.charts.ink import BLUE, GREEN, INK, ORANGE, PURPLE
from facility.report.charts.panel import Panel, Row, area, line
from facility.report.local_clock import Clock
from facility.report.month.gather import Told
from facility.steps import uniform
from models.horizon import Floats

HOUR = timedelta(hours=1)
SHOWN = {"pue": ("PUE", INK), "cue": ("CUE, kg/kWh", ORANGE), "wue1": ("WUE, l/kWh", BLUE), "ref": ("REF", GREEN), "erf": ("ERF", PURPLE)}


class Hours:
    """The hours of a span as far as it is over; the last may be shorter."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.edges = uniform(told.span.start, told.span.until, HOUR)
        self.clock = Clock(self.edges, ZoneInfo(told.site.timezone))

    def mean_kw(self, energy_kwh: Floats) -> Floats:
        """The mean power of each hour, kW, shape (T,), NaN where a quarter of it was not measured."""
        per_hour = [energy_kwh[i : i + 4].sum() for i in range(0, len(energy_kwh), 4)]
        hours = [self.told.metered.hours[i : i + 4].sum() for i in range(0, len(energy_kwh), 4)]
        return np.asarray(np.array(per_hour) / np.array(hours), float)

    def by_day(self, values: dict[str, float | None]) -> Floats:
        """A value of each local day held through its hours, shape (T,), NaN where there is none."""
        zone = ZoneInfo(self.told.site.timezone)
        return np.array([_number(values.get(_day(at, zone))) for at in self.edges[:-1]], float)

    def panels(self) -> Iterator[Panel]:
        """The charts."""
        yield self._power()
        yield from self._figures()

    def _power(self) -> Panel:
        metered = self.told.metered
        imported, it = self.mean_kw(metered.import_kwh), self.mean_kw(metered.it_kwh)
        cooling = self.mean_kw(np.asarray(sum(metered.cooling_kwh.values(), np.zeros(len(metered.hours))), float))
        traces = [area("IT", it, BLUE, "uses"), area("cooling", cooling, GREEN, "uses"), line("import", imported, INK, width=1.6)]
        note = "Hourly means by the meters. Between the stack and the line lie base load, losses and what batteries take; below it what they give."
        return Panel("power", "Power", note, 380, traces, [Row("kW", 1, {"hoverformat": ",.1f", "rangemode": "tozero"})])

    def _figures(self) -> Iterator[Panel]:
        by_day = {key: self.by_day({day.date: day.figures.get(key) for day in self.told.days}) for key in SHOWN}
        known = [key for key, values in by_day.items() if np.isfinite(values).any()]
        if known and len(self.told.days) > 1:
            traces = [line(SHOWN[key][0], by_day[key], SHOWN[key][1], row) | {"showlegend": False} for row, key in enumerate(known)]
            rows = [Row(SHOWN[key][0], 1, {"hoverformat": ".3f", "nticks": 4}) for key in known]
            note = "Each day's ratio is of that day's sums."
            yield Panel("by-day", "Key figures by day", note, 90 + 130 * len(known), traces, rows)


def _day(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).date().isoformat()


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
