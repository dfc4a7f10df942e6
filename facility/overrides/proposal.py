"""A proposal: somebody's wish for the site, with an authority and an end. An operator's override is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["cap_w", "import_limit_kw", "hold", "release", "run", "pause", "manual", "freeze", "stop"]


@dataclass(frozen=True)
class Proposal:
    """What somebody wants for one target during the half-open interval [start, end), UTC.

    `target` is `site`, `hall/<id>`, `pool/<hall>/<id>`, `job/<id>` or `grid/<feed>`. `priority` is the BACnet array's:
    1 life safety, 5 critical equipment, 8 manual operator, 15 schedule, 16 the optimiser; the smallest number wins, and
    of two equal ones the lower cap. `value` is W for `cap_w`, kW for `import_limit_kw` and absent for the other kinds.
    """

    id: str
    target: str
    kind: Kind
    value: float | None
    priority: int
    start: datetime
    end: datetime
    by: str
    reason: str
    asked: float | None = None
    """What was asked for, where `value` had to be clamped."""

    def active(self, now: datetime) -> bool:
        """Whether it is in force at `now`."""
        return self.start <= now < self.end
