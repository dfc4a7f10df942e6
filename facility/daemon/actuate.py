"""Actuate: a decision becomes messages, in the order that is safe whatever gets lost - decreases, read-back, increases.

A message after which no more may be in force (`in_force`) is sent at once, and so is one that is safe even if none of the messages
before it arrived. Of any other only the part that lowers goes ahead; the whole follows when the pools that gave way have reported back.
Whether a message raises anything is told by what the pool was last sent, where that is known. What a topic was told already, until the
same instant, it is not told again.
"""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages import CapReported, encode
from facility.bus.topics import Topics
from facility.daemon.in_force import InForce
from facility.daemon.orders import Desired, Stamp, caps_order, job_order, other_orders
from facility.decision import Decision, PoolCaps
from facility.invariants.ceiling import caps_of, ceiling, overloads, part, rises, ways
from facility.journal.journal import Journal
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import fallback_caps

log = logging.getLogger(__name__)


class Actuator:
    """Sends decisions and remembers what may be in force. To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, epoch: int) -> None:
        self._site, self._bus, self._journal, self._epoch = site, bus, journal, epoch
        self._topics = Topics(site.bus.root, site.id)
        self._fallback_w = fallback_caps(site)
        self.in_force = InForce(site, epoch)
        self._waiting: dict[str, PoolCaps] = {}
        self._decision: Decision | None = None
        self._plan_id = ""
        self._last: dict[str, tuple[bytes, datetime]] = {}
        self._queued = True
        self.seq = 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Pools whose increase waits for the others' read-back."""
        return tuple(self._waiting)

    @property
    def too_high(self) -> dict[str, str]:
        """By pool, what its agent reports above what was sent."""
        return self.in_force.too_high

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last."""
        self.in_force.resume(decision, now)

    def send(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime, plan_id: str) -> None:
        """Send `decision`: holds, caps that do not rise, what may rise, cooling and batteries, jobs that run. `site` is the one in force."""
        self._decision, self._plan_id = decision, plan_id
        self._last = {topic: kept for topic, kept in self._last.items() if kept[1] > now}
        self.in_force.lapse(now)
        self._jobs(decision, "hold", now)
        rising = {caps.pool: caps for caps in decision.pools if self._rises(caps)}
        for caps in decision.pools:
            if caps.pool not in rising:
                self._caps(caps, now)
        self._waiting = rising
        self.release(site, snapshot, outdoor_c, now)
        for caps in self._waiting.values():
            self._caps(self._lowering(caps), now)
        for topic, order in other_orders(decision, self._topics, self._stamp(now)):
            self._publish(topic, order)
        for battery in decision.batteries:
            self.in_force.charges(battery.battery, battery.power_kw, decision.until)
        self._jobs(decision, "run", now)

    def release(self, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime) -> None:
        """Send the increases that are safe by now, whichever of the earlier messages were lost."""
        decision = self._decision
        if self._waiting and decision is not None and now < decision.until and not self._unsafe(decision, site, snapshot, outdoor_c):
            waiting, self._waiting = self._waiting, {}
            for caps in waiting.values():
                self._caps(caps, now)

    def read_back(self, pool: str, report: CapReported, *, retained: bool = False) -> bool:
        """Take an agent's report; True where less may be in force because of it."""
        return self.in_force.read_back(pool, report, retained=retained)

    def republish(self, now: datetime) -> None:
        """Send again what still holds, after a reconnect: the broker is a cable, not a memory."""
        for topic, (payload, valid_until) in self._last.items():
            if valid_until > now:
                self._bus.publish(Message(topic, payload, qos=1, retain=True, valid_until=valid_until))

    def _rises(self, caps: PoolCaps) -> bool:
        return rises(caps_of(caps, self._site.pools[caps.pool].gpus), self.in_force.known(caps.pool))

    def _lowering(self, caps: PoolCaps) -> PoolCaps:
        """The part of `caps` that lowers, whichever of what was told last is true."""
        pool = self._site.pools[caps.pool]
        model = self._site.gpu_models[pool.gpu_model]
        along = ways(caps, self.in_force.last(caps.pool), pool.gpus)
        return part(caps, along, 0.0, model.min_cap_w, model.power_step_w)

    def _unsafe(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float) -> tuple[str, ...]:
        """Feeders that are endangered where any of the messages, old or of `decision`, do not arrive."""
        known = {pool: self.in_force.known(pool) for pool in self._site.pools}
        after = {
            caps.pool: ceiling(self.in_force.most(caps.pool), caps_of(caps, self._site.pools[caps.pool].gpus)) for caps in decision.pools
        }
        return overloads(site, decision, snapshot, outdoor_c, known, after, self.in_force.charging_kw)

    def _caps(self, caps: PoolCaps, now: datetime) -> None:
        order = caps_order(caps, self._fallback_w[caps.pool], self._stamp(now))
        seq = self._publish(self._topics.cap_desired(self._site.pools[caps.pool].hall, caps.pool), order)
        self.in_force.sent(caps, order.valid_until, seq)

    def _jobs(self, decision: Decision, action: str, now: datetime) -> None:
        for order in decision.jobs:
            if order.action == action:
                self._publish(self._topics.of("job_desired", job=order.job), job_order(order, self._stamp(now)))

    def _stamp(self, now: datetime) -> Stamp:
        assert self._decision is not None
        return Stamp(self._epoch, now, self._decision.until, self._plan_id or None)

    def _publish(self, topic: str, order: Desired) -> int:
        """Send an order; its number."""
        self.seq = self._journal.next_seq()
        told = encode(msgspec.structs.replace(order, seq=self.seq))
        self._last[topic] = (told, order.valid_until)
        queued = self._bus.publish(Message(topic, told, qos=1, retain=True, valid_until=order.valid_until))
        if queued != self._queued:
            self._queued = queued
            log.log(
                logging.INFO if queued else logging.WARNING, "%s: %s", topic, "queued again" if queued else "could not be queued"
            )
        return self.seq
