"""Dialogs: to be told what a thing is and why, and to do what only a reason is asked for: clear, go back to automatic, put an alarm aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from nicegui import ui

from facility.console.acts import Outcome
from facility.console.model.rows import Row
from facility.console.page.desk import Desk
from facility.console.page.dialog import Dialog, outcome_html, told_html


class ReasonDialog(Dialog):
    """Ask for a reason and do something with it, one thing or several, and show what came of each."""

    def __init__(
        self, desk: Desk, title: str, lines: Sequence[str], button: str, do: Callable[[str, str], Any], reason: str = ""
    ) -> None:
        super().__init__(desk, title)
        self._do = do
        with self.card:
            ui.html(f"<ul class='alarms'>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>", sanitize=False)
            self._reason = ui.input("Why", value=reason).props("dense outlined maxlength=1000")
            self._who = self.who()
            self._told = ui.element("div").style("width:100%")
            with ui.element("div").classes("buttons"):
                ui.button("Close", on_click=self.dialog.close, color=None).classes("plain").props("flat")
                self._go = ui.button(button, on_click=self._act, color=None).classes("act")
        self.dialog.open()

    async def _act(self) -> None:
        self._go.disable()
        outcomes: list[Outcome] = await self._do(self.named(self._who), (self._reason.value or "").strip())
        self._go.enable()
        self._go.set_visibility(not all(outcome.ok for outcome in outcomes))
        self._told.clear()
        with self._told:
            for outcome in outcomes:
                ui.html(outcome_html(self.desk, outcome), sanitize=False)


class ThingDialog(Dialog):
    """What one thing is, why it is so, and what can be done about it."""

    def __init__(self, desk: Desk, title: str, facts: Sequence[tuple[str, str]], about: str | None, target: str | None) -> None:
        super().__init__(desk, title)
        self._about = about
        with self.card:
            listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
            ui.html(f'<dl class="facts">{listed}</dl>', sanitize=False)
            self._told = ui.element("div").style("width:100%")
            with ui.element("div").classes("buttons"):
                ui.button("Close", on_click=self.dialog.close, color=None).classes("plain").props("flat")
                if about is not None:
                    self._why_button = ui.button("Why?", on_click=self._why, color=None).classes("plain")
                if target is not None and desk.person.may_act:
                    ui.button("Override …", on_click=lambda: self._override(target), color=None).classes("act")
        self.dialog.open()

    async def _why(self) -> None:
        assert self._about is not None
        self._told.clear()
        with self._told:
            ui.html('<p class="foot" role="status">asking the daemon …</p>', sanitize=False)
        self._why_button.disable()
        told = await self.desk.why(self._about)
        self._why_button.enable()
        self._told.clear()
        with self._told:
            ui.html(told_html(self.desk, told), sanitize=False)

    def _override(self, target: str) -> None:
        self.dialog.close()
        self.desk.override(target)


def facts_of(row: Row, names: dict[str, str]) -> list[tuple[str, str]]:
    """The columns of a row as facts."""
    return [(label, str(row.shown[name])) for name, label in names.items() if row.shown.get(name) not in (None, "")]
