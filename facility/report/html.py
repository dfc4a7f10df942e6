"""Page: a plan as one self-contained HTML file, to look at, zoom and pass on; it asks nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from facility.planner import Planned
from facility.report.charts import Charts
from facility.report.summary import short_table

BROKEN = {
    "over_rating_kw": "feeder above its rating",
    "over_worst_kw": "sum of caps above the feeder's rating",
    "over_n1_kw": "more than the group carries without its largest feeder",
    "over_worst_n1_kw": "sum of caps above what the group carries without its largest feeder",
    "short_ride_through_kwh": "battery too empty to ride through",
    "stopped_early_h": "genset stopped before its least run",
    "cut_short_gpu_h": "job stopped before its minimum run",
    "too_hot_k": "hall above its allowable temperature",
    "uncooled_kw": "heat of chips that the warm water does not take",
    "over_limit_kw": "import above the limit",
    "over_feed_kw": "import through a feed above its limit",
    "over_export_kw": "export above the limit",
    "over_event_kw": "import above the target of a grid event",
    "over_ramp_kw": "import changes faster than the ramp",
    "short_reserve_kw": "reserve that was sold and is not there",
    "short_gpu_h": "rental below its floor",
    "unfinished_gpu_h": "job unfinished at its deadline",
    "over_budget_h": "more slow hours than the contract grants",
    "unserviced_gpu_h": "maintenance that finds no window",
    "over_carbon_kg": "emissions above the cap",
}

STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --ink: #1d2327; --soft: #5c666d; --rule: #d9dcde; --bad: #a63c00;
  --good: #00694d; }
@media (prefers-color-scheme: dark) { :root { --page: #14181b; --card: #1d2327; --ink: #e8eaec; --soft: #a3adb4; --rule: #39424a;
  --bad: #ff9d5c; --good: #4fd0a7; } }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--page); color: var(--ink);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0; }
p { margin: .25rem 0; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.status { font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin-top: .5rem; } th { text-align: left; color: var(--soft); font-weight: 500; }
td, th { padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.js-plotly-plot .main-svg text { fill: var(--ink) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path { stroke: var(--rule) !important; }
.js-plotly-plot .hoverlayer :is(.bg, .hovertext path, .hovertext rect) { fill: var(--card) !important;
  stroke: var(--rule) !important; }
"""

DRAW = """
const drawn = [];
const narrow = innerWidth < 600;
const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
const options = {responsive: true, displaylogo: false, displayModeBar: !narrow, modeBarButtons: buttons};
let following = false;
const {minutes, said, figures} = JSON.parse(document.getElementById("plan").textContent);
figures.forEach((figure, i) => {
  for (const trace of figure.data) {
    if (trace.type === "bar") continue;
    trace.x = minutes;
    trace.customdata = trace.z ? trace.z.map(() => said) : said;
  }
  const chart = document.getElementById("chart-" + i);
  if (figure.layout.hovermode === "x unified")
    figure.data.unshift({...figure.data[0], ...{stackgroup: undefined, showlegend: false, line: {width: 0, shape: "hv"},
      hovertemplate: "%{customdata}<extra></extra>"}});
  const axis = figure.layout.xaxis;
  if (narrow) ["tickvals", "ticktext"].forEach(key => axis[key] = axis[key].filter((_, n) => n % 2 === 0));
  if (matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false;
  Plotly.newPlot(chart, figure.data, figure.layout, options);
  drawn.push(chart);
  chart.on("plotly_relayout", async change => {
    if (following || !Object.keys(change).some(key => key.startsWith("xaxis."))) return;
    following = true;
    const range = chart.layout.xaxis.range.slice();
    const others = drawn.filter(other => other !== chart);
    await Promise.all(others.map(other => Plotly.relayout(other, {"xaxis.range": range.slice()})));
    following = false;
  });
});
"""


def write_report(planned: Planned, numbers: dict[str, Any], path: Path) -> None:
    """Write the page of `planned` to `path`; `numbers` is its summary."""
    from plotly.offline import get_plotlyjs

    zone = ZoneInfo(planned.site.timezone)
    charts = Charts(planned)
    panels = list(charts.panels())
    data = json.dumps(charts.data(panels), allow_nan=False, separators=(",", ":"))
    title = f"{planned.site.name}, {planned.edges[0].astimezone(zone):%Y-%m-%d}"
    page = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        *_head(planned, numbers, zone),
        *_breaches(numbers["breaches"], zone),
        *(_chart(i, panel.title, panel.note) for i, panel in enumerate(panels)),
        *_assumed(numbers["assumed"]),
        _solved(numbers["solve"]),
        f'<script type="application/json" id="plan">{_inert(data)}</script>',
        f"<script>{get_plotlyjs()}</script><script>{DRAW}</script></body></html>\n",
    ]
    path.write_text("\n".join(page), encoding="utf-8")


def _head(planned: Planned, numbers: dict[str, Any], zone: ZoneInfo) -> Iterable[str]:
    start, end = (edge.astimezone(zone) for edge in (planned.edges[0], planned.edges[-1]))
    hours = (planned.edges[-1] - planned.edges[0]) / timedelta(hours=1)
    span = f"{start:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M}, {escape(planned.site.timezone)}"
    yield f"<h1>{escape(planned.site.name)}</h1>"
    yield f'<p class="soft">{span} ({hours:g} h in {len(planned.edges) - 1} steps)</p>'
    yield f'<p class="status {"bad" if numbers["breaches"] else "good"}">{_status(numbers)}</p>'
    yield _table(("", "plan", "baseline"), short_table(planned), numeric=(1, 2))
    yield '<p class="soft">The baseline is the same site without control: everything at once at the highest cap.</p>'


def _status(numbers: dict[str, Any]) -> str:
    count, saving = len(numbers["breaches"]), numbers["saving_pct"]
    said = {
        "optimal": "Every limit holds.",
        "breached": f"{count} limit{' is' if count == 1 else 's are'} broken.",
        "rounded_worse": "Every limit holds; rounding to what can be sent costs more than 1 % of the objective.",
    }[numbers["status"]]
    if saving is None:
        return said
    apart = ", fuel apart" if numbers["costs"].get("fuel") else ""
    return f"{said} Energy costs {abs(saving):.1f} % {'less' if saving >= 0 else 'more'} than the baseline's{apart}."


def _breaches(breaches: Sequence[dict[str, Any]], zone: ZoneInfo) -> Iterable[str]:
    if not breaches:
        return
    rows = [
        (
            BROKEN.get(breach["family"], breach["family"]),
            breach["asset"],
            _local(breach["from"], zone),
            _local(breach["to"], zone),
            f"{breach['amount']:,.3f} {breach['unit']}",
            breach["remedy"],
        )
        for breach in breaches
    ]
    yield "<h2>What is broken, and what would mend it</h2>"
    yield _table(("what", "where", "from", "to", "by", "remedy"), rows, numeric=(4,))


def _chart(i: int, title: str, note: str) -> str:
    said = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f'<h2>{escape(title)}</h2>{said}<div id="chart-{i}"></div>'


def _assumed(assumed: Sequence[str]) -> Iterable[str]:
    if assumed:
        yield "<h2>What was assumed, for nobody told</h2>"
        parts = (said.partition(":") for said in assumed)
        yield _table(("about", "assumption"), [(about, rest.strip()) for about, _, rest in parts])


def _solved(solve: dict[str, Any]) -> str:
    return (
        f'<p class="soft">A linear program of {solve["columns"]:,} columns and {solve["rows"]:,} rows, '
        f"built in {solve['build_s']:.2f} s and solved in {solve['solve_s']:.2f} s; "
        f"rounding to what can be sent moved the objective by {100 * solve['gap']:.3f} %.</p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        made = (f"<{tag}{' class=number' if i in numeric else ''}>{escape(cell)}</{tag}>" for i, cell in enumerate(cells))
        return f"<tr>{''.join(made)}</tr>"

    return f'<div class="wide"><table>{line("th", head)}{"".join(line("td", row) for row in rows)}</table></div>'


def _local(instant: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(zone):%a %d %b %H:%M}"


def _inert(text: str) -> str:
    """JSON that cannot end the script it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
