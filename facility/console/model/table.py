"""Table: what of many rows is looked at: those that a search finds, in an order, a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facility.console.model.rows import Row


@dataclass(frozen=True)
class Query:
    """What somebody wants to see: words that all must stand in a row, a column to sort by (None: as they come), and which page."""

    words: str = ""
    by: str | None = None
    descending: bool = False
    page: int = 1
    size: int = 25


@dataclass(frozen=True)
class Found:
    """A page of rows, and how many there are in all."""

    rows: tuple[Row, ...]
    count: int
    page: int


def look(rows: Sequence[Row], query: Query) -> Found:
    """Find the page that is asked for; one beyond the last is the last."""
    words = query.words.lower().split()
    found = [row for row in rows if all(word in row.found_by for word in words)] if words else list(rows)
    if query.by is not None:
        column = query.by
        found.sort(key=lambda row: (row.order.get(column, str(row.shown.get(column, ""))), row.id), reverse=query.descending)
    last = max(-(-len(found) // query.size), 1)
    page = min(max(query.page, 1), last)
    return Found(tuple(found[(page - 1) * query.size : page * query.size]), len(found), page)
