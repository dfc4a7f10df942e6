"""Contracts from the site file to the plan's files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from facility.decide import Undecided
from facility.errors import InputError
from facility.planner import Planned, Request, plan
from facility.report.tables import cap_rows
from facility.snapshot import Snapshot
from facility.verify import verify

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
SHAPE = [*range(100, 220, 10), *range(220, 100, -10)]
"""GPUs by local hour, a different number in each."""


def planned(*settings: str, start: str = "2026-07-15", horizon: str = "6h", step: str = "1h", **options: Any) -> Planned:
    found = plan(Request(str(DEMO), start, horizon, step, settings=settings, **options))
    assert not isinstance(found, Undecided)
    return found


def running(made: Planned, workload: str) -> list[float]:
    """GPUs of a workload by step, as caps.csv tells."""
    found = defaultdict[str, float](float)
    for time, _, _, name, gpus, *_ in cap_rows(made):
        found[time] += gpus if name == workload else 0.0
    return list(found.values())


def demand_file(folder: Path, rows: Sequence[str], column: str = "lumen-chat_gpus") -> str:
    file = folder / "demand.csv"
    file.write_text("\n".join([f"time,{column}", *rows]) + "\n", encoding="utf-8")
    return str(file)


def test_a_service_runs_what_its_local_hours_ask_for_and_the_second_opinion_agrees() -> None:
    made = planned(f"contracts.lumen-chat.demand_by_hour_gpus={SHAPE}")
    assert running(made, "lumen-chat") == SHAPE[:6]
    assert "demand of lumen-chat: the site's contracts.lumen-chat.demand_by_hour_gpus" in made.assumed
    decided = made.decided
    assert not verify(made.site, Snapshot(made.edges[0]), decided.decision, outdoor_c=float(made.forecast.outdoor_c[0]))
    assert decided.plan.status == "optimal"


def test_a_demand_file_stands_before_the_sites_hours_and_a_step_has_its_highest_value(tmp_path: Path) -> None:
    """Half hours of 101.5, 20, 30 and 288 GPUs, laid on hours: 102 and 288."""
    rows = [f"2026-07-15T0{i // 2}:{30 * (i % 2):02}+02:00,{value}" for i, value in enumerate((101.5, 20, 30, 288))]
    asked = {"horizon": "2h", "demand": demand_file(tmp_path, rows)}
    made = planned(f"contracts.lumen-chat.demand_by_hour_gpus={SHAPE}", **asked)
    assert running(made, "lumen-chat") == [102, 288]
    assert not any(said.startswith("demand of") for said in made.assumed)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("lumen-chat_gpus", "289", "289"),
        ("lumen-chat_gpus", "-1", "-1"),
        ("lumen-chap_gpus", "5", "no contract 'lumen-chap' with GPUs"),
        ("kepler-jobs_gpus", "5", "no contract 'kepler-jobs' with GPUs"),
        ("lumen-chat", "5", "no column that ends in _gpus"),
    ],
)
def test_a_demand_file_that_does_not_fit_the_site_is_refused(tmp_path: Path, column: str, value: str, found: str) -> None:
    file = demand_file(tmp_path, [f"2026-07-14T{hour}:00Z,{value}" for hour in (22, 23)], column)
    with pytest.raises(InputError, match=r"demand\.csv") as refused:
        planned(horizon="1h", demand=file)
    assert found in str(refused.value)
