"""Page: a sweep as one self-contained HTML file: one chart over the first varied key, a line for each combination of the others, and the table."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import cycle
from pathlib import Path
from typing import Any

from facility.report.charts.ink import BLUE, CLEAR, IN_TURN, RULE, label
from facility.report.charts.panel import Panel, Row, Trace, axes, on
from facility.report.page.parts import Chart, Table, paragraph
from facility.report.page.write import write_page
from facility.sweep.sweep import Swept
from facility.sweep.telling import said, short_columns, short_rows, value_of

DASHES = ("solid", "dash", "dot", "dashdot")
SHOWN = {
    "energy_cost": ("energy cost, {currency}", 2.0),
    "peak_kw": ("peak, kW", 1.0),
    "limit_price_per_kw": ("1 kW of limit, {currency}", 1.0),
}
"""Figures of the chart, each a row with its title and its part of the height."""
HEIGHT_PX, LEGEND_PX = 560, 10


def write(swept: Swept, path: Path) -> None:
    """Write the page of a sweep to `path`."""
    site, axes_ = swept.question.site, swept.question.axes
    varied = " and ".join(axis.key for axis in axes_)
    broken = sum(bool(told.figures.get("breaches")) for told in swept.outcomes)
    head = f"<h1>{escape(site.name)}: {escape(varied)}</h1>"
    head += paragraph(f"{len(swept.outcomes)} plans from {swept.question.request.start}")
    head += paragraph(f"{broken} of them break limits." if broken else "", "status bad") + "".join(paragraph(each, "") for each in said(swept))
    columns = short_columns(swept)
    table = Table("plans", "Every plan", columns, list(short_rows(swept)), tuple(range(len(axes_), len(columns))))
    write_page(path, f"{site.name}: {varied}", head, [Chart(panel(swept)), table])


def panel(swept: Swept) -> Panel:
    """The chart."""
    first, currency = swept.question.axes[0], swept.question.site.currency
    numeric = all(isinstance(value_of(value), int | float) and not isinstance(value_of(value), bool) for value in first.values)
    rows = [Row(title.format(currency=currency), part, {"hoverformat": ",.6~g"}) for title, part in SHOWN.values()]
    across = {"title": {"text": label(first.key, full=True)}, "type": "linear" if numeric else "category", "anchor": f"y{len(axes(rows))}"}
    layout = {
        "xaxis": across | {"gridcolor": RULE, "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": CLEAR},
        "showlegend": len(swept.question.axes) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    traces = [trace for i, name in enumerate(SHOWN) for trace in lines(swept, name, i)]
    note = "A cross marks a plan that breaks a limit; where there is no plan there is no point."
    height_px = HEIGHT_PX + LEGEND_PX * (len(traces) // len(SHOWN))
    return Panel("figures", f"Over {first.key}", note, height_px, traces, rows, over_time=False, layout=layout)


def lines(swept: Swept, figure: str, row: int) -> Iterator[Trace]:
    """A line for each combination of the keys after the first: a colour by the second key, a dash by the rest."""
    axes_ = swept.question.axes
    by_rest: dict[tuple[str, ...], list[int]] = {}
    for i, case in enumerate(swept.question.cases):
        by_rest.setdefault(case.values[1:], []).append(i)
    colour = dict(zip(axes_[1].values, cycle(IN_TURN)) if len(axes_) > 1 else ())
    dash = dict(zip(dict.fromkeys(rest[1:] for rest in by_rest), cycle(DASHES)))
    for rest, places in by_rest.items():
        told = [swept.outcomes[i] for i in places]
        name = ", ".join(f"{axis.key.rpartition('.')[2]} {value}" for axis, value in zip(axes_[1:], rest, strict=True))
        x: list[Any] = [value_of(swept.question.cases[i].values[0]) for i in places]
        yield {
            "type": "scatter",
            "mode": "lines+markers",
            "name": label(name, full=True),
            "legendgroup": name,
            "showlegend": row == 0,
            "x": x,
            "y": [each.figures.get(figure) for each in told],
            "line": {"color": colour[rest[0]] if rest else BLUE, "dash": dash[rest[1:]]},
            "marker": {"size": 8, "symbol": ["x" if each.figures.get("breaches") else "circle" for each in told]},
        } | on(row)
