"""Stability: what the last plan had each workload draw in the next hour, for the new plan to stay near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from facility.decide import Optimised
from facility.steps import Edges
from models.horizon import Floats
from models.solving.stability import drawn_kw

NEAR = timedelta(hours=1)
"""How far ahead a new plan stays near the last one; what is later is free."""


@dataclass(frozen=True)
class Drawn:
    """What a plan has each workload draw over idle GPUs: `kw` by workload and step between `edges`, shape (W, T)."""

    edges: Edges
    workloads: tuple[str, ...]
    kw: Floats

    def near(self, edges: Edges) -> Mapping[str, tuple[float, ...]]:
        """The same in the first steps between `edges`, kW, as far as it covers them whole."""
        until = min(edges[0] + NEAR, self.edges[-1])
        near = sum(edge <= until for edge in edges[1:]) if edges[0] >= self.edges[0] else 0
        means = _means(self.kw, self.edges, edges[: near + 1]) if near else self.kw[:, :0]
        return {load: tuple(row) for load, row in zip(self.workloads, means.tolist(), strict=True)}


def drawn(last: Optimised) -> Drawn:
    """What `last` has each workload draw."""
    problem = last.plan.problem
    kw = drawn_kw(problem.pools, problem.workloads, last.plan.schedule.groups, len(problem.horizon))
    return Drawn(last.edges, tuple(load.id for load in problem.workloads), kw)


def last_kw(last: Optimised, edges: Edges) -> Mapping[str, tuple[float, ...]]:
    """What each workload of `last` draws over idle GPUs in the first steps between `edges`, kW, as far as it covers them whole."""
    return drawn(last).near(edges)


def _means(kw: Floats, old: Edges, new: Edges) -> Floats:
    """`kw` by the steps of `old`, shape (W, T), as means over those of `new`, which lie within."""
    was, now = (np.array([(edge - old[0]).total_seconds() for edge in edges]) for edges in (old, new))
    shared_s = np.minimum(was[1:, None], now[1:]) - np.maximum(was[:-1, None], now[:-1])
    return np.asarray(kw @ (np.maximum(shared_s, 0.0) / np.diff(now)))
