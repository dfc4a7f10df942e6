"""Compile: rules expanded by arrays are what Pyomo writes row by row."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compile import Compiled, CompileError, unexpanded
from models.problem import Problem
from models.site import build, declare
from models.solving.outcome import Solved
from models.solving.program import Program
from models.solving.session import Session
from models.solving.solver import Solver
from models.table import table

Same = Callable[[Any, Any], Program]


@settings(max_examples=25, derandomize=True)
@given(st.integers(0, 100_000))
def test_random_sites_compile_to_what_pyomo_writes_and_to_the_same_optimum(random_site: Any, same_program: Same, seed: int) -> None:
    problem: Problem = random_site(seed)
    theirs = same_program(declare(problem), build(problem))
    ours = Session(declare(problem)).solve(10.0)
    stock = Solver(theirs).solve(10.0)
    assert isinstance(ours, Solved)
    assert isinstance(stock, Solved)
    assert ours.objective == pytest.approx(stock.objective, rel=1e-7, abs=1e-7)


def test_a_model_that_was_expanded_compiles_to_the_same(site: Any, job: Any, same_program: Same) -> None:
    model = build(site(jobs=(job(8.0),)))
    same_program(model, model)


def a_model() -> Any:
    """Three assets on blocks, one of them looked up by a symbol; windows of different lengths; ranges, equations, scalars."""
    m = pyo.ConcreteModel()
    m.STEPS = pyo.RangeSet(0, 3)
    m.ASSETS = pyo.Set(initialize=["a", "b", "c"])
    m.ODD = pyo.Set(dimen=2, initialize=[("c", 3), ("a", 1)])
    m.NONE = pyo.Set(dimen=2, initialize=[])
    m.WINDOW = pyo.Set(m.ASSETS, initialize={"a": [0, 1], "b": [], "c": [3, 1, 2]})
    m.PAIRS = pyo.Set(m.STEPS, dimen=2, initialize={0: [("a", 2)], 1: [], 2: [("c", 0), ("b", 3)], 3: []})
    m.price = table([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 8.0, 7.0, 6.0]], pyo.RangeSet(0, 2), m.STEPS)
    m.which = pyo.Param(m.ASSETS, within=pyo.Any, default=1, initialize={"a": 0, "c": 2})
    m.half = pyo.Param(initialize=0.5)
    m.most = pyo.Param(m.ASSETS, m.STEPS, within=pyo.Any, default=7.0, initialize={("a", 0): 3.0})

    def bounds(b: Any, a: Any, t: Any) -> Any:
        return -1, b.most[a, t]

    m.x = pyo.Var(m.ASSETS, m.STEPS, dense=False, bounds=bounds)
    m.y = pyo.Var(domain=pyo.NonNegativeReals)
    m.z = pyo.Var(m.ODD, dense=False, domain=pyo.Binary)
    m.part = pyo.Block(m.ASSETS)
    for a in m.ASSETS:
        m.part[a].level = pyo.Var(m.STEPS, dense=False, bounds=(0, None))
        m.part[a].full = pyo.Param(initialize=2.0 + len(a))

        @m.part[a].Constraint(m.STEPS)
        def keeps(b: Any, t: int, a: str = a) -> Any:
            return b.level[t] == m.half * m.x[a, t] + 1

    @m.Constraint(m.ASSETS)
    def sums(b: Any, a: str) -> Any:
        return sum(b.price[b.which[a], t] * b.x[a, t] / 4 for t in b.WINDOW[a]) - b.y <= 10

    @m.Constraint(m.STEPS)
    def pairs(b: Any, t: int) -> Any:
        return sum(b.x[a, u] for a, u in b.PAIRS[t]) + 0 * b.x["a", t] + b.y >= -b.half

    @m.Constraint(m.ODD)
    def odd(b: Any, a: str, t: int) -> Any:
        return (0, b.x[a, t - 1] + b.z[a, t], 4 + b.half)

    @m.Constraint(m.NONE)
    def nothing(b: Any, a: str, t: int) -> Any:
        return b.x[a, t] <= 0

    @m.Constraint(m.ASSETS, m.STEPS)
    def fits(b: Any, a: str, t: int) -> Any:
        return b.part[a].level[t] <= b.part[a].full + sum(-b.x[c, t] for c in b.ASSETS)

    @m.Constraint()
    def all_in_all(b: Any) -> Any:
        return sum(b.x[a, t] for a in b.ASSETS for t in b.WINDOW[a]) == b.y + b.part["b"].level[2]

    @m.Objective()
    def cost(b: Any) -> Any:
        listed = sum(sum((t + 1) * b.part[a].level[t] for t in b.STEPS) for a in ("a", "c")) + sum(b.part[a].level[0] for a in ())
        return b.y + listed - 3 * (b.half - b.x["b", 1])

    return m


def test_every_form_of_a_rule_compiles_to_what_pyomo_writes(same_program: Same) -> None:
    with unexpanded():
        declared = a_model()
    same_program(declared, a_model())


def test_columns_are_found_by_var_and_index_and_back() -> None:
    compiled = Compiled(a_model())
    for j in range(len(compiled.cost)):
        place = compiled.column_place(j)
        assert compiled.column(place.component[place.index]) == j
    model = a_model()
    columns = Compiled(model).columns(model.x)
    assert columns.shape == (3, 4)
    assert (columns >= 0).all()


def looks_up(b: Any, t: int) -> Any:
    return b.x[t] <= {0: 1.0, 1: 2.0}[t]


def decides(b: Any, t: int) -> Any:
    return b.x[t] <= (1 if t > 0 else 2)


def loops(b: Any, _t: int) -> Any:
    total = 0
    for u in b.STEPS:
        total += b.x[u]
    return total <= 1


def squares(b: Any, t: int) -> Any:
    return b.x[t] * b.x[t] <= 1


def bends(b: Any, t: int) -> Any:
    return pyo.exp(b.x[t]) <= 1


@pytest.mark.parametrize(
    ("rule", "why"),
    [(looks_up, "unhashable"), (decides, "bool"), (loops, "loop"), (squares, "multiplies variables"), (bends, "not linear")],
)
def test_what_cannot_be_expanded_is_refused_with_the_name_of_the_rule(rule: Any, why: str) -> None:
    with unexpanded():
        m = pyo.ConcreteModel()
        m.STEPS = pyo.RangeSet(0, 1)
        m.x = pyo.Var(m.STEPS)
        m.room = pyo.Block()
        m.hard = pyo.Constraint(m.STEPS, rule=rule)
        m.cost = pyo.Objective(expr=m.x[0])
    with pytest.raises(CompileError, match=f"hard.*{why}"):
        Compiled(m)


def test_a_rule_of_bounds_that_cannot_be_expanded_is_refused_by_name() -> None:
    most = [1.0, 2.0]
    m = pyo.ConcreteModel()
    m.STEPS = pyo.RangeSet(0, 1)
    m.x = pyo.Var(m.STEPS, dense=False, bounds=lambda _, t: (0, most[t]))
    m.row = pyo.Constraint(m.STEPS, rule=lambda b, t: b.x[t] >= 0)
    m.cost = pyo.Objective(expr=0.0)
    with pytest.raises(CompileError, match=r"the rule of x cannot be expanded"):
        Compiled(m)


def test_a_variable_outside_its_set_is_refused_by_name() -> None:
    m = pyo.ConcreteModel()
    m.STEPS = pyo.RangeSet(0, 1)
    m.x = pyo.Var(m.STEPS, dense=False)
    with unexpanded():
        m.later = pyo.Constraint(m.STEPS, rule=lambda b, t: b.x[t + 1] >= b.x[t])
    m.cost = pyo.Objective(expr=0.0)
    with pytest.raises(CompileError, match=r"later: x has no member"):
        Compiled(m)


def test_a_thread_beside_sums_and_iterates_as_ever() -> None:
    """While templates are made without a pause, as a guard of the daemon does: empty sums, sums from a start, Sets of another model."""
    beside = pyo.ConcreteModel()
    beside.SET = pyo.Set(initialize=[1, 2, 3])
    model = a_model()
    done, wrong = threading.Event(), []

    def guard() -> None:
        while not done.is_set():
            try:
                nothing: list[float] = []
                found = (sum(x for x in nothing), sum((x for x in [1.0]), 2.0), sum([4, 5]), sum(x for x in beside.SET), list(beside.SET))
            except (RuntimeError, TypeError) as error:  # what a sum that makes symbols ends with
                wrong.append(error)
            else:
                if found != (0, 3.0, 9, 6, [1, 2, 3]):
                    wrong.append(found)

    thread, switches_s = threading.Thread(target=guard), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(20):
            Compiled(model)
    finally:
        done.set()
        thread.join(10)
        sys.setswitchinterval(switches_s)
    assert not wrong


def test_two_threads_declare_and_compile_at_once(random_site: Any) -> None:
    """How Pyomo iterates is changed for the whole process while a template is made: one at a time, whoever asks."""
    problems = [random_site(seed) for seed in range(8)]
    alone = [Compiled(declare(p)) for p in problems]
    found: dict[int, Compiled] = {}

    def work(first: int) -> None:
        for i in range(first, len(problems), 2):
            found[i] = Compiled(declare(problems[i]))

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(problems)
    for i, one in enumerate(alone):
        np.testing.assert_array_equal(one.cost, found[i].cost)
        assert (one.matrix != found[i].matrix).nnz == 0
