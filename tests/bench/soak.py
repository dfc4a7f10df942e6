"""Soak: what a daemon does for weeks, in minutes - small programs one after another in one process.

Each is declared, solved and read, and let go. One session is kept all the while and solved again at other costs after each, within a
budget far below the time that it has spent by the end. Memory may not grow by 1 MiB in 1,000 programs, and no solve may run out of time.
"""

from __future__ import annotations

import gc
import sys
import time

import numpy as np

from models.plan import Plan, make_plan
from models.problem import Problem
from models.site import declare
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Solved
from models.solving.session import Session
from tests.bench.clock import memory_mib
from tests.bench.sites import a_bench_site, rolled

BUDGET_S = 5.0
MOST_MIB = 1.0
"""By which memory may grow in 1,000 programs."""
LOOKS = 20


def main(programs: int) -> int:
    """0 where memory stays and every solve ends in time."""
    site = a_bench_site(6, 2)
    model = declare(site)
    kept = Session(model)
    cost, rng = kept.cost, np.random.default_rng(0)
    late, at, mib, problem = 0, [], [], site
    for i in range(1, programs + 1):
        problem = site if i % 50 == 0 else rolled(problem, i % 50)
        late += not _is_planned(problem) if i % 100 == 0 else not _is_solved(problem)
        kept.price(cost * rng.uniform(0.9, 1.1, len(cost)))
        late += not isinstance(solve_with_ladders(kept, time.perf_counter() + BUDGET_S), Solved)
        if i % max(programs // LOOKS, 1) == 0:
            gc.collect()  # what only waits to be collected is no leak
            at.append(i)
            mib.append(memory_mib("VmRSS"))
            print(f"{i:>8} programs {mib[-1]:8.1f} MiB, {late} solves without an answer, the kept session has run {kept.runs} times", flush=True)
    first = len(at) // 4  # until then things are loaded and grow to their size
    slope = 1000 * float(np.polyfit(at[first:], mib[first:], 1)[0]) if len(at) - first > 1 else 0.0
    print(f"memory grows by {slope:.2f} MiB in 1,000 programs (goal < {MOST_MIB:g}), {late} solves without an answer (goal 0)")
    return int(slope >= MOST_MIB or late > 0)


def _is_solved(problem: Problem) -> bool:
    model = declare(problem)
    session = Session(model)
    outcome = solve_with_ladders(session, time.perf_counter() + BUDGET_S)
    session.values(model.workload.gpus)
    return isinstance(outcome, Solved)


def _is_planned(problem: Problem) -> bool:
    return isinstance(make_plan(problem, BUDGET_S), Plan)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
