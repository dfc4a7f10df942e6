"""GPUs under power caps: what they draw, how fast they work, and which caps they obey.

    draw(cap), speed(cap)   monotone cubic through the measured points, constant above the last, proportional to the cap below the first
    dP/dt = (draw - P) / RISE_S upwards; downwards at once
    pool power = sum of P * (1 + noise) + idle GPUs + hosts
    there = max(GPUs - those that maintenance wants out, those that work)        nobody pulls a GPU on which work runs

A pool obeys as an agent on the bus must: an older (epoch, seq), an expired or an out-of-range command is dropped, and after
`valid_until` every cap falls to min(enforced, fallback). Silence never raises power.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

from facility.simulate.obedience import Obedience
from facility.site import Curve, GpuModel, Pool

if TYPE_CHECKING:
    from facility.bus.messages import CapDesired

RISE_S = 0.35
"""Time constant of a GPU's rise to a higher draw, s; its fall (30 ms) counts as instant."""
NOISE_SHARE = 0.01
"""The draw's noise never exceeds this share: the GPUs of an H100 server drew 344 W in the median of 1,306 hours in which they were busy
all through, 337 to 347 in the middle half of them (hourly telemetry of 2024 and 2025, github dc_workload_pipeline, MIT).
"""
NOISE_STD_SHARE = 0.004
NOISE_MEMORY_S = 30.0


def through(xs: Sequence[float], ys: Sequence[float]) -> Callable[[float], float]:
    """Return the monotone cubic through the points (xs rising), constant beyond both ends (Fritsch and Carlson 1980)."""
    if len(xs) == 1:
        return lambda _: ys[0]
    from scipy.interpolate import PchipInterpolator

    cubic = PchipInterpolator(xs, ys)
    return lambda x: float(cubic(min(max(x, xs[0]), xs[-1])))


class Behaviour:
    """One kind of work on one GPU model: `draw_w(cap_w)` in W and `speed(cap_w)` relative to the uncapped GPU."""

    def __init__(self, curve: Curve) -> None:
        caps = [float(point.cap_w) for point in curve.points]
        first = caps[0]
        draw_w = through(caps, [point.draw_w for point in curve.points])
        speed = through(caps, [point.speed for point in curve.points])
        self.draw_w: Callable[[float], float] = cache(lambda cap: draw_w(cap) * min(1.0, cap / first))
        self.speed: Callable[[float], float] = cache(lambda cap: speed(cap) * min(1.0, cap / first))


@dataclass
class Running:
    """GPUs of one workload that run now, and what they draw together before noise, W."""

    gpus: int
    behaviour: Behaviour
    drawn_w: float


class PoolPlant:
    """The GPUs of one pool. `power_kw` and `gpu_kw` (without hosts) are the truth after each step."""

    def __init__(self, pool_id: str, pool: Pool, model: GpuModel, rng: random.Random | None) -> None:
        self.id, self.pool, self.model = pool_id, pool, model
        self.running: dict[str, Running] = {}
        self.cap_w = model.max_cap_w if pool.fallback_cap_w is None else pool.fallback_cap_w
        self.groups: dict[str, list[tuple[int, int]]] = {}
        self.orders = Obedience()
        self.fallback_cap_w = self.cap_w
        self.ignores: Literal["told", "hidden"] | None = None
        """Whether its GPUs draw as at their highest cap, whatever they are sent, and whether its agent tells that."""
        self._behaviours = {name: Behaviour(curve) for name, curve in model.curves.items()}
        self._rng, self._noise = rng, 0.0
        self._wanted, self._paused = 0, False
        self.gpu_kw = self.power_kw = 0.0
        self.step(0.0)

    @property
    def busy(self) -> int:
        """GPUs that hold a workload."""
        return sum(work.gpus for work in self.running.values())

    @property
    def free(self) -> int:
        """GPUs that hold no workload, and are not wanted out."""
        return max(self.pool.gpus - self._wanted - self.busy, 0)

    @property
    def there(self) -> int:
        """GPUs that have power."""
        return self.busy + self.free

    def lack(self, gpus: int, pausable: Mapping[str, int]) -> None:
        """Want so many GPUs out; each leaves as soon as no work is on it. `pausable` are the GPUs of rentals that may pause: meanwhile they hold
        as many as their caps name, and no more than are left.
        """
        if not (gpus or self._wanted or self._paused):
            return
        self._wanted = gpus
        left = self.pool.gpus - gpus - sum(work.gpus for name, work in self.running.items() if name not in pausable)
        for name in [name for name in pausable if name in self.running]:
            told = sum(count for count, _ in self.groups.get(name, ())) if gpus and self.groups else pausable[name]
            held = max(min(told, pausable[name], left), 0)
            left -= held
            work = self.running[name]
            work.drawn_w *= held / work.gpus if 0 < held < work.gpus else float(held > 0)
            work.gpus = held
        self._paused = any(self.running[name].gpus < many for name, many in pausable.items() if name in self.running)

    @property
    def enforced_cap_w(self) -> int:
        """The highest cap in force on any GPU of the pool, W, as its agent tells it."""
        return self.model.max_cap_w if self.ignores == "told" else max([self.cap_w, *(cap for groups in self.groups.values() for _, cap in groups)])

    def give(self, workload: str, gpus: int, curve: str) -> None:
        """Let a workload hold `gpus` GPUs from now on; those it did not hold must be free, and rise from idle draw."""
        work = self.running.setdefault(workload, Running(0, self._behaviours[curve], 0.0))
        if gpus - work.gpus > self.free:
            raise ValueError(f"{workload} wants {gpus} GPUs and holds {work.gpus}, {self.id} has {self.free} free")
        if gpus > work.gpus:
            work.drawn_w += (gpus - work.gpus) * self.model.idle_w
        else:
            work.drawn_w *= gpus / max(work.gpus, 1)
        work.gpus = gpus

    def stop(self, workload: str) -> None:
        """Take a workload's GPUs back; they idle at once."""
        del self.running[workload]

    def obey(self, command: CapDesired, now: datetime) -> str | None:
        """Apply a command; return why it was refused, None where it was taken."""
        caps = [command.cap_w, command.fallback_cap_w, *(group.cap_w for group in command.groups)]
        if not all(self.model.min_cap_w <= cap <= self.model.max_cap_w for cap in caps):
            return "out of range"
        if refusal := self.orders.take(command, now):
            return refusal
        self.cap_w, self.fallback_cap_w = command.cap_w, command.fallback_cap_w
        self.groups = {}
        for group in command.groups:
            count = group.gpus if isinstance(group.gpus, int) else len(group.gpus)
            self.groups.setdefault(group.workload, []).append((count, group.cap_w))
        return None

    def fall_back_if_silent(self, now: datetime) -> None:
        """After `valid_until` lower every cap to the fallback."""
        if self.orders.silent(now):
            self.cap_w = min(self.cap_w, self.fallback_cap_w)
            self.groups = {
                name: [(count, min(cap, self.fallback_cap_w)) for count, cap in groups] for name, groups in self.groups.items()
            }

    def caps_of(self, workload: str) -> list[tuple[int, int]]:
        """Return the (gpus, cap_w) that a running workload's GPUs obey, as their agent tells it; together they are all its GPUs."""
        if self.ignores == "told":
            return [(self.running[workload].gpus, self.model.max_cap_w)]
        left, caps = self.running[workload].gpus, []
        for count, cap in self.groups.get(workload, ()):
            caps.append((min(count, left), cap))
            left -= min(count, left)
        return [*caps, (left, self.cap_w)]

    def _obeyed(self, workload: str) -> list[tuple[int, int]]:
        """As `caps_of`, in truth."""
        return [(self.running[workload].gpus, self.model.max_cap_w)] if self.ignores else self.caps_of(workload)

    def speed_gpus(self, workload: str) -> float:
        """Return how many uncapped GPUs do the same work per time; 0 where the workload does not run."""
        if workload not in self.running:
            return 0.0
        behaviour = self.running[workload].behaviour
        return sum(gpus * behaviour.speed(cap) for gpus, cap in self._obeyed(workload))

    def step(self, seconds: float) -> None:
        """Let the draw settle for `seconds`."""
        risen = 1.0 - math.exp(-seconds / RISE_S)
        for name, work in self.running.items():
            target_w = sum(gpus * work.behaviour.draw_w(cap) for gpus, cap in self._obeyed(name))
            work.drawn_w = min(target_w, work.drawn_w + (target_w - work.drawn_w) * risen)
        if self._rng is not None:
            kept = math.exp(-seconds / NOISE_MEMORY_S)
            self._noise = kept * self._noise + math.sqrt(1 - kept**2) * self._rng.gauss(0.0, NOISE_STD_SHARE)
        noise = max(-NOISE_SHARE, min(NOISE_SHARE, self._noise))
        busy = self.busy
        self.gpu_kw = (sum(work.drawn_w for work in self.running.values()) * (1 + noise) + self.free * self.model.idle_w) / 1000
        self.power_kw = self.gpu_kw + (busy * self.pool.host_run_w + self.free * self.pool.host_idle_w) / 1000
