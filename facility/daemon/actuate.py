"""Actuate: a decision becomes messages, in the order that is safe whatever gets lost - decreases, read-back, increases.

What may be in force in a pool is everything sent since its last read-back; each GPU may obey any of it. A message after which
this cannot be more is sent at once, and so is one that is safe even if none of the messages before it arrived. Of any other
only the part that lowers goes ahead; the whole follows when the pools that gave way have reported back. A report confirms what
was sent only where its caps are no higher.

Of a pool that has not been heard of since the start, every GPU may have its highest cap; whether a message raises anything is
told by what the pool was last sent, where that is known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Literal

from facility.bus.interface import Bus, Message
from facility.bus.messages import (
    BatteryDesired,
    CapDesired,
    CapReported,
    CoolingDesired,
    GensetDesired,
    HallSetpoint,
    JobDesired,
    SolarDesired,
    encode,
)
from facility.bus.messages import CapGroup as SentGroup
from facility.bus.topics import Topics
from facility.daemon.ceiling import Caps, caps_of, ceiling, lower_part, overloads, sum_w
from facility.decision import Decision, PoolCaps
from facility.journal.journal import Journal
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import fallback_caps

log = logging.getLogger(__name__)

MOST_IN_FORCE = 16
"""Messages of one pool that are told apart while none is read back."""


@dataclass(frozen=True)
class Sent:
    """Caps of a pool that may be in force until an instant; None: nobody knows until when."""

    caps: PoolCaps
    until: datetime | None
    basis: Literal["sent", "told", "assumed"] = "sent"
    """Sent by us; told by an agent or by the journal of an earlier process; or assumed, because nobody told."""


Desired = CapDesired | JobDesired | CoolingDesired | BatteryDesired | GensetDesired | SolarDesired


class Actuator:
    """Sends decisions and remembers what may be in force. To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, epoch: int) -> None:
        self._site, self._bus, self._journal, self._epoch = site, bus, journal, epoch
        self._topics = Topics(site.bus.root, site.id)
        self._fallback_w = fallback_caps(site)
        unknown = {pool: PoolCaps(pool, site.gpu_models[p.gpu_model].max_cap_w) for pool, p in site.pools.items()}
        self._in_force: dict[str, list[Sent]] = {pool: [Sent(caps, None, "assumed")] for pool, caps in unknown.items()}
        self._sent_seq: dict[str, int] = {}
        self._waiting: dict[str, PoolCaps] = {}
        self._decision: Decision | None = None
        self._plan_id = ""
        self._last: dict[str, tuple[bytes, datetime]] = {}
        self._queued = True
        self.too_high: dict[str, str] = {}
        """By pool, what its agent reports above what was sent."""
        self.seq = 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Pools whose increase waits for the others' read-back."""
        return tuple(self._waiting)

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last; whatever else it sent lapses `cap_ttl_s` from `now` at the latest."""
        lapsed = now + timedelta(seconds=self._site.control.cap_ttl_s)
        for caps in decision.pools:
            if caps.pool in self._in_force:
                assumed = [replace(sent, until=lapsed) for sent in self._in_force[caps.pool]]
                self._in_force[caps.pool] = [*assumed, Sent(caps, decision.until, "told")]

    def send(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime, plan_id: str) -> None:
        """Send `decision`: holds, caps that do not rise, what may rise, cooling and batteries, jobs that run. `site` is the one in force."""
        self._decision, self._plan_id = decision, plan_id
        self._last = {topic: kept for topic, kept in self._last.items() if kept[1] > now}
        for pool in self._in_force:
            self._in_force[pool] = self._still(pool, now)
        self._jobs(decision, "hold", now)
        before = self._known()
        rising = {caps.pool: caps for caps in decision.pools if self._rises(caps, before[caps.pool])}
        for caps in decision.pools:
            if caps.pool not in rising:
                self._caps(caps, now)
        self._waiting = rising
        self.release(site, snapshot, outdoor_c, now)
        for caps in self._waiting.values():
            self._caps(self._lowering(caps), now)
        self._rest(decision, now)
        self._jobs(decision, "run", now)

    def release(self, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime) -> None:
        """Send the increases that are safe by now, whichever of the earlier messages were lost."""
        decision = self._decision
        if self._waiting and decision is not None and now < decision.until and not self._unsafe(decision, site, snapshot, outdoor_c):
            waiting, self._waiting = self._waiting, {}
            for caps in waiting.values():
                self._caps(caps, now)

    def read_back(self, pool: str, report: CapReported, *, retained: bool = False) -> bool:
        """Take an agent's report; True where less may be in force because of it.

        It confirms the last message where it knows of it and has no higher caps: then only that one counts. Higher caps count as
        in force besides. A report of earlier orders ends what was assumed of the pool, unless it is retained and may be old.
        """
        sent = self._sent_seq.get(pool)
        before, every = self._in_force[pool], [report.enforced_cap_w, *(group.cap_w for group in report.groups)]
        if sent is None or report.epoch != self._epoch or report.seq is None or report.seq < sent:
            self._heard(pool, PoolCaps(pool, max(every)), retained=retained)
            return self._in_force[pool] != before
        newest = before[-1]
        if too_high := _above(newest.caps, report):
            self.too_high[pool] = too_high
            known = [part for part in before[:-1] if part.basis != "assumed"]
            self._in_force[pool] = [*dict.fromkeys([Sent(PoolCaps(pool, max(every)), None), *known]), newest]
            return False
        self.too_high.pop(pool, None)
        self._in_force[pool] = [newest]
        return len(before) > 1

    def _heard(self, pool: str, caps: PoolCaps, *, retained: bool) -> None:
        """Take what a pool enforces without a message of ours confirmed, while its caps are only assumed."""
        every = self._in_force[pool]
        assumed = [sent for sent in every if sent.basis == "assumed"]
        if assumed:
            heard = Sent(caps, assumed[0].until, "told")
            rest = [sent for sent in every if sent.basis != "assumed" and sent != heard]
            self._in_force[pool] = [*(assumed if retained else ()), heard, *rest]

    def republish(self, now: datetime) -> None:
        """Send again what still holds, after a reconnect: the broker is a cable, not a memory."""
        for topic, (payload, valid_until) in self._last.items():
            if valid_until > now:
                self._bus.publish(Message(topic, payload, qos=1, retain=True, valid_until=valid_until))

    def _before(self) -> dict[str, Caps]:
        """The most that may be in force in each pool."""
        return {pool: self._most(pool, sent) for pool, sent in self._in_force.items()}

    def _known(self) -> dict[str, Caps]:
        """What each pool has as far as anybody was told, the least of it; where nobody was, the most that may be in force."""

        def least(pool: str) -> Caps:
            every = self._in_force[pool]
            ours, told = ([sent for sent in every if sent.basis == basis] for basis in ("sent", "told"))
            bases = [[sent, *ours] for sent in told] or [ours or every]
            return min((self._most(pool, basis) for basis in bases), key=sum_w)

        return {pool: least(pool) for pool in self._in_force}

    def _most(self, pool: str, several: Sequence[Sent]) -> Caps:
        return reduce(ceiling, [caps_of(sent.caps, self._site.pools[pool].gpus) for sent in several])

    def _lowering(self, caps: PoolCaps) -> PoolCaps:
        """The part of `caps` that lowers, whichever of what was told last is true."""
        every = self._in_force[caps.pool]
        for sent in every[-1:] if every[-1].basis != "told" else [sent for sent in every if sent.basis == "told"]:
            caps = lower_part(caps, sent.caps, self._site.pools[caps.pool].gpus)
        return caps

    def _unsafe(self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float) -> tuple[str, ...]:
        """Feeders that are endangered where any of the messages, old or of `decision`, do not arrive."""
        before = self._before()
        after = {
            caps.pool: ceiling(before[caps.pool], caps_of(caps, self._site.pools[caps.pool].gpus)) for caps in decision.pools
        }
        return overloads(site, decision, snapshot, outdoor_c, self._known(), after)

    def _rises(self, caps: PoolCaps, before: Caps) -> bool:
        return sum_w(ceiling(before, caps_of(caps, self._site.pools[caps.pool].gpus))) > sum_w(before)

    def _still(self, pool: str, now: datetime) -> list[Sent]:
        """What may be in force still: of what lapsed nothing is left above the fallback, and the list stays short."""
        *old, newest = self._in_force[pool]
        kept = [sent for sent in old if sent.until is None or sent.until > now]
        if len(kept) < len(old):
            kept.insert(0, Sent(PoolCaps(pool, self._fallback_w[pool]), None))
        if len(kept) > MOST_IN_FORCE:
            highest_w = max(cap_w for sent in kept for cap_w in (sent.caps.cap_w, *(group.cap_w for group in sent.caps.groups)))
            kept = [Sent(PoolCaps(pool, highest_w), None)]
        return [*dict.fromkeys(kept), newest]

    def _caps(self, caps: PoolCaps, now: datetime) -> None:
        assert self._decision is not None
        pool, until = self._site.pools[caps.pool], self._decision.until
        seq = self._next()
        self._in_force[caps.pool].append(Sent(caps, until))
        self._sent_seq[caps.pool] = seq
        payload = CapDesired(
            epoch=self._epoch,
            seq=seq,
            issued_at=now,
            valid_until=until,
            plan_id=self._plan_id or None,
            reason=caps.reason[:1000],
            cap_w=caps.cap_w,
            fallback_cap_w=self._fallback_w[caps.pool],
            groups=tuple(SentGroup(workload=g.workload, gpus=g.gpus, cap_w=g.cap_w) for g in caps.groups),
        )
        self._publish(self._topics.cap_desired(pool.hall, caps.pool), payload)

    def _jobs(self, decision: Decision, action: str, now: datetime) -> None:
        for order in decision.jobs:
            if order.action == action:
                payload = JobDesired(
                    epoch=self._epoch,
                    seq=self._next(),
                    issued_at=now,
                    valid_until=decision.until,
                    plan_id=self._plan_id or None,
                    reason=order.reason[:1000],
                    action=order.action,
                    gpus=order.gpus,
                    until=order.until,
                )
                self._publish(self._topics.of("job_desired", job=order.job), payload)

    def _rest(self, decision: Decision, now: datetime) -> None:
        def stamp() -> dict[str, Any]:
            return {
                "epoch": self._epoch,
                "seq": self._next(),
                "issued_at": now,
                "valid_until": decision.until,
                "plan_id": self._plan_id or None,
            }

        for cooling in decision.cooling:
            halls = {hall: HallSetpoint(temperature_c=c) for hall, c in cooling.hall_c}
            wishes = CoolingDesired(halls=halls, store_kw=cooling.store_kw, supply_c=cooling.supply_c, **stamp())
            self._publish(self._topics.of("cooling_desired", plant=cooling.plant), wishes)
        for battery in decision.batteries:
            order = BatteryDesired(power_kw=battery.power_kw, **stamp())
            self._publish(self._topics.of("battery_desired", battery=battery.battery), order)
        for genset in decision.gensets:
            self._publish(self._topics.of("genset_desired", genset=genset.genset), GensetDesired(power_kw=genset.power_kw, **stamp()))
        for plant in decision.solar:
            self._publish(self._topics.of("solar_desired", solar=plant.solar), SolarDesired(limit_kw=plant.limit_kw, **stamp()))

    def _publish(self, topic: str, payload: Desired) -> None:
        told = encode(payload)
        self._last[topic] = (told, payload.valid_until)
        queued = self._bus.publish(Message(topic, told, qos=1, retain=True, valid_until=payload.valid_until))
        if queued != self._queued:
            self._queued = queued
            log.log(
                logging.INFO if queued else logging.WARNING, "%s: %s", topic, "queued again" if queued else "could not be queued"
            )

    def _next(self) -> int:
        self.seq = self._journal.next_seq()
        return self.seq


def _above(caps: PoolCaps, report: CapReported) -> str:
    """Say where a report has higher caps than were sent, in the pool or for one workload; empty where it has none."""
    highest = max([caps.cap_w, *(group.cap_w for group in caps.groups)])
    if report.enforced_cap_w > highest:
        return f"pool {caps.pool} reports {report.enforced_cap_w} W enforced, {highest} W was sent"
    for group in report.groups:
        sent = max([caps.cap_w, *(part.cap_w for part in caps.groups if part.workload == group.workload)])
        if group.cap_w > sent:
            return f"pool {caps.pool} reports {group.cap_w} W enforced for {group.workload}, {sent} W was sent"
    return ""
