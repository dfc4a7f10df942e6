"""Gate: the last look at every message, between whoever publishes and the bus (`facility.invariants`).

| message                         | what is looked at                                                            | what breaks it    |
|---------------------------------|------------------------------------------------------------------------------|-------------------|
| caps that raise a GPU's         | I1 fits, I3 settable, I4 data is good, I5 accepted, I6 end, I13 gently, I14  | is not sent; SAFE |
| caps that raise none            | I3, I4, I5, I6 end and fallback, I14                                         | is sent; SAFE     |
| battery, genset, solar, cooling | I1 what is charged fits, I3 in range, I5 as accepted, I6, I14                | is not sent       |
| run a job                       | I5, I6, I14 newer                                                            | is not sent       |
| hold a job                      | I5, I6, I12 it may wait, I14                                                 | is sent           |
| take back what a job was told   | I5 it has ended                                                              | is not sent       |
| all else of ours                | I15 what its topic promises, at most 64 KiB                                  | is not sent       |
| all else                        | I15 at most 64 KiB                                                           | is not sent       |

What lowers is never kept back (I7): whoever is to obey it may refuse it, and the fallback caps follow. A message that repeats, byte for
byte, the last one on its topic passes: the broker is a cable. What has ended by the time that it comes here is of no use to anybody, and
breaks nothing: a clock was set forward, or the process stood still. What was found waits in `take` for whoever tells it and acts on it.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages import BatteryDesired, CapDesired, CapReported, JobDesired
from facility.bus.messages.codec import Order
from facility.bus.over import Over
from facility.bus.topics import BY_NAME, TABLE, Topic, Topics
from facility.clock import Clock
from facility.daemon.sending.as_accepted import job_as_accepted, set_point_as_accepted
from facility.daemon.sending.book import Book
from facility.daemon.situation import Situation
from facility.daemon.tally import Tally
from facility.decision import Decision
from facility.invariants import integrity, plant
from facility.invariants.broken import Broken
from facility.site import Site

log = logging.getLogger(__name__)

ORDERS = {topic.name: msgspec.json.Decoder(topic.payload) for topic in TABLE if issubclass(topic.payload, Order)}
"""Readers of orders; what our own encoder wrote needs no more caution than the size."""
MOST_KEPT = 100
"""Findings that wait to be told."""
REMEMBERED = timedelta(days=2)
"""How long after its end an order is known again, should it be repeated: clocks are set back, and jobs come and go."""


@dataclass(frozen=True)
class Finding:
    """What a message on `topic` broke; `sent` where it went out all the same, `caps` where it was of caps."""

    broken: Broken
    topic: str
    sent: bool
    caps: bool


class Gate(Over):
    """To be used under the daemon's lock. `counts` are the findings so far, by the invariant's number."""

    def __init__(self, site: Site, bus: Bus, clock: Clock, epoch: int, tally: Tally | None = None) -> None:
        super().__init__(bus)
        self._site, self._clock, self._tally = site, clock, tally or Tally()
        self._topics, self._book = Topics(site.bus.root, site.id), Book(site, epoch)
        self._stamp: integrity.Stamp | None = None
        self._passed: dict[str, tuple[bytes, datetime]] = {}
        self._found: deque[Finding] = deque(maxlen=MOST_KEPT)
        self.counts: Counter[int] = Counter()

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last."""
        self._book.resume(decision, now)

    def accept(self, decision: Decision, here: Situation) -> None:
        """Know what was accepted: nothing else goes out from now on."""
        self._passed = {topic: kept for topic, kept in self._passed.items() if here.now < kept[1] + REMEMBERED}
        self._book.accept(decision, here)

    def heed(self, here: Situation) -> None:
        """Know what is measured and what is commanded, whether or not anything goes out by it."""
        self._book.heed(here)

    def see(self, here: Situation) -> None:
        """Know how things are, before more of what was accepted goes out."""
        self._book.see(here)

    def read_back(self, pool: str, report: CapReported, *, retained: bool) -> None:
        """Take an agent's report of what it enforces."""
        self._book.read_back(pool, report, retained=retained)

    def take(self) -> tuple[Finding, ...]:
        """Give what was found since the last call."""
        found = tuple(self._found)
        self._found.clear()
        return found

    def publish(self, message: Message) -> bool:
        """Send a message that breaks nothing, or only lowers; False where it is kept back. See `Bus.publish`."""
        name, ids = self._topics.parse(message.topic) or ("", {})
        topic = BY_NAME.get(name)
        if topic is None or not issubclass(topic.payload, Order):
            return self._passes(message, _other(message, topic), sent=False) and self._goes(message, name)
        passed = self._passed.get(message.topic)
        if name == "job_desired" and not message.payload:
            return self._passes(message, self._ended(message.topic), sent=False) and self._goes(message, name)
        if passed is not None and message.payload == passed[0]:
            return self._goes(message, name)
        caps, asset = issubclass(topic.payload, CapDesired), next(reversed(ids.values()))
        try:
            order = ORDERS[name].decode(message.payload)
            if order.valid_until <= self._clock.now():
                log.warning("%s is not sent: it ended at %s", message.topic, order.valid_until)
                return False
            broken, lowers = self._judged(asset, order)
        except (ValueError, msgspec.MsgspecError) as error:
            broken, lowers = (Broken(3, asset, f"no order: {str(error)[:200]}"),), False
        broken = integrity.small(message.topic, message.payload) + broken
        if not self._passes(message, broken, sent=lowers, caps=caps):
            return False
        self._stamp, self._passed[message.topic] = (order.epoch, order.seq), (message.payload, order.valid_until)
        if isinstance(order, CapDesired):
            self._book.went(asset, order)
        elif isinstance(order, BatteryDesired):
            self._book.charges(asset, order.power_kw, order.valid_until)
        return self._goes(message, name)

    def _ended(self, topic: str) -> tuple[Broken, ...]:
        """I5 of an empty message: what the topic was told last holds no more."""
        _, end = self._passed.get(topic, (b"", None))
        return () if end is None or end <= self._clock.now() else (Broken(5, topic, f"it is taken back, and holds until {end}"),)

    def _goes(self, message: Message, name: str) -> bool:
        taken = self._bus.publish(message)
        self._tally.published[name] += taken
        return taken

    def _judged(self, asset: str, order: Order) -> tuple[tuple[Broken, ...], bool]:
        """What an order breaks, and whether it only lowers."""
        now, stamp = self._clock.now(), (order.epoch, order.seq)
        broken = plant.expires(asset, order.valid_until, now, self._site.control.cap_ttl_s) + integrity.increases(asset, stamp, self._stamp)
        if isinstance(order, CapDesired):
            found, raises = self._book.judge(asset, order)
            return broken + found, not raises
        if isinstance(order, JobDesired):
            return broken + job_as_accepted(self._book.accepted, asset, order), order.action == "hold"
        if isinstance(order, BatteryDesired):
            broken += self._book.judge_charge(asset, order.power_kw)
        return broken + set_point_as_accepted(self._site, self._book.accepted, asset, order), False

    def _passes(self, message: Message, broken: tuple[Broken, ...], *, sent: bool, caps: bool = False) -> bool:
        """Note what a message breaks; whether it is sent."""
        for found in broken:
            if not self.counts[found.number]:
                log.error("%s %s: %s", message.topic, "is sent, though" if sent else "is not sent", found)
            self.counts[found.number] += 1
            (self._tally.let_through if sent else self._tally.kept_back)[found.number] += 1
            self._found.append(Finding(found, message.topic, sent, caps))
        return sent or not broken


def _other(message: Message, topic: Topic | None) -> tuple[Broken, ...]:
    """What a message breaks that is no order: one without payload takes back what is retained."""
    large = integrity.small(message.topic, message.payload)
    if large or topic is None or (message.retain and not message.payload):
        return large
    return integrity.well_formed(message.topic, message.payload, topic.payload)
