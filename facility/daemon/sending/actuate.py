"""Actuate: a decision becomes messages, in the order that is safe whatever gets lost - decreases, read-back, increases.

A message after which no more may be in force (`in_force`) is sent at once, and so is one that is safe even if none of the messages
before it arrived. Of any other only the part that lowers goes ahead; the whole follows, in steps (`climb`), when the pools that gave way
have reported back; so does what a battery is to charge. What is known to be in force already is added by nobody. What a topic was told
already, until the same instant, it is not told again. The order for a job that nobody renews is taken off the broker once it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages import CapReported, JobDesired, encode
from facility.bus.topics import Topics
from facility.daemon.sending.climb import Climb
from facility.daemon.sending.in_force import InForce
from facility.daemon.sending.orders import Desired, Stamp, caps_order, job_order, other_orders, same_order
from facility.decision import BatteryOrder, Decision, PoolCaps
from facility.invariants.ceiling import caps_of, overloads, part, rises, ways
from facility.journal.journal import Journal
from facility.site import Site
from facility.snapshot import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """The last order on a topic, its number, and whether it is on its way."""

    order: Desired
    seq: int
    payload: bytes
    queued: bool


class Actuator:
    """Sends decisions and remembers what may be in force. To be used under the daemon's lock; `random` draws the pauses between steps."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, epoch: int, random: Random) -> None:
        self._site, self._bus, self._journal, self._epoch = site, bus, journal, epoch
        self._topics = Topics(site.bus.root, site.id)
        self.in_force = InForce(site, epoch)
        self._climb = Climb(site, random)
        self._waiting: dict[str, PoolCaps] = {}
        self._resting: frozenset[str] = frozenset()
        self.batteries: tuple[BatteryOrder, ...] = ()
        """What batteries were told last."""
        self._at_once: AbstractSet[str] = frozenset()
        self._stalled = False
        self._decision: Decision | None = None
        self._plan_id = ""
        self._sent: dict[str, PoolCaps] = {}
        self.own: dict[str, PoolCaps] = {}
        """By pool, what it was sent last while nobody commanded its caps."""
        self._as_sent: tuple[Decision, Decision] | None = None
        self._last: dict[str, Told] = {}
        self._job_ends: dict[str, datetime] = {}
        self._queued = True
        self.seq = 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Pools that do not have all of their increase yet, and batteries that do not charge yet as they are to."""
        return (*self._waiting, *self._resting)

    @property
    def too_high(self) -> dict[str, str]:
        """By pool, what its agent reports above what was sent."""
        return self.in_force.too_high

    def settled(self, pool: str) -> bool:
        """Whether the agent of a pool reported all that it was sent, and it has all of its increase."""
        return pool not in self._waiting and self.in_force.confirmed(pool)

    def owing(self, since: int) -> frozenset[str]:
        """Pools that were sent caps after the order `since`, or are commanded to rise and wait to, and did not report them yet."""
        named = self.in_force.sent_since(since) | (self._at_once & self._waiting.keys())
        return frozenset(pool for pool in named if not self.settled(pool))

    def told(self, topic: str) -> Told | None:
        """The last order on a topic; None where none was sent, or it has ended."""
        return self._last.get(topic)

    def due(self, now: datetime) -> bool:
        """Whether there is a step to make (`release`)."""
        return bool(self._waiting) and not self._stalled and self._climb.due(now)

    def as_sent(self, decision: Decision) -> Decision:
        """`decision` with the caps that were sent last: where they are still to rise, with those that they have."""
        if self._as_sent is None or self._as_sent[0] is not decision:
            sent = replace(decision, pools=tuple(self._sent.get(caps.pool, caps) for caps in decision.pools))
            self._as_sent = (decision, sent)
        return self._as_sent[1]

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last."""
        self.in_force.resume(decision, now)
        self._job_ends = {self._topics.of("job_desired", job=order.job): decision.until for order in decision.jobs}

    def send(
        self,
        decision: Decision,
        site: Site,
        snapshot: Snapshot,
        outdoor_c: float,
        now: datetime,
        plan_id: str,
        at_once: AbstractSet[str] = frozenset(),
    ) -> None:
        """Send `decision`: holds, caps that do not rise, what may rise, cooling and batteries, jobs that run.

        `site` is the one in force; pools `at_once` rise without steps, for somebody commands their caps.
        """
        self._decision, self._plan_id, self._at_once = decision, plan_id, at_once
        self._last = {topic: told for topic, told in self._last.items() if told.order.valid_until > now}
        self.in_force.lapse(now)
        self._jobs(decision, "hold", now)
        self._waiting = {caps.pool: caps for caps in decision.pools if self._rises(caps)}
        for caps in decision.pools:
            if caps.pool not in self._waiting:
                self._caps(caps, now)
        rose = self._rise(decision, site, snapshot, outdoor_c, now)
        for caps in self._waiting.values():
            if caps.pool not in rose:
                self._caps(self._lowering(caps), now)
        self._supply(decision, site, snapshot, outdoor_c, now)
        self._jobs(decision, "run", now)
        self._take_back(now)

    def release(self, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime) -> frozenset[str]:
        """Send the next step of the increases as far as it is safe by now, whichever of the earlier messages were lost; the pools that rose."""
        decision = self._decision
        if decision is None or now >= decision.until:
            return frozenset()
        rose = self._rise(decision, site, snapshot, outdoor_c, now)
        if self._resting:
            self._supply(decision, site, snapshot, outdoor_c, now)
        return rose

    def read_back(self, pool: str, report: CapReported, *, retained: bool = False) -> bool:
        """Take an agent's report; True where less may be in force because of it."""
        less = self.in_force.read_back(pool, report, retained=retained)
        self._stalled = self._stalled and not less
        return less

    def republish(self, now: datetime) -> None:
        """Send again what still holds, after a reconnect: the broker is a cable, not a memory."""
        for topic, told in self._last.items():
            if told.order.valid_until > now:
                self._bus.publish(Message(topic, told.payload, qos=1, retain=True, valid_until=told.order.valid_until))

    def _rise(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime) -> frozenset[str]:
        """Let caps rise by a step as far as it is safe by now; the pools that rose."""
        self._stalled = False
        if not self._waiting:
            return frozenset()
        quick = [caps for pool, caps in self._waiting.items() if pool in self._at_once]
        slow = [caps for pool, caps in self._waiting.items() if pool not in self._at_once]
        step = self._climb.step(slow, self.in_force, now) if slow and self._climb.due(now) else []
        several = [*quick, *step]
        safe = next((some for some in (several, quick) if some and not self._unsafe(some, decision, site, snapshot, outdoor_c)), [])
        safe = safe or [caps for caps in several if not self._adds(caps)]
        self._stalled = not safe and bool(quick or step)
        for caps in safe:
            self._caps(caps, now)
            if caps == self._waiting[caps.pool]:
                del self._waiting[caps.pool]
        if slow and self._climb.due(now) and not self._stalled:
            self._climb.pause(now)
        return frozenset(caps.pool for caps in safe)

    def _supply(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime) -> None:
        """Tell cooling plants, batteries, gensets and solar plants what to do; a battery charges no more than it may already, until that is safe."""
        most_kw = self.in_force.charging_kw
        more = frozenset(order.battery for order in decision.batteries if order.power_kw > most_kw.get(order.battery, 0.0))
        self._resting = more if more and self._unsafe((), decision, site, snapshot, outdoor_c) else frozenset()
        self.batteries = tuple(
            replace(order, power_kw=most_kw.get(order.battery, 0.0)) if order.battery in self._resting else order for order in decision.batteries
        )
        for topic, order in other_orders(replace(decision, batteries=self.batteries), self._topics, self._stamp(now)):
            self._publish(topic, order)
        for battery in self.batteries:
            self.in_force.charges(battery.battery, battery.power_kw, decision.until)

    def _rises(self, caps: PoolCaps) -> bool:
        return rises(caps_of(caps, self._site.pools[caps.pool].gpus), self.in_force.low(caps.pool))

    def _adds(self, caps: PoolCaps) -> bool:
        """Whether more may be in force by `caps` than is known to be."""
        return self.in_force.adds(caps)

    def _lowering(self, caps: PoolCaps) -> PoolCaps:
        """The part of `caps` that lowers, whichever of what was told last is true."""
        pool = self._site.pools[caps.pool]
        model = self._site.gpu_models[pool.gpu_model]
        along = ways(caps, self.in_force.last(caps.pool), pool.gpus)
        return part(caps, along, 0.0, model.min_cap_w, model.power_step_w)

    def _unsafe(
        self, some: Sequence[PoolCaps], decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float
    ) -> tuple[str, ...]:
        """Feeders that are endangered where any of the messages, old or of `some`, do not arrive."""
        known = {pool: self.in_force.known(pool) for pool in self._site.pools}
        after = {pool: self.in_force.most(pool) for pool in self._site.pools} | {caps.pool: self.in_force.most_with(caps) for caps in some}
        return overloads(site, decision, snapshot, outdoor_c, known, after, self.in_force.charging_kw)

    def _caps(self, caps: PoolCaps, now: datetime) -> None:
        pool = self._site.pools[caps.pool]
        order = caps_order(caps, self.in_force.fallback_w[caps.pool], self._stamp(now))
        seq = self._publish(self._topics.cap_desired(pool.hall, caps.pool), order, again=caps.pool in self.too_high)
        if seq is not None:
            free = caps.pool in self._at_once
            self._climb.turns.follow(caps.pool, caps_of(caps, pool.gpus), self.in_force.low(caps.pool), now, free=free)
            self.in_force.sent(caps, order.valid_until, seq)
            self._sent[caps.pool], self._as_sent = caps, None
            if not free:
                self.own[caps.pool] = caps

    def _jobs(self, decision: Decision, action: str, now: datetime) -> None:
        for order in decision.jobs:
            if order.action == action:
                self._publish(self._topics.of("job_desired", job=order.job), job_order(order, self._stamp(now)))

    def _take_back(self, now: datetime) -> None:
        """Take orders for jobs off the broker that have ended: it retains them, and jobs come and go by the thousand."""
        for topic in [topic for topic, end in self._job_ends.items() if end <= now]:
            if self._bus.publish(Message(topic, b"", qos=1, retain=True)):
                del self._job_ends[topic]

    def _stamp(self, now: datetime) -> Stamp:
        assert self._decision is not None
        return Stamp(self._epoch, now, self._decision.until, self._plan_id or None)

    def _publish(self, topic: str, order: Desired, *, again: bool = False) -> int | None:
        """Send an order; its number. None: the topic was told it already, and it is not to be told `again`."""
        last = self._last.get(topic)
        if last is not None and last.queued and not again and same_order(order, last.order):
            return None
        self.seq = self._journal.next_seq()
        told = encode(msgspec.structs.replace(order, seq=self.seq))
        queued = self._bus.publish(Message(topic, told, qos=1, retain=True, valid_until=order.valid_until))
        self._last[topic] = Told(order, self.seq, told, queued)
        if isinstance(order, JobDesired):
            self._job_ends[topic] = order.valid_until
        if queued != self._queued:
            self._queued = queued
            log.log(
                logging.INFO if queued else logging.WARNING, "%s: %s", topic, "queued again" if queued else "could not be queued"
            )
        return self.seq
