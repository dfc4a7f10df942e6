"""Listing: a table of many rows. Search, order and page are made here; the browser has the page that it shows, and new cells of it alone.

Rows and cells stay where they are and change what they say: who is on a button with the keyboard stays there, whatever is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any, Final

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import ValueChangeEventArguments

from facility.console.model.rows import Row
from facility.console.model.table import Found, Query, look
from facility.console.model.words import NOTHING

FEW: Final = 5
"""Rows among which nobody searches."""
INDENT_PX: Final = 18


@dataclass(frozen=True)
class Column:
    """A column: its name in `Row.shown`, what stands above it, and how it looks: text, short (never broken), num, share (the nearer to 100 %
    the worse), level, state, opens or act. `hide`: `wide` is left out on narrow pages, `mid` on phones.
    """

    name: str
    label: str
    kind: str = "text"
    hide: str = ""

    @property
    def classes(self) -> str:
        """Those of its cells."""
        own = {"num": "num", "opens": "lead", "state": "short", "short": "short"}.get(self.kind, "")
        return f"{own} {self.hide}".strip()


class Listing:
    """A table with a field to search in. `on_open` and `on_act` are given the row whose button was pressed."""

    def __init__(
        self,
        columns: Sequence[Column],
        noun: str,
        on_open: Callable[[Row], Any] | None = None,
        on_act: Callable[[Row], Any] | None = None,
        *,
        size: int = 25,
    ) -> None:
        self._columns, self._noun, self._query = columns, noun, Query(size=size)
        self._press = {"opens": on_open, "act": on_act}
        self._rows: Sequence[Row] = ()
        self._found = Found((), 0, 1)
        self._lines: list[_Line] = []
        with ui.element("div").classes("listing"):
            self._find = ui.input(f"Find {noun}", on_change=self._search).props("dense outlined clearable debounce=250").classes("find")
            self._find.props(f'aria-label="Find {noun}"')
            with ui.element("table").classes("list").props(f'aria-label="{noun}"'):
                with ui.element("thead"), ui.element("tr"):
                    self._heads = [self._head(column) for column in columns]
                self._body = ui.element("tbody")
            self._pages = ui.element("div").classes("pages")
            with self._pages:
                self._told = TextElement(tag="span", text="").props('role="status"')
                self._before = ui.button("Before", on_click=lambda: self._turn(-1), color=None).props("flat dense").classes("quiet")
                self._after = ui.button("After", on_click=lambda: self._turn(1), color=None).props("flat dense").classes("quiet")

    def show(self, rows: Sequence[Row]) -> None:
        """Show what of these rows is asked for, where that is another than what is shown."""
        self._rows = rows
        self._draw()

    def _head(self, column: Column) -> ui.element:
        with ui.element("th").classes(column.classes).props('scope="col"') as head:
            if column.kind != "act":
                TextElement(tag="button", text=column.label).classes("sort").on("click", partial(self._sort, column.name))
        return head

    def _draw(self) -> None:
        found = self._found = look(self._rows, self._query)
        query = self._query = replace(self._query, page=found.page)
        with self._body:
            while len(self._lines) < len(found.rows):
                self._lines.append(_Line(self._columns, partial(self._pressed, len(self._lines))))
        for i, line in enumerate(self._lines):
            line.show(found.rows[i] if i < len(found.rows) else None)
        first = (found.page - 1) * query.size
        some = f"{first + 1:,} to {first + len(found.rows):,} of {found.count:,} {self._noun}"
        self._told.set_text(some if found.count > query.size else "" if found.count else f"no {self._noun}")
        self._pages.set_visibility(found.count > query.size or not found.count)
        self._find.set_visibility(bool(query.words) or found.count > FEW)
        for button, there in ((self._before, found.page > 1), (self._after, first + query.size < found.count)):
            button.set_visibility(found.count > query.size)
            button.set_enabled(there)
        for head, column in zip(self._heads, self._columns, strict=True):
            order = "none" if query.by != column.name else "descending" if query.descending else "ascending"
            if head.props.get("aria-sort", "none") != order:
                head.props(f"aria-sort={order}")

    def _search(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._query = replace(self._query, words=(event.value or "")[:200], page=1)
        self._draw()

    def _sort(self, name: str) -> None:
        query = self._query
        if query.by != name:
            self._query = replace(query, by=name, descending=False, page=1)
        else:
            self._query = replace(query, by=None if query.descending else name, descending=not query.descending, page=1)
        self._draw()

    def _turn(self, by: int) -> None:
        self._query = replace(self._query, page=self._query.page + by)
        self._draw()

    def _pressed(self, line: int, kind: str) -> None:
        press = self._press[kind]
        if press is not None and line < len(self._found.rows):
            press(self._found.rows[line])


class _Line:
    """A row on the page; what it shows changes."""

    def __init__(self, columns: Sequence[Column], pressed: Callable[[str], None]) -> None:
        self._shown: dict[str, Any] | None = None
        self._cells: list[tuple[Column, TextElement | ui.html]] = []
        with ui.element("tr") as self._row:
            for column in columns:
                self._cells.append((column, self._cell(column, pressed)))

    @staticmethod
    def _cell(column: Column, pressed: Callable[[str], None]) -> TextElement | ui.html:
        if column.kind in {"opens", "act"}:
            with ui.element("td").classes(column.classes):
                return TextElement(tag="button", text="").classes("link").on("click", lambda: pressed(column.kind))
        if column.kind in {"share", "level", "state"}:
            return ui.html("", tag="td", sanitize=False).classes(column.classes)
        return TextElement(tag="td", text="").classes(column.classes)

    def show(self, row: Row | None) -> None:
        """Show a row, or nothing."""
        if row is None or row.shown == self._shown:
            self._row.set_visibility(row is not None)
            return
        self._row.set_visibility(True)
        for column, cell in self._cells:
            value = row.shown.get(column.name)
            if isinstance(cell, ui.html):
                cell.set_content(_drawn(column.kind, value))
            else:
                cell.set_text(NOTHING if value is None else str(value))
            if column.kind == "opens" and (depth := row.shown.get("depth", 0)) != (self._shown or {}).get("depth", 0):
                cell.style(f"margin-left: {INDENT_PX * depth}px")
        self._shown = row.shown


def _drawn(kind: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if kind == "state":
        return f'<span class="state {escape(str(value))}">{escape(str(value))}</span>'
    shade = "" if kind == "level" or value <= 95 else "near" if value <= 100 else "over"
    return f'<span class="bar {shade}" role="img" aria-label="{value} %" title="{value} %"><i style="width:{min(value, 100)}%"></i></span>'
