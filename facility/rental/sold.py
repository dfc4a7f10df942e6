"""Sold: the terms of contracts at an instant of the past, for whoever reckons what was owed then. Pure.

A contract of the site file is the file's. Of rentals under one name the oldest holds that had begun and had not ended, for a later version is
sold when it replaces the one before; where none held then, the next that began, and after all of them the last that came.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from facility.rental.rental import Rental
from facility.site import Contract, Site


class Sold:
    """What was sold: the contracts of a site file, and rentals, oldest first, each with the instant at which it was told to have ended."""

    def __init__(self, site: Site, rentals: Iterable[tuple[Rental, datetime | None]] = ()) -> None:
        self._site = site
        self._came: dict[str, list[tuple[Rental, datetime | None]]] = {}
        for rental, ended in rentals:
            self._came.setdefault(rental.contract, []).append((rental, ended))

    def terms(self, name: str, at: datetime) -> Contract | None:
        """The terms of a contract at an instant; None where nobody knows them any more."""
        if name in self._site.contracts:
            return self._site.contracts[name]
        mine = self._came.get(name, [])
        begun = [rental for rental, ended in mine if ended is None or ended > max(at, rental.start)]
        holding = next((rental for rental in begun if rental.active(at)), None)
        coming = min((rental for rental in begun if rental.start > at), key=lambda rental: rental.start, default=None)
        found = holding or coming or (mine[-1][0] if mine else None)
        return None if found is None else found.terms
