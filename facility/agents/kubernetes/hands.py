"""Hands: steps that were decided, written to the API server on the condition that the object is still the one that was decided about.

An object that somebody else wrote in the meantime is read again and decided about again. While the server asks for patience nothing is
written; what it refuses is said once and tried again after a while.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from facility.agents.kubernetes.api import Api, Away, Conflict, Missing, Refused
from facility.agents.kubernetes.cluster import Cluster
from facility.agents.kubernetes.deciding import Hold, Leave, Step
from facility.agents.kubernetes.kinds import Key, Kind, Object, key, place
from facility.agents.kubernetes.marks import Marks, stopped
from facility.clock import Clock

log = logging.getLogger(__name__)

TRIES: Final = 5
FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0
REFUSED_S: Final = 60.0


class Hands:
    """Writes what is decided."""

    def __init__(self, api: Api, cluster: Cluster, marks: Marks, clock: Clock) -> None:
        self._api, self._cluster, self._marks, self._clock = api, cluster, marks, clock
        self._failed = 0
        self._rests_until_s = float("-inf")
        self._refused: dict[tuple[Kind, Key], float] = {}

    @property
    def free(self) -> bool:
        """Whether the server may be written to now."""
        return self._clock.elapsed_s() >= self._rests_until_s

    def carry_out(self, kind: Kind, found: Object, decide: Callable[[Object], Step]) -> Object:
        """Do what `decide` says of an object; the object as it is then, as far as that is known."""
        where = key(found)
        for _ in range(TRIES):
            step = decide(found)
            if isinstance(step, Leave) or not self.free or self._refused.get((kind, where), 0.0) > self._clock.elapsed_s():
                return found
            try:
                found = self._write(kind, found, step)
            except Conflict:
                fresh = self._tried(kind, where, lambda: self._api.get(kind.path(*where)))
                if fresh is None:
                    return found
                found = fresh
                self._cluster.put(kind, found)
                continue
            except (Away, Refused) as error:
                self._amiss(kind, where, error)
                return found
            self._cluster.put(kind, found)
            self._failed = 0
            return found
        return found

    def rest(self, away: Away) -> None:
        """Write nothing for a while."""
        self._failed += 1
        wait_s = min(FIRST_S * 2.0 ** min(self._failed - 1, 10), LONGEST_S) if away.wait_s is None else away.wait_s
        self._rests_until_s = self._clock.elapsed_s() + wait_s
        if self._failed == 1:
            log.warning("the API server: %s; trying again in %.1f s", away, wait_s)

    def _write(self, kind: Kind, found: Object, step: Step) -> Object:
        where = key(found)
        if isinstance(step, Hold):
            if not stopped(kind, found):
                log.info("%s %s: stopped until %s: %s", kind.name, place(where), step.until.isoformat(timespec="seconds"), step.because)
            change = self._marks.hold(kind, step.until, step.because)
        else:
            log.info("%s %s: started", kind.name, place(where))
            change = self._marks.release(kind)
        return self._api.patch(kind, where, change, str(found["metadata"]["resourceVersion"]))

    def _tried(self, kind: Kind, where: Key, ask: Callable[[], Object]) -> Object | None:
        try:
            return ask()
        except (Away, Refused) as error:
            self._amiss(kind, where, error)
            return None

    def _amiss(self, kind: Kind, where: Key, error: Away | Refused) -> None:
        if isinstance(error, Away):
            self.rest(error)
        elif isinstance(error, Missing):
            self._cluster.drop(kind, where)
        else:
            self._refused[kind, where] = self._clock.elapsed_s() + REFUSED_S
            log.warning("%s %s: refused: %s", kind.name, place(where), error)
