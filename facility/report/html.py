"""Report: a plan as one self-contained HTML file, to look at, zoom, print and pass on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from facility.planner import Planned
from facility.report.broken import BROKEN
from facility.report.charts.jobs import columns
from facility.report.charts.planned import Charts
from facility.report.page.parts import Chart, Jobs, Numbers, Part, Table, paragraph
from facility.report.page.write import write_page
from facility.report.summary import short_table
from facility.report.tables import plan_columns, plan_rows

MOST_BREACHES = 200
SMALLEST_WORTH = 0.005
BASELINE = "The baseline is the same site without control: everything at once at the highest cap."


def write_report(planned: Planned, numbers: dict[str, Any], path: Path) -> None:
    """Write the page of `planned` to `path`; `numbers` is its summary."""
    zone = ZoneInfo(planned.site.timezone)
    charts = Charts(planned, numbers["breaches"])
    parts: list[Part] = [
        *_breaches(numbers["breaches"], zone),
        Table("summary", "The plan beside its baseline", ("", "plan", "baseline"), short_table(planned), (1, 2), BASELINE),
        *(Chart(panel) for panel in charts.panels()),
        *_jobs(planned, charts, numbers["currency"]),
        *_worth(numbers),
        _steps(planned),
        *_assumed(numbers["assumed"]),
        _solved(numbers["solve"]),
    ]
    title = f"{planned.site.name}, {planned.edges[0].astimezone(zone):%Y-%m-%d}"
    write_page(path, title, _head(planned, numbers, zone), parts, charts.clock)


def _head(planned: Planned, numbers: dict[str, Any], zone: ZoneInfo) -> str:
    start, end = (edge.astimezone(zone) for edge in (planned.edges[0], planned.edges[-1]))
    hours = (planned.edges[-1] - planned.edges[0]) / timedelta(hours=1)
    span = f"{start:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M}, {planned.site.timezone}"
    said = paragraph(f"{span} ({hours:g} h in {len(planned.edges) - 1} steps)")
    status = paragraph(_status(numbers), f"status {'bad' if numbers['breaches'] else 'good'}")
    return f"<h1>{escape(planned.site.name)}</h1>{said}{status}"


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


def _breaches(breaches: Sequence[dict[str, Any]], zone: ZoneInfo) -> Iterator[Table]:
    if not breaches:
        return
    rows = [
        (
            BROKEN.get(breach["family"], breach["family"]),
            breach["asset"],
            _local(breach["from"], zone),
            _local(breach["to"], zone),
            f"{breach['amount']:,.3f} {breach['unit']}",
            breach["cause"] or "",
            breach["remedy"],
        )
        for breach in breaches[:MOST_BREACHES]
    ]
    more = len(breaches) - len(rows)
    note = f"{more} more stand{'s' if more == 1 else ''} in summary.json." if more else ""
    head = ("what", "where", "from", "to", "by", "because of", "remedy")
    yield Table("breaches", "What is broken, and what would mend it", head, rows, (4,), note, stacked=True)


def _jobs(planned: Planned, charts: Charts, currency: str) -> Iterator[Jobs]:
    bars = list(charts.jobs())
    if bars:
        out = len(planned.left_out)
        note = f"{out:,} more of the file are outside this plan; jobs.csv says why." if out else ""
        yield Jobs(columns(bars, charts.colors, currency), note)


def _worth(numbers: dict[str, Any]) -> Iterator[Table]:
    """Limits that bind, the dearest first."""
    prices = [price for price in numbers["marginal_prices_by_step"] if price["saved"] >= SMALLEST_WORTH]
    rows = [(price["says"], str(sum(saved > 0 for saved in price["saved_by_step"]))) for price in prices]
    if rows:
        yield Table("worth", "What more of each limit would be worth", ("limit", "binds in steps"), rows, (1,))


def _steps(planned: Planned) -> Numbers:
    names = plan_columns(planned)[1:]
    by_column = dict(zip(names, zip(*(row[1:] for row in plan_rows(planned)), strict=True), strict=True))
    shown = {name: [None if value is None else float(value) for value in values] for name, values in by_column.items()}
    digits = {name: 2 for name in names if name.startswith("price") or name == "hours"}
    return Numbers(shown, "The columns of plan.csv, which has them unrounded.", digits=digits)


def _assumed(assumed: Sequence[str]) -> Iterator[Table]:
    if assumed:
        parts = (said.partition(":") for said in assumed)
        rows = [(about, rest.strip()) for about, _, rest in parts]
        yield Table("assumed", "What was assumed", ("about", "assumption"), rows)


def _solved(solve: dict[str, Any]) -> Table:
    rows = [
        ("columns", f"{solve['columns']:,}"),
        ("rows", f"{solve['rows']:,}"),
        ("built in", f"{solve['build_s']:.2f} s"),
        ("solved in", f"{solve['solve_s']:.2f} s"),
        ("rounding to what can be sent moved the objective by", f"{100 * solve['gap']:.3f} %"),
    ]
    return Table("solved", "How it was solved", ("linear program", ""), rows, (1,))


def _local(instant: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(zone):%a %d %b %H:%M}"
