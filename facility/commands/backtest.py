"""`facility backtest`: live through days of the past, ours beside what they cost otherwise; write the numbers, print a short table."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from facility.backtest.recording import CONTROLLER, journal_in
from facility.backtest.request import CONTROLLERS, Request
from facility.backtest.run import begin, compare, processors
from facility.errors import Fault, InputError
from facility.history import default_place

FINE, NO = 0, 1
ROWS: Sequence[tuple[str, str, str]] = (
    ("cost, {currency}", "cost", ",.1f"),
    ("energy, kWh", "energy_kwh", ",.1f"),
    ("peak, kW", "peak_kw", ",.1f"),
    ("carbon, kg", "carbon_kg", ",.1f"),
    ("jobs done", "jobs_done", ",d"),
    ("missed deadlines", "missed_deadlines", ",d"),
    ("mean turnaround, h", "mean_turnaround_h", ",.2f"),
    ("limits broken", "breaches", ",d"),
    ("caps moved, kW/h", "hunting_kw_per_h", ",.2f"),
)
"""What the table tells: the words, the key of `by_controller`, the format."""
MONEY = ("energy", "fees", "peak", "carbon", "wear", "short", "late", "carried", "stored")
"""Items of the bill that get a row where they are anything to anybody."""
MOST_BREACHES = 10


def run_backtest(request: Request, out: Path | None, workers: int | None, record: Path | None = None, *, as_json: bool) -> int:
    """Compare and tell; 0 where ours broke no limit, 1 where it did. InputError for bad input, and for a `record` of what is not lived."""
    if record is not None and CONTROLLER not in request.controllers:
        found, remedy = f"only {CONTROLLER} is recorded, and --only leaves it out", f"add --only {CONTROLLER}, or leave --only out"
        raise InputError(Fault("--record", found, remedy))
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    logging.getLogger("facility").setLevel(logging.ERROR)
    world = begin(request, out)
    columns = (TextColumn("{task.description:>10}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {name: progress.add_task(name, total=1.0) for name in request.controllers}
        many = workers or processors()
        numbers = compare(
            world, request, out, workers=many, tell=lambda name, share: progress.update(bars[name], completed=share), record=record
        )
    if as_json:
        print(json.dumps(numbers, indent=2, allow_nan=False))
    else:
        _print(Console(), numbers, out)
        if record is not None:
            print(f"recorded: {journal_in(record, world.site.id)} {default_place(world.site.id, record)}")
    return NO if numbers["breaches"] else FINE


def _print(console: Console, numbers: Mapping[str, Any], out: Path | None) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    told = numbers["by_controller"]
    names = [name for name in CONTROLLERS if name in told]
    say(f"{numbers['site']}, {numbers['start']} to {numbers['end']}, a decision every {numbers['cycle_s'] / 60:g} min")
    table = Table(show_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for words, key, form in ROWS:
        table.add_row(words.format(**numbers), *(_cell(told[name][key], form) for name in names))
    for item in MONEY:
        if any(abs(told[name]["costs"][item]) > 0.05 for name in names):
            table.add_row(f"  {item}, {numbers['currency']}", *(_cell(told[name]["costs"][item], ",.1f") for name in names))
    console.print(table)
    for name, key in (("ours", "saving_share_of_foresight"), ("rules", "rules_share_of_foresight")):
        if numbers[key] is not None:
            say(f"{name}: {100 * numbers[key]:.1f} % of what foresight saves")
    for breach in numbers["breaches"][:MOST_BREACHES]:
        amount = f"{breach['amount']:.2f} {breach['unit']}"
        say(f"breach: {breach['family']} of {breach['asset']} by {amount} from {breach['from']} to {breach['to']}")
    if len(numbers["breaches"]) > MOST_BREACHES:
        say(f"... and {len(numbers['breaches']) - MOST_BREACHES} more breaches (--json lists them all)")
    for name in [name for name in names if numbers["maintenance"]]:
        for line in kept_lines(name, told[name]):
            say(line)
    for missed in numbers["missed_that_foresight_met"][:MOST_BREACHES]:
        say(f"missed: job {missed['job']}: {missed['why']}")
    for assumption in numbers["assumed"]:
        say(f"assumed: {assumption}")
    if out is not None:
        say(f"written: {out}/summary.json intervals.parquet")


def kept_lines(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    """Whether contracts and jobs were kept while GPUs left."""
    below, stopped = told["below_floor"], told["stopped_by_maintenance"]
    slow, kept = ", ".join(f"{contract} at {told['slowest'][contract]:.3f}" for contract in below), len(told["slowest"])
    yield f"{name}: below their floors: {slow}" if below else f"{name}: {kept} contracts at their floors in every cycle"
    yield f"{name}: stopped as GPUs left: {', '.join(stopped)}" if stopped else f"{name}: no job stopped as GPUs left"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
