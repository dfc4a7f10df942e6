"""Show: where the loop and whoever asks meet. The loop leaves figures here, at most once a second; others read the newest, and neither waits.

| asked    | answer                                                                     |
|----------|----------------------------------------------------------------------------|
| /healthz | the process lives: the loop came by within `DEAD_S`                        |
| /readyz  | it does its work: it lives, the broker answers, and the first cycle is over |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from facility.bus.interface import Bus
from facility.clock import Clock
from facility.daemon.loop import Daemon
from facility.daemon.watchdog import DEAD_S
from facility.metrics.figures import Figures, gather
from facility.metrics.sums import Sums

EVERY_S = 1.0
"""How often the loop leaves figures, at most."""


@dataclass(frozen=True)
class Ready:
    """Whether the daemon does its work, and if not what is missing; its mode and why."""

    ready: bool
    missing: str
    mode: str | None
    reason: str
    connected: bool
    cycles: int

    def as_fields(self) -> dict[str, object]:
        """What programs read."""
        return asdict(self)


class Show:
    """`look` is for the loop alone, everything else for any thread. `speed` is how many times as fast as the machine's stopwatch the clock is."""

    def __init__(self, bus: Bus, clock: Clock, instance: str, speed: float = 1.0) -> None:
        self._bus, self._clock, self._instance = bus, clock, instance
        self._sums = Sums(speed)
        self.newest: Figures | None = None
        self._marked_s = clock.elapsed_s()
        self._looked_s = -EVERY_S

    def look(self, daemon: Daemon) -> None:
        """The loop came round: leave figures where it is time. Never raises."""
        self._marked_s = now_s = self._clock.elapsed_s()
        if now_s - self._looked_s < EVERY_S:
            return
        self._looked_s = now_s
        with daemon.faults.survived("figures for metrics"):
            self.newest = gather(daemon, self._bus, self._sums, now_s, self._instance) or self.newest

    @property
    def silent_s(self) -> float:
        """How long ago the loop came by, s."""
        return self._clock.elapsed_s() - self._marked_s

    @property
    def lives(self) -> bool:
        """Whether the loop goes on."""
        return self.silent_s < DEAD_S

    @property
    def ready(self) -> Ready:
        """Whether the daemon does its work."""
        told = self.newest
        if told is None:
            return Ready(ready=False, missing=self._silence or "it begins", mode=None, reason="", connected=self._bus.connected, cycles=0)
        connected, cycles = told.wire.connected and told.wire.answers, sum(told.counted.cycles.values())
        waits = "" if connected else "the broker does not answer"
        waits = waits or ("" if cycles else "the first cycle is not over")
        missing = self._silence or waits
        return Ready(not missing, missing, told.outcome.mode, told.outcome.reason, connected, cycles)

    @property
    def _silence(self) -> str:
        return "" if self.lives else f"the loop stands still for {self.silent_s:.0f} s"
