"""Dialog: what all dialogs have in common: who acts, what is told and answered, and being asked once more."""

from __future__ import annotations

from html import escape

from nicegui import ui

from facility.console.acts import Outcome
from facility.console.asking import Told
from facility.console.model.words import local
from facility.console.page.desk import Desk


class Dialog:
    """A dialog that is made when it is opened and gone when it is closed."""

    def __init__(self, desk: Desk, title: str) -> None:
        self.desk = desk
        with desk.root:  # not within the dialog whose button was pressed: that one goes
            self.dialog = ui.dialog().props(f'aria-label="{escape(title)}"')
        with self.dialog, ui.card() as self.card:
            ui.html(f"<h3>{escape(title)}</h3>", sanitize=False)
        self.dialog.on("hide", self.dialog.delete)

    def who(self) -> ui.input | None:
        """The field for a name, where nobody is logged in."""
        if self.desk.person.name:
            ui.html(f'<p class="foot">by {escape(self.desk.person.name)}</p>', sanitize=False)
            return None
        return ui.input("Your name", value=self.desk.given_name).props('dense outlined maxlength=64 autocomplete="name"')

    def named(self, field: ui.input | None) -> str:
        """Who acts."""
        if field is None:
            return self.desk.person.name
        self.desk.given_name = (field.value or "").strip()
        return self.desk.given_name


def told_html(desk: Desk, told: Told) -> str:
    """An answer as HTML, its instants by the site's clock."""

    def said(text: str) -> str:
        return escape(local(text, desk.zone, desk.now()))

    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for name, a, b in told.numbers)
    table = f"<table><tr><th></th><th>without</th><th>with it</th></tr>{rows}</table>" if rows else ""
    lines = f"<ul>{''.join(f'<li>{said(line)}</li>' for line in told.lines)}</ul>" if told.lines else ""
    kind = "" if told.ok else "no"
    return f'<div class="told {kind}" role="status"><p>{said(told.sentence)}</p>{table}{lines}</div>'


def outcome_html(desk: Desk, outcome: Outcome) -> str:
    """What came of an act, as HTML."""
    head = {"answered": "The daemon answers", "unanswered": "No answer", "not sent": "Not sent"}[outcome.status]
    words = escape(local(outcome.words, desk.zone, desk.now()))
    return f'<div class="told {"yes" if outcome.ok else "no"}" role="status"><p><b>{head}</b></p><p>{words}</p></div>'


async def sure(desk: Desk, title: str, words: str, button: str) -> bool:
    """Ask once more; whether the answer is yes."""
    with desk.root:
        dialog = ui.dialog().props(f'persistent role="alertdialog" aria-label="{escape(title)}"')
    with dialog, ui.card():
        ui.html(f"<h3>{escape(title)}</h3><p>{escape(words)}</p>", sanitize=False)
        with ui.element("div").classes("buttons"):
            ui.button("No", on_click=lambda: dialog.submit(False), color=None).classes("plain").props("autofocus")
            ui.button(button, on_click=lambda: dialog.submit(True), color=None).classes("grave")
    answer = await dialog
    dialog.delete()
    return bool(answer)
