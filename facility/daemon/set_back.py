"""Set back: whether somebody set the clock back, and by how much, until all has begun anew."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from facility.clock import Clock

log = logging.getLogger(__name__)

NOTICED = timedelta(seconds=1)
"""How far a clock may be corrected back without anybody noticing: no more than what goes on may last longer for it, by the gate."""


class SetBack:
    """To be used under the daemon's lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest = clock.now()
        self._was: tuple[datetime, float] | None = None
        self.stored = timedelta(0)
        """How much of it the journal knows already."""

    @property
    def unseen(self) -> bool:
        """Whether it was set back since it was looked at last: until it is, nothing that was known or asked before is of use."""
        return self._newest - self._clock.now() > NOTICED

    def look(self) -> bool:
        """Look at the clock; True where it was set back since the last look."""
        now = self._clock.now()
        back, self._newest = self._newest - now, now
        if back <= NOTICED:
            return False
        log.warning("the clock was set back by %s, to %s", back, f"{now:%Y-%m-%d %H:%M:%S} UTC")
        self._was = self._was or (now + back, self._clock.elapsed_s())
        return True

    @property
    def waits(self) -> bool:
        """Whether it was set back and nothing has begun anew since."""
        return self._was is not None

    @property
    def by(self) -> timedelta:
        """How far it is behind what it would be by the seconds that really passed; none where nothing waits."""
        if self._was is None:
            return timedelta(0)
        then, then_s = self._was
        return then + timedelta(seconds=self._clock.elapsed_s() - then_s) - self._clock.now()

    def over(self) -> None:
        """All has begun anew, or the clock is right again."""
        self._was, self.stored = None, timedelta(0)
