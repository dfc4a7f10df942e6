"""Screen: one browser's page. It is made once, and shown each frame; only what is new goes over the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from facility.console.access import Person
from facility.console.acts import Acts, Outcome
from facility.console.asking import Asking
from facility.console.hub import Frame, Hub
from facility.console.model.rows import Row
from facility.console.page.columns import COLUMNS, TABS, WHY, WIDTHS
from facility.console.page.desk import Desk
from facility.console.page.dialogs import ReasonDialog, ThingDialog, facts_of
from facility.console.page.history import HistoryPanel
from facility.console.page.listing import Listing
from facility.console.page.override import OverrideDialog, targets_of
from facility.console.page.shift import ShiftPanel
from facility.console.page.studio import CHARTS, Studio
from facility.console.past import Past
from facility.console.shift import ShiftLog

POOL_OF: Final = "(event) => { const at = event.target.closest('[data-pool]'); if (at) emit(at.dataset.pool); }"


@dataclass(frozen=True)
class Console:
    """All that a page needs."""

    hub: Hub
    acts: Acts
    asking: Asking
    log: ShiftLog
    past: Past | None


class Screen:
    """The page of a person who looks; `still` tells who it is now."""

    def __init__(
        self, console: Console, studio: Studio, person: Person, still: Callable[[], Person | None]
    ) -> None:
        self._hub, self._studio, self._log, self.still = console.hub, studio, console.log, still
        self.desk = Desk(console.hub, console.acts, console.asking, still, person, self._override, ui.element("div"))
        self._past = console.past
        self._shown = -1
        self._tiles: dict[str, ui.html] = {}
        self._charts: dict[str, ui.echart] = {}
        self._drawn: dict[str, str] = {}
        self._lists: dict[str, Listing] = {}
        self.dark = False
        self.client = ui.context.client
        self._build()
        self.show()

    def _build(self) -> None:
        site = self._hub.site
        ui.page_title(f"{site.id}: facility")
        ui.colors(primary="#005f95")
        self._scheme = ui.dark_mode(None)
        ui.add_head_html('<meta name="robots" content="noindex">')
        ui.html('<a class="skip" href="#lists">to the lists</a>', sanitize=False)
        self._page = ui.element("div").style("width:100%")
        with self._page:
            self._header(site.name)
            self._tiles["banner"] = ui.html("", sanitize=False)
            with ui.element("main").classes("body"):
                with ui.element("section").classes("tiles").props('aria-label="the site now"'):
                    for name, width in WIDTHS.items():
                        with ui.element("div").classes(f"tile {width}").props(f'id="tile-{name}"'):
                            self._tiles[name] = ui.html("", sanitize=False)
                            if name == "caps":  # for who uses a mouse; by keyboard it is the list of pools
                                self._tiles[name].on("click", self._open_pool, js_handler=POOL_OF)
                            if name == "power":
                                why = ui.button("Why?", on_click=self._why_limit, color=None).classes("ask quiet")
                                why.props('flat dense aria-label="Why? Power from the grid"')
                self._breaches()
                self._ahead = ui.element("section").classes("charts").props('aria-label="the plan ahead"')
                self._tabs()
        ui.on("scheme", lambda event: self.darken(dark=bool(event.args)))

    def _override(self, target: str | None) -> None:
        OverrideDialog(self.desk, target)

    def _header(self, name: str) -> None:
        person = self.desk.person
        with ui.element("header").classes("top"):
            ui.html(f"<h1>{escape(name)}</h1>", sanitize=False)
            self._tiles["clock"] = ui.html("", sanitize=False)
            self._tiles["mode"] = ui.html("", sanitize=False).classes("grow").props('role="status" aria-label="mode and why"')
            with ui.element("div").classes("actions"):
                if person.may_act:
                    ui.button("Override …", on_click=lambda: self.desk.override(None), color=None).classes("act").props('accesskey="o"')
                    ui.button("Back to automatic", on_click=self._back, color=None).classes("plain").props('flat accesskey="b"')
                else:
                    ui.html('<span class="foot">you may look</span>', sanitize=False)
                ui.button("Light or dark", on_click=self._turn, color=None).classes("plain").props("flat")
                if person.name:
                    form = f'<form method="post" action="/logout"><button class="plain">Log out {escape(person.name)}</button></form>'
                    ui.html(form, sanitize=False)

    def _breaches(self) -> None:
        self._broken = ui.element("section").classes("panel").props('id="breaches"')
        with self._broken:
            ui.html("<h3>What the plan cannot keep</h3>", sanitize=False)
            self._lists["breaches"] = Listing(COLUMNS["breaches"], "limits that the plan breaks", self._open_breach, size=5)

    def finish(self, *, dark: bool) -> None:
        """Add the charts, once the rest is there: what draws them is large."""
        with self._ahead:
            for name, title in CHARTS.items():
                with ui.element("div").classes("chart whole" if name == "power_ahead" else "chart"):
                    ui.html(f"<h3>{title}</h3>", sanitize=False)
                    self._charts[name] = ui.echart({}, renderer="svg").props(f'role="img" aria-label="{title}"')
        self.darken(dark=dark)

    def _tabs(self) -> None:
        with ui.element("section").classes("panel").props('id="lists"'):
            self._bar = ui.tabs().props("dense align=left outside-arrows mobile-arrows no-caps inline-label")
            with self._bar:
                for name, title in TABS.items():
                    ui.tab(name, title)
                if self._past is not None:
                    ui.tab("history", "History")
                ui.tab("shift", "Shift log")
            with ui.tab_panels(self._bar, value="pools", animated=False, keep_alive=False).props('swipeable="false"').style("width:100%"):
                for name in TABS:
                    with ui.tab_panel(name):
                        act = {"overrides": self._clear, "alarms": self._shelve}.get(name) if self.desk.person.may_act else None
                        columns = [column for column in COLUMNS[name] if act is not None or column.kind != "act"]
                        self._lists[name] = Listing(columns, TABS[name].lower(), partial(self._open, name), act)
                if self._past is not None:
                    with ui.tab_panel("history"):
                        self._history = HistoryPanel(self._hub, self._past, lambda: self.dark)
                with ui.tab_panel("shift"):
                    self._shift = ShiftPanel(self._hub, self._log)
        self._bar.set_value("pools")
        self._bar.on_value_change(lambda: self._show_tab(self._hub.frame))

    def show(self) -> None:
        """Show the newest frame, as far as it is another."""
        frame = self._hub.frame
        if frame.number == self._shown:
            return
        self._shown = frame.number
        drawn = self._studio.tiles(frame)
        for name, tile in self._tiles.items():
            if tile.content != drawn[name]:
                tile.set_content(drawn[name])
        self._page.classes(**({"add": "old"} if self._studio.old(frame) else {"remove": "old"}))
        self._draw_charts(frame)
        self._show_tab(frame)

    def _draw_charts(self, frame: Frame) -> None:
        for name, chart in self._charts.items():
            key, options = self._studio.chart(name, frame, dark=self.dark)
            if self._drawn.get(name) != key:
                self._drawn[name] = key
                chart.options.clear()
                chart.options.update(options)
                chart.update()
        breaches = self._studio.breaches(frame)
        self._broken.set_visibility(bool(breaches))
        self._lists["breaches"].show(breaches)

    def _show_tab(self, frame: Frame) -> None:
        name = str(self._bar.value or "pools")
        if name in TABS:
            self._lists[name].show(self._with_act(name, frame.tables[name]))
        elif name == "shift":
            self._shift.read()

    def _with_act(self, name: str, rows: Sequence[Row]) -> Sequence[Row]:
        words = {"overrides": "Clear", "alarms": "Put aside"}.get(name)
        return rows if words is None else [Row(row.id, row.about, {**row.shown, "act": words}, row.order) for row in rows]

    def darken(self, *, dark: bool) -> None:
        """Draw for a dark or a light page."""
        self.dark = dark
        self._draw_charts(self._hub.frame)

    def _turn(self) -> None:
        self._scheme.value = not self.dark
        self.darken(dark=not self.dark)

    def _open(self, name: str, row: Row) -> None:
        facts = facts_of(row, {column.name: column.label for column in COLUMNS[name] if column.kind != "act"})
        about = row.about
        target = about if about in targets_of(self._hub.site) or about.startswith("job/") else None
        ThingDialog(self.desk, about, facts, about if name in WHY else None, target)

    def _open_pool(self, event: GenericEventArguments) -> None:
        row = next((row for row in self._hub.frame.tables["pools"] if row.id == event.args), None)
        if row is not None:
            self._open("pools", row)

    def _open_breach(self, row: Row) -> None:
        facts = facts_of(row, {column.name: column.label for column in COLUMNS["breaches"]})
        ThingDialog(self.desk, str(row.shown["name"]), facts, row.about, None)

    def _why_limit(self) -> None:
        now = self._hub.frame.glance
        facts = [("now", f"{now.import_kw or 0:,.0f} of {now.limit_kw:,.0f} kW"), ("mode", f"{now.mode}: {now.why}")]
        ThingDialog(self.desk, "Power from the grid", facts, "limit", f"grid/{self._hub.site.grid.feed}")

    def _clear(self, row: Row) -> None:
        async def do(by: str, reason: str) -> list[Outcome]:
            return [await self.desk.clear(row.about, row.id, by, reason)]

        words = f"{row.shown['what']} on {row.about}, by {row.shown['by']} until {row.shown['until']}: {row.shown['reason']}"
        ReasonDialog(self.desk, "Clear this override?", [words], "Clear it", do)

    def _shelve(self, row: Row) -> None:
        async def do(by: str, reason: str) -> list[Outcome]:
            return [await self.desk.shelve(row.id, 3600.0, by, reason)]

        ReasonDialog(self.desk, "Put this alarm aside for an hour?", [f"{row.shown['severity']}: {row.shown['cause']}"], "Put it aside", do)

    def _back(self) -> None:
        standing = self._hub.frame.tables["overrides"]
        own = [row for row in standing if row.shown["by"] == self.desk.person.name or not self.desk.person.name]

        async def do(by: str, reason: str) -> list[Outcome]:
            mine = [row for row in self._hub.frame.tables["overrides"] if row.shown["by"] == by]
            if not mine:
                return [Outcome(ok=False, status="not sent", words=f"no override of {by or 'nobody'} is in force")]
            return [await self.desk.clear(row.about, row.id, by, reason) for row in mine]

        lines = [f"{row.shown['what']} on {row.shown['target']}, by {row.shown['by']} until {row.shown['until']}" for row in own]
        title = "Clear all your overrides?" if lines else "None of your overrides is in force"
        ReasonDialog(self.desk, title, lines, "Back to automatic", do, reason="back to automatic")
