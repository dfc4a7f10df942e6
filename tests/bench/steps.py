"""Steps: what is measured in a process of its own. `python -m tests.bench.steps STEP SIZE [SECONDS]` prints a JSON object a line.

| step   | what                                                                                                            |
|--------|-----------------------------------------------------------------------------------------------------------------|
| ours   | the product: declare, compile, pass, solve with ladders and certificates, read; of a site, then one step later   |
| arrays | the same program by hand (`tests.bench.arrays`): arrays, pass, read; all but the run                             |
| plain  | HiGHS's own simplex and ipm on it with every ladder row there from the start                                     |
| stock  | Pyomo expands the rules of the site one step later and hands them to `appsi_highs`, without any ladder row        |
| memory | peak memory of the product, or of Pyomo and `appsi_highs`, with the program in HiGHS                              |
| peers  | the problem of `tests.bench.peers`, by each way                                                                  |
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import highspy
import numpy as np

from models.problem import Problem
from models.site import build, declare
from models.solving import attempt
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Solved
from models.solving.session import Session
from tests.bench import peers as ground
from tests.bench.arrays import by_hand
from tests.bench.clock import Watch, least, memory_mib, watched
from tests.bench.highs import passed, with_every_climb
from tests.bench.sites import SIZES, a_bench_site, rolled

Found = dict[str, Any]


def site(size: str) -> Problem:
    """The bench site of a size: S, M, L, XL, or with a kind behind it, as in M-scarce."""
    name, _, kind = size.partition("-")
    steps = "uniform" if kind == "uniform" else "non-uniform"
    return a_bench_site(*SIZES[name], steps, scarce=kind == "scarce", negative=kind == "negative")


def say(found: Found) -> None:
    """A part of the answer, as soon as it is known."""
    print(json.dumps(found), flush=True)


def ours(size: str, budget_s: float) -> None:
    """The site cold, then one step later."""
    _solved(a_bench_site(6, 2), budget_s)  # what a process does once only is no part of it
    problem = site(size)
    say(least(lambda: _solved(problem, budget_s), 3, 12.0))
    later = rolled(problem, 1)
    again = least(lambda: _solved(later, budget_s), 3, 12.0)
    say({f"rolling_{key}": value for key, value in again.items()})
    if "run_s" in again:
        say({"later_run_s": again["run_s"]})  # nothing is carried over yet from one program to the next: both are cold


def _solved(problem: Problem, budget_s: float) -> Found:
    whole, declaring, compiling = Watch(), Watch(), Watch()
    with watched(highspy.Highs, "run") as run, watched(attempt, "certify") as certificate, whole.running():
        with declaring.running():
            model = declare(problem)
        with compiling.running():
            session = Session(model)
        rows = session.shape[0]
        outcome = solve_with_ladders(session, time.perf_counter() + budget_s)
        session.values(model.workload.gpus)
    if not isinstance(outcome, Solved):
        return {"why": str(outcome)}
    return {
        "cpu_s": whole.cpu_s,
        "wall_s": whole.wall_s,
        "run_s": run.cpu_s,
        "but_run_s": whole.cpu_s - run.cpu_s,
        "declare_s": declaring.cpu_s,
        "compile_s": compiling.cpu_s,
        "certificate_s": certificate.cpu_s,
        "runs": run.times,
        "columns": session.shape[1],
        "ladder_rows": session.shape[0] - rows,
        "objective": outcome.objective,
    }


def arrays(size: str, _budget_s: float) -> None:
    """All but the run: HiGHS is stopped before it begins, and its answer, which is as long as ever, is read."""
    problem = site(size)

    def measure() -> Found:
        whole = Watch()
        with watched(highspy.Highs, "run") as run, whole.running():
            solver = passed(by_hand(problem), time_limit=0.0)
            solver.run()
            solution = solver.getSolution()
            np.asarray(solution.col_value), np.asarray(solution.row_dual)
        return {"but_run_s": whole.cpu_s - run.cpu_s}

    say(least(measure, 5, 10.0))


def plain(size: str, budget_s: float) -> None:
    """Each method's run, with all rows of the formulation."""
    program = with_every_climb(by_hand(site(size)))
    for method in ("ipm", "simplex"):
        solver = passed(program, time_limit=budget_s, solver=method)
        with watched(highspy.Highs, "run") as run:
            solver.run()
        is_done = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        say({f"{method}_s": run.cpu_s, f"{method}_objective": solver.getObjectiveValue() if is_done else None})


def stock(size: str, budget_s: float) -> None:
    """Built and solved from nothing, as a daemon without the product's own ways would each cycle."""
    problem, whole = rolled(site(size), 1), Watch()
    with whole.running():
        objective = _by_appsi(build(problem), budget_s)
    say({"stock_s": whole.cpu_s, "stock_objective": objective})


def _by_appsi(model: Any, budget_s: float) -> float | None:
    from pyomo.contrib.appsi.base import TerminationCondition
    from pyomo.contrib.appsi.solvers import Highs

    solver = Highs()
    solver.config.load_solution = False
    solver.config.time_limit = budget_s
    solver.highs_options = {"threads": 1}
    found = solver.solve(model)
    if found.termination_condition != TerminationCondition.optimal:
        return None
    found.solution_loader.load_vars()
    return float(found.best_feasible_objective)


def memory_ours(size: str, budget_s: float) -> None:
    """The product's peak, the solver stopped after `budget_s` seconds."""
    Session(declare(site(size))).solve(budget_s)
    say({"peak_mib": memory_mib("VmHWM")})


def memory_stock(size: str, budget_s: float) -> None:
    """Pyomo's peak, likewise."""
    _by_appsi(build(site(size)), budget_s)
    say({"peak_mib": memory_mib("VmHWM")})


def peers(_size: str, _budget_s: float) -> None:
    """The peers' problem."""
    say(ground.compare())


STEPS: dict[str, Callable[[str, float], None]] = {
    step.__name__: step for step in (ours, arrays, plain, stock, memory_ours, memory_stock, peers)
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](sys.argv[2], float(sys.argv[3]))
