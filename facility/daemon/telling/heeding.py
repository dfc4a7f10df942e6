"""Heeding: batteries and cooling plants that do not do what they are told. They report the order that they act on; a plan counts on it.

    heeds     while what it reports is the newest order that is LATE old, or a later one
    judged    only what has reported since the daemon began, and only while an order stands: what nobody reads back, a meter tells

What they draw instead is the guard's business (`facility.daemon.guard`): it is measured, whatever they were told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from facility.alarms.naming import slug
from facility.alarms.standing import within
from facility.bus.interface import Message
from facility.bus.messages import BatteryReported, CoolingReported, Rejected, decode
from facility.bus.topics import Topics
from facility.daemon.sending.actuate import Actuator
from facility.daemon.telling.alarms import Alarms
from facility.site import Site

LATE: Final = timedelta(minutes=2)
"""How long an order may take to be acted on and told: gateways poll every 15 s, and slow ones every minute."""
REMEDY: Final = "see whether its agent runs and may write what it is told; plans count on it, and the guard makes good what it draws instead"


@dataclass
class _Thing:
    """A battery or cooling plant: the topic of its orders, the order it acts on by its last report, and those it was sent lately."""

    name: str
    topic: str
    kind: type[BatteryReported | CoolingReported]
    acts_on: tuple[int | None, int | None] | None = None
    sent: deque[tuple[datetime, int]] = field(default_factory=deque)

    @property
    def alarm(self) -> str:
        """The id of its alarm."""
        return slug(f"heeds-not {self.name}")

    def tells(self, epoch: int) -> str:
        """What it says it acts on."""
        if self.acts_on is None or self.acts_on[1] is None:
            return "of none"
        of, seq = self.acts_on
        return f"of order {seq}" if of == epoch else f"of order {seq} of epoch {of}"


class Heeding:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, actuator: Actuator, alarms: Alarms, epoch: int) -> None:
        topics = Topics(site.bus.root, site.id)
        self._actuator, self._alarms, self._epoch = actuator, alarms, epoch
        self._unheard_at = datetime.min.replace(tzinfo=UTC)
        self._things: dict[str, _Thing] = {}
        for name in site.batteries:
            self._things[topics.battery(name, "reported")] = _Thing(f"battery {name}", topics.battery(name, "desired"), BatteryReported)
        for name in site.cooling_plants:
            self._things[topics.cooling(name, "reported")] = _Thing(f"cooling {name}", topics.cooling(name, "desired"), CoolingReported)

    def hear(self, message: Message) -> None:
        """Take a report, where it is one; what cannot be read is told by whoever reads its measurements."""
        thing = self._things.get(message.topic)
        if thing is None:
            return
        try:
            report = decode(message.payload, thing.kind) if message.payload else None
        except Rejected:
            return
        thing.acts_on = None if report is None else (report.epoch, report.seq)

    def look(self, now: datetime, *, unheard: bool = False) -> None:
        """Hold what each reports against what it was sent; while we are `unheard` nothing gets late."""
        self._unheard_at = now if unheard else self._unheard_at
        for thing in self._things.values():
            due = self._due(thing, now)
            if due is None or thing.acts_on is None or _done(thing.acts_on, (self._epoch, due[1])):
                self._alarms.clear(thing.alarm, now)
            else:
                sent = f"order {due[1]} was sent at {due[0]:%H:%M:%S} UTC, it tells {thing.tells(self._epoch)}"
                cause = f"{thing.name} does not do what it is told: {sent}"
                self._alarms.stand(thing.alarm, cause, now, place=thing.name, remedy=REMEDY, severity="warning")

    def _due(self, thing: _Thing, now: datetime) -> tuple[datetime, int] | None:
        """When and as what number the newest order was sent that it should act on by now; None: there is none."""
        last, sent = self._actuator.told(thing.topic), thing.sent
        if last is None or last.order.valid_until <= now:
            sent.clear()
            return None
        if not sent or sent[-1][1] != last.seq:
            sent.append((last.order.issued_at, last.seq))
        while len(sent) > 1 and self._late(sent[1][0], now):
            sent.popleft()
        return sent[0] if self._late(sent[0][0], now) else None

    def _late(self, sent_at: datetime, now: datetime) -> bool:
        return not within(max(sent_at, self._unheard_at), now, LATE)


def _done(acts_on: tuple[int | None, int | None], due: tuple[int, int]) -> bool:
    """Whether an order is the due one or a later one; later epochs win, whoever sends them."""
    epoch, seq = acts_on
    return epoch is not None and seq is not None and (epoch, seq) >= due
