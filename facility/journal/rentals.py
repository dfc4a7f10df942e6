"""Rentals: contracts that came over the bus, on the disk before whoever sent them is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from facility.bus.messages import OverrideResult
from facility.journal.facts import save_facts
from facility.journal.overrides import TOLD, How, save_answer, save_end
from facility.journal.part import Part, instant, ms
from facility.rental.rental import Rental
from facility.site import Contract

log = logging.getLogger(__name__)

VERSION = "row_number() OVER (PARTITION BY contract ORDER BY n)"


class Version(NamedTuple):
    """A rental that was accepted, and when and how it ended: by its end, cleared, or superseded by the next version."""

    rental: Rental
    accepted: datetime
    ended: datetime | None
    how: How | None


class Rentals(Part):
    """The rentals that came."""

    def save_rental(
        self, rental: Rental, answer: OverrideResult, *, at: datetime, superseded: str | None = None, facts: Mapping[str, bytes] | None = None
    ) -> None:
        """Store a rental together with its answer, the end of the one that it replaces and the `facts` that it changed, on the disk."""
        terms = rental.terms.model_dump_json(exclude_unset=True).encode()
        row = (rental.id, rental.contract, terms, ms(rental.start), ms(rental.end), rental.by, rental.reason)
        with self._store.write() as db:
            if superseded is not None:
                save_end(db, "rental", superseded, at, "superseded")
            db.execute("INSERT INTO rental VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            save_answer(db, answer, at)
            save_facts(db, facts or {})

    def end_rental(self, rental: str, at: datetime, how: How) -> None:
        """Store that a rental ended, on the disk; the first end counts."""
        with self._store.write() as db:
            save_end(db, "rental", rental, at, how)

    def untold_rental_ends(self, since: datetime) -> list[tuple[str, str, How]]:
        """List the rentals that ended since an instant without anybody being told, oldest first: its id, its contract, and how it ended."""
        query = f"SELECT id, contract, how FROM rental WHERE ended_ms >= ? AND id NOT IN ({TOLD}) ORDER BY n"  # noqa: S608 - from our own constants
        return [(key, contract, how) for key, contract, how in self._store.read(query, ms(since), ms(since))]

    def versions(self, contract: str) -> int:
        """How many rentals of a name are kept, whatever became of them."""
        return int(self._store.read("SELECT count(*) FROM rental WHERE contract = ?", contract)[0][0])

    def rentals(self) -> list[tuple[Rental, datetime | None]]:
        """List the rentals that are kept, oldest first, each with the instant at which it was told to have ended."""
        return [(version.rental, version.ended) for version in self.contract_versions()]

    def contract_versions(self) -> list[Version]:
        """List the rentals that are kept as versions of their contracts, oldest first."""
        query = f"""
            SELECT r.id, contract, terms, start_ms, end_ms, by, reason, {VERSION}, coalesce(a.at_ms, start_ms), ended_ms, how
            FROM rental r LEFT JOIN answer a ON a.id = r.id ORDER BY n"""  # noqa: S608 - from our own constants
        found: list[Version] = []
        for key, contract, terms, start_ms, end_ms, by, reason, version, accepted_ms, ended_ms, how in self._store.read(query):
            try:
                told = Contract.model_validate_json(terms)
            except ValidationError as error:
                log.warning("contract %s cannot be read by this version: %s", contract, error)
                continue
            rental = Rental(key, contract, told, instant(start_ms), instant(end_ms), by, reason, version)
            found.append(Version(rental, instant(accepted_ms), None if ended_ms is None else instant(ended_ms), how))
        return found
