"""Reception: every message finds the room it is for, and what it changes comes into force at once. Under the daemon's lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from facility.bus.interface import Message
from facility.bus.messages import CapReported
from facility.bus.topics import Topics
from facility.daemon.ground import highest_cap
from facility.daemon.rooms import Rooms
from facility.overrides.proposal import Proposal
from facility.signals import NAMES
from facility.site import Site

PATTERNS = (
    "grid/#", "signal/#", "override/#", "alarm/+", "alarm/+/shelve", "alarm/+/unshelve", "job/+/spec", "job/+/reported",
    "cap/+/+/reported", "cap/+/+/node/+/reported", "svc/+/status", "position/set", "contract/+/set", "contract/+/clear", "contract/+/state",
    "whatif/+/set", "why/+/set", "quote/request",
)  # fmt: skip
"""What is read beside readings, below the site's root."""
STRANGERS = "tenant/+/job/+/spec"
"""What others than our own send: it must not overtake readings, as commands do."""

READINGS, EXCHANGE = "readings", "exchange"
"""What messages of readings, in whatever words, and those of an exchange beside our own tree are counted as."""


class Reception:
    """`wake` is called when a new plan is wanted before the next cycle."""

    def __init__(self, site: Site, rooms: Rooms, instance: str, wake: Callable[[], None]) -> None:
        self._site, self._rooms, self._instance, self._wake = site, rooms, instance, wake
        self._topics = Topics(site.bus.root, site.id)
        self._gone: Mapping[str, int] = {}
        self._told: dict[str, CapReported] = {}

    @property
    def patterns(self) -> tuple[tuple[str, int], ...]:
        """What to subscribe to, and with which quality of service."""
        root = f"{self._site.bus.root}/{self._site.id}"
        own = (*(f"{root}/{pattern}" for pattern in PATTERNS), *self._rooms.known.patterns)
        return (*((pattern, 1) for pattern in own), (f"{root}/{STRANGERS}", 0), *self._rooms.exchange.patterns)

    def take(self, message: Message, now: datetime) -> None:
        """Take one message in."""
        rooms = self._rooms
        if rooms.known.hear(message, now):
            rooms.tally.received[READINGS] += 1
            rooms.heeding.hear(message)
            return
        if rooms.exchange.hears(message.topic):
            rooms.tally.received[EXCHANGE] += 1
            self._exchanged(message, now)
            return
        found = self._topics.parse(message.topic)
        if found is None:
            return
        name, ids = found
        rooms.tally.received[name] += 1
        match name:
            case "override_set" | "override_clear":
                self._overrule(name, ids["target"], message, now)
            case "contract_set" | "contract_clear":
                if rooms.rentals.answer(name, ids["contract"], message, now):
                    self.act(now)
            case "contract_state":
                rooms.rentals.correct(ids["contract"], message, now)
            case "position_set":
                if rooms.committed.answer(message, now):
                    self._wake()
            case "override_state":
                rooms.disk.tell_lost(rooms.people.correct(ids["target"], message, now), now)
            case "whatif_set" | "why_set":
                rooms.questions.answer(name, ids["question"], message, now)
            case "quote_request":
                rooms.questions.answer(name, None, message, now)
            case "alarm_shelve" | "alarm_unshelve":
                rooms.shelving.answer(name, ids["alarm"], message, now)
            case "alarm":
                rooms.alarms.correct(ids["alarm"], message)
            case "status" if ids["instance"] == self._instance:
                if not message.retain and rooms.pulse.echo(message.payload):
                    self._wake()
            case "status":
                rooms.rivals.hear(ids["instance"], message.payload, now, retained=message.retain)
            case "tenant_job_spec":
                rooms.tenants.submit(ids["tenant"], ids["job"], message, now)
            case "override_result":
                pass
            case "cap_reported" | "cap_node_reported":
                self._reported(ids["pool"], message, now)
            case _:
                if rooms.known.accept(name, ids.get("feed"), message, now):
                    self.obey(now)
                if name in NAMES:
                    rooms.alarms.follow_signals(rooms.known.amiss(now), now)

    def act(self, now: datetime) -> None:
        """What is commanded has changed: bring it into force now, and ask for a plan around it."""
        self._wake()
        self._rooms.governor.enforce(self._rooms.known.situation(now))

    def obey(self, now: datetime) -> None:
        """The grid allows less or more, or GPUs are gone or back: before the first plan that is for the plan to know."""
        self._wake()
        if self._rooms.governor.in_force is not None:
            self._rooms.governor.enforce(self._rooms.known.situation(now))

    def miss(self, now: datetime) -> None:
        """See whether GPUs are gone or back, because somebody said so or fell silent."""
        gone = self._rooms.known.gone(now)
        if gone != self._gone:
            self._gone = gone
            self.obey(now)

    def _exchanged(self, message: Message, now: datetime) -> None:
        if self._rooms.exchange.answer(message, now):
            self._rooms.known.order(self._rooms.exchange.events)
            self.obey(now)

    def _overrule(self, name: str, target: str, message: Message, now: datetime) -> None:
        since = self._rooms.actuator.seq
        if self._rooms.people.answer(name, target, message, now, lambda asked: self._limits(asked, now)):
            self.act(now)
            self._rooms.effects.acted(since)

    def _reported(self, pool: str, message: Message, now: datetime) -> None:
        taken, report = self._rooms.known.reported(pool, message, now)
        if taken:
            self.miss(now)
        if report is not None and report is not self._told.get(pool):  # of many nodes not every one makes another of it
            self._told[pool] = report
            self._read_back(pool, report, message, now)

    def _read_back(self, pool: str, report: CapReported, message: Message, now: datetime) -> None:
        rooms = self._rooms
        rooms.rivals.see(pool, report, now)
        rooms.gate.read_back(pool, report, retained=message.retain)
        told = rooms.actuator.read_back(pool, report, retained=message.retain)
        rooms.effects.read_back()
        rooms.alarms.follow_cap(pool, rooms.actuator.too_high.get(pool), now, place=message.topic)
        if told and rooms.actuator.waiting and rooms.release(rooms.known.situation(now)):
            self._wake()

    def _limits(self, proposal: Proposal, now: datetime) -> tuple[float | None, str]:
        """The highest cap that every feeder carries, as things are; other kinds are not limited further."""
        known, governor = self._rooms.known, self._rooms.governor

        def accepts(tried: Proposal) -> bool:
            return governor.accepts(known.situation(now, (*known.desk.standing(now), tried)))

        return highest_cap(self._site, proposal, now, accepts)
