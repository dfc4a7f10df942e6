"""Work: modes, cycles and plans, jobs and contracts, and what operators command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from facility import __version__
from facility.metrics.family import Families
from facility.metrics.figures import Figures

MODES = ("NORMAL", "HOLD", "SAFE", "MANUAL")
OUTCOMES = ("published", "held", "safe")
STATES = ("running", "held", "waiting")
COMMANDS = ("override", "contract", "position", "alarm")
STATUSES = ("accepted", "clamped", "rejected", "duplicate", "expired", "cleared")


def work(told: Figures, families: Families) -> Iterator[Metric]:
    """Everything that is decided, worked on or commanded."""
    yield from _cycles(told, families)
    yield from _plan(told, families)
    yield from _jobs(told, families)
    yield from _people(told, families)


def _cycles(told: Figures, families: Families) -> Iterator[Metric]:
    counted, control = told.counted, told.here.site.control
    yield families.info("build", "The daemon that tells this.", version=__version__, daemon=told.instance)
    says = "The mode: NORMAL follows a fresh plan, HOLD the last one, SAFE fallback caps, MANUAL an operator."
    yield families.state("mode", says, {mode: mode == told.outcome.mode for mode in MODES})
    yield families.counts("mode_entries", "Changes of mode, by the mode that was entered.", "mode", counted.entered, MODES)
    says = "Cycles by how they ended: a plan was published, the last one held, or fallback caps sent."
    yield families.counts("cycles", says, "outcome", counted.cycles, OUTCOMES)
    yield families.one("cycle_interval_seconds", "Time from the beginning of one cycle to that of the next.", control.cycle_s)
    yield families.times("cycle_duration_seconds", "Time that a cycle took, from its question to its orders.", [((), counted.cycle)])
    yield families.times("plan_build_seconds", "Time that writing down a plan's program took.", [((), counted.build)])
    yield families.times("plan_solve_seconds", "Time that the solver took for a plan.", [((), counted.solve)])
    yield families.one("solver_budget_seconds", "The most time that a plan may take.", control.solver_budget_s)


def _plan(told: Figures, families: Families) -> Iterator[Metric]:
    plan, label = told.plan, ("currency",)
    costs = [] if plan is None else [((told.here.site.currency,), cost) for cost in (plan.energy_cost, plan.baseline_cost)]
    yield families.gauge("plan_energy_cost", "Energy cost over the horizon of the plan that is followed.", costs[:1], label)
    yield families.gauge("plan_baseline_energy_cost", "Energy cost over the same horizon without control.", costs[1:], label)
    says = "1 where the plan that is followed cannot keep every limit, else 0."
    yield families.one("plan_breaks_limits", says, None if plan is None else plan.breaks)


def _jobs(told: Figures, families: Families) -> Iterator[Metric]:
    site, jobs, gpus = told.here.site, Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    held = set() if told.wanted is None else {order.job for order in told.wanted.jobs if order.action == "hold"}
    for job in told.here.snapshot.jobs:
        state = "running" if job.running else "held" if job.id in held else "waiting"
        jobs[job.pool, state] += 1
        gpus[job.pool, state] += job.gpus
    places = [((pool.hall, name, state), (name, state)) for name, pool in site.pools.items() for state in STATES]
    label = ("hall", "pool", "state")
    says = "Jobs of a pool: running, held by us, or waiting for something else."
    yield families.gauge("pool_jobs", says, ((labels, jobs[key]) for labels, key in places), label)
    yield families.gauge("pool_job_gpus", "GPUs that those jobs ask for.", ((labels, gpus[key]) for labels, key in places), label)
    says = "GPUs times the time for which jobs that had come were told to wait, since the process began."
    deferred = (((pool.hall, name), told.summed.deferred_gpu_s.get(name, 0.0)) for name, pool in site.pools.items())
    yield families.counter("pool_deferred_gpu_seconds", says, deferred, ("hall", "pool"))
    yield families.one("contract_gpus_missing", "GPUs that contracts lack now, because they are gone.", told.missing_gpus)
    says = "Owed to tenants this month for GPUs that they missed."
    yield families.gauge("contract_credit_owed", says, [((site.currency,), told.owed)], ("currency",))


def _people(told: Figures, families: Families) -> Iterator[Metric]:
    counted = told.counted
    active = (((kind,), many) for kind, many in sorted(told.overrides.items()))
    yield families.gauge("overrides_active", "Overrides in force, by kind.", active, ("kind",))
    every = dict.fromkeys([*((what, status) for what in COMMANDS for status in STATUSES), *sorted(counted.answered)])
    answered = ((key, counted.answered.get(key, 0)) for key in every)
    yield families.counter("commands", "Commands of people, by what they are about and how they were answered.", answered, ("about", "status"))
    says = "Time from an operator's command until its orders were sent, and until every pool that got any reported them in force."
    stages = (("sent", counted.sent_after), ("enforced", counted.enforced_after))
    yield families.times("override_effect_seconds", says, (((stage,), times) for stage, times in stages), ("stage",))
