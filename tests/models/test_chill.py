"""Chill: a hall is cooled by its supply or not at all, where a solution cooled one that is colder than its supply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.plan import Plan, make_plan
from models.problem import Problem
from models.solving.exact import Exact, Found
from tests.models.cold import with_a_cold_hall


@pytest.fixture
def heated_by_a_job(site: Any, job: Any) -> Problem:
    """3 kW for two hours in a hall at 16 degC, at 19 after the first and cooled at 20."""
    problem = with_a_cold_hall(site, (1.0, 1.0), 0.0, jobs=(job(20.0),))
    return problem.supplied({"plant": np.full(2, 20.0)})


def test_the_best_plan_cools_nothing_that_is_colder_than_its_supply(
    heated_by_a_job: Problem, optimum: Any, best: Callable[..., Found]
) -> None:
    """Derived in `test_approach`: nothing in the first hour, 4/3 kW in the second, which ends at 62/3 degC."""
    cost = 0.1 * (6 + 4 / 15) + 0.5 * 2 / 3 + 0.5 * 14 / 3
    assert optimum(heated_by_a_job).objective < cost - 0.1
    found = best(heated_by_a_job, 1)
    assert found.solved.objective == pytest.approx(cost, abs=1e-3)
    assert found.session.values(found.model.hall["hall"].removed_kw).tolist() == pytest.approx([0.0, 4 / 3], abs=1e-3)


def test_an_exact_plan_proves_it(heated_by_a_job: Problem) -> None:
    plan = make_plan(heated_by_a_job, 10.0, Exact(1e-4))
    assert isinstance(plan, Plan)
    assert plan.record.proof is not None
    assert plan.record.proof.gap == pytest.approx(0.0, abs=1e-4)
    assert plan.account.objective == pytest.approx(plan.record.bound + plan.record.proof.exact, abs=1e-3)
    assert plan.account.removed_kw[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_golden_rows(heated_by_a_job: Problem, golden: Any) -> None:
    for family in ("chill.is_cooled", "chill.or_is_left"):
        golden(heated_by_a_job, family)
