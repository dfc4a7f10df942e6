"""Schedule: what can be sent - whole GPUs at integer caps, jobs that run or are held - and nothing that cannot.

A *group* is a number of GPUs of one workload under one cap during one step. A workload may run for only part of a step (a job
that starts or ends inside it): `share` is that part, and the mean over the step is `count * share`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.horizon import Floats, Horizon

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Groups:
    """Groups as columns of equal length G, ordered by workload, then step.

    `w`, `t` index workload and step; `count` GPUs; `share` of the step; `cap_w`, `draw_w` W; `speed` relative.
    """

    w: Ints
    t: Ints
    count: Ints
    share: Floats
    cap_w: Ints
    draw_w: Floats
    speed: Floats

    @property
    def gpus(self) -> Floats:
        """GPUs that run, mean over the step, shape (G,)."""
        return self.count * self.share

    def __len__(self) -> int:
        return len(self.w)

    @staticmethod
    def of(rows: list[tuple[int, int, int, float, int, float, float]]) -> Groups:
        """Groups from (w, t, count, share, cap_w, draw_w, speed) rows."""
        w, t, count, share, cap_w, draw_w, speed = zip(*sorted(rows), strict=True) if rows else ((),) * 7
        return Groups(
            np.asarray(w, np.int64),
            np.asarray(t, np.int64),
            np.asarray(count, np.int64),
            np.asarray(share, float),
            np.asarray(cap_w, np.int64),
            np.asarray(draw_w, float),
            np.asarray(speed, float),
        )

    def work_gpu_h(self, horizon: Horizon, workloads: int) -> Floats:
        """Work done by workload and step, GPU hours at speed 1, shape (W, T)."""
        done = np.zeros((workloads, len(horizon)))
        np.add.at(done, (self.w, self.t), self.gpus * self.speed * horizon.h[self.t])
        return done

    def running(self, workloads: int, steps: int) -> Floats:
        """GPUs that run by workload and step, mean over the step, shape (W, T)."""
        total = np.zeros((workloads, steps))
        np.add.at(total, (self.w, self.t), self.gpus)
        return total


@dataclass(frozen=True)
class Schedule:
    """Groups, the net power of each battery (kW by step, positive charges) and the temperature each hall is to have at the
    end of each step (degC by step).

    `given_kw` is what each solar plant and genset gives, by id and step. `held_kw` is what an asset holds for a reserve, by
    (reserve, pool or battery) and step. `thermal_store_kw` is what each plant with a tank charges it with, by step (negative
    discharges). `supply_c` is at what each plant with a set-point supplies, degC by step.
    """

    groups: Groups
    battery_kw: Mapping[str, Floats]
    hall_c: Mapping[str, Floats]
    given_kw: Mapping[str, Floats] = field(default_factory=dict)
    held_kw: Mapping[tuple[str, str], Floats] = field(default_factory=dict)
    thermal_store_kw: Mapping[str, Floats] = field(default_factory=dict)
    supply_c: Mapping[str, Floats] = field(default_factory=dict)
