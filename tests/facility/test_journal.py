"""The journal keeps what must survive a crash, for one writer and many readers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from facility.bus.messages import OverrideResult
from facility.clock import ManualClock
from facility.errors import InputError
from facility.journal import counters
from facility.journal.counters import SEQ_BLOCK
from facility.journal.journal import IDS_KEPT, CycleRecord, Journal
from facility.journal.store import StoreBusyError, StoreFault
from facility.overrides.proposal import Proposal

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CAP = Proposal("a", "site", "cap_w", 300.0, 8, NOON, NOON + HOUR, "anna", "repair", asked=350.5)
ACCEPTED = OverrideResult(id="a", status="clamped", effective=300.0, until=NOON + HOUR, reason="cap 300 W")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def cycle(number: int, outcome: str = "published", at: datetime = NOON) -> CycleRecord:
    return CycleRecord(at, number, "NORMAL", outcome, "fresh", b'{"a": 1}', b'{"b": 2}', b"[]")  # type: ignore[arg-type]


def test_what_is_stored_is_there_after_reopening(store: Path) -> None:
    with Journal(store) as journal:
        journal.save_override(CAP, ACCEPTED, at=NOON)
        journal.put("peak", b"1")
        journal.put("peak", b"2")
        journal.record_cycle(cycle(1))
    with Journal(store) as journal:
        assert journal.overrides() == [CAP]
        assert journal.seen("a") == ACCEPTED
        assert journal.seen("b") is None
        assert (journal.get("peak"), journal.get("plan")) == (b"2", None)
        assert journal.cycles() == [cycle(1)]
        assert journal.put_aside is None


def test_an_ended_override_stays_ended_and_its_id_stays_known(store: Path) -> None:
    with Journal(store) as journal:
        journal.save_override(CAP, ACCEPTED, at=NOON)
        journal.end_override("a", NOON, "cleared")
        journal.end_override("a", NOON + HOUR, "expired")
    with Journal(store) as journal:
        assert journal.overrides() == []
        assert journal.seen("a") == ACCEPTED
    with sqlite3.connect(store) as db:
        assert db.execute("SELECT how FROM override").fetchone() == ("cleared",)


def test_an_override_and_its_answer_are_stored_together_or_not_at_all(store: Path) -> None:
    with Journal(store) as journal:
        journal.save_answer(ACCEPTED, at=NOON)
        with pytest.raises(StoreFault):
            journal.save_override(CAP, ACCEPTED, at=NOON)
        assert journal.overrides() == []
        journal.put("still", b"1")


def test_an_answer_and_the_facts_that_it_changed_are_stored_together_or_not_at_all(store: Path) -> None:
    with Journal(store) as journal:
        journal.save_answer(ACCEPTED, at=NOON, facts={"told": b"1"})
        with pytest.raises(StoreFault):
            journal.save_answer(ACCEPTED, at=NOON, facts={"told": b"2"})
        assert journal.get("told") == b"1"


def test_epochs_rise_with_every_start(store: Path) -> None:
    epochs = []
    for _ in range(3):
        with Journal(store) as journal:
            epochs.append(journal.next_epoch())
    assert epochs == sorted(set(epochs))


def test_a_new_journal_begins_ahead_of_one_that_was_lost(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "old", clock=ManualClock(NOON)) as old,
        Journal(tmp_path / "new", clock=ManualClock(NOON + HOUR)) as new,
    ):
        assert new.next_epoch() > old.next_epoch()


def test_an_epoch_rises_though_the_clock_falls_back_to_1970(store: Path) -> None:
    with Journal(store, clock=ManualClock(NOON)) as journal:
        first = journal.next_epoch()
    with Journal(store, clock=ManualClock(datetime(1970, 1, 1, tzinfo=UTC))) as journal:
        assert journal.next_epoch() == first + 1


def test_sequence_numbers_rise_across_reservations_and_starts(store: Path) -> None:
    numbers = []
    for _ in range(2):
        with Journal(store) as journal:
            numbers += [journal.next_seq() for _ in range(3 * SEQ_BLOCK)]
    assert all(a < b for a, b in pairwise(numbers))


def test_numbers_go_on_while_the_disk_fails_and_above_them_afterwards(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with Journal(store) as journal:
        numbers = [journal.next_seq() for _ in range(SEQ_BLOCK // 2)]
        monkeypatch.setattr(counters, "count", full)
        numbers += [journal.next_seq() for _ in range(3 * SEQ_BLOCK)]
        assert numbers == list(range(1, len(numbers) + 1))
        monkeypatch.undo()
        assert journal.probe()
        numbers += [journal.next_seq() for _ in range(SEQ_BLOCK)]
        assert all(a < b for a, b in pairwise(numbers))
    with Journal(store) as journal:
        assert journal.next_seq() > max(numbers)


def test_while_the_disk_fails_whoever_writes_is_refused_at_once_and_a_probe_ends_it(store: Path) -> None:
    with Journal(store) as journal, closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreFault, match="locked"):
            journal.put("a", b"1")
        first_s = time.monotonic() - began
        assert "locked" in journal.trouble
        for _ in range(1000):
            with pytest.raises(StoreFault, match="locked"):
                journal.put("a", b"1")
        assert time.monotonic() - began - first_s < first_s + 1
        assert not journal.probe()
        other.execute("ROLLBACK")
        assert journal.probe()
        assert journal.trouble == ""
        journal.put("a", b"1")
        assert journal.get("a") == b"1"


def test_a_row_that_does_not_fit_is_no_trouble_of_the_disk(store: Path) -> None:
    with Journal(store) as journal:
        journal.save_answer(ACCEPTED, at=NOON)
        with pytest.raises(StoreFault):
            journal.save_answer(ACCEPTED, at=NOON)
        assert journal.trouble == ""


def test_a_second_writer_is_refused_and_told_who_writes(store: Path) -> None:
    with Journal(store):
        with pytest.raises(StoreBusyError, match=f"process {os.getpid()} writes.*stop that daemon"):
            Journal(store)
        with pytest.raises(StoreBusyError):
            Journal(store)
    Journal(store).close()


def test_a_forked_child_does_not_keep_the_lock(store: Path) -> None:
    journal = Journal(store)
    forking = multiprocessing.get_context("fork")
    running, done = forking.Event(), forking.Event()

    def live() -> None:
        running.set()
        done.wait()

    child = forking.Process(target=live)
    child.start()
    running.wait()
    try:
        journal.close()
        Journal(store).close()
    finally:
        done.set()
        child.join()


def test_a_killed_writer_lets_go_and_no_number_comes_twice(store: Path) -> None:
    program = """
import sys
from facility.journal.journal import Journal
journal = Journal(sys.argv[1])
print(journal.next_epoch(), *(journal.next_seq() for _ in range(1500)), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, store],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        epoch, *numbers = map(int, child.stdout.readline().split())
        with pytest.raises(StoreBusyError):
            Journal(store)
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Journal(store) as journal:
        assert journal.next_epoch() > epoch
        assert journal.next_seq() > max(numbers)


def test_a_reader_sees_what_the_writer_commits_and_cannot_write(store: Path) -> None:
    with Journal(store) as writer, Journal(store, read_only=True) as reader:
        writer.record_cycle(cycle(1))
        assert reader.cycles() == [cycle(1)]
        writer.record_cycle(cycle(2))
        assert len(reader.cycles()) == 2
        with pytest.raises(StoreFault, match="readonly"):
            reader.put("a", b"1")


def test_another_process_reads_while_one_writes(store: Path) -> None:
    program = "import sys; from facility.journal.journal import Journal; print(Journal(sys.argv[1], read_only=True).get('plan'))"
    with Journal(store) as writer:
        writer.put("plan", b"{}")
        done = subprocess.run(
            [sys.executable, "-c", program, store], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
    assert done.stdout.strip() == "b'{}'"


def test_a_slow_reader_does_not_stop_the_writer(store: Path) -> None:
    with Journal(store) as writer, closing(sqlite3.connect(store, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM fact").fetchall()
        writer.put("plan", b"{}")
        assert reader.execute("SELECT * FROM fact").fetchall() == []


def test_reading_needs_a_journal(store: Path) -> None:
    with pytest.raises(InputError, match="name the store of a running site"):
        Journal(store, read_only=True)


def test_a_newer_version_is_refused_and_left_as_it_is(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 99")
    before = store.read_bytes()
    with pytest.raises(InputError, match=r"version 99, newer than 4.*use the newer facility"):
        Journal(store)
    assert store.read_bytes() == before


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder that can be written"):
        Journal(tmp_path / "missing" / "journal.sqlite")


@pytest.mark.parametrize("damage", ["garbage", "torn", "page"])
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(store: Path, damage: str) -> None:
    with Journal(store, clock=ManualClock(NOON)) as journal:
        old = journal.next_epoch()
        for number in range(200):
            journal.record_cycle(cycle(number))
    sound = store.read_bytes()
    broken = {
        "garbage": b"no database" * 500,
        "torn": sound[: len(sound) // 2],
        "page": sound[:8192] + b"\xff" * 8192 + sound[16384:],
    }[damage]
    store.write_bytes(broken)
    with Journal(store, clock=ManualClock(NOON + HOUR)) as journal:
        assert journal.put_aside == store.with_name("journal.sqlite.corrupt-20260701T130000000000Z")
        assert journal.put_aside.read_bytes() == broken
        assert journal.cycles() == []
        assert journal.next_epoch() > old
    with Journal(store) as journal:
        assert journal.put_aside is None


def test_cycles_come_newest_first_and_the_last_published_is_found(store: Path) -> None:
    with Journal(store) as journal:
        assert journal.last_published() is None
        for number, outcome in enumerate(["published", "published", "held", "safe"]):
            journal.record_cycle(cycle(number, outcome))
        assert [record.cycle for record in journal.cycles(3)] == [3, 2, 1]
        assert journal.last_published() == cycle(1)


def test_pruning_keeps_the_last_published_cycle_and_the_ids_of_overrides(store: Path) -> None:
    with Journal(store) as journal:
        for number, outcome in enumerate(["published", "published", "held"]):
            journal.record_cycle(cycle(number, outcome))
        journal.record_cycle(cycle(3, "held", NOON + HOUR))
        journal.save_override(CAP, ACCEPTED, at=NOON)
        journal.save_override(replace(CAP, id="open"), OverrideResult(id="open", status="accepted"), at=NOON)
        journal.save_answer(OverrideResult(id="bad", status="rejected"), at=NOON)
        journal.end_override("a", NOON, "expired")
        journal.prune(NOON + HOUR)
        assert [record.cycle for record in journal.cycles()] == [3]
        assert journal.last_published() == cycle(1)
        assert journal.seen("a") == ACCEPTED
        assert journal.seen("bad") is None
        journal.prune(NOON + IDS_KEPT + 2 * HOUR)
        assert journal.seen("a") is None
        assert [proposal.id for proposal in journal.overrides()] == ["open"]


def test_pruning_bounds_the_file(store: Path) -> None:
    big = replace(cycle(0), inputs=b"x" * 20_000)

    def day(journal: Journal, start: datetime) -> int:
        for minute in range(0, 600, 5):
            journal.record_cycle(replace(big, at=start + timedelta(minutes=minute)))
        journal.prune(start)
        return store.stat().st_size

    with Journal(store) as journal:
        sizes = [day(journal, NOON + timedelta(days=n)) for n in range(6)]
    assert sizes[5] <= 1.1 * sizes[2]
