"""Strays: what is marked and nobody looks after any more - jobs that lost their label, marks of an agent that is gone - until their instant.

Where that is past the object is read again, and started if its mark is still the one that is past. What the server refuses is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from facility.agents.kubernetes.api import Api, Away, Missing, Refused
from facility.agents.kubernetes.kinds import Key, Kind, Object, key, place
from facility.agents.kubernetes.marks import Marks
from facility.agents.kubernetes.releasing import due, kinds_of, release, sweep
from facility.clock import Clock

log = logging.getLogger(__name__)

AGAIN_S: Final = 60.0
"""A refused look at every object, or a refused start of one, is repeated after so long, s."""


class Strays:
    """Objects to start at an instant, and the look at every object with which an agent begins."""

    def __init__(self, api: Api, marks: Marks, clock: Clock, first_wait_s: float) -> None:
        self._api, self._marks, self._clock, self._first_wait_s = api, marks, clock, first_wait_s
        self._due: dict[tuple[Kind, Key], datetime] = {}
        self._sweep_s: float | None = float("-inf")

    def add(self, kind: Kind, found: Object) -> None:
        """Look after an object that is stopped by us."""
        ends = due(self._marks, kind, found, self._first_wait_s)
        if ends is not None:
            self._due[kind, key(found)] = ends

    def begin(self, namespaces: Sequence[str], *, queues: bool) -> None:
        """Look at every object once, as soon as the server lets us. Queues are looked at too where they are no longer ours, if we may."""
        now_s = self._clock.elapsed_s()
        if self._sweep_s is None or now_s < self._sweep_s:
            return
        try:
            swept = sweep(self._api, self._marks, kinds_of(self._api), namespaces, self._clock.now(), self._first_wait_s)
            refusals = swept.refusals(queues=queues)
            self._due |= swept.later
        except Refused as refused:
            refusals = (str(refused),)
        if refusals:
            log.warning("what an agent before may have left held cannot be looked for: %s", "; ".join(refusals))
        self._sweep_s = now_s + AGAIN_S if refusals else None

    def start(self, away: Callable[[Away], None]) -> None:
        """Start what is due; `away` is told where the server asks for patience."""
        now = self._clock.now()
        for kind, where in [each for each, ends in self._due.items() if ends <= now]:
            try:
                later = release(self._api, self._marks, kind, self._api.get(kind.path(*where)), now, self._first_wait_s)
            except Missing:
                later = None
            except Away as error:
                away(error)
                return
            except Refused as refused:
                log.warning("%s %s: refused: %s", kind.name, place(where), refused)
                later = now + timedelta(seconds=AGAIN_S)
            del self._due[kind, where]
            if later is not None:
                self._due[kind, where] = later
