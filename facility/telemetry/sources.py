"""The ways to speak that a site understands."""

from __future__ import annotations

from facility.site import Site
from facility.telemetry.mapping import Mapping
from facility.telemetry.own_tree import OwnTree
from facility.telemetry.points import Points
from facility.telemetry.routes import Source


def sources(site: Site) -> tuple[Source, ...]:
    """List the sources of a site's readings; of two that know a topic the first has it."""
    dsx = site.bus.dsx if site.bus.profile == "dsx" else None
    return (OwnTree(site), Mapping(site), *((Points(site, dsx),) if dsx is not None else ()))
