"""Fault 43: the daemon is killed at any instant, with commands coming all the time. `make kills KILLS=500` does it longer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from facility.journal.journal import Journal
from facility.replay.walk import Span, replay
from models.solving.solver import Solver
from tests.faults.fault import Fault
from tests.faults.kills import HEARD, QUICK, Ledger, chains, kill_often
from tests.processes import MOSQUITTO, House, end, needs_mosquitto

pytestmark = needs_mosquitto
KILLS = 20


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[House]:
    """A house of its own, for what it goes through."""
    assert MOSQUITTO is not None
    with ExitStack() as stack:
        yield House(tmp_path, stack, version="3.1.1", settings=QUICK, patterns=HEARD)


def test_fault_43_kill_9_at_any_instant_loses_no_acknowledged_command_and_brings_none_back(killed: House, fault: Fault) -> None:
    ledger = Ledger(random.Random(43))
    died = fault(lambda: kill_often(killed, ledger, KILLS))
    fault.proven(lambda: died == KILLS, "the kernel says of none that it was killed", within_s=0)
    end(killed.daemon)
    assert ledger.wrongs == []
    assert len(ledger.acknowledged) > KILLS
    assert len(ledger.restarts_s) > KILLS / 2
    journal = killed.folder / "journal.sqlite"
    assert chains(journal) == []
    with Journal(journal, read_only=True) as read:
        every = replay(read, Span(solve=False), Solver)
        newest = replay(read, Span(start=read.cycles(2)[-1].at), Solver)
    assert every.differences == newest.differences == []
    assert every.sendings > KILLS
    assert newest.cycles >= 1
