"""Journals: computed again, copied, and put back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from facility.cli.options import By, Json


def replay(
    state: Annotated[Path, typer.Argument(help="the daemon's journal, also while it runs", metavar="JOURNAL", show_default=False)],
    cycles: Annotated[int | None, typer.Option(metavar="N", help="only the newest N cycles and what was sent since", min=1)] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="I", help="a bare date or an instant, UTC unless it says otherwise")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="I", help="a bare date or an instant, UTC unless it says otherwise")] = None,
    solve: Annotated[
        bool | None, typer.Option("--solve/--no-solve", help="solve every plan again, or none; default: those that this version made")
    ] = None,
    json: Json = False,
) -> None:
    """Compute again, from the journal, all that was decided and sent; say where it is not what was recorded."""
    from facility.commands.replay import run_replay

    raise typer.Exit(run_replay(state, cycles, start, end, solve, as_json=json))


def backup(
    state: Annotated[Path, typer.Argument(help="the daemon's journal, also while it runs", metavar="JOURNAL", show_default=False)],
    file: Annotated[Path, typer.Argument(help="the copy; an earlier one is replaced once the new one is whole", metavar="FILE", show_default=False)],
) -> None:
    """Copy the journal while the daemon runs, and check the copy.

    The history of readings is not in it. Keep copies elsewhere, with the heads that are printed: they prove later that nothing was changed.
    """
    from facility.commands.backup import run_backup

    raise typer.Exit(run_backup(state, file))


def restore(
    file: Annotated[Path, typer.Argument(help="a copy that `facility backup` made", metavar="FILE", show_default=False)],
    state: Annotated[Path, typer.Argument(help="the journal in whose place it is put, with no daemon on it", metavar="JOURNAL", show_default=False)],
    by: By = None,
) -> None:
    """Put a copy in the place of a journal that was lost or damaged; the old one is put aside.

    Numbers of orders go on above all that was ever sent. An override of which nobody knows any more whether it still stands ends, and is
    named: set again what should stand. Then start the daemon.
    """
    from facility.commands.backup import run_restore

    raise typer.Exit(run_restore(file, state, by or os.environ.get("USER") or "operator"))
