"""The wire between the service and the plant, and the agents at its end: what is lost, late, doubled or out of order, both ways.

An agent obeys as one on the bus must: an older (epoch, seq), an expired or an out-of-range order is dropped, and after `valid_until` every cap
falls to min(enforced, fallback). It reports what it enforces at once where that changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import Random

from facility.bus.messages import CapDesired, CapGroup, CapReported, decode, encode
from facility.site import GpuModel
from tests.simulation.plant import Caps


@dataclass
class Weather:
    """How bad the wire is now: the share that is lost, the share that comes twice, and how long a message takes at most, s."""

    lost: float = 0.0
    doubled: float = 0.0
    late_s: float = 0.0


class Wire:
    """Carries things to their end, by `later(seconds, do)`."""

    def __init__(self, rng: Random, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._rng, self._later, self.weather = rng, later, Weather()

    def carry(self, arrive: Callable[[], None]) -> None:
        """Let something arrive now, later, twice or never."""
        weather, rng = self.weather, self._rng
        if weather.lost and rng.random() < weather.lost:
            return
        for _ in range(2 if weather.doubled and rng.random() < weather.doubled else 1):
            if weather.late_s:
                self._later(rng.uniform(0.0, weather.late_s), arrive)
            else:
                arrive()


@dataclass(frozen=True)
class Order:
    """An order for caps as it was sent."""

    number: tuple[int, int]
    caps: Caps
    fallback_w: int
    until: datetime


@lru_cache(maxsize=256)
def order_in(payload: bytes) -> Order:
    """Read an order for caps; it is read as it is published, as it arrives, and as it is obeyed."""
    told = decode(payload, CapDesired)
    groups: dict[str, list[tuple[int, int]]] = {}
    for group in told.groups:
        assert isinstance(group.gpus, int)
        groups.setdefault(group.workload, []).append((group.gpus, group.cap_w))
    return Order((told.epoch, told.seq), Caps(told.cap_w, groups), told.fallback_cap_w, told.valid_until)


class Agent:
    """The agent of one pool. `ignores`: it takes orders and leaves the caps; `slow_s`: how long it needs to apply one."""

    def __init__(self, model: GpuModel, caps: Caps, gpus: int) -> None:
        self._model, self._gpus = model, gpus
        self.caps, self.fallback_w = caps, caps.cap_w
        self.number: tuple[int, int] | None = None
        self.until: datetime | None = None
        self.ignores, self.refuses, self.slow_s = False, False, 0.0

    def take(self, order: Order, now: datetime) -> bool:
        """Take an order; whether it is in force now."""
        caps = (order.caps.cap_w, order.caps.highest_w(), order.fallback_w)
        if self.refuses or not all(self._model.min_cap_w <= cap <= self._model.max_cap_w for cap in caps):
            return False
        if (self.number is not None and order.number <= self.number) or order.until <= now:
            return False
        self.number, self.until, self.fallback_w = order.number, order.until, order.fallback_w
        if not self.ignores:
            self.caps = order.caps
        return True

    def keep_time(self, now: datetime) -> bool:
        """Fall back where nothing valid is in force; whether that changed anything."""
        if self.until is not None and now < self.until:
            return False
        lower = self.caps.no_higher(self.fallback_w)
        changed, self.caps = lower != self.caps, lower
        return changed

    def restart(self) -> None:
        """Forget every order, as a process that begins anew; caps stay as the hardware has them."""
        self.number = self.until = None

    def report(self, at_ms: int) -> bytes:
        """What it says of itself."""
        epoch, seq = self.number or (None, None)
        groups = tuple(CapGroup(workload=name, gpus=n, cap_w=w) for name, several in self.caps.groups.items() for n, w in several)
        return encode(CapReported(timestamp=at_ms, epoch=epoch, seq=seq, enforced_cap_w=self.caps.highest_w(), groups=groups, gpus=self._gpus))
