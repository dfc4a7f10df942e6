"""Rentals over the bus: commands that bring and end contracts are answered, and what stands is shown until its end.

An empty payload is no command: it deletes a retained one.
"""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from facility.bus.interface import Bus, Message
from facility.bus.messages import ContractClear, ContractSet, OverrideResult, Rejected, encode
from facility.bus.topics import Topics
from facility.daemon.answering.answers import Answers
from facility.rental.desk import RentalDesk
from facility.site import Site

log = logging.getLogger(__name__)


class Rentals:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, desk: RentalDesk, answers: Answers) -> None:
        self._bus, self._desk, self._answers = bus, desk, answers
        self._topics = Topics(site.bus.root, site.id)
        self._active: frozenset[str] = frozenset()

    def answer(self, name: str, contract: str, message: Message, now: datetime) -> bool:
        """Answer a command, `contract_set` or `contract_clear`; True where another site is in force, or foreseen, because of it."""
        self._answers.watch(message, now)
        if not message.payload:
            return False
        request: ContractSet | ContractClear | None = None
        try:
            if name == "contract_set":
                request = self._answers.read(message, ContractSet, now)
                result = self._desk.set(contract, request, now, retained=message.retain)
            else:
                request = self._answers.read(message, ContractClear, now)
                result = self._desk.clear(contract, request, now, retained=message.retain)
        except Rejected as rejected:
            result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason[:1000])
        by, reason = (request.by, request.reason) if request is not None else ("", "")
        topic, action = self._topics.contract(contract, "result"), name.removeprefix("contract_")
        show = partial(self._show, contract, now)
        if not self._answers.give("contract", action, contract, topic, result, now, to=message, show=show, by=by, reason=reason):
            return False
        self.keep_up(now)
        return True

    def begin(self, now: datetime) -> bool:
        """As `keep_up`, and tell of ends of which an earlier process may have told nobody."""
        self._desk.recall(now)
        return self.keep_up(now)

    def keep_up(self, now: datetime) -> bool:
        """Tell what ended; True where what is there changed since the last call, because something began or ended."""
        self._desk.expire(now)
        for contract, notice in self._desk.notices():
            log.info("contract %s: %s", contract, notice.reason)
            self._show(contract, now)
            self._answers.tell("contract", contract, self._topics.contract(contract, "result"), notice, now)
        before, self._active = self._active, frozenset(r.id for r in self._desk.standing(now) if r.active(now))
        return before != self._active

    def correct(self, contract: str, message: Message, now: datetime) -> None:
        """Answer what the broker remembers of a contract, from another time, with the truth."""
        if message.retain and message.payload and self._desk.state(contract, now) is None:
            self._show(contract, now)

    def republish(self, now: datetime) -> None:
        """Say again what stands: the broker is a cable, not a memory."""
        for rental in self._desk.standing(now):
            self._show(rental.contract, now)

    def _show(self, contract: str, now: datetime) -> None:
        state = self._desk.state(contract, now)
        payload = b"" if state is None else encode(state)
        self._bus.publish(Message(self._topics.contract(contract, "state"), payload, qos=1, retain=True))
