"""Breaches: what the gate found is told as an alarm for each invariant, until none was found for a while, and ends in SAFE where it was of caps."""

from __future__ import annotations

from datetime import datetime, timedelta

from facility.daemon.sending.gate import Gate
from facility.daemon.telling.alarms import Alarms

QUIET = timedelta(minutes=10)
"""How long nothing must have been found until the alarm is over."""
REMEDY = "this is a fault of the service: keep its journal and log, and report it; caps lapse to the fallback by themselves"


class Breaches:
    """To be used under the daemon's lock."""

    def __init__(self, gate: Gate, alarms: Alarms) -> None:
        self._gate, self._alarms = gate, alarms
        self._last: dict[str, datetime] = {}

    def look(self, now: datetime) -> str:
        """Tell what was found since the last call; the reason for SAFE where it was of caps, else empty."""
        reason = ""
        for found in self._gate.take():
            alarm, told = f"invariant-i{found.broken.number}", "was sent, for it only lowers" if found.sent else "was not sent"
            self._last[alarm] = now
            self._alarms.stand(alarm, f"{found.broken}; the message {told}", now, place=found.topic, remedy=REMEDY, plant=found.caps)
            if found.caps:
                reason = reason or f"caps break an invariant: {found.broken}"
        for alarm in [alarm for alarm, at in self._last.items() if not timedelta(0) <= now - at < QUIET]:
            del self._last[alarm]
            self._alarms.clear(alarm, now)
        return reason
