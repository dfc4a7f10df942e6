"""Rivals: a second daemon that runs the same site, or somebody who connects with our client id.

Two orders for one pool are no order; a person must end one of them. Of two with one client id the broker throws out one after the other: we
take another id, so that orders go on, and say so.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from facility.alarms.standing import within
from facility.bus.messages import CapReported, Rejected, Status, decode
from facility.clock import Clock
from facility.daemon.telling.alarms import Alarms

TWO_DAEMONS = "two-daemons"
TAKEN_OVER = "client-id-in-use"
TAKEN_OVER_TOLD = timedelta(minutes=10)
"""How long the alarm of a session that was taken over stands after the last time."""
SILENT_S = 10.0
"""How long another instance must have said nothing to count as gone."""


class Rivals:
    """Other instances, heard by their heartbeats or seen by orders of theirs that agents obey."""

    def __init__(self, alarms: Alarms, clock: Clock, epoch: int) -> None:
        self._alarms, self._clock, self._epoch = alarms, clock, epoch
        self._heard_s: dict[str, float] = {}
        self._obeying: set[str] = set()
        self._taken_over, self._taken_at = 0, datetime.min.replace(tzinfo=UTC)

    def hear(self, instance: str, payload: bytes, now: datetime, *, retained: bool) -> None:
        """Take the status of another instance; a retained one may be of long ago, and one that waits to take over orders nothing."""
        try:
            harmless = decode(payload, Status).mode in {"offline", "standby"}
        except Rejected:
            return
        if harmless:
            self._heard_s.pop(instance, None)
            self.look(now)
        elif not retained:
            self._heard_s[instance] = self._clock.elapsed_s()
            self._stand(f"another daemon runs this site: {instance}", f"svc/{instance}/status", now)

    def see(self, pool: str, report: CapReported, now: datetime) -> None:
        """Take an agent's report: one that obeys a later epoch than ours does not obey us."""
        if report.epoch is not None and report.epoch > self._epoch:
            self._obeying.add(pool)
            cause = f"pool {pool} obeys orders of epoch {report.epoch}, which win over ours of epoch {self._epoch}"
            self._stand(cause, f"pool/{pool}", now)
        elif pool in self._obeying:
            self._obeying.discard(pool)
            self.look(now)

    def look(self, now: datetime) -> None:
        """Forget those that have fallen silent, and take the alarm back when none is left."""
        now_s = self._clock.elapsed_s()
        self._heard_s = {name: heard_s for name, heard_s in self._heard_s.items() if now_s - heard_s < SILENT_S}
        if not self._heard_s and not self._obeying:
            self._alarms.clear(TWO_DAEMONS, now)

    def follow(self, taken_over: int, now: datetime) -> None:
        """See how often our session was taken over; once in a while nobody does it any more."""
        if taken_over > self._taken_over:
            self._taken_over, self._taken_at = taken_over, now
            cause = "somebody else connects to the broker with our client id, and the broker threw us out: we took another"
            remedy = "see in the broker's log who connects with it, and with whose password or certificate; every client needs an id of its own"
            self._alarms.stand(TAKEN_OVER, cause, now, place="broker", remedy=remedy)
        elif self._taken_over and not within(self._taken_at, now, TAKEN_OVER_TOLD):
            self._alarms.clear(TAKEN_OVER, now)

    def _stand(self, cause: str, place: str, now: datetime) -> None:
        remedy = "stop one of the two; where the other is gone for good, start this one with the journal that the other wrote"
        self._alarms.stand(TWO_DAEMONS, cause, now, place=place, remedy=remedy)
