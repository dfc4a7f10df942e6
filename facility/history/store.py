"""The history as its one writer sees it: readings go in, old ones become means, the oldest go. Nothing here has a clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from facility.history.database import Database
from facility.history.tables import LEVELS, condense

Flat = list[int | str | float | None]
"""Readings one after another, four entries each: at_ms, name of the point, value, verdict."""


class History:
    """Every method raises StoreFault where the database fails; then nothing of what was asked is done."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._points: dict[str, int] | None = None
        self._verdicts: dict[str, int] = {}

    @property
    def put_aside(self) -> str | None:
        """Where a damaged predecessor lies; None where none was."""
        return self._db.put_aside

    def write(self, readings: Flat) -> None:
        """Add readings, all of them in one transaction."""
        if self._points is None:
            self._points, self._verdicts = self._numbers("point"), self._numbers("verdict")
        names, verdicts = readings[1::4], readings[3::4]
        points, told = _extended(self._points, names), _extended(self._verdicts, verdicts)
        before = (self._points, self._verdicts)
        with self._doubting(), self._db.transaction() as transaction:
            for table, had, after in zip(("point", "verdict"), before, (points, told), strict=True):
                for name in after.keys() - had.keys() if after is not had else ():
                    transaction.run(f"INSERT INTO {table} VALUES (?, ?)", after[name], name)
            transaction.load((
                readings[0::4],  # type: ignore[arg-type]
                [points[name] for name in names],  # type: ignore[index]
                readings[2::4],
                [told[name] for name in verdicts],  # type: ignore[index]
            ))
        self._points, self._verdicts = points, told

    def condense(self, level: int, before_ms: int, most: int) -> bool:
        """Make about `most` of the oldest rows of a level that lie before an instant into means of the next; False where there are none."""
        fine, coarse = LEVELS[level], LEVELS[level + 1]
        return self._take(fine.table, before_ms, most, condense(fine, coarse))

    def forget(self, level: int, before_ms: int, most: int) -> bool:
        """Forget about `most` of the oldest rows of a level that lie before an instant; False where there are none."""
        return self._take(LEVELS[level].table, before_ms, most, None)

    def begin_anew(self) -> None:
        """Put a damaged database aside and go on with an empty one."""
        self._points = None
        self._db.begin_anew()

    def close(self) -> None:
        """Let another writer in."""
        self._db.close()

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """After a fault nobody knows what the database still has of what it was told last."""
        try:
            yield
        except Exception:
            self._points = None
            raise

    def _take(self, table: str, before_ms: int, most: int, into: str | None) -> bool:
        with self._doubting():
            return self._took(table, before_ms, most, into)

    def _took(self, table: str, before_ms: int, most: int, into: str | None) -> bool:
        oldest = self._db.read(f"SELECT min(at_ms) FROM {table}")[0][0]
        if oldest is None or oldest >= before_ms:
            return False
        after = self._db.read(
            f"SELECT at_ms FROM {table} WHERE at_ms < ? ORDER BY at_ms LIMIT 1 OFFSET {most:d}",
            before_ms,
        )
        until = max(after[0][0], oldest + 1) if after else before_ms  # rows of one instant stay together
        with self._db.transaction() as transaction:
            if into is not None:
                transaction.run(into, oldest, until)
            transaction.run(f"DELETE FROM {table} WHERE at_ms >= ? AND at_ms < ?", oldest, until)
        return True

    def _numbers(self, table: str) -> dict[str, int]:
        return {name: n for n, name in self._db.read(f"SELECT n, name FROM {table}")}


def _extended(numbers: dict[str, int], names: Iterable[object]) -> dict[str, int]:
    """`numbers`, and the next ones for names that have none yet."""
    new = sorted({str(name) for name in set(names) - numbers.keys()})
    return numbers | {name: n for n, name in enumerate(new, start=len(numbers))} if new else numbers
