"""Page: what the demonstration shows in the terminal, read from the bus like anybody else would."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from facility.bus.interface import Bus, Message
from facility.bus.messages import (
    CapDesired,
    CapReported,
    JobDesired,
    JobReported,
    OverrideState,
    Rejected,
    Status,
    decode,
)
from facility.bus.topics import Topics
from facility.clock import ScaledClock
from facility.overrides.arbitrate import limit_at
from facility.simulate.reference import Reference
from facility.site import Site
from facility.steps import rolling
from facility.tariff import energy_price_per_mwh
from facility.telemetry import Telemetry
from facility.telemetry.nodes import Nodes

COST_PATIENCE_S = 900.0
"""A meter that was silent for longer than this (the site's time) adds nothing to the costs."""


class Page:
    """The latest of everything worth showing, and the cost so far beside the uncontrolled reference's."""

    def __init__(self, site: Site, clock: ScaledClock, reference: Reference) -> None:
        self._site, self._clock, self._reference = site, clock, reference
        self._topics = Topics(site.bus.root, site.id)
        self._zone = ZoneInfo(site.timezone)
        self._began = self._counted = clock.now()
        self._telemetry = Telemetry(site)
        self._caps: dict[str, CapDesired] = {}
        self._reports: dict[str, CapReported] = {}
        self._nodes = Nodes()
        self._orders: dict[str, JobDesired] = {}
        self._jobs: dict[str, JobReported] = {}
        self._overrides: dict[str, OverrideState] = {}
        self._status: Status | None = None
        self._cost = self._reference_cost = 0.0
        self._stored_first_kwh: float | None = None

    def subscribe(self, bus: Bus) -> None:
        """Ask for what is shown."""
        own = (f"{self._site.bus.root}/{self._site.id}/{pattern}" for pattern in ("cap/#", "job/#", "override/#", "svc/#"))
        for pattern in (*own, *self._telemetry.patterns):
            bus.subscribe(pattern, 1)

    def take(self, message: Message) -> None:
        """Take one message; what cannot be read is not shown."""
        if self._telemetry.hear(message, self._clock.now()):
            return
        found = self._topics.parse(message.topic)
        if found is None:
            return
        name, ids = found
        try:
            match name:
                case "cap_desired" if message.payload:
                    self._caps[ids["pool"]] = decode(message.payload, CapDesired)
                case "cap_reported" if message.payload:
                    self._reports[ids["pool"]] = decode(message.payload, CapReported)
                case "cap_node_reported":
                    self._nodes.take(ids["pool"], ids["node"], decode(message.payload, CapReported) if message.payload else None)
                case "job_desired" if not message.payload:
                    self._orders.pop(ids["job"], None)
                case "job_reported" if not message.payload:
                    self._jobs.pop(ids["job"], None)
                case "job_desired":
                    self._orders[ids["job"]] = decode(message.payload, JobDesired)
                case "job_reported":
                    self._jobs[ids["job"]] = decode(message.payload, JobReported)
                case "override_state":
                    self._overrides.pop(ids["target"], None)
                    if message.payload:
                        self._overrides[ids["target"]] = decode(message.payload, OverrideState)
                case "status":
                    self._status = decode(message.payload, Status)
                case _:
                    pass
        except Rejected:
            return

    def keep_up(self) -> None:
        """Let the reference come as far as the clock, and count both costs."""
        now = self._clock.now()
        hours = (now - self._counted).total_seconds() / 3600
        if hours * 3600 < 5:
            return
        self._reference.advance(now)
        metered = self._value(self._meter())
        if metered is not None and hours * 3600 < COST_PATIENCE_S:
            price = self._price(now) / 1000
            self._cost += price * metered * hours
            self._reference_cost += price * self._reference.import_kw * hours
        self._counted = now
        if self._stored_first_kwh is None:
            self._stored_first_kwh = self._stored_kwh()

    def line(self) -> str:
        """Everything in one line, for where there is no terminal."""
        now = self._clock.now()
        mode = self._status.mode if self._status else "starting"
        power = self._value(self._meter())
        caps = " ".join(
            f"{pool} {(cap.groups and max(g.cap_w for g in cap.groups)) or cap.cap_w} W"
            for pool, cap in sorted(self._caps.items())
        )
        running, held = self._counts()
        return (
            f"{now.astimezone(self._zone):%a %H:%M} {mode}: "
            f"{'-' if power is None else f'{power:,.0f}'} of {limit_at(self._site, now):,.0f} kW, "
            f"{self._price(now):.0f} {self._site.currency}/MWh, caps up to {caps or '-'}, "
            f"jobs {running} running {held} held, {self._money()}"
        )

    def render(self) -> RenderableType:
        """The page."""
        now = self._clock.now()
        power, limit = self._value(self._meter()) or 0.0, limit_at(self._site, now)
        head = Table.grid(padding=(0, 2))
        mode = self._status.mode if self._status else "starting"
        colour = {"NORMAL": "green", "HOLD": "yellow", "MANUAL": "magenta", "SAFE": "red"}.get(mode, "white")
        head.add_row(
            Text(f"{now.astimezone(self._zone):%A %d %B %H:%M:%S}"),
            Text(mode, style=f"bold {colour}"),
            self._status.reason if self._status else "",
        )
        gauge = Table.grid(padding=(0, 2))
        over = power > limit
        gauge.add_row(
            "power",
            ProgressBar(total=limit, completed=min(power, limit), width=40, style="dim"),
            Text(f"{power:,.0f} of {limit:,.0f} kW", style="bold red" if over else ""),
        )
        gauge.add_row("price", "", f"{self._price(now):.1f} {self._site.currency}/MWh")
        gauge.add_row("cost", "", self._money())
        running, held = self._counts()
        gauge.add_row("jobs", "", f"{running} running, {held} held")
        return Group(head, gauge, self._pool_table(), self._halls(), self._override_lines())

    def _pool_table(self) -> Table:
        table = Table(box=None, padding=(0, 2))
        for column in ("pool", "GPUs", "caps sent, W", "enforced, W", "power, kW", "why"):
            table.add_column(column, justify="left" if column in {"pool", "why", "caps sent, W"} else "right", overflow="fold")
        for pool, part in self._site.pools.items():
            caps, report = self._caps.get(pool), self._nodes.of(pool, self._clock.now()) or self._reports.get(pool)
            groups: dict[int, int] = {}
            for group in caps.groups if caps else ():
                groups[group.cap_w] = groups.get(group.cap_w, 0) + (
                    group.gpus if isinstance(group.gpus, int) else len(group.gpus)
                )
            sent = ", ".join(f"{gpus} at {cap_w}" for cap_w, gpus in sorted(groups.items(), reverse=True)) or (
                str(caps.cap_w) if caps else "-"
            )
            power = self._value(f"{part.hall}/pool/{pool}/it_power_kw")
            table.add_row(
                pool,
                str(part.gpus),
                sent,
                str(report.enforced_cap_w) if report else "-",
                "-" if power is None else f"{power:,.1f}",
                caps.reason if caps else "",
            )
        return table

    def _halls(self) -> Text:
        parts = []
        for hall, zone in self._site.halls.items():
            if zone.thermal is not None:
                value = self._value(f"{hall}/hall/{hall}/air_temperature_c")
                parts.append(f"{hall} {'-' if value is None else f'{value:.1f}'} of {zone.thermal.recommended_max_c:.0f} degC")
        for battery, store in self._site.batteries.items():
            value = self._value(f"site/battery/{battery}/energy_kwh")
            parts.append(f"{battery} {'-' if value is None else f'{value:,.0f}'} of {store.capacity_kwh:,.0f} kWh")
        outdoor = self._value("site/weather/outdoor/temperature_c")
        parts.append(f"outdoors {'-' if outdoor is None else f'{outdoor:.1f}'} degC")
        return Text("   ".join(parts))

    def _override_lines(self) -> Text:
        lines = [
            f"override on {target}: {o.kind} {'' if o.effective is None else f'{o.effective:g}'} by {o.by} "
            f"until {o.end.astimezone(self._zone):%H:%M}"
            for target, state in sorted(self._overrides.items())
            for o in state.overrides
        ]
        return Text("\n".join(lines) or "no override in force", style="magenta" if lines else "dim")

    def _counts(self) -> tuple[int, int]:
        """Jobs that run, and jobs that are there and wait."""
        running = sum(job.state == "running" for job in self._jobs.values())
        return running, sum(job.state == "waiting" for job in self._jobs.values())

    def _money(self) -> str:
        saved, share, stored_kwh = self._reference_cost - self._cost, "", self._stored_kwh()
        if self._reference_cost:
            share = f", {100 * abs(saved / self._reference_cost):.1f} % {'less' if saved >= 0 else 'more'}"
        if stored_kwh is not None and self._stored_first_kwh is not None and self._site.batteries:
            share += f", {stored_kwh - self._stored_first_kwh:+,.0f} kWh in store"
        return f"{self._cost:,.2f} {self._site.currency} so far, without us {self._reference_cost:,.2f}{share}"

    def _stored_kwh(self) -> float | None:
        """The energy in all batteries; None where one does not tell."""
        told = [self._value(f"site/battery/{battery}/energy_kwh") for battery in self._site.batteries]
        return sum(kwh for kwh in told if kwh is not None) if None not in told else None

    def _value(self, key: str) -> float | None:
        """The latest reading of a sensor; None where it is stale."""
        reading = self._telemetry.reading(key, self._clock.now())
        return None if reading is None else reading.value

    def _meter(self) -> str:
        return f"site/meter/{self._site.grid.feed}/import_kw"

    def _price(self, now: datetime) -> float:
        return float(energy_price_per_mwh(self._site, rolling(now)[:2])[0])
