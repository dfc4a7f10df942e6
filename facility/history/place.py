"""Where a history lies: a file, or a database by its address."""

from __future__ import annotations

from pathlib import Path

from facility.clock import Clock, SystemClock
from facility.history.database import Database
from facility.history.store import History


def default_place(site: str, folder: Path = Path()) -> str:
    """The file of a site's history where nobody says another.

    >>> default_place("demo")
    'demo.history.sqlite'
    """
    return str(folder / f"{site}.history.sqlite")


def open_database(place: str, site: str, *, read_only: bool = False, clock: Clock | None = None) -> Database:
    """Open a file, or `postgresql://...`. Raises InputError for a place that cannot be used, StoreBusyError for a second writer."""
    if place.startswith(("postgresql://", "postgres://")):
        from facility.history.postgres import PostgresDatabase

        return PostgresDatabase(place, site, read_only=read_only)
    from facility.history.sqlite import SqliteDatabase

    return SqliteDatabase(Path(place), read_only=read_only, clock=clock or SystemClock())


def open_history(place: str, site: str, clock: Clock | None = None) -> History:
    """Open the history of a site to write it; see `open_database`."""
    return History(open_database(place, site, clock=clock))
