"""Decide: from what is known to what is sent. Pure: no clock, no broker, no store; the daemon and the planner share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, JobOrder, PoolCaps, SolarOrder
from facility.forecast import Forecast
from facility.overrides.arbitrate import Bounds
from facility.owning_up import broken_rules, silent_stops
from facility.problem import problem_of
from facility.reasons import job_reason, pool_reason
from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import Edges
from models.breach import TINY
from models.grid.reserve import Direction
from models.plan import Plan, make_plan
from models.power.genset import Genset
from models.power.solar import Solar
from models.problem import Problem
from models.sending.first_step import started
from models.solving.attempt import SolverOf
from models.solving.exact import Exact
from models.solving.outcome import Infeasible, TimedOut
from models.solving.solver import Solver

PlanOf = Callable[[Problem, float, Exact | None, SolverOf], Plan | Infeasible | TimedOut]


@dataclass(frozen=True)
class Decided:
    """What is to be sent now, for the first of the steps between `edges`, and what it owns up to.

    `broken` names the verifier's rules of the grid that it breaks and says so, `stopped` the jobs that it holds without saying that it
    cuts them short. `import_kw` is what it is planned to draw from the grid in that step, None where nobody said.
    """

    decision: Decision
    edges: Edges
    broken: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    import_kw: float | None = None


@dataclass(frozen=True)
class Optimised(Decided):
    """A decision that is the first step of a plan."""

    plan: Plan = field(kw_only=True)


@dataclass(frozen=True)
class Undecided:
    """No certified plan in time; `reason` says why in words."""

    reason: str


def decide(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    bounds: Bounds,
    edges: Edges,
    budget_s: float,
    exact: Exact | None = None,
    last_kw: Mapping[str, tuple[float, ...]] | None = None,
    solver_of: SolverOf = Solver,
    *,
    reasons: bool = True,
    plan_of: PlanOf = make_plan,
) -> Optimised | Undecided:
    """Plan the steps between `edges`, `exact` if asked, and decide what is sent at the first of them.

    The plan stays near `last_kw`, what the last one had each workload draw over idle GPUs in the first steps. `solver_of` says
    in which process programs are solved, and `plan_of` how a problem becomes a plan. Without `reasons` nobody is told why.
    """
    outcome = plan_of(problem_of(site, snapshot, forecast, bounds, edges, last_kw), budget_s, exact, solver_of)
    match outcome:
        case Plan():
            decision = decision_of(site, snapshot, bounds, outcome, edges, reasons=reasons)
            held = {order.job for order in decision.jobs if order.action == "hold"}
            import_kw = float(outcome.account.import_kw[0])
            return Optimised(decision, edges, broken_rules(outcome), silent_stops(outcome, held), import_kw, plan=outcome)
        case Infeasible(reason):
            return Undecided(f"the solver found no feasible point ({reason})")
        case TimedOut(seconds, reason):
            return Undecided(f"no certified plan within {budget_s:g} s: {reason}, after {seconds:.1f} s")


def decision_of(site: Site, snapshot: Snapshot, bounds: Bounds, plan: Plan, edges: Edges, *, reasons: bool = True) -> Decision:
    """The first step of `plan` as orders: caps by group, jobs to run or hold, battery power, hall temperatures, and why if `reasons`."""
    groups = plan.schedule.groups
    workloads = plan.problem.workloads
    index = {workload.id: w for w, workload in enumerate(workloads)}
    sent = started(plan.problem, groups)
    runs = {workloads[w].id: gpus for w, gpus in sent.items()}
    caps: dict[str, list[CapGroup]] = defaultdict(list)
    first = groups.t == 0
    for w, count, cap_w in zip(groups.w[first].tolist(), groups.count[first].tolist(), groups.cap_w[first].tolist(), strict=True):
        if w in sent:
            caps[workloads[w].pool].append(CapGroup(workloads[w].id, count, cap_w))
    return Decision(
        at=edges[0],
        until=edges[0] + timedelta(seconds=site.control.cap_ttl_s),
        pools=tuple(
            PoolCaps(
                pool,
                _idle_cap_w(site, bounds, pool),
                tuple(caps[pool]),
                pool_reason(plan, bounds, pool, site.currency) if reasons else "",
            )
            for pool in site.pools
        ),
        jobs=tuple(
            JobOrder(
                job.id,
                "run" if job.id in runs else "hold",
                runs.get(job.id, job.gpus),
                None if job.id in runs else next_start(plan, index[job.id], edges),
                job_reason(plan, bounds, index[job.id], edges, site) if reasons else "",
            )
            for job in snapshot.jobs
            if job.submit <= edges[0]
        ),
        batteries=tuple(BatteryOrder(b, float(power[0])) for b, power in plan.schedule.battery_kw.items()),
        cooling=tuple(
            CoolingOrder(
                plant.id,
                tuple((hall.id, round(float(plan.schedule.hall_c[hall.id][0]), 6)) for hall in plan.problem.plant_halls(plant)),
                float(plan.schedule.thermal_store_kw[plant.id][0]) if plant.store else None,
                float(plan.schedule.supply_c[plant.id][0]) if plant.set_point else None,
            )
            for plant in plan.problem.cooling_plants
            if plant.store or plant.set_point or plan.problem.plant_halls(plant)
        ),
        solar=tuple(_solar(s, float(plan.schedule.given_kw[s.id][0])) for s in plan.problem.solar),
        gensets=tuple(GensetOrder(g.id, _given_kw(g, float(plan.schedule.given_kw[g.id][0]))) for g in plan.problem.gensets),
        import_limit_kw=bounds.import_limit_kw[0],
        event_target_kw=bounds.event_target_kw[0] if bounds.event_target_kw else None,
        reserve_up_kw=_sold_kw(plan, "up"),
        reserve_down_kw=_sold_kw(plan, "down"),
        maintenance=tuple(w.maintenance.id for w in plan.problem.windows if w.start == 0),
        first_step_s=(edges[1] - edges[0]).total_seconds(),
    )


def _sold_kw(plan: Plan, direction: Direction) -> float:
    return sum((float(r.committed_kw[0]) for r in plan.problem.reserves if r.direction == direction), 0.0)


def _solar(solar: Solar, power_kw: float) -> SolarOrder:
    """What is expected of a plant; it is limited only where it could give more."""
    return SolarOrder(solar.id, power_kw, power_kw if power_kw < solar.available_kw[0] - TINY else None)


def _given_kw(genset: Genset, power_kw: float) -> float:
    """What a genset is sent: nothing, or what it can run at."""
    return min(max(power_kw, genset.least_kw), genset.most_kw) if power_kw > TINY else 0.0


def next_start(plan: Plan, w: int, edges: Edges) -> datetime | None:
    """When the plan next runs workload `w`, or None if not within its horizon."""
    mine = plan.schedule.groups.w == w
    steps = plan.schedule.groups.t[mine & (plan.schedule.groups.t > 0)]
    return edges[int(steps.min())] if len(steps) else None


def _idle_cap_w(site: Site, bounds: Bounds, pool_id: str) -> int:
    """The cap of GPUs without work: the lowest settable one, unless an operator commands one for the whole pool."""
    commanded = bounds.pool_cap_w[pool_id][0]
    return site.gpu_models[site.pools[pool_id].gpu_model].min_cap_w if commanded is None else round(commanded)
