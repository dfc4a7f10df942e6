"""Spans: contracts of the site file whose GPUs become their own at an instant, or are given back at one. Pure.

A contract keeps its terms for jobs all the time. Where its GPUs are not its own it is a contract of jobs alone, as a rental is before its
start and after its end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from facility.site import Contract, Site
from facility.steps import Edges

MOMENT = timedelta(microseconds=1)


def absent(site: Site, start: datetime, end: datetime | None = None) -> frozenset[str]:
    """The contracts whose GPUs are not their own at any instant of [start, end), or at `start`."""
    until = start + MOMENT if end is None else end
    return frozenset(name for name, contract in site.contracts.items() if contract.gpus and not _touches(contract, start, until))


def without(site: Site, names: Collection[str]) -> Site:
    """The site with contracts of `names` that have no GPUs; the same object where there are none."""
    if not names:
        return site
    contracts = {name: c.model_copy(update={"gpus": 0}) if name in names else c for name, c in site.contracts.items()}
    return site.model_copy(update={"contracts": contracts})


def at(site: Site, now: datetime) -> Site:
    """The site with the contracts as they are at an instant; the same object where all of them have their GPUs."""
    return without(site, absent(site, now))


def gpus_by_step(site: Site, edges: Edges) -> Mapping[str, tuple[int, ...]]:
    """The GPUs kept in each step between `edges`, by contract that gets or gives back its GPUs among them; a step touched counts whole."""
    found = {}
    for name, contract in site.contracts.items():
        start, end = contract.has_gpus
        if contract.gpus and (start > edges[0] or end < edges[-1]):
            found[name] = tuple(contract.gpus if _touches(contract, a, b) else 0 for a, b in pairwise(edges))
    return found


def _touches(contract: Contract, start: datetime, end: datetime) -> bool:
    begins, ends = contract.has_gpus
    return begins < end and ends > start
