"""Watching: one collection followed for ever - listed, watched from there on, and listed again only where the server's memory ends.

A watch that ends or breaks is resumed from the last resource version that was heard, of an object or of a bookmark, so that nothing is lost and
nothing is listed twice. Source: Kubernetes, API concepts, efficient detection of changes.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, TypeAlias

from facility.agents.kubernetes.api import Api, Away, Event, Gone, Missing, Refused
from facility.agents.kubernetes.kinds import Kind, Object

log = logging.getLogger(__name__)

FIRST_S: Final = 0.25
LONGEST_S: Final = 30.0
ABSENT_S: Final = 60.0
"""A kind that the server does not have, or does not let us read, is asked for again after so long."""


@dataclass(frozen=True)
class Scope:
    """What is followed: a kind, in one namespace or all of them, those that a selector of labels chooses."""

    kind: Kind
    namespace: str = ""
    selector: str = ""

    def __str__(self) -> str:
        return self.kind.plural + (f" of {self.namespace}" if self.namespace else "")


@dataclass(frozen=True)
class Listed:
    """All that there is."""

    scope: Scope
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class Changed:
    """One object came, changed or, where `gone`, went: out of the cluster, or out of what the selector chooses."""

    scope: Scope
    object: Object
    gone: bool = False


News: TypeAlias = Listed | Changed


class Watcher(threading.Thread):
    """Follows a scope and puts what happens into a queue."""

    def __init__(self, api: Api, scope: Scope, news: SimpleQueue[News], stop: threading.Event) -> None:
        super().__init__(name=f"watch {scope}", daemon=True)
        self._api, self._scope, self._news, self._stop_asked = api, scope, news, stop
        self._version: str | None = None
        self._failed = 0
        self._amiss = ""
        self.away = False
        """Whether the server does not answer, so that what is known may be another by now."""
        self._rng = random.Random()

    def run(self) -> None:
        """Follow it until asked to stop."""
        while not self._stop_asked.is_set():
            try:
                wait_s = self.follow()
            except Exception:
                log.exception("%s: listed again", self._scope)
                self._version, wait_s = None, LONGEST_S
            self._stop_asked.wait(wait_s)

    def follow(self) -> float:
        """List where that is needed, and watch until the watch ends; how long to wait before the next time, s."""
        scope = self._scope
        try:
            if self._version is None:
                objects, version = self._api.list(scope.kind, scope.namespace, scope.selector)
                self._news.put(Listed(scope, tuple(objects)))
                self._version = version
            for event in self._api.watch(scope.kind, scope.namespace, self._version, scope.selector):
                self._well() if event is None else self._hear(event)
                if self._stop_asked.is_set():
                    return 0.0
        except Gone as gone:
            log.info("%s: %s; listed again", scope, gone)
            self._version = None
            return self._again_s()
        except Away as away:
            self.away = True
            return self._say(str(away), self._again_s() if away.wait_s is None else away.wait_s)
        except Missing:
            self._version = None
            return self._say("the server has none of this kind", ABSENT_S)
        except Refused as refused:
            self._version = None
            return self._say(str(refused), ABSENT_S)
        return 0.0

    def _hear(self, event: Event) -> None:
        version = event.object.get("metadata", {}).get("resourceVersion")
        if event.what != "BOOKMARK":
            self._news.put(Changed(self._scope, event.object, gone=event.what == "DELETED"))
        if version:
            self._version = str(version)
        self._failed = 0

    def _again_s(self) -> float:
        """Twice as long after each failure, each time with another jitter."""
        self._failed += 1
        return min(FIRST_S * 2.0 ** min(self._failed - 1, 10), LONGEST_S) * self._rng.uniform(0.5, 1.0)

    def _say(self, amiss: str, wait_s: float) -> float:
        """Say once what is amiss: a watch that merely broke off is begun again first."""
        if self._failed != 1 and not self._amiss:
            self._amiss = amiss
            log.warning("%s: %s; trying again", self._scope, amiss)
        return wait_s

    def _well(self) -> None:
        self.away = False
        if self._amiss:
            self._amiss = ""
            log.info("%s: followed again", self._scope)
