"""Releasing: whatever was stopped with a mark whose instant is past is started, whoever looks.

This is what lets a deferral end where the agent that made it is no more: the next agent does it at its start, and
`facility agent kubernetes --release-expired`, which needs no broker and no daemon, whenever it is run. It looks at every object and not only at
those that may be deferred, for a job may have lost its label while it was held.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from facility.agents.kubernetes.api import Api, Conflict, Missing, Refused
from facility.agents.kubernetes.kinds import JOB, KUEUE, KUEUE_VERSIONS, QUEUE, WORKLOAD, Key, Kind, Object, key, place
from facility.agents.kubernetes.marks import Marks, stopped

log = logging.getLogger(__name__)

TRIES = 5
"""So often an object that others write at the same time is read again."""


@dataclass
class Swept:
    """What was started, what is marked and not due yet, by kind and name, and what could not be looked at, by kind and why."""

    released: list[tuple[Kind, Key]] = field(default_factory=list)
    later: dict[tuple[Kind, Key], datetime] = field(default_factory=dict)
    refused: dict[Kind, str] = field(default_factory=dict)

    def refusals(self, *, queues: bool) -> tuple[str, ...]:
        """What should have been looked at and could not be; queues where they are ours."""
        return tuple(f"{kind.plural}: {why}" for kind, why in self.refused.items() if queues or kind.name != QUEUE.name)


def kinds_of(api: Api) -> Iterator[Kind]:
    """The kinds that can be stopped, as far as the server has them."""
    yield JOB
    version = api.kueue_version(KUEUE_VERSIONS, KUEUE)
    if version is not None:
        yield WORKLOAD.of(version)
        yield QUEUE.of(version)


def due(marks: Marks, kind: Kind, found: Object, first_wait_s: float) -> datetime | None:
    """When an object that is stopped by us is to be started at the latest; None where that is not ours to do."""
    if not stopped(kind, found):
        return None
    until = marks.until(found)
    if until is None and kind == JOB and marks.consents(found) and marks.waits(found):
        created = datetime.fromisoformat(str(found["metadata"]["creationTimestamp"]))
        return created + timedelta(seconds=first_wait_s)
    return until


def release(api: Api, marks: Marks, kind: Kind, found: Object, now: datetime, first_wait_s: float) -> datetime | None:
    """Start an object that is due; when it will be, where it is not yet. Raises Away and Refused."""
    for _ in range(TRIES):
        ends = due(marks, kind, found, first_wait_s)
        if ends is None or ends > now:
            return ends
        where = key(found)
        try:
            api.patch(kind, where, marks.release(kind), str(found["metadata"]["resourceVersion"]))
        except Missing:
            return None
        except Conflict:
            try:
                found = api.get(kind.path(*where))
            except Missing:
                return None
            continue
        log.info("%s %s: started, for its hold has ended", kind.name, place(where))
        return None
    return now


def sweep(api: Api, marks: Marks, kinds: Iterable[Kind], namespaces: Iterable[str], now: datetime, first_wait_s: float) -> Swept:
    """Look at every object of these kinds and namespaces; what one of them refuses keeps nobody from the others. Raises Away."""
    swept, namespaces = Swept(), tuple(namespaces) or ("",)
    for kind in kinds:
        for namespace in namespaces if kind.namespaced else ("",):
            try:
                _sweep(api, marks, kind, api.list(kind, namespace)[0], swept, now, first_wait_s)
            except Refused as refused:
                swept.refused[kind] = str(refused)
    return swept


def _sweep(api: Api, marks: Marks, kind: Kind, objects: Iterable[Object], swept: Swept, now: datetime, first_wait_s: float) -> None:
    for found in objects:
        if due(marks, kind, found, first_wait_s) is None:
            continue
        try:
            later = release(api, marks, kind, found, now, first_wait_s)
        except Refused as refused:
            swept.refused[kind] = f"{place(key(found))}: {refused}"
            continue
        if later is None:
            swept.released.append((kind, key(found)))
        else:
            swept.later[kind, key(found)] = later
