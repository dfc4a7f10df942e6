"""Flex: the daemon's part in the flexible load of NVIDIA DSX Exchange. Orders come in, power states and breaches go out.

What is not its sender's (`facility.dsx.party`) or arrives retained does not count. An order is on the disk before it acts; it acts at
once, as far as caps can be lowered without a solver, and the next plan, which is asked for, takes it in. Its answer is the power state;
where it is refused that is told too, with the order's correlation id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages.codec import Payload, Rejected
from facility.daemon.recording.account import Account
from facility.daemon.telling.alarms import Alarms
from facility.dsx import facts
from facility.dsx.breach import Breach, Watch
from facility.dsx.cloudevents import CloudEvent, Trace, data_of, read, write
from facility.dsx.flex import (
    BreachDetails,
    BreachTarget,
    Enforcement,
    FeedMetadata,
    Power,
    PowerBreach,
    PowerState,
    SetLoadTarget,
    ShedHint,
    StateEvent,
    power,
)
from facility.dsx.party import Party, parties
from facility.dsx.powerstate import Follower, Seen
from facility.dsx.schedule import Schedule
from facility.dsx.signature import Signer
from facility.events import Event
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.overrides.arbitrate import limit_at
from facility.site import Site
from facility.site.dsx import Dsx
from facility.verify import at_rest_kw

log = logging.getLogger(__name__)

TARGETS, BREACH = "dsx targets", "dsx breach"
"""Facts of the journal."""
T = TypeVar("T")

MOST_HINTS = 100
"""Resources that a breach names, so that it stays short."""

REFUSED, BREACHED, ENFORCED = "load-target-refused", "load-target-breach", "load-target-enforcement"


class Flex:
    """To be used under the daemon's lock. `new_id` gives a fresh UUIDv4. InputError where a file of keys cannot be used."""

    def __init__(
        self, site: Site, dsx: Dsx, bus: Bus, journal: Journal, alarms: Alarms, account: Account, new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._site, self._dsx, self._bus, self._journal = site, dsx, bus, journal
        self._alarms, self._account, self._new_id = alarms, account, new_id
        self._tag = dsx.feed_tag or site.grid.feed
        self._signer = None if dsx.signing_key_file is None else Signer(dsx.signing_key_file, "bus.dsx.signing_key_file")
        self._isvs = parties(dsx.isvs, "isvs", "isv", "loadtarget/set")
        self._infra = parties(dsx.infra_agents, "infra_agents", "infra", "powerbreach/enforcement")
        self._source = f"//grid/v1/dsx-flex-agent/{dsx.agent}"
        self._topic = f"grid/v1/dsx-flex-agent/{dsx.agent}"
        self._before = self._schedule = (_kept(journal, TARGETS, Schedule) or Schedule()).only(dsx.isvs)
        self._follower = Follower(timedelta(seconds=dsx.status_every_s))
        after, escalates_after = (timedelta(seconds=s) for s in (dsx.breach_after_s, dsx.breach_escalates_after_s))
        self._watch = Watch(new_id, after, escalates_after, _kept(journal, BREACH, Breach))
        self._seen: Seen | None = None
        self._owed: list[tuple[StateEvent, Trace, UUID]] = []
        self._limit_kw: float | None = None
        self._unstored = False
        """Whether the journal is still to be told how the breach stands."""

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
            self._refuse(message.topic, Rejected("it arrived retained: whoever connects would get it again"), now)
            return False
        try:
            if message.topic in self._isvs:
                return self._ordered(message, self._isvs[message.topic], now)
            self._enforced(message, self._infra[message.topic], now)
        except Rejected as rejected:
            self._refuse(message.topic, rejected, now)
        return False

    def look(self, seen: Seen) -> bool:
        """Tell what has to be told of the feed; True where another constraint holds from now on."""
        if self._seen is None:
            self._follower.resume(self._before.binding(seen.at))
        self._seen, binding = seen, self._schedule.binding(seen.at)
        self._tell_owed(seen.at)
        correlation = None if binding is None else binding.correlation
        for happened in self._follower.happened(seen, binding):
            self._tell_state(seen, happened, self._begun(), None if happened == "periodic" else correlation)
        if (breach := self._watch.look(seen, binding)) is not None:
            self._tell_breach(breach, seen)
            self._unstored = True
        if self._unstored:
            with suppress(Rejected):  # it is tried again at the next look
                self._store(BREACH, self._watch.standing)
                self._unstored = False
        self._warn(self._watch.standing, seen.at)
        before, self._limit_kw = self._limit_kw, None if binding is None else binding.constraint.kw
        return before != self._limit_kw

    def republish(self) -> None:
        """Tell the state again after a reconnect."""
        if self._seen is not None:
            self._tell_state(self._seen, "periodic", self._begun(), None)

    def _ordered(self, message: Message, isv: Party, now: datetime) -> bool:
        event = read(message.payload, facts.LOAD_TARGET_SET)
        correlation = event.correlationid or event.id
        try:
            order = data_of(event, isv.opened(event), SetLoadTarget)
            ours = [request for request in order.targets if not request.feed_tags or self._tag in request.feed_tags]
            if not ours:
                self._note("set", isv, event, f"it is for other feeds than {self._tag}", now)
                return False
            schedule = self._schedule.ordered(isv.name, event.id, correlation, event.time, ours, now)
            self._store(TARGETS, schedule, str(event.id))
        except Rejected:
            self._owed.append(("periodic", Trace.of(event), correlation))
            self._tell_owed(now)
            raise
        self._schedule = schedule
        self._alarms.clear(REFUSED, now)
        self._note("set", isv, event, f"load targets that stand now: {len(schedule.standing(now))}", now)
        self._owed.append(("target_set", Trace.of(event), correlation))
        self._tell_owed(now)
        return True

    def _store(self, fact: str, value: Schedule | Breach | None, order: str | None = None) -> None:
        """Have the journal know a fact. Raises Rejected where it cannot be written."""
        try:
            self._journal.put(fact, msgspec.json.encode(value))
        except StoreFault as fault:
            raise Rejected(f"it could not be stored, so it does not act: {fault}"[:1000], order) from None

    def _note(self, action: str, party: Party, event: CloudEvent, says: str, now: datetime) -> None:
        where, key = f"grid/{self._tag}", str(event.id)
        entry = Entry(now, "target", action, where, says, party.name, result="accepted", id=key, signer=party.signer)
        self._account.note(entry, to_disk=True)

    def _refuse(self, topic: str, rejected: Rejected, now: datetime) -> None:
        remedy = "ask who sent it; the alarm ends with the next order that is taken in"
        self._alarms.stand(REFUSED, f"refused: {rejected.reason}", now, place=topic, remedy=remedy)
        party = self._isvs.get(topic) or self._infra[topic]
        action = "set" if topic in self._isvs else "enforced"
        says = f"{topic}: {rejected.reason}"
        self._account.note(Entry(now, "target", action, f"grid/{self._tag}", says, party.name, result="rejected", id=rejected.id))

    def _enforced(self, message: Message, agent: Party, now: datetime) -> None:
        event = read(message.payload, facts.ENFORCEMENT)
        told = data_of(event, agent.opened(event), Enforcement)
        if told.feed_tag != self._tag:
            return
        says = f"{agent.name}: enforcement on the hardware, {told.action}, {told.code}, resources: {len(told.results)}. {told.diag_msg}"
        self._note("enforced", agent, event, says, now)
        if told.action == "reverted" and told.code == "success":
            self._alarms.clear(ENFORCED, now)
            return
        remedy = "what is capped or off is not ours to raise: see that the load target is kept, then have it reverted"
        self._alarms.stand(ENFORCED, says, now, place=f"breach {told.breach_id}", remedy=remedy)

    def _tell_owed(self, now: datetime) -> None:
        """Answer orders; those that came before the feed was first seen are answered then."""
        if self._seen is not None:
            owed, self._owed = self._owed, []
            for happened, trace, correlation in owed:
                self._tell_state(replace(self._seen, at=now), happened, trace, correlation)

    def _tell_state(self, seen: Seen, happened: StateEvent, trace: Trace, correlation: UUID | None) -> None:
        metadata = FeedMetadata(
            power_minimum=power(at_rest_kw(self._site)),
            power_maximum=power(self._site.grid.import_limit_kw),
            default_constraint=power(limit_at(self._site, seen.at)),
        )
        state = self._follower.state(seen, self._schedule, metadata, happened)
        data = PowerState(snapshot_time=seen.at, feeds={self._tag: state})
        self._tell("powerstate/status", 1, facts.POWER_STATE, "powerstate", data, seen.at, trace, correlation)

    def _tell_breach(self, breach: Breach, seen: Seen) -> None:
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
            shed_hints=None if over else tuple(_hint(gpu, cap_w) for gpu, cap_w in seen.defiant[:MOST_HINTS]),
        )
        self._tell("powerbreach", 2, facts.POWER_BREACH, "powerbreach", told, seen.at, self._begun(), target.correlation)

    def _warn(self, standing: Breach | None, now: datetime) -> None:
        """Have an alarm stand as long as a breach does."""
        if standing is None:
            self._alarms.clear(BREACHED, now)
            return
        allowed_kw = standing.target.constraint.kw
        cause = f"the meter showed {standing.measured_kw:.1f} kW, {standing.target.orderer} allows {allowed_kw:g} kW"
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


def _hint(gpu: str, cap_w: int) -> ShedHint:
    """What could be done to a GPU that does not do as it was told."""
    return ShedHint(resource_id=gpu, resource_type="gpu", action="power_cap", priority=1, target_power=Power(value=cap_w, unit="watt"))


def _kept(journal: Journal, fact: str, kind: type[T]) -> T | None:
    """What an earlier process wrote down; None where it wrote nothing, or nothing that can be read."""
    state = journal.get(fact)
    try:
        return None if state is None else msgspec.json.decode(state, type=kind | None)
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("%s: what was known before cannot be read: %s", fact, error)
        return None
