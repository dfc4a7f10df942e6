"""Outcome: what a solve came to, as types, each with what proves it."""

from __future__ import annotations

from dataclasses import dataclass

from models.horizon import Floats

PRIMAL_TOLERANCE = 1e-6
DUAL_TOLERANCE = 1e-6
GAP_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Certificate:
    """How far a solution is from optimal, recomputed outside the solver.

    `primal` and `dual` are the largest residuals, relative to the size of their row or column; `gap` is |primal objective -
    dual objective| relative to the larger of 1 and the objective.
    """

    primal: float
    dual: float
    gap: float

    @property
    def holds(self) -> bool:
        """Whether all three are within tolerance."""
        return self.primal <= PRIMAL_TOLERANCE and self.dual <= DUAL_TOLERANCE and self.gap <= GAP_TOLERANCE


@dataclass(frozen=True)
class Condition:
    """How far apart the program's numbers are: largest over smallest absolute coefficient that is not 0, of the rows (`matrix`) and of
    the costs. `scaling` is the solver's own `simplex_scale_strategy`.
    """

    matrix: float
    cost: float
    scaling: int


@dataclass(frozen=True)
class Solved:
    """An optimum with its certificate. `x` by column, `row_dual` by row."""

    objective: float
    x: Floats
    row_dual: Floats
    certificate: Certificate
    seconds: float


@dataclass(frozen=True)
class Infeasible:
    """No point satisfies the rows (a fault of the formulation, since every limit has a slack)."""

    reason: str


@dataclass(frozen=True)
class TimedOut:
    """No certified optimum within the budget."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class Whole:
    """The best point found at which the variables that were asked for are whole: `x` by column. None costs less than `bound`."""

    objective: float
    bound: float
    x: Floats
    seconds: float


Outcome = Solved | Infeasible | TimedOut
