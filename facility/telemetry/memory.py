"""Memory: what of all that was told outlives a restart - the month's peak, the jobs, and the last values that stay careful in silence."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import field

from facility.bus.messages import JobReported, JobSpec
from facility.errors import Fault, InputError
from facility.telemetry.meter import Metered


class Memory(msgspec.Struct, frozen=True):
    """`heard` is the last value of a sensor, in its unit, and when it was measured (UTC), by key."""

    site: str
    metered: Metered
    specs: dict[str, JobSpec]
    reports: dict[str, JobReported]
    running_since: dict[str, datetime] = field(default_factory=dict)
    heard: dict[str, tuple[float, datetime]] = field(default_factory=dict)


def recalled(state: bytes, site: str) -> Memory:
    """Read what was remembered of `site`. Raises InputError where it cannot be read or is another site's."""
    try:
        memory = msgspec.json.decode(state, type=Memory)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(Fault("telemetry's state", str(error), "start without it; jobs come again from their scheduler")) from error
    if memory.site != site:
        raise InputError(Fault("telemetry's state", f"it is of site {memory.site!r}", f"give that of {site!r}"))
    return memory
