"""Following: which collections of the cluster are watched, and what is known of them by now.

Kueue may not be there, or come later; it is asked for now and then. Jobs are chosen by their label of consent, by the server, so that what is
somebody else's is never even read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final

from facility.agents.kubernetes.api import Api, Away, Refused
from facility.agents.kubernetes.cluster import Cluster
from facility.agents.kubernetes.kinds import JOB, KUEUE, KUEUE_VERSIONS, LOCAL_QUEUE, QUEUE, WORKLOAD, Kind, Object
from facility.agents.kubernetes.marks import Marks
from facility.agents.kubernetes.watching import News, Scope, Watcher
from facility.clock import Clock

log = logging.getLogger(__name__)

ASKED_S: Final = 300.0
"""Between two questions whether Kueue is there, s."""
FIRST_S: Final = 1.0
"""So long after a question that got no answer it is asked again."""


class Following:
    """The watched part of a cluster. `take` what is new; `ready` tells whether all was told once."""

    def __init__(self, api: Api, marks: Marks, namespaces: Sequence[str], clock: Clock, *, queues: bool) -> None:
        self._api, self._clock, self._queues = api, clock, queues
        self._namespaces = tuple(namespaces) or ("",)
        self._news: SimpleQueue[News] = SimpleQueue()
        self._stop = threading.Event()
        self._watchers: list[Watcher] = []
        self._asked = False
        self._ask_s = float("-inf")
        self.version: str | None = None
        """Of Kueue; None where there is none."""
        jobs = [Scope(JOB, namespace, marks.selector) for namespace in self._namespaces]
        self.cluster = Cluster(jobs)
        self._watch(jobs)

    @property
    def workloads(self) -> Kind:
        """The kind of Kueue's workloads, of which there are none without Kueue."""
        return WORKLOAD if self.version is None else WORKLOAD.of(self.version)

    @property
    def queues(self) -> Kind | None:
        """The kind of Kueue's cluster queues, where they are followed."""
        return None if self.version is None or not self._queues else QUEUE.of(self.version)

    @property
    def ready(self) -> bool:
        """Whether everything was told once."""
        return self._asked and all(self.cluster.listed(kind) for kind in self._kinds())

    @property
    def away(self) -> bool:
        """Whether the server does not answer who follows a part, so that what is known of it may be another by now."""
        return any(watcher.away for watcher in self._watchers)

    def take(self) -> tuple[bool, list[tuple[Kind, Object]]]:
        """Take in what came; whether anything did, and what is gone."""
        self._ask()
        came, gone = False, list[tuple[Kind, Object]]()
        while True:
            try:
                news = self._news.get_nowait()
            except Empty:
                return came, gone
            came = True
            gone += [(news.scope.kind, each) for each in self.cluster.take(news)]

    def close(self) -> None:
        """Ask the watchers to end."""
        self._stop.set()

    def _kinds(self) -> tuple[Kind, ...]:
        if self.version is None:
            return (JOB,)
        more = (LOCAL_QUEUE.of(self.version), QUEUE.of(self.version)) if self._queues else ()
        return (JOB, WORKLOAD.of(self.version), *more)

    def _ask(self) -> None:
        """Ask whether Kueue is there, and follow it."""
        now_s = self._clock.elapsed_s()
        if self.version is not None or now_s < self._ask_s:
            return
        try:
            self.version = self._api.kueue_version(KUEUE_VERSIONS, KUEUE)
        except (Away, Refused) as error:
            if self._ask_s == float("-inf"):
                log.warning("the API server: %s; trying again", error)
            self._ask_s = now_s + FIRST_S
            return
        self._ask_s, self._asked = now_s + ASKED_S, True
        if self.version is not None:
            log.info("Kueue is there, %s", self.version)
            scopes = [Scope(kind, namespace) for kind in self._kinds()[1:] for namespace in (self._namespaces if kind.namespaced else ("",))]
            self.cluster.add(scopes)
            self._watch(scopes)

    def _watch(self, scopes: Sequence[Scope]) -> None:
        for scope in scopes:
            self._watchers.append(Watcher(self._api, scope, self._news, self._stop))
            self._watchers[-1].start()
