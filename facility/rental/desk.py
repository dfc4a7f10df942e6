"""The rentals' desk: every command that brings or ends a rental is answered, and what is accepted is on the disk before the answer.

It is as careful as the overrides' desk: an id acts once, what arrives retained is refused, an end is once and for all. The answer is
one of: accepted; rejected, with what would fit; expired; duplicate; cleared. A rental that is set again under its name with another
id supersedes the one before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from facility.bus.messages import ContractClear, ContractSet, ContractState, OverrideResult
from facility.journal.journal import How, Journal
from facility.journal.store import StoreFault
from facility.overrides.desk import TOLD_AGAIN
from facility.overrides.judgement import Status
from facility.overrides.rules import whole_ms
from facility.rental import spans
from facility.rental.fit import misfits
from facility.rental.offers import Offers
from facility.rental.rental import Rental, describe, leased
from facility.rental.terms import terms_of
from facility.site import Site
from facility.steps import Edges

MAX_STANDING: Final = 1_000
"""Rentals that may stand at once."""
TERMS_KEPT: Final = timedelta(days=30)
"""How long after its end the terms of a rental are kept for the jobs that were taken under it."""

log = logging.getLogger(__name__)

_LONGEST_REASON: Final = 1000
RETAINED: Final = "it arrived retained, so it may be old; send it not retained"


class RentalDesk:
    """Takes commands and keeps them in the journal; to be used by one thread. `jobs` tells the names of known jobs, `now` is when
    it begins. Instants are UTC.
    """

    def __init__(self, site: Site, journal: Journal, jobs: Callable[[], Collection[str]], now: datetime) -> None:
        self._site, self._journal, self._jobs = site, journal, jobs
        self.offers = Offers(journal)
        self._standing: dict[str, Rental] = {}
        self._past: dict[str, tuple[Rental, datetime]] = {}
        self._waiting: dict[str, Rental] = {}
        self._unstored: dict[str, tuple[datetime, How]] = {}
        self._notices: deque[tuple[str, OverrideResult]] = deque(maxlen=MAX_STANDING)
        self._made: tuple[object, Site] = ((), site)
        for rental, ended in journal.rentals():
            self._resume(rental, ended, now)

    def _resume(self, rental: Rental, ended: datetime | None, now: datetime) -> None:
        """Take in a rental of an earlier process; one that the site file has no room for does not stand as long as that is so."""
        for earlier in (self._standing, self._waiting):
            earlier.pop(rental.contract, None)  # its end may have come without being stored
        if ended is not None:
            self._past[rental.contract] = (rental, ended)
        elif rental.end <= now:
            self._end(rental, now)
        elif found := misfits(self._site, self._standing.values(), rental, ()):
            told = f"it does not stand as long as the site file is as it is: {'; '.join(found)}"
            log.warning("contract %s: %s", rental.contract, told)
            self._notices.append((rental.contract, _answer(rental.id, "rejected", told)))
            self._waiting[rental.contract] = rental
        else:
            self._standing[rental.contract] = rental

    def set(self, contract: str, request: ContractSet, now: datetime, *, retained: bool = False) -> OverrideResult:
        """Answer a command; where it is accepted, it is stored when this returns."""
        if retained:
            return _answer(request.id, "rejected", RETAINED)
        self._sweep(now)
        try:
            if (first := self._journal.seen(request.id)) is not None:
                told = f"this id was answered before ({first.status}); give a new command a new id. {first.reason}"
                return _answer(request.id, "duplicate", told, first.effective, first.until)
            refused = self._refused(contract, request, now)
            if isinstance(refused, OverrideResult):
                self._journal.save_answer(refused, at=now)
                return refused
            rental, before = refused, self._standing.get(contract) or self._waiting.get(contract)
            answer = _answer(rental.id, "accepted", describe(rental), float(rental.terms.gpus), rental.end)
            facts = self.offers.without(request.offer)
            self._journal.save_rental(rental, answer, at=now, superseded=before.id if before else None, facts=facts)
        except StoreFault as fault:
            return _answer(request.id, "rejected", f"it could not be stored, so it does not act: {fault}")
        if before is not None:
            self._forget(contract)
            self._notices.append((contract, _answer(before.id, "superseded", f"replaced by {rental.id}: {describe(rental)}")))
        self._standing[contract] = rental
        self._past.pop(contract, None)
        self.offers.taken(request.offer)
        self.store_ends()
        return answer

    def clear(self, contract: str, request: ContractClear, now: datetime, *, retained: bool = False) -> OverrideResult:
        """End the rental that the command with the request's id set, there or still to come, and answer."""
        if retained:
            return _answer(request.id, "rejected", RETAINED)
        self._sweep(now)
        found = self._standing.get(contract) or self._waiting.get(contract)
        try:
            if not request.by.strip():
                return _answer(request.id, "rejected", "nobody signed it; say in `by` who clears it")
            if found is None or found.id != request.id:
                if self._journal.seen(request.id) is not None:
                    return _answer(request.id, "cleared", "it does not act any more, or never did")
                here = f"{contract} was set by {found.id}" if found else f"no rental {contract} stands"
                return _answer(request.id, "rejected", f"{here}; name the id that set it")
            self._journal.end_rental(found.id, now, "cleared")
        except StoreFault as fault:
            return _answer(request.id, "rejected", f"that could not be stored, so it still stands: {fault}")
        if contract in self._standing:
            self._past[contract] = (found, now)
        self._forget(contract)
        return _answer(request.id, "cleared", f"{request.by} cleared: {describe(found)}")

    def expire(self, now: datetime) -> None:
        """End what came to its end, and store that it did; a failing disk is tried again next time."""
        self._sweep(now)
        self.store_ends()

    def store_ends(self) -> None:
        """Store the ends that a failing disk has not taken yet."""
        try:
            for rental, (at, how) in list(self._unstored.items()):
                self._journal.end_rental(rental, at, how)
                del self._unstored[rental]
        except StoreFault:
            return  # ended is ended, stored or not

    def recall(self, now: datetime) -> None:
        """Tell again what an earlier process ended and may have told nobody, for it died in between."""
        with suppress(StoreFault):
            for rental, contract, how in self._journal.untold_rental_ends(now - TOLD_AGAIN):
                self._notices.append((contract, _answer(rental, how, "ended before a restart")))

    def notices(self) -> list[tuple[str, OverrideResult]]:
        """Take what became of earlier rentals since the last call: (contract, result) of each that ended without a clear."""
        taken = list(self._notices)
        self._notices.clear()
        return taken

    def standing(self, now: datetime) -> tuple[Rental, ...]:
        """List the rentals that are there and those to come, in the order they were accepted."""
        self._sweep(now)
        return tuple(self._standing.values())

    def state(self, contract: str, now: datetime) -> ContractState | None:
        """Tell a rental as it stands; None where none of that name does."""
        self._sweep(now)
        rental = self._standing.get(contract)
        if rental is None:
            return None
        own = {"id": rental.id, "by": rental.by, "reason": rental.reason, "start": rental.start, "end": rental.end, "version": rental.version}
        return msgspec.convert(own | rental.terms.model_dump(exclude_unset=True), ContractState)

    def ends(self, now: datetime) -> Mapping[str, datetime]:
        """Tell when each contract that is in force over the bus ends."""
        return {rental.contract: rental.end for rental in self.standing(now) if rental.active(now)}

    def in_force(self, now: datetime) -> Site:
        """The site with the rentals that are there at `now`, and the terms of those that were and that will be."""
        holding = tuple(rental for rental in self.standing(now) if rental.active(now))
        return self._site_with(holding, spans.absent(self._site, now))

    def foreseen(self, edges: Edges) -> Site:
        """The site with every rental that has any of the steps between `edges`."""
        holding = tuple(rental for rental in self.standing(edges[0]) if rental.touches(edges[0], edges[-1]))
        return self._site_with(holding, spans.absent(self._site, edges[0], edges[-1]))

    def _site_with(self, holding: tuple[Rental, ...], absent: frozenset[str]) -> Site:
        """The same object as long as nothing changes, for it is asked for many times a second; `absent` are contracts of the site file."""
        all_of_them = (*(rental for rental, _ in self._past.values()), *self._standing.values())
        key = (all_of_them, holding, absent)
        if key != self._made[0]:
            self._made = (key, leased(spans.without(self._site, absent), all_of_them, holding))
        return self._made[1]

    def _refused(self, contract: str, request: ContractSet, now: datetime) -> OverrideResult | Rental:
        """The rental that is asked for, or why it does not come."""
        start, end = whole_ms(request.start), whole_ms(request.end)
        if end <= start:
            return _answer(request.id, "expired", f"its end, {end:%Y-%m-%d %H:%M} UTC, is not after its start")
        if end <= now:
            return _answer(request.id, "expired", f"its end, {end:%Y-%m-%d %H:%M} UTC, has passed; it is {now:%Y-%m-%d %H:%M} UTC")
        if not request.by.strip():
            return _answer(request.id, "rejected", "nobody signed it; say in `by` who commands")
        if contract not in self._standing and len(self._standing) >= MAX_STANDING:
            return _answer(request.id, "rejected", f"{MAX_STANDING} rentals stand already; clear some first")
        others = [other for other in self._standing.values() if other.contract != contract]
        terms = terms_of(self._site, self.offers, others, request, now)
        if isinstance(terms, str):
            return _answer(request.id, "rejected", terms)
        rental = Rental(request.id, contract, terms, start, end, request.by, request.reason, self._journal.versions(contract) + 1)
        misfit = misfits(self._site, others, rental, self._jobs())
        return _answer(request.id, "rejected", "; ".join(misfit)) if misfit else rental

    def _forget(self, contract: str) -> None:
        """Know no more of a rental that stands or waits for a site file with room for it."""
        self._standing.pop(contract, None)
        self._waiting.pop(contract, None)

    def _sweep(self, now: datetime) -> None:
        """Take out what ended. It never comes back, even when the clock does."""
        if not self._standing and not self._past:
            return
        for rental in [rental for rental in self._standing.values() if rental.end <= now]:
            del self._standing[rental.contract]
            self._end(rental, now)
        for contract in [contract for contract, (_, ended) in self._past.items() if now - ended > TERMS_KEPT]:
            del self._past[contract]

    def _end(self, rental: Rental, now: datetime) -> None:
        self._past[rental.contract] = (rental, now)
        self._unstored[rental.id] = (now, "expired")
        self._notices.append((rental.contract, _answer(rental.id, "expired", f"its end came: {describe(rental)}")))


def _answer(
    command: str | None, status: Status, reason: str, effective: float | None = None, until: datetime | None = None
) -> OverrideResult:
    return OverrideResult(id=command, status=status, effective=effective, until=until, reason=reason[:_LONGEST_REASON])
