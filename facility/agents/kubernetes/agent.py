"""The agent: the loop between bus and cluster. It tells of jobs that may be deferred, and holds and releases them as ordered."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Final

from facility.agents.jobs.orders import Orders
from facility.agents.jobs.telling import Teller
from facility.agents.kubernetes.api import Api, Away
from facility.agents.kubernetes.deciding import Hold, Leave, Step, decide, end_of_hold
from facility.agents.kubernetes.following import Following
from facility.agents.kubernetes.hands import Hands
from facility.agents.kubernetes.kinds import JOB, LOCAL_QUEUE, Object, key, place
from facility.agents.kubernetes.marks import stopped
from facility.agents.kubernetes.queues import Waiting, decide_queue
from facility.agents.kubernetes.reading import Found, Reader, owner_uid
from facility.agents.kubernetes.strays import Strays
from facility.bus.interface import Bus
from facility.bus.messages import JobReported
from facility.bus.topics import Topics
from facility.clock import Clock, milliseconds
from facility.site import Site

log = logging.getLogger(__name__)

AT_ONCE: Final = 1000
PASS_S: Final = 1.0
"""At least so often every job is looked at, s."""
SOONEST_S, PACE = 0.1, 3.0
"""Between two looks at every job at least, s, and how many times as long as it takes to tell of them all."""
RENEWS_S: Final = 0.5
"""How long holds are renewed before what came in meanwhile is heard, s."""
HEARD_S, PATIENT_S = 1.0, 10.0
"""So long after a connection to the bus every retained order was heard, and so long is waited for one, s."""
KEPT: Final = timedelta(hours=1)
"""How long a job that is over is still told of, where its object is kept."""


class Agent:
    """The agent of one cluster, `name` in the site file. `look` does what is due; call it several times a second."""

    def __init__(self, site: Site, name: str, api: Api, bus: Bus, clock: Clock, namespaces: Sequence[str] = ()) -> None:
        self._name, self._bus, self._clock, self._namespaces = name, bus, clock, tuple(namespaces)
        self._here = site.schedulers.kubernetes[name]
        schedulers = (*site.schedulers.slurm, *site.schedulers.kubernetes)
        self._others = tuple(f"{other}-" for other in schedulers if other.startswith(f"{name}-"))
        self._topics = Topics(site.bus.root, site.id)
        self._reader = Reader(site, name)
        self._marks = self._reader.marks
        self._orders, self._teller = Orders(), Teller(bus, self._topics, clock)
        self._following = Following(api, self._marks, namespaces, clock, queues=self._here.queues)
        self._hands = Hands(api, self._following.cluster, self._marks, clock)
        self._strays = Strays(api, self._marks, clock, self._here.first_wait_s)
        self._named: set[str] = set()
        self._over: dict[str, datetime | None] = {}
        self._said: dict[str, tuple[str, ...]] = {}
        self._unread: set[str] = set()
        self._passed_s, self._news, self._soonest_s = float("-inf"), False, SOONEST_S
        self._began_s, self._connected_s = clock.elapsed_s(), None if not bus.connected else clock.elapsed_s()
        for pattern in self._topics.patterns("job_desired"):
            bus.subscribe(pattern, 1)

    def look(self) -> None:
        """Hear what came in, carry out what is due, tell what is new."""
        heard = self._hear()
        came, gone = self._following.take()
        for kind, found in gone:
            self._strays.add(kind, found)
        self._news = self._news or heard or came
        since_s = self._clock.elapsed_s() - self._passed_s
        if not self._following.ready or not self._has_heard() or since_s < (self._soonest_s if self._news else max(PASS_S, self._soonest_s)):
            return
        self._passed_s, self._news = self._clock.elapsed_s(), False
        if self._hands.free:
            try:
                self._strays.begin(self._namespaces, queues=self._here.queues)
                self._strays.start(self._hands.rest)
            except Away as away:
                self._hands.rest(away)
        self._pass()

    def close(self) -> None:
        """End what is going on; what is held stays held until its instant."""
        self._following.close()

    def _pass(self) -> None:
        """Carry out what is ordered, then tell how everything is, unless that may be another by now."""
        self._carry_out()
        self._carry_out_queues()
        if self._following.away:
            return
        began_s = self._clock.elapsed_s()
        here: dict[str, Found] = {}
        for found, _ in self._found():
            if here.setdefault(found.id, found) is found:
                self._tell(found)
        self._forget(here)
        self._soonest_s = max(SOONEST_S, PACE * (self._clock.elapsed_s() - began_s))

    def _hear(self) -> bool:
        now = self._clock.now()
        messages = self._bus.drain(0.0, AT_ONCE)
        for message in messages:
            told = self._topics.parse(message.topic)
            job = "" if told is None else told[1]["job"]
            if not job.startswith(f"{self._name}-") or job.startswith(self._others):
                continue
            if message.payload:
                self._named.add(job)
            if dropped := self._orders.take(job, message.payload, now):
                log.log(logging.DEBUG if "no newer" in dropped else logging.INFO, "order for %s: dropped: %s", job, dropped)
        return bool(messages)

    def _has_heard(self) -> bool:
        """Whether what was ordered before this process began is known, or nobody is there to tell it."""
        now_s = self._clock.elapsed_s()
        if self._connected_s is None and self._bus.connected:
            self._connected_s = now_s
        return now_s - self._began_s >= PATIENT_S or (self._connected_s is not None and now_s - self._connected_s >= HEARD_S)

    def _found(self) -> Iterator[tuple[Found, Object | None]]:
        """The jobs that may be deferred, and the workload of each that Kueue has."""
        kind, made_of = self._following.workloads, dict[str, Object]()
        for workload in self._following.cluster.of(kind).values():
            owner = owner_uid(workload)
            if owner is not None:
                made_of[owner] = workload
            elif self._marks.consents(workload) and (found := self._read(workload, partial(self._reader.workload, workload, kind))):
                yield found, workload
        for job in self._following.cluster.of(JOB).values():
            made = made_of.pop(str(job["metadata"]["uid"]), None)
            if found := self._read(job, partial(self._reader.job, job, made, kind)):
                yield found, made
        for workload in made_of.values():
            self._strays.add(kind, workload)

    def _read(self, found: Object, read: Callable[[], Found]) -> Found | None:
        """Read an object; what is none that we understand is said once, and keeps nobody from the others."""
        try:
            return read()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if (where := place(key(found))) not in self._unread:
                self._unread.add(where)
                log.warning("%s cannot be read, and is left alone: %r", where, error)
            return None

    def _decide(self, found: Found) -> Step:
        now = self._clock.now()
        return decide(found, self._orders.of(found.id, now), now, self._marks, self._here.first_wait_s)

    def _carry_out(self) -> None:
        """Start and stop first what is to be; what is held already and only longer has its turn after that, a part of it each time."""
        later: list[tuple[datetime, Found, Object]] = []
        for found, _ in self._found():
            if found.object is None or (found.spec is None and self._marks.until(found.object) is None):
                continue
            if isinstance(self._decide(found), Hold) and stopped(found.stops, found.object):
                later.append((self._marks.until(found.object) or found.created, found, found.object))
            else:
                self._hands.carry_out(found.stops, found.object, partial(self._decided, found))
        ends_s = self._clock.elapsed_s() + RENEWS_S
        for _, found, now in sorted(later, key=itemgetter(0)):
            if self._clock.elapsed_s() >= ends_s:
                self._news = True
                break
            self._hands.carry_out(found.stops, now, partial(self._decided, found))

    def _decided(self, found: Found, now: Object) -> Step:
        return self._decide(replace(found, object=now))

    def _carry_out_queues(self) -> None:
        kind = self._following.queues
        if kind is None:
            return
        waiting, now = self._waiting(), self._clock.now()
        for queue in self._following.cluster.of(kind).values():
            self._hands.carry_out(kind, queue, partial(decide_queue, waiting=waiting[key(queue)[1]], now=now, marks=self._marks))

    def _waiting(self) -> defaultdict[str, list[Waiting]]:
        """What waits in each cluster queue, by its name."""
        now, found = self._clock.now(), defaultdict[str, list[Waiting]](list)
        ours = {key(workload): each for each, workload in self._found() if workload is not None}
        kind = self._following.workloads
        local = self._following.cluster.of(LOCAL_QUEUE.of(kind.version))
        for where, workload in self._following.cluster.of(kind).items():
            queue = local.get((where[0], str(workload["spec"].get("queueName", ""))))
            here = self._reader.workload(workload, kind)
            if queue is None or here.state != "waiting":
                continue
            job = ours.get(where)
            order = None if job is None else self._orders.of(job.id, now)
            until = end_of_hold(order, now)
            if job is not None and order is None:
                first = job.created + timedelta(seconds=self._here.first_wait_s)
                until = first if first > now else None
            found[str(queue["spec"]["clusterQueue"])].append(Waiting(job is not None, until, order is not None))
        return found

    def _tell(self, found: Found) -> None:
        """Tell of a job, and say once what is amiss with it."""
        step = self._decide(found)
        amiss = (*found.faults, step.because) if isinstance(step, Leave) and step.because else found.faults
        if amiss != self._said.get(found.id, ()):
            self._said[found.id] = amiss
            log.warning("%s (%s): %s", found.place, found.id, "; ".join(amiss) or "nothing is amiss any more")
        now = self._clock.now()
        if found.spec is None or self._is_over(found, now):
            return
        order = self._orders.of(found.id, now)
        held = found.object is not None and stopped(found.stops, found.object)
        obeyed = order is not None and held == (end_of_hold(order, now) is not None)
        done = found.done_gpu_h(now)
        report = JobReported(
            timestamp=milliseconds(now),
            epoch=order.epoch if order is not None and obeyed else None,
            seq=order.seq if order is not None and obeyed else None,
            state=found.state,
            done_gpu_h=None if done is None else round(done, 4),
            gpus=found.gpus,
        )
        self._teller.tell(found.id, found.spec, report)

    def _is_over(self, found: Found, now: datetime) -> bool:
        """Whether there is nothing more to tell of a job: it was over before it was ever told of, or is since long."""
        if found.state != "done":
            return False
        if found.id not in self._over:
            self._over[found.id] = now if found.id in self._teller.jobs else None
        since = self._over[found.id]
        if since is not None and now - since < KEPT:
            return False
        if since is not None or found.id in self._named:
            self._over[found.id] = None
            self._named.discard(found.id)
            self._teller.forget(found.id)
        return True

    def _forget(self, here: dict[str, Found]) -> None:
        """Take what is no more off the bus, also what an agent before told of."""
        told = {job for job, found in here.items() if found.spec is not None}
        before = {job for job in self._named if re.search(r"-[0-9a-f]{8}$", job) and job not in told}
        for job in (self._teller.jobs - told) | before:
            self._teller.forget(job)
            self._orders.drop(job)
            self._named.discard(job)
        for kept in (self._over, self._said):
            for job in [job for job in kept if job not in here]:
                del kept[job]
