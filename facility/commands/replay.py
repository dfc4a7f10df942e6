"""`facility replay`: all that a journal says was decided and sent, computed again, beside a running daemon."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from facility.durations import parse_instant
from facility.journal.journal import Journal
from facility.replay.walk import Span, Tally, replay
from models.solving.solver import Solver

SHOWN = 10
"""Differences that are told."""


def run_replay(path: Path, newest: int | None, start: str | None, end: str | None, solve: bool | None, *, as_json: bool) -> int:
    """Print what came of it; 0 where the chains hold and nothing differs, else 1. InputError for a journal that cannot be read."""
    from rich.console import Console
    from rich.progress import Progress

    zone = ZoneInfo("UTC")
    since, until = (None if told is None else parse_instant(told, zone, name)[0] for told, name in ((start, "--from"), (end, "--to")))
    with Journal(path, read_only=True) as journal, Progress(console=Console(file=sys.stderr), transient=True) as bar:
        if newest is not None and (records := journal.cycles(newest)):
            first = records[-1].at
            since = first if since is None else max(since, first)
        task = bar.add_task("computing again", total=None)
        logging.disable()  # what the rooms say of what they decide was said when it was decided
        try:
            tally = replay(journal, Span(since, until, solve), Solver, lambda done, of: bar.update(task, completed=done, total=of))
        finally:
            logging.disable(logging.NOTSET)
    print(json.dumps(_shown(tally)) if as_json else _said(tally))
    return int(not tally.whole)


def _said(tally: Tally) -> str:
    differing = f", {len(tally.differences)} differences" if tally.differences else ""
    lines = [str(checked) for checked in tally.chains]
    lines.append(f"{tally.cycles} cycles, {tally.identical} identical{f', {tally.older} of an older version' if tally.older else ''}{differing}")
    lines.append(f"{tally.sendings} decisions and what followed of them, {tally.orders} orders, {tally.steps} of them steps on the way to one")
    lines.append(f"{tally.solved} plans solved again")
    lines += [f"{number} plans not solved again: {reason}" for reason, number in tally.unsolved.most_common()]
    lines += [str(difference) for difference in tally.differences[:SHOWN]]
    if len(tally.differences) > SHOWN:
        lines.append(f"and {len(tally.differences) - SHOWN} more")
    return "\n".join(lines)


def _shown(tally: Tally) -> dict[str, object]:
    def chain(head: bytes, broken: object) -> dict[str, object]:
        return {"head": head.hex(), "broken": broken}

    return {
        "at": datetime.now(UTC).isoformat(),
        "chains": {
            checked.table: {"rows": checked.rows}
            | chain(checked.head, None if checked.broken is None else {"row": checked.broken.n, "says": checked.broken.says})
            for checked in tally.chains
        },
        "cycles": tally.cycles,
        "identical": tally.identical,
        "older": tally.older,
        "sendings": tally.sendings,
        "orders": tally.orders,
        "steps": tally.steps,
        "solved": tally.solved,
        "unsolved": dict(tally.unsolved),
        "differences": [
            {"where": it.where, "field": it.field, "recorded": it.recorded, "computed": it.computed} for it in tally.differences
        ],
    }
