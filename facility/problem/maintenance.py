"""Maintenance of a site file: GPUs that a pool lacks, and windows that are still to be found."""

from __future__ import annotations

from itertools import pairwise

from facility.forecast import hours_between
from facility.site import Site
from facility.steps import Edges
from models.work.maintenance import Maintenance


def gpus_left(site: Site, pool_id: str, edges: Edges) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """GPUs of a pool in each step that may work, and that draw power: fixed maintenance takes the others.

    Who leaves or returns inside a step does no work in it and still draws power; of several in turn the most at once are missed.
    """
    gpus = site.pools[pool_id].gpus
    fixed = [(m.gpus, *m.fixed) for m in site.maintenance.values() if m.pool == pool_id and m.fixed]
    work, power = [], []
    for begin, end in pairwise(edges):
        instants = [begin, *(start for _, start, _ in fixed if begin < start < end)]
        work.append(float(gpus - max(sum(n for n, start, back in fixed if start <= at < back) for at in instants)))
        power.append(float(gpus - sum(n for n, start, back in fixed if start <= begin and back >= end)))
    return tuple(work), tuple(power)


def maintenances_of(site: Site, edges: Edges) -> tuple[Maintenance, ...]:
    """What must find its window in these steps: it may not have begun before them, nor can it wait until after them."""
    end_h = hours_between(edges[0], edges[-1])
    found = []
    for name, m in site.maintenance.items():
        if m.hours and m.earliest and m.latest:
            earliest_h, latest_h = hours_between(edges[0], m.earliest), hours_between(edges[0], m.latest)
            if 0 <= latest_h - m.hours < end_h:
                found.append(Maintenance(name, m.pool, m.gpus, m.hours, earliest_h, latest_h, m.penalty_per_gpu_h))
    return tuple(found)
