"""Rows: usage as arrays, R rows of who had what in which pool and slot, and the L lines of the bill that they belong to.

A quarter of an hour that holds several slots is shared out among them evenly: what stands is not known more finely.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facility.metering import QUARTER
from facility.site import Site
from facility.usage.usage import Kind, Usage
from models.horizon import Floats

Ints = NDArray[np.int64]
OWN: Final = ""
"""The tenant of what is the site's own."""


@dataclass(frozen=True)
class Line:
    """One line of a bill: a workload in a pool, whose, and under which contract."""

    tenant: str
    kind: Kind
    workload: str
    contract: str
    pool: str


@dataclass(frozen=True)
class Rows:
    """Shape (R,): the slot, the pool (its place in the site) and the line of each row; kWh expected of it, running and idle together, and the
    GPU hours that it kept others from: reserved by a contract, or held by a job.
    """

    lines: tuple[Line, ...]
    slot: Ints
    pool: Ints
    line: Ints
    expected_kwh: Floats
    kept_gpu_h: Floats
    hours: Floats

    def by_slot(self, values: Floats, slots: int) -> Floats:
        """Sums of `values` by slot, shape (T,)."""
        return np.asarray(np.bincount(self.slot, values, slots), float)

    def by_line(self, values: Floats) -> Floats:
        """Sums of `values` by line, shape (L,)."""
        return np.asarray(np.bincount(self.line, values, len(self.lines)), float)


@dataclass
class Sums:
    """What of a line is not shared out but its own: GPU hours, by name."""

    promised_gpu_h: float = 0.0
    reserved_gpu_h: float = 0.0
    gpu_h: float = 0.0
    speed_gpu_h: float = 0.0
    missed_gpu_h: float = 0.0
    slow_gpu_h: float = 0.0


@dataclass
class Reading:
    """Usage as it is read, row by row; `lost` are the pools of usage that the site does not have."""

    site: Site
    start: datetime
    end: datetime
    slot: timedelta
    lines: dict[Line, int] = field(default_factory=dict)
    sums: list[Sums] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    columns: tuple[array[float], ...] = field(default_factory=lambda: tuple(array("d") for _ in range(6)))

    def take(self, usages: Iterable[Usage], seen: Callable[[Usage, int], None] = lambda _usage, _line: None) -> Rows:
        """Take all usages of the span; `seen` hears of each with the number of its line. Usage of pools that are no more is left out."""
        place = {name: i for i, name in enumerate(self.site.pools)}
        for usage in usages:
            if usage.pool not in place:
                self.lost.add(usage.pool)
            elif self.start <= usage.start < self.end:
                line = Line(usage.tenant, usage.kind, usage.workload, usage.contract or "", usage.pool)
                n = self.lines.setdefault(line, len(self.lines))
                if n == len(self.sums):
                    self.sums.append(Sums())
                self._add(usage, n, place[usage.pool])
                seen(usage, n)
        return self._rows()

    def _add(self, usage: Usage, line: int, pool: int) -> None:
        sums = self.sums[line]
        for name in ("promised_gpu_h", "reserved_gpu_h", "gpu_h", "speed_gpu_h", "missed_gpu_h", "slow_gpu_h"):
            setattr(sums, name, getattr(sums, name) + getattr(usage, name))
        kept = usage.reserved_gpu_h if usage.kind == "contract" else usage.gpu_h
        row = ((usage.start - self.start) // self.slot, pool, line, usage.expected_kwh + usage.idle_kwh, kept, usage.hours)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def _rows(self) -> Rows:
        slot, pool, line, expected, kept, hours = (np.array(column, float) for column in self.columns)
        many = QUARTER // self.slot
        spread = np.tile(np.arange(many), len(slot))
        whole = [np.repeat(column, many).astype(np.int64) for column in (slot, pool, line)]
        return Rows(
            tuple(self.lines), whole[0] + spread, whole[1], whole[2],
            np.repeat(expected / many, many), np.repeat(kept / many, many), np.repeat(hours / many, many),
        )  # fmt: skip
