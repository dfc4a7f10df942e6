"""Deciding: what is to be done with a job of the cluster, from what it is, what is ordered and what time it is. No bus, no server, no clock.

| it is                                | a hold is in force       | it is to run | nothing is ordered                    |
|--------------------------------------|--------------------------|--------------|---------------------------------------|
| stopped by us, until t               | until the order's end    | start        | start once t is past                  |
| stopped to wait for its first order  | until the order's end    | start        | until `first_wait_s` after its creation |
| stopped by somebody else             | left                     | left         | left                                  |
| not stopped, no pod works yet        | stop                     | left         | left                                  |
| not stopped, pods work               | stop, if it says `pause` | left         | left                                  |
| not stopped, with our mark           | left: somebody started it | left        | left                                  |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from facility.agents.jobs.orders import held_until
from facility.agents.kubernetes.marks import Marks, stopped, whole
from facility.agents.kubernetes.reading import Found
from facility.bus.messages import JobDesired


@dataclass(frozen=True)
class Hold:
    """Stop it until then, or have its stop end then."""

    until: datetime
    because: str = ""


@dataclass(frozen=True)
class Release:
    """Start it."""


@dataclass(frozen=True)
class Leave:
    """Do nothing; `because` where that is not what was ordered."""

    because: str = ""


Step: TypeAlias = Hold | Release | Leave


def end_of_hold(order: JobDesired | None, now: datetime) -> datetime | None:
    """Until when an order in force holds its job; None where it does not, or no longer."""
    until = None if order is None else held_until(order)
    return None if until is None or until <= now else until


def decide(found: Found, order: JobDesired | None, now: datetime, marks: Marks, first_wait_s: float) -> Step:
    """What is to be done with a job under the order in force."""
    if found.object is None or found.state == "done":
        return Leave()
    mark, until = marks.until(found.object), end_of_hold(order, now)
    if not stopped(found.stops, found.object):
        if until is None or order is None:
            return Leave()
        return _stop(found, until, order.reason, marked=mark is not None)
    waits = mark is None and marks.waits(found.object)
    if mark is None and not waits:
        return Leave("somebody else has stopped it" if order is not None and until is None else "")
    if until is not None and order is not None:
        return Leave() if mark == whole(until) else Hold(until, order.reason)
    if order is not None:
        return Release()
    ends = found.created + timedelta(seconds=first_wait_s) if mark is None else mark
    if ends <= now:
        return Release()
    return Hold(ends, "it waits for its first order") if waits else Leave()


def _stop(found: Found, until: datetime, because: str, *, marked: bool) -> Step:
    if marked:
        return Leave("somebody started it while it was held, so that it is theirs")
    if found.started and found.wishes.pause == "never":
        return Leave("it runs, and does not say pause=requeue, so that it is not stopped")
    return Hold(until, because)
