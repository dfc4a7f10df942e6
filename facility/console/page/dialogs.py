"""Dialogs: to set an override, to clear one, to go back to automatic, to put an alarm aside, and to be told why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from html import escape
from typing import Any, Final

from nicegui import ui

from facility.console.acts import CAREFUL, KINDS, Outcome, Wish
from facility.console.asking import Told
from facility.console.model.rows import Row
from facility.console.model.words import KINDS as SAID
from facility.console.model.words import clock, local, override
from facility.console.page.desk import Desk
from facility.site import Site

MINUTES: Final = (15, 60, 240)
GRAVE: Final = {
    "stop": "STOP holds every job and lowers every cap to the least there is, at once, until it ends or is cleared.",
    "manual": "MANUAL: nothing is planned and no cap is moved any more, except by you, until it ends or is cleared. The guard goes on.",
}


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


class _Dialog:
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


class OverrideDialog(_Dialog):
    """Set an override: fill in, see what it would do, confirm, be told the answer."""

    def __init__(self, desk: Desk, target: str | None = None, kind: str | None = None) -> None:
        super().__init__(desk, "Override")
        targets = targets_of(desk.site)
        if target is not None and target not in targets:
            targets = {target: target, **targets}
        with self.card:
            self._target = ui.select(targets, label="On what", value=target or "site", with_input=True, on_change=self._kinds).props("dense outlined")
            with ui.element("div").classes("row2"):
                self._kind = ui.select({}, label="What to do", on_change=self._fits).props("dense outlined")
                self._value = ui.number("Value").props("dense outlined")
            with ui.element("div").classes("row2"):
                self._minutes = ui.number("For how many minutes", value=60, min=1, max=1440, on_change=self._end).props("dense outlined")
                self._priority = ui.select({8: "operator (8)", 5: "critical equipment (5)"}, value=8, label="Priority").props("dense outlined")
            self._until = ui.html("", sanitize=False)
            self._reason = ui.input("Why").props("dense outlined maxlength=1000")
            self._who = self.who()
            self._told = ui.element("div").classes("w-full").style("width:100%")
            with ui.element("div").classes("buttons"):
                ui.button("Close", on_click=self.dialog.close, color=None).classes("plain").props("flat")
                self._look = ui.button("Preview", on_click=self._preview, color=None).classes("act")
                self._set = ui.button("Set it", on_click=self._confirm, color=None).classes("grave")
        self._set.set_visibility(False)
        self._asked: Wish | None = None
        """What the preview that is waited for is of."""
        self._kinds(kind=kind)
        self._end()
        for field in (self._target, self._kind, self._value, self._minutes, self._priority):
            field.on_value_change(self._again)
        self.dialog.open()

    def _kinds(self, _event: Any = None, kind: str | None = None) -> None:
        sort = str(self._target.value or "site").partition("/")[0]
        kinds = KINDS.get(sort, ())
        self._kind.set_options({each: SAID[each] for each in kinds}, value=kind if kind in kinds else kinds[0] if kinds else None)
        self._fits()

    def _fits(self, _event: Any = None) -> None:
        limits = value_range(self.desk.site, str(self._target.value), str(self._kind.value))
        self._value.set_visibility(limits is not None)
        if limits is not None:
            low, high, unit = limits
            self._value.props(f'label="Value, {unit}" hint="{low:g} to {high:g} {unit}"')

    def _end(self, _event: Any = None) -> None:
        now, minutes = self.desk.now(), self._minutes.value or 0
        until = clock(now + timedelta(minutes=float(minutes)), self.desk.zone, now)
        self._until.set_content(f'<p class="foot">It ends by itself at {escape(until)}.</p>')

    def _again(self, _event: Any = None) -> None:
        """What was previewed is no longer what is filled in."""
        self._asked = None
        self._set.set_visibility(False)
        self._look.set_visibility(True)
        self._told.clear()

    def _wish(self) -> Wish | str:
        """What is filled in, or what is missing."""
        value, by, reason = self._value.value, self.named(self._who), (self._reason.value or "").strip()
        kind, needs = str(self._kind.value), value_range(self.desk.site, str(self._target.value), str(self._kind.value)) is not None
        missing = [
            *(["a value"] if needs and value is None else []), *(["a duration"] if not self._minutes.value else []),
            *(["a reason"] if not reason else []), *(["your name"] if not by else []),
        ]  # fmt: skip
        if missing:
            return f"Still missing: {', '.join(missing)}."
        return Wish(
            str(self._target.value), kind, float(value) if needs and value is not None else None,  # type: ignore[arg-type]
            60.0 * float(self._minutes.value), by, reason, int(self._priority.value or 8),
        )  # fmt: skip

    async def _preview(self) -> None:
        wish = self._wish()
        self._told.clear()
        if isinstance(wish, str):
            with self._told:
                ui.html(told_html(self.desk, Told(ok=False, sentence=wish)), sanitize=False)
            return
        with self._told:
            ui.html('<p class="foot" role="status">asking the daemon what it would do …</p>', sanitize=False)
        self._look.set_visibility(False)
        self._set.set_text(f"Set {override(wish.kind, wish.value)}")
        self._set.set_visibility(True)  # at once: who is in a hurry need not wait
        self._asked = wish
        told = await self.desk.preview(wish)
        if self._asked is wish:
            self._told.clear()
            with self._told:
                ui.html(told_html(self.desk, told), sanitize=False)

    async def _confirm(self) -> None:
        wish = self._wish()
        if isinstance(wish, str):
            self._again()
            return
        if wish.kind in CAREFUL and not await sure(self.desk, f"{SAID[wish.kind]}?", GRAVE[wish.kind], f"Yes, {SAID[wish.kind]}"):
            return
        self._asked = None
        self._set.disable()
        outcome = await self.desk.set(wish)
        self._set.enable()
        self._set.set_visibility(False)
        self._told.clear()
        with self._told:
            ui.html(outcome_html(self.desk, outcome), sanitize=False)


class ReasonDialog(_Dialog):
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


class ThingDialog(_Dialog):
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


def targets_of(site: Site) -> dict[str, str]:
    """What may be overridden beside jobs, by its target."""
    return {
        "site": "the whole site",
        f"grid/{site.grid.feed}": f"grid feed {site.grid.feed}",
        **{f"hall/{name}": f"hall {name}" for name in site.halls},
        **{f"pool/{pool.hall}/{name}": f"pool {name} in {pool.hall}" for name, pool in site.pools.items()},
    }


def value_range(site: Site, target: str, kind: str) -> tuple[float, float, str] | None:
    """The least and most that an override may ask for, and its unit; None where it has no value."""
    if kind == "import_limit_kw":
        return 0.0, site.grid.import_limit_kw, "kW"
    if kind != "cap_w":
        return None
    sort, _, name = target.partition("/")
    pools = [
        pool for key, pool in site.pools.items()
        if sort in {"site", "job", "grid"} or (sort == "hall" and pool.hall == name) or (sort == "pool" and key == name.rpartition("/")[2])
    ]  # fmt: skip
    models = [site.gpu_models[pool.gpu_model] for pool in pools] or list(site.gpu_models.values())
    return min(model.min_cap_w for model in models), max(model.max_cap_w for model in models), "W"


def facts_of(row: Row, names: dict[str, str]) -> list[tuple[str, str]]:
    """The columns of a row as facts."""
    return [(label, str(row.shown[name])) for name, label in names.items() if row.shown.get(name) not in (None, "")]
