"""Who changed what, when, why and what came of it: the account in the journal, and an older journal that had none."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facility.bus.interface import Message
from facility.cli import app
from facility.daemon.recording.account import MOST_REFUSED, Account
from facility.errors import InputError
from facility.journal import entries
from facility.journal.entry import Entry
from facility.journal.journal import IDS_KEPT, Journal
from facility.journal.store import StoreFault
from facility.journal.tables import VERSION
from tests.facility.test_daemon import NOW, ROOT, House

VERSION_1 = """
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE fact (key TEXT PRIMARY KEY, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE override (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, value REAL, asked REAL,
    priority INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
    ended_ms INTEGER, how TEXT);
CREATE INDEX override_open ON override (n) WHERE ended_ms IS NULL;
CREATE TABLE cycle (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, cycle INTEGER NOT NULL, mode TEXT NOT NULL, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, inputs BLOB NOT NULL, decision BLOB NOT NULL, verdict BLOB NOT NULL);
CREATE INDEX cycle_at ON cycle (at_ms);
CREATE INDEX cycle_published ON cycle (n) WHERE outcome = 'published';
INSERT INTO counter VALUES ('epoch', 41), ('seq', 3000);
INSERT INTO fact VALUES ('telemetry', CAST('{}' AS BLOB));
INSERT INTO override VALUES
    (1, 'old', 'site', 'hold', NULL, NULL, 8, 1782907200000, 1782907260000, 'bo', 'a fire drill', 1782907260000, 'expired'),
    (2, 'a', 'pool/h/p', 'cap_w', 250, 350.5, 8, 1782907200000, 1782910800000, 'ann', 'repair', NULL, NULL);
INSERT INTO answer VALUES
    ('old', 1782907200000, CAST('{"id":"old","status":"accepted","reason":"hold on site"}' AS BLOB)),
    ('a', 1782907201000, CAST('{"id":"a","status":"clamped","effective":250,"reason":"cap 250 W on pool/h/p"}' AS BLOB)),
    ('bad', 1782907202000, CAST('{"id":"bad","status":"rejected","reason":"unknown target pool/h/q"}' AS BLOB));
INSERT INTO cycle VALUES
    (1, 1782907200000, 1, 'NORMAL', 'published', 'plan 1 verified', x'7b7d', x'6e756c6c', x'5b5d'),
    (2, 1782907500000, 2, 'NORMAL', 'published', 'plan 2 verified', x'7b7d', x'6e756c6c', x'5b5d'),
    (3, 1782907800000, 3, 'HOLD', 'held', 'no certified plan', x'7b7d', x'6e756c6c', x'5b5d');
PRAGMA journal_mode = WAL;
PRAGMA user_version = 1;
"""
"""A store as version 1 made it at noon of 1 July 2026, UTC."""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
    return path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    yield made
    made.kill()


def audit(house: House, *options: str) -> str:
    site = house.path.with_name("site.yaml")
    site.write_text(json.dumps(house.site.model_dump(mode="json", exclude_unset=True)))
    told = CliRunner().invoke(app, ["audit", str(site), "--state", str(house.path), *options])
    assert told.exit_code == 0, told.output
    return told.output


def test_an_older_store_keeps_what_it_had_and_its_account_begins_with_what_it_knew(older: Path) -> None:
    with Journal(older) as journal:
        assert [proposal.id for proposal in journal.overrides()] == ["a"]
        assert journal.overrides()[0].asked == 350.5
        assert (journal.next_epoch(), journal.next_seq()) == (42, 3001)
        assert (journal.get("telemetry"), [record.cycle for record in journal.cycles()]) == (b"{}", [3, 2, 1])
        assert journal.seen("bad") is not None
        told = [(e.at - NOW, e.sort, e.action, e.target, e.actor, e.result, e.id) for e in journal.account(NOW)]
    seconds = [at.total_seconds() for at, *_ in told]
    assert seconds == sorted(seconds)
    assert {tuple(row[1:]) for row in told} == {
        ("override", "set", "site", "bo", "accepted", "old"),
        ("override", "set", "pool/h/p", "ann", "clamped", "a"),
        ("override", "expired", "site", "facility", "", "old"),
        ("command", "set", "", "", "rejected", "bad"),
        ("mode", "NORMAL", "site", "facility", "", None),
        ("mode", "HOLD", "site", "facility", "NORMAL", None),
    }


def test_a_migrated_store_is_like_a_new_one(older: Path, tmp_path: Path) -> None:
    def shape(path: Path) -> tuple[int, set[tuple[str, str]]]:
        with closing(sqlite3.connect(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            return version, set(db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))

    Journal(older).close()
    Journal(tmp_path / "new.sqlite").close()
    assert shape(older) == shape(tmp_path / "new.sqlite")
    assert shape(older)[0] == VERSION


def test_a_migration_that_fails_leaves_the_older_store_as_it_was(older: Path) -> None:
    with closing(sqlite3.connect(older)) as db:
        db.execute("CREATE TABLE rental (in_the_way)")
        db.commit()
    with pytest.raises(InputError, match="cannot be opened"):
        Journal(older)
    with closing(sqlite3.connect(older)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'event'").fetchone() is None
        assert db.execute("SELECT count(*) FROM override").fetchone() == (2,)


def test_a_reader_of_an_older_store_is_told_to_start_the_daemon_once(older: Path) -> None:
    before = older.read_bytes()
    with pytest.raises(InputError, match="version 1, older than 4; start the daemon on it once"):
        Journal(older, read_only=True)
    assert older.read_bytes() == before


def test_the_audit_tells_beside_a_running_daemon_what_operators_did_and_how_it_ended(house: House) -> None:
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, id="x-1", reason="busbar warm", ttl_s=60)
    house.order("pool/h/q", "cap_w", 250, id="x-2", by="eve")
    house.say("override/site/set", b"{bad")
    house.kill()
    house.ear.publish(Message(f"{ROOT}/override/site/set", b'{"id":"x-3","kind":"stop","by":"eve"}', qos=1, retain=True))
    house.open()
    house.clock.advance(61)
    house.settle()
    told = audit(house).splitlines()
    cap = "cap 250 W on pool/h/p by ann (priority 8) from 2026-07-01 12:00 until 2026-07-01 12:01 UTC: busbar warm [x-1]"
    assert [line[25:] for line in told if "[x-1]" in line] == [
        f"ann set an override on pool/h/p: accepted: {cap}; expired 2026-07-01 12:01:01 UTC",
        f"override pool/h/p expired: its end came: {cap}",
    ]
    assert any("eve set an override on pool/h/q: rejected: unknown target" in line for line in told)
    assert any("somebody set an override on site: rejected" in line for line in told)
    assert any("eve set an override on site: rejected: it arrived retained" in line for line in told)
    assert any("alarm retained-command raised" in line for line in told)
    assert any("mode SAFE -> NORMAL: plan" in line for line in told)
    assert "daemon daemon started: version" in told[0]


def test_the_audit_is_of_one_person_one_target_or_the_last_hours(house: House) -> None:
    house.order("pool/h/p", "cap_w", 250, id="x-1")
    house.order("site", "hold", id="x-2", by="bo", ttl_s=60)
    house.clock.advance(3 * 3600)
    house.order("pool/h/p", "cap_w", 300, id="x-3", by="bo")
    ids = {option: [entry["id"] for entry in json.loads(audit(house, *option, "--json")) if entry["action"] == "set"]
           for option in ((), ("--by", "bo"), ("--target", "pool/h/p"), ("--since", "1h"), ("--since", "2026-07-01T13:00Z"))}  # fmt: skip
    assert list(ids.values()) == [["x-1", "x-2", "x-3"], ["x-2", "x-3"], ["x-1", "x-3"], ["x-3"], ["x-3"]]
    (hold,) = (entry for entry in json.loads(audit(house, "--json")) if entry["id"] == "x-2" and entry["action"] == "set")
    assert (hold["actor"], hold["reason"], hold["ended"]["how"]) == ("bo", "", "expired")


def test_restarts_are_told_with_their_epochs(house: House) -> None:
    house.daemon.close()
    house.kill()
    house.open()
    told = [(entry["action"], entry["says"]) for entry in json.loads(audit(house, "--json")) if entry["sort"] == "service"]
    epochs = [says.rpartition("epoch ")[2] for _, says in told]
    assert [action for action, _ in told] == ["started", "stopped", "started"]
    assert epochs[0] == epochs[1]
    assert int(epochs[2]) == int(epochs[0]) + 1


def test_the_audit_tells_whether_the_account_is_as_it_was_written(house: House) -> None:
    house.order("pool/h/p", "cap_w", 250, id="x-1")
    whole = audit(house).splitlines()
    assert [line.partition(", head")[0] for line in whole[-4:]] == [
        "0 cycles are chained and whole",
        "1 sendings are chained and whole",
        f"{len(whole) - 4} entries of the account are chained and whole",
        "0 quarters of usage are chained and whole",
    ]  # fmt: skip
    with closing(sqlite3.connect(house.path)) as db:
        db.execute("UPDATE event SET actor = 'eve' WHERE id = 'x-1'")
        db.commit()
    for option in ((), ("--json",)):
        command = ["audit", str(house.path.with_name("site.yaml")), "--state", str(house.path), *option]
        told = CliRunner().invoke(app, command)
        assert told.exit_code == 1
        assert "the chain of entries of the account breaks at row 2: it is not as it was written" in told.output


def test_an_audit_without_a_journal_is_bad_input(house: House) -> None:
    told = CliRunner().invoke(app, ["audit", "site_configs/demo.yaml", "--state", str(house.path) + "-none"])
    assert isinstance(told.exception, InputError)


def test_a_disk_that_fails_delays_the_account_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreFault("the disk is full")

    with Journal(tmp_path / "journal.sqlite") as journal:
        account = Account(journal)
        monkeypatch.setattr(Journal, "note", full)
        account.note(Entry(NOW, "alarm", "raised", "a", "one"))
        account.note(Entry(NOW, "alarm", "raised", "b", "two"))
        monkeypatch.undo()
        assert journal.account(NOW) == []
        account.note(Entry(NOW + timedelta(seconds=1), "alarm", "over", "a", "three"))
        assert [entry.says for entry in journal.account(NOW)] == ["one", "two", "three"]


def test_a_refused_position_is_in_the_account_and_a_retained_one_raises_the_alarm(house: House) -> None:
    house.say("position/set", {"id": "p-1", "by": "pat", "points": []})
    house.kill()
    house.ear.publish(Message(f"{ROOT}/position/set", b'{"id":"p-2","by":"eve","points":[]}', qos=1, retain=True))
    house.open()
    told = {entry.id: (entry.actor, entry.result) for entry in house.journal.account(NOW) if entry.sort == "position"}
    assert told == {"p-1": ("pat", "rejected"), "p-2": ("eve", "rejected")}
    assert house.retained("alarm/retained-command")["place"] == f"{ROOT}/position/set"  # type: ignore[index]


def test_a_flood_of_refused_commands_is_written_down_as_a_number_and_what_acts_beside_it_is(house: House) -> None:
    for i in range(MOST_REFUSED + 50):
        house.say("override/site/set", f"{{bad {i}".encode())
    house.order("pool/h/p", "cap_w", 250, id="x-1")
    house.clock.advance(60)
    house.order("pool/h/p", "cap_w", 240, id="x-2")
    told = house.journal.account(NOW)
    assert sum(entry.result == "rejected" for entry in told) == MOST_REFUSED + 1
    assert "50 more commands were refused than are written down" in {entry.says for entry in told}
    assert {"x-1", "x-2"} <= {entry.id for entry in told}


def test_the_account_is_bounded_in_number_and_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_ENTRIES", 3)
    with Journal(tmp_path / "journal.sqlite") as journal:
        for i in range(5):
            journal.note(Entry(NOW + timedelta(days=i), "alarm", "raised", "a", str(i)))
        journal.prune(NOW)
        assert [entry.says for entry in journal.account(NOW)] == ["2", "3", "4"]
        journal.prune(NOW + timedelta(days=4) + IDS_KEPT)
        assert [entry.says for entry in journal.account(NOW)] == ["4"]
