"""`facility sweep`: many plans, one table and one chart."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from facility.errors import Fault, InputError
from facility.request import Request
from facility.sweep.crew import processors
from facility.sweep.outcome import Outcome
from facility.sweep.page import write
from facility.sweep.question import ask
from facility.sweep.sweep import Swept, sweep
from facility.sweep.telling import as_csv, as_json, dumped, said, short_columns, short_rows

FINE, NO, FAULT = 0, 1, 3


def run_sweep(request: Request, vary: Sequence[str], out: Path | None, processes: int | None, address: str | None, *, json_: bool) -> int:
    """Sweep and tell; 0 where every plan keeps every limit, 1 where one does not or is not there, 3 where there is none at all."""
    question = ask(request, vary)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(Fault(f"--out {out}", f"cannot be made: {error.strerror}", "name a folder that you may write")) from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task, lacking = progress.add_task("planning", total=len(question.cases)), 0

        def tell(told: Outcome) -> None:
            nonlocal lacking
            lacking += not told.made
            progress.update(task, advance=1, description=f"planning, {lacking} without a plan" if lacking else "planning")

        swept = sweep(question, tell, processes=processes or processors(), address=address, folder=out)
    if out is not None:
        _write(swept, out)
    if json_:
        print(json.dumps(as_json(swept), indent=2, allow_nan=False))
    else:
        _print(Console(), swept, out)
    if not any(told.made for told in swept.outcomes):
        return FAULT
    return FINE if all(told.made and not told.figures["breaches"] for told in swept.outcomes) else NO


def _write(swept: Swept, out: Path) -> None:
    """Write the files beside their places, then move them there together."""
    try:
        with tempfile.TemporaryDirectory(prefix=".sweep-", dir=out) as new:
            (Path(new) / "sweep.csv").write_text(as_csv(swept), encoding="utf-8")
            (Path(new) / "summary.json").write_text(dumped(swept), encoding="utf-8")
            write(swept, Path(new) / "sweep.html")
            for file in sorted(Path(new).iterdir()):
                file.replace(out / file.name)
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None


def _print(console: Console, swept: Swept, out: Path | None) -> None:
    console.print(f"{swept.question.site.id}, {len(swept.outcomes)} plans from {swept.question.request.start}", highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    keys, rows = len(swept.question.axes), list(short_rows(swept))
    for i, head in enumerate(short_columns(swept)):
        words = (*head.split(), *(row[i] for row in rows))  # on a narrow screen keys give way, no number does
        table.add_column(head, justify="right", overflow="fold", min_width=None if i < keys else max(map(len, words)))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for sentence in said(swept):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    if swept.taken:
        console.print(f"{swept.taken} of them had been made before", highlight=False)
    if out is not None:
        console.print(f"written: {out}/sweep.csv summary.json sweep.html", highlight=False, markup=False, soft_wrap=True)
