"""A day of the whole daemon under a clock that moves from event to event: in one thread, and everything random from one seed.

The daemon is the real one: loop, rooms, arbitration, verifier, governor, actuator and journal (SQLite). The broker is the one in memory, the
plant is `plant`, its agents and the wire to them `wire`, and what the planner answers is `planner`. After every event the daemon attends
until nothing is left to read, and every invariant is looked at.

Where something happens it is looked again, and meters tell, after half a second, two, and so on (`SOON_S`); in between whenever meters tell.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import VirtualClock
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from tests.simulation import faults
from tests.simulation.invariants import Broken, Feeders, Orders
from tests.simulation.people import People
from tests.simulation.planner import Planner
from tests.simulation.schedule import DAY_S, SAFETY_S, Schedule, schedule_of
from tests.simulation.sites import site_of, start_of
from tests.simulation.tap import Killed, Tap, struck
from tests.simulation.twin import decisions
from tests.simulation.wire import Wire
from tests.simulation.works import PERIOD_S, REPORT_S, Works

SOON_S = (0.6, 2.1, 31.0)
ROUNDS = 50
"""Times in a row in which the daemon finds something to read, at most, before somebody must have gone mad."""
CYCLES_TO_NORMAL = 2
QUEUED_MOST = 1000
FORESEEN = ("StoreFault", "PlannerFailed")
"""What may fail inside, because it is made to."""
ATTENDS_S = 0.05
"""How long after a plan was wanted the planning thread begins with it."""


@dataclass(frozen=True)
class Lived:
    """What a day came to."""

    seed: int
    steps: int
    cycles: int
    published: int
    digest: str
    modes: dict[str, int]


class Day:
    """`run` lives it and raises `Broken` where an invariant does not hold; `recent` then has what was published last."""

    def __init__(self, seed: int, folder: Path, schedule: Schedule | None = None) -> None:
        self.seed, self.site, self.start = seed, site_of(seed), start_of(seed)
        self.schedule = schedule or schedule_of(seed, self.site)
        self.clock, self.t = VirtualClock(self.start), 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count, self._soon = itertools.count(), set[float]()
        self.broker = MemoryBroker(self.clock.now)
        self.wire = Wire(Random(f"{seed}/wire"), self.later)
        self._pauses = Random(f"{seed}/pauses")
        self.planner = Planner(Random(f"{seed}/planner"), self._pass_while_planning)
        self.orders, self.feeders, self.people = Orders(self.site), Feeders(self.site), People(self.site)
        self.works = Works(self)
        self.recent: deque[tuple[float, Message]] = deque(maxlen=30)
        self._digest, self.steps, self.cycles, self.published = hashlib.blake2b(digest_size=16), 0, 0, 0
        self.modes: dict[str, int] = {}
        self.folder = folder
        self.daemon: Daemon | None = None
        self._planning: Daemon | None = None
        self.wanted = self._asked = False
        self.strikes_left: int | None = None
        self.alarms: set[str] = set()
        self._instances = itertools.count()
        self.down_s = 1.0
        self._broken: Broken | None = None
        self.store_fault = ""
        self.blocker: sqlite3.Connection | None = None

    # time

    @property
    def true_now(self) -> datetime:
        """The instant by everybody's clock but, while it is wrong, the service's."""
        return self.start + timedelta(seconds=self.t)

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something done after so many seconds."""
        heapq.heappush(self._queue, (self.t + seconds, next(self._count), do))

    def soon(self) -> None:
        """Look again, closely, for a while."""
        for seconds in SOON_S:
            if (at_s := round(self.t + seconds, 1)) not in self._soon:
                self._soon.add(at_s)
                self.later(max(at_s - self.t, 0.0), partial(self._look_again, at_s))

    def _look_again(self, at_s: float) -> None:
        self._soon.discard(at_s)
        self.works.tell()

    def pass_until(self, t: float) -> None:
        """Let everything happen up to the second `t` of the day."""
        while self._queue and self._queue[0][0] <= t:
            at_s, _, do = heapq.heappop(self._queue)
            self._advance(max(at_s, self.t))
            do()
            self.look()
        self._advance(max(t, self.t))

    def _advance(self, t: float) -> None:
        if t > self.t:
            self.clock.advance(t - self.t)
            passed_s, self.t = t - self.t, t
            local = self.true_now.astimezone(ZoneInfo(self.site.timezone))
            self.works.pass_by(passed_s, local.hour + local.minute / 60)

    # the day

    def run(self) -> Lived:
        """Live the day."""
        self.works.begin()
        self.boot()
        for window in self.schedule.windows:
            self.later(window.start_s, partial(faults.begin, self, window))
            if window.kind != "kill":
                self.later(window.end_s, partial(faults.end, self, window))
        for said in self.schedule.said:
            self.later(said.at_s, partial(self.works.say, said))
        self._every(self.site.control.cycle_s, self._want)
        self._every(PERIOD_S, self.works.tell)
        self._every(REPORT_S, self.works.report_all)
        self.pass_until(SAFETY_S)
        self.planner.calm = True
        self.pass_until(SAFETY_S + CYCLES_TO_NORMAL * self.site.control.cycle_s + 60)
        if self.daemon is None or self.daemon.outcome.mode != "NORMAL":
            raise Broken("I18", f"faults are over for {CYCLES_TO_NORMAL} cycles, and it is {self.daemon and self.daemon.outcome}")
        self.pass_until(DAY_S)
        if self.alarms:
            raise Broken("I18", f"faults are over for hours, and alarms stand: {', '.join(sorted(self.alarms))}")
        ours, twins = decisions(self, self.planner)
        if ours != twins:
            raise Broken("I18", f"faults are over for hours, and it decides {ours}, a daemon that begins anew {twins}")
        return Lived(self.seed, self.steps, self.cycles, self.published, self._digest.hexdigest(), self.modes)

    def end(self) -> None:
        """Let go of everything."""
        if self.blocker is not None:
            self.blocker.close()
        self.journal.close()

    def _every(self, seconds: float, do: Callable[[], None]) -> None:
        def again() -> None:
            self.later(seconds, again)
            do()

        self.later(seconds, again)

    # the daemon's life

    def boot(self) -> None:
        """Start a process of the service; it listens for a second before it begins."""
        instance = f"facility-{next(self._instances)}"
        self.journal = Journal(self.folder / "journal.sqlite", clock=self.clock)
        self.bus = self.broker.connect(last_will(self.site, instance))
        tap = Tap(self.bus, self._hear, self._strike)
        struck(self.journal, self._strike)
        self.spoil_store()
        self.people.blind(self.t)
        self.alarms.clear()
        try:
            with self._mortal():
                self.daemon = daemon = Daemon(self.site, tap, self.journal, self.clock, instance=instance, planner=self.planner, random=self._pauses)
                daemon.wake = self._want
                daemon.subscribe()
                self.later(1.0, lambda: self._begin(daemon))
        except StoreFault:  # what cannot write its epoch does not begin, and is started again
            self._die()
        self.soon()

    def _begin(self, daemon: Daemon) -> None:
        if daemon is self.daemon:
            with self._mortal():
                daemon.start()
            self._want()

    def spoil_store(self) -> None:
        """Let the disk under the journal be as it is now: full, locked by another, or well."""
        db = self.journal._store._db
        db.execute("PRAGMA busy_timeout = 0")
        if not self.blocker:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages if self.store_fault == 'full' else 2**31 - 1}")

    def _die(self) -> None:
        """End the process as SIGKILL does; it is started again after a while."""
        self.strikes_left = None
        self.bus.vanish()
        self.journal.close()
        self.daemon = None
        self.people.killed()
        self.people.blind(self.t)
        self.later(self.down_s, self.boot)

    def _strike(self) -> None:
        if self.strikes_left is not None:
            self.strikes_left -= 1
            if self.strikes_left <= 0:
                self.strikes_left = None
                raise Killed

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        """What is done inside may be the end of the process."""
        try:
            yield
        except Killed:
            self._die()

    # plans

    def _want(self) -> None:
        self.wanted = True

    def _plan(self) -> None:
        """What the planning thread does: a cycle, whenever one is wanted and none is being made."""
        self._asked = False
        daemon = self.daemon
        if daemon is None or self._planning is daemon or not self.wanted:
            return
        self.wanted, self._planning = False, daemon
        try:
            outcome = daemon.cycle()
        except Killed:
            if daemon is self.daemon:
                self._die()
            return
        finally:
            if self._planning is daemon:
                self._planning = None
        self.cycles += 1
        self.modes[outcome.mode] = self.modes.get(outcome.mode, 0) + 1
        if not outcome.reason or outcome.outcome not in ("published", "held", "safe"):
            raise Broken("I17", f"a cycle ended with {outcome}")

    def _pass_while_planning(self, seconds: float) -> None:
        daemon = self.daemon
        self.pass_until(self.t + seconds)
        if self.daemon is not daemon:
            raise Killed

    # every step

    def look(self) -> None:
        """Let the daemon attend, the works hear it, and hold everything against the invariants."""
        self.steps += 1
        for _ in range(ROUNDS):
            if self.daemon is not None:
                with self._mortal():
                    self.daemon.attend(0.0)
            heard = self.works.hear()
            if not heard and (self.daemon is None or not (self.bus.inbox._commands or self.bus.inbox._telemetry)):
                break
        else:
            raise Broken("I19", f"after {ROUNDS} rounds there is still something to say")
        if self.wanted and not self._asked and self.daemon is not None and self._planning is not self.daemon:
            self._asked = True
            self.later(ATTENDS_S, self._plan)
        self._judge()

    def _judge(self) -> None:
        daemon = self.daemon
        if self._broken is not None:
            raise self._broken
        self._hold_feeders()
        if daemon is None or not self.broker.running or self.clock.now() != self.true_now:
            self.people.blind(self.t)
        if daemon is None:
            return
        self.people.look(self.t, self.clock.now(), daemon.outcome, self.orders.newest)
        if daemon.rooms.gate.counts:
            number = min(daemon.rooms.gate.counts)
            raise Broken(f"I{number}", f"the gate had to look after it: {dict(daemon.rooms.gate.counts)} by number; {daemon.outcome.reason}")
        if unforeseen := {kind: count for kind, count in daemon.faults.items() if not (kind.startswith(FORESEEN))}:
            raise Broken("I17", f"inside failed: {unforeseen}")

    def _hold_feeders(self) -> None:
        self.orders.forget(self.works.agents, self.true_now)
        self.feeders.look(self.works.plant, self.works.agents, self.orders)

    def _hear(self, message: Message) -> None:
        """Hear what the daemon publishes, before it goes. What is broken there is kept, because the daemon survives every exception."""
        self.published += 1
        payload = message.payload.replace(str(self.folder).encode(), b"")
        self.recent.append((self.t, message))
        self._digest.update(repr((round(self.t, 3), message.topic, payload, message.qos, message.retain)).encode())
        try:
            self._follow(message)
        except Broken as broken:
            self._broken = self._broken or broken

    def _follow(self, message: Message) -> None:
        if message.topic.endswith("/desired"):
            self.orders.hear(message, self.clock.now())
            if "/cap/" in message.topic:
                self._hold_feeders()
        elif "/override/" in message.topic:
            self.people.hear(message, self.t)
        elif "/alarm/" in message.topic:
            (self.alarms.add if message.payload else self.alarms.discard)(message.topic.rpartition("/")[2])
