"""A rental: what the site file says of a contract, from when to when, brought over the bus. Pure.

| when | what holds |
|---|---|
| before its start | its terms, for jobs that name it |
| from start to end | its GPUs are kept for it, as those of the site file's contracts are |
| after its end | its terms, for the jobs that were taken under it |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from facility.site import Contract, Site
from facility.steps import Edges


@dataclass(frozen=True)
class Rental:
    """One contract in the half-open interval [start, end), UTC; `id` is that of the command that brought it.

    `version` counts what was accepted under the contract's name, from 1 on.
    """

    id: str
    contract: str
    terms: Contract
    start: datetime
    end: datetime
    by: str
    reason: str = ""
    version: int = 1

    def active(self, now: datetime) -> bool:
        """Whether its GPUs are kept for it at `now`."""
        return self.start <= now < self.end

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether it has any of [start, end)."""
        return self.start < end and self.end > start


def describe(rental: Rental) -> str:
    """Say a rental in an operator's words.

    >>> from datetime import UTC
    >>> terms = Contract(tenant="lumen", kind="reserved", pool="h1-a", gpus=64, curve="train")
    >>> start, end = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 3, tzinfo=UTC)
    >>> describe(Rental("a", "lumen-burst", terms, start, end, "desk", "a launch"))
    '64 GPUs of h1-a for lumen (reserved) from 2026-07-01 12:00 until 2026-07-03 00:00 UTC: a launch'
    """
    terms = rental.terms
    gpus = f"{terms.gpus} GPUs of {terms.pool}" if terms.gpus else "terms of jobs"
    spans = f"from {rental.start:%Y-%m-%d %H:%M} until {rental.end:%Y-%m-%d %H:%M} UTC"
    again = f", version {rental.version}" if rental.version > 1 else ""
    return f"{gpus} for {terms.tenant} ({terms.kind}) {spans}{again}{': ' if rental.reason else ''}{rental.reason}"


def leased(site: Site, rentals: Iterable[Rental], holding: Iterable[Rental]) -> Site:
    """The site with the terms of `rentals`, and the GPUs of those that are `holding` them; a contract of the site file is the file's."""
    contracts = {r.contract: r.terms.model_copy(update={"gpus": 0}) for r in rentals} | {r.contract: r.terms for r in holding}
    return site.model_copy(update={"contracts": {**site.contracts, **contracts, **site.contracts}}) if contracts else site


def spanned(site: Site, rentals: Iterable[Rental]) -> Site:
    """The site with the contracts that `rentals` brought, each with its GPUs as long as it lasts."""
    brought = {r.contract: r.terms.model_copy(update={"gpus_from": r.start, "gpus_until": r.end}) for r in rentals}
    return site.model_copy(update={"contracts": {**site.contracts, **brought}}) if brought else site


def unleased(site: Site, rentals: Iterable[Rental]) -> Site:
    """The site without what `leased` brought: the contracts of its file alone, and those of nobody's."""
    brought = {r.contract for r in rentals}
    return site.model_copy(update={"contracts": {name: c for name, c in site.contracts.items() if name not in brought}}) if brought else site


def rented_gpus(rentals: Iterable[Rental], edges: Edges) -> Mapping[str, tuple[int, ...]]:
    """The GPUs kept in each step between `edges`, by contract, of rentals that begin or end among them; a step touched counts whole."""
    return {
        r.contract: tuple(r.terms.gpus if r.touches(a, b) else 0 for a, b in pairwise(edges))
        for r in rentals
        if r.terms.gpus and r.touches(edges[0], edges[-1]) and (r.start > edges[0] or r.end < edges[-1])
    }
