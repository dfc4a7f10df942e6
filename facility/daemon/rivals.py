"""Rivals: a second daemon that runs the same site. Two orders for one pool are no order; a person must end one of them."""

from __future__ import annotations

from datetime import datetime

from facility.bus.messages import CapReported, Rejected, Status, decode
from facility.clock import Clock
from facility.daemon.alarms import Alarms

TWO_DAEMONS = "two-daemons"
SILENT_S = 10.0
"""How long another instance must have said nothing to count as gone."""


class Rivals:
    """Other instances, heard by their heartbeats or seen by orders of theirs that agents obey."""

    def __init__(self, alarms: Alarms, clock: Clock, epoch: int) -> None:
        self._alarms, self._clock, self._epoch = alarms, clock, epoch
        self._heard_s: dict[str, float] = {}
        self._obeying: set[str] = set()

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

    def _stand(self, cause: str, place: str, now: datetime) -> None:
        remedy = "stop one of the two; where the other is gone for good, start this one with the journal that the other wrote"
        self._alarms.stand(TWO_DAEMONS, cause, now, place=place, remedy=remedy)
