"""Place: where GPUs could be added, and what one of them draws there at each speed.

A place is a pool's: its hall, its feeder, its machines. GPUs added there are a pool of their own, of the same model or another one. Or it is
a new hall at the connection, with feeders and cooling of its own (`gear`) and machines as that pool has. What GPUs draw at a mean speed is the
least that any mixture of the points of their curve draws, as a plan would have it: the lower hull; so are their caps. Where a curve bends the
wrong way no one mixture does both, and a plan has room for a hair less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facility.problem.gpus import curve_of, host_of
from facility.site import Site
from models.horizon import Floats
from models.work.gpu import Host, Ladder, ladder, upper_hull


@dataclass(frozen=True)
class Place:
    """Room beside the GPUs of `pool`, or in a `new_hall` like theirs, for those of `gpu_model` that do work of the kind `curve`."""

    pool: str
    hall: str
    feeder: str
    gpu_model: str
    curve: str
    liquid_share: float
    host: Host
    points: Ladder
    new_hall: bool = False

    @property
    def words(self) -> str:
        """Where it is."""
        return f"in a new hall, its gear like that of pool {self.pool}" if self.new_hall else f"beside pool {self.pool} in hall {self.hall}"

    @property
    def name(self) -> str:
        """Where it is, in short."""
        return "new hall" if self.new_hall else self.pool

    def draws_kw(self, speed: float | Floats) -> Floats:
        """What one added GPU draws at a mean relative speed, its host included, kW, in the speed's shape."""
        return np.asarray((least(self.points.draw_w, self.points.speed, speed) + self.host.host_run_w) / 1000)

    def could_draw_kw(self, speed: float | Floats) -> Floats:
        """What one added GPU counts for in the sum of caps at a mean relative speed, its host included, kW, in the speed's shape."""
        return np.asarray((least(self.points.cap_w, self.points.speed, speed) + self.host.host_run_w) / 1000)

    @property
    def paused_kw(self) -> tuple[float, float]:
        """What one that does nothing draws, and counts for in the sum of caps, kW."""
        return self.host.idle_total_w / 1000, self.host.lowest_worst_w / 1000

    @property
    def slowest(self) -> float:
        """The relative speed at the lowest cap that can be set."""
        return self.points.speed[0]


def place_of(site: Site, pool_id: str, gpu_model: str | None, curve: str | None, *, new_hall: bool = False) -> Place:
    """The place beside a pool, for GPUs of `gpu_model` (None: the pool's own) that do `curve` (None: the usual kind of work)."""
    pool = site.pools[pool_id]
    model = gpu_model or pool.gpu_model
    kind = curve or usual_curve(site, model)
    beside = site.model_copy(update={"pools": {pool_id: pool.model_copy(update={"gpu_model": model})}})
    host = host_of(beside, pool_id)
    points = ladder(curve_of(site, model, kind), host, may_pause=False)
    return Place(pool_id, pool.hall, pool.feeder, model, kind, pool.liquid_share, host, points, new_hall)


def least(watts: Sequence[float], speeds: Sequence[float], speed: float | Floats) -> Floats:
    """The least of `watts` that a mixture of points needs for a mean speed, W; for one below the first point, that point's.

    >>> least((100.0, 200.0, 300.0), (0.2, 0.3, 1.0), 0.6).tolist()
    200.0
    """
    w, s = np.asarray(watts, float), np.asarray(speeds, float)
    hull = upper_hull(w, s)
    return np.asarray(np.interp(speed, s[hull], w[hull]))


def usual_curve(site: Site, gpu_model: str) -> str:
    """The kind of work that is taken where nobody says: the site's `jobs.curve`, else what the model draws most at."""
    curves = site.gpu_models[gpu_model].curves
    return site.jobs.curve if site.jobs.curve in curves else max(curves, key=lambda kind: curves[kind].points[-1].draw_w)
