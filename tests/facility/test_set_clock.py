"""A clock that somebody sets, while the daemon runs or is down: nothing lasts longer for it, and a plan comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.bus.interface import Message
from facility.clock import VirtualClock
from facility.daemon.ledger import Ledger
from facility.daemon.loop import RETAINED_S
from facility.decide import Undecided
from facility.journal.entry import Entry
from facility.journal.store import StoreFault
from facility.telemetry import Telemetry
from tests.facility.test_daemon import NOW, SITE, House, no_plan

DAY = 86_400
TO_1970 = -(NOW - datetime(1970, 1, 2, tzinfo=UTC)).total_seconds()


class Set(House):
    """A house whose clock can be set, and moves only as it is told."""

    clock: VirtualClock

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)
            self.settle()

    def until(self) -> datetime:
        sent = self.retained("cap/h/p/desired")
        assert sent is not None
        return datetime.fromisoformat(sent["valid_until"])

    def order_of(self) -> tuple[int, int]:
        sent = self.retained("cap/h/p/desired")
        assert sent is not None
        return sent["epoch"], sent["seq"]


def broken_disk() -> None:
    raise StoreFault("the disk is full")


@contextmanager
def beginning_anew_fails(house: Set, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock is set back five minutes, and the disk fails as the daemon begins anew."""
    with patch.context() as broken:
        broken.setattr(house.journal, "next_epoch", broken_disk)
        house.clock.jump(-300)
        house.pass_by(2)
        yield


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Set]:
    made = Set(tmp_path / "journal.sqlite")
    made.kill()
    made.clock = VirtualClock(NOW)
    made.broker.now = made.clock.now
    made.open()
    made.daemon.cycle()
    assert made.mode() == "NORMAL"
    yield made
    made.kill()


@pytest.mark.parametrize("seconds", [-3600, -DAY, TO_1970], ids=["an hour", "a day", "1970"])
def test_caps_in_force_go_on_by_the_new_time_and_the_next_cycle_is_normal(house: Set, seconds: float) -> None:
    caps, order = house.caps(), house.order_of()
    house.clock.jump(seconds)
    house.pass_by(RETAINED_S + 0.5)
    now = house.clock.now()
    assert house.caps() == caps
    assert house.order_of() > order
    assert now < house.until() <= now + timedelta(seconds=SITE.control.cap_ttl_s)
    assert house.mode() == "HOLD"
    assert house.wanted
    assert house.daemon.cycle().mode == "NORMAL"
    plan = house.retained("plan/current")
    assert plan is not None
    assert abs(datetime.fromisoformat(plan["issued_at"]) - now) < timedelta(minutes=5)
    assert [e.says for e in house.journal.account(datetime(1970, 1, 1, tzinfo=UTC)) if e.action == "clock set back"] == [
        f"by {timedelta(seconds=-seconds - 0.5)}"
    ]


@pytest.mark.parametrize("seconds", [3600, DAY, 56 * 365 * DAY], ids=["an hour", "a day", "a lifetime"])
def test_a_clock_that_is_set_forward_ends_what_has_lapsed_at_once_and_the_next_cycle_is_normal(house: Set, seconds: float) -> None:
    assert house.order("pool/h/p", "cap_w", 150, ttl_s=1800)["status"] == "accepted"
    house.clock.jump(seconds)
    began = time.monotonic()
    house.pass_by(1)
    assert time.monotonic() - began < 2, "years are not counted by the quarter of an hour"
    assert house.mode() == "SAFE"
    assert house.retained("override/pool/h/p/state") is None
    assert house.daemon.cycle().mode == "NORMAL"
    assert max(house.caps().values()) > 150
    house.clock.jump(-seconds)
    house.pass_by(RETAINED_S + 0.5)
    assert house.retained("override/pool/h/p/state") is None, "what ended never comes back"
    assert house.daemon.cycle().mode == "NORMAL"


def test_an_override_lasts_no_longer_for_a_clock_that_was_set_back(house: Set) -> None:
    house.order("pool/h/p", "cap_w", 150, ttl_s=600)
    house.pass_by(100)
    house.clock.jump(-DAY)
    house.pass_by(490)
    assert max(house.caps().values()) <= 150
    house.pass_by(11)
    assert house.retained("override/pool/h/p/state") is None
    house.daemon.cycle()
    assert max(house.caps().values()) > 150


def test_an_override_lasts_no_shorter_where_the_disk_fails_amid_beginning_anew(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    house.order("pool/h/p", "cap_w", 150, ttl_s=600)
    with beginning_anew_fails(house, monkeypatch):
        assert house.daemon.faults
    house.pass_by(100)
    state = house.retained("override/pool/h/p/state")
    assert state is not None
    assert timedelta(seconds=495) < datetime.fromisoformat(state["overrides"][0]["end"]) - house.clock.now() < timedelta(seconds=505)
    assert max(house.caps().values()) <= 150


def test_what_the_journal_knows_of_a_clock_that_is_right_again_is_taken_back(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    house.order("pool/h/p", "cap_w", 150, ttl_s=600)
    with beginning_anew_fails(house, monkeypatch):
        house.clock.jump(300)
    house.pass_by(100)
    (kept,) = house.journal.overrides()
    assert abs(kept.end - (NOW + timedelta(seconds=600))) < timedelta(seconds=2)


def test_a_plan_is_not_held_longer_for_it(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    no_plan(monkeypatch)
    house.clock.jump(-DAY)
    house.pass_by(1)
    assert house.mode() == "HOLD"
    house.pass_by(SITE.control.cap_ttl_s)
    assert house.mode() == "SAFE"


def test_it_is_the_same_where_the_clock_was_set_while_nobody_ran(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    no_plan(monkeypatch)
    house.kill()
    house.clock.jump(-DAY)
    house.open()
    house.daemon.start()
    assert house.mode() == "HOLD"
    assert house.until() <= house.clock.now() + timedelta(seconds=SITE.control.cap_ttl_s)
    house.pass_by(SITE.control.cap_ttl_s)
    assert house.mode() == "SAFE"


def test_a_plan_that_was_asked_for_before_is_of_no_use_after(house: Set) -> None:
    real = house.daemon._planner

    def slow(asked: object) -> object:
        house.clock.jump(-DAY)
        house.pass_by(RETAINED_S + 0.5)
        return real(asked)  # type: ignore[arg-type]

    house.daemon._planner = slow  # type: ignore[assignment]
    assert house.daemon.cycle().mode == "HOLD"


def test_a_cycle_that_ends_before_anybody_saw_that_the_clock_was_set_sends_nothing(house: Set) -> None:
    """What would go on lasts, by the new time, for longer than anything may."""
    order = house.order_of()

    def late(_asked: object) -> Undecided:
        house.clock.jump(-DAY)
        return Undecided("no solver today")

    house.daemon._planner = late
    assert house.daemon.cycle().mode == "NORMAL"
    assert house.order_of() == order
    house.pass_by(RETAINED_S + 0.5)
    assert house.mode() == "HOLD"
    assert house.retained("alarm/invariant-i6") is None


def test_while_messages_are_read_the_clock_may_be_set_too(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done by the new time until what was known by the old one is put away."""

    def read(_message: Message, _now: datetime) -> None:
        house.clock.jump(-DAY)

    done: list[datetime] = []
    monkeypatch.setattr(house.daemon._reception, "take", read)
    monkeypatch.setattr(house.daemon.upkeep, "keep", done.append)
    house.clock.advance(1)
    house.say("grid/main/limit", b"{}")
    assert not done


@pytest.mark.breaks_invariants
def test_a_clock_that_is_set_amid_sending_is_no_fault_of_the_service(house: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate keeps back what would last for a day, and nobody is told to report it."""
    known, governor, gate = house.daemon.rooms.known, house.daemon.rooms.governor, house.daemon.rooms.gate

    def sends(now: datetime) -> None:
        here = known.situation(now)
        house.clock.jump(-DAY)
        governor.safe(here, "somebody sets the clock")

    monkeypatch.setattr(house.daemon.upkeep, "_guard", sends)
    house.daemon.upkeep.guard_s -= 1
    house.pass_by(0.5)
    assert set(gate.counts) == {6}
    assert not [entry for entry in house.journal.account(datetime(1970, 1, 1, tzinfo=UTC)) if entry.sort == "alarm"]
    house.pass_by(RETAINED_S + 0.5)
    assert house.mode() == "HOLD"


@pytest.fixture
def full(house: Set) -> Callable[[], object]:
    """The disk under the journal is full until somebody calls this."""
    db = house.journal._store._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    return lambda: db.execute(f"PRAGMA max_page_count = {2**31 - 1}")


def test_where_the_journal_cannot_be_written_what_is_in_force_goes_on_by_the_new_time_and_all_begins_anew_once_it_can(
    house: Set, full: Callable[[], object]
) -> None:
    caps, (epoch, seq) = house.caps(), house.order_of()
    house.clock.jump(-DAY)
    house.pass_by(1)
    assert (house.mode(), house.caps()) == ("HOLD", caps)
    assert house.order_of() > (epoch, seq)
    assert house.order_of()[0] == epoch
    assert house.until() <= house.clock.now() + timedelta(seconds=SITE.control.cap_ttl_s)
    assert not house.daemon.rooms.known.situation(house.clock.now()).snapshot.pool_kw, "what was measured before is of no time to come"
    assert house.daemon.cycle().mode == "HOLD", "no plan is made"
    house.clock.advance(SITE.control.cap_ttl_s)
    house.pass_by(1)
    assert house.mode() == "SAFE"
    full()
    house.pass_by(3)
    assert house.order_of()[0] > epoch
    assert house.daemon.cycle().mode == "NORMAL"
    assert not house.daemon.rooms.gate.counts
    entries = [e for e in house.journal.account(datetime(1970, 1, 1, tzinfo=UTC)) if e.action == "clock set back"]
    assert [e.says for e in entries] == [f"by {timedelta(seconds=DAY - 0.5)}"]


def test_what_ended_while_the_journal_could_not_be_written_never_comes_back(house: Set, full: Callable[[], object]) -> None:
    full()
    house.order("pool/h/p", "cap_w", 150, ttl_s=60)
    db = house.journal._store._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    house.clock.jump(-DAY)
    house.pass_by(50)
    assert max(house.caps().values()) <= 150
    assert house.order("pool/h/p", "cap_w", 140)["status"] == "rejected"
    house.pass_by(15)
    assert house.retained("override/pool/h/p/state") is None
    full()
    house.pass_by(3)
    assert house.retained("override/pool/h/p/state") is None
    house.daemon.cycle()
    assert max(house.caps().values()) > 150


def test_where_the_clock_is_right_again_before_the_journal_can_be_written_plans_go_on(house: Set, full: Callable[[], object]) -> None:
    epoch = house.order_of()[0]
    house.clock.jump(-DAY)
    house.pass_by(5)
    house.clock.jump(DAY)
    house.pass_by(1)
    assert house.daemon.cycle().mode == "NORMAL"
    assert house.order_of()[0] == epoch
    assert house.until() <= house.clock.now() + timedelta(seconds=SITE.control.cap_ttl_s)
    full()
    house.pass_by(3)
    assert house.order_of()[0] == epoch
    assert not house.daemon.rooms.gate.counts


def test_a_small_correction_is_nothing(house: Set) -> None:
    epoch = house.order_of()[0]
    house.clock.jump(-0.9)
    assert house.order("pool/h/p", "cap_w", 150)["status"] == "accepted"
    house.pass_by(1)
    assert house.order_of()[0] == epoch
    assert not house.daemon.rooms.gate.counts
    assert not [e for e in house.journal.account(NOW - timedelta(days=1)) if isinstance(e, Entry) and e.action == "clock set back"]


def test_what_is_sent_again_after_a_larger_one_lasts_no_longer_than_anything_may(house: Set) -> None:
    """A plan has just been sent, and is to last 900 s; a second more is all that the gate lets pass."""
    house.daemon.cycle()
    house.clock.jump(-1.7)
    assert house.order("pool/h/p", "cap_w", 150)["status"] == "accepted"
    house.pass_by(1)
    assert house.until() <= house.clock.now() + timedelta(seconds=SITE.control.cap_ttl_s)
    assert not house.daemon.rooms.gate.counts


def test_what_was_heard_last_is_of_no_later_time_than_now() -> None:
    telemetry, key = Telemetry(SITE), "site/meter/main/import_kw"
    telemetry.accept(Message("facility/v1/s/tele/site/meter/main/import_kw", b'{"value": 3.5}'), NOW + timedelta(days=1))
    again = Telemetry(SITE)
    again.restore(telemetry.dump(), NOW)
    assert (again._readings.tracks[key].newest, again._readings.tracks[key].newest_at) == (3.5, NOW)


def test_hours_are_counted_on_from_a_clock_that_was_set_back(house: Set) -> None:
    ledger = Ledger(SITE, house.journal, lambda _now: SITE)
    ledger.count(NOW + timedelta(days=1), None)
    ledger.count(NOW, None)
    assert ledger._until == NOW
