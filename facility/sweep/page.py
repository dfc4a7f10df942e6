"""Page: a sweep as one self-contained HTML file: one chart, a line for each combination of the other keys, and the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from itertools import cycle
from typing import Any

from facility.report.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from facility.sweep.sweep import Swept
from facility.sweep.telling import said, short_columns, short_rows, value_of

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
DASHES = ("solid", "dash", "dot", "dashdot")
CLEAR = "rgba(0,0,0,0)"
SHOWN = {
    "energy_cost": "energy cost, {currency}",
    "saving_pct": "saving over the baseline, %",
    "peak_kw": "peak, kW",
    "carbon_kg": "carbon, kg",
    "limit_price_per_kw": "1 kW more of the import limit, {currency}",
    "breaches": "limits broken",
}
"""Figures that the chart can show, the first one at first."""

STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --ink: #1d2327; --soft: #5c666d; --rule: #d9dcde; --good: #00694d; }
@media (prefers-color-scheme: dark) { :root { --page: #14181b; --card: #1d2327; --ink: #e8eaec; --soft: #a3adb4; --rule: #39424a; --good: #4fd0a7; } }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--page); color: var(--ink); font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } p { margin: .25rem 0; overflow-wrap: anywhere; } .soft { color: var(--soft); }
label { display: block; margin-top: 1rem; }
select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule); padding: .2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin-top: .5rem; } th { text-align: left; color: var(--soft); font-weight: 500; }
td, th { padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid var(--rule); }
td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } tr.best td { color: var(--good); font-weight: 600; }
.js-plotly-plot .main-svg text { fill: var(--ink) !important; } .js-plotly-plot .gridlayer path { stroke: var(--rule) !important; }
.js-plotly-plot .hoverlayer :is(.bg, .hovertext path) { fill: var(--card) !important; stroke: var(--rule) !important; }
@media print { :root { color-scheme: light; --page: #fff; --ink: #000; } select { border: 0; appearance: none; } tr { break-inside: avoid; } }
"""
DRAW = """
const {lines, shown, layout} = JSON.parse(document.getElementById("sweep").textContent);
const chart = document.getElementById("chart"), choice = document.getElementById("figure");
const draw = () => Plotly.react(chart,
  lines.map(line => ({...line, y: line.figures[choice.value], figures: undefined})),
  {...layout, yaxis: {...layout.yaxis, title: {text: shown[choice.value]}}},
  {responsive: true, displaylogo: false, displayModeBar: false});
choice.addEventListener("change", draw);
draw();
"""


def page(swept: Swept) -> str:
    """The page as text; it asks nothing of the network."""
    from plotly.offline import get_plotlyjs

    site, request = swept.question.site, swept.question.request
    shown = {name: label.format(currency=site.currency) for name, label in SHOWN.items()}
    data = json.dumps({"lines": list(lines(swept)), "shown": shown, "layout": _layout(swept)}, allow_nan=False, separators=(",", ":"))
    options = "".join(f'<option value="{name}">{escape(label)}</option>' for name, label in shown.items())
    varied = " and ".join(axis.key for axis in swept.question.axes)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(site.name)}: {escape(varied)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(site.name)}: {escape(varied)}</h1>",
            f'<p class="soft">{len(swept.outcomes)} plans from {escape(str(request.start))}. A cross marks a plan that breaks a limit.</p>',
            f'<label>Shown <select id="figure">{options}</select></label>',
            '<div id="chart" role="img" aria-label="The chosen figure over the first varied key; the table below has the numbers"></div>',
            *(f"<p>{escape(sentence)}</p>" for sentence in said(swept)),
            f'<div class="wide"><table><tr>{"".join(f"<th>{escape(head)}</th>" for head in short_columns(swept))}</tr>',
            *_rows(swept),
            "</table></div>",
            f'<script type="application/json" id="sweep">{_inert(data)}</script>',
            f"<script>{get_plotlyjs()}</script><script>{DRAW}</script></body></html>\n",
        ]
    )


def lines(swept: Swept) -> Iterator[dict[str, Any]]:
    """A line for each combination of the keys after the first: a colour by the second key, a dash by the rest."""
    axes = swept.question.axes
    by_rest: dict[tuple[str, ...], list[int]] = {}
    for i, case in enumerate(swept.question.cases):
        by_rest.setdefault(case.values[1:], []).append(i)
    colour = dict(zip(axes[1].values, cycle(COLOURS)) if len(axes) > 1 else ())
    dash = dict(zip(dict.fromkeys(rest[1:] for rest in by_rest), cycle(DASHES)))
    for rest, places in by_rest.items():
        told = [swept.outcomes[i] for i in places]
        broken = [bool(each.figures.get("breaches")) for each in told]
        drawn = colour[rest[0]] if rest else BLUE
        yield {
            "type": "scatter",
            "mode": "lines+markers",
            "name": escape(", ".join(f"{axis.key.rpartition('.')[2]} {value}" for axis, value in zip(axes[1:], rest, strict=True)), quote=False),
            "x": [value_of(swept.question.cases[i].values[0]) for i in places],
            "figures": {name: [each.figures.get(name) for each in told] for name in SHOWN},
            "line": {"color": drawn, "dash": dash[rest[1:]]},
            "marker": {"size": 8, "symbol": ["x" if each else "circle" for each in broken]},
        }


def _layout(swept: Swept) -> dict[str, Any]:
    first = swept.question.axes[0]
    numeric = all(isinstance(value_of(value), int | float) and not isinstance(value_of(value), bool) for value in first.values)
    grid = {"gridcolor": GREY, "zeroline": False, "automargin": True}
    return {
        "height": 420,
        "margin": {"l": 64, "r": 14, "t": 32, "b": 48},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hovermode": "closest",
        "showlegend": len(swept.question.axes) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": grid | {"title": {"text": escape(first.key, quote=False)}, "type": "linear" if numeric else "category"},
        "yaxis": grid | {"hoverformat": ",.6~g"},
    }


def _rows(swept: Swept) -> Iterator[str]:
    for i, row in enumerate(short_rows(swept)):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        yield f"<tr{' class=best' if i == swept.best else ''}>{cells}</tr>"


def _inert(text: str) -> str:
    """JSON that cannot end the script it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
