"""Page: a span as one self-contained HTML file, to look at, print and file."""

from __future__ import annotations

from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

from facility.report.month.charts import Hours
from facility.report.month.gather import Told
from facility.report.month.tables import Rows, number, tables
from facility.report.page.parts import Chart, Part, Table, paragraph
from facility.report.page.write import write_page


def write_report(told: Told, path: Path) -> None:
    """Write the page of a span to `path`."""
    hours = Hours(told)
    rows = list(tables(told))
    parts: list[Part] = [_table(rows[0]), *(Chart(panel) for panel in hours.panels()), *(_table(each) for each in rows[1:])]
    parts += [Table("assumed", "What was assumed", ("about", "assumption"), [_assumed(each) for each in told.assumed])] if told.assumed else []
    write_page(path, f"{told.site.name}, {told.span.name}", _head(told), parts, hours.clock)


def _table(rows: Rows) -> Table:
    return Table(rows.key, rows.title, rows.head, rows.rows, rows.numeric, rows.note)


def _assumed(said: str) -> tuple[str, str]:
    about, _, rest = said.partition(":")
    return about, rest.strip()


def _head(told: Told) -> str:
    zone, span = ZoneInfo(told.site.timezone), told.span
    start, until = (at.astimezone(zone) for at in (span.start, span.until))
    said = paragraph(f"{span.name}: {start:%a %d %b %Y %H:%M} to {until:%a %d %b %Y %H:%M}, {told.site.timezone}")
    status = "status bad" if told.interim else "status good"
    whole = paragraph("Interim: " + "; ".join(told.interim) + "." if told.interim else "Whole: every quarter of an hour was measured.", status)
    cost = "" if told.energy_cost is None else f"energy at its price {number(told.energy_cost, 2)} {told.site.currency}, fees and peaks apart; "
    return f"<h1>{escape(told.site.name)}</h1>{said}{whole}{paragraph(f'{cost}highest quarter of an hour {number(told.peak_kw)} kW')}"
