"""Sheet: a linear program as it grows, term by term, whole families at once.

A family's layout is two numbers: where its first asset starts, and how far one asset is from the next; within an asset a variable, or a
row, is a run of T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from models.horizon import Floats

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Arrays(NamedTuple):
    """A linear program; `rungs` are the columns (lower rung, rung above) of each climb that may be broken, shape (n, 2)."""

    cost: Floats
    offset: float
    matrix: sp.csr_matrix
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats
    rungs: Ints


class Sheet:
    """Columns of families of `sizes`, one after another, from 0 up and free of cost until told otherwise; T is `steps`."""

    def __init__(self, sizes: Mapping[str, int], steps: int, rungs: Ints) -> None:
        self.T, self.t, self.rungs = steps, np.arange(steps), rungs
        starts = np.cumsum([0, *sizes.values()])
        self.first = dict(zip(sizes, starts.tolist(), strict=False))
        self.n = int(starts[-1])
        self.cost, self.lower, self.upper = np.zeros(self.n), np.zeros(self.n), np.full(self.n, np.inf)
        self.rows = 0
        self.terms: list[tuple[Any, Any, Any]] = []
        self.sides: list[tuple[Any, Any, Any]] = []

    def add(self, rows: ArrayLike, columns: ArrayLike, coefficients: ArrayLike) -> None:
        """Terms; the three broadcast."""
        self.terms.append(tuple(each.ravel() for each in np.broadcast_arrays(rows, columns, coefficients)))

    def bound(self, rows: Any, lower: ArrayLike, upper: ArrayLike) -> None:
        """Bounds of rows."""
        self.sides.append(tuple(each.ravel() for each in np.broadcast_arrays(rows, lower, upper)))

    def columns(self, family: str, assets: Sequence[int] | Any, stride: int, variable: int) -> Any:
        """The columns of a variable of assets, by step, shape (assets, T)."""
        return self.first[family] + np.asarray(assets)[:, None] * stride + variable * self.T + self.t

    def block(self, assets: int, rows_each: int) -> Any:
        """The first row of each of `assets`, which have `rows_each`, shape (assets, 1)."""
        first = self.rows + np.arange(assets)[:, None] * rows_each
        self.rows += assets * rows_each
        return first

    def arrays(self) -> Arrays:
        """The program."""
        rows, columns, coefficients = (np.concatenate(part) for part in zip(*self.terms, strict=True))
        matrix = sp.csr_matrix((coefficients, (rows, columns)), shape=(self.rows, self.n))
        matrix.eliminate_zeros()
        at, low, high = (np.concatenate(part) for part in zip(*self.sides, strict=True))
        row_lower, row_upper = np.empty(self.rows), np.empty(self.rows)
        row_lower[at], row_upper[at] = low, high
        return Arrays(self.cost, 0.0, matrix, row_lower, row_upper, self.lower, self.upper, self.rungs)
