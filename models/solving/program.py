"""Program: a linear program as arrays, and what may change in it.

    minimise    cost @ x + offset
    subject to  row_lower <= matrix @ x <= row_upper
                lower     <= x          <= upper

Whatever solves it, the numbers are checked here, before they go in: a solver takes a NaN for a cost and answers with an optimum.
A coefficient that it finds too small to matter it drops with a warning, so those are left out here, where the certificate sees
the same.

| symbol | name                                                          | unit              |
|--------|---------------------------------------------------------------|-------------------|
| x      | the variables, one a column                                   | of its own each   |
| cost   | of a unit of each column                                      | money/unit        |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats
from models.sparse import sp

Indices = NDArray[np.int32]

SMALLEST = 1e-9
"""The solver drops coefficients up to this size (`small_matrix_value`)."""


class SolverFault(RuntimeError):
    """The solver refused a call or was handed a number it must not see; a fault of the program, not of the problem."""


@dataclass
class Program:
    """A linear program of n rows and m columns: `matrix` (n, m), `row_lower` and `row_upper` (n,), the others (m,).

    Bounds may be infinite. The arrays are those in force: `bound` and `rebound` write into them, `price` and `add_rows` replace them.
    SolverFault where a number is none.
    """

    cost: Floats
    offset: float
    matrix: sp.csr_matrix
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats

    def __post_init__(self) -> None:
        rows, columns = self.matrix.shape
        sizes = tuple(map(len, (self.row_lower, self.row_upper, self.cost, self.lower, self.upper)))
        if sizes != (rows, rows, columns, columns, columns):
            raise SolverFault(f"costs and bounds of {sizes} do not fit a matrix of {rows} rows and {columns} columns")
        self.matrix = _without_dust(self.matrix)
        _check_finite("cost", np.append(self.cost, self.offset))
        _check_bounds(self.lower, self.upper, self.row_lower, self.row_upper)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.row_lower), len(self.cost)

    @property
    def spread(self) -> tuple[float, float]:
        """Largest over smallest absolute value that is not 0, of the coefficients and of the costs; 1 where there are none."""
        return _spread(self.matrix.data), _spread(self.cost)

    def objective(self, x: Floats) -> float:
        """What `x` costs, money."""
        return dot(self.cost, x) + self.offset

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column."""
        if cost.shape != self.cost.shape:
            raise SolverFault(f"{len(cost)} costs for {len(self.cost)} columns")
        _check_finite("cost", cost)
        self.cost = cost.copy()

    def bound(self, columns: Indices, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""
        _check_bounds(lower, upper)
        self.lower[columns], self.upper[columns] = lower, upper

    def rebound(self, rows: Indices, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""
        _check_bounds(lower, upper)
        self.row_lower[rows], self.row_upper[rows] = lower, upper

    def add_rows(self, matrix: sp.csr_matrix, lower: Floats, upper: Floats) -> sp.csr_matrix:
        """Add rows below the others; returns `matrix` as it was added, without what the solver would drop."""
        _check_bounds(lower, upper)
        added = _without_dust(matrix)
        self.matrix = sp.csr_matrix(sp.vstack([self.matrix, added]))
        self.row_lower, self.row_upper = np.append(self.row_lower, lower), np.append(self.row_upper, upper)
        return added


def dot(one: Floats, other: Floats) -> float:
    """The sum of products, in this thread: for `@` numpy's library wakes others, which cost more than they save and wait busily."""
    return float((one * other).sum())


def _without_dust(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """`matrix` without what the solver would drop, each row in the order of its columns."""
    _check_finite("matrix", matrix.data)
    matrix.data[np.abs(matrix.data) <= SMALLEST] = 0.0
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _check_finite(what: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        raise SolverFault(f"a {what} coefficient is not a finite number")


def _check_bounds(*bounds: Floats) -> None:
    if any(np.isnan(each).any() for each in bounds):
        raise SolverFault("a bound is not a number")


def _spread(coefficients: Floats) -> float:
    size = np.abs(coefficients[coefficients != 0])
    return float(size.max() / size.min()) if len(size) else 1.0
