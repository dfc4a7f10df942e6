"""Situation: what is known and what is commanded at an instant, and the site as it is in force then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.snapshot import Snapshot


@dataclass(frozen=True)
class Situation:
    """`site` is the site file's with the rentals of that instant and the base load that is expected in the step that begins there;
    `asked` is for at least that step.
    """

    now: datetime
    site: Site
    snapshot: Snapshot
    asked: Bounds
    outdoor_c: float
