"""Tiers: what cannot all be kept is broken in the stated order, whatever the prices say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.breach import TIERS, Tier
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.site import build
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.program import SolverFault
from models.solving.session import Session
from models.solving.solver import Solver
from models.solving.tiers import Ranked
from models.work.gpu import Curve

STEEP = Curve((100.0, 200.0), (20.0, 40.0), (0.5, 1.0))
"""25 GPU h a kWh: at 50 a GPU h worth 1,250 a kWh."""
PLANT = Chiller(
    design_heat_kw=20.0,
    max_heat_kw=20.0,
    cop_at_25c=4.0,
    cop_loss_per_k=0.0,
    cop_min=4.0,
    min_load_share=0.0,
    free_full_below_c=0.0,
    free_none_above_c=1.0,
    pump_kw=0.0,
    pump_min_share=0.0,
    fan_kw=0.0,
    fan_min_share=0.0,
    misc_kw=0.0,
)
"""A kW of heat for a quarter of a kW, whatever the weather."""


def solver(session: Session, model: Any) -> Callable[[float], Outcome]:
    """As the plan solves: ladder rows where they are broken."""
    return lambda latest: solve_with_ladders(session, latest)


def ordered(problem: Problem) -> tuple[Any, Ranked, Outcome, Session]:
    """The program of `problem` solved in order, nothing reserved or rounded."""
    model = build(problem)
    session = Session(model)
    ranked = Ranked(session)
    outcome = ranked.solve(solver(session, model), time.perf_counter() + 10.0)
    return model, ranked, outcome, session


def amount(model: Any, tier: Tier, cost: dict[int, float]) -> Any:
    """The amount of a tier as an expression in `model`; `cost` by the id() of a variable."""
    families = [v for v in model.component_objects(pyo.Var) if v.local_name in tier.families]
    return sum((cost[id(v)] / tier.price * v for family in families for v in family.values() if id(v) in cost), 0.0)


@pytest.mark.parametrize(("higher", "lower"), list(pairwise(TIERS)), ids=lambda tier: tier.name)
def test_of_two_neighbours_the_lower_is_broken_though_it_costs_more(higher: Tier, lower: Tier) -> None:
    """What is kept of the higher limit breaks so much of the lower that it costs twice as much: the prices break the higher."""
    much = 2 * higher.price / lower.price
    for first in higher.families:
        for second in lower.families:
            m = pyo.ConcreteModel()
            m.kept = pyo.Var(bounds=(0, 1))
            setattr(m, first, pyo.Var(bounds=(0, None)))
            setattr(m, second, pyo.Var(bounds=(0, None)))
            high, low = getattr(m, first), getattr(m, second)
            m.one = pyo.Constraint(expr=high >= 1 - m.kept)
            m.other = pyo.Constraint(expr=low >= much * m.kept)
            m.cost = pyo.Objective(expr=higher.price * high + lower.price * low)
            session = Session(m)
            priced = session.solve(1.0)
            assert isinstance(priced, Solved)
            session.load(priced)
            assert session.values_of([high, low]).tolist() == [1.0, 0.0]
            outcome = Ranked(session).solve(session.solve, time.perf_counter() + 1.0)
            assert isinstance(outcome, Solved)
            session.load(outcome)
            assert session.values_of([high, low]).tolist() == pytest.approx([0.0, much], abs=1e-5)
            assert outcome.certificate.holds
            assert outcome.objective == pytest.approx(2 * higher.price)


def test_a_hall_is_kept_cool_though_a_kilowatt_above_the_grid_limit_costs_more(site: Any, planned: Any, optimum: Any) -> None:
    """10 kW in a hall of 1 K/kW, 30 degC outside: at 35 degC 5 kW are removed with 1.25 kW, all above the limit of 10 kW.

    A kelvin costs 10,000 * 0.01 = 100, the quarter of a kW that saves it 250: the prices would let the hall stand at 40 degC.
    """
    zone = Hall("hall", "root", 10.0, "plant", heat_capacity_kwh_per_k=0.01, resistance_k_per_kw=1.0)
    cooled = {"halls": (zone,), "cooling_plants": (CoolingPlant("plant", "root", PLANT),)}
    problem = site((1.0,), (0.1,), limit_kw=10.0, outdoor_c=30.0, **cooled)
    assert optimum(problem).model.hall["hall"].too_hot_k[0].value == pytest.approx(5.0)
    plan = planned(problem)
    assert plan.account.breach["too_hot_k"].sum() == pytest.approx(0.0, abs=1e-4)
    assert plan.account.breach["over_limit_kw"].tolist() == pytest.approx([1.25], abs=1e-3)


def test_the_grid_limit_is_kept_though_the_work_it_costs_is_dearer(site: Any, job: Any, planned: Any, optimum: Any) -> None:
    """Ten GPUs under 0.3 kW run at 30 W and 0.75: 2.5 of 10 GPU h are left. The prices do them, 1,250 beside 1,000 a kWh."""
    problem = site((1.0,), (0.1,), limit_kw=0.3, jobs=(job(10.0, 1.0, curve=STEEP),))
    assert optimum(problem).model.grid.over_limit_kw[0].value == pytest.approx(0.1)
    plan = planned(problem)
    assert plan.account.breach["over_limit_kw"].tolist() == [0.0]
    assert plan.account.breach["unfinished_gpu_h"].tolist() == pytest.approx([2.5], abs=0.01)
    assert dict(plan.record.tiers) == pytest.approx({"plant_kwh": 0.0, "grid_limit_kwh": 0.0, "contract_gpu_h": 2.5}, abs=1e-3)
    assert plan.record.certificate.holds
    assert plan.status == "breached"


def test_a_rating_is_kept_though_the_work_it_costs_is_dearer(site: Any, job: Any, planned: Any, optimum: Any) -> None:
    """1 kW runs five GPUs at 200 W: 4 of 8 GPU h. At a penalty of 10,000 the prices do all, 40,000 beside 10,000 a kWh."""
    late = job(8.0, 1.0, elastic=True, unfinished_price_per_gpu_h=10_000.0)
    problem = site((1.0,), (0.1,), feeders=(Feeder("root", None, 1.0, worst_case_margin=2.0),), jobs=(late,))
    assert optimum(problem).model.feeder["root"].over_rating_kw[0].value > 0.9
    plan = planned(problem)
    assert plan.account.breach["over_rating_kw"].sum() == 0.0
    assert plan.account.breach["unfinished_gpu_h"].tolist() == pytest.approx([4.0], abs=0.01)


def test_work_is_done_though_comfort_costs_more(site: Any, job: Any, planned: Any, optimum: Any) -> None:
    """8 GPU h are 2 kWh, by which a hall of 1 kWh/K at its 27 degC leaves the band: dearer than a penalty of 0.01 a GPU h.

    The part above 27 degC costs 0.5 a K h and 0.5 a K at the end, 2 in all beside 0.08; but something promised is at stake.
    A second job, of the impossible, makes a breach of it.
    """
    zone = Hall("hall", "root", 0.0, "plant", 27.0, heat_capacity_kwh_per_k=1.0, resistance_k_per_kw=1e6)
    small = CoolingPlant("plant", "root", replace(PLANT, design_heat_kw=1e-3, max_heat_kw=1e-3))
    cheap = job(8.0, 1.0, unfinished_price_per_gpu_h=0.01)
    problem = site((1.0,), (0.0,), outdoor_c=27.0, halls=(zone,), cooling_plants=(small,), jobs=(cheap,))
    assert optimum(problem).model.job.unfinished_gpu_h[0].value == pytest.approx(8.0, abs=0.1)
    plan = planned(problem)
    assert plan.account.breach["unfinished_gpu_h"].tolist() == pytest.approx([0.0], abs=1e-6)
    assert plan.account.hall_c[0, 0] == pytest.approx(29.0, abs=0.01)


def test_where_every_limit_is_impossible_each_is_broken_by_its_least(site: Any, firm: Any, planned: Any, optimum: Any) -> None:
    """A rental that must run takes 1 kW at least: 0.5 above the rating, 0.8 above the limit, 5 GPU h below its floor.

    At a penalty of 10,000 a GPU h, 50,000 a kWh, the prices would break rating and limit by another kW. The amount counts work
    at the usual 50: 5 * 10,000 / 50.
    """
    rental = firm(floor_speed=0.8, short_price_per_gpu_h=10_000.0)
    problem = site((1.0,), (0.1,), limit_kw=0.2, feeders=(Feeder("root", None, 0.5, worst_case_margin=2.0),), firms=(rental,))
    assert optimum(problem).model.feeder["root"].over_rating_kw[0].value == pytest.approx(1.5)
    plan = planned(problem)
    breach = {family: float(kw.sum()) for family, kw in plan.account.breach.items() if kw.sum() > 1e-6}
    assert breach == pytest.approx({"over_rating_kw": 0.5, "over_limit_kw": 0.8, "short_gpu_h": 5.0})
    assert dict(plan.record.tiers) == pytest.approx({"plant_kwh": 0.5, "grid_limit_kwh": 0.8, "contract_gpu_h": 1000.0}, rel=1e-3)


def test_where_nothing_is_broken_nothing_is_solved_again(site: Any, job: Any) -> None:
    _, ranked, outcome, session = ordered(site(jobs=(job(8.0),)))
    assert isinstance(outcome, Solved)
    assert session.runs == 1
    assert ranked.amounts == ()
    assert ranked.seconds == 0.0
    assert not ranked._rows


def test_a_baseline_that_breaks_more_of_a_higher_tier_is_no_plan_though_it_costs_less(site: Any, job: Any, planned: Any) -> None:
    """The baseline runs all and pays 100 for 0.1 kW above the limit; the plan keeps the limit and pays 125 for 2.5 GPU h."""
    plan = planned(site((1.0,), (0.1,), limit_kw=0.3, jobs=(job(10.0, 1.0, curve=STEEP),)))
    assert plan.baseline.objective < plan.account.objective
    assert plan.account is not plan.baseline


def test_a_tier_that_runs_out_of_time_leaves_the_priced_solution_and_says_so(site: Any, job: Any) -> None:
    problem = site((1.0,), (0.1,), limit_kw=0.3, jobs=(job(10.0, 1.0, curve=STEEP),))
    model = build(problem)
    session = Session(model)
    ranked = Ranked(session)
    answers: list[Outcome] = []

    def solve(latest: float) -> Outcome:
        answers.append(solver(session, model)(latest) if len(answers) < 2 else TimedOut(1.0, "made up"))
        return answers[-1]

    outcome = ranked.solve(solve, time.perf_counter() + 10.0)
    assert isinstance(outcome, Solved)
    assert outcome.objective == pytest.approx(1_000 * 0.1 + 0.1 * 0.4)
    assert session.value(model.grid.over_limit_kw[0]) == pytest.approx(0.1)
    assert len(outcome.row_dual) == session.shape[0]
    assert (ranked.amounts, ranked.weights_stand) == ((), "made up")
    again = ranked.solve(solver(session, model), time.perf_counter() + 10.0)
    assert isinstance(again, Solved)
    assert again.objective == pytest.approx(outcome.objective)


def test_rows_of_an_earlier_order_do_not_bind_a_later_one(site: Any, job: Any) -> None:
    """Held off, the job leaves all of its 10 GPU h, though 2.5 were the least before."""
    model, ranked, _, session = ordered(site((1.0,), (0.1,), limit_kw=0.3, jobs=(job(10.0, 1.0, curve=STEEP),)))
    assert ranked.amounts[-1] == ("contract_gpu_h", pytest.approx(2.5))
    session.fix([model.workload.gpus[0, 0, 0]], [0.0])
    assert isinstance(ranked.solve(solver(session, model), time.perf_counter() + 10.0), Solved)
    assert ranked.amounts[-1] == ("contract_gpu_h", pytest.approx(10.0))


@pytest.mark.parametrize("cost", [[np.nan], [np.inf], [1.0, 1.0]])
def test_a_cost_that_is_no_number_or_too_many_is_refused(cost: list[float]) -> None:
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 1))
    m.row = pyo.Constraint(expr=m.x >= 0.5)
    m.cost = pyo.Objective(expr=m.x)
    with pytest.raises(SolverFault):
        Session(m).price(np.array(cost))


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 100_000))
def test_no_tier_can_be_lowered_but_by_raising_a_higher_one(random_site: Any, stock_program: Any, load: Any, seed: int) -> None:
    """Beside a program of each tier alone, built anew, with every ladder row and the tiers above held by rows of its own."""
    problem = contradictory(random_site(seed), seed)
    model, ranked, outcome, session = ordered(problem)
    assert isinstance(outcome, Solved)
    assert outcome.certificate.holds
    assert ranked.weights_stand is None
    load(session, outcome)
    variables = [var[index] for var, index in map(session.column_place, range(session.shape[1]))]
    cost = {id(v): c for v, c in zip(variables, session.cost.tolist(), strict=True)}
    amounts = {tier.name: amount(model, tier, cost) for tier in TIERS}
    gpus = model.workload.gpus
    model.ladder = pyo.ConstraintList()
    model.kept = pyo.ConstraintList()
    for w, k, t in gpus:
        if k:
            model.ladder.add(gpus[w, k, t] <= gpus[w, k - 1, t])
    for name, least in ranked.amounts:
        reached = pyo.value(amounts[name])
        assert reached == pytest.approx(least, rel=1e-6, abs=1e-6)
        model.del_component(model.cost)
        model.cost = pyo.Objective(expr=amounts[name])
        alone = Solver(stock_program(model)[0]).solve(10.0)
        assert isinstance(alone, Solved)
        assert reached == pytest.approx(alone.objective, rel=1e-5, abs=1e-4)
        model.kept.add(amounts[name] <= reached + 1e-8)


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 100_000))
@example(202_957)  # a warm start from the tier before left the solver without an answer
def test_whatever_the_contradiction_there_is_a_plan(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    plan = planned(contradictory(random_site(seed), seed))
    assert plan.record.certificate.holds
    assert plan.record.weights_stand is None
    assert plan.record.tiers or plan.status != "breached"


def contradictory(problem: Problem, seed: int) -> Problem:
    """The site with a part of its limits and with penalties that may outweigh them."""
    rng = np.random.default_rng(seed)
    part, penalty = rng.choice([0.2, 0.5, 0.9], 2), float(rng.choice([1.0, 50.0, 2_000.0, 20_000.0]))
    return replace(
        problem,
        grid=replace(problem.grid, limit_kw=tuple(limit * part[0] for limit in problem.grid.limit_kw)),
        feeders=tuple(replace(f, rating_kw=f.rating_kw * part[1]) for f in problem.feeders),
        jobs=tuple(replace(j, unfinished_price_per_gpu_h=penalty) for j in problem.jobs),
        firms=tuple(replace(f, short_price_per_gpu_h=penalty) for f in problem.firms),
    )
