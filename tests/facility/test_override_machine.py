"""Desk and arbitration against a model of a page: whatever people, restarts and clocks do in any order, I8 to I10 hold.

I8 what is valid acts at once and until its end; I9 what ended never comes back, also when the clock does or the process, and what was
acknowledged is there; I10 of two equal authorities the lower cap counts, and who drives drives at once.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from facility.clock import VirtualClock
from facility.journal.journal import Journal
from facility.overrides.arbitrate import bounds
from facility.overrides.desk import GRACE_S, OverrideDesk
from tests.facility.test_overrides import JOBS, MINUTE, NOON, SITE, ask, drop

REACH = {"site": "abc", "hall/north": "ab", "hall/south": "c", "pool/north/a": "a", "pool/north/b": "b"}
RANGE_W = {"a": (200, 700), "b": (100, 400), "c": (200, 700)}
MODES = ("stop", "manual", "freeze")
"""The milder the later: of equal authorities the earlier decides."""
KINDS = ("cap_w", "hold", "import_limit_kw", *MODES)


@dataclass(frozen=True)
class Wish:
    """What somebody commands. `over_s` is where it ends by the stopwatch, once it has begun, whatever the clock says afterwards.

    A restart knows only the clock: what has begun by it.
    """

    number: int
    target: str
    kind: str
    value: float | None
    priority: int
    by: str
    start: datetime
    end: datetime
    over_s: float | None = None

    @property
    def id(self) -> str:
        return f"id-{self.number}"


class OverrideMachine(RuleBasedStateMachine):
    """`wishes` is what stands, in the order it was accepted; `over` what ended, for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.number = VirtualClock(NOON), 0
        self.wishes: dict[str, Wish] = {}
        self.over: set[str] = set()
        self.sent: list[Wish] = []
        self.open()

    def open(self) -> None:
        self.journal = Journal(Path(self.folder.name) / "j")
        self.desk = OverrideDesk(SITE, self.journal, jobs=lambda: JOBS, elapsed_s=self.clock.elapsed_s)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @rule(
        target_=st.sampled_from(sorted(REACH)),
        kind=st.sampled_from(KINDS),
        value=st.sampled_from([100, 250, 300, 650]),
        priority=st.sampled_from([1, 5, 8]),
        by=st.sampled_from(["ann", "bo"]),
        start=st.sampled_from([0, 0, 0, -5, 20]),
        ttl=st.sampled_from([1, 10, 60]),
    )
    def command(self, target_: str, kind: str, value: int, priority: int, by: str, start: int, ttl: int) -> None:
        if kind in {"import_limit_kw", *MODES}:
            target_ = "site"
        self.number += 1
        begin = self.now + start * MINUTE
        wish = Wish(self.number, target_, kind, value if kind in {"cap_w", "import_limit_kw"} else None, priority, by, begin, begin + ttl * MINUTE)
        request = ask(kind, wish.value, key=wish.id, by=by, priority=priority, start=begin, ttl_s=60.0 * ttl)
        answer = self.desk.set(target_, request, now=self.now)
        self.sent.append(wish)
        if wish.end <= self.now:
            assert answer.status == "expired"
            self.over.add(wish.id)
            return
        assert answer.status in {"accepted", "clamped"}
        self.wishes[wish.id] = replace(wish, value=answer.effective)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        wish = data.draw(st.sampled_from(self.sent))
        request = ask(wish.kind, wish.value, key=wish.id, by=wish.by, priority=wish.priority, start=wish.start, ttl_s=3600.0)
        assert self.desk.set(wish.target, request, now=self.now).status == "duplicate"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        wish = data.draw(st.sampled_from(self.sent))
        assert self.desk.clear(wish.target, drop(wish.id), self.now).status == "cleared"
        self.finish(wish.id)

    @rule(target_=st.sampled_from(sorted(REACH)), priority=st.sampled_from([1, 5, 8]))
    def release(self, target_: str, priority: int) -> None:
        self.number += 1
        self.age()
        mine = [w for w in self.wishes.values() if w.kind == "hold" and w.target == target_ and w.priority >= priority]
        answer = self.desk.set(target_, ask("release", key=f"id-{self.number}", priority=priority), now=self.now)
        assert answer.status == ("cleared" if mine else "rejected")
        for wish in mine:
            self.finish(wish.id)

    @rule(minutes=st.sampled_from([1, 4, 9, 30]))
    def wait(self, minutes: int) -> None:
        self.clock.advance(60 * minutes)
        self.desk.expire(self.now)

    @rule(jump=st.sampled_from([-60 * 24, -60, -3, 60, 60 * 24]))
    def set_clock(self, jump: int) -> None:
        self.age()
        self.desk.expire(self.now)
        self.clock.jump(60 * jump)

    @rule()
    def restart(self) -> None:
        self.age()
        self.desk.expire(self.now)
        self.journal.close()
        self.open()
        self.wishes = {key: replace(w, over_s=None) for key, w in self.wishes.items()}

    @invariant()
    def what_is_in_force_is_what_the_model_says(self) -> None:
        self.age()
        live = [wish for wish in self.wishes.values() if wish.over_s is not None]
        active = {proposal.id for proposal in self.desk.active(self.now)}
        assert active == {wish.id for wish in live}, "I8: all that is valid, at once"
        assert not active & self.over, "I9: nothing that ended"
        found = bounds(SITE, self.desk.standing(self.now), self.now, [self.now, self.now + timedelta(minutes=5)], jobs=JOBS)
        for pool, (low, high) in RANGE_W.items():
            here = [wish for wish in live if pool in REACH[wish.target]]
            caps = [(w.priority, w.value) for w in here if w.kind == "cap_w" and w.value is not None]
            assert found.pool_cap_w[pool][0] == (min(max(min(caps)[1], low), high) if caps else None), "I10"
            assert found.held_pools[pool][0] == any(w.kind == "hold" for w in here)
        modes = [(w.priority, MODES.index(w.kind)) for w in live if w.kind in MODES]
        assert found.mode == (MODES[min(modes)[1]] if modes else "normal")
        limits = [(w.priority, w.value) for w in live if w.kind == "import_limit_kw" and w.value is not None]
        assert found.import_limit_kw[0] == (min(limits)[1] if limits else SITE.grid.import_limit_kw)

    def age(self) -> None:
        """What the clock says now, begins or ends."""
        for key, wish in self.wishes.items():
            if wish.over_s is None and wish.start <= self.now:
                self.wishes[key] = replace(wish, over_s=self.clock.elapsed_s() + (wish.end - self.now).total_seconds())
        for old in list(self.wishes.values()):
            begun = [w for w in self.wishes.values() if w.number > old.number and w.over_s is not None]
            newer = [w for w in begun if w.start < old.end and old.start < w.end]
            alike = [w for w in newer if (w.by, w.target, w.kind, w.priority) == (old.by, old.target, old.kind, old.priority)]
            late = old.over_s is not None and self.clock.elapsed_s() - old.over_s > GRACE_S
            if alike or late or old.end <= self.now:
                self.finish(old.id)

    def finish(self, name: str) -> None:
        self.wishes.pop(name, None)
        self.over.add(name)

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestOverrideMachine = OverrideMachine.TestCase
TestOverrideMachine.settings = settings(max_examples=60, stateful_step_count=30)
