"""Flex: the daemon's part in the flexible load of NVIDIA DSX Exchange. Orders come in, power states and breaches go out.

An order counts only on its orderer's own topic, from its own source, under its own signature where the site file names its keys, and
never retained. It is on the disk before it acts, it acts at once as far as caps can be lowered without a solver, and the next plan,
which is asked for, takes it in. Its answer is the power state; where it is refused that is told too, with the order's correlation id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages.codec import Payload, Rejected, decode
from facility.daemon.alarms import Alarms
from facility.dsx import facts
from facility.dsx.breach import Breach, Watch
from facility.dsx.cloudevents import CloudEvent, Trace, data_of, read, write
from facility.dsx.flex import (
    BreachDetails,
    BreachTarget,
    Enforcement,
    FeedMetadata,
    PowerBreach,
    PowerState,
    SetLoadTarget,
    StateEvent,
    power,
)
from facility.dsx.powerstate import Follower, Seen
from facility.dsx.schedule import Schedule
from facility.dsx.signature import Signer, Verifier
from facility.events import Event
from facility.journal.journal import Journal
from facility.overrides.arbitrate import limit_at
from facility.site import Peer, Site
from facility.site.dsx import Dsx
from facility.verify import at_rest_kw

log = logging.getLogger(__name__)

FACT = "dsx"
REFUSED, BREACHED, ENFORCED = "load-target-refused", "load-target-breach", "load-target-enforcement"


@dataclass(frozen=True)
class Party:
    """Who speaks on a topic, and how what it sends is verified; None: it is not signed."""

    name: str
    source: str
    verifier: Verifier | None

    def opened(self, event: CloudEvent) -> bytes:
        """The plain data of its event. Raises `Rejected`."""
        if event.source != self.source:
            raise Rejected(f"its source is {event.source}, and this topic belongs to {self.source}", str(event.id))
        signed = event.signed
        if (signed is None) != (self.verifier is None):
            says = "it is signed, and the site file names no keys to verify it with" if signed else "it is not signed"
            raise Rejected(says, str(event.id))
        return bytes(event.data) if signed is None or self.verifier is None else self.verifier.verified(signed)


class Flex:
    """To be used under the daemon's lock. `new_id` gives a fresh UUIDv4. InputError where a file of keys cannot be used."""

    def __init__(self, site: Site, dsx: Dsx, bus: Bus, journal: Journal, alarms: Alarms, new_id: Callable[[], UUID] = uuid4) -> None:
        self._site, self._dsx, self._bus, self._journal, self._alarms, self._new_id = site, dsx, bus, journal, alarms, new_id
        self._tag = dsx.feed_tag or site.grid.feed
        self._signer = None if dsx.signing_key is None else Signer(dsx.signing_key, "bus.dsx.signing_key")
        self._isvs = _parties(dsx.isvs, "isvs", "isv", "loadtarget/set")
        self._infra = _parties(dsx.infra_agents, "infra_agents", "infra", "powerbreach/enforcement")
        self._source = f"//grid/v1/dsx-flex-agent/{dsx.agent}"
        self._topic = f"grid/v1/dsx-flex-agent/{dsx.agent}"
        self._schedule = self._kept(journal.get(FACT))
        self._follower = Follower(timedelta(seconds=dsx.status_every_s))
        self._watch = Watch(new_id, timedelta(seconds=dsx.breach_after_s), timedelta(seconds=dsx.breach_escalates_after_s))
        self._seen: Seen | None = None
        self._limit_kw: float | None = None

    @property
    def patterns(self) -> tuple[tuple[str, int], ...]:
        """What to subscribe to, and with which quality of service."""
        return (*((topic, 1) for topic in self._isvs), *((topic, 2) for topic in self._infra))

    @property
    def events(self) -> tuple[Event, ...]:
        """What stands, as grid events."""
        return self._schedule.events()

    def hears(self, topic: str) -> bool:
        """Whether a topic is one of those that are listened to."""
        return topic in self._isvs or topic in self._infra

    def answer(self, message: Message, now: datetime) -> bool:
        """Take an event in; True where other targets stand because of it."""
        if not message.payload:
            return False
        if message.retain:
            self._refuse(message.topic, "it arrived retained: whoever connects would get it again", now)
            return False
        try:
            if message.topic in self._isvs:
                return self._ordered(self._isvs[message.topic], message.payload, now)
            self._enforced(self._infra[message.topic], message.payload, now)
        except Rejected as rejected:
            self._refuse(message.topic, rejected.reason, now)
        return False

    def look(self, seen: Seen) -> bool:
        """Tell what has to be told of the feed; True where another constraint holds from now on."""
        self._seen, binding = seen, self._schedule.binding(seen.at)
        correlation = None if binding is None else binding.correlation
        for happened in self._follower.happened(seen, binding):
            self._tell_state(seen, happened, self._begun(), None if happened == "periodic" else correlation)
        if (breach := self._watch.look(seen, binding)) is not None:
            self._tell_breach(breach, seen.at)
        before, self._limit_kw = self._limit_kw, None if binding is None else binding.constraint.kw
        return before != self._limit_kw

    def republish(self) -> None:
        """Tell the state again after a reconnect."""
        if self._seen is not None:
            self._tell_state(self._seen, "periodic", self._begun(), None)

    def _ordered(self, isv: Party, payload: bytes, now: datetime) -> bool:
        event = read(payload, facts.LOAD_TARGET_SET)
        correlation = event.correlationid or event.id
        try:
            order = data_of(event, isv.opened(event), SetLoadTarget)
            ours = [request for request in order.targets if not request.feed_tags or self._tag in request.feed_tags]
            if not ours:
                log.info("order %s of %s is for other feeds", event.id, isv.name)
                return False
            schedule = self._schedule.ordered(isv.name, event.id, correlation, event.time, ours, now)
        except Rejected:
            if self._seen is not None:
                self._tell_state(self._seen, "periodic", Trace.of(event), correlation)
            raise
        self._journal.put(FACT, msgspec.json.encode(schedule))
        self._schedule = schedule
        self._alarms.clear(REFUSED)
        log.info("order %s of %s: %d load targets stand", event.id, isv.name, len(schedule.standing(now)))
        if self._seen is not None:
            self._tell_state(replace(self._seen, at=now), "target_set", Trace.of(event), correlation)
        return True

    def _refuse(self, topic: str, reason: str, now: datetime) -> None:
        remedy = "ask who sent it; the alarm ends with the next order that is taken in"
        self._alarms.stand(REFUSED, f"refused: {reason}"[:1000], now, place=topic, remedy=remedy)

    def _enforced(self, agent: Party, payload: bytes, now: datetime) -> None:
        event = read(payload, facts.ENFORCEMENT)
        told = data_of(event, agent.opened(event), Enforcement)
        if told.feed_tag != self._tag:
            return
        log.warning("%s: enforcement %s, %s, %d resources: %s", agent.name, told.action, told.code, len(told.results), told.diag_msg)
        if told.action == "reverted" and told.code == "success":
            self._alarms.clear(ENFORCED)
            return
        cause = f"{agent.name}: enforcement on the hardware, {told.action}, {told.code}, {len(told.results)} resources. {told.diag_msg}"
        remedy = "what is capped or off is not ours to raise: see that the load target is kept, then have it reverted"
        self._alarms.stand(ENFORCED, cause[:1000], now, place=f"breach {told.breach_id}", remedy=remedy)

    def _tell_state(self, seen: Seen, happened: StateEvent, trace: Trace, correlation: UUID | None) -> None:
        metadata = FeedMetadata(
            power_minimum=power(at_rest_kw(self._site)),
            power_maximum=power(self._site.grid.import_limit_kw),
            default_constraint=power(limit_at(self._site, seen.at)),
        )
        state = self._follower.state(seen, self._schedule, metadata, happened)
        data = PowerState(snapshot_time=seen.at, feeds={self._tag: state})
        self._tell("powerstate/status", 1, facts.POWER_STATE, "powerstate", data, seen.at, trace, correlation)

    def _tell_breach(self, breach: Breach, now: datetime) -> None:
        over, target = breach.status == "resolved", breach.target
        actions = () if over or target.best_effort else self._dsx.infrastructure_actions
        told = PowerBreach(
            feed_tag=self._tag,
            status=breach.status,
            severity=breach.severity,
            breach=BreachDetails(breach_id=breach.id, detected_at=breach.detected_at, resolved_at=breach.resolved_at),
            target=BreachTarget(correlation_id=target.correlation, load_constraint=target.constraint),
            measured_load=power(breach.measured_kw),
            infrastructure_actions=actions[:1] if breach.status == "active" else actions,
            shed_hints=None if over else (),
        )
        self._tell("powerbreach", 2, facts.POWER_BREACH, "powerbreach", told, now, self._begun(), target.correlation)
        if over:
            self._alarms.clear(BREACHED)
            return
        cause = f"the meter showed {breach.measured_kw:.1f} kW, {target.orderer} allows {target.constraint.kw:g} kW"
        remedy = "see which pools do not follow their caps; what is not controlled must be shed by hand"
        self._alarms.stand(BREACHED, cause, now, place=f"feed {self._tag}", remedy=remedy)

    def _tell(
        self, below: str, qos: int, kind: str, subject: str, data: Payload, at: datetime, trace: Trace, correlation: UUID | None
    ) -> None:
        plain = msgspec.json.encode(data)
        payload = write(
            plain if self._signer is None else msgspec.json.encode(self._signer.sign(plain)),
            kind=kind,
            subject=subject,
            source=self._source,
            at=at,
            event_id=self._new_id(),
            span=self._new_id(),
            trace=trace,
            correlation=correlation,
        )
        self._bus.publish(Message(f"{self._topic}/{below}", payload, qos=qos))

    def _begun(self) -> Trace:
        return Trace(self._new_id().hex)

    def _kept(self, state: bytes | None) -> Schedule:
        """What an earlier process was ordered, by those who may still order."""
        if state is None:
            return Schedule()
        try:
            return decode(state, Schedule).only(self._dsx.isvs)
        except Rejected as rejected:
            log.warning("the load targets ordered before cannot be read: %s", rejected.reason)
            return Schedule()


def _parties(peers: dict[str, Peer], key: str, role: str, below: str) -> dict[str, Party]:
    """Those who may speak, by their topic."""

    def party(name: str, peer: Peer) -> Party:
        verifier = None if peer.keys is None else Verifier(peer.keys, f"bus.dsx.{key}.{name}.keys")
        return Party(name, f"//grid/v1/{role}/{name}", verifier)

    return {f"grid/v1/{role}/{name}/{below}": party(name, peer) for name, peer in peers.items()}
