"""Allowed: what the grid's own limit, and events that are firm, leave of what people command. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facility.events import Event
from facility.inputs.series import Series
from facility.overrides.arbitrate import CRITICAL_PRIORITY, Bounds
from facility.overrides.proposal import Proposal
from facility.steps import Edges, as_datetime64


@dataclass(frozen=True)
class Allowed:
    """`limit_kw` is the grid's limit as it was told, None where nothing was; `firm` are the events that are limits besides."""

    limit_kw: Series | None
    firm: tuple[Event, ...]

    def of(self, asked: Bounds, edges: Edges, proposals: Sequence[Proposal] = ()) -> Bounds:
        """`asked` with the grid's own limit, and with what firm events allow, where that is lower, except while an import limit of
        priority 5 or less commands.
        """
        if self.limit_kw is None and not self.firm:
            return asked
        critical = [p for p in proposals if p.kind == "import_limit_kw" and p.priority <= CRITICAL_PRIORITY]
        limits = list(asked.import_limit_kw)
        told = [np.inf] * len(limits) if self.limit_kw is None else _lowest(self.limit_kw, as_datetime64(edges[: len(limits) + 1]))
        for t in range(len(limits)):
            if any(p.start <= edges[t] and p.end >= edges[t + 1 if t else 0] for p in critical):
                continue
            limits[t] = min(limits[t], told[t])
            limits[t] = min([limits[t], *(e.full_kw(limits[t]) for e in self.firm if e.start < edges[t + 1] and e.end > edges[t])])
        return replace(asked, import_limit_kw=tuple(limits))


def _lowest(series: Series, edges: NDArray[np.datetime64]) -> list[float]:
    """The lowest value in each step between `edges`, infinite where it has none."""
    touches = (series.start < edges[1:, None]) & (series.end > edges[:-1, None])
    lowest: list[float] = np.where(touches, series.value, np.inf).min(axis=1).tolist()
    return lowest
