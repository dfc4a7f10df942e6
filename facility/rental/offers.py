"""Offers: what was quoted over the bus, until it is accepted or its time is over; kept in the journal, so that a restart breaks no word."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from facility.bus.messages import ContractSet, QuoteOffer
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.site.tenancy import RENTED

log = logging.getLogger(__name__)

FACT: Final = "offers"
MOST: Final = 1_000
"""Offers that stand at once; beyond them the oldest are gone."""

SAID: Final = ("start", "end", "tier", "curve", "pool", "price_per_gpu_h")
"""What an offer says of the rental beside its GPUs; who accepts it may leave it out."""
FREE: Final = frozenset(("tenant", "carbon_price_per_tonne"))
"""What an offer leaves to who accepts it. Every other term was not reckoned with when it was quoted."""


class Standing(msgspec.Struct, frozen=True):
    """An offer, and until when it can be accepted, UTC."""

    offer: QuoteOffer
    until: datetime


class Offers:
    """To be used by one thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._standing: dict[str, Standing] = {}
        if (kept := journal.get(FACT)) is not None:
            try:
                self._standing = {each.offer.id: each for each in msgspec.json.decode(kept, type=list[Standing])}
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the offers that stood cannot be read: %s", error)

    def keep(self, offers: Iterable[QuoteOffer], until: datetime, now: datetime) -> None:
        """Know what was offered; each can be accepted before `until` and before it starts."""
        told = {offer.id: Standing(offer, min(until, offer.start)) for offer in offers}
        fresh = {name: each for name, each in self._standing.items() if each.until > now} | told
        self._standing = dict(list(fresh.items())[-MOST:])
        self._store()

    def accept(self, request: ContractSet, now: datetime) -> QuoteOffer | str:
        """The offer that `request` accepts, or why it cannot be."""
        found = self._standing.get(request.offer or "")
        if found is None:
            return f"no offer {request.offer} stands; ask for a quote again"
        offer = found.offer
        if now >= found.until:
            return f"the offer {offer.id} could be accepted until {found.until:%Y-%m-%d %H:%M} UTC; ask for a quote again"
        asked = {name: getattr(request, name) for name in SAID} | {"gpus": request.gpus or None}
        other = [f"{name} is {getattr(offer, name)}" for name, value in asked.items() if value is not None and value != getattr(offer, name)]
        other += [f"{name} was not asked for" for name in beyond(request)]
        return f"that is not what was offered: {', '.join(other)}" if other else offer

    def without(self, offer: str | None) -> Mapping[str, bytes]:
        """What the journal is to know together with the rental that accepts an offer: it stands no more."""
        left = [each for name, each in self._standing.items() if name != offer]
        return {FACT: msgspec.json.encode(left)} if len(left) < len(self._standing) else {}

    def taken(self, offer: str | None) -> None:
        """Know that an offer was accepted, once that is stored."""
        self._standing.pop(offer or "", None)

    def _store(self) -> None:
        try:
            self._journal.put(FACT, msgspec.json.encode(list(self._standing.values())))
        except StoreFault as fault:
            log.warning("offers are lost with a restart, for they cannot be written down: %s", fault)


def beyond(request: ContractSet) -> list[str]:
    """The terms that a request names and no offer does: a floor, a penalty, a kind that is not reserved."""
    usual = {field.name: field.default for field in msgspec.structs.fields(ContractSet)} | {"kind": "reserved"}
    known = {*SAID, *FREE, "gpus"}
    return [name for name in RENTED if name not in known and getattr(request, name) != usual[name]]
