"""Peers: the problem that home and building energy managers solve, on their own ground.

    minimise   sum of price[t] * h * power[i,t]
    subject to sum of h * power[i,t] over the window of load i  = energy[i]       by_deadline
               sum of power[i,t] over the loads                <= limit[t]        limits
               0 <= power[i,t] <= most[i]

288 steps of 5 min, 200 flexible loads. It is declared once in Pyomo, which expands it (`appsi_highs`) or leaves it to the product
(`models.compile`); in linopy, where that is installed; and written as arrays by hand. All end at the same optimum.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp

from models.compile import unexpanded
from models.horizon import Floats
from models.solving.outcome import Solved
from models.solving.session import Session
from models.table import ragged, table
from tests.bench.clock import Watch
from tests.bench.highs import passed
from tests.bench.sheet import Arrays
from tests.bench.sites import EUR_PER_KWH

STEPS, LOADS, HOURS = 288, 200, 1 / 12


@dataclass(frozen=True)
class Ground:
    """`most_kw` and `energy_kwh` by load, `is_open` by load and step, `price` and `limit_kw` by step."""

    most_kw: Floats
    energy_kwh: Floats
    is_open: np.ndarray[Any, np.dtype[np.bool_]]
    price: Floats
    limit_kw: Floats


def ground(seed: int = 0) -> Ground:
    """Loads like cars and heaters, a limit that binds in the cheap hours."""
    rng = np.random.default_rng(seed)
    most, start = rng.choice([3.7, 7.4, 11.0, 22.0], LOADS), rng.integers(0, STEPS - 72, LOADS)
    end = np.minimum(start + rng.integers(36, 144, LOADS), STEPS)
    at = np.arange(STEPS)
    energy = most * (end - start) * HOURS * rng.uniform(0.2, 0.7, LOADS)
    price = np.repeat(EUR_PER_KWH, 12) * (1 + 0.05 * np.sin(at))
    return Ground(most, energy, (at >= start[:, None]) & (at < end[:, None]), price, np.full(STEPS, 0.3 * most.sum()))


def declared(g: Ground) -> Any:
    """The problem in Pyomo."""
    m = pyo.ConcreteModel()
    m.LOADS, m.STEPS = pyo.RangeSet(0, LOADS - 1), pyo.RangeSet(0, STEPS - 1)
    m.USED = pyo.Set(initialize=np.flatnonzero(g.is_open.any(axis=0)).tolist())
    m.WINDOW, m.OPEN = ragged(g.is_open, m.LOADS), ragged(g.is_open.T, m.STEPS)
    m.most_kw, m.energy_kwh = table(g.most_kw, m.LOADS), table(g.energy_kwh, m.LOADS)
    m.price, m.limit_kw = table(g.price, m.STEPS), table(g.limit_kw, m.STEPS)
    m.power_kw = pyo.Var(m.LOADS, m.STEPS, dense=False, bounds=lambda b, i, _t: (0, b.most_kw[i]))

    @m.Constraint(m.LOADS)
    def by_deadline(b: Any, i: int) -> Any:
        return sum(HOURS * b.power_kw[i, t] for t in b.WINDOW[i]) == b.energy_kwh[i]

    @m.Constraint(m.USED)
    def limits(b: Any, t: int) -> Any:
        return sum(b.power_kw[i, t] for i in b.OPEN[t]) <= b.limit_kw[t]

    @m.Objective()
    def cost(b: Any) -> Any:
        return sum(b.price[t] * HOURS * b.power_kw[i, t] for i in b.LOADS for t in b.WINDOW[i])

    return m


def by_product(g: Ground) -> float:
    """The product's ways, certificate included."""
    with unexpanded():
        model = declared(g)
    session = Session(model)
    outcome = session.solve(60.0)
    assert isinstance(outcome, Solved), outcome
    session.load(outcome)
    session.values(model.power_kw)
    return outcome.objective


def by_pyomo(g: Ground) -> float:
    """Pyomo's own expansion and `appsi_highs`."""
    from pyomo.contrib.appsi.solvers import Highs

    return float(Highs().solve(declared(g)).best_feasible_objective)


def by_arrays(g: Ground) -> float:
    """Arrays by hand, and highspy."""
    load, step = np.nonzero(g.is_open)
    at = np.arange(len(load))
    rows = (np.r_[load, LOADS + step], np.r_[at, at])
    matrix = sp.csr_matrix((np.r_[np.full(len(at), HOURS), np.ones(len(at))], rows), shape=(LOADS + STEPS, len(at)))
    lower, upper = np.r_[g.energy_kwh, np.full(STEPS, -np.inf)], np.r_[g.energy_kwh, g.limit_kw]
    no_rungs = np.zeros((0, 2), np.int64)
    solver = passed(Arrays(g.price[step] * HOURS, 0.0, matrix, lower, upper, np.zeros(len(at)), g.most_kw[load], no_rungs))
    solver.run()
    np.asarray(solver.getSolution().col_value)
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(solver.getObjectiveValue())


def by_linopy(g: Ground) -> float:
    """The array modeller that PyPSA is written in."""
    import linopy
    import xarray as xr

    dims = ("load", "step")
    is_open = xr.DataArray(g.is_open, dims=dims, coords={"load": np.arange(LOADS), "step": np.arange(STEPS)})
    most, energy = (xr.DataArray(each, dims="load") for each in (g.most_kw, g.energy_kwh))
    m = linopy.Model()
    power = m.add_variables(lower=0, upper=most * is_open, mask=is_open, coords=is_open.coords, name="power")
    m.add_constraints((power * HOURS).sum("step") == energy, name="by_deadline")
    m.add_constraints(power.sum("load") <= xr.DataArray(g.limit_kw, dims="step"), name="limits")
    m.add_objective((power * xr.DataArray(g.price * HOURS, dims="step")).sum())
    m.solve(solver_name="highs", io_api="direct", output_flag=False)
    return float(m.objective.value)


def compare(times: int = 3) -> dict[str, Any]:
    """CPU seconds and objective of each way, the least of `times`; the first in a process pays for what is loaded, and is not counted."""
    ways: dict[str, Callable[[Ground], float]] = {"arrays": by_arrays, "ours": by_product, "pyomo": by_pyomo}
    if importlib.util.find_spec("linopy"):
        ways["linopy"] = by_linopy
    g, found = ground(), {}
    for name, way in ways.items():
        objective = way(g)
        took = []
        for _ in range(times):
            watch = Watch()
            with watch.running():
                way(g)
            took.append(watch.cpu_s)
        found |= {f"{name}_s": min(took), f"{name}_objective": objective}
    return found
