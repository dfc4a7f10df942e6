"""Power state: when a feed's state is told, and what has just happened. Pure: what is seen goes in, events come out.

    target_set        an order was taken in
    start_ramp_down   the lowest constraint that holds came, or fell         end_ramp_down   load and meter are within it
    start_ramp_up     it rose, or went                                       end_ramp_up     a plan was made since, and is in force
    periodic          nothing of that for a while

A feed is compliant where the load that is reckoned with is within the constraint. While orders to pools are under way that is what they
were expected to make of it, and later what the meter shows; what the meter shows meanwhile is for the breach.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from facility.dsx.flex import FeedMetadata, FeedState, FeedTarget, Interval, StateEvent, Strategy, power
from facility.dsx.schedule import ALWAYS, Schedule, Target

NEAR = 0.01
"""The share of a constraint by which a load may lie above it and count as within: meters are no better."""


@dataclass(frozen=True)
class Seen:
    """A feed at an instant: the load that is reckoned with and what the meter shows (None: unknown), kW; whether orders to pools are
    still under way; how many plans were concluded so far; GPUs that enforce more than they were sent, with the cap that they were, W.
    """

    at: datetime
    calculated_kw: float
    measured_kw: float | None
    waiting: bool
    plans: int
    defiant: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Ramp:
    """A change of the constraint that is under way."""

    way: Literal["down", "up"]
    plans: int

    def over(self, seen: Seen, limit_kw: float | None) -> bool:
        """Whether it has come to its end."""
        if seen.waiting:
            return False
        if self.way == "up" or limit_kw is None:
            return seen.plans > self.plans
        return within(seen.calculated_kw, limit_kw) and (seen.measured_kw is None or within(seen.measured_kw, limit_kw))


def within(kw: float, limit_kw: float | None) -> bool:
    """Whether a power keeps a constraint, None being none."""
    return limit_kw is None or kw <= limit_kw * (1 + NEAR)


class Follower:
    """Follows one feed."""

    def __init__(self, every: timedelta) -> None:
        self._every = every
        self._limit_kw: float | None = None
        self._ramp: Ramp | None = None
        self._told: datetime | None = None
        self._since: datetime | None = None

    def resume(self, binding: Target | None) -> None:
        """Know what held already when an earlier process told of it."""
        self._limit_kw, self._since = (None, None) if binding is None else (binding.constraint.kw, binding.start)

    def happened(self, seen: Seen, binding: Target | None) -> list[StateEvent]:
        """What is to be told now, in its order."""
        found: list[StateEvent] = []
        limit_kw = None if binding is None else binding.constraint.kw
        if limit_kw != self._limit_kw:
            down = limit_kw is not None and (self._limit_kw is None or limit_kw < self._limit_kw)
            self._since = None if limit_kw is None else seen.at if self._limit_kw is None else self._since
            self._limit_kw, self._ramp = limit_kw, Ramp("down" if down else "up", seen.plans)
            found.append("start_ramp_down" if down else "start_ramp_up")
        if self._ramp is not None and self._ramp.over(seen, limit_kw):
            found.append("end_ramp_down" if self._ramp.way == "down" else "end_ramp_up")
            self._ramp = None
        if not found and (self._told is None or seen.at - self._told >= self._every):
            found.append("periodic")
        return found

    def state(self, seen: Seen, schedule: Schedule, metadata: FeedMetadata, event: StateEvent) -> FeedState:
        """The state to tell with `event`."""
        self._told, binding = seen.at, schedule.binding(seen.at)
        limit_kw = None if binding is None else binding.constraint.kw
        moving = event.startswith("start") or limit_kw != self._limit_kw or (self._ramp is not None and not event.startswith("end"))
        return FeedState(
            metadata=metadata,
            targets=tuple(_told(target, seen.at) for target in schedule.standing(seen.at)),
            calculated_load=power(seen.calculated_kw),
            in_flight=moving,
            event=event,
            compliant=within(seen.calculated_kw, limit_kw),
            power_event_start_time=self._since,
        )


def _told(target: Target, now: datetime) -> FeedTarget:
    return FeedTarget(
        active=target.active(now),
        load_constraint=target.constraint,
        interval=Interval(start_time=target.start, end_time=None if target.end == ALWAYS else target.end),
        strategy=Strategy(best_effort=target.best_effort),
        correlation_id=target.correlation,
    )
