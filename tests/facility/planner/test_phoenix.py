"""The published Phoenix trial: reductions held at the best throughput that its curves and floors allow, by an optimum of its own."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from facility.planner import Request
from tests.facility.planner.days import planned, write
from tests.facility.planner.promises import PHOENIX, check, near, told


def hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The upper concave hull of (draw, speed), rising."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(points):
        while len(kept) > 1:
            (x0, y0), (x1, y1) = kept[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            kept.pop()
        kept.append((x, y))
    return kept


def best_throughput(site: dict[str, Any], limit_kw: float) -> float:
    """The most that sum(weight * mean speed) can be under the limit: floors first, then the steepest segments."""
    left_w, total, segments = limit_kw * 1000, 0.0, []
    for contract in site["contracts"].values():
        model = site["gpu_models"][site["pools"][contract["pool"]]["gpu_model"]]
        points = hull([(p["draw_w"], p["speed"]) for p in model["curves"][contract["curve"]]["points"]])
        left_w -= contract["gpus"] * points[0][0]
        total += contract["weight"] * points[0][1]
        for (x0, y0), (x1, y1) in pairwise(points):
            floor = min(max((contract["floor_speed"] - y0) / (y1 - y0), 0.0), 1.0)
            width_w, gain = contract["gpus"] * (x1 - x0), contract["weight"] * (y1 - y0)
            left_w, total = left_w - floor * width_w, total + floor * gain
            segments.append((gain / width_w, (1 - floor) * width_w))
    assert left_w > 0
    for gain_per_w, width_w in sorted(segments, reverse=True):
        taken_w = min(width_w, left_w)
        left_w, total = left_w - taken_w, total + gain_per_w * taken_w
    return total


@pytest.mark.parametrize("percent", [75, 70, 65, 60, 55])
def test_phoenix_keeps_its_limit_and_floors_at_the_best_throughput(tmp_path: Path, percent: int) -> None:
    limit_kw = round(94.844 * percent / 100, 3)
    asked = Request(str(PHOENIX), "2025-05-03", "3h", "15min", settings=(f"grid.import_limit_kw={limit_kw}",))
    folder = write(planned(asked), tmp_path / "out")
    t = told(folder, PHOENIX, None)
    t.site["grid"]["import_limit_kw"] = limit_kw
    check(t, datetime(2025, 5, 3, 7, tzinfo=UTC), 12)
    assert t.summary["status"] == "optimal"
    assert t.summary["saving_pct"] is None
    weight = {name: c["weight"] / c["gpus"] for name, c in t.site["contracts"].items()}
    means = [sum(weight[r["workload"]] * float(r["gpus"]) * float(r["speed"]) for r in rows) for rows in t.caps_at().values()]
    assert near(t.summary["weighted_throughput"], sum(means) / len(means))
    best = best_throughput(t.site, limit_kw)
    assert 0.999 * best <= t.summary["weighted_throughput"] <= best + 1e-9


def test_phoenix_below_what_the_floors_need_breaks_contracts_by_the_least_and_no_limit(tmp_path: Path) -> None:
    """At 50 % of uncapped, below the 51.4 % that the floors take: all power goes where a watt holds most promised work."""
    limit_kw = 47.422
    found = planned(Request(str(PHOENIX), "2025-05-03", "3h", "15min", settings=(f"grid.import_limit_kw={limit_kw}",)))
    t = told(write(found, tmp_path / "out"), PHOENIX, None)
    assert t.summary["status"] == "breached"
    assert {breach["family"] for breach in t.summary["breaches"]} == {"short_gpu_h"}
    assert max(t.column("import_kw")) <= limit_kw
    short = sum(breach["amount"] for breach in t.summary["breaches"])
    least = 3 * least_short_gpus(t.site, limit_kw)
    assert least - 1e-9 <= short <= 1.01 * least


def least_short_gpus(site: dict[str, Any], limit_kw: float) -> float:
    """GPUs at speed 1 that must be missing from the floors: the work of the lowest caps, then the steepest pieces up to the floors."""
    pieces, left_w, missing = [], 1000 * limit_kw, 0.0
    for contract in site["contracts"].values():
        points = site["gpu_models"]["a100"]["curves"][contract["curve"]]["points"]
        draw, speed = [p["draw_w"] for p in points], [p["speed"] for p in points]
        left_w -= contract["gpus"] * draw[0]
        missing += contract["gpus"] * (contract["floor_speed"] - speed[0])
        for i in range(1, len(points)):
            top = min(speed[i], contract["floor_speed"])
            if top > speed[i - 1]:
                slope = (speed[i] - speed[i - 1]) / (draw[i] - draw[i - 1])
                pieces.append((slope, contract["gpus"] * (top - speed[i - 1]) / slope))
    for slope, width_w in sorted(pieces, reverse=True):
        taken_w = min(width_w, left_w)
        left_w, missing = left_w - taken_w, missing - taken_w * slope
    return missing


def test_phoenix_keeps_an_event_of_a_quarter_for_three_hours(tmp_path: Path) -> None:
    """Ramp from 13:45, window 14:00 to 17:00, ramp to 17:15, no rebound to 18:15; one baseline of 94.844 kW throughout."""
    file = tmp_path / "events.csv"
    file.write_text(
        "start,end,reduction_pct,ramp_min\n2025-05-03T14:00-07:00,2025-05-03T17:00-07:00,25,15\n2025-06-01T14:00-07:00,2025-06-01T15:00-07:00,9,\n",
        encoding="utf-8",
    )
    found = planned(Request(str(PHOENIX), "2025-05-03T13:00-07:00", "6h", "5min", events=str(file)))
    t = told(write(found, tmp_path / "out"), PHOENIX, None)
    check(t, datetime(2025, 5, 3, 20, tzinfo=UTC), 72)
    assert t.summary["status"] == "optimal"
    (event,) = t.summary["events"]
    assert (event["start"], event["end"], event["reduction_pct"], event["target_kw"], event["ramp_min"]) == (
        "2025-05-03T21:00:00Z", "2025-05-04T00:00:00Z", 25.0, None, 15.0,
    )  # fmt: skip
    assert event["minutes_over_target"] == 0
    assert 0 <= event["mean_over_delivery_pct"] < 0.5
    assert any("1 of 2" in assumed for assumed in t.summary["assumed"])
    drawn = t.column("import_kw")
    base_kw = t.summary["baseline"]["energy_kwh"] / 6
    target = [base_kw] * 9 + [base_kw * (1 - 0.25 * share) for share in (1 / 3, 2 / 3, *[1] * 38, 2 / 3, 1 / 3)] + [base_kw] * 21
    assert all(kw <= most + 1e-6 for kw, most in zip(drawn, target, strict=True))
    assert sum(most - kw for kw, most in zip(drawn[12:48], target[12:48], strict=True)) / 36 < 0.005 * base_kw
    for rows in t.caps_at().values():
        work: dict[str, float] = defaultdict(float)
        for row in rows:
            work[row["workload"]] += float(row["gpus"]) * float(row["speed"])
        for name, contract in t.site["contracts"].items():
            assert work[name] >= contract["floor_speed"] * contract["gpus"] - 1e-6
