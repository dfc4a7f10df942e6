"""GPU: what one GPU does under a power cap, and which of its operating points a plan may use.

A measured curve gives (cap W, drawn W, relative speed). Between two measured points all three are taken as linear; above the
last point a cap does nothing. A plan climbs a *ladder* of points: the first rung is the lowest point in use, and every further
rung raises some GPUs to the next point. Kept are the points on the upper hull of speed over draw or of speed over cap; the
others would never be chosen where power is scarce, and leaving them out is a choice of this model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from models.horizon import Floats


@dataclass(frozen=True)
class Curve:
    """Operating points by rising cap: `cap_w`, `draw_w` in W, `speed` relative to the uncapped GPU; equal lengths.

    >>> a100 = Curve((200.0, 300.0, 400.0), (195.0, 289.0, 368.0), (0.78, 0.93, 1.0))
    >>> a100.at(250.0)
    (242.0, 0.855)
    >>> a100.at(500.0)
    (368.0, 1.0)
    """

    cap_w: tuple[float, ...]
    draw_w: tuple[float, ...]
    speed: tuple[float, ...]

    def at(self, cap_w: float) -> tuple[float, float]:
        """Draw (W) and relative speed under `cap_w`; below the first point both fall in proportion to the cap."""
        known = self._known
        if cap_w not in known:
            known[cap_w] = self._between(cap_w)
        return known[cap_w]

    @cached_property
    def _known(self) -> dict[float, tuple[float, float]]:
        """What was asked of `at` before: rounding asks for the few caps of a plan again and again."""
        return {}

    def _between(self, cap_w: float) -> tuple[float, float]:
        if cap_w < self.cap_w[0]:
            share = cap_w / self.cap_w[0]
            return self.draw_w[0] * share, self.speed[0] * share
        return float(np.interp(cap_w, self.cap_w, self.draw_w)), float(np.interp(cap_w, self.cap_w, self.speed))

    def settable(self, step_w: int) -> Curve:
        """The curve through the caps that are multiples of `step_w`: around each measured point the two next to it.

        So what lies between two points of it is a mixture of caps that can be set. Below the first measured point none is added.

        >>> Curve((200.0, 310.0), (200.0, 300.0), (0.78, 1.0)).settable(25)
        Curve(cap_w=(200.0, 300.0, 325.0), draw_w=(200.0, 290.9090909090909, 300.0), speed=(0.78, 0.98, 1.0))
        """
        around = {float(step_w * whole(cap / step_w)) for cap in self.cap_w for whole in (math.floor, math.ceil)}
        cap_w = tuple(sorted(cap for cap in around if cap >= self.cap_w[0]))
        draw_w, speed = zip(*map(self.at, cap_w), strict=True)
        return Curve(cap_w, draw_w, speed)


@dataclass(frozen=True)
class Host:
    """The machine around a GPU of one pool, W per GPU, and the GPU's own idle draw and lowest settable cap.

    Caps are multiples of `power_step_w`.
    """

    idle_w: float
    host_idle_w: float
    host_run_w: float
    min_cap_w: float
    power_step_w: int = 1

    @property
    def idle_total_w(self) -> float:
        """Draw of an idle GPU with its share of the host, W."""
        return self.idle_w + self.host_idle_w

    @property
    def lowest_worst_w(self) -> float:
        """The least that any available GPU counts for in the worst case: its lowest cap and a busy host, W."""
        return self.min_cap_w + self.host_run_w

    def extra_w(self, draw_w: float) -> float:
        """What a busy GPU drawing `draw_w` adds over an idle one, host included, W."""
        return draw_w + self.host_run_w - self.idle_total_w


@dataclass(frozen=True)
class Ladder:
    """The points of a curve that a plan may use, on one pool's hosts; rung 0 is the lowest.

    `cap_w`, `draw_w`, `speed` have one entry a rung. `joined[k]` says that every cap between rung k - 1 and rung k lies on
    the measured curve's straight line between them, so one interpolated cap does what a mixture of the two does.
    """

    curve: Curve
    host: Host
    cap_w: tuple[float, ...]
    draw_w: tuple[float, ...]
    speed: tuple[float, ...]
    joined: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.cap_w)

    @cached_property
    def draw_step_w(self) -> Floats:
        """What rung k adds to the pool's draw per GPU, W; rung 0 counts over an idle GPU, host included."""
        steps = np.diff(self.draw_w, prepend=0.0)
        steps[0] = self.host.extra_w(self.draw_w[0])
        return steps

    @cached_property
    def cap_step_w(self) -> Floats:
        """What rung k adds to the pool's worst case per GPU, W; rung 0 counts over the lowest settable cap."""
        steps = np.diff(self.cap_w, prepend=self.host.min_cap_w)
        return np.maximum(steps, 0.0)

    @cached_property
    def speed_step(self) -> Floats:
        """What rung k adds to relative speed."""
        return np.diff(self.speed, prepend=0.0)

    @property
    def best_energy_kwh(self) -> float:
        """Least energy of one GPU hour of work over idling, kWh."""
        return min(self.host.extra_w(d) / s for d, s in zip(self.draw_w, self.speed, strict=True)) / 1000


def upper_hull(x: Floats, y: Floats) -> list[int]:
    """Indices of the points on the upper concave hull of (x, y), x rising; of equal x the highest y stays.

    >>> upper_hull(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 2.5, 4.0]))
    [0, 1, 3]
    """
    hull: list[int] = []
    for i in range(len(x)):
        if hull and x[i] <= x[hull[-1]] + 1e-9:
            if y[i] > y[hull[-1]]:
                hull.pop()
            else:
                continue
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) > (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


def ladder(curve: Curve, host: Host, *, may_pause: bool) -> Ladder:
    """The rungs of `curve` for work that may pause (from its most efficient point) or must run (from its lowest).

    Pausing beats any point below the most efficient one, so work that may pause never uses those.

    >>> host = Host(idle_w=50.0, host_idle_w=0.0, host_run_w=0.0, min_cap_w=100.0)
    >>> curve = Curve((100.0, 200.0, 300.0, 400.0), (100.0, 197.0, 291.0, 382.0), (0.186, 0.629, 0.867, 1.0))
    >>> ladder(curve, host, may_pause=True).cap_w
    (200.0, 300.0, 400.0)
    """
    cap, draw, speed = (np.asarray(v, float) for v in (curve.cap_w, curve.draw_w, curve.speed))
    first = 0
    if may_pause:
        first = int(np.argmax(speed / np.maximum(draw + host.host_run_w - host.idle_total_w, 1e-9)))
    tail = slice(first, None)
    kept = sorted({*upper_hull(draw[tail], speed[tail]), *upper_hull(cap[tail], speed[tail])})
    index = [first + i for i in kept]
    useful = [index[0]]
    for i in index[1:]:
        if draw[i] > draw[useful[-1]] + 1e-9 and speed[i] > speed[useful[-1]] + 1e-12:
            useful.append(i)
    joined = (True, *(b == a + 1 for a, b in pairwise(useful)))
    cap_w, draw_w, speeds = (tuple(v[useful].tolist()) for v in (cap, draw, speed))
    return Ladder(curve, host, cap_w, draw_w, speeds, joined)


def commanded(curve: Curve, host: Host, cap_w: float) -> Ladder:
    """The ladder of one rung that an operator's cap leaves: every busy GPU runs at exactly `cap_w`."""
    draw, speed = curve.at(cap_w)
    return Ladder(curve, host, (cap_w,), (draw,), (speed,), (True,))
