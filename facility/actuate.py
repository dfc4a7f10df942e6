"""Actuate: a decision becomes messages, in the order that is safe whatever gets lost - decreases, read-back, increases.

A pool whose sum of caps does not rise is told at once. One that rises waits until the sum of caps is safe even if none of the
messages before it arrived: either because it is anyway, or because the pools that gave way have reported back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from facility.bus import Bus, Message
from facility.decision import Decision, PoolCaps
from facility.journal import Journal
from facility.messages import (
    BatteryDesired,
    CapDesired,
    CapGroup,
    CapReported,
    CoolingDesired,
    HallSetpoint,
    JobDesired,
    Payload,
    encode,
)
from facility.site import Site
from facility.snapshot import Snapshot
from facility.topics import Topics
from facility.verify import Earlier, Violation, fallback_caps, verify

log = logging.getLogger(__name__)


class Actuator:
    """Sends decisions and remembers what may be in force. To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, epoch: int) -> None:
        self._site, self._bus, self._journal, self._epoch = site, bus, journal, epoch
        self._topics = Topics(site.bus.root, site.id)
        self._fallback_w = fallback_caps(site)
        self._in_force: dict[str, list[int | PoolCaps]] = {
            pool: [site.gpu_models[p.gpu_model].max_cap_w] for pool, p in site.pools.items()
        }
        self._sent_seq: dict[str, int] = {}
        self._waiting: dict[str, PoolCaps] = {}
        self._decision: Decision | None = None
        self._plan_id = ""
        self._last: dict[str, tuple[bytes, datetime]] = {}
        self.seq = 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Pools whose increase waits for the others' read-back."""
        return tuple(self._waiting)

    @property
    def earlier(self) -> dict[str, Earlier]:
        """What may still be in force in each pool: everything sent since the last read-back."""
        return {pool: tuple(caps) for pool, caps in self._in_force.items()}

    def send(self, decision: Decision, snapshot: Snapshot, outdoor_c: float, now: datetime, plan_id: str) -> None:
        """Send `decision`: holds, caps that do not rise, what may rise, cooling and batteries, jobs that run."""
        self._decision, self._plan_id = decision, plan_id
        self._waiting = {}
        self._jobs(decision, "hold", now)
        rising: list[PoolCaps] = []
        for caps in decision.pools:
            if self._rises(caps):
                rising.append(caps)
            else:
                self._caps(caps, now)
        self._waiting = {caps.pool: caps for caps in rising}
        self.release(snapshot, outdoor_c, now)
        self._rest(decision, now)
        self._jobs(decision, "run", now)

    def release(self, snapshot: Snapshot, outdoor_c: float, now: datetime) -> None:
        """Send the increases that are safe by now, whichever of the earlier messages were lost."""
        for caps in list(self._waiting.values()):
            found = self._unsafe(caps, snapshot, outdoor_c)
            if not found:
                del self._waiting[caps.pool]
                self._caps(caps, now)

    def read_back(self, pool: str, report: CapReported) -> bool:
        """Take an agent's report; True where it confirms the last message, so that only that one counts as in force."""
        sent = self._sent_seq.get(pool)
        if sent is None or report.epoch != self._epoch or report.seq is None or report.seq < sent:
            return False
        confirmed = len(self._in_force[pool]) > 1
        self._in_force[pool] = self._in_force[pool][-1:]
        return confirmed

    def republish(self, now: datetime) -> None:
        """Send again what still holds, after a reconnect: the broker is a cable, not a memory."""
        for topic, (payload, valid_until) in self._last.items():
            if valid_until > now:
                self._bus.publish(Message(topic, payload, qos=1, retain=True))

    def _unsafe(self, caps: PoolCaps, snapshot: Snapshot, outdoor_c: float) -> list[Violation]:
        assert self._decision is not None
        found = verify(self._site, snapshot, self._decision, outdoor_c=outdoor_c, sent_cap_w=self.earlier)
        return [violation for violation in found if violation.tier == "plant" and violation.rule.startswith("feeder")]

    def _rises(self, caps: PoolCaps) -> bool:
        gpus = self._site.pools[caps.pool].gpus
        return _sum_w(caps, gpus) > max(_sum_w(earlier, gpus) for earlier in self._in_force[caps.pool])

    def _caps(self, caps: PoolCaps, now: datetime) -> None:
        pool = self._site.pools[caps.pool]
        until = now + timedelta(seconds=self._site.control.cap_ttl_s)
        seq = self._next()
        self._in_force[caps.pool].append(caps)
        self._sent_seq[caps.pool] = seq
        payload = CapDesired(
            epoch=self._epoch,
            seq=seq,
            issued_at=now,
            valid_until=until,
            plan_id=self._plan_id,
            reason=caps.reason[:1000],
            cap_w=caps.cap_w,
            fallback_cap_w=self._fallback_w[caps.pool],
            groups=tuple(CapGroup(workload=g.workload, gpus=g.gpus, cap_w=g.cap_w) for g in caps.groups),
        )
        self._publish(self._topics.cap_desired(pool.hall, caps.pool), payload, until)

    def _jobs(self, decision: Decision, action: str, now: datetime) -> None:
        until = now + timedelta(seconds=self._site.control.cap_ttl_s)
        for order in decision.jobs:
            if order.action == action:
                payload = JobDesired(
                    epoch=self._epoch,
                    seq=self._next(),
                    issued_at=now,
                    valid_until=until,
                    plan_id=self._plan_id,
                    reason=order.reason[:1000],
                    action=order.action,
                    gpus=order.gpus,
                    until=order.until,
                )
                self._publish(self._topics.of("job_desired", job=order.job), payload, until)

    def _rest(self, decision: Decision, now: datetime) -> None:
        until = now + timedelta(seconds=self._site.control.cap_ttl_s)
        stamp: Callable[[], dict[str, object]] = lambda: {  # noqa: E731
            "epoch": self._epoch, "seq": self._next(), "issued_at": now, "valid_until": until, "plan_id": self._plan_id
        }
        for cooling in decision.cooling:
            halls = {hall: HallSetpoint(temperature_c=c) for hall, c in cooling.hall_c}
            self._publish(self._topics.of("cooling_desired", plant=cooling.plant), CoolingDesired(halls=halls, **stamp()), until)  # type: ignore[arg-type]
        for battery in decision.batteries:
            order = BatteryDesired(power_kw=battery.power_kw, **stamp())  # type: ignore[arg-type]
            self._publish(self._topics.of("battery_desired", battery=battery.battery), order, until)

    def _publish(self, topic: str, payload: Payload, until: datetime) -> None:
        told = encode(payload)
        self._last[topic] = (told, until)
        if not self._bus.publish(Message(topic, told, qos=1, retain=True)):
            log.warning("could not queue %s", topic)

    def _next(self) -> int:
        self.seq = self._journal.next_seq()
        return self.seq


def _sum_w(caps: int | PoolCaps, gpus: int) -> int:
    """Sum of the caps of a pool's GPUs, W."""
    if isinstance(caps, int):
        return caps * gpus
    return sum(g.gpus * g.cap_w for g in caps.groups) + caps.cap_w * (gpus - sum(g.gpus for g in caps.groups))
