"""Listing: a table of many rows. Search, order and page are made here; the browser has the page that it shows, and new cells of it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from facility.console.model.rows import Row
from facility.console.model.table import Query, look

FEW: Final = 5
"""Rows among which nobody searches."""
OPENS: Final = """
<q-td :props="props"><button class="link" :style="{marginLeft: 18 * (props.row.depth || 0) + 'px'}" :data-about="props.row.about"
  @click="() => $parent.$emit('open', props.row)">{{ props.value }}</button></q-td>"""
SHARE: Final = """
<q-td :props="props"><span v-if="props.value !== null" class="bar" :class="{over: props.value > 100, near: props.value > 95 && props.value <= 100}"
  role="img" :aria-label="props.value + ' %'" :title="props.value + ' %'"><i :style="{width: Math.min(props.value, 100) + '%'}"></i></span></q-td>"""
LEVEL: Final = SHARE.replace(':class="{over: props.value > 100, near: props.value > 95 && props.value <= 100}"\n  ', "")
STATE: Final = """<q-td :props="props"><span class="state" :class="props.value">{{ props.value }}</span></q-td>"""
ACT: Final = """
<q-td :props="props"><button class="link" :data-act="props.row.id" @click="() => $parent.$emit('act', props.row)">{{ props.value }}</button></q-td>"""


@dataclass(frozen=True)
class Column:
    """A column: its name in `Row.shown`, what stands above it, how it looks: text, num, share (the nearer to 100 % the worse), level, state,
    opens or act. `hide`: `wide` is left out on narrow pages, `mid` on phones.
    """

    name: str
    label: str
    kind: str = "text"
    hide: str = ""


class Listing:
    """A table with a field to search in. `on_open` and `on_act` are given the row whose button was pressed."""

    def __init__(
        self,
        columns: Sequence[Column],
        noun: str,
        on_open: Callable[[dict[str, Any]], Any] | None = None,
        on_act: Callable[[dict[str, Any]], Any] | None = None,
        *,
        size: int = 25,
    ) -> None:
        self._columns, self._query = columns, Query(size=size)
        self._rows: tuple[Row, ...] = ()
        self._drawn: tuple[list[dict[str, Any]], int, Query] | None = None
        with ui.element("div").classes("listing"):
            find = ui.input(f"Find {noun}", on_change=self._found).props("dense outlined clearable debounce=250").classes("find")
            find.props(f'aria-label="Find {noun}"')
            self._find = find
            page = {"rowsPerPage": size, "rowsNumber": 0}
            self.table = ui.table(rows=[], columns=[_column(each) for each in columns], row_key="id", pagination=page)
        self.table.props(f':rows-per-page-options="[{size}]" flat dense binary-state-sort no-data-label="nothing found" aria-label="{noun}"')
        for column in columns:
            if slot := {"opens": OPENS, "share": SHARE, "level": LEVEL, "state": STATE, "act": ACT}.get(column.kind):
                self.table.add_slot(f"body-cell-{column.name}", slot)
        self.table.on("request", self._asked, ["pagination"])
        if on_open is not None:
            self.table.on("open", lambda event: on_open(event.args))
        if on_act is not None:
            self.table.on("act", lambda event: on_act(event.args))

    def show(self, rows: Sequence[Row]) -> None:
        """Show what of these rows is asked for, where that is another than what is shown."""
        self._rows = tuple(rows)
        self._draw()

    def _draw(self) -> None:
        found = look(self._rows, self._query)
        self._query = replace(self._query, page=found.page)
        cells = [{"id": row.id, "about": row.about, **row.shown} for row in found.rows]
        drawn = (cells, found.count, self._query)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        query = self._query
        self._find.set_visibility(bool(query.words) or found.count > FEW)
        self.table.props(f":hide-pagination={str(found.count <= query.size).lower()}")
        self.table.pagination = {
            "page": found.page, "rowsPerPage": query.size, "rowsNumber": found.count, "sortBy": query.by, "descending": query.descending,
        }  # fmt: skip
        self.table.rows = cells

    def _found(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._query = replace(self._query, words=(event.value or "")[:200], page=1)
        self._draw()

    def _asked(self, event: GenericEventArguments) -> None:
        asked = event.args["pagination"] if isinstance(event.args, dict) and "pagination" in event.args else event.args
        names = {column.name for column in self._columns}
        by = asked.get("sortBy") if asked.get("sortBy") in names else None
        self._query = replace(self._query, by=by, descending=bool(asked.get("descending")), page=int(asked.get("page") or 1))
        self._draw()


def _column(column: Column) -> dict[str, Any]:
    kind = {"num": "num", "opens": "lead", "share": "share", "level": "share", "state": "lead"}.get(column.kind, "")
    classes = f"{kind} {column.hide}".strip()
    return {
        "name": column.name, "label": column.label, "field": column.name, "align": "right" if column.kind == "num" else "left",
        "sortable": column.kind != "act", "classes": classes, "headerClasses": classes,
    }  # fmt: skip
