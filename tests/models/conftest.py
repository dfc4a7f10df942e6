"""Small sites with round numbers, and the optimum of their linear program before anything is rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from models import workload
from models.feeder import Feeder
from models.firm import Firm
from models.gpu import Curve, Host
from models.grid_connection import GridConnection
from models.hall import Hall
from models.horizon import Horizon
from models.job import Job
from models.pool import Pool
from models.site import Problem, build
from models.solve import Session, Solved

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
    host: Host = BARE,
    gpus: float = 10.0,
    outdoor_c: float = 20.0,
    **assets: Any,
) -> Problem:
    """Ten GPUs in one hall under one feeder, nothing binding; `assets` are fields of `Problem` that replace these."""
    limits = limit_kw if isinstance(limit_kw, tuple) else (limit_kw,) * len(hours)
    grid = GridConnection(limits, price_per_kwh, peak_price_per_kw=peak_price_per_kw, peak_so_far_kw=peak_so_far_kw)
    default = {
        "feeders": (Feeder("root", None, 1000.0),),
        "halls": (Hall("hall", "root"),),
        "pools": (Pool("pool", "hall", "root", host, 300.0, (gpus,) * len(hours)),),
    }
    return Problem(Horizon(hours), grid, np.full(len(hours), outdoor_c), **(default | assets))


def a_job(work_gpu_h: float, deadline_h: float = 2.0, **terms: Any) -> Job:
    """A rigid job on ten GPUs of `pool`, in no hurry; `terms` are fields of `Job`."""
    default = {"id": "job", "pool": "pool", "curve": ROUND, "gpus": 10, "delay_price_per_gpu_h": 0.0}
    return Job(work_gpu_h=work_gpu_h, deadline_h=deadline_h, **(default | terms))


def a_firm(**terms: Any) -> Firm:
    """A rental of ten GPUs of `pool` that promises nothing; `terms` are fields of `Firm`."""
    return Firm(**({"id": "firm", "pool": "pool", "curve": ROUND, "gpus": 10} | terms))


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
    model = build(problem)
    session = Session(model)
    gpus = model.workload.gpus
    if rows := [(gpus[w, k, t], gpus[w, k - 1, t]) for w, k, t in gpus if k]:
        session.add_differences(rows)
    solved = session.solve(10.0)
    assert isinstance(solved, Solved)
    assert solved.certificate.holds
    session.load(solved)
    assert not workload.broken_rungs({index: v.value for index, v in gpus.items()})
    return Optimum(model, session, solved)


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
