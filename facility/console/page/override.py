"""The dialog that sets an override: what, for how long and why; what it would do; the answer."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Any, Final

from nicegui import ui

from facility.console.acts import CAREFUL, KINDS, Wish
from facility.console.asking import Told
from facility.console.model.words import KINDS as SAID
from facility.console.model.words import clock, override
from facility.console.page.desk import Desk
from facility.console.page.dialog import Dialog, outcome_html, sure, told_html
from facility.site import Site

GRAVE: Final = {
    "stop": "STOP holds every job and lowers every cap to the least there is, at once, until it ends or is cleared.",
    "manual": "MANUAL: nothing is planned and no cap is moved any more, except by you, until it ends or is cleared. The guard goes on.",
}


class OverrideDialog(Dialog):
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
