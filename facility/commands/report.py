"""`facility report`: what a site did in a month: key figures, contracts, calls of the grid."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from facility.clock import SystemClock
from facility.config import load_site
from facility.errors import Fault, InputError
from facility.history import default_place
from facility.history.place import open_database
from facility.history.reading import Reader
from facility.inputs.events import read_events
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.report.month.gather import Told, gather
from facility.report.month.page import write_report
from facility.report.month.signals import Files
from facility.report.month.span import Span, month_of, span_of
from facility.report.month.summary import summary
from facility.report.month.tables import Rows, tables
from facility.site import Site

FINE, NO = 0, 1
NARROW = {"figures": (0, 1, 2, 3), "contracts": (0, 1, 2, 3, 4, 5, 8), "calls": (0, 2, 4, 5, 6, 7, 8)}
"""The columns of a table that a terminal has room for; those of others are on the page."""
FILES = ("summary.json", "report.html")


@dataclass(frozen=True)
class Asked:
    """What is asked for: a month, or from one date to another; where the journal and the history lie; files."""

    month: str | None
    start: str | None
    end: str | None
    state: Path | None
    history: str | None
    files: Files
    events: str | None


def run_report(site_file: str, settings: tuple[str, ...], asked: Asked, out: Path | None, *, as_json: bool) -> int:
    """Print or write it; 0, or 1 where no meter told anything. Raises InputError."""
    site = load_site(site_file, settings)
    told = _told(site, asked)
    if out is not None:
        _write(told, out)
    if as_json:
        print(_json(told))
    else:
        _print(told, out)
    return FINE if told.peak_kw is not None else NO


def _told(site: Site, asked: Asked) -> Told:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    folder = Path() if asked.state is None else asked.state.parent
    place, terminal = asked.history or default_place(site.id, folder), Console(stderr=True)
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), console=terminal, transient=True, disable=not terminal.is_terminal)
    try:
        with ExitStack() as stack, bar:
            task = bar.add_task("reading")
            database = stack.enter_context(closing(open_database(place, site.id, read_only=True)))
            reader = Reader(database)
            span = _span(asked, site, reader)
            journal = _journal(site, asked.state)
            if journal is not None:
                stack.enter_context(journal)
            events = () if asked.events is None else read_events(asked.events, site, timezone=asked.files.timezone)
            return gather(site, span, reader, journal, asked.files, events, lambda said: bar.update(task, description=said))
    except StoreFault as fault:
        raise InputError(Fault("--history", str(fault), "name the history and the journal of a running site")) from fault


def _span(asked: Asked, site: Site, reader: Reader) -> Span:
    """The span; a rehearsal's clock may be ahead of ours, so that what was read last may be later than now."""
    zone, now = ZoneInfo(site.timezone), SystemClock().now()
    now = max(now, reader.newest() or now)
    if asked.month is not None and asked.start is None and asked.end is None:
        return month_of(asked.month, zone, now)
    if asked.month is None and asked.start is not None and asked.end is not None:
        return span_of(asked.start, asked.end, zone, now)
    raise InputError(Fault("--month", "is what is reported, or --from and --to are", "give --month 2026-07, or both of the others"))


def _journal(site: Site, state: Path | None) -> Journal | None:
    """The journal; None where nobody named one and there is none here."""
    path = Path(f"{site.id}.sqlite") if state is None else state
    return None if state is None and not path.exists() else Journal(path, read_only=True)


def _json(told: Told) -> str:
    return json.dumps(summary(told), indent=2, allow_nan=False)


def _write(told: Told, out: Path) -> None:
    """Write the files beside their places, then move them there together."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as new:
            (Path(new) / "summary.json").write_text(_json(told) + "\n", encoding="utf-8")
            write_report(told, Path(new) / "report.html")
            for name in FILES:
                (Path(new) / name).replace(out / name)
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None


def _print(told: Told, out: Path | None) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"{told.site.id}, {told.span.name}")
    for rows in tables(told):
        if rows.key in NARROW:
            say("")
            say(rows.title)
            console.print(_table(rows))
    for why in told.interim:
        say(f"interim: {why}")
    for said in told.assumed:
        say(f"assumed: {said}")
    if out is not None:
        say(f"written: {out}/{' '.join(FILES)}")


def _table(rows: Rows) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i in NARROW[rows.key]:
        table.add_column(rows.head[i], justify="right" if i in rows.numeric else "left", overflow="fold")
    for row in rows.rows:
        table.add_row(*(row[i] for i in NARROW[rows.key]))
    return table
