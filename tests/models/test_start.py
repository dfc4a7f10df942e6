"""Start: one row says what starts in a step, whoever asks: a pause that costs, a minimum run, or both."""

from __future__ import annotations

from typing import Any

import pytest

FOUR, PRICES = (1.0,) * 4, (0.1, 0.4, 0.1, 0.1)


def test_pauses_and_minimum_runs_count_the_same_starts(site: Any, job: Any, optimum: Any) -> None:
    """Pauses ask for the starts of all four hours; a minimum run of two keeps GPUs on in the second, which those of the first two hours
    are in for. In the third hour all of the work may be done.
    """
    terms = {"neither": {}, "pauses": {"pause_price_per_gpu": 0.1}, "runs": {"min_run_h": 2.0}}
    terms["both"] = terms["pauses"] | terms["runs"]
    found = {name: optimum(site(FOUR, PRICES, jobs=(job(24.0, 4.0, **mine),))) for name, mine in terms.items()}
    columns = {name: len(each.model.start.CELLS) for name, each in found.items()}
    assert columns == {"neither": 0, "pauses": 4, "runs": 2, "both": 4}
    rows = {name: each.session.shape[0] for name, each in found.items()}
    assert rows["both"] - rows["pauses"] == rows["runs"] - rows["neither"] - 2 == 1


@pytest.mark.parametrize(
    ("pause_price", "min_run_h", "cost"),
    [(0.0, 0.0, 0.6), (0.01, 0.0, 0.7), (0.1, 0.0, 0.6 + 0.11 * 20 / 9), (0.0, 2.0, 0.6 + 0.11 * 20 / 9), (0.1, 2.0, 0.6 + 0.11 * 20 / 9)],
)
def test_what_starts_again_pays_for_its_pause_or_runs_on(
    site: Any, job: Any, optimum: Any, pause_price: float, min_run_h: float, cost: float
) -> None:
    """24 GPU h at 200 W in three cheap hours cost 0.6, and ten GPUs start again after the dear one.

    Who does not pause does 20 in the last two hours at 300 W, for 0.6 too, and 4 on 20/9 GPUs that run through the two before, at 300 W
    and then at 200 W: 1.8 GPU h each, for 0.03 + 0.08. They start once, and so does the rest.
    """
    problem = site(FOUR, PRICES, jobs=(job(24.0, 4.0, pause_price_per_gpu=pause_price, min_run_h=min_run_h),))
    assert optimum(problem).objective == pytest.approx(cost)


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    """A gang whose pauses cost and that runs now, one with a minimum run, one with both, and one that may start as it likes."""
    pauses, runs = {"pause_price_per_gpu": 0.5}, {"min_run_h": 1.0}
    jobs = (
        job(8.0, 3.0, running=True, **pauses),
        job(30.0, 3.0, id="runs", arrival_h=0.25, **runs),
        job(30.0, 3.0, id="both", arrival_h=0.5, **pauses, **runs),
        job(8.0, 3.0, id="free"),
    )
    golden(site((0.5, 0.5, 0.5), (0.1,) * 3, gpus=40.0, jobs=jobs), "start.starts")
