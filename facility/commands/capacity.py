"""`facility capacity`: how many more GPUs fit under the connection, if they may be slowed where the site is short."""

from __future__ import annotations

import json
import logging
import tempfile
from itertools import islice
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from facility.capacity.answer import Answer, answer
from facility.capacity.page import write
from facility.capacity.question import Asked, question
from facility.capacity.telling import (
    COLUMNS,
    READ,
    as_json,
    capacity_csv,
    dumped,
    hours_csv,
    place_rows,
    said,
    short_rows,
    why_nothing,
)
from facility.errors import Fault, InputError

FINE, NO = 0, 1
MOST_PLACES = 10


def run_capacity(asked: Asked, out: Path | None, *, json_: bool) -> int:
    """Reckon, check and tell; 0 where some GPU fits, 1 where none does. InputError for bad input."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    put = question(asked)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(Fault(f"--out {out}", f"cannot be made: {error.strerror}", "name a folder that you may write")) from None
    columns, terminal = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()), Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("reading", total=1.0)
        told = answer(put, lambda what, share: progress.update(task, description=what, completed=share))
    if out is not None:
        _write(told, out)
    if json_:
        print(json.dumps(as_json(told), indent=2, allow_nan=False))
    else:
        _print(Console(), told, out)
    return FINE if told.fits else NO


def _write(told: Answer, out: Path) -> None:
    """Write the files beside their places, then move them there together."""
    try:
        with tempfile.TemporaryDirectory(prefix=".capacity-", dir=out) as new:
            for name, text in (("capacity.csv", capacity_csv(told)), ("hours.csv", hours_csv(told)), ("summary.json", dumped(told))):
                (Path(new) / name).write_text(text, encoding="utf-8")
            write(told, Path(new) / "capacity.html")
            for file in sorted(Path(new).iterdir()):
                file.replace(out / file.name)
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None


def _print(console: Console, told: Answer, out: Path | None) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    span, place = told.question.span, told.place
    dates = " to ".join(f"{at.astimezone(span.zone):%Y-%m-%d}" for at in (span.start, span.end))
    say(f"{span.site.id}, {dates}, {len(told.limit_kw):,} hours")
    if not told.fits:
        say(why_nothing(told))
    else:
        watts = f"{1000 * float(place.draws_kw(1.0)):.0f} W each with its host at full speed"
        say(f"{place.gpu_model} doing {place.curve}, {watts}, {place.words}")
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        rows = list(short_rows(told))
        for i, head in enumerate(COLUMNS):
            table.add_column(head, justify="left" if i == 1 else "right", width=max(map(len, (*head.split(), *(row[i] for row in rows)))))
        for row in rows:
            table.add_row(*row)
        console.print(table)
        say(READ)
        for line in said(told):
            say(line)
        if len(told.every) > 1:
            _print_places(console, told)
    for line in told.question.assumed:
        say(f"assumed: {line}")
    if out is not None:
        say(f"written: {out}/capacity.csv hours.csv summary.json capacity.html")


def _print_places(console: Console, told: Answer) -> None:
    """Every place on its own, those that take most first."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("each place by itself")
    table.add_column("model")
    for pct in told.question.slower_pct:
        table.add_column(f"{pct:g} %", justify="right")
    for row in islice(place_rows(told), MOST_PLACES):
        table.add_row(*row)
    console.print(table)
    if len(told.every) > MOST_PLACES:
        console.print(f"... and {len(told.every) - MOST_PLACES} places more (capacity.csv has them all)", highlight=False)
