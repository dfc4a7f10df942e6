"""Tree: who hangs where - what a kW in a pool makes of each feeder above it, losses on the way included.

    w[p,f] = product of (1 + loss) of every feeder from the pool's own up to f                           0 where f is not above p

A feeder of a redundancy group that is gone carries nothing: the others of its group do, each by its rating. It is gone where it measures next
to nothing, plans expect it to carry something, and the others carry that much more than plans expect of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from facility.site import Site

GONE_SHARE = 0.02
"""Share of its rating below which a feeder that should carry something carries nothing."""
MISSED_SHARE = 0.1
"""Share of its rating that must be expected of it before that means anything."""
TAKEN_SHARE = 0.5
"""Share of what is missed there that the others must carry besides."""

Weights = Mapping[str, Mapping[str, float]]
"""By feeder, by pool: kW in the feeder for each kW of the pool."""


def weights(site: Site, gone: AbstractSet[str] = frozenset()) -> Weights:
    """Tell what pools make of feeders while those in `gone` carry nothing."""
    found: dict[str, dict[str, float]] = {name: {} for name in site.feeders}

    def flows(pool: str, name: str | None, kw: float) -> None:
        if name is None:
            return
        feeder = site.feeders[name]
        if name in gone:
            left = [other for other in _siblings(site, name) if other not in gone]
            whole_kw = sum(site.feeders[other].rating_kw for other in left)
            for other in left:
                flows(pool, other, kw * site.feeders[other].rating_kw / whole_kw)
            return
        grown = kw * (1 + feeder.loss_share)
        found[name][pool] = found[name].get(pool, 0.0) + grown
        flows(pool, feeder.parent, grown)

    for pool_id, pool in site.pools.items():
        flows(pool_id, pool.feeder, 1.0)
    return found


def groups(site: Site) -> Mapping[str, tuple[str, ...]]:
    """The feeders that back each other, by the name of their group."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, feeder in site.feeders.items():
        if feeder.redundancy_group is not None:
            found[feeder.redundancy_group].append(name)
    return {group: tuple(members) for group, members in found.items()}


def feeders_gone(site: Site, measured_kw: Mapping[str, float], expected_kw: Callable[[], Mapping[str, float]]) -> frozenset[str]:
    """Name the feeders that are gone, by what feeders carry and what is expected of them, kW; that is asked for only where one is quiet."""
    quiet = {
        name
        for name, feeder in site.feeders.items()
        if feeder.redundancy_group is not None and abs(measured_kw.get(name, feeder.rating_kw)) <= GONE_SHARE * feeder.rating_kw
    }
    if not quiet:
        return frozenset()
    loads_kw = expected_kw()

    def taken_over(name: str) -> bool:
        others = [other for other in _siblings(site, name) if other in measured_kw and other not in quiet]
        more_kw = sum(measured_kw[other] - loads_kw[other] for other in others)
        return loads_kw[name] >= MISSED_SHARE * site.feeders[name].rating_kw and more_kw >= TAKEN_SHARE * loads_kw[name]

    return frozenset(name for name in quiet if taken_over(name))


def _siblings(site: Site, name: str) -> list[str]:
    group = site.feeders[name].redundancy_group
    return [other for other, feeder in site.feeders.items() if group is not None and other != name and feeder.redundancy_group == group]
