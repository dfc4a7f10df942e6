"""Billed: what was reckoned as a document - accounts of tenants with their lines, money in whole cents that add up - for files and people.

The document holds nothing of when or where it was made, so that the same inputs give the same one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from facility.bill.period import Period
from facility.bill.reckon import ENERGIES, ITEMS, OWN_LINE, Reckoned
from facility.bill.rounding import apportioned, digits_of, rounded
from facility.bill.rows import OWN, Line
from facility.site import Site

GPU_HOURS = ("promised_gpu_h", "reserved_gpu_h", "gpu_h", "speed_gpu_h", "missed_gpu_h", "slow_gpu_h")
FIGURES = (*GPU_HOURS, *(f"{part}_kwh" for part in ENERGIES), "energy_kwh", "peak_kw", "carbon_kg")


@dataclass(frozen=True)
class Entry:
    """One line, or one tenant's account: figures by name, money by item in the currency's smallest unit, and their sum unrounded."""

    figures: dict[str, float]
    units: dict[str, int]
    unrounded: float

    @property
    def total(self) -> int:
        """All items of money together, in the smallest unit."""
        return sum(self.units.values())


@dataclass(frozen=True)
class Account:
    """A tenant's account, or the site's own (`OWN`), with its lines."""

    tenant: str
    name: str
    entry: Entry
    lines: tuple[tuple[Line, Entry], ...]


@dataclass(frozen=True)
class Billed:
    """A bill; `gaps` are what was filled in, `provisional` why it may change, `assumed` what nobody measured or told, `unknown` contracts
    whose terms nobody knows any more.
    """

    site: Site
    period: Period
    whole: Entry
    accounts: tuple[Account, ...]
    peaks: tuple[dict[str, Any], ...]
    gaps: tuple[str, ...]
    provisional: tuple[str, ...]
    assumed: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    def said(self, contracts: Collection[str] | None = None) -> tuple[str, ...]:
        """What was assumed; of contracts whose terms are not known only those of `contracts`, where they are given."""
        lost = [name for name in self.unknown if contracts is None or name in contracts]
        return (*self.assumed, *(f"contract {name}: neither the site file nor the journal knows its terms; none are applied" for name in lost))

    @property
    def digits(self) -> int:
        """Decimals of its money."""
        return digits_of(self.site.currency)

    def money(self, units: int) -> float:
        """An amount in the currency."""
        return float(units / 10**self.digits)

    def document(self) -> dict[str, Any]:
        """What it says, as JSON has it; no version stands in it."""
        return {
            "site": self.site.id,
            "bill": self.period.name,
            "start": iso(self.period.start),
            "end": iso(self.period.end),
            "timezone": self.site.timezone,
            "currency": self.site.currency,
            "status": "provisional" if self.provisional else "final",
            "provisional": list(self.provisional),
            "whole": self._entry(self.whole),
            "peaks": list(self.peaks),
            "accounts": [{"tenant": each.tenant or None, "name": each.name, **self._entry(each.entry)} for each in self.accounts],
            "gaps": list(self.gaps),
            "assumed": list(self.said()),
        }

    def _entry(self, entry: Entry) -> dict[str, Any]:
        costs = {item: self.money(units) for item, units in entry.units.items()}
        return {**entry.figures, "costs": costs, "total": self.money(entry.total)}


def billed(
    site: Site,
    period: Period,
    reckoned: Reckoned,
    gaps: Sequence[str],
    provisional: Sequence[str],
    assumed: Sequence[str],
    unknown: Sequence[str] = (),
) -> Billed:
    """The bill of what was reckoned; tenants by their id, the site's own last."""
    digits = digits_of(site.currency)
    order = sorted(range(len(reckoned.lines)), key=lambda i: _key(reckoned.lines[i]))
    tenants = list(dict.fromkeys(reckoned.lines[i].tenant for i in order))
    mine = {tenant: [i for i in order if reckoned.lines[i].tenant == tenant] for tenant in tenants}
    everything = list(range(len(reckoned.lines)))
    sums = [_money(reckoned, item, everything) for item in ITEMS]
    whole = dict(zip(ITEMS, apportioned(rounded(sum(sums), digits), sums, digits), strict=True))
    by_tenant: dict[str, dict[str, int]] = {tenant: {} for tenant in tenants}
    by_line: list[dict[str, int]] = [{} for _ in everything]
    for item in ITEMS:
        shares = apportioned(whole[item], [_money(reckoned, item, mine[tenant]) for tenant in tenants], digits)
        for tenant, units in zip(tenants, shares, strict=True):
            by_tenant[tenant][item] = units
            parts = apportioned(units, [float(reckoned.money[item][i]) for i in mine[tenant]], digits)
            for i, part in zip(mine[tenant], parts, strict=True):
                by_line[i][item] = part
    accounts = tuple(
        Account(
            tenant,
            site.name if tenant == OWN else site.tenants[tenant].name if tenant in site.tenants else tenant,
            _entry(reckoned, mine[tenant], by_tenant[tenant]),
            tuple((reckoned.lines[i], _entry(reckoned, [i], by_line[i])) for i in mine[tenant]),
        )
        for tenant in tenants
    )
    told = tuple({"charge": p.charge, "month": p.month, "start": iso(p.start), "kw": p.kw, "cost": p.cost} for p in reckoned.peaks)
    entry = _entry(reckoned, everything, whole)
    return Billed(site, period, entry, accounts, told, tuple(gaps), tuple(provisional), tuple(assumed), tuple(unknown))


def _entry(reckoned: Reckoned, lines: Sequence[int], units: dict[str, int]) -> Entry:
    figures = {name: sum(getattr(reckoned.sums[i], name) for i in lines) for name in GPU_HOURS}
    figures |= {f"{part}_kwh": _sum(reckoned.parts_kwh[part], lines) for part in ENERGIES}
    for name in ("energy_kwh", "peak_kw", "carbon_kg"):
        figures[name] = _sum(getattr(reckoned, name), lines)
    return Entry({name: float(value) + 0.0 for name, value in figures.items()}, units, _sum(reckoned.cost, lines))


def _money(reckoned: Reckoned, item: str, lines: Sequence[int]) -> float:
    return _sum(reckoned.money[item], lines)


def _sum(values: Any, lines: Sequence[int]) -> float:
    return math.fsum(float(values[i]) for i in lines)


def _key(line: Line) -> tuple[bool, str, bool, str, str, str]:
    return line.tenant == OWN, line.tenant, line == OWN_LINE, line.kind, line.workload, line.pool


def iso(at: datetime) -> str:
    """An instant as text, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
