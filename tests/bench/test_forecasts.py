"""The measure of forecasts reads a file and says how often the truth was within the band."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.bench.forecasts import measure, series

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)


def test_it_tells_coverage_and_errors_beside_those_of_the_day_before(tmp_path: Path) -> None:
    rng, hours = np.random.default_rng(1), np.arange(24 * 150)
    values = 10 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(size=len(hours))
    lines = [f"{BEGIN + int(h) * timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ},{v:.4f}" for h, v in zip(hours, values, strict=True) if h % 1000 != 7]
    path = tmp_path / "seen.csv"
    path.write_text("\n".join(["timestamp_utc,temp_c", *lines]), encoding="utf-8")
    first, second, calls = measure(series(f"{path}:temp_c"), ZoneInfo("UTC"), datetime(2023, 4, 1), datetime(2023, 5, 25), (0, 12), 3)  # noqa: DTZ001
    for line in (first, second):
        within, mae, day_before = (float(re.search(rf"{what} ([\d.]+)", line)[1]) for what in ("within", "MAE", "day before"))
        assert 70 <= within <= 90
        assert mae == pytest.approx(0.8, abs=0.15)  # of a normal deviation of 1 about its mean: sqrt(2 / pi)
        assert mae < 0.85 * day_before
    assert calls.startswith("36 calls")
