"""Parts of a page: what stands under a heading. Each is HTML, and may hand numbers to the page's script.

Whatever comes from a file is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Protocol

from facility.report.charts.panel import Panel, Row, figure
from facility.report.local_clock import Clock


class Part(Protocol):
    """Something under a heading; `key` is its anchor, letters and hyphens."""

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def title(self) -> str: ...  # noqa: D102

    def html(self) -> str:
        """What stands under the heading."""
        ...

    def data(self, clock: Clock | None) -> dict[str, Any]:
        """What the script is told of it, by what kind of thing it is; nothing for most."""
        ...


@dataclass(frozen=True)
class Table:
    """Rows of text under `head`; the columns in `numeric` are numbers, already written."""

    key: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    note: str = ""
    stacked: bool = False
    """Whether each row becomes lines of its own on a narrow screen; otherwise what is too wide scrolls by itself."""

    def html(self) -> str:
        """The note and the table."""
        head = "".join(f'<th scope="col"{self._kind(i)}>{escape(cell)}</th>' for i, cell in enumerate(self.head))
        body = "".join(f"<tr>{''.join(self._cell(i, cell) for i, cell in enumerate(row))}</tr>" for row in self.rows)
        made = f"<table{' class=stacked' if self.stacked else ''}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'{paragraph(self.note)}<div class="wide" tabindex="0" role="region" aria-labelledby="{self.key}-title">{made}</div>'

    def data(self, clock: Clock | None) -> dict[str, Any]:  # noqa: ARG002
        """Nothing."""
        return {}

    def _cell(self, i: int, text: str) -> str:
        """One cell; the first of a row is its heading."""
        tag, opened = ("td", "td") if i else ("th", 'th scope="row"')
        return f'<{opened}{self._kind(i)} data-head="{escape(self.head[i])}">{escape(text)}</{tag}>'

    def _kind(self, i: int) -> str:
        return " class=number" if i in self.numeric else ""


@dataclass(frozen=True)
class Chart:
    """A panel, which the script draws."""

    panel: Panel

    @property
    def key(self) -> str:
        """The panel's."""
        return self.panel.key

    @property
    def title(self) -> str:
        """The panel's."""
        return self.panel.title

    def html(self) -> str:
        """A place of the chart's height, and its sentence."""
        key, height = self.panel.key, self.panel.height_px
        place = f'<div class="chart" id="chart-{key}" role="img" style="min-height:{height}px" aria-labelledby="{key}-title {key}-note"></div>'
        return f'<p class="soft" id="{key}-note">{escape(self.panel.note)}</p>{place}'

    def data(self, clock: Clock | None) -> dict[str, Any]:
        """Its figure."""
        return {"figures": {self.key: figure(self.panel, clock)}}


@dataclass(frozen=True)
class Jobs:
    """Jobs as bars and as a table, a page of them at a time, found by words and put in order; `columns` as `charts.jobs` makes them."""

    columns: dict[str, Any]
    note: str = ""
    key: str = "jobs"
    title: str = "Jobs"

    def html(self) -> str:
        """Controls, a place for the bars, and the table of the same jobs."""
        template = Template((files("facility.report.page") / "jobs.html").read_text(encoding="utf-8"))
        return paragraph(self.note) + template.substitute(currency=escape(self.columns["currency"]))

    def data(self, clock: Clock | None) -> dict[str, Any]:
        """The columns, and the layout of the bars without their rows."""
        rows = {"showgrid": False, "zeroline": False, "tickfont": {"size": 10}}
        apart = {"barmode": "overlay", "hovermode": "closest", "showlegend": True}
        bars = Panel(self.key, self.title, self.note, 0, (), [Row("", more=rows)], layout=apart)
        return {"jobs": self.columns | {"layout": figure(bars, clock)["layout"]}}


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers by step, a table that opens on demand; `columns` by heading, T values each, None where there is none."""

    columns: Mapping[str, Sequence[float | None]]
    note: str = ""
    key: str = "numbers"
    title: str = "Numbers by step"
    digits: dict[str, int] = field(default_factory=dict)
    """Decimals by heading, 1 where nothing is said."""

    def html(self) -> str:
        """A heading that opens."""
        place = f'<div class="wide tall" tabindex="0" role="region" aria-label="{escape(self.title)}"><table id="{self.key}-table"></table></div>'
        return f'{paragraph(self.note)}<details id="{self.key}-details"><summary>Show the table</summary>{place}</details>'

    def data(self, clock: Clock | None) -> dict[str, Any]:  # noqa: ARG002
        """The columns, rounded as they are shown."""
        digits = {name: self.digits.get(name, 1) for name in self.columns}
        shown = {
            name: [None if value is None else round(value, digits[name]) + 0.0 for value in values] for name, values in self.columns.items()
        }
        return {"numbers": {self.key: {"columns": shown, "digits": digits}}}


def paragraph(text: str, kind: str = "soft") -> str:
    """A paragraph, or nothing."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""
