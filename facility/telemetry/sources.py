"""The ways to speak that a site understands."""

from __future__ import annotations

from facility.site import Site
from facility.telemetry.mapping import Mapping
from facility.telemetry.own_tree import OwnTree
from facility.telemetry.routes import Source


def sources(site: Site) -> tuple[Source, ...]:
    """List the sources of a site's readings; of two that know a topic the first has it."""
    return (OwnTree(site), Mapping(site))
