"""A planner without a program: it answers what a cycle asks by simple arithmetic, mostly well, sometimes late, wrong or not at all.

A good answer is random, but legal: caps as commanded, else somewhere in their range, then lower until the second opinion accepts them. A lie is
not looked at by anybody before the daemon does. In the liveness phase the answer depends on nothing but the question (`calm`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

from facility.daemon.question import UNHEARD, Question
from facility.decide import Decided, Undecided
from facility.decision import BatteryOrder, CapGroup, Decision, JobOrder, PoolCaps
from facility.site import GpuModel
from facility.verify import verify

TRIES = 4
"""Halvings of the height of a plan."""
HIGHEST = 1.5
CALM = 0.7
"""The share of their range that pools wish for where nothing is left to chance."""
SWAPS = 0.15
"""How often a pool goes from one end to another, so that others have room to rise only once it has given way."""


def a_try_w(model: GpuModel) -> float:
    """By how much the caps of two calm plans differ where one was accepted and the next one tried was not, W."""
    return CALM * HIGHEST / 2**TRIES * (model.max_cap_w - model.min_cap_w) + model.power_step_w


class PlannerFailed(Exception):
    """What a planner raises that fails."""


class Planner:
    """`wait` lets seconds of the day pass, in which everything else goes on."""

    def __init__(self, rng: Random, wait: Callable[[float], None]) -> None:
        self._rng, self._wait = rng, wait
        self._share: dict[str, float] = {}
        self.fault, self.calm = "", False

    def __call__(self, asked: Question) -> Decided | Undecided:
        """Answer a question."""
        rng, fault = self._rng, self.fault
        if not self.calm:
            self._wait({"late": rng.choice((25.0, 1000.0)), "silent": 400.0}.get(fault, rng.choice((0.2, 1.0, 5.0, 20.0))))
        if asked.made.asked.mode != "normal":
            return Undecided(f"an operator drives: {asked.made.asked.mode}")
        if asked.unheard:
            return Undecided(UNHEARD)
        match fault:
            case "raises":
                raise PlannerFailed("it broke")
            case "undecided" | "silent":
                return Undecided("no certified plan in time")
            case "lies":
                return Decided(self._lie(asked), asked.edges, frozenset({"grid.limit"}) if rng.random() < 0.3 else frozenset())
            case "nan":
                plan, no_cap = self._plan(asked, dict.fromkeys(asked.site.pools, 1.0)), (math.nan, math.inf, -1, 10**9)
                return Decided(replace(plan, pools=tuple(replace(p, cap_w=rng.choice(no_cap)) for p in plan.pools)), asked.edges)
        return self._highest(asked)

    def _highest(self, asked: Question) -> Decided | Undecided:
        """The highest of such plans that the second opinion accepts, so that feeders are full."""
        wishes, best, low, high = {name: self._wish(name) for name in asked.site.pools}, None, 0.0, HIGHEST
        for height in (HIGHEST, 0.0, *[None] * TRIES):
            tried = (low + high) / 2 if height is None else height
            plan = self._plan(asked, {name: min(wish * tried, 1.0) for name, wish in wishes.items()})
            if any(v.tier != "contract" for v in verify(asked.site, asked.made.snapshot, plan, outdoor_c=asked.made.outdoor_c)):
                high = tried
                if height == 0.0:
                    return Undecided("nothing is legal, not even the lowest caps")
            else:
                best, low = plan, tried
                if height == HIGHEST:
                    break
        assert best is not None
        return Decided(best, asked.edges)

    def _plan(self, asked: Question, shares: Mapping[str, float]) -> Decision:
        """Caps at a share of their range, by pool; commanded ones as they are."""
        site, made, now = asked.site, asked.made, asked.edges[0]
        pools, orders = [], []
        for name, pool in site.pools.items():
            model, commanded = site.gpu_models[pool.gpu_model], made.asked.pool_cap_w[name][0]
            wanted_w = model.min_cap_w + shares[name] * (model.max_cap_w - model.min_cap_w)
            cap_w = round(commanded) if commanded is not None else int(wanted_w) // model.power_step_w * model.power_step_w
            free, groups = pool.gpus, []
            for contract, terms in site.contracts.items():
                if terms.pool == name and terms.gpus:
                    free -= terms.gpus
                    groups.append(CapGroup(contract, terms.gpus, cap_w))
            for job in made.snapshot.jobs:
                if job.pool != name or job.submit > now:
                    continue
                told = made.asked.job_orders.get(job.id, (None,))[0]
                held = told == "hold" or made.asked.held_pools[name][0] or job.gpus > free or job.work_gpu_h <= 0
                if not held:
                    free -= job.gpus
                    groups.append(CapGroup(job.id, job.gpus, cap_w))
                orders.append(JobOrder(job.id, "hold" if held else "run", job.gpus))
            pools.append(PoolCaps(name, cap_w if commanded is not None else model.min_cap_w, tuple(groups), "as the seed says"))
        power_kw = 0.0 if self.calm else self._rng.uniform(-3, 3)
        return Decision(
            at=now,
            until=now + timedelta(seconds=site.control.cap_ttl_s),
            pools=tuple(pools),
            jobs=tuple(orders),
            batteries=tuple(BatteryOrder(name, power_kw) for name in site.batteries),
            import_limit_kw=made.asked.import_limit_kw[0],
            first_step_s=(asked.edges[1] - asked.edges[0]).total_seconds(),
        )

    def _wish(self, pool: str) -> float:
        if self.calm:
            return CALM
        moved = min(max(self._share.get(pool, 0.5) + self._rng.gauss(0.0, 0.2), 0.0), 1.0)
        self._share[pool] = self._rng.choice((0.0, 1.0)) if self._rng.random() < SWAPS else moved
        return self._share[pool]

    def _lie(self, asked: Question) -> Decision:
        """A decision that looks well and is not: caps above ratings, pools left out, GPUs that are not there, work of nobody."""
        plan, rng = self._plan(asked, dict.fromkeys(asked.site.pools, 1.0)), self._rng
        highest = {name: asked.site.gpu_models[pool.gpu_model].max_cap_w for name, pool in asked.site.pools.items()}
        up = tuple(PoolCaps(p.pool, highest[p.pool], tuple(replace(g, cap_w=highest[p.pool]) for g in p.groups), p.reason) for p in plan.pools)
        return rng.choice((
            replace(plan, pools=up),
            replace(plan, pools=up, import_limit_kw=None),
            replace(plan, pools=up[1:]),
            replace(plan, pools=tuple(replace(p, groups=(*p.groups, CapGroup("nobody", 1, p.cap_w))) for p in plan.pools)),
            replace(plan, pools=tuple(replace(p, groups=tuple(replace(g, gpus=g.gpus + 1000) for g in p.groups)) for p in up)),
            replace(plan, until=plan.at),
            replace(plan, at=plan.at + timedelta(days=1), until=plan.until + timedelta(days=2), pools=up),
            replace(plan, batteries=tuple(BatteryOrder(b.battery, -1000.0) for b in plan.batteries), pools=up),
        ))  # fmt: skip
