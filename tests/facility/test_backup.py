"""A journal is copied while its daemon writes, and put back so that no number and no override comes twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facility.bus.messages import OverrideResult
from facility.cli import app
from facility.clock import ManualClock
from facility.errors import InputError
from facility.journal.backup import back_up, restore
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreBusyError
from facility.overrides.proposal import Proposal

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(state: Path, clock: ManualClock) -> Iterator[Journal]:
    with Journal(state, clock=clock) as made:
        made.next_epoch()
        for name in ("kept", "cleared later", "ended"):
            hold(made, name)
        made.end_override("ended", NOON, "cleared")
        made.note(Entry(NOON, "alarm", "raised", "a", "hot"))
        yield made


def hold(journal: Journal, name: str) -> None:
    proposal = Proposal(name, "site", "hold", None, 8, NOON, NOON + HOUR, "ann", "")
    journal.save_override(proposal, OverrideResult(id=name, status="accepted"), at=NOON)


def standing(state: Path) -> list[str]:
    with Journal(state, read_only=True) as journal:
        return [proposal.id for proposal in journal.overrides()]


def test_a_copy_has_what_was_there_while_the_daemon_goes_on_and_lies_in_one_file(journal: Journal, state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    checked = back_up(state, copy)
    journal.note(Entry(NOON, "alarm", "over", "a", "hot"))
    assert [(it.table, it.rows, it.broken) for it in checked] == [("cycle", 0, None), ("sending", 0, None), ("event", 1, None), ("usage", 0, None)]
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.sqlite"]
    copy.chmod(0o400)
    assert standing(copy) == ["kept", "cleared later"]
    with Journal(copy, read_only=True) as read:
        assert len(read.account(NOON)) == 1


def test_a_copy_takes_the_place_of_the_one_before_only_when_it_is_whole(journal: Journal, state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(state, copy)
    sound = copy.read_bytes()
    with closing(sqlite3.connect(state)) as db:
        db.execute("UPDATE event SET says = 'cold'")
        db.commit()
    with pytest.raises(InputError, match=r"the chain of entries of the account breaks at row 1.*take an older copy"):
        back_up(state, copy)
    assert copy.read_bytes() == sound
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.sqlite"]


def test_what_is_restored_goes_on_above_every_epoch_and_brings_back_no_override_that_was_cleared(
    journal: Journal, state: Path, clock: ManualClock, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(state, copy)
    journal.end_override("cleared later", NOON, "cleared")
    hold(journal, "set later")
    epochs = [journal.next_epoch() for _ in range(3)]
    journal.close()
    clock.advance(60)
    done = restore(copy, state, clock, "ann")
    assert (done.ended, done.unknown) == ((), ("set later",))
    assert done.put_aside == tmp_path / "journal.sqlite.replaced-20260701T120100000000Z"
    assert standing(state) == ["kept"]
    with Journal(state, clock=clock) as after:
        assert after.next_epoch() > max(epochs)
        assert after.seen("set later") is not None, "an old message must not act again"
        assert all(it.broken is None for it in after.check())
        assert [(e.sort, e.action, e.actor) for e in after.account(NOON)][-1] == ("service", "restored", "ann")
    assert standing(done.put_aside) == ["kept", "set later"]


@pytest.mark.parametrize("left", [b"no database" * 500, None])
def test_where_the_old_journal_is_lost_every_override_ends_and_is_named(
    journal: Journal, state: Path, clock: ManualClock, tmp_path: Path, left: bytes | None
) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(state, copy)
    epoch = journal.next_epoch()
    journal.close()
    for part in tmp_path.glob("journal.sqlite*"):
        part.unlink()
    if left is not None:
        state.write_bytes(left)
    clock.advance(-86_400)
    done = restore(copy, state, clock, "ann")
    assert done.ended == ("kept", "cleared later")
    assert (done.put_aside is None) is (left is None)
    assert standing(state) == []
    with Journal(state, clock=clock) as after:
        assert after.next_epoch() > epoch


def test_nothing_is_restored_under_a_running_daemon(journal: Journal, state: Path, clock: ManualClock, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(state, copy)
    with pytest.raises(StoreBusyError, match="stop that daemon first"):
        restore(copy, state, clock, "ann")
    journal.note(Entry(NOON, "alarm", "over", "a", "hot"))


def test_a_copy_that_was_changed_is_not_restored(journal: Journal, state: Path, clock: ManualClock, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(state, copy)
    journal.close()
    before = state.read_bytes()
    with closing(sqlite3.connect(copy)) as db:
        db.execute("DELETE FROM event")
        db.commit()
    with pytest.raises(InputError, match="breaks at row 1"):
        restore(copy, state, clock, "ann")
    assert state.read_bytes() == before


def test_the_commands_say_what_they_did(journal: Journal, state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    told = CliRunner().invoke(app, ["backup", str(state), str(copy)])
    assert told.exit_code == 0
    assert "1 entries of the account are chained and whole, head " in told.stdout
    journal.end_override("kept", NOON, "cleared")
    journal.end_override("cleared later", NOON, "cleared")
    journal.close()
    lost = state.rename(tmp_path / "lost.sqlite")
    told = CliRunner().invoke(app, ["restore", str(copy), str(state), "--by", "ann"])
    assert told.exit_code == 0
    assert "overrides that ended, for nobody knows whether they still stand: kept, cleared later; set again what should stand" in told.stdout
    with Journal(lost) as old:
        hold(old, "set later")
    told = CliRunner().invoke(app, ["restore", str(copy), str(lost)])
    assert told.exit_code == 0
    assert f"the old journal lies at {lost}.replaced-" in told.stdout
    assert "overrides that stood in the old journal and are not in the copy: set later; set again what should stand" in told.stdout


def test_a_copy_that_does_not_fit_is_told_and_leaves_nothing(journal: Journal, state: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written .*give it room"):
        back_up(state, tmp_path / "missing" / "copy.sqlite")
