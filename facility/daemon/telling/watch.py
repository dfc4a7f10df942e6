"""Watch: tells how sensors are believed - a retained topic for programs, one alarm per cause for people.

An alarm is raised when its cause has stood for RAISE_S, one of sensors that are lost when no further one was lost for as long, so that what
fails together is told together (after GATHER_S at the latest); it is taken back when all its sensors have been good for CLEAR_S. Beyond
MOST of them one says that there are more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from facility.bus.interface import Bus, Message
from facility.bus.messages import Doubted, Quality, encode
from facility.bus.topics import Topics
from facility.daemon.telling.alarms import Alarms
from facility.daemon.telling.causes import Cause, Groups, causes, lost
from facility.site import Site
from facility.snapshot import Snapshot
from facility.telemetry.lasting import Lasting
from facility.verdict import RANK, Doubt, Verdict

RAISE_S, GATHER_S, CLEAR_S = 15.0, 60.0, 60.0
MOST = 5
MORE = "sensors-more"
TELL = timedelta(seconds=2)
"""How often the topic is told at most."""
AGAIN = timedelta(seconds=30)
"""How often it is told while something is not good, for what is used instead moves."""
LISTED = 150
"""Sensors that fit into 64 KiB."""


class Watch:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, alarms: Alarms) -> None:
        self._bus, self._alarms, self._topic = bus, alarms, Topics(site.bus.root, site.id).quality()
        self._groups = Groups(site)
        self._standing: dict[str, Cause] = {}
        self._seen_at: dict[str, datetime] = {}
        self._good = Lasting()
        self._lost: frozenset[str] = frozenset()
        self._first_at = self._grew_at = datetime.min.replace(tzinfo=UTC)
        self._told: tuple[object, ...] | None = None
        self._told_at: datetime | None = None
        self._payload = b""

    @property
    def sensors(self) -> int:
        """How many sensors the site has."""
        return len(self._groups.all)

    def look(self, snapshot: Snapshot, batches: Mapping[str, frozenset[str]]) -> None:
        """See what is doubted at the instant of a snapshot, and tell it; `batches` are the sensors that came together, by topic."""
        told = tuple((doubt.key, doubt.verdict, doubt.kind) for doubt in snapshot.doubts.values())
        since = None if self._told_at is None else abs(snapshot.at - self._told_at)
        if since is None or (told != self._told and since >= TELL) or (told and since >= AGAIN):
            self._told, self._told_at = told, snapshot.at
            self._payload = encode(quality(snapshot, len(self._groups.all)))
            self.republish()
        if snapshot.doubts or self._standing or self._seen_at:
            self._follow(snapshot.doubts, batches, snapshot.at)

    def republish(self) -> None:
        """Tell again what was told last: the broker is a cable, not a memory."""
        if self._payload:
            self._bus.publish(Message(self._topic, self._payload, qos=1, retain=True))

    def _follow(self, doubts: Mapping[str, Doubt], batches: Mapping[str, frozenset[str]], now: datetime) -> None:
        gone = lost(doubts.values())
        ripe = self._gathered(gone, now)
        found = {cause.id: cause for cause in causes(self._groups, doubts, batches)}
        self._seen_at = {name: self._seen_at.get(name, now) for name in found}
        for name, cause in found.items():
            covered = frozenset[str]().union(*(standing.keys for standing in self._standing.values()))
            if cause.keys <= gone:
                if ripe and not cause.keys <= covered:
                    self._raise(cause, now)
            elif now - self._seen_at[name] >= timedelta(seconds=RAISE_S):
                self._raise(cause, now)
        for name, cause in list(self._standing.items()):
            still = name in found or not cause.keys.isdisjoint(gone) or (name == MORE and not cause.keys.isdisjoint(doubts))
            if self._good.lasts(name, now, CLEAR_S, holds=not still):
                self._good.since(name, now, holds=False)
                del self._standing[name]
                self._alarms.clear(name, now)

    def _gathered(self, gone: frozenset[str], now: datetime) -> bool:
        """Whether those that are lost are all that are about to be."""
        if not gone <= self._lost:
            self._grew_at = now
            if not self._lost:
                self._first_at = now
        self._lost = gone
        return now - self._grew_at >= timedelta(seconds=RAISE_S) or now - self._first_at >= timedelta(seconds=GATHER_S)

    def _raise(self, cause: Cause, now: datetime) -> None:
        if cause.id not in self._standing and len(self._standing) >= MOST:
            remedy = "see the topic quality/current, which lists every sensor that is not good"
            keys = cause.keys if MORE not in self._standing else cause.keys | self._standing[MORE].keys
            cause = Cause(MORE, "site", "more sensors are not good than are told one by one", remedy, keys, cause.grave)
        elif cause.id in self._standing:
            cause = replace(cause, keys=cause.keys | self._standing[cause.id].keys)
        self._standing[cause.id] = cause
        severity: Literal["alarm", "warning"] = "alarm" if cause.grave else "warning"
        self._alarms.stand(cause.id, cause.says, now, place=cause.place, remedy=cause.remedy, severity=severity, plant=cause.grave)


def quality(snapshot: Snapshot, sensors: int) -> Quality:
    """What is told of `sensors` sensors."""
    doubts = sorted(snapshot.doubts.values(), key=lambda doubt: (-RANK[doubt.verdict], doubt.since, doubt.key))
    counts = Counter(doubt.verdict for doubt in doubts)
    counts[Verdict.GOOD] = sensors - len(doubts)
    listed = tuple(
        Doubted(
            key=doubt.key[:128],
            verdict=doubt.verdict,
            kind=doubt.kind,
            reason=doubt.says[:200],
            since=doubt.since,
            value=doubt.value,
            stands_in=doubt.stands_in,
            measured=doubt.measured,
        )
        for doubt in doubts[:LISTED]
    )
    return Quality(at=snapshot.at, counts={verdict: counts[verdict] for verdict in Verdict}, not_good=listed, left_out=len(doubts) - len(listed))
