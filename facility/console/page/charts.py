"""Charts: the plan ahead and the past, as options of ECharts. Colours are Okabe and Ito's; a line that must not be crossed is also dashed.

Times are the site's local clock, by its offset of now: through the night of a clock change the labels go on as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from facility.bus.messages import PlanCurrent

BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
FONT: Final = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
"""The page's own: texts are measured by it."""
MOST_POOLS: Final = 8
"""Pools of which the plan's caps are drawn as lines; of more, the lowest, mean and highest."""


@dataclass(frozen=True)
class Look:
    """How charts look: text and lines of the theme."""

    ink: str
    line: str
    limit: str

    @classmethod
    def of(cls, *, dark: bool) -> Look:
        """The look of a theme."""
        return cls("#c9d1d6", "#39424a", "#ff8a4c") if dark else cls("#39434a", "#d9dee2", RED)


def power_ahead(plan: PlanCurrent | None, now: datetime, zone: ZoneInfo, *, dark: bool) -> dict[str, Any]:
    """What is drawn from the grid by use, against its limit."""
    look, axis = Look.of(dark=dark), _Axis(plan, now, zone)
    it, cooling = axis.of(lambda s: s.it_kw), axis.of(lambda s: s.cooling_kw)
    rest = axis.of(lambda s: max(s.import_kw - s.battery_kw - s.it_kw - s.cooling_kw, 0.0))
    series = [
        _area("GPUs and hosts", it, BLUE),
        _area("cooling", cooling, SKY),
        _area("losses and base load", rest, PURPLE),
        _area("battery charging", axis.of(lambda s: max(s.battery_kw, 0.0)), GREEN),
        _line("from the grid", axis.of(lambda s: s.import_kw), look.ink, width=2) | {"markLine": axis.now_mark(look)},
        _line("import limit", axis.of(lambda s: s.import_limit_kw), look.limit, dashed=True, width=2),
    ]
    return _chart(look, series, [_value_axis(look)])


def price_ahead(plan: PlanCurrent | None, now: datetime, zone: ZoneInfo, *, dark: bool) -> dict[str, Any]:
    """The price of energy, and what the battery does about it."""
    look, axis = Look.of(dark=dark), _Axis(plan, now, zone)
    currency = plan.currency if plan else ""
    series = [
        _area("battery, kW (charging above zero)", axis.of(lambda s: s.battery_kw), GREEN) | {"stack": None, "yAxisIndex": 1},
        _line(f"price, {currency}/MWh", axis.of(lambda s: s.price_per_mwh), ORANGE, width=2) | {"markLine": axis.now_mark(look)},
    ]
    kw = _value_axis(look) | {"position": "right", "splitLine": {"show": False}}
    return _chart(look, series, [_value_axis(look), kw])


def caps_ahead(plan: PlanCurrent | None, now: datetime, zone: ZoneInfo, *, dark: bool) -> dict[str, Any]:
    """The highest cap of each pool; of many pools the lowest, mean and highest."""
    look, axis = Look.of(dark=dark), _Axis(plan, now, zone)
    pools = list(dict.fromkeys(pool for step in axis.steps for pool in step.caps_w))
    if len(pools) <= MOST_POOLS:
        colours = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE, look.ink, "#999999")
        kinds = ("solid", "dashed", "dotted")
        series = [
            _line(pool, axis.of(lambda s, pool=pool: s.caps_w.get(pool)), colours[i % 8]) | {"lineStyle": {"type": kinds[i % 3], "width": 2}}
            for i, pool in enumerate(pools)
        ]
    else:
        series = [
            _line("highest", axis.of(lambda s: max(s.caps_w.values(), default=None)), ORANGE, width=2),
            _line("mean", axis.of(lambda s: round(sum(s.caps_w.values()) / len(s.caps_w)) if s.caps_w else None), BLUE, width=2),
            _line("lowest", axis.of(lambda s: min(s.caps_w.values(), default=None)), GREEN, width=2),
        ]
    if series:
        series[0]["markLine"] = axis.now_mark(look)
    return _chart(look, series, [_value_axis(look)])


def past(points: Mapping[str, Sequence[tuple[datetime, float | None]]], zone: ZoneInfo, now: datetime, *, dark: bool) -> dict[str, Any]:
    """What was measured; a gap is a gap."""
    look, shift = Look.of(dark=dark), _shift(zone, now)
    colours = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
    series = [
        _line(name, [[_ms(at, shift), None if value is None else round(value, 2)] for at, value in values], colours[i % 6], step=False)
        for i, (name, values) in enumerate(points.items())
    ]
    return _chart(look, series, [_value_axis(look) | {"scale": True}])


class _Axis:
    """The steps of a plan, and their times on the axis."""

    def __init__(self, plan: PlanCurrent | None, now: datetime, zone: ZoneInfo) -> None:
        self.steps = plan.steps if plan else ()
        self._shift, self._now = _shift(zone, now), now

    def of(self, value: Any) -> list[list[float | None]]:
        """A value of each step from its start on; the last one until its end."""
        found = [[_ms(step.time, self._shift), _rounded(value(step))] for step in self.steps]
        if self.steps:
            last = self.steps[-1]
            found.append([_ms(last.time + timedelta(hours=last.hours), self._shift), found[-1][1]])
        return found

    def now_mark(self, look: Look) -> dict[str, Any]:
        """A line where now is."""
        label = {"formatter": "now", "color": look.ink, "position": "end", "align": "left", "distance": 2}
        style = {"color": look.ink, "type": "solid", "width": 1}
        minute = self._now.replace(second=0, microsecond=0)
        where = [{"xAxis": _ms(minute, self._shift)}]
        return {"silent": True, "symbol": "none", "animation": False, "label": label, "lineStyle": style, "data": where}


def _shift(zone: ZoneInfo, now: datetime) -> timedelta:
    return now.astimezone(zone).utcoffset() or timedelta()


def _ms(instant: datetime, shift: timedelta) -> float:
    return (instant + shift).timestamp() * 1000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _line(name: str, data: Sequence[Any], colour: str, *, dashed: bool = False, width: float = 1.5, step: bool = True) -> dict[str, Any]:
    kind = "dashed" if dashed else "solid"
    found: dict[str, Any] = {
        "name": name, "type": "line", "data": data, "color": colour, "symbol": "none", "lineStyle": {"width": width, "type": kind},
        "emphasis": {"disabled": True},
    }  # fmt: skip
    return found | ({"step": "end"} if step else {"connectNulls": False})


def _area(name: str, data: Sequence[Any], colour: str) -> dict[str, Any]:
    return _line(name, data, colour, width=0.5) | {"stack": "use", "areaStyle": {"opacity": 0.55}}


def _value_axis(look: Look) -> dict[str, Any]:
    return {
        "type": "value", "axisLabel": {"color": look.ink, "fontSize": 11},
        "splitLine": {"lineStyle": {"color": look.line}},
    }  # fmt: skip


def _chart(look: Look, series: list[dict[str, Any]], value_axes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "useUTC": True,
        "animation": False,
        "textStyle": {"fontFamily": FONT, "color": look.ink},
        "grid": {"left": 8, "right": 28, "top": 52, "bottom": 8, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "left": 0, "textStyle": {"color": look.ink}, "itemWidth": 16, "itemHeight": 8, "icon": "roundRect"},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "time", "splitNumber": 5, "axisLabel": {"color": look.ink, "hideOverlap": True, "formatter": "{HH}:{mm}", "fontSize": 11},
            "axisLine": {"lineStyle": {"color": look.ink}}, "splitLine": {"show": False},
        },
        "yAxis": value_axes,
        "series": series,
    }  # fmt: skip
