"""What must hold between the parts of a site file: references that lead somewhere, curves that rise, sums that fit.

Each rule reads a site as far as it is valid (`Known`) and yields (path, found, remedy) for what breaks it. So a rule speaks
even where other keys are missing or malformed, and is silent where the keys that it needs are.
"""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules import (
    access,
    dsx,
    electrical,
    gpus,
    grid,
    mapping,
    references,
    schedulers,
    scrape,
    sensors,
    set_points,
    tenancy,
    thermal,
)
from facility.config.rules.parts import Breach, Known, nearest

__all__ = ["Breach", "Known", "breaches", "nearest"]


def breaches(site: Known) -> Iterator[Breach]:
    """Every rule, in turn."""
    yield from references.references(site)
    yield from electrical.tree(site)
    yield from electrical.redundancy(site)
    yield from electrical.ride_through(site)
    yield from electrical.sources(site)
    yield from gpus.curves(site)
    yield from gpus.curves_exist(site)
    yield from gpus.pools(site)
    yield from tenancy.services(site)
    yield from tenancy.quotes(site)
    yield from tenancy.maintenance(site)
    yield from references.ordered(site)
    yield from grid.grid(site)
    yield from thermal.cooling(site)
    yield from grid.reserves(site)
    yield from grid.export(site)
    yield from grid.peaks(site)
    yield from grid.times(site)
    yield from mapping.mapping(site)
    yield from set_points.set_points(site)
    yield from access.access(site)
    yield from access.users(site)
    yield from schedulers.schedulers(site)
    yield from scrape.scrapes(site)
    yield from sensors.sensors(site)
    yield from dsx.exchange(site)
