"""Panel: one chart as Plotly's data and layout: traces over one or more rows that share the horizontal axis.

Time runs in minutes since the start, so that the night of 25 hours has all of them; the ticks tell the local clock. Traces over time
lack their `x`: the page holds the edges of the steps once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facility.report.charts.ink import BLUE, CLEAR, GREY, RED, RULE, SOFT
from facility.report.local_clock import Clock
from models.horizon import Floats

Trace = dict[str, Any]
BETWEEN = 0.07


@dataclass(frozen=True)
class Row:
    """A vertical axis: its title, its part of the chart's height, and what else Plotly is told of it."""

    title: str
    part: float = 1.0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """One chart: an anchor, a heading, a sentence under it, height (px), traces and rows from the top down.

    `over_time` says that the horizontal axis is the time of the page's clock; `layout` is what else Plotly is told.
    """

    key: str
    title: str
    note: str
    height_px: int
    traces: Sequence[Trace]
    rows: Sequence[Row]
    over_time: bool = True
    layout: dict[str, Any] = field(default_factory=dict)


def figure(panel: Panel, clock: Clock | None) -> dict[str, Any]:
    """What the page's script draws; a panel over time needs the `clock`."""
    x: dict[str, Any] = {"gridcolor": RULE, "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": CLEAR}
    if panel.over_time:
        if clock is None:
            raise ValueError(f"panel {panel.key!r} is over time, and there is no clock")
        at, text = clock.ticks()
        units = " · ".join(row.title for row in panel.rows)
        x |= {"tickvals": at, "ticktext": text, "tickangle": 0, "range": [0, clock.minutes[-1]], "unifiedhovertitle": {"text": units}}
        if len(panel.rows) > 1:
            x["anchor"] = f"y{len(panel.rows)}"
    layout: dict[str, Any] = {
        "height": panel.height_px,
        "margin": {"l": 60, "r": 14, "t": 32, "b": 40},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hovermode": "x unified" if panel.over_time else "closest",
        "hoversubplots": "axis",
        "showlegend": sum(trace.get("showlegend", True) for trace in panel.traces) > 1,
        "modebar": {"bgcolor": CLEAR, "color": SOFT, "activecolor": BLUE},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"},
        "hoverlabel": {"namelength": -1},
        "xaxis": x,
    }
    for axis, row, domain in zip(axes(panel.rows), panel.rows, _domains(panel.rows), strict=True):
        grid = {"gridcolor": RULE, "zeroline": True, "zerolinecolor": GREY, "automargin": True, "domain": domain}
        layout[axis] = grid | {"title": {"text": row.title, "standoff": 8}} | row.more
    return {"data": list(panel.traces), "layout": layout | panel.layout, "over_time": panel.over_time}


def axes(rows: Sequence[Row]) -> list[str]:
    """Plotly's names of the vertical axes of `rows`."""
    return [f"yaxis{i + 1 if i else ''}" for i in range(len(rows))]


def _domains(rows: Sequence[Row]) -> Iterable[list[float]]:
    whole, top = sum(row.part for row in rows), 1.0
    for row in rows:
        height = (1 - BETWEEN * (len(rows) - 1)) * row.part / whole
        yield [round(max(top - height, 0.0), 4), round(top, 4)]
        top -= height + BETWEEN


def line(name: str, values: Floats, color: str, row: int = 0, **style: Any) -> Trace:
    """A line of T values that holds each to the end of its step, on row `row`."""
    drawn = short([*values.tolist(), float(values[-1])])
    trace = {"type": "scatter", "mode": "lines", "name": name, "y": drawn, "line": {"shape": "hv", "color": color, **style}}
    return trace | on(row)


def curve(name: str, at_edges: Floats, color: str, row: int = 0, **style: Any) -> Trace:
    """A line through T + 1 values, one for each edge of the steps."""
    trace = {"type": "scatter", "mode": "lines", "name": name, "y": short(at_edges.tolist()), "line": {"color": color, **style}}
    return trace | on(row)


def area(name: str, values: Floats, color: str, stack: str, row: int = 0) -> Trace:
    """A layer of T values in a stack, each held to the end of its step."""
    return line(name, values, color, row, width=0) | {"stackgroup": stack, "fillcolor": color}


def on(row: int) -> dict[str, str]:
    """Which vertical axis a trace of row `row` hangs on."""
    return {"yaxis": f"y{row + 1}"} if row else {}


def broken(spans: Iterable[tuple[float, float]]) -> list[dict[str, Any]]:
    """Bands over the times (minutes) at which a limit is broken."""
    style = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": RED, "opacity": 0.22, "line": {"width": 0}}
    return [{"x0": begins, "x1": ends, **style} for begins, ends in spans]


def short(values: Sequence[float]) -> list[float | None]:
    """Numbers as the page carries them: three decimals, None for one that is not there."""
    return [None if np.isnan(value) else round(value, 3) + 0.0 for value in values]
