"""Faults 44, 45 and 58: the disk is full, read-only or locked; the journal is damaged, or of another version."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.recording import logbook
from facility.errors import InputError
from facility.journal.chain import CHAINED
from facility.journal.journal import Journal
from facility.journal.tables import VERSION
from tests.facility.test_account import VERSION_1
from tests.facility.test_daemon import NOW, House
from tests.faults.conftest import QUICK, WiredHouse
from tests.faults.fault import Fault
from tests.processes import CAPS, MOSQUITTO, POOL, ROOT, SITE, needs_mosquitto
from tests.processes import House as Processes

needs_unshare = pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
ALARM = f"{ROOT}/alarm/journal"
SMALL = "3m"


class SmallDisk(Processes):
    """A house whose daemon has its journal on a file system of its own, of `SMALL`, that it alone sees."""

    def child(self, name: str, *command: str, **more: Any) -> Any:
        if name == "daemon":
            self.disk = self.folder / "disk"
            self.disk.mkdir(exist_ok=True)
            inner = f'mount -t tmpfs -o size={SMALL} none {self.disk} && exec "$0" "$@" --state {self.disk}/journal.sqlite --history none'
            command = ("unshare", "-rm", "sh", "-c", inner, *command)
        return super().child(name, *command, **more)

    @property
    def inside(self) -> Path:
        """The daemon's disk, as it sees it."""
        return Path(f"/proc/{self.daemon.pid}/root{self.disk}")

    def fill(self) -> int:
        """Write until nothing more goes; how many bytes went."""
        with (self.inside / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while filler.write(b"\0" * 4096) == 4096:
                pass
        return (self.inside / "filler").stat().st_size

    def full(self) -> bool:
        try:
            (self.inside / "probe").write_bytes(b"\0" * 4096)
        except OSError:
            return True
        finally:
            (self.inside / "probe").unlink(missing_ok=True)
        return False


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    if MOSQUITTO is None:
        pytest.skip("needs the Mosquitto broker")
    with ExitStack() as stack:
        yield SmallDisk(tmp_path_factory.mktemp("small"), stack, version="3.1.1", settings=QUICK)


def plans_go_on(house: Processes, what: str) -> None:
    """Fresh caps are published though nothing can be written."""
    began = time.monotonic()
    house.until(lambda: len({m["plan_id"] for m in house.ear.since(began, CAPS)}) >= 2, 15, f"fresh caps while {what}")


@needs_mosquitto
@needs_unshare
def test_fault_44_on_a_full_disk_caps_go_out_commands_are_refused_and_room_ends_it(small: SmallDisk, fault: Fault) -> None:
    assert small.order(POOL, "before", "cap_w", 250)["status"] == "accepted"
    fault(small.fill)
    fault.proven(small.full, "there is room on the disk")
    refused = small.order(POOL, "amid", "cap_w", 200)
    assert (refused["status"], "could not be stored" in refused["reason"], "full" in refused["reason"]) == ("rejected", True, True)
    small.until(lambda: small.ear.told(ALARM), 5, "an alarm")
    assert "full" in small.ear.told(ALARM)["cause"]
    plans_go_on(small, "the disk is full")
    (small.inside / "filler").unlink()
    small.until(lambda: not small.ear.told(ALARM), 5, "the end of the alarm")
    assert small.order(POOL, "after", "cap_w", 220)["status"] == "accepted"
    small.clear(POOL, "after")
    for part in small.inside.glob("journal.sqlite*"):
        shutil.copy(part, small.folder)
    with closing(sqlite3.connect(small.folder / "journal.sqlite")) as db:
        told = [says for (says,) in db.execute("SELECT action || ' ' || target FROM event WHERE sort = 'alarm'")]
    assert [it for it in told if it.endswith(" journal")] == ["raised journal", "over journal"]


@needs_mosquitto
def test_fault_44_while_another_process_locks_the_journal_nothing_waits_for_it(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    with closing(sqlite3.connect(house.folder / "journal.sqlite", isolation_level=None, timeout=5)) as other:
        fault(lambda: other.execute("BEGIN IMMEDIATE"))
        fault.proven(lambda: other.in_transaction, "nobody locks it")
        began = time.monotonic()
        refused = house.order(POOL, "locked-out", "cap_w", 200)
        assert time.monotonic() - began < 2
        assert (refused["status"], "locked" in refused["reason"]) == ("rejected", True)
        house.until(lambda: house.ear.told(ALARM), 5, "an alarm")
        plans_go_on(house, "the journal is locked")
        other.execute("ROLLBACK")
    house.until(lambda: not house.ear.told(ALARM), 5, "the end of the alarm")
    assert house.order(POOL, "let-in", "cap_w", 200)["status"] == "accepted"
    house.clear(POOL, "let-in")


@needs_unshare
def test_fault_44_on_a_disk_that_is_read_only_the_daemon_says_so_and_does_not_start(tmp_path: Path, fault: Fault) -> None:
    def start(inner: str) -> subprocess.CompletedProcess[str]:
        run = (sys.executable, "-m", "facility", "run", SITE, "--broker", "mqtt://127.0.0.1:1", "--history", "none")
        shell = f'mount -t tmpfs none {tmp_path} && {inner} touch {tmp_path}/seen; timeout 60 "$0" "$@" --state {tmp_path}/journal.sqlite'
        return subprocess.run(["unshare", "-rm", "sh", "-c", shell, *run], check=False, capture_output=True, text=True, timeout=90)

    told = fault(lambda: start(f"mount -o remount,ro {tmp_path} &&"))
    fault.proven(lambda: told is not None and "Read-only file system" in told.stderr.splitlines()[0], "it can be written", within_s=0)
    assert told is not None
    assert told.returncode == 2
    assert "name a file in a folder that can be written" in told.stderr


def test_fault_44_a_disk_that_becomes_read_only_stops_no_caps_and_no_clear(tmp_path: Path, fault: Fault) -> None:
    house = House(tmp_path / "journal.sqlite")
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, id="x-1")
    db = house.journal._store._db
    fault(lambda: db.execute("PRAGMA query_only = 1"))

    def read_only() -> bool:
        with suppress(sqlite3.OperationalError):
            db.execute("CREATE TABLE proof (n)")
            return False
        return True

    fault.proven(read_only, "it can be written", within_s=0)
    refused = house.order("pool/h/p", "cap_w", 200, id="x-2")
    assert (refused["status"], "readonly" in refused["reason"]) == ("rejected", True)
    house.clock.advance(300)
    numbers = [house.retained("cap/h/p/desired")["seq"]]  # type: ignore[index]
    house.daemon.cycle()
    assert house.daemon.outcome.outcome == "published"
    numbers.append(house.retained("cap/h/p/desired")["seq"])  # type: ignore[index]
    assert numbers[0] < numbers[1]
    house.settle()
    assert house.retained("alarm/journal") is not None
    waiting = house.daemon.rooms.book.waiting
    assert waiting >= 2, "the cycle and what it sent"
    db.execute("PRAGMA query_only = 0")
    house.daemon.rooms.disk._tried_s -= 2
    house.settle()
    assert house.retained("alarm/journal") is None
    assert house.daemon.rooms.book.waiting == 0
    assert all(checked.broken is None for checked in house.journal.check())
    house.kill()


def settle(path: Path) -> None:
    """Bring what stands in the write-ahead log into the file."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_while_the_disk_fails_for_long_only_so_much_waits_and_what_is_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logbook, "MOST_WAITING", 4)
    house = House(tmp_path / "journal.sqlite")
    house.journal._store.trouble = "the disk is full"
    book = house.daemon.rooms.book
    book._waiting = deque(book._waiting, maxlen=4)
    for _ in range(5):
        house.clock.advance(300)
        house.daemon.cycle()
    assert book.waiting == 4
    house.journal._store.trouble = ""
    house.settle()
    assert book.waiting == 0
    assert [record.levelname for record in caplog.records if "records of what was sent were lost" in record.message] == ["WARNING"]
    house.kill()


def damaged_header(path: Path) -> None:
    settle(path)
    with path.open("r+b") as file:
        file.write(b"no database at all")


def damaged_middle(path: Path) -> None:
    settle(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)


def sound(path: Path) -> bool:
    """What SQLite itself says of a file."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    return False


@pytest.mark.parametrize("damage", [damaged_header, damaged_middle])
def test_fault_45_a_damaged_journal_is_put_aside_and_the_start_is_safe_and_told(
    tmp_path: Path, fault: Fault, damage: Callable[[Path], None]
) -> None:
    house = House(tmp_path / "journal.sqlite")
    for _ in range(3):
        house.daemon.cycle()
        house.clock.advance(300)
    house.order("pool/h/p", "cap_w", 150, id="x-1")
    epoch = house.daemon.rooms.epoch
    house.kill()
    fault(lambda: damage(house.path))
    fault.proven(lambda: not sound(house.path), "the file is whole", within_s=0)
    house.open()
    house.daemon.start()
    house.settle()
    assert house.daemon.outcome.mode == "SAFE"
    assert "the journal was damaged and lies at" in house.daemon.outcome.reason
    assert house.journal.put_aside is not None
    assert house.journal.put_aside.exists()
    assert house.daemon.rooms.epoch > epoch
    assert house.retained("alarm/journal-lost") is not None
    assert house.retained("override/pool/h/p/state") is None
    assert "x-1" in {entry.id for entry in house.journal.account(NOW) if entry.action == "cleared"}
    house.daemon.cycle()
    assert house.daemon.outcome.mode == "NORMAL"
    house.kill()


@needs_mosquitto
def test_fault_45_a_real_daemon_on_a_damaged_journal_starts_safe_and_names_the_overrides_that_are_lost(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    assert house.order(POOL, "will-be-lost", "cap_w", 200)["status"] == "accepted"
    journal, log = house.folder / "journal.sqlite", len(house.said())
    house.daemon.kill()
    house.daemon.wait(5)
    fault(lambda: damaged_header(journal))
    try:
        fault.proven(lambda: not sound(journal), "the file is whole")
    finally:
        began = time.monotonic()
        house.start_daemon()
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/journal-lost"), 20, "an alarm")
    answer = house.answer(POOL, "will-be-lost", began, 20)
    assert (answer["status"], "set it again" in answer["reason"]) == ("cleared", True)
    assert not house.ear.told(f"{ROOT}/override/{POOL}/state")
    assert "the journal was damaged and lies at" in house.said()[log:]
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")


@needs_mosquitto
def test_fault_45_of_a_journal_whose_newest_part_is_cut_off_what_was_lost_is_told(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    journal = house.folder / "journal.sqlite"
    settle(journal)
    assert house.order(POOL, "cut-off", "cap_w", 200)["status"] == "accepted"

    def known() -> bool:
        with closing(sqlite3.connect(journal)) as db:
            return bool(db.execute("SELECT count(*) FROM override WHERE id = 'cut-off'").fetchone()[0])

    house.daemon.kill()
    house.daemon.wait(5)
    fault(lambda: journal.with_name("journal.sqlite-wal").write_bytes(b""))
    try:
        fault.proven(lambda: not known(), "the journal knows the override")
    finally:
        began = time.monotonic()
        house.start_daemon()
    assert house.answer(POOL, "cut-off", began, 20)["status"] == "cleared"
    house.until(lambda: "cut-off" in (house.ear.told(f"{ROOT}/alarm/journal-lost") or {"cause": ""})["cause"], 5, "an alarm")
    assert not house.ear.told(f"{ROOT}/override/{POOL}/state")
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")


VERSION_2 = VERSION_1.replace("PRAGMA user_version = 1;", """
CREATE TABLE event (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, sort TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, says TEXT NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, result TEXT NOT NULL, id TEXT, signer TEXT);
CREATE INDEX event_at ON event (at_ms);
CREATE TABLE rental (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, contract TEXT NOT NULL, terms BLOB NOT NULL, start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, ended_ms INTEGER, how TEXT);
INSERT INTO event VALUES (3, 1782907200000, 'alarm', 'raised', 'a', 'hot', 'facility', '', 'alarm', NULL, NULL);
PRAGMA user_version = 2;
""")
"""A store as version 2 made it."""


@pytest.mark.parametrize(("made", "version"), [(VERSION_1, 1), (VERSION_2, 2)])
def test_fault_58_an_older_store_is_brought_up_to_date_with_what_stands_in_it(tmp_path: Path, fault: Fault, made: str, version: int) -> None:
    path = tmp_path / "journal.sqlite"

    def version_of() -> int:
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])

    def older() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.executescript(made)

    fault(older)
    fault.proven(lambda: version_of() == version, "it is of another version", within_s=0)
    house = House(path)
    assert version_of() == VERSION
    assert house.daemon.rooms.epoch == 42
    assert [it["id"] for it in house.retained("override/pool/h/p/state")["overrides"]] == ["a"]  # type: ignore[index]
    house.daemon.cycle()
    assert max(house.caps().values()) <= 250
    assert [(checked.table, checked.broken) for checked in house.journal.check()] == [(table, None) for table in CHAINED]
    house.kill()


def test_fault_58_a_newer_store_is_refused_and_left_as_it_is(tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()

    def newer() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {VERSION + 1}")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    fault(newer)
    fault.proven(lambda: path.read_bytes()[60:64] == (VERSION + 1).to_bytes(4, "big"), "the file's header says another version", within_s=0)
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"version {VERSION + 1}, newer than {VERSION}.*use the newer facility"):
        Journal(path)
    assert path.read_bytes() == before
