"""Breach: the meter shows more than the constraint that holds. Pure: what is seen goes in, what is to be told comes out.

    active      the meter has been above the constraint, by more than `NEAR`, for `after`, and so long since the constraint came or fell
    escalated   it is critical (20 % above), or has lasted for `escalates_after`; never for a target of best effort
    resolved    the meter has been within it for `after`, or nothing is asked any more

A meter that is silent ends nothing and begins nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from facility.dsx.facts import CRITICAL_EXCESS
from facility.dsx.flex import BreachStatus, Severity
from facility.dsx.powerstate import Seen, within
from facility.dsx.schedule import Target


@dataclass(frozen=True)
class Breach:
    """A breach: of which target, since when, and how it stands."""

    id: UUID
    target: Target
    detected_at: datetime
    measured_kw: float
    status: BreachStatus = "active"
    resolved_at: datetime | None = None

    @property
    def severity(self) -> Severity:
        """By how much the target is exceeded."""
        return "critical" if self.measured_kw > self.target.constraint.kw * (1 + CRITICAL_EXCESS) else "warning"


class Watch:
    """Watches one feed; `new_id` names breaches, `standing` is one that an earlier process found."""

    def __init__(self, new_id: Callable[[], UUID], after: timedelta, escalates_after: timedelta, standing: Breach | None = None) -> None:
        self._new_id, self._after, self._escalates_after = new_id, after, escalates_after
        self._limit_kw: float | None = None
        self._above_since: datetime | None = None
        self._within_since: datetime | None = None
        self.standing = standing

    def look(self, seen: Seen, binding: Target | None) -> Breach | None:
        """The breach as it is to be told now; None where there is nothing new."""
        if binding is None:
            self._limit_kw = self._above_since = None
            return self._resolve(seen)
        limit_kw = binding.constraint.kw
        if self._limit_kw is None or limit_kw < self._limit_kw:
            self._above_since = None
        self._limit_kw = limit_kw
        if seen.measured_kw is None:
            return None
        if within(seen.measured_kw, limit_kw):
            self._above_since, self._within_since = None, self._within_since or seen.at
            return self._resolve(seen) if seen.at - self._within_since >= self._after else None
        self._above_since, self._within_since = self._above_since or seen.at, None
        if self.standing is None:
            if seen.at - self._above_since < self._after:
                return None
            self.standing = Breach(self._new_id(), binding, seen.at, seen.measured_kw)
            return self.standing
        self.standing = replace(self.standing, target=binding, measured_kw=seen.measured_kw)
        late = seen.at - self.standing.detected_at >= self._escalates_after
        if self.standing.status == "active" and not binding.best_effort and (late or self.standing.severity == "critical"):
            self.standing = replace(self.standing, status="escalated")
            return self.standing
        return None

    def _resolve(self, seen: Seen) -> Breach | None:
        over, self.standing = self.standing, None
        self._within_since = None
        if over is None:
            return None
        measured_kw = over.measured_kw if seen.measured_kw is None else seen.measured_kw
        return replace(over, status="resolved", resolved_at=seen.at, measured_kw=measured_kw)
