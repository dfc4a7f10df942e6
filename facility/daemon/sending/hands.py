"""Hands: what a governor sends with - the actuator on the bus, or what acts on a plant beside it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Protocol

from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot


class Hands(Protocol):
    """What a governor sends with."""

    @property
    def too_high(self) -> Mapping[str, str]:
        """By pool, what its agent reports above what was sent."""

    @property
    def own(self) -> Mapping[str, PoolCaps]:
        """By pool, what it was sent last while nobody commanded its caps."""

    def as_sent(self, decision: Decision) -> Decision:
        """`decision` with the caps that were sent last: where they are still to rise, with those that they have."""

    def send(
        self, decision: Decision, site: Site, snapshot: Snapshot, outdoor_c: float, now: datetime, plan_id: str, at_once: AbstractSet[str] = ...
    ) -> None:
        """Send `decision`; pools `at_once` rise without steps."""
