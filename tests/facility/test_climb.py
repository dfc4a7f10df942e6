"""Caps rise in steps: each at most 5 % of what any feeder above is rated, 1 to 10 s apart, not too often. What falls, or is commanded, never waits.

Under a root of 40 kW hang feeder `a` of 10 kW with pool `p`, 20 GPUs, and feeder `b` of 30 kW with pool `q`, 50 GPUs; caps of 100 to 400 W
in steps of 5 W. A step is at most 0.5 kW under `a`, 1.5 kW under `b` and 2 kW altogether.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facility.bus.memory import MemoryBroker
from facility.bus.messages import CapReported
from facility.clock import ManualClock
from facility.daemon.sending.actuate import Actuator
from facility.daemon.sending.climb import most_rise_kw
from facility.daemon.sending.gate import Gate
from facility.daemon.sending.in_force import LATE
from facility.daemon.situation import Situation
from facility.decision import CapGroup, Decision, PoolCaps
from facility.journal.journal import Journal
from facility.overrides.arbitrate import bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.snapshot import Job, Snapshot

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TTL = timedelta(minutes=15)
SITE = Site.model_validate({
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 100},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "power_step_w": 5, "idle_w": 50, "curves": {"train": {
        "source": "by hand", "points": [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}},
    "feeders": {"root": {"rating_kw": 40}, "a": {"rating_kw": 10, "parent": "root"}, "b": {"rating_kw": 30, "parent": "root", "loss_share": 0.02}},
    "halls": {"h": {"feeder": "root"}},
    "pools": {"p": {"hall": "h", "feeder": "a", "gpu_model": "g", "gpus": 20}, "q": {"hall": "h", "feeder": "b", "gpu_model": "g", "gpus": 50}},
    "jobs": {"curve": "train"},
})  # fmt: skip
GPUS = {"p": 20, "q": 50}


class Hill:
    """An actuator behind its gate, a clock that is moved, and agents that report when they are told to."""

    def __init__(self, journal: Journal, site: Site = SITE, seed: int = 1) -> None:
        self.site, self.clock = site, ManualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.ear = self.broker.connect()
        self.ear.subscribe("#", 1)
        self.gate = Gate(site, self.broker.connect(), self.clock, 7)
        self.actuator = Actuator(site, self.gate, journal, 7, Random(seed))
        self.asked: tuple[Proposal, ...] = ()
        self.heard: list[tuple[datetime, str, Any]] = []

    def here(self) -> Situation:
        now = self.clock.now()
        edges = (now, now + timedelta(hours=1))
        jobs = (Job("j", "p", "train", 4, 2.0, NOW, NOW + timedelta(hours=4)),)
        asked = bounds(self.site, self.asked, now, edges, jobs={"j": "p"})
        return Situation(now, self.site, Snapshot(now, jobs), asked, 10.0)

    def send(self, *, free: frozenset[str] = frozenset(), **pools: PoolCaps | int) -> None:
        here = self.here()
        made = tuple(caps if isinstance(caps, PoolCaps) else PoolCaps(name, caps) for name, caps in pools.items())
        decision = Decision(here.now, here.now + TTL, made)
        self.gate.accept(decision, here)
        self.actuator.send(decision, self.site, here.snapshot, here.outdoor_c, here.now, "plan", free)
        self.hear()

    def pass_by(self, seconds: float, every_s: float = 0.5) -> None:
        """Let time pass, as upkeep sees it."""
        for _ in range(round(seconds / every_s)):
            self.clock.advance(every_s)
            if self.actuator.due(self.clock.now()):
                self.release()

    def release(self) -> None:
        here = self.here()
        self.gate.see(here)
        self.actuator.release(self.site, here.snapshot, here.outdoor_c, here.now)
        self.hear()

    def hear(self) -> None:
        while (message := self.ear.receive(0.0)) is not None:
            self.heard.append((self.clock.now(), message.topic.split("/")[-2], msgspec.json.decode(message.payload)))

    def confirm(self, pool: str, *, seq: int | None = None, cap_w: int | None = None) -> None:
        sent = next(told for _, name, told in reversed(self.heard) if name == pool)
        report = CapReported(timestamp=0, epoch=7, seq=seq or sent["seq"], enforced_cap_w=cap_w or sent["cap_w"])
        self.gate.read_back(pool, report, retained=False)
        if self.actuator.read_back(pool, report) and self.actuator.waiting:
            self.release()

    def settle(self, **pools: int) -> None:
        self.send(**pools)
        for pool in pools:
            self.confirm(pool)
        self.heard.clear()

    def caps(self, pool: str) -> list[int]:
        return [told["cap_w"] for _, name, told in self.heard if name == pool]

    def at(self, pool: str) -> list[datetime]:
        return [at for at, name, _ in self.heard if name == pool]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as made:
        yield made


@pytest.fixture
def hill(journal: Journal) -> Hill:
    return Hill(journal)


def test_a_large_rise_goes_in_steps_of_a_share_of_the_rating_until_all_is_there(hill: Hill) -> None:
    """200 to 300 W on 20 GPUs are 2 kW, four steps of 0.5 kW; the least that GPUs can be set to is 5 W, which are 0.1 kW."""
    hill.settle(p=200, q=100)
    hill.send(p=300, q=100)
    assert hill.caps("p") == [225]
    assert hill.actuator.waiting == ("p",)
    hill.pass_by(60)
    assert hill.caps("p") == [225, 250, 275, 300]
    assert not hill.actuator.waiting
    pauses = [after - before for before, after in zip(hill.at("p"), hill.at("p")[1:], strict=False)]
    assert all(timedelta(seconds=1) <= pause <= timedelta(seconds=10.5) for pause in pauses)
    assert len(set(pauses)) > 1


def test_two_pools_share_the_step_of_what_feeds_both(hill: Hill) -> None:
    """They would rise by 6 and 15 kW: `p` may go 0.5 kW, a twelfth of its way, and `q` 2 of 21 kW, for the root allows no more."""
    hill.settle(p=100, q=100)
    hill.send(p=400, q=400)
    assert (hill.caps("p"), hill.caps("q")) == ([125], [125])


def test_a_small_rise_is_one_step_and_the_next_one_waits_for_its_pause(hill: Hill) -> None:
    hill.settle(p=200, q=100)
    hill.send(p=220, q=100)
    assert hill.caps("p") == [220]
    hill.send(p=240, q=100)
    assert hill.caps("p") == [220]
    hill.pass_by(11)
    assert hill.caps("p") == [220, 240]


def test_what_falls_waits_for_nothing_and_takes_the_place_of_what_was_to_rise(hill: Hill) -> None:
    hill.settle(p=200, q=200)
    hill.send(p=400, q=200)
    hill.send(p=100, q=150)
    assert (hill.caps("p"), hill.caps("q")) == ([225, 100], [150])
    hill.pass_by(60)
    assert (hill.caps("p"), hill.caps("q")) == ([225, 100], [150])


def test_what_somebody_commands_rises_at_once_beside_what_goes_in_steps(hill: Hill) -> None:
    hill.settle(p=100, q=100)
    hill.asked = (Proposal("o", "pool/h/p", "cap_w", 400.0, 8, NOW, NOW + TTL, "ann", ""),)
    hill.send(free=frozenset({"p"}), p=400, q=400)
    assert (hill.caps("p"), hill.caps("q")) == ([400], [130])
    hill.pass_by(120)
    assert hill.caps("q")[-1] == 400


def test_what_is_commanded_goes_alone_where_the_others_must_wait_for_a_read_back(journal: Journal) -> None:
    """8 kW on `a` leave 12 of 20 kW on the root to `q`, and the read-back is still to come that `q` had less than 10 kW more."""
    hill = Hill(journal, SITE.model_copy(update={"feeders": SITE.feeders | {"root": SITE.feeders["root"].model_copy(update={"rating_kw": 20})}}))
    hill.settle(p=100, q=100)
    hill.send(p=100, q=300)
    hill.pass_by(120)
    assert hill.caps("q")[-1] == 300
    hill.asked = (Proposal("o", "pool/h/q", "cap_w", 200.0, 8, NOW, NOW + TTL, "ann", ""),)
    hill.send(free=frozenset({"q"}), p=400, q=200)
    hill.pass_by(60)
    assert hill.actuator.waiting == ("p",)
    assert not hill.actuator.due(hill.clock.now()), "only a read-back can help"
    hill.confirm("q")
    hill.pass_by(120)
    assert hill.caps("p")[-1] == 400


def test_caps_rise_by_the_least_that_can_be_set_where_a_share_is_less(journal: Journal) -> None:
    control = SITE.control.model_copy(update={"rise_share": 0.001})
    hill = Hill(journal, SITE.model_copy(update={"control": control}))
    assert most_rise_kw(hill.site) == {"root": 0.25, "a": 0.1, "b": 0.25}
    hill.settle(p=100, q=100)
    hill.send(p=110, q=110)
    hill.pass_by(60)
    assert (hill.caps("p"), hill.caps("q")) == ([105, 110], [105, 110])


def test_one_pool_after_the_other_where_all_together_would_be_too_much(journal: Journal) -> None:
    """One watt more on each of 20 and of 50 GPUs is 0.07 kW, and 0.06 kW are allowed."""
    model = SITE.gpu_models["g"].model_copy(update={"power_step_w": 1})
    control = SITE.control.model_copy(update={"rise_share": 0.0015})
    hill = Hill(journal, SITE.model_copy(update={"control": control, "gpu_models": {"g": model}}))
    assert most_rise_kw(hill.site)["root"] == pytest.approx(0.06)
    hill.settle(p=100, q=100)
    hill.send(p=102, q=102)
    hill.pass_by(60)
    assert (hill.caps("p"), hill.caps("q")) == ([101, 102], [101, 102])


def test_caps_of_a_pool_that_fell_rise_again_only_so_often_in_an_hour(journal: Journal) -> None:
    control = SITE.control.model_copy(update={"turns_per_h": 3})
    hill = Hill(journal, SITE.model_copy(update={"control": control}))
    hill.settle(p=200, q=100)
    for _ in range(5):
        hill.send(p=190, q=100)
        hill.pass_by(60)
        hill.send(p=200, q=100)
        hill.pass_by(60)
    assert hill.caps("p").count(200) == 3
    hill.send(p=195, q=105)
    hill.pass_by(20)
    assert (hill.caps("p")[-1], hill.caps("q")[-1]) == (190, 105), "others rise"
    hill.asked = (Proposal("o", "pool/h/p", "cap_w", 300.0, 8, NOW, NOW + timedelta(hours=1), "ann", ""),)
    hill.send(free=frozenset({"p"}), p=300, q=105)
    assert hill.caps("p")[-1] == 300, "what is commanded does"
    hill.asked = ()
    hill.send(p=190, q=105)
    hill.pass_by(3600)
    hill.send(p=200, q=105)
    assert hill.caps("p")[-1] == 200


def test_a_fall_that_was_commanded_is_no_hunting(journal: Journal) -> None:
    control = SITE.control.model_copy(update={"turns_per_h": 1})
    hill = Hill(journal, SITE.model_copy(update={"control": control}))
    hill.settle(p=200, q=100)
    for _ in range(4):
        hill.asked = (Proposal("o", "pool/h/p", "cap_w", 150.0, 8, NOW, NOW + timedelta(hours=1), "ann", ""),)
        hill.send(free=frozenset({"p"}), p=150, q=100)
        hill.pass_by(60)
        hill.asked = ()
        hill.send(p=170, q=100)
        hill.pass_by(60)
    assert hill.caps("p") == [150, 170] * 4


def test_a_clock_that_is_set_back_does_not_stop_a_rise(hill: Hill) -> None:
    hill.settle(p=200, q=100)
    hill.send(p=250, q=100)
    hill.clock.advance(-3600)
    hill.send(p=250, q=100)
    assert hill.caps("p")[-1] == 250


def test_after_its_end_a_decision_raises_nothing_more(hill: Hill) -> None:
    hill.settle(p=200, q=100)
    hill.send(p=400, q=100)
    hill.clock.advance(3600)
    hill.release()
    assert hill.caps("p") == [225]


def test_what_has_lapsed_is_no_more_than_the_fallback_and_rises_from_there(journal: Journal) -> None:
    """Agents that heard nothing for longer than caps hold went back to 200 W by themselves."""
    back = SITE.pools["p"].model_copy(update={"fallback_cap_w": 200})
    hill = Hill(journal, SITE.model_copy(update={"pools": SITE.pools | {"p": back}}))
    hill.settle(p=400, q=100)
    hill.clock.advance((TTL + LATE).total_seconds())
    hill.send(p=400, q=100)
    assert hill.caps("p") == [225]


def test_as_sent_a_decision_has_the_caps_of_the_last_step(hill: Hill) -> None:
    hill.settle(p=200, q=100)
    hill.send(p=400, q=100)
    decided = Decision(NOW, NOW + TTL, (PoolCaps("p", 400), PoolCaps("q", 100)))
    assert {caps.pool: caps.cap_w for caps in hill.actuator.as_sent(decided).pools} == {"p": 225, "q": 100}


def test_what_a_topic_was_told_until_the_same_instant_it_is_not_told_again(hill: Hill) -> None:
    hill.settle(p=200, q=150)
    here = hill.here()
    decision = Decision(NOW, NOW + TTL, (PoolCaps("p", 200), PoolCaps("q", 110)))
    for _ in range(2):
        hill.gate.accept(decision, here)
        hill.actuator.send(decision, SITE, here.snapshot, 10.0, NOW, "plan")
    hill.hear()
    assert (hill.caps("p"), hill.caps("q")) == ([], [110])
    hill.confirm("q", cap_w=300)
    hill.actuator.send(decision, SITE, here.snapshot, 10.0, NOW, "plan")
    hill.hear()
    assert (hill.caps("p"), hill.caps("q")) == ([], [110, 110]), "an agent that enforces more than it was sent is told again"
    renewed = replace(decision, until=decision.until + timedelta(minutes=5))
    hill.clock.advance(300)
    hill.gate.accept(renewed, hill.here())
    hill.actuator.send(renewed, SITE, here.snapshot, 10.0, hill.clock.now(), "plan")
    hill.hear()
    assert (hill.caps("p"), hill.caps("q")) == ([200], [110, 110, 110])


CAPS = st.integers(20, 80).map(lambda fives: 5 * fives)


def pools(name: str) -> st.SearchStrategy[PoolCaps]:
    groups = st.lists(st.builds(CapGroup, st.sampled_from("abc"), st.integers(1, GPUS[name] // 4), CAPS), max_size=3)
    return st.builds(PoolCaps, st.just(name), CAPS, groups.map(tuple))


EVENTS = st.one_of(
    st.tuples(st.just("send"), pools("p"), pools("q")),
    st.tuples(st.just("confirm"), st.sampled_from("pq"), st.none()),
    st.tuples(st.just("late"), st.sampled_from("pq"), st.none()),
    st.tuples(st.just("pass"), st.integers(1, 1000), st.none()),
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True)
@given(events=st.lists(EVENTS, max_size=12), last=st.tuples(pools("p"), pools("q")), seed=st.integers(0, 9))
def test_whatever_is_decided_and_reported_nothing_breaks_an_invariant_and_all_gets_there(
    tmp_path_factory: pytest.TempPathFactory, events: list[Any], last: tuple[PoolCaps, PoolCaps], seed: int
) -> None:
    """The gate, which keeps a book of its own, keeps nothing back; once agents report, caps are what was decided."""
    with Journal(tmp_path_factory.mktemp("hill") / "journal.sqlite") as journal:
        hill = Hill(journal, seed=seed)
        hill.send(p=100, q=100)
        for what, one, other in [*events, ("send", *last)]:
            if what == "send":
                hill.send(p=one, q=other)
            elif what == "confirm":
                hill.confirm(one, cap_w=400 if one == "p" else None)
            elif what == "late":
                hill.confirm(one, seq=1, cap_w=100)
            else:
                hill.pass_by(one, every_s=10)
        for _ in range(100):
            hill.clock.advance(5)
            hill.release()
            for pool in "pq":
                sent = next(told for _, name, told in reversed(hill.heard) if name == pool)
                hill.confirm(pool, cap_w=max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])]))
        assert not hill.gate.counts
        turned = [pool for pool in hill.actuator.waiting if len(hill.actuator._climb.turns.recent(pool, hill.clock.now())) >= 30]
        assert list(hill.actuator.waiting) == turned == []
        for caps in last:
            told = next(told for _, name, told in reversed(hill.heard) if name == caps.pool)
            assert told["cap_w"] == caps.cap_w
            assert [(g["workload"], g["gpus"], g["cap_w"]) for g in told["groups"]] == [(g.workload, g.gpus, g.cap_w) for g in caps.groups]
