"""A database as the history sees it: questions, transactions, and many readings at once. Instants are whole ms since 1970, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Columns = tuple[Sequence[int], Sequence[int], Sequence[float | None], Sequence[int]]
"""Readings as columns of equal length: at_ms, number of the point, value, number of the verdict."""


class Transaction(Protocol):
    """What is done together or not at all. A `?` stands for each value."""

    def run(self, statement: str, *values: float | str) -> None:
        """Run one statement."""

    def load(self, readings: Columns) -> None:
        """Add readings to the table `raw`."""


class Database(Protocol):
    """Where a history lies; one process writes it. Every method raises StoreFault where the database fails."""

    @property
    def put_aside(self) -> str | None:
        """Where a damaged predecessor lies; None where none was."""

    def read(self, query: str, *values: float | str) -> list[Any]:
        """Give all rows of a query; a `?` stands for each value."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin one; at its end it is kept, and an exception undoes it."""

    def begin_anew(self) -> None:
        """Put what is damaged aside and go on with nothing."""

    def close(self) -> None:
        """Let another writer in."""
