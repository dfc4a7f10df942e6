"""Logbook: every decision that is sent, with all that it was made from, and every order that it became, byte by byte, in the journal.

It is written right after the orders were handed to the bus, under the same lock: what lowers a cap waits for no disk. A disk that fails
stops nothing; what could not be written waits, up to `MOST_WAITING`, and how much was lost beyond that is logged. An order that is
repeated byte for byte is not written twice.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages.codec import Order
from facility.bus.over import Over
from facility.bus.topics import BY_NAME, Topics
from facility.daemon.recording.kept import Keeper, KeptSituation
from facility.daemon.recording.kept_cuts import KeptCut, KeptGiven, kept_cut, kept_given
from facility.daemon.ruling import Manner, Origin, Ruling
from facility.decision import Decision, PoolCaps
from facility.journal.cycles import CycleRecord
from facility.journal.journal import Journal
from facility.journal.sendings import Sending
from facility.journal.store import StoreFault
from facility.site import Site
from facility.verify import Violation

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Records that wait for a disk that fails; beyond them the oldest are lost."""

MOST_TOPICS: Final = 10_000
"""Topics whose last order is remembered, those of the newest."""


@dataclass(frozen=True)
class KeptRuling:
    """A `Ruling` with the decision and the verdict that it came to; `source`, `decision` and sites name pieces, `file` the site as configured."""

    origin: Origin
    manner: Manner
    source: str | None
    at: datetime
    until: datetime
    file: str
    site: str
    here: KeptSituation
    lid: tuple[PoolCaps, ...]
    cuts: tuple[KeptCut, ...]
    given: tuple[KeptGiven, ...]
    carried: bool
    plan_id: str
    decision: str
    verdict: tuple[Violation, ...]


@dataclass(frozen=True)
class KeptOrder:
    """An order as it was published."""

    topic: str
    payload: msgspec.Raw


class Stamp(msgspec.Struct, frozen=True):
    """What orders orders."""

    epoch: int
    seq: int


@dataclass
class _Page:
    """A decision, None where only orders follow of the one before, and its orders."""

    kept: KeptRuling | None
    orders: list[KeptOrder] = field(default_factory=list)


class Logbook:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, journal: Journal, epoch: int) -> None:
        self._site, self._topics, self._journal, self._epoch = site, Topics(site.bus.root, site.id), journal, epoch
        self._keeper = Keeper()
        self._page = _Page(None)
        self._waiting: deque[tuple[Sending | CycleRecord, dict[str, bytes]]] = deque(maxlen=MOST_WAITING)
        self._last: dict[str, bytes] = {}
        self._lost = 0

    @property
    def keeper(self) -> Keeper:
        """What turns questions and answers into what is kept."""
        return self._keeper

    @property
    def waiting(self) -> int:
        """How many records wait for the disk."""
        return len(self._waiting)

    def over(self, bus: Bus) -> Noted:
        """A bus that sends over `bus`, and notes every order that it takes."""
        return Noted(bus, self)

    def ruled(self, ruling: Ruling, decision: Decision, verdict: tuple[Violation, ...]) -> None:
        """Know what is about to be sent, and how it came to be."""
        self._turn(ruling.at)
        keep, source = self._keeper, ruling.source
        kept = KeptRuling(
            origin=ruling.origin,
            manner=ruling.manner,
            source=None if source is None else keep.piece(source),
            at=ruling.at,
            until=ruling.until,
            file=keep.site(self._site),
            site=keep.site(ruling.site),
            here=keep.situation(ruling.here),
            lid=ruling.lid,
            cuts=tuple(kept_cut(cut) for cut in ruling.cuts),
            given=tuple(kept_given(given) for given in ruling.given),
            carried=ruling.carried,
            plan_id=ruling.plan_id,
            decision=keep.piece(decision),
            verdict=verdict,
        )
        self._page = _Page(kept)

    def note(self, message: Message) -> None:
        """Know what was published."""
        name, _ = self._topics.parse(message.topic) or ("", {})
        if name not in BY_NAME or not issubclass(BY_NAME[name].payload, Order) or not message.payload:
            return
        if self._last.pop(message.topic, None) != message.payload:
            self._page.orders.append(KeptOrder(message.topic, msgspec.Raw(message.payload)))
        self._last[message.topic] = message.payload
        if len(self._last) > MOST_TOPICS:
            del self._last[next(iter(self._last))]

    def cycle(self, record: CycleRecord, now: datetime) -> None:
        """Take a cycle to be written down after what it sent, with the pieces that its inputs named."""
        self._turn(now)
        self._keep(record)

    def write(self, now: datetime) -> None:
        """Write down what there is. Never raises for a disk that fails."""
        self._turn(now)
        while self._waiting and not self._journal.trouble:
            record, pieces = self._waiting[0]
            try:
                if isinstance(record, Sending):
                    self._journal.record_sending(record, pieces)
                else:
                    self._journal.record_cycle(record, pieces)
            except StoreFault as fault:
                log.debug("the record cannot be written, it waits: %s", fault)
                return
            self._waiting.popleft()
        if self._lost and not self._waiting:
            log.warning("%d records of what was sent were lost while the journal could not be written", self._lost)
            self._lost = 0

    def _turn(self, now: datetime) -> None:
        """Begin a new page; the one before waits to be written, where anything stands on it."""
        page = self._page
        if page.kept is None and not page.orders:
            return
        self._page = _Page(None)
        first = msgspec.json.decode(page.orders[0].payload, type=Stamp).seq if page.orders else 0
        ruling = b"" if page.kept is None else msgspec.json.encode(page.kept)
        self._keep(Sending(now, self._epoch, first, ruling, msgspec.json.encode(page.orders)))

    def _keep(self, record: Sending | CycleRecord) -> None:
        self._lost += len(self._waiting) == MOST_WAITING
        self._waiting.append((record, self._keeper.take()))


class Noted(Over):
    """A bus whose orders are noted."""

    def __init__(self, bus: Bus, book: Logbook) -> None:
        super().__init__(bus)
        self._book = book

    def publish(self, message: Message) -> bool:
        """Send a message; it is noted after it was handed on."""
        sent = super().publish(message)
        self._book.note(message)
        return sent
