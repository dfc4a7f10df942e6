"""`facility bill`: what each tenant used and owes; every version is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from facility.bill.billed import Billed
from facility.bill.making import Request, make
from facility.bill.page import site_page, tenant_page
from facility.bill.reckon import ITEMS
from facility.bill.rows import OWN
from facility.bill.table import as_csv, as_parquet
from facility.bill.versions import Files, Version, Written, write
from facility.clock import SystemClock
from facility.errors import Fault, InputError

FINE = 0
WIDEST = 1000
"""No number of the table is ever cut, whatever the terminal."""
MOST_TENANTS = 50
"""Accounts that the printed table names; --json and the files have all."""


def run_bill(request: Request, out: Path | None, correct: str | None, by: str | None, *, as_json: bool) -> int:
    """Make the bill, write it, tell it; 0. InputError for bad input."""
    if correct is not None and (not correct.strip() or not by or out is None):
        raise InputError(Fault("--correct", "a correction has a reason, a person and a folder", "give --correct REASON --by NAME --out DIR"))
    with Progress(TextColumn("{task.description:>16}"), BarColumn(), TaskProgressColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)
        bill = make(request, SystemClock().now(), lambda what, share: progress.update(task, description=what, completed=share))
        progress.update(task, description="writing", completed=1.0)
        name = by or os.environ.get("USER") or "operator"
        written = None if out is None else write(out, bill, lambda version: _files(bill, version), reason=correct or "", by=name)
    if as_json:
        print(json.dumps(bill.document(), indent=2, allow_nan=False))
    else:
        _print(Console(), bill, written)
    return FINE


def _files(bill: Billed, version: Version) -> Files:
    pages = {f"{account.tenant}.html": tenant_page(bill, account, version) for account in bill.accounts if account.tenant != OWN}
    return {"csv": as_csv(bill), "parquet": as_parquet(bill), "html": site_page(bill, version), **pages}


def _print(console: Console, bill: Billed, written: Written | None) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    period = bill.period
    say(f"{bill.site.id}, {period.name}: {period.start:%Y-%m-%dT%H:%MZ} to {period.end:%Y-%m-%dT%H:%MZ}")
    items = [item for item in ITEMS if any(account.entry.units[item] for account in bill.accounts)]
    table = Table(show_edge=False)
    for name in ("", "GPU h", "kWh", "kg CO2", *items, f"total, {bill.site.currency}"):
        table.add_column(name, justify="right" if name else "left")
    shown = [account for account in bill.accounts if account.tenant != OWN][:MOST_TENANTS]
    own = [account for account in bill.accounts if account.tenant == OWN]
    rows = [(account.tenant or "the site's own", account.entry) for account in (*shown, *own)] + [("together", bill.whole)]
    for name, entry in rows:
        figures = (f"{entry.figures[key]:,.1f}" for key in ("gpu_h", "energy_kwh", "carbon_kg"))
        money = (f"{bill.money(units):,.{bill.digits}f}" for units in (*(entry.units[item] for item in items), entry.total))
        table.add_row(name, *figures, *money)
    wide = Console(width=WIDEST)
    Console(width=max(Measurement.get(wide, wide.options, table).maximum, console.width)).print(table)
    if len(bill.accounts) > len(shown) + len(own):
        say(f"... and {len(bill.accounts) - len(shown) - len(own)} more tenants (--json lists them all)")
    for kind, told in (("provisional", bill.provisional), ("gap", bill.gaps), ("assumed", bill.said())):
        for line in told:
            say(f"{kind}: {line}")
    if written is not None:
        _say_written(say, bill, written)


def _say_written(say: object, bill: Billed, written: Written) -> None:
    assert callable(say)
    version = written.version
    if not written.files:
        say(f"nothing has changed: version {version.number} stands")
        return
    if version.number > 1:
        moved = ", ".join(f"{it['name']} {it['difference']:+.{bill.digits}f}" for it in version.differences)
        say(f"corrects version {version.number - 1} ({version.reason}): {moved or 'no amount'}")
    say(f"written: {written.files[0].with_suffix('')} as json, csv, parquet, html, and a page for each tenant")
