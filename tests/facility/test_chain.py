"""Cycles and the account are chained: whatever is done to the file beside the service shows, and where it begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.journal import cycles
from facility.journal.chain import Break
from facility.journal.entry import Entry
from facility.journal.journal import IDS_KEPT, CycleRecord, Journal
from tests.facility.test_account import VERSION_1

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENTRY = Entry(NOON, "alarm", "raised", "a", "hot", id=None)


def cycle(number: int, outcome: str = "held") -> CycleRecord:
    return CycleRecord(NOON + number * DAY, number, "HOLD", outcome, "none", b'{"a": 1}', b"null", b"[]")  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ten cycles and ten entries, of ten days."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for i in range(1, 11):
            journal.record_cycle(cycle(i, "published" if i == 2 else "held"))
            journal.note(replace(ENTRY, at=NOON + i * DAY))
    return path


def found(path: Path) -> list[Break | None]:
    with Journal(path, read_only=True) as journal:
        return [checked.broken for checked in journal.check()]


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        db.commit()


def test_what_was_left_alone_holds_and_is_counted(store: Path) -> None:
    with Journal(store, read_only=True) as journal:
        assert [(checked.table, checked.rows, checked.broken) for checked in journal.check()] == [("cycle", 10, None), ("event", 10, None)]


@pytest.mark.parametrize(
    ("statement", "at"),
    [
        ("UPDATE {} SET at_ms = at_ms + 1 WHERE n = 4", 4),
        ("UPDATE {} SET at_ms = at_ms + 0.5 WHERE n = 4", 4),
        ("UPDATE {} SET reason = reason || ' ' WHERE n = 4", 4),
        ("UPDATE {} SET reason = CAST(reason AS BLOB) WHERE n = 4", 4),
        ("UPDATE {} SET hash = zeroblob(32) WHERE n = 10", 10),
        ("DELETE FROM {} WHERE n = 4", 4),
        ("DELETE FROM {} WHERE n <= 3", 1),
        ("DELETE FROM {} WHERE n >= 9", 9),
        ("DELETE FROM {}", 1),
        ("UPDATE {} SET n = -n WHERE n = 1", 1),
        ("UPDATE chain SET newest_n = 9 WHERE name = '{}'", 10),
    ],
)
@pytest.mark.parametrize("table", ["cycle", "event"])
def test_a_row_that_is_changed_lost_or_put_in_is_where_the_chain_breaks(store: Path, table: str, statement: str, at: int) -> None:
    alter(store, statement.format(table))
    broken = found(store)
    mine, other = broken if table == "cycle" else reversed(broken)
    assert other is None
    assert mine is not None
    assert (mine.table, mine.n) == (table, at)


def test_two_columns_do_not_run_into_each_other(store: Path) -> None:
    alter(store, "UPDATE event SET target = target || substr(says, 1, 1), says = substr(says, 2) WHERE n = 7")
    assert found(store)[1] == Break("event", 7, "it is not as it was written, or what stood before it is not")


def test_what_is_forgotten_leaves_an_anchor_from_which_the_rest_holds(store: Path) -> None:
    with Journal(store) as journal:
        journal.prune(NOON + 5 * DAY)
        assert [record.cycle for record in journal.cycles()] == [10, 9, 8, 7, 6, 5]
        assert journal.last_published() == cycle(2, "published")
        journal.prune(NOON + IDS_KEPT + 8 * DAY)
        journal.record_cycle(cycle(11))
        assert [(checked.rows, checked.broken) for checked in journal.check()] == [(1, None), (3, None)]
        assert journal.last_published() == cycle(2, "published")
    alter(store, "DELETE FROM event WHERE n = 8")
    assert found(store)[1] == Break("event", 8, "it is missing")


def test_cycles_are_bounded_in_number_though_a_clock_was_ahead(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "MOST_CYCLES", 4)
    with Journal(store) as journal:
        journal.prune(NOON)
        assert [record.cycle for record in journal.cycles()] == [10, 9, 8, 7]
        assert journal.check()[0].broken is None


def test_an_older_store_is_chained_as_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute("DELETE FROM cycle WHERE n = 2")
        db.commit()
    with Journal(path) as journal:
        assert [record.inputs for record in journal.cycles()] == [b"{}", b"{}"]
        journal.record_cycle(cycle(4))
        assert [(checked.rows, checked.broken) for checked in journal.check()] == [(3, None), (6, None)]
    alter(path, "UPDATE event SET says = 'nothing' WHERE n = 2")
    assert found(path)[1] == Break("event", 2, "it is not as it was written, or what stood before it is not")


def test_a_look_at_the_chain_sees_one_instant_while_the_writer_goes_on(store: Path) -> None:
    with Journal(store) as writer, Journal(store, read_only=True) as reader, reader._store.look() as db:
        before = db.execute("SELECT newest_n FROM chain WHERE name = 'event'").fetchone()
        writer.note(ENTRY)
        assert db.execute("SELECT newest_n FROM chain WHERE name = 'event'").fetchone() == before
        assert reader.check()[1].rows == 11


@pytest.mark.parametrize("outcome", ["published", "held"])
def test_what_was_packed_is_given_back(tmp_path: Path, outcome: str) -> None:
    told: Callable[[], CycleRecord] = lambda: replace(cycle(1, outcome), inputs=b'{"kw":[' + b"1," * 10_000 + b"1]}")  # noqa: E731
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.record_cycle(told())
        assert journal.cycles() == [told()]
