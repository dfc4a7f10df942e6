"""What the daemon counts as it goes and keeps in the journal; the site and the bus are those of `test_daemon`.

A GPU of `c` at 250 W is as fast as 0.6 of one at 400 W; what is sent lasts 900 s, and the fallback is 400 W.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.used import FACT, Used
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.usage.usage import Usage
from tests.facility.test_daemon import NOW, House
from tests.facility.test_ledger import SLOW

QUARTER, DAY = timedelta(minutes=15), timedelta(days=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    yield made
    made.kill()


def live(house: House, minutes: float, every_s: float = 300) -> None:
    """Let time pass, with a plan every five minutes."""
    for _ in range(round(minutes * 60 / every_s)):
        house.clock.advance(every_s)
        house.settle()
        house.daemon.cycle()


def notice(house: House) -> None:
    """Let the guard look, as it does twice a second."""
    house.daemon.upkeep.guard_s = 0.0
    house.settle()


def rows(house: House, workload: str) -> dict[datetime, Usage]:
    with Journal(house.path, read_only=True) as journal:
        return {row.start: row for row in journal.usage(NOW - DAY, NOW + DAY) if row.workload == workload}


def restart(house: House, down_s: float) -> None:
    house.kill()
    house.clock.advance(down_s)
    house.open()
    house.daemon.start()


def report(house: House, state: str, gpus: Any = 0) -> None:
    at_ms = int(house.clock.now().timestamp() * 1000)
    house.say("job/j/reported", {"timestamp": at_ms, "state": state, "done_gpu_h": 0.0, "gpus": gpus}, retain=True)


def specify(house: House) -> None:
    deadline = NOW + timedelta(hours=8)
    spec = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 3, "pool": "p", "deadline": deadline.isoformat(), "tenant": "t"}
    house.say("job/j/spec", spec, retain=True)


def test_each_quarter_of_an_hour_is_in_the_journal_once_it_is_over(house: House) -> None:
    house.daemon.cycle()
    live(house, 40)
    found = rows(house, "c")
    assert list(found) == [NOW, NOW + QUARTER]
    assert [row.gpu_h for row in found.values()] == [1.5, 1.5]
    assert [row.hours for row in found.values()] == [0.25, 0.25]
    assert {row.workload for row in house.journal.usage(NOW, NOW + QUARTER)} == {"c", ""}
    assert {checked.table: checked.rows for checked in house.journal.check()}["usage"] == 2


def test_a_command_slows_what_is_counted_and_is_named_as_the_cause(house: House) -> None:
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, ttl_s=3600)
    notice(house)
    live(house, 15)
    c = rows(house, "c")[NOW]
    assert c.speed_gpu_h == pytest.approx(1.5 * 0.6)
    assert [(lack.cause, lack.since) for lack in c.lacks] == [("operator", NOW)]


def test_a_crash_loses_nothing_and_what_was_sent_counts_until_it_lapses(house: House) -> None:
    """Ten minutes at 250 W and fifteen more until that lapses; then the fallback's 400 W, while nobody is there and after."""
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, ttl_s=900)
    notice(house)
    live(house, 10)
    restart(house, 50 * 60)
    house.daemon.cycle()
    found = rows(house, "c")
    assert list(found) == [NOW + i * QUARTER for i in range(4)]
    assert [row.gpu_h for row in found.values()] == [pytest.approx(1.5)] * 4
    assert [row.speed_gpu_h for row in found.values()] == pytest.approx([0.9, 6 * (10 * 0.6 + 5) / 60, 1.5, 1.5])
    restart(house, 0)
    live(house, 15)
    assert list(rows(house, "c")) == [NOW + i * QUARTER for i in range(5)]


def test_a_job_counts_from_its_scheduler_s_report_to_the_next(house: House) -> None:
    house.daemon.cycle()
    specify(house)
    house.daemon.cycle()
    assert house.retained("job/j/desired")["action"] == "run"  # type: ignore[index]
    for state, gpus in (("waiting", 0), ("running", ["n/0", "n/1"]), ("waiting", 0)):
        house.clock.advance(240)
        report(house, state, gpus)
        notice(house)
    live(house, 5)
    j = rows(house, "j")[NOW]
    assert (j.kind, j.tenant, j.hours, j.gpu_h) == ("job", "t", pytest.approx(4 / 60), pytest.approx(8 / 60))


def test_gpus_that_an_agent_misses_are_missed_by_their_rental(house: House) -> None:
    house.daemon.cycle()
    at_ms = int(house.clock.now().timestamp() * 1000)
    house.say("cap/h/p/reported", {"timestamp": at_ms, "enforced_cap_w": 400, "gpus": 4, "gone": 6})
    notice(house)
    live(house, 15)
    c = rows(house, "c")[NOW]
    assert (c.gpu_h, c.missed_gpu_h, c.cause) == (pytest.approx(1.0), pytest.approx(0.5), "gone")


def test_a_full_disk_delays_what_is_written_and_loses_none_of_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.daemon.cycle()

    def full(*_: object) -> None:
        raise StoreFault("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(house.journal, "record_usage", full)
        live(house, 40)
        assert rows(house, "c") == {}
    live(house, 5)
    assert [row.gpu_h for row in rows(house, "c").values()] == [1.5, 1.5, 1.5]


def test_of_a_quarter_that_was_counted_twice_the_longer_count_holds(tmp_path: Path) -> None:
    def row(hours: float, gpu_h: float) -> tuple[Usage, ...]:
        return (Usage(NOW, hours, "p", "c", "contract", gpu_h=gpu_h),)

    with Journal(tmp_path / "journal.sqlite") as journal:
        for counted in (row(0.25, 1.0), row(0.1, 2.0), row(0.25, 3.0), row(0.2, 4.0)):
            journal.record_usage({NOW: counted}, "usage", b"{}")
        assert [usage.gpu_h for usage in journal.usage(NOW, NOW + QUARTER)] == [3.0]
        assert list(journal.usage(NOW + QUARTER, NOW + DAY)) == []


def test_old_quarters_are_forgotten_and_the_rest_stays_chained(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        for day in range(10):
            start = NOW + day * DAY
            journal.record_usage({start: (Usage(start, 0.25, "p", "c", "contract"),)}, "usage", b"{}")
        journal.prune(NOW)
        assert len(list(journal.usage(NOW, NOW + 10 * DAY))) == 10
        journal.prune(NOW, NOW + 4 * DAY)
        assert [row.start for row in journal.usage(NOW, NOW + 10 * DAY)] == [NOW + day * DAY for day in range(4, 10)]
        assert all(checked.broken is None for checked in journal.check())


def test_a_journal_of_the_version_before_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE usage; PRAGMA user_version = 3;")
    with Journal(path) as journal:
        journal.record_usage({NOW: (Usage(NOW, 0.25, "p", "c", "contract"),)}, "usage", b"{}")
        assert [row.workload for row in journal.usage(NOW, NOW + DAY)] == ["c"]


def test_slow_hours_are_those_that_the_ledger_counts_also_across_a_crash(tmp_path: Path) -> None:
    """Half an hour at 250 W, 15 more minutes until that lapses while nobody is there, and the fallback's full speed after."""
    slow = House(tmp_path / "slow.sqlite", SLOW)
    try:
        slow.daemon.cycle()
        slow.order("pool/h/p", "cap_w", 250, ttl_s=7200)
        notice(slow)
        live(slow, 30)
        restart(slow, 1800)
        slow.daemon.cycle()
        counted = slow.daemon.rooms.known.ledger.known(slow.daemon.rooms.known.situation(slow.clock.now()).snapshot).slow_hours_used["c"]
        assert counted == pytest.approx(0.6)
        assert sum(row.slow_h for row in rows(slow, "c").values()) == pytest.approx(counted)
    finally:
        slow.kill()


def test_a_count_of_other_pools_or_that_nobody_can_read_begins_anew_and_loses_no_quarter_that_is_over(house: House) -> None:
    house.daemon.cycle()
    live(house, 20)
    more = house.site.pools | {"q": house.site.pools["p"]}
    rebuilt = house.site.model_copy(update={"pools": more})
    assert Used(house.site, house.journal, lambda _: house.site)._counter.standing is not None
    assert Used(rebuilt, house.journal, lambda _: rebuilt)._counter.standing is None
    house.journal.put(FACT, b"no JSON")
    restart(house, 0)
    live(house, 15)
    assert [row.gpu_h for row in rows(house, "c").values()] == [1.5, pytest.approx(0.5)], "of the second the five minutes after the next plan"
