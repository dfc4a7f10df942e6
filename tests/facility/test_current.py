"""The plan as one message: as much of it as fits."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import Breach, PlanCurrent, PlanStep, decode
from facility.report.breaches import UNITS
from facility.report.current import MOST_BREACHES, fitting
from tests.facility.test_daemon import NOW

REMEDY = max((remedy for _, remedy in UNITS.values()), key=len)


def plan(pools: int, broken: int) -> PlanCurrent:
    """A day's plan of a site of so many pools, which breaks so many limits."""
    caps_w = {f"hall-12-pool-{i:03}": 325 for i in range(pools)}
    steps = tuple(
        PlanStep(time=NOW + i * timedelta(minutes=5), hours=1 / 12, import_kw=12345.678, import_limit_kw=12345.678, price_per_mwh=123.4567,
                 it_kw=12345.678, cooling_kw=1234.567, battery_kw=-123.456, outdoor_c=21.25, gpus_running=12345.67, caps_w=caps_w)
        for i in range(58)
    )  # fmt: skip
    breach = Breach(family="unfinished_gpu_h", asset="job-" + 40 * "x", start=NOW, end=NOW, amount=1234.5678901234567, unit="GPU h", remedy=REMEDY)
    return PlanCurrent(
        plan_id="p", issued_at=NOW, site="s", currency="EUR", mode="NORMAL", steps=steps, breaches=(breach,) * broken, reason=1000 * "x"
    )


@pytest.mark.parametrize(
    ("pools", "broken", "detailed", "told"),
    [(4, 0, 58, 0), (4, MOST_BREACHES, 58, 50), (100, MOST_BREACHES, 12, 50), (150, MOST_BREACHES, 12, 10), (300, 20, 1, 10), (3000, 20, 0, 10)],
)
def test_a_plan_that_is_too_long_leaves_out_later_caps_then_lower_ranks_then_all_caps(pools: int, broken: int, detailed: int, told: int) -> None:
    payload = fitting(plan(pools, broken))
    assert len(payload) <= MAX_PAYLOAD_BYTES
    found = decode(payload, PlanCurrent)
    assert len(found.steps) == 58
    assert [len(step.caps_w) for step in found.steps] == [pools] * detailed + [0] * (58 - detailed)
    assert len(found.breaches) == told
    assert msgspec.structs.replace(found, steps=(), breaches=()) == msgspec.structs.replace(plan(pools, broken), steps=(), breaches=())
