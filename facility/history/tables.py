"""The tables of the history, in the SQL that SQLite and PostgreSQL share.

    raw       a reading: when it was measured, its point, its value, the verdict on it
    minute    of a point and a minute: how many readings were believed and how many not; total, lowest and highest of those believed
    quarter   the same of 15 minutes

A reading stands in one of the three at any time: what is made into a mean leaves the table it was in with the same transaction. Rows are
keyed by instant and point in this order, so that writing, ageing and reading a span of time each touch one stretch of the table; the
other order is several times slower to write. Points and verdicts are numbered once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GOOD: Final = "good"
"""The verdict on a reading that is believed; its number is 0."""

NAMES: Final = """
CREATE TABLE point (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE verdict (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO verdict VALUES (0, 'good');
"""
RAW: Final = """
    at_ms BIGINT NOT NULL, point INTEGER NOT NULL, value DOUBLE PRECISION, verdict INTEGER NOT NULL, PRIMARY KEY (at_ms, point)"""
MEAN: Final = """
    at_ms BIGINT NOT NULL, point INTEGER NOT NULL, good BIGINT NOT NULL, bad BIGINT NOT NULL, total DOUBLE PRECISION NOT NULL,
    low DOUBLE PRECISION, high DOUBLE PRECISION, PRIMARY KEY (at_ms, point)"""

KEEP: Final = """
ON CONFLICT (at_ms, point) DO UPDATE SET value = excluded.value, verdict = excluded.verdict
WHERE excluded.verdict = 0 OR raw.verdict <> 0"""
"""Of two readings of one instant the later holds, unless only the earlier is believed."""


@dataclass(frozen=True)
class Level:
    """A table of readings or means, and the length of what one row stands for, ms."""

    table: str
    every_ms: int

    @property
    def rows(self) -> str:
        """Its rows between two instants, in the columns of a mean."""
        if self.table != "raw":
            return f"SELECT at_ms, point, good, bad, total, low, high FROM {self.table} WHERE at_ms >= ? AND at_ms < ?"
        return """
            SELECT at_ms, point, CASE WHEN verdict = 0 THEN 1 ELSE 0 END AS good, CASE WHEN verdict = 0 THEN 0 ELSE 1 END AS bad,
                CASE WHEN verdict = 0 THEN value ELSE 0.0 END AS total, CASE WHEN verdict = 0 THEN value END AS low,
                CASE WHEN verdict = 0 THEN value END AS high
            FROM raw WHERE at_ms >= ? AND at_ms < ?"""


LEVELS: Final = (Level("raw", 1), Level("minute", 60_000), Level("quarter", 900_000))

EVERY: Final = " UNION ALL ".join(level.rows for level in LEVELS)
"""Everything between two instants, which are asked for once for each level."""


def condense(fine: Level, coarse: Level) -> str:
    """The statement that adds the rows of `fine` between two instants to the means of `coarse`."""
    table, every_ms = coarse.table, coarse.every_ms
    return f"""
        INSERT INTO {table} (at_ms, point, good, bad, total, low, high)
        SELECT at_ms / {every_ms} * {every_ms}, point, sum(good), sum(bad), sum(total), min(low), max(high)
        FROM ({fine.rows}) AS old WHERE true GROUP BY 1, 2
        ON CONFLICT (at_ms, point) DO UPDATE SET
            good = {table}.good + excluded.good, bad = {table}.bad + excluded.bad, total = {table}.total + excluded.total,
            low = CASE WHEN {table}.low IS NULL OR excluded.low < {table}.low THEN excluded.low ELSE {table}.low END,
            high = CASE WHEN {table}.high IS NULL OR excluded.high > {table}.high THEN excluded.high ELSE {table}.high END"""
