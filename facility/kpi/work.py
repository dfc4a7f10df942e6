"""Work: what was computed for each kWh, by GPU model and by tenant: measured energy shared out by who was expected to draw it.

    energy of a row  = energy of its pool in that quarter * (its expected energy + its idle energy) / the same of all rows of the pool
    work per kWh     = GPU h at full speed / energy                                                      of a model, a tenant, the site

A GPU hour at full speed is a GPU's own measure of work: compare tenants on one model, and a model with itself over time. GPUs that nobody had are
the site's own. A quarter in which a pool was not measured, or nobody counted, is left out of both; `covered` is the share of GPU hours with energy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from facility.site import Site
from facility.usage.usage import Usage

SITE = ""
"""The tenant of GPUs that nobody had."""


@dataclass(frozen=True)
class Work:
    """Work and energy of somebody or something, named by `key`; `covered` is the share of its GPU hours whose energy was measured."""

    key: str
    gpu_h: float
    speed_gpu_h: float
    energy_kwh: float
    covered: float

    @property
    def per_kwh(self) -> float | None:
        """GPU hours at full speed for each kWh; None where no energy was measured."""
        return self.speed_gpu_h / self.energy_kwh if self.energy_kwh > 0 else None

    def told(self) -> dict[str, Any]:
        """As a summary has it."""
        return {
            "key": self.key, "gpu_h": self.gpu_h, "speed_gpu_h": self.speed_gpu_h, "energy_kwh": self.energy_kwh, "per_kwh": self.per_kwh,
            "covered": self.covered,
        }  # fmt: skip


def by_model(site: Site, usages: Sequence[Usage], pool_kwh: Mapping[tuple[str, datetime], float]) -> list[Work]:
    """Work per kWh of each GPU model; `pool_kwh` is what a pool drew in the quarter that begins at an instant."""
    return _summed(usages, pool_kwh, lambda row: site.pools[row.pool].gpu_model if row.pool in site.pools else row.pool)


def by_tenant(usages: Sequence[Usage], pool_kwh: Mapping[tuple[str, datetime], float]) -> list[Work]:
    """Work per kWh of each tenant; the one without a name is the site."""
    return _summed(usages, pool_kwh, lambda row: row.tenant)


def _summed(usages: Sequence[Usage], pool_kwh: Mapping[tuple[str, datetime], float], key_of: Callable[[Usage], str]) -> list[Work]:
    expected: dict[tuple[str, datetime], float] = {}
    for row in usages:
        place = row.pool, row.start
        expected[place] = expected.get(place, 0.0) + row.expected_kwh + row.idle_kwh
    sums: dict[str, list[float]] = {}
    for row in usages:
        place = row.pool, row.start
        kwh, all_kwh = pool_kwh.get(place, float("nan")), expected[place]
        had = sums.setdefault(key_of(row), [0.0, 0.0, 0.0, 0.0])
        had[3] += row.gpu_h
        if isfinite(kwh) and all_kwh > 0:
            shared = kwh * (row.expected_kwh + row.idle_kwh) / all_kwh
            had[:3] = had[0] + row.gpu_h, had[1] + row.speed_gpu_h, had[2] + shared
    return [Work(key, gpu_h, speed, kwh, gpu_h / every if every else 1.0) for key, (gpu_h, speed, kwh, every) in sorted(sums.items())]
