"""I22: twenty plans in a row, each from where the one before left the plant, cost what a cold solve by somebody else's hands finds.

The same problem is written row by row by Pyomo, with every ladder row, and solved by SciPy, from nothing.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from facility.decide import Optimised
from facility.site import Site
from models.problem import Problem
from models.site import build
from tests.faults.rehearsal import LIVED, Rehearsal

CYCLES, SEEN = 20, 4
"""Plans in a row, and every which of them is compared: to write one row by row takes as long as twenty cycles."""


def some_site(seed: int) -> Site:
    """The rehearsed site with other prices, weather, jobs and rentals."""
    rng, raw = Random(seed), LIVED.model_dump(mode="json", exclude_unset=True)
    jobs = [
        {"submit_local": f"{rng.randint(7, 13):02}:{rng.choice((0, 20, 40)):02}", "duration_h": rng.uniform(1, 4), "gpus": rng.randint(1, 3),
         "slack_h": rng.uniform(2, 10), "elastic": True}
        for _ in range(rng.randint(2, 4))
    ]  # fmt: skip
    return Site.model_validate(raw | {
        "grid": {"import_limit_kw": rng.uniform(2.6, 5)},
        "tariff": {"energy_price_by_hour_per_mwh": [rng.uniform(-50, 300) for _ in range(24)]},
        "weather": {"outdoor_by_hour_c": [rng.uniform(5, 30) for _ in range(24)]},
        "contracts": {"c": raw["contracts"]["c"] | {"gpus": rng.randint(3, 6), "floor_speed": rng.uniform(0.3, 0.9)}},
        "sample_jobs": jobs,
    })  # fmt: skip


def best(problem: Problem, stock_program: Any) -> float:
    """The least that a plan of `problem` can cost, before anything is rounded."""
    model = build(problem)
    gpus = model.workload.gpus
    for w, k, t in gpus:
        if k:
            model.workload.BROKEN.add((w, k, t))
            model.workload.climbs.add((w, k, t), gpus[w, k, t] <= gpus[w, k - 1, t])
    program, _, _ = stock_program(model)
    rows, upper, lower = program.matrix.toarray(), np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    found = linprog(
        program.cost,
        np.vstack([rows[upper], -rows[lower]]),
        np.concatenate([program.row_upper[upper], -program.row_lower[lower]]),
        bounds=np.column_stack([program.lower, program.upper]),
    )
    assert found.success, found.message
    return float(found.fun + program.offset)


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_plans_in_a_row_cost_within_one_percent_of_a_cold_independent_solve(tmp_path: Path, stock_program: Any, seed: int) -> None:
    house, gaps = Rehearsal(tmp_path, some_site(seed)), []
    for cycle in range(CYCLES):
        house.live(5)
        found = house.daemon.rooms.governor.plan
        assert house.mode() == "NORMAL", house.daemon.outcome
        assert isinstance(found, Optimised)
        if cycle % SEEN == SEEN - 1:
            least = best(found.plan.problem, stock_program)
            gaps.append((found.plan.account.objective - least) / max(1.0, abs(least)))
    assert len(gaps) == CYCLES // SEEN
    assert min(gaps) >= -1e-6
    assert max(gaps) <= 0.01
    house.kill()
