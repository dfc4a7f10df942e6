"""Ledger: what was used of what is rationed by the hour, counted from what was sent, in the journal.

    slow hours of a contract with a budget      by its window: the calendar day, week or month of the site's zone
    hours that a genset ran                     by calendar year of the site's zone, and since when it runs
    GPU hours that a contract missed            by calendar month of the site's zone: of GPUs that are gone (`facility.rental.losses`)

What was sent counts until it lapses; from then on agents keep to their fallback caps and gensets stop. So the hours in which the
service itself is down are counted too, once it is there again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from facility.decision import Decision
from facility.journal.journal import Journal
from facility.problem.gpus import curve_of
from facility.problem.tenancy import window_of
from facility.rental.losses import Gone, missed_gpus, without
from facility.site import Contract, Site
from facility.snapshot import Snapshot
from facility.verify import fallback_caps
from models.work.budget import Budget

log = logging.getLogger(__name__)

FACT = "ledger"
QUARTER = timedelta(minutes=15)
"""Hours and days of every zone begin at quarters of an hour."""

LONGEST = timedelta(days=32)
"""No window of slow hours is longer, and no genset runs on in silence: what is further back, or a clock that leapt years, is not counted."""
SET_BACK = timedelta(minutes=1)
"""A clock that goes back further was set back."""

Row = tuple[str, str, str]
"""What is counted: `slow`, `run` or `missed`, the contract or genset, and the window."""


class Told(msgspec.Struct, frozen=True):
    """Up to which instant everything is counted, and since when each genset runs, UTC; and the GPUs that were gone then, by pool."""

    until: datetime
    running_since: dict[str, datetime]
    gone: dict[str, int] = {}


class Ledger:
    """To be used under the daemon's lock. `in_force` tells the site with the rentals of an instant."""

    def __init__(self, site: Site, journal: Journal, in_force: Callable[[datetime], Site]) -> None:
        self._site, self._journal, self._in_force, self._zone = site, journal, in_force, ZoneInfo(site.timezone)
        self._fallback_w = fallback_caps(site)
        self._hours: dict[Row, float] = {}
        self._changed: set[Row] = set()
        self._until: datetime | None = None
        self._since: dict[str, datetime] = {}
        self._decision: Decision | None = None
        self._gone: Gone = {}
        self._reckoned: tuple[Site | None, list[tuple[str, Contract]]] = (None, [])
        kept = journal.get(FACT)
        if kept is not None:
            try:
                told = msgspec.json.decode(kept, type=Told)
                self._until, self._since = told.until, {g: at for g, at in told.running_since.items() if g in site.gensets}
                self._gone = {pool: gpus for pool, gpus in told.gone.items() if pool in site.pools}
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the hours counted before cannot be read: %s", error)

    def resume(self, decision: Decision) -> None:
        """Know what an earlier process sent last."""
        self._decision = decision

    def count(self, now: datetime, in_force: Decision | None) -> None:
        """Count what was in force up to `now`; from then on it is `in_force`, which None leaves as it was."""
        if self._until is not None and self._decision is not None:
            start = max(self._until, now - LONGEST)
            while start < now:
                lapses = self._decision.until
                end = min(now, _quarter_after(start), lapses if start < lapses else now)
                self._add(self._decision, start, end)
                start = end
        self._until = now if self._until is None or self._until - now > SET_BACK else max(self._until, now)
        self._decision = self._decision if in_force is None else in_force

    def lose(self, gone: Gone, now: datetime) -> None:
        """Know how many GPUs of each pool are gone from `now` on."""
        if gone != self._gone:
            self.count(now, None)
            self._gone = dict(gone)

    def missed_gpu_h(self, contract: str, now: datetime) -> float:
        """Tell the GPU hours that a contract has missed in the calendar month of `now`, GPU h."""
        return self._of(("missed", contract, f"{now.astimezone(self._zone):%Y-%m}"))

    def known(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot` with what is counted up to now of the windows that run at its instant."""
        local = snapshot.at.astimezone(self._zone)
        slow = {name: self._of(("slow", name, _window(contract, local))) for name, contract in self._rationed(snapshot.at)}
        run = {name: self._of(("run", name, f"{local:%Y}")) for name in self._site.gensets}
        return replace(snapshot, slow_hours_used=slow, genset_hours_run=run, genset_on_since=dict(self._since))

    def remember(self) -> None:
        """Write down what was counted since the last time. Raises StoreFault."""
        if self._until is None:
            return
        rows = {_key(row): msgspec.json.encode(self._hours[row]) for row in self._changed}
        self._journal.put_all(rows | {FACT: msgspec.json.encode(Told(self._until, self._since, dict(self._gone)))})
        self._changed.clear()

    def _rationed(self, at: datetime) -> list[tuple[str, Contract]]:
        """The rentals whose slow hours are counted at an instant."""
        site = without(self._in_force(at), self._gone, at)
        if site is not self._reckoned[0]:  # the same object as long as nothing changes, and asked for many times a second
            granted = {name: c.flexibility for name, c in site.contracts.items() if c.gpus}
            found = [(name, site.contracts[name]) for name, terms in granted.items() if terms is not None and terms.greatest_slowdown > 1]
            self._reckoned = (site, found)
        return self._reckoned[1]

    def _add(self, decision: Decision, start: datetime, end: datetime) -> None:
        """Count [start, end), a part of a quarter of an hour in which `decision` holds throughout, or has lapsed."""
        hours, local, holds = (end - start) / timedelta(hours=1), start.astimezone(self._zone), start < decision.until
        for name, contract in self._rationed(start):
            slow_h = self._slow_h(name, contract, decision if holds else None, local, hours)
            self._use(("slow", name, _window(contract, local)), slow_h)
        for name, gpus in missed_gpus(self._in_force(start), self._gone, start).items():
            self._use(("missed", name, f"{local:%Y-%m}"), gpus * hours)
        running = {order.genset for order in decision.gensets if holds and order.power_kw > 0}
        for name in self._site.gensets:
            if name in running:
                self._since.setdefault(name, start)
                self._use(("run", name, f"{local:%Y}"), hours)
            else:
                self._since.pop(name, None)

    def _slow_h(self, name: str, contract: Contract, decision: Decision | None, local: datetime, hours: float) -> float:
        """Slow hours of one contract in `hours` under `decision`, or under the fallback caps where there is none."""
        terms, pool = contract.flexibility, contract.pool
        assert terms is not None
        assert pool is not None
        demanded = contract.gpus if contract.demand_by_hour_gpus is None else contract.demand_by_hour_gpus[local.hour]
        groups: list[tuple[int, int]] = [(demanded, self._fallback_w[pool])]
        if decision is not None:
            groups = [(g.gpus, g.cap_w) for caps in decision.pools if caps.pool == pool for g in caps.groups if g.workload == name]
        curve = curve_of(self._site, self._site.pools[pool].gpu_model, contract.curve or "")
        speed = sum(gpus * curve.at(cap_w)[1] for gpus, cap_w in groups)
        h = np.array([hours])
        return float(Budget(terms.greatest_slowdown, (), ()).slow_h(np.array([float(demanded)]), speed * h, h)[0])

    def _of(self, row: Row) -> float:
        if row not in self._hours:
            kept = self._journal.get(_key(row))
            self._hours[row] = 0.0 if kept is None else msgspec.json.decode(kept, type=float)
        return self._hours[row]

    def _use(self, row: Row, hours: float) -> None:
        if hours > 0:
            self._hours[row] = self._of(row) + hours
            self._changed.add(row)


def _window(contract: Contract, local: datetime) -> str:
    assert contract.flexibility is not None
    return "-".join(f"{part:02d}" for part in window_of(local, contract.flexibility.slow_window))


def _key(row: Row) -> str:
    return " ".join((FACT, *row))


def _quarter_after(instant: datetime) -> datetime:
    begun = instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)
    return begun + QUARTER
