"""Arrays: what was written by hand is the product's own program."""

from __future__ import annotations

import numpy as np
import pytest

from models.compile import Compiled
from models.site import declare
from tests.bench.arrays import by_hand
from tests.bench.sites import SIZES, a_bench_site, rolled


@pytest.mark.parametrize(
    "problem",
    [
        a_bench_site(*SIZES["S"]),
        a_bench_site(20, 6, "uniform"),
        a_bench_site(30, 8, scarce=True),
        rolled(a_bench_site(40, 4, negative=True), 1),
    ],
    ids=["S", "uniform", "scarce", "negative, rolled"],
)
def test_the_program_by_hand_is_the_products_row_for_row_and_column_for_column(problem):
    ours, hand = Compiled(declare(problem)), by_hand(problem)
    assert hand.matrix.shape == ours.matrix.shape
    for matrix in (hand.matrix, ours.matrix):
        matrix.sort_indices()
    np.testing.assert_array_equal(hand.matrix.indptr, ours.matrix.indptr)
    np.testing.assert_array_equal(hand.matrix.indices, ours.matrix.indices)
    np.testing.assert_allclose(hand.matrix.data, ours.matrix.data, rtol=1e-12)
    for name in ("cost", "lower", "upper", "row_lower", "row_upper"):
        np.testing.assert_allclose(getattr(hand, name), getattr(ours, name), rtol=1e-12, atol=1e-12, err_msg=name)
    assert hand.offset == pytest.approx(ours.offset, abs=1e-12)


def test_every_rung_stands_on_the_one_below_it():
    problem = a_bench_site(*SIZES["S"])
    model = declare(problem)
    columns = Compiled(model).columns(model.workload.gpus)
    there = (columns[:, 1:] >= 0) & (columns[:, :-1] >= 0)
    expected = np.stack([columns[:, :-1][there], columns[:, 1:][there]], axis=1)
    np.testing.assert_array_equal(by_hand(problem).rungs, expected)
