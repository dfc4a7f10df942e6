"""The shift log, to be read and searched."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui

from facility.console.hub import Hub
from facility.console.model.words import clock, local
from facility.console.shift import ShiftLog

HEAD = "<tr><th>when</th><th>who</th><th>what</th><th>why</th><th>what came of it</th></tr>"


class ShiftPanel:
    """The newest lines in which all words stand."""

    def __init__(self, hub: Hub, log: ShiftLog) -> None:
        self._hub, self._log = hub, log
        with ui.element("div").classes("listing"):
            self._words = ui.input("Find in the shift log", on_change=self.read).classes("find").props("dense outlined clearable debounce=250")
        self._lines = ui.html("", sanitize=False).style("width:100%; overflow-x:auto")

    def read(self, _event: Any = None) -> None:
        """Read and show them, where they are others."""
        now, zone = self._hub.now(), self._hub.zone
        rows = [
            (clock(line.at, zone, now), line.by, f"{line.what} on {line.target}", line.reason, local(line.outcome, zone, now) or "asked")
            for line in self._log.search((self._words.value or "")[:200])
        ]
        cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        content = f'<table class="log">{HEAD}{cells}</table>' if rows else '<p class="foot">nothing is found</p>'
        if self._lines.content != content:
            self._lines.set_content(content)
