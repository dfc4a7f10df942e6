"""A standing: the caps, jobs and losses of an instant, and what each workload has by them, per hour. Pure.

| who            | GPUs that run                                                              | under which caps                    |
|----------------|----------------------------------------------------------------------------|-------------------------------------|
| firm contract  | those that it must run, less those that are gone; of one that may pause no | its groups', the rest the pool's    |
|                | more than a plan gave it                                                   |                                     |
| job            | those that its scheduler reports it to hold; none where nobody reports     | its groups', the rest the pool's    |
| nobody         | none: what is left of the pool idles, less what maintenance has out        |                                     |

No cap counts as higher than the highest that the pool's agent reports. An order that has lapsed leaves the fallback caps, under which all
that must run runs (`facility.daemon.ledger` counts in the same way).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from facility.decision import CapGroup, PoolCaps
from facility.rental.losses import without
from facility.site import Contract, Site
from facility.usage.usage import Cause, Kind
from facility.verify.draw import at_cap

NOTHING: Final = 1e-9
"""GPUs that arithmetic leaves."""

Caps = Sequence[tuple[int, float]]
"""GPUs and their cap, W."""


@dataclass(frozen=True)
class Held:
    """The GPUs that a job holds, as its scheduler reports them."""

    job: str
    pool: str
    curve: str
    gpus: int
    tenant: str = ""
    contract: str | None = None


@dataclass(frozen=True)
class Standing:
    """What stands until something changes. `pools` are the caps that were sent, in force until `until`; where they are `planned` their groups
    say how many GPUs of a contract that may pause run, else all do. `gone` are GPUs that are, `enforced_w` the highest cap that an
    agent reports, `causes` who lowers caps beside the plan, all by pool.
    """

    pools: tuple[PoolCaps, ...]
    until: datetime
    planned: bool
    jobs: tuple[Held, ...] = ()
    gone: Mapping[str, int] = field(default_factory=dict)
    enforced_w: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)

    def lapsed(self, fallback_w: Mapping[str, int]) -> Standing:
        """What stands once its order has lapsed."""
        return Standing(tuple(PoolCaps(caps.pool, fallback_w[caps.pool]) for caps in self.pools), self.until, False, self.jobs, self.gone)


@dataclass(frozen=True)
class Rate:
    """What a workload has by a standing: GPUs, and kW. `lacks` are GPUs missed and GPUs of speed withheld, by cause."""

    pool: str
    workload: str
    kind: Kind
    tenant: str = ""
    contract: str | None = None
    promised_gpus: float = 0.0
    reserved_gpus: float = 0.0
    gpus: float = 0.0
    speed_gpus: float = 0.0
    expected_kw: float = 0.0
    idle_kw: float = 0.0
    slow_gpus: float = 0.0
    lacks: tuple[tuple[Cause, float, float], ...] = ()


def demanded(contract: Contract, local: datetime) -> int:
    """How many GPUs of a firm contract must run at a local time."""
    return contract.gpus if contract.demand_by_hour_gpus is None else contract.demand_by_hour_gpus[local.hour]


def rates(site: Site, standing: Standing, at: datetime) -> tuple[Rate, ...]:
    """What every workload has at an instant, pool by pool; `site` has the contracts as they were sold."""
    served = without(site, standing.gone, at).contracts
    local = at.astimezone(ZoneInfo(site.timezone))
    jobs: dict[str, list[Held]] = {}
    for job in standing.jobs:
        jobs.setdefault(job.pool, []).append(job)
    return tuple(rate for caps in standing.pools for rate in _pool(site, standing, caps, served, jobs.get(caps.pool, []), local))


def _pool(
    site: Site, standing: Standing, caps: PoolCaps, served: Mapping[str, Contract], jobs: Sequence[Held], local: datetime
) -> Iterator[Rate]:
    groups: dict[str, list[CapGroup]] = {}
    for group in caps.groups:
        groups.setdefault(group.workload, []).append(group)
    highest_w = standing.enforced_w.get(caps.pool, float("inf"))
    pool = site.pools[caps.pool]
    idle_kw = (site.gpu_models[pool.gpu_model].idle_w + pool.host_idle_w) / 1000
    left = float(pool.gpus - sum(m.takes(caps.pool, local) for m in site.maintenance.values()))

    def has(workload: str, gpus: int) -> Caps:
        return [(n, min(cap_w, highest_w)) for n, cap_w in _caps(groups.get(workload, ()), gpus, caps.cap_w)]

    found: list[Rate] = []
    kept: list[tuple[Rate, float]] = []
    for job in jobs:
        speed, kw = _drawn(site, caps.pool, job.curve, has(job.job, job.gpus))
        found.append(Rate(caps.pool, job.job, "job", job.tenant, job.contract, gpus=job.gpus, speed_gpus=speed, expected_kw=kw))
        left -= job.gpus
    for name, contract in site.contracts.items():
        if contract.gpus and contract.pool == caps.pool:
            must = demanded(contract, local)
            there = min(must, demanded(served[name], local))
            planned = sum(group.gpus for group in groups.get(name, ())) if standing.planned and contract.pausable else there
            run = min(planned, there)
            speed, kw = _drawn(site, caps.pool, contract.curve or "", has(name, run))
            reserved = must if contract.releases_idle else contract.gpus
            lacks = _lacks(standing.causes.get(caps.pool, "power"), must - there, there - run, run - speed, pausable=contract.pausable)
            slow = _slow_gpus(contract, there, speed)
            rate = Rate(caps.pool, name, "contract", contract.tenant, name, must, 0.0, run, speed, kw, 0.0, slow, lacks)
            kept.append((rate, float(min(reserved, served[name].gpus))))
            left -= run
    for rate, wanted in kept:
        idle = min(max(wanted - rate.gpus, 0.0), max(left, 0.0))
        left -= idle
        found.append(replace(rate, reserved_gpus=rate.gpus + idle, idle_kw=idle * idle_kw))
    yield from found
    yield Rate(caps.pool, "", "free", idle_kw=max(left, 0.0) * idle_kw)


def _caps(groups: Sequence[CapGroup], gpus: int, rest_w: int) -> Iterator[tuple[int, int]]:
    """The caps of `gpus` GPUs: those of the groups as far as they go, then the pool's."""
    for group in groups:
        taken = min(group.gpus, gpus)
        gpus -= taken
        yield taken, group.cap_w
    yield gpus, rest_w


def _drawn(site: Site, pool_id: str, curve: str, caps: Caps) -> tuple[float, float]:
    """How many uncapped GPUs do the same, and what is drawn, kW, hosts included. Work without a curve draws its cap at full speed."""
    pool = site.pools[pool_id]
    known = site.gpu_models[pool.gpu_model].curves.get(curve)
    speed = kw = 0.0
    for gpus, cap_w in caps:
        draw_w, relative = (cap_w, 1.0) if known is None else at_cap(known, cap_w)
        speed += gpus * relative
        kw += gpus * (draw_w + pool.host_run_w) / 1000
    return speed, kw


def _lacks(lowers: Cause, gone: float, paused: float, withheld: float, *, pausable: bool) -> tuple[tuple[Cause, float, float], ...]:
    """What a contract lacks by cause: who lowers caps beside the plan withholds speed, otherwise power is short or dear."""
    found: dict[Cause, tuple[float, float]] = {"gone": (gone, 0.0), "pause" if pausable else "power": (paused, 0.0)}
    found[lowers] = (found.get(lowers, (0.0, 0.0))[0], withheld)
    return tuple((cause, missed, slow) for cause, (missed, slow) in found.items() if missed > 0 or slow > NOTHING)


def _slow_gpus(contract: Contract, must: float, speed: float) -> float:
    """GPUs at the greatest slow-down that withhold as much; 0 for a contract that grants none."""
    terms = contract.flexibility
    if terms is None or terms.greatest_slowdown <= 1:
        return 0.0
    short = max(must - speed, 0.0)
    return short / (1 - 1 / terms.greatest_slowdown) if short > NOTHING else 0.0
