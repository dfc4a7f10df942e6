"""Page: the answer as one self-contained HTML file - GPUs by what is agreed, room through the year, when the site is short, and the tables."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from facility.capacity.answer import Answer
from facility.capacity.telling import COLUMNS, place_rows, said, short_rows
from facility.report.charts.ink import BLUE, CLEAR, GREEN, IN_TURN, RULE
from facility.report.charts.panel import Panel, Row, Trace, short
from facility.report.page.parts import Chart, Part, Table, paragraph
from facility.report.page.write import write_page

HEIGHT_PX = 340
FROM_NONE = Row("GPUs", more={"rangemode": "tozero"})
SHADES = ((0.0, "#f3f1e7"), (0.5, "#e69f00"), (1.0, "#b3420e"))


def write(told: Answer, path: Path) -> None:
    """Write the page of an answer to `path`."""
    span, place = told.question.span, told.place
    head = f"<h1>{escape(span.site.name)}: room for more GPUs</h1>"
    dates = " to ".join(f"{at.astimezone(span.zone):%Y-%m-%d}" for at in (span.start, span.end))
    head += paragraph(f"{place.gpu_model} doing {place.curve}, {place.words}, {dates}")
    head += "".join(paragraph(each.strip(), "") for each in said(told))
    numeric = tuple(range(len(COLUMNS)))
    places = list(place_rows(told))
    heads = ["pool", "model", *(f"{pct:g} % slower" for pct in told.question.slower_pct)]
    assumed = Table("assumed", "What is assumed", ["assumed"], [[each] for each in told.question.assumed])
    parts: list[Part] = [
        Chart(_over_flexibility(told)),
        Chart(_through_the_year(told)),
        Chart(_when_short(told)),
        Table("levels", "By what is agreed", list(COLUMNS), list(short_rows(told)), numeric),
        Table("places", "Every place", heads, places, tuple(range(2, len(heads)))),
        assumed,
    ]
    write_page(path, f"{span.site.name}: room for more GPUs", head, parts)


def _over_flexibility(told: Answer) -> Panel:
    """GPUs over how much slower they may run."""
    x = [level.slower_pct for level in told.levels]
    rows = (
        ("present rentals as agreed", [level.agreed.gpus for level in told.levels], BLUE, "solid"),
        ("present rentals at full speed", [level.untouched.gpus for level in told.levels], GREEN, "dash"),
    )
    traces = [
        {"type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y, "line": {"color": color, "dash": dash}}
        for name, y, color, dash in rows
    ]
    note = "How many GPUs fit in every hour, over how much slower they agree to run."
    return Panel("flexibility", "GPUs by flexibility", note, HEIGHT_PX, traces, [FROM_NONE], over_time=False, layout=_across("slower at most, %"))


def _through_the_year(told: Answer) -> Panel:
    """What the tightest hour of each local day takes."""
    dates, first = _days(told)
    traces = [
        {
            "type": "scatter", "mode": "lines", "name": f"{level.slower_pct:g} % slower", "x": dates, "line": {"color": color, "width": 1.5},
            "y": short(np.where(np.isfinite(lowest := np.minimum.reduceat(level.agreed.reach.most, first)), lowest, np.nan).tolist()),
        }
        for level, color in zip(told.levels, IN_TURN * (1 + len(told.levels) // len(IN_TURN)), strict=False)
    ]  # fmt: skip
    note = "What the tightest hour of each day takes; the lowest point of a line is the number that fits."
    return Panel("year", "Room day by day", note, HEIGHT_PX, traces, [FROM_NONE], over_time=False, layout=_across(None) | {"showlegend": True})


def _when_short(told: Answer) -> Panel:
    """Hours in which somebody is slowed, by month and hour of the day, for the most flexible GPUs."""
    level = max(told.levels, key=lambda each: each.agreed.gpus)
    counts = np.zeros((24, 12), int)
    for t in np.flatnonzero(told.best.free.most < level.agreed.gpus - 1e-6).tolist():
        local = told.at(t).astimezone(told.question.span.zone)
        counts[local.hour, local.month - 1] += 1
    trace: Trace = {
        "type": "heatmap", "z": counts.tolist(), "x": list(range(1, 13)), "y": list(range(24)), "zmin": 0,
        "colorscale": [list(each) for each in SHADES],
        "colorbar": {"title": {"text": "hours"}, "outlinewidth": 0}, "hovertemplate": "month %{x}, %{y}:00: %{z} hours<extra></extra>",
    }  # fmt: skip
    note = f"Hours in which somebody is slowed with {level.agreed.gpus:,} GPUs more, by local month and hour of the day."
    layout = _across("month") | {"showlegend": False}
    return Panel("short", "When the site is short", note, HEIGHT_PX + 60, [trace], [Row("hour of the day")], over_time=False, layout=layout)


def _days(told: Answer) -> tuple[list[str], list[int]]:
    """The local days of the span, and the first hour of each."""
    dates: dict[str, int] = {}
    for t, date in enumerate(_dates(told)):
        dates.setdefault(date, t)
    return list(dates), list(dates.values())


def _dates(told: Answer) -> Iterator[str]:
    zone = told.question.span.zone
    return (f"{at.astimezone(zone):%Y-%m-%d}" for at in told.question.span.edges[:-1])


def _across(title: str | None) -> dict[str, Any]:
    """The horizontal axis."""
    axis = {"gridcolor": RULE, "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": CLEAR}
    return {"xaxis": axis | ({"title": {"text": title}} if title else {}), "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}}
