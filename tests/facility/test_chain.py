"""Cycles and the account are chained: whatever is done to the file beside the service shows, and where it begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.journal import cycles, pieces
from facility.journal.chain import Break
from facility.journal.entry import Entry
from facility.journal.journal import IDS_KEPT, CycleRecord, Journal
from facility.journal.pieces import named
from facility.journal.sendings import Sending
from facility.journal.store import StoreFault
from tests.facility.test_account import VERSION_1

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENTRY = Entry(NOON, "alarm", "raised", "a", "hot", id=None)

SENDING = Sending(NOON, 7, 1, b"{}", b"[]")


def cycle(number: int, outcome: str = "held") -> CycleRecord:
    return CycleRecord(NOON + number * DAY, number, "HOLD", outcome, "none", b'{"a": 1}', b"null", b"[]")  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ten cycles and ten entries, of ten days."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for i in range(1, 11):
            journal.record_cycle(cycle(i, "published" if i == 2 else "held"))
            journal.record_sending(replace(SENDING, at=NOON + i * DAY, first_seq=i), {named(b"%d" % i): b"%d" % i})
            journal.note(replace(ENTRY, at=NOON + i * DAY))
            journal.record_usage({NOON + i * DAY: ()}, "usage", b"{}")
    return path


def found(path: Path) -> dict[str, Break | None]:
    with Journal(path, read_only=True) as journal:
        return {checked.table: checked.broken for checked in journal.check()}


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        db.commit()


def test_what_was_left_alone_holds_and_is_counted(store: Path) -> None:
    with Journal(store, read_only=True) as journal:
        found = [(checked.table, checked.rows, checked.broken) for checked in journal.check()]
    assert found == [("cycle", 10, None), ("sending", 10, None), ("event", 10, None), ("usage", 10, None)]


@pytest.mark.parametrize(
    ("statement", "at"),
    [
        ("UPDATE {} SET at_ms = at_ms + 1 WHERE n = 4", 4),
        ("UPDATE {} SET at_ms = at_ms + 0.5 WHERE n = 4", 4),
        ("UPDATE {0} SET {1} = {1} || ' ' WHERE n = 4", 4),
        ("UPDATE {0} SET {1} = CASE typeof({1}) WHEN 'blob' THEN 'x' ELSE CAST({1} AS BLOB) END WHERE n = 4", 4),
        ("UPDATE {} SET hash = zeroblob(32) WHERE n = 10", 10),
        ("DELETE FROM {} WHERE n = 4", 4),
        ("DELETE FROM {} WHERE n <= 3", 1),
        ("DELETE FROM {} WHERE n >= 9", 9),
        ("DELETE FROM {}", 1),
        ("UPDATE {} SET n = -n WHERE n = 1", 1),
        ("UPDATE chain SET newest_n = 9 WHERE name = '{}'", 10),
    ],
)
@pytest.mark.parametrize(("table", "column"), [("cycle", "reason"), ("event", "reason"), ("sending", "messages"), ("usage", "rows")])
def test_a_row_that_is_changed_lost_or_put_in_is_where_the_chain_breaks(store: Path, table: str, column: str, statement: str, at: int) -> None:
    alter(store, statement.format(table, column))
    broken = {name: breach for name, breach in found(store).items() if breach is not None}
    assert [(name, breach.table, breach.n) for name, breach in broken.items()] == [(table, table, at)]


def test_two_columns_do_not_run_into_each_other(store: Path) -> None:
    alter(store, "UPDATE event SET target = target || substr(says, 1, 1), says = substr(says, 2) WHERE n = 7")
    assert found(store)["event"] == Break("event", 7, "it is not as it was written, or what stood before it is not")


def test_what_is_forgotten_leaves_an_anchor_from_which_the_rest_holds(store: Path) -> None:
    with Journal(store) as journal:
        journal.prune(NOON + 5 * DAY)
        assert [record.cycle for record in journal.cycles()] == [10, 9, 8, 7, 6, 5]
        assert journal.last_published() == cycle(2, "published")
        journal.prune(NOON + IDS_KEPT + 8 * DAY)
        journal.record_cycle(cycle(11))
        assert [(checked.rows, checked.broken) for checked in journal.check()] == [(1, None), (0, None), (3, None), (10, None)]
        assert journal.last_published() == cycle(2, "published")
    alter(store, "DELETE FROM event WHERE n = 8")
    assert found(store)["event"] == Break("event", 8, "it is missing")


def test_cycles_are_bounded_in_number_though_a_clock_was_ahead(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "MOST_CYCLES", 4)
    with Journal(store) as journal:
        journal.prune(NOON)
        assert [record.cycle for record in journal.cycles()] == [10, 9, 8, 7]
        assert journal.check()[0].broken is None


def test_a_piece_lasts_as_long_as_a_sending_that_named_it_and_must_be_what_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "AGAIN", 2)
    with Journal(store) as journal:
        for _ in range(3):
            journal.record_sending(replace(SENDING, at=NOON + 11 * DAY), {named(b"2"): b"2"})
        assert (journal.piece(named(b"1")), journal.piece(named(b"2"))) == (b"1", b"2")
        journal.prune(NOON + 11 * DAY)
        assert journal.piece(named(b"2")) == b"2"
        with pytest.raises(StoreFault, match="is missing"):
            journal.piece(named(b"1"))
        assert journal.piece(named(b"10")) == b"10"
        alter(store, "UPDATE piece SET bytes = (SELECT bytes FROM piece ORDER BY used LIMIT 1)")
        with pytest.raises(StoreFault, match="not as it was written"):
            journal.piece(named(b"2"))
        alter(store, "UPDATE piece SET bytes = x'00'")
        with pytest.raises(StoreFault, match="cannot be read"):
            journal.piece(named(b"2"))


def test_an_older_store_is_chained_as_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute("DELETE FROM cycle WHERE n = 2")
        db.commit()
    with Journal(path) as journal:
        assert [record.inputs for record in journal.cycles()] == [b"{}", b"{}"]
        journal.record_cycle(cycle(4))
        assert [(checked.rows, checked.broken) for checked in journal.check()] == [(3, None), (0, None), (6, None), (0, None)]
    alter(path, "UPDATE event SET says = 'nothing' WHERE n = 2")
    assert found(path)["event"] == Break("event", 2, "it is not as it was written, or what stood before it is not")


def test_a_look_at_the_chain_sees_one_instant_while_the_writer_goes_on(store: Path) -> None:
    with Journal(store) as writer, Journal(store, read_only=True) as reader, reader._store.look() as db:
        before = db.execute("SELECT newest_n FROM chain WHERE name = 'event'").fetchone()
        writer.note(ENTRY)
        assert db.execute("SELECT newest_n FROM chain WHERE name = 'event'").fetchone() == before
        assert {checked.table: checked.rows for checked in reader.check()}["event"] == 11


@pytest.mark.parametrize("outcome", ["published", "held"])
def test_what_was_packed_is_given_back(tmp_path: Path, outcome: str) -> None:
    told: Callable[[], CycleRecord] = lambda: replace(cycle(1, outcome), inputs=b'{"kw":[' + b"1," * 10_000 + b"1]}")  # noqa: E731
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.record_cycle(told())
        assert journal.cycles() == [told()]
