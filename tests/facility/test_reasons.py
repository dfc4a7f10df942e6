"""Reasons: each sentence names the limit that costs most, with the money a hand reckons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facility.config import load_site
from facility.overrides.arbitrate import bounds
from facility.reasons import job_reason, pool_reason
from models.grid.grid_connection import GridConnection
from models.heat.hall import Hall
from models.horizon import Horizon
from models.plan import Plan, make_plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.work.firm import Firm
from models.work.gpu import Curve, Host
from models.work.job import Job
from models.work.pool import Pool

SITE = load_site(str(Path(__file__).parents[2] / "site_configs/demo.yaml"), ())
EDGES = tuple(datetime(2023, 7, 2, tzinfo=UTC) + timedelta(hours=i) for i in range(3))
FREE = bounds(SITE, (), EDGES[0], EDGES)
CURVE = Curve((100.0, 200.0, 300.0), (100.0, 200.0, 300.0), (0.3, 0.8, 1.0))


def a_job(work_gpu_h: float, **terms: Any) -> Job:
    """On ten GPUs of `pool`; the most efficient point is 200 W, 0.25 kWh a GPU h."""
    return Job(**({"id": "job", "pool": "pool", "curve": CURVE, "gpus": 10, "work_gpu_h": work_gpu_h, "deadline_h": 2.0} | terms))


def planned(*jobs: Job, price: tuple[float, float] = (0.1, 0.3), limit_kw: float = 100.0, gpus: float = 10.0, **more: Any) -> Plan:
    """Two hours of a hall of GPUs that draw nothing idle."""
    site = Problem(
        Horizon((1.0, 1.0)),
        GridConnection((limit_kw, limit_kw), price),
        np.array([20.0, 20.0]),
        (Feeder("root", None, 100.0),),
        (Hall("hall", "root"),),
        (Pool("pool", "hall", "root", Host(0.0, 0.0, 0.0, 100.0), 300.0, (gpus, gpus)),),
        jobs=jobs,
        **more,
    )
    plan = make_plan(site, 10.0)
    assert isinstance(plan, Plan)
    return plan


def of_job(plan: Plan, w: int = 0) -> str:
    return job_reason(plan, FREE, w, EDGES, SITE)


def test_a_job_waits_for_cheaper_energy() -> None:
    assert of_job(planned(a_job(4.0), price=(0.3, 0.1))) == (
        "waits until 2023-07-02T01:00Z: energy costs 100.00 instead of 300.00 EUR/MWh then"
    )


def test_a_job_that_starts_at_once_says_so() -> None:
    assert of_job(planned(a_job(4.0))) == "runs as soon as it is there"


def test_a_job_waits_for_power_that_another_needs_more() -> None:
    """2 kW for 8 GPU h an hour. The first job must run now; the second would pay 0.025 now and pays 0.075 later."""
    urgent, other = a_job(8.0, deadline_h=1.0, elastic=True), a_job(4.0, id="other", elastic=True)
    said = of_job(planned(urgent, other, limit_kw=2.0 / (1 - 1e-5), gpus=20.0), 1)
    assert said.startswith("waits until 2023-07-02T01:00Z: a GPU h costs 0.07")
    assert "where the import limit (2 kW) adds" in said


def test_a_job_waits_for_gpus_that_another_needs_more() -> None:
    """The first job needs all ten GPUs at their fastest in the first hour."""
    plan = planned(a_job(10.0, deadline_h=1.0, elastic=True), a_job(4.0, id="other", elastic=True))
    assert "where what pool pool holds (10 GPU) adds" in of_job(plan, 1)


def test_what_keeps_a_job_from_finishing_is_named_with_what_it_takes() -> None:
    """1 kW does 4 of 8 GPU h. 50 are lost for each of the others, of which energy would have taken 0.025."""
    assert of_job(planned(a_job(8.0, deadline_h=1.0, elastic=True), limit_kw=1.0)) == (
        "cannot finish: 4.000 GPU h are left at its deadline: the import limit (1 kW) costs up to 49.97 EUR a GPU h, and a GPU h "
        "of it is worth 50"
    )


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (a_job(4.0, gpus=20), "4.000 GPU h are left at its deadline: it asks for 20 GPUs at once, pool pool has 10 for jobs"),
        (a_job(30.0), "10.000 GPU h are left at its deadline: 10 GPUs for 2.00 h, arrival to deadline, are less than its work"),
    ],
)
def test_what_no_limit_would_mend_is_told_as_such(job: Job, says: str) -> None:
    assert of_job(planned(job)) == f"cannot finish: {says}"


def test_a_job_that_may_finish_later_names_what_is_dearer_now() -> None:
    """0.025 of energy a GPU h now; it is carried at 0.02, or, where it is carried at 0.05, runs."""
    cheap_later = a_job(4.0, deadline_h=9.0, carry_price_per_gpu_h=0.02, delay_price_per_gpu_h=0.0)
    assert of_job(planned(cheap_later)) == (
        "waits past the horizon: a GPU h costs 0.025 EUR at 2023-07-02T00:00Z, 0.025 of it for energy, and 0.02 later"
    )
    assert of_job(planned(replace(cheap_later, carry_price_per_gpu_h=0.05))) == "runs as soon as it is there"


def test_a_gang_that_fits_only_in_part_says_so() -> None:
    """9 of its 10 GPUs could run at once in the first hour, beside what must."""
    urgent = a_job(5.0, id="urgent", gpus=5, deadline_h=1.0, elastic=True)
    said = of_job(planned(urgent, a_job(9.9), gpus=14.0), 1)
    assert said.startswith("waits until 2023-07-02T01:00Z: its 10 GPUs do not fit together before")


def test_a_command_is_its_own_reason() -> None:
    told = replace(FREE, reasons={"job": "hold by ann", "pool": "cap by bo"})
    plan = planned(a_job(4.0))
    assert job_reason(plan, told, 0, EDGES, SITE) == "hold by ann"
    assert pool_reason(plan, told, "pool", "EUR") == "cap by bo"


def test_low_caps_name_the_limit_and_what_a_unit_of_it_is_worth() -> None:
    """Ten rented GPUs on 2.5 kW: 1 kW more would do 2 GPU h an hour at 1 each, less 0.1 of energy."""
    firm = Firm(id="firm", pool="pool", curve=CURVE, gpus=10, value_per_gpu_h=1.0)
    plan = planned(price=(0.1, 0.1), limit_kw=2.5, firms=(firm,))
    assert pool_reason(plan, FREE, "pool", "EUR") == "the import limit (2.5 kW) keeps caps low: 1 kW of it is worth 1.9 EUR an hour"


def test_caps_that_no_limit_keeps_low_are_a_matter_of_price() -> None:
    assert "takes least energy" in pool_reason(planned(a_job(4.0)), FREE, "pool", "EUR")
