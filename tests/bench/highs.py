"""HiGHS with arrays in it, and nothing of the product between."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

from tests.bench.sheet import Arrays


def passed(program: Arrays, **options: Any) -> Any:
    """HiGHS with a program in it, on one thread, otherwise as it comes."""
    columns, lp = sp.csc_matrix(program.matrix), highspy.HighsLp()
    lp.num_row_, lp.num_col_ = program.matrix.shape
    lp.col_cost_, lp.offset_, lp.col_lower_, lp.col_upper_ = program.cost, program.offset, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = columns.indptr, columns.indices, columns.data
    solver = highspy.Highs()
    for option, value in {"output_flag": False, "threads": 1, **options}.items():
        solver.setOptionValue(option, value)
    solver.passModel(lp)
    return solver


def with_every_climb(program: Arrays) -> Arrays:
    """`program` with the row of every rung."""
    n = len(program.rungs)
    rows, signs = np.repeat(np.arange(n), 2), np.tile((1.0, -1.0), n)
    climbs = sp.csr_matrix((signs, (rows, program.rungs.ravel())), shape=(n, program.matrix.shape[1]))
    return program._replace(
        matrix=sp.csr_matrix(sp.vstack([program.matrix, climbs])),
        row_lower=np.append(program.row_lower, np.zeros(n)),
        row_upper=np.append(program.row_upper, np.full(n, np.inf)),
    )
