"""Schedule: the load targets that stand, by who ordered them. Pure: no clock, no bus.

    one orderer   a later order replaces, inside its interval, whatever the same orderer asked there before; null leaves nothing there
    one order     where its own requests meet, the lowest constraint counts
    several       each keeps its own; where they meet, the lowest counts, and nobody takes away what another ordered

An order that was made before the last one of its orderer came too late, and one whose id is known came twice: neither acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import field

from facility.bus.messages.codec import Payload, Rejected
from facility.dsx.flex import MOST_TARGETS, Power, Request
from facility.events import NO_REBOUND, Event

ALWAYS = datetime(9000, 1, 1, tzinfo=UTC)
"""The end of what has none."""
AHEAD = timedelta(seconds=60)
"""How far an orderer's clock may run ahead of ours."""


class Target(Payload, frozen=True, kw_only=True):
    """At most `constraint` in [start, end), UTC; `correlation` is that of the order."""

    orderer: str
    correlation: UUID
    start: datetime
    end: datetime
    constraint: Power
    best_effort: bool = False

    def active(self, now: datetime) -> bool:
        """Whether it holds at `now`."""
        return self.start <= now < self.end


class Heard(Payload, frozen=True, kw_only=True):
    """The last order of an orderer: when it was made, and the ids of those made at that instant."""

    at: datetime
    ids: tuple[UUID, ...]


class Schedule(Payload, frozen=True, kw_only=True):
    """What stands, and what was heard last of each orderer."""

    targets: tuple[Target, ...] = ()
    heard: dict[str, Heard] = field(default_factory=dict)

    def ordered(
        self, orderer: str, event_id: UUID, correlation: UUID, made_at: datetime, requests: Iterable[Request], now: datetime
    ) -> Schedule:
        """The schedule after an order of `requests`, those of our feed, made at `made_at`. Raises `Rejected`."""
        last = self.heard.get(orderer)
        if made_at > now + AHEAD:
            raise Rejected(f"its time is more than {AHEAD.seconds} s ahead: {made_at.isoformat()}", str(event_id))
        if last is not None and event_id in last.ids:
            raise Rejected("it came before and acts once", str(event_id))
        if last is not None and made_at < last.at:
            raise Rejected(f"it was made before the last one, of {last.at.isoformat()}", str(event_id))
        told = [(*_window(request, now), request) for request in requests]
        live = [(start, end, request) for start, end, request in told if end > now]
        if told and not live:
            raise Rejected(f"all of it is past: it ends {max(end for _, end, _ in told).isoformat()}", str(event_id))
        targets = tuple(target for target in self.targets if target.end + NO_REBOUND > now)
        for start, end, _ in live:
            targets = tuple(part for target in targets for part in _without(target, orderer, start, end))
        targets += tuple(
            Target(
                orderer=orderer,
                correlation=correlation,
                start=start,
                end=end,
                constraint=request.load_constraint,
                best_effort=request.strategy.best_effort,
            )
            for start, end, request in live
            if request.load_constraint is not None
        )
        if sum(target.orderer == orderer for target in targets) > MOST_TARGETS:
            raise Rejected(f"more than {MOST_TARGETS} targets would stand", str(event_id))
        ids = (*last.ids, event_id) if last is not None and last.at == made_at else (event_id,)
        return Schedule(targets=targets, heard=self.heard | {orderer: Heard(at=made_at, ids=ids)})

    def standing(self, now: datetime) -> tuple[Target, ...]:
        """What holds at `now` or later, by its start."""
        return tuple(sorted((t for t in self.targets if t.end > now), key=lambda t: (t.start, t.constraint.kw)))

    def binding(self, now: datetime) -> Target | None:
        """The lowest that holds at `now`; of equal ones one that is no best effort."""
        return min((t for t in self.targets if t.active(now)), key=lambda t: (t.constraint.kw, t.best_effort), default=None)

    def events(self) -> tuple[Event, ...]:
        """The same as grid events; what is no best effort is held by the guard too."""
        return tuple(Event(t.start, t.end, target_kw=t.constraint.kw, firm=not t.best_effort) for t in self.targets)

    def only(self, orderers: Iterable[str]) -> Schedule:
        """What is left where only these may order."""
        kept = frozenset(orderers)
        return msgspec.structs.replace(self, targets=tuple(t for t in self.targets if t.orderer in kept))


def _window(request: Request, now: datetime) -> tuple[datetime, datetime]:
    return request.interval.start_time or now, request.interval.end_time or ALWAYS


def _without(target: Target, orderer: str, start: datetime, end: datetime) -> Iterator[Target]:
    """What is left of a target where its orderer has ordered something else in [start, end)."""
    if target.orderer != orderer or end <= target.start or start >= target.end:
        yield target
        return
    if target.start < start:
        yield msgspec.structs.replace(target, end=start)
    if target.end > end:
        yield msgspec.structs.replace(target, start=end)
