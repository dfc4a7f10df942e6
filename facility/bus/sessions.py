"""Sessions: whether somebody else connects with our client id, and what is done so that the two do not throw each other out for ever.

A broker keeps one session for each client id: who connects with one that is in use throws the other out (MQTT 3.1.1, 3.1.4; MQTT 5 says so
in the reason `Session taken over`). Both connect again, and so on. So a connection that ends within `SHORT_S`, although the broker took us,
`FLAPS` times in a row counts as taken over, as does one that the broker says so of. From then on another client id is used each time,
and while that does not help the next attempt waits longer and longer, each with another jitter.
"""

from __future__ import annotations

import random
from typing import Final

SHORT_S: Final = 4.0
FLAPS: Final = 3
FIRST_S: Final = 1.0
USUAL_S: Final = 2.0
LONGEST_S: Final = 60.0
TAKEN_OVER: Final = 142
"""MQTT 5's reason code."""


class Sessions:
    """Told of each connection by a stopwatch, s. `taken_over` counts how often somebody else seems to have taken our session."""

    def __init__(self, client_id: str, rng: random.Random | None = None) -> None:
        self._name, self._rng = client_id, rng or random.Random()
        self._began_s: float | None = None
        self._short = self._failed = 0
        self.taken_over = 0
        self.client_id = client_id
        """What to connect as."""

    def begins(self, now_s: float) -> None:
        """The broker took us."""
        self._began_s, self._failed = now_s, 0

    def ends(self, now_s: float, reason: int = 0, *, ours: bool = False) -> bool:
        """The connection is lost, for a reason of MQTT 5, or because it was `ours` to give up; True where it was taken over."""
        began_s, self._began_s = self._began_s, None
        if began_s is None or ours:
            return False
        self._short = self._short + 1 if now_s - began_s < SHORT_S else 0
        taken = reason == TAKEN_OVER or self._short >= FLAPS
        if taken:
            self.taken_over += 1
            self.client_id = f"{self._name}-{self.taken_over + 1}"
        return taken

    def wait_s(self) -> float:
        """How long to wait before the next attempt: 1 s, then 2 s; while we are thrown out twice as long each time, up to a minute."""
        self._failed += 1
        flaps = self._short - FLAPS
        if flaps <= 0:
            return FIRST_S if self._failed == 1 else USUAL_S
        return min(USUAL_S * 2.0 ** min(flaps, 10), LONGEST_S) * self._rng.uniform(0.5, 1.0)
