"""Small sites with round numbers, and the optimum of their linear program before anything is rounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.repn import generate_standard_repn

from models.grid.demand_charge import DemandCharge, Interval
from models.grid.grid_connection import GridConnection
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.horizon import Horizon
from models.plan import Plan, make_plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.problem import Problem
from models.site import build, declare
from models.solving import whole
from models.solving.exact import Exact, Found, search
from models.solving.ladders import add_all_climbs
from models.solving.outcome import Solved
from models.solving.session import Session
from models.solving.settle import two_ways
from models.work import workload
from models.work.firm import Firm
from models.work.gpu import Curve, Host
from models.work.job import Job
from models.work.pool import Pool

ROUND = Curve((100.0, 200.0, 300.0), (100.0, 200.0, 300.0), (0.3, 0.8, 1.0))
"""Draws what its cap says. 200 W is the most efficient point: 4 GPU h a kWh, before 3 1/3 at 300 W and 3 at 100 W."""

BARE = Host(idle_w=0.0, host_idle_w=0.0, host_run_w=0.0, min_cap_w=100.0)
"""A host that draws nothing, GPUs that idle at nothing."""


def a_site(
    hours: tuple[float, ...] = (1.0, 1.0),
    price_per_kwh: tuple[float, ...] = (0.1, 0.3),
    *,
    limit_kw: tuple[float, ...] | float = 1000.0,
    peak_price_per_kw: float = 0.0,
    peak_so_far_kw: float = 0.0,
    event_target_kw: tuple[float | None, ...] = (),
    ramp_kw_per_h: float | None = None,
    host: Host = BARE,
    gpus: float = 10.0,
    outdoor_c: float = 20.0,
    **assets: Any,
) -> Problem:
    """Ten GPUs in one hall under one feeder, nothing binding; `assets` are fields of `Problem` or its grid that replace these."""
    terms = {key: assets.pop(key) for key in tuple(assets) if key in GridConnection.__dataclass_fields__}
    limits = limit_kw if isinstance(limit_kw, tuple) else (limit_kw,) * len(hours)
    grid = GridConnection(
        limits,
        price_per_kwh,
        event_target_kw=event_target_kw,
        ramp_kw_per_h=ramp_kw_per_h,
        **terms,
    )
    default: dict[str, Any] = {
        "demand_charges": a_peak(peak_price_per_kw, len(hours), peak_so_far_kw),
        "feeders": (Feeder("root", None, 1000.0),),
        "halls": (Hall("hall", "root"),),
        "pools": (Pool("pool", "hall", "root", host, 300.0, (gpus,) * len(hours)),),
    }
    return Problem(Horizon(hours), grid, np.full(len(hours), outdoor_c), **(default | assets))


def a_peak(price_per_kw: float, steps: int, so_far_kw: float = 0.0) -> tuple[DemandCharge, ...]:
    """A demand charge whose billing intervals are the steps; none where it costs nothing."""
    intervals = tuple(Interval(0.0, ((t, 1.0),)) for t in range(steps))
    return (DemandCharge("peak", price_per_kw, so_far_kw, intervals),) if price_per_kw else ()


def a_job(work_gpu_h: float, deadline_h: float = 2.0, **terms: Any) -> Job:
    """A rigid job on ten GPUs of `pool`, in no hurry; `terms` are fields of `Job`."""
    default: dict[str, Any] = {"id": "job", "pool": "pool", "curve": ROUND, "gpus": 10, "delay_price_per_gpu_h": 0.0}
    return Job(work_gpu_h=work_gpu_h, deadline_h=deadline_h, **(default | terms))


def a_firm(**terms: Any) -> Firm:
    """A rental of ten GPUs of `pool` that promises nothing; `terms` are fields of `Firm`."""
    default: dict[str, Any] = {"id": "firm", "pool": "pool", "curve": ROUND, "gpus": 10}
    return Firm(**(default | terms))


SATURATED = Curve((100.0, 200.0, 300.0), (98.0, 190.0, 195.0), (0.5, 0.8, 1.0))
"""Above 200 W the cap binds ever less often: the hull over caps keeps a point that the hull over draws would not."""

MEASURED = Curve((100.0, 150.0, 200.0, 250.0, 300.0), (100.0, 149.0, 197.0, 243.0, 291.0), (0.186, 0.41, 0.629, 0.76, 1.0))
"""As measurements are: a dent at 250 W, which no hull keeps."""


def a_random_site(seed: int, *, cooled: bool | None = None, lowest_price: float = -0.3) -> Problem:
    """Two pools under a small tree, three to eight jobs, perhaps a rental, a battery, a cooled hall; limits from slack to absurd."""
    rng = np.random.default_rng(seed)

    def between(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 2)

    def perhaps(chance: float = 0.5) -> bool:
        return bool(rng.random() < chance)

    steps = int(rng.integers(2, 5))
    horizon = Horizon(tuple(rng.choice([0.25, 0.5, 1.0, 2.0], steps).tolist()))
    curves = (ROUND, SATURATED, MEASURED)
    idle_w, host_idle_w, host_run_w = (float(rng.choice([0, w])) for w in (20.0, 30.0, 60.0))
    host = Host(idle_w, host_idle_w, host_run_w, min_cap_w=100.0)
    many, few = int(rng.integers(4, 30)), int(rng.integers(1, 20))
    row_kw, site_kw = many * 0.36, (many + few) * 0.36
    has_plant = perhaps() if cooled is None else cooled
    own_feeder = has_plant and perhaps()
    design_kw = row_kw + 2
    chiller = Chiller(
        design_heat_kw=design_kw * 1.3,
        max_heat_kw=design_kw * 1.3,
        cop_at_25c=4.5,
        cop_loss_per_k=0.05,
        cop_min=1.5,
        min_load_share=0.1,
        free_full_below_c=12,
        free_none_above_c=25,
        pump_kw=design_kw * 0.04,
        pump_min_share=0.2,
        fan_kw=design_kw * 0.02,
        fan_min_share=0.15,
        misc_kw=design_kw * 0.02,
    )
    feeders = [
        Feeder("root", None, (site_kw + 1) * between(0.6, 2)),
        Feeder("row", "root", row_kw * between(0.5, 1.3) + 0.1, float(rng.choice([0, 0.02])), float(rng.choice([1.0, 1.25]))),
    ]
    if own_feeder:
        feeders.append(Feeder("mech", "root", design_kw * between(0.1, 0.5)))
    hall = Hall(
        "hall",
        "root",
        base_kw=between(0, 1),
        cooling_plant="plant" if has_plant else None,
        start_c=between(20, 26),
        heat_capacity_kwh_per_k=between(0.5, 5),
        resistance_k_per_kw=between(1, 10),
    )
    pools = (
        Pool("pool", "hall", "row", host, 300.0, tuple(float(many - perhaps()) for _ in range(steps))),
        Pool("side", "hall", "root", host, 300.0, (float(few),) * steps),
    )
    jobs = []
    for i in range(int(rng.integers(3, 9))):
        pool = pools[int(rng.integers(2))]
        gpus = int(rng.integers(1, max(2, int(pool.available[0]) // 2 + 2)))
        arrival_h = between(0, horizon.end_h * 0.7) if perhaps(0.25) else 0.0
        length_h = between(0.2, horizon.end_h * 1.3)
        job = a_job(
            gpus * length_h * between(0.05, 1.1),
            arrival_h + length_h,
            id=f"job{i}",
            pool=pool.id,
            curve=curves[int(rng.integers(3))],
            gpus=gpus,
            arrival_h=arrival_h,
            elastic=perhaps(0.4),
            delay_price_per_gpu_h=1e-4,
            carry_price_per_gpu_h=between(0, 0.1),
        )
        jobs.append(job)
    firm = a_firm(
        curve=curves[int(rng.integers(3))],
        gpus=int(rng.integers(1, max(2, many // 3))),
        floor_speed=between(0, 0.95),
        value_per_gpu_h=float(rng.choice([0, 0.01, 1.0])),
        pausable=perhaps(0.3),
    )
    capacity_kwh = between(0.5, 5)
    battery = Battery(
        "battery",
        "root",
        capacity_kwh=capacity_kwh,
        charge_kw=between(0.2, 3),
        discharge_kw=between(0.2, 3),
        efficiency=float(rng.choice([0.9, 0.95, 1.0])),
        min_kwh=0.2 * capacity_kwh,
        start_kwh=between(0.2, 1) * capacity_kwh,
        wear_price_per_kwh=float(rng.choice([0, 0.02])),
    )
    grid = GridConnection(
        limit_kw=tuple((site_kw + 2) * between(0.3, 1.5) for _ in range(steps)),
        price_per_kwh=tuple(between(lowest_price, 0.5) for _ in range(steps)),
        event_target_kw=_a_random_event(seed, steps, site_kw + 2),
    )
    peaks = a_peak(float(rng.choice([0, 0, 0.5])), steps)
    return Problem(
        horizon,
        grid,
        np.round(rng.uniform(5, 35, steps), 1),
        tuple(feeders),
        (hall,),
        pools,
        cooling_plants=(CoolingPlant("plant", "mech" if own_feeder else "root", chiller),) if has_plant else (),
        batteries=(battery,) if perhaps(0.6) else (),
        firms=(firm,) if perhaps() else (),
        jobs=tuple(jobs),
        demand_charges=peaks,
    )


def a_large_site(seed: int) -> Problem:
    """`a_random_site` with pools of 150 to 400 GPUs and 20 to 40 jobs of at most a twentieth of their pool; pauses cost on every third."""
    small, rng = a_random_site(seed, lowest_price=-0.1), np.random.default_rng((seed, 2))
    sizes = {p.id: int(rng.integers(150, 401)) for p in small.pools}
    grown = sum(sizes.values()) / sum(max(p.available) for p in small.pools)
    row = sizes["pool"] / max(small.pools[0].available)
    end_h, jobs = small.horizon.end_h, []
    for i in range(int(rng.integers(20, 41))):
        pool = ("pool", "side")[int(rng.integers(2))]
        gpus = int(rng.integers(1, sizes[pool] // 20 + 1))
        arrival_h = round(float(rng.uniform(0, 0.7 * end_h)), 3) if rng.random() < 0.25 else 0.0
        length_h = round(float(rng.uniform(0.2, 1.3 * end_h)), 3)
        jobs.append(
            a_job(
                gpus * length_h * float(rng.uniform(0.05, 1.1)),
                arrival_h + length_h,
                id=f"job{i}",
                pool=pool,
                curve=(ROUND, SATURATED, MEASURED)[int(rng.integers(3))],
                gpus=gpus,
                arrival_h=arrival_h,
                elastic=bool(rng.random() < 0.4),
                delay_price_per_gpu_h=1e-4,
                carry_price_per_gpu_h=float(rng.uniform(0, 0.1)),
                pause_price_per_gpu=0.02 if seed % 3 == 0 else 0.0,
            )
        )
    return replace(
        small,
        pools=tuple(replace(p, available=(float(sizes[p.id]),) * len(small.horizon)) for p in small.pools),
        jobs=tuple(jobs),
        firms=tuple(replace(f, gpus=int(f.gpus * row)) for f in small.firms),
        feeders=tuple(replace(f, rating_kw=f.rating_kw * (row if f.id == "row" else grown)) for f in small.feeders),
        cooling_plants=tuple(replace(c, chiller=_times(c.chiller, grown)) for c in small.cooling_plants),
        halls=tuple(replace(_times(h, grown), resistance_k_per_kw=h.resistance_k_per_kw / grown) for h in small.halls),
        batteries=tuple(_times(b, grown) for b in small.batteries),
        grid=replace(
            small.grid,
            limit_kw=tuple(kw * grown for kw in small.grid.limit_kw),
            event_target_kw=tuple(None if kw is None else kw * grown for kw in small.grid.event_target_kw),
        ),
    )


def _times(part: Any, factor: float) -> Any:
    """A part with every kW, kWh and kWh/K of it times `factor`."""
    sizes = ("_kw", "_kwh", "_kwh_per_k")
    sized = {name: kw for name in part.__dataclass_fields__ if name.endswith(sizes) and isinstance(kw := getattr(part, name), float)}
    return replace(part, **{name: kw * factor for name, kw in sized.items() if not name.endswith(("_per_kw", "_per_kwh"))})


def _a_random_event(seed: int, steps: int, site_kw: float) -> tuple[float | None, ...]:
    """Targets in about half of the steps of every third site, from a generator of their own."""
    rng = np.random.default_rng((seed, 1))
    if rng.random() > 1 / 3:
        return ()
    return tuple(site_kw * float(rng.uniform(0.1, 1.2)) if rng.random() < 0.5 else None for _ in range(steps))


def the_best(problem: Problem, whole_steps: int, gap: float = 1e-6) -> Found:
    """The best of `problem` that can be sent, gangs whole or waiting in the first steps; no reserve, no rounding."""
    found = search(problem, the_optimum(problem).session, Exact(gap, whole_steps), time.perf_counter() + 10)
    assert isinstance(found, Found), found
    load(found.session, found.solved)
    return found


@dataclass(frozen=True)
class Optimum:
    """A solved program: its Pyomo model, holding the solution, and what the solver said."""

    model: Any
    session: Session
    solved: Solved

    @property
    def objective(self) -> float:
        """Money."""
        return self.solved.objective

    def gpus(self, w: int, t: int) -> list[float]:
        """GPUs of workload `w` at each rung or higher in step `t`."""
        block = self.model.workload
        return [block.gpus[w, k, t].value for k in block.RUNGS[block.ladder[w, t]]]


def the_optimum(problem: Problem) -> Optimum:
    """The optimum of `problem` as it stands: every ladder row there from the start, no reserve, no rounding."""
    model = declare(problem)
    session = Session(model)
    add_all_climbs(session)
    solved = session.solve(10.0)
    assert isinstance(solved, Solved)
    assert solved.certificate.holds
    load(session, solved)
    assert not workload.broken_rungs(session.values(model.workload.gpus)).any()
    return Optimum(model, session, solved)


def load(session: Session, solved: Solved) -> None:
    """Keep a solution in `session`, and write it into the variables of its model, for tests to read."""
    session.load(solved)
    for column, value in enumerate(session.x.tolist()):
        var, index = session.column_place(column)
        var[index].set_value(value, skip_validation=True)


def lp_of(problem: Problem, family: str) -> str:
    """The rows of one family, `room.constraint`, as a linear program in LP format, with costs and bounds of their variables."""
    model = build(problem)
    room, name = family.split(".")
    if room in {"whole", "flow", "segment", "chill", "stops"}:
        steps = list(model.STEPS)
        torn = {(i, t) for i, (_, out) in enumerate(two_ways(problem, model)) for t in out.index_set()}
        burning = {(c.id, t) for c in problem.cooling_plants for t in steps}
        chilled = {(z.id, t) for z in problem.supplied_halls for t in steps if problem.supply_c}
        model = whole.build_whole(problem, len(steps) - 1, torn, burning, chilled)
    block = {"grid_connection": "grid"}.get(room, room)
    costs = {id(v): c for v, c in _terms(model.cost.expr)}
    rows: list[str] = []
    seen: dict[int, Any] = {}
    for row in model.component_data_objects(pyo.Constraint):
        if (row.parent_block().parent_component().local_name, row.parent_component().local_name) != (block, name):
            continue
        terms = _terms(row.body)
        constant = pyo.value(generate_standard_repn(row.body).constant)
        seen |= {id(v): v for v, _ in terms}
        sides = [(sign, pyo.value(side) - constant) for sign, side in (("=", row.lower),) if row.equality]
        sides = sides or [(sign, pyo.value(side) - constant) for sign, side in ((">=", row.lower), ("<=", row.upper)) if side is not None]
        rows += [f" {_lp(row.name)}: {_sum(terms)} {sign} {side:.12g}" for sign, side in sides]
    if not rows:
        raise AssertionError(f"the site has no row of {family}")
    used = sorted(seen.values(), key=lambda v: _lp(v.name))
    bounds = [f" {'-inf' if v.lb is None else f'{v.lb:.12g}'} <= {_lp(v.name)} <= {'inf' if v.ub is None else f'{v.ub:.12g}'}" for v in used]
    cost = _sum([(v, costs[id(v)]) for v in used if costs.get(id(v))])
    return "\n".join([f"\\ {family}", "min", f" cost: {cost}", "st", *rows, "bounds", *bounds, "end", ""])


def _terms(expression: Any) -> list[tuple[Any, float]]:
    form = generate_standard_repn(expression)
    return [(v, float(c)) for v, c in zip(form.linear_vars, form.linear_coefs, strict=True) if c]


def _sum(terms: list[tuple[Any, float]]) -> str:
    return " ".join(f"{c:+.12g} {_lp(v.name)}" for v, c in sorted(terms, key=lambda term: _lp(term[0].name))) or "0"


def _lp(name: str) -> str:
    return name.replace("[", "(").replace("]", ")").replace(",", "_")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Problem, str], None]:
    """Compare the rows of a family on a site with `golden/FAMILY.lp`; `--write-golden` writes it."""

    def compare(problem: Problem, family: str) -> None:
        file = Path(__file__).parent / "golden" / f"{family}.lp"
        text = lp_of(problem, family)
        if request.config.getoption("--write-golden"):
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"no {file.name}: look at the rows, then write it with --write-golden\n{text}"
        assert text == file.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session", name="load")
def loads() -> Callable[[Session, Solved], None]:
    """Write a solution into a model: see `load`."""
    return load


@pytest.fixture(scope="session")
def site() -> Callable[..., Problem]:
    """Make a `Problem`: see `a_site`."""
    return a_site


@pytest.fixture(scope="session")
def job() -> Callable[..., Job]:
    """Make a `Job`: see `a_job`."""
    return a_job


@pytest.fixture(scope="session")
def firm() -> Callable[..., Firm]:
    """Make a `Firm`: see `a_firm`."""
    return a_firm


@pytest.fixture(scope="session")
def optimum() -> Callable[[Problem], Optimum]:
    """Solve a `Problem` exactly: see `the_optimum`."""
    return the_optimum


@pytest.fixture(scope="session")
def best() -> Callable[..., Found]:
    """Solve a `Problem` in whole numbers: see `the_best`."""
    return the_best


@pytest.fixture(scope="session")
def random_site() -> Callable[..., Problem]:
    """Make a `Problem` from a seed: see `a_random_site`."""
    return a_random_site


@pytest.fixture(scope="session")
def large_site() -> Callable[[int], Problem]:
    """Make a large `Problem` from a seed: see `a_large_site`."""
    return a_large_site


@pytest.fixture(scope="session")
def saturated() -> Curve:
    """A curve whose caps bind ever less: see `SATURATED`."""
    return SATURATED


@pytest.fixture(scope="session")
def measured() -> Curve:
    """A curve with a dent: see `MEASURED`."""
    return MEASURED


@pytest.fixture(scope="session")
def planned() -> Callable[[Problem], Plan]:
    """Plan a `Problem`, or fail."""

    def plan(problem: Problem) -> Plan:
        outcome = make_plan(problem, 10.0)
        assert isinstance(outcome, Plan), outcome
        return outcome

    return plan


@pytest.fixture(scope="session")
def sent() -> Callable[[Plan, int, int], list[tuple[int, int, float]]]:
    """What a plan sends to workload `w` in step `t`: (GPUs, cap W, share of the step), by rising cap."""

    def groups(plan: Plan, w: int, t: int) -> list[tuple[int, int, float]]:
        g = plan.schedule.groups
        mine = (g.w == w) & (g.t == t)
        return sorted(zip(g.count[mine].tolist(), g.cap_w[mine].tolist(), g.share[mine].tolist(), strict=True), key=lambda x: x[1])

    return groups
