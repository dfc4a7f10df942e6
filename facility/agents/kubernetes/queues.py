"""Queues: a ClusterQueue of Kueue that is ours is held whole while every job that waits in it is held.

`stopPolicy: Hold` lets what was admitted run to its end and admits nothing new, so that a job that comes into a held queue waits for its
first order with the others. A queue is ours where it says so itself, by the label of consent; where a job of somebody else waits in it, or
one is to run, it is not held. Source: Kueue, Cluster Queue, stop policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from facility.agents.kubernetes.deciding import Hold, Leave, Release, Step
from facility.agents.kubernetes.kinds import QUEUE, Object
from facility.agents.kubernetes.marks import Marks, stopped, whole


@dataclass(frozen=True)
class Waiting:
    """A job that waits in a queue: whether it may be deferred, until when it is held (None: it is not), and whether by an order."""

    ours: bool
    held_until: datetime | None
    ordered: bool


def decide_queue(queue: Object, waiting: Iterable[Waiting], now: datetime, marks: Marks) -> Step:
    """What is to be done with a queue in which these wait."""
    mark, those = marks.until(queue), tuple(waiting)
    ends = [each.held_until for each in those if each.ours and each.held_until is not None]
    every = len(ends) == len(those) and any(each.ordered for each in those)
    until = min(ends) if every else None
    if not stopped(QUEUE, queue):
        return Leave() if mark is not None or until is None or not marks.consents(queue) else Hold(until, "every job that waits in it is held")
    if mark is None:
        return Leave()
    if until is None or not marks.consents(queue):
        return Release()
    if until <= now:
        return Release()
    return Leave() if mark == whole(until) else Hold(until, "every job that waits in it is held")
