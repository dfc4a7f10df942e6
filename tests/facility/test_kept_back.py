"""The gate keeps back nothing that the actuator thinks safe, whatever agents do: both reckon with the same, each from what it saw itself.

Three pools of 10 GPUs of 100 to 400 W under two feeders and a third above them, with losses, a battery and unequal groups that change from
decision to decision; agents report late, not at all, of older messages, or more than they were sent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from facility.bus.memory import MemoryBroker
from facility.bus.messages import CapGroup as Reported
from facility.bus.messages import CapReported
from facility.clock import ManualClock
from facility.daemon.holding.overrule import at_once
from facility.daemon.sending.actuate import Actuator
from facility.daemon.sending.gate import Gate
from facility.daemon.sending.in_force import LATE, MOST_IN_FORCE
from facility.daemon.situation import Situation
from facility.decision import BatteryOrder, CapGroup, Decision, PoolCaps
from facility.overrides.arbitrate import bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.snapshot import Snapshot
from tests.facility.test_actuate import RAW

HOUR = timedelta(hours=1)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
POOLS = ("p", "q", "r")
SITE = Site.model_validate(RAW | {
    "feeders": {
        "top": {"rating_kw": 9}, "left": {"rating_kw": 6, "parent": "top", "loss_share": 0.03},
        "right": {"rating_kw": 3.5, "parent": "top", "loss_share": 0.05},
    },
    "halls": {"h": {"feeder": "left"}},
    "pools": {
        name: {"hall": "h", "feeder": feeder, "gpu_model": "g", "gpus": 10}
        for name, feeder in zip(POOLS, ("left", "left", "right"), strict=True)
    },
    "batteries": {"b": {"feeder": "top", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3}},
    "control": {"rise_share": 0.2, "cap_ttl_s": 60, "cycle_s": 20},
})  # fmt: skip


class Numbers:
    """A journal as far as an actuator needs one."""

    def __init__(self) -> None:
        self._next = count(1)

    def next_seq(self) -> int:
        return next(self._next)


class Sending:
    """An actuator, and the gate that all of its messages go over."""

    def __init__(self) -> None:
        self.clock, self.commanded = ManualClock(NOW), frozenset[str]()
        broker = MemoryBroker(self.clock.now)
        self.gate = Gate(SITE, broker.connect(), self.clock, 7)
        self.actuator = Actuator(SITE, self.gate, Numbers(), 7, Random(1))  # type: ignore[arg-type]

    def here(self) -> Situation:
        now = self.clock.now()
        asked = tuple(Proposal(pool, f"pool/h/{pool}", "cap_w", 400.0, 8, now, now + HOUR, "ann", "") for pool in self.commanded)
        return Situation(now, SITE, Snapshot(now), bounds(SITE, asked, now, (now, now + HOUR)), 10.0)

    def send(self, pools: tuple[PoolCaps, ...], charge_kw: float, commanded: frozenset[str] = frozenset()) -> None:
        self.commanded = commanded
        here = self.here()
        made = Decision(here.now, here.now + timedelta(seconds=60), pools, batteries=(BatteryOrder("b", charge_kw),))
        self.gate.accept(made, here)
        self.actuator.send(made, SITE, here.snapshot, 10.0, here.now, "plan", at_once(here.asked, here.snapshot))

    def report(self, pool: str, back: int, cap_w: int, groups: tuple[CapGroup, ...] = ()) -> None:
        """An agent tells what it enforces, of the message before so many others."""
        seq = max(self.actuator.in_force._seq.get(pool, 0) - back, 0)
        told = tuple(Reported(workload=group.workload, gpus=group.gpus, cap_w=group.cap_w) for group in groups)
        report = CapReported(timestamp=0, epoch=7, seq=seq, enforced_cap_w=cap_w, groups=told)
        self.gate.read_back(pool, report, retained=False)
        if self.actuator.read_back(pool, report) and self.actuator.waiting:
            self.release()

    def pass_by(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def release(self) -> None:
        here = self.here()
        self.gate.see(here)
        self.actuator.release(SITE, here.snapshot, 10.0, here.now)

    def confirm(self, pool: str) -> None:
        """The agent does as it was told last."""
        told = self.actuator.in_force.last(pool)[-1]
        self.report(pool, 0, max([told.cap_w, *(group.cap_w for group in told.groups)]), told.groups)

    def knows_as_much(self) -> bool:
        """Whether gate and actuator take the same to be in force."""
        book, ours = self.gate._book._in_force, self.actuator.in_force
        same = all(book.most(pool) == ours.most(pool) and book.known(pool) == ours.known(pool) for pool in POOLS)
        return same and book.charging_kw == ours.charging_kw


WATTS = st.sampled_from([100, 150, 200, 250, 300, 350, 400])
GROUPS = st.lists(
    st.builds(CapGroup, st.sampled_from("abcdef"), st.integers(1, 5), WATTS), max_size=2, unique_by=lambda g: g.workload
).map(tuple)
CAPS = st.tuples(*(st.builds(PoolCaps, st.just(name), WATTS, GROUPS) for name in POOLS))
CHARGE = st.sampled_from([0.0, 1.0, 4.0, -3.0])
POOL = st.sampled_from(POOLS)
MOVES = st.one_of(
    st.tuples(st.just("send"), CAPS, CHARGE, st.frozensets(POOL, max_size=2)),
    st.tuples(st.just("send"), CAPS, CHARGE),
    st.tuples(st.just("confirm"), POOL),
    st.tuples(st.just("report"), POOL, st.integers(0, 2), WATTS, GROUPS),
    st.tuples(st.just("pass_by"), st.integers(1, 40)),
    st.tuples(st.just("release")),
)
LOST: list[Any] = [
    ("report", "p", 1, 100), ("send", (PoolCaps("p", 100), PoolCaps("q", 100), PoolCaps("r", 300)), 0.0), ("confirm", "q"), ("pass_by", 57),
    ("send", (PoolCaps("p", 100, (CapGroup("f", 3, 400),)), PoolCaps("q", 150, (CapGroup("c", 1, 400),)), PoolCaps("r", 200)), 0.0, frozenset("pr")),
    ("confirm", "r"), ("pass_by", 14), ("confirm", "q"),
    ("send", (PoolCaps("p", 100, (CapGroup("f", 3, 400),)), PoolCaps("q", 100, (CapGroup("e", 4, 400),)), PoolCaps("r", 100)), 1.0),
]  # fmt: skip
"""`p` has not reported for long; what it is sent last is no higher than what it was sent before that, but than the two of them together."""


@pytest.mark.breaks_invariants
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@example(LOST)
@given(st.lists(MOVES, min_size=5, max_size=40))
def test_the_gate_keeps_back_nothing_that_the_actuator_thinks_safe(moves: list[Any]) -> None:
    it = Sending()
    for move, *what in moves:
        getattr(it, move)(*what)
        assert it.gate.take() == ()
        assert it.knows_as_much()


@pytest.mark.breaks_invariants
def test_of_a_battery_they_know_the_same_however_often_it_is_told_the_same() -> None:
    """What is told already is not told again, and so not counted again: the list that is kept is short, and holds what may be in force."""
    it, lowest = Sending(), tuple(PoolCaps(pool, 100) for pool in POOLS)
    it.send(lowest, 4.0)
    it.pass_by(30)
    for _ in range(2 * MOST_IN_FORCE):
        it.send(lowest, 0.0)
    it.pass_by(30 + round(LATE.total_seconds()))
    it.send(lowest, 0.0)
    assert it.actuator.in_force.charging_kw == {"b": 0.0}
    assert it.knows_as_much()
