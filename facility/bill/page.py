"""Page: a bill to print, one for each tenant and one for the site, each a file that holds all it shows. It needs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from facility.bill.billed import Account, Billed, Entry
from facility.bill.reckon import ITEMS
from facility.bill.rows import OWN
from facility.bill.versions import Version
from facility.report.page.parts import Table, paragraph

SAYS = {
    "energy": "energy, at the price of each interval",
    "fees": "fees, network and tax on it",
    "export": "given back to the grid",
    "peak": "demand charges, by kW in the interval of the peak",
    "standing": "standing charge, by GPUs kept",
    "carbon": "carbon price of the energy",
    "fuel": "fuel of gensets",
    "water": "water, by cooling energy",
    "rent": "rent, for each GPU and hour kept",
    "slow": "credit for slow hours",
    "missed": "credit for GPU hours missed",
}
PARTS = (
    ("it", "GPUs and their hosts, by expected draw of who ran"),
    ("base", "base load of halls, by GPUs kept"),
    ("cooling", "cooling, by heat"),
    ("losses", "losses on the way, by energy through the feeders"),
    ("batteries", "batteries: losses by energy; the site has what they store"),
    ("generation", "own generation, the site's"),
)
STYLE = """
#lines :is(td, th), #accounts .number { white-space: nowrap; } tbody tr:last-child :is(td, th) { border-bottom: 0; }
:is(#owed, #energy, #accounts) tbody tr:last-child :is(td, th) { font-weight: 600; }
@media (max-width: 599px) { #lines :is(td, th) { white-space: normal; } }
@media print { #lines, #accounts { break-inside: auto; } #lines table { font-size: 7pt; } thead { display: table-header-group; } }
"""
"""Beside the house's own: what is summed up stands out, ids stay whole, long lists go on over pages with their heads."""
KINDS = {"contract": "rental", "job": "job", "free": "GPUs that nobody had"}


def tenant_page(bill: Billed, account: Account, version: Version) -> bytes:
    """One tenant's bill: what it owes, what its energy is made of, and each of its rentals and jobs; it tells of nobody else."""
    change = next((it for it in version.differences if it["tenant"] == account.tenant), None)
    own = {line.contract for line, _ in account.lines}
    parts = [_owed(bill, account.entry), _energy(account.entry), _lines(bill, account), *_notes(bill, bill.said(own))]
    return _page(bill, f"Bill of {account.name}", version, [change] if change else [], parts)


def site_page(bill: Billed, version: Version) -> bytes:
    """The site's bill: the accounts of all, and its own."""
    money = _money(bill)
    items = [item for item in ITEMS if any(each.entry.units[item] for each in bill.accounts)]
    rows = [
        (each.name if each.tenant != OWN else "the site's own", _number(each.entry.figures["gpu_h"]), _number(each.entry.figures["energy_kwh"]),
         _number(each.entry.figures["carbon_kg"]), *(money(each.entry.units[item]) for item in items), money(each.entry.total))
        for each in bill.accounts
    ]  # fmt: skip
    whole = bill.whole
    figures = whole.figures
    sums = (money(whole.units[item]) for item in items)
    rows.append(("together", _number(figures["gpu_h"]), _number(figures["energy_kwh"]), _number(figures["carbon_kg"]), *sums, money(whole.total)))
    head = ("", "GPU h", "kWh", "kg CO2", *items, f"total, {bill.site.currency}")
    accounts = Table("accounts", "Accounts", head, rows, range(1, len(head)), "; ".join(f"{item}: {SAYS[item]}" for item in items))
    zone = ZoneInfo(bill.site.timezone)
    peaks = [(p["charge"], p["month"], _local(p["start"], zone), _number(p["kw"]), f"{p['cost']:,.{bill.digits}f}") for p in bill.peaks]
    charged = [Table("peaks", "Demand charges", ("charge", "month", "interval", "kW", bill.site.currency), peaks, (3, 4))] if peaks else []
    own = [account for account in bill.accounts if account.tenant == OWN]
    parts = [accounts, *charged, _energy(whole), *(_lines(bill, account) for account in own), *_notes(bill, bill.said())]
    return _page(bill, f"Bill of {bill.site.name}", version, version.differences, parts)


def _owed(bill: Billed, entry: Entry) -> Table:
    money = _money(bill)
    rows = [(SAYS[item], money(entry.units[item])) for item in ITEMS if entry.units[item]]
    return Table("owed", "What is owed", ("", bill.site.currency), [*rows, ("together", money(entry.total))], (1,))


def _energy(entry: Entry) -> Table:
    figures = entry.figures
    rows = [(says, _number(figures[f"{part}_kwh"])) for part, says in PARTS if figures[f"{part}_kwh"]]
    rows.append(("together", _number(figures["energy_kwh"])))
    note = f"It emitted {_number(figures['carbon_kg'])} kg of CO2."
    if figures["peak_kw"]:
        note += f" In the interval of the highest peak that is charged it was {_number(figures['peak_kw'])} kW."
    return Table("energy", "Energy", ("", "kWh"), rows, (1,), note)


def _lines(bill: Billed, account: Account) -> Table:
    money = _money(bill)
    rows = [
        (line.workload or "-", KINDS[line.kind] if line.pool else "what nobody caused", line.pool,
         *(_number(entry.figures[name]) for name in ("promised_gpu_h", "gpu_h", "speed_gpu_h", "missed_gpu_h", "energy_kwh", "carbon_kg")),
         money(entry.total))
        for line, entry in account.lines
    ]  # fmt: skip
    head = ("", "what", "pool", "promised", "ran", "as fast as", "missed", "kWh", "kg CO2", bill.site.currency)
    note = "In GPU hours: what was promised, what ran, as how many at full speed that did the same work, and what was missed."
    return Table("lines", "Rentals and jobs", head, rows, range(3, len(head)), note, stacked=True)


def _notes(bill: Billed, assumed: Sequence[str]) -> Iterable[Table]:
    gaps = "gaps", "Gaps in what was measured", bill.gaps
    every = (("provisional", "Why it may change", bill.provisional), gaps, ("assumed", "Assumed", assumed))
    return (Table(key, title, ("",), [(text,) for text in texts]) for key, title, texts in every if texts)


def _page(bill: Billed, title: str, version: Version, differences: Sequence[dict[str, Any]], parts: Sequence[Table]) -> bytes:
    zone = ZoneInfo(bill.site.timezone)
    start, end = (at.astimezone(zone) for at in (bill.period.start, bill.period.end))
    span = f"{start:%d %b %Y %H:%M} to {end:%d %b %Y %H:%M}, {bill.site.timezone}; version {version.number}"
    status = paragraph("Provisional: it may change.", "status bad") if bill.provisional else paragraph("Final.", "status good")
    corrected = ""
    if version.number > 1:
        moved = "; ".join(f"{it['name']}: {it['difference']:+,.{bill.digits}f} {bill.site.currency}" for it in differences)
        said = f"Corrects version {version.number - 1}: {version.reason}, by {version.by}."
        corrected = paragraph(f"{said} Difference: {moved or 'none'}.", "soft")
    style = (files("facility.report.page") / "page.css").read_text(encoding="utf-8")
    sections = [f'<section id="{part.key}"><h2 id="{part.key}-title">{escape(part.title)}</h2>{part.html()}</section>' for part in parts]
    page = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">',
        f"<title>{escape(title)}, {escape(bill.period.name)}</title><style>{style}{STYLE}</style></head><body>",
        f"<header><h1>{escape(title)}, {escape(bill.period.name)}</h1>{paragraph(bill.site.name)}{paragraph(span)}{status}{corrected}</header><main>",
        *sections,
        "</main></body></html>\n",
    ]
    return "\n".join(page).encode()


def _money(bill: Billed) -> Any:
    return lambda units: f"{bill.money(units):,.{bill.digits}f}"


def _number(value: float) -> str:
    return f"{value + 0.0:,.1f}"


def _local(text: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%d %b %H:%M}"
