"""Controllers that need no plan: nobody at all, and what an operator would set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from facility.backtest.hand import Hand
from facility.backtest.world import World
from facility.decision import CapGroup, Decision, JobOrder, PoolCaps
from facility.simulate.gpu import Behaviour
from facility.site import Site
from facility.snapshot import Job, Snapshot

LASTS = timedelta(days=365)
"""How long an order holds that nobody renews."""
NIGHT = (22, 6)
"""The local hours in which work that can wait is run."""
CAP_SHARE = 0.75
"""The cap for work that can wait, as a share of the highest: 300 of 400 W."""


Asked = Callable[[Job, datetime], bool]


class Controller(Protocol):
    """Who decides. `planned_kw` is the import that was planned for the cycle under way, None where nobody plans."""

    planned_kw: float | None

    @property
    def attends(self) -> bool:
        """Whether it looks at the meters also where they show nothing near what may be."""

    @property
    def mode(self) -> str:
        """How it goes: NORMAL, HOLD or SAFE; none where nobody plans."""

    def cycle(self, seen: Callable[[], Snapshot]) -> None:
        """Decide, at the beginning of a cycle."""

    def watch(self, seen: Callable[[], Snapshot]) -> None:
        """Look at the meters, at the end of a sub-step."""


class Unplanned:
    """Firm work runs at the highest caps; jobs as `told` has it, with `cap_share` of the highest cap unless they are `urgent`. `hand` tells
    the plant.
    """

    planned_kw: float | None = None
    attends = False
    mode = "none"

    def __init__(self, site: Site, hand: Hand, told: Asked, urgent: Asked, cap_share: float = 1.0) -> None:
        self._site, self._hand, self._told, self._urgent = site, hand, told, urgent
        self._cap_w = {}
        for name, pool in site.pools.items():
            model = site.gpu_models[pool.gpu_model]
            cap_w = int(cap_share * model.max_cap_w) // model.power_step_w * model.power_step_w
            self._cap_w[name] = max(cap_w, model.min_cap_w)

    def cycle(self, seen: Callable[[], Snapshot]) -> None:
        """Tell every job whether it runs."""
        snapshot = seen()
        now, highest = snapshot.at, {name: self._site.gpu_models[pool.gpu_model].max_cap_w for name, pool in self._site.pools.items()}
        run = {job.id for job in snapshot.jobs if job.running or self._told(job, now)}
        pools = tuple(
            PoolCaps(
                name,
                highest[name],
                tuple(
                    CapGroup(job.id, job.gpus, highest[name] if self._urgent(job, now) else self._cap_w[name])
                    for job in snapshot.jobs
                    if job.pool == name and job.id in run
                ),
            )
            for name in self._site.pools
        )
        orders = tuple(JobOrder(job.id, "run" if job.id in run else "hold", job.gpus) for job in snapshot.jobs)
        decision = Decision(now, now + LASTS, pools, orders)
        self._hand.send(decision, self._site, snapshot, snapshot.outdoor_c or 0.0, now, "")

    def watch(self, seen: Callable[[], Snapshot]) -> None:
        """Nobody looks."""


def nobody(world: World, hand: Hand) -> Unplanned:
    """Highest caps, and every job as soon as there are GPUs for it."""
    return Unplanned(world.site, hand, lambda _job, _now: True, lambda _job, _now: False)


def rules(world: World, hand: Hand) -> Unplanned:
    """Jobs begin at night, or when they would be late otherwise, under one cap if that does not make them late; what has begun goes on."""
    site, zone = world.site, ZoneInfo(world.site.timezone)
    speeds: dict[tuple[str, str], float] = {}

    def speed(job: Job) -> float:
        model = site.gpu_models[site.pools[job.pool].gpu_model]
        key = job.pool, job.curve
        if key not in speeds:
            speeds[key] = Behaviour(model.curves[job.curve]).speed(CAP_SHARE * model.max_cap_w)
        return speeds[key]

    def urgent(job: Job, now: datetime) -> bool:
        needs = timedelta(hours=job.work_gpu_h / job.gpus / speed(job))
        return now + needs + world.span.cycle >= job.deadline

    def told(job: Job, now: datetime) -> bool:
        hour = now.astimezone(zone).hour
        return hour >= NIGHT[0] or hour < NIGHT[1] or urgent(job, now)

    return Unplanned(site, hand, told, urgent, CAP_SHARE)
