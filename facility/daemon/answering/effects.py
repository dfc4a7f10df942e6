"""Effects: how soon an operator's command acts - from when it came until its orders were sent, and until agents reported them in force.

What came while the loop was busy is taken to have come when it listened last, so that no command seems quicker than it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from facility.daemon.sending.actuate import Actuator
from facility.daemon.tally import Tally

MOST = 100
"""Commands that are waited for; beyond them the oldest are not followed any more."""
LONGEST_S = 600.0
"""What no agent has reported by then, by the machine's stopwatch, another command or plan has replaced."""
AT_ONCE_S = 0.002
"""Who listens for no longer than this finds what was there already."""


@dataclass
class Owed:
    """The pools that have not reported what a command of `heard_s` had sent to them."""

    heard_s: float
    pools: frozenset[str]


class Effects:
    """To be used under the daemon's lock. `elapsed_s` tells the seconds that really pass."""

    def __init__(self, actuator: Actuator, tally: Tally, elapsed_s: Callable[[], float]) -> None:
        self._actuator, self._tally, self._elapsed_s = actuator, tally, elapsed_s
        self._owed: deque[Owed] = deque(maxlen=MOST)
        self._listened_s = self._heard_s = elapsed_s()

    def listened(self, began_s: float, ended_s: float) -> None:
        """The loop listened for messages in this time; what it takes now came then."""
        self._heard_s = ended_s if ended_s - began_s > AT_ONCE_S else self._listened_s
        self._listened_s = ended_s

    def acted(self, since: int) -> None:
        """A command that was just taken acts: its orders are those after the number `since`."""
        self._tally.sent_after.note(self._elapsed_s() - self._heard_s)
        if pools := self._actuator.owing(since):
            self._owed.append(Owed(self._heard_s, pools))

    def read_back(self) -> None:
        """An agent reported."""
        now_s = self._elapsed_s()
        for owed in tuple(self._owed):
            owed.pools = frozenset(pool for pool in owed.pools if not self._actuator.settled(pool))
            if not owed.pools:
                self._tally.enforced_after.note(now_s - owed.heard_s)
            if not owed.pools or now_s - owed.heard_s > LONGEST_S:
                self._owed.remove(owed)
