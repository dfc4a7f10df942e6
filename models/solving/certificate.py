"""Certificate: how far a solution is from optimal, recomputed outside the solver, on the whole program.

    reduced = cost - matrix^T @ row_dual
    primal  = max( row_lower - matrix @ x, matrix @ x - row_upper )       over 1 + |bound of the row|
              and max( lower - x, x - upper )                             over 1 + |x|
    dual    = max |reduced|   where the bound that its sign asks for is infinite, over 1 + |cost|
              and |row_dual|  where that of the row is
    gap     = | cost @ x - (bound @ reduced + row_bound @ row_dual) |     over max(1, |cost @ x|)

A dual above 0 asks for the lower bound, below 0 for the upper. A warm linear program can claim an optimum it does not have; a
feasible point and feasible duals without a gap between them prove one, whoever found them.
"""

from __future__ import annotations

import numpy as np

from models.horizon import Floats
from models.solving.outcome import Certificate
from models.solving.program import Program, dot


def certify(program: Program, x: Floats, row_dual: Floats) -> Certificate:
    """The certificate of `x`, by column, and `row_dual`, by row, on `program`."""
    activity = program.matrix @ x
    scale = 1.0 + np.maximum(np.abs(_finite(program.row_lower)), np.abs(_finite(program.row_upper)))
    over_rows = np.maximum(program.row_lower - activity, activity - program.row_upper) / scale
    over_columns = np.maximum(program.lower - x, x - program.upper) / (1.0 + np.abs(x))
    primal = float(max(over_rows.max(initial=0.0), over_columns.max(initial=0.0)))

    reduced = program.cost - program.matrix.T @ row_dual
    column_bound = np.where(reduced > 0, program.lower, program.upper)
    row_bound = np.where(row_dual > 0, program.row_lower, program.row_upper)
    column_wrong = np.where(np.isfinite(column_bound), 0.0, np.abs(reduced) / (1.0 + np.abs(program.cost)))
    row_wrong = np.where(np.isfinite(row_bound), 0.0, np.abs(row_dual))
    dual = float(max(column_wrong.max(initial=0.0), row_wrong.max(initial=0.0)))

    objective = dot(program.cost, x)
    dual_objective = dot(_finite(column_bound), reduced) + dot(_finite(row_bound), row_dual)
    return Certificate(primal, dual, abs(objective - dual_objective) / max(1.0, abs(objective)))


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)
