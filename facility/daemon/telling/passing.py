"""Passing: alarms of what is over by the time it can be told. Each stands for a while, and as long again where it happens again."""

from __future__ import annotations

from datetime import datetime

from facility.clock import Clock
from facility.daemon.telling.alarms import Alarms

STOOD, DIED = "loop-stood", "ended-without-a-word"
STOOD_FOR_S, DIED_FOR_S = 60.0, 600.0
"""How long they stand."""


class Passing:
    """To be used under the daemon's lock."""

    def __init__(self, alarms: Alarms, clock: Clock) -> None:
        self._alarms, self._clock = alarms, clock
        self._until_s: dict[str, float] = {}

    def stood(self, seconds: float, now: datetime) -> None:
        """The loop had stood still for so long: neither readings nor operators were heard."""
        cause = f"the loop that reads and guards stood still for {seconds:.0f} s: nobody was heard in that time"
        self._tell(STOOD, STOOD_FOR_S, cause, now, "see where, in the log, and whether the machine has what it needs")

    def died(self, now: datetime) -> None:
        """The process before this one ended without a word: killed, crashed, ended by its watchdog, or with the machine."""
        cause = "the process that ran before ended without a word; what it had sent went on or fell back"
        self._tell(DIED, DIED_FOR_S, cause, now, "see the end of its log, and the service manager's")

    def look(self, now: datetime) -> None:
        """Take back what has stood long enough."""
        now_s = self._clock.elapsed_s()
        for alarm in [alarm for alarm, until_s in self._until_s.items() if now_s >= until_s]:
            del self._until_s[alarm]
            self._alarms.clear(alarm, now)

    def _tell(self, alarm: str, lasts_s: float, cause: str, now: datetime, remedy: str) -> None:
        self._until_s[alarm] = self._clock.elapsed_s() + lasts_s
        self._alarms.stand(alarm, cause, now, place="svc", remedy=remedy)
