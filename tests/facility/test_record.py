"""What a cycle leaves behind - in the journal, in the history - can be read again, and what cannot be read is nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import facility
from facility.bus.memory import MemoryBroker
from facility.clock import ManualClock
from facility.daemon.answering.commitment import FACT
from facility.daemon.loop import Daemon
from facility.daemon.recording.record import decision_in, note_decision
from facility.decision import BatteryOrder, CapGroup, Decision, GensetOrder, PoolCaps
from facility.journal.journal import CycleRecord, Journal
from facility.planner import Request, plan
from tests.facility.test_daemon import SITE
from tests.facility.verify.by_hand import generating

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SENT = Decision(
    NOW, NOW + timedelta(minutes=15), (PoolCaps("p", 150, (CapGroup("c", 6, 300),)),),
    batteries=(BatteryOrder("b", -2.0),), gensets=(GensetOrder("g", 3.0),),
)  # fmt: skip


def recorded(decision: bytes) -> CycleRecord:
    return CycleRecord(NOW, 1, "NORMAL", "published", "why", b"{}", decision, b"[]")


def test_a_decision_is_read_from_its_record_as_it_was_and_what_cannot_be_read_is_none() -> None:
    told = msgspec.json.encode(SENT)
    assert decision_in(recorded(told)) == SENT
    for bad in (b"null", b"", b"{", told[:-1], told.replace(b'"pools"', b'"pulls"'), b'{"at": 1}'):
        assert decision_in(recorded(bad)) is None


def test_the_history_is_told_the_highest_cap_of_each_pool_and_what_batteries_and_gensets_were_ordered() -> None:
    noted: dict[str, float] = {}
    note_decision(generating(), None, 0, lambda point, _at, value, _quality: noted.update({point: value}))
    assert not noted
    note_decision(generating(), SENT, 0, lambda point, _at, value, _quality: noted.update({point: value}))
    assert noted == {"h/pool/p/sent_cap_w": 300.0, "site/battery/b/sent_power_kw": -2.0, "site/genset/g/sent_power_kw": 3.0}


def test_a_position_that_cannot_be_read_any_more_is_said_and_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(NOW)
    with Journal(tmp_path / "journal", clock=clock) as journal:
        journal.put(FACT, b'{"points": 7}')
        daemon = Daemon(SITE, MemoryBroker(clock.now).connect(), journal, clock)
    assert daemon.rooms.committed.kw((NOW, NOW + timedelta(hours=1))) == ()
    assert "the position that was committed cannot be read" in caplog.text


def test_a_notebook_finds_what_it_needs_in_the_package_and_nothing_else() -> None:
    assert (facility.plan, facility.Request) == (plan, Request)
    with pytest.raises(AttributeError, match="has no attribute 'plans'"):
        _ = facility.plans
