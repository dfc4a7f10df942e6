"""Forecasts against what came: `python -m tests.bench.forecasts FILE:column --zone Europe/Berlin --from 2023-01-01 --to 2024-01-01`.

Each day of the span `outlook` is asked at the local hours named what the next two days will be, and knows nothing of them. A line for each
of the two days says how often the truth was within P10 to P90 (it should be in 75 to 85 % of hours), how often below and above, the mean
absolute error of P50, of the same hour of the day and of the week before, and the pinball loss of the three quantiles, beside that of a
band around the day before whose width is that of its errors of the last 60 days.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from facility.forecast.outlook import outlook
from facility.inputs.series import Series, intervals, split
from facility.inputs.table import numbers, read_table

DAYS = 2
HOUR = timedelta(hours=1)
P = np.array([0.1, 0.5, 0.9])[:, None, None]


def series(argument: str) -> Series:
    """Read a column of a file with its gaps left out."""
    path, column = split(argument)
    frame = read_table(path)
    start, end = intervals(path, frame[str(frame.columns[0])], "UTC")
    value = numbers(frame[column])
    known = np.isfinite(value)
    usual = np.median((end - start).astype(int)).astype("timedelta64[s]")
    return Series(argument, "", start[known], np.minimum(end, start + usual)[known], value[known])


def until(known: Series, at: datetime) -> Series:
    """What is known of a series by an instant."""
    here = known.end <= np.datetime64(at.astimezone(UTC).replace(tzinfo=None))
    return Series(known.name, known.unit, known.start[here], known.end[here], known.value[here])


def measure(known: Series, zone: ZoneInfo, first: datetime, last: datetime, hours: tuple[int, ...], every: int) -> list[str]:
    """The two lines, and one on how long it took."""
    bands, truth, spent_s = [], [], []
    day = first
    while day + timedelta(days=DAYS) < last:
        for hour in hours:
            at = day.replace(hour=hour, tzinfo=zone).astimezone(UTC)
            edges = tuple(at + i * HOUR for i in range(24 * DAYS + 1))
            past = until(known, at)
            begun = time.perf_counter()
            band = outlook(past, edges, zone)
            spent_s.append(time.perf_counter() - begun)
            bands.append((band.low, band.middle, band.high))
            truth.append([_mean(known, at + i * HOUR) for i in range(-168, 24 * DAYS)])
        day += timedelta(days=every)
    told, came = np.array(bands).transpose(1, 0, 2), np.array(truth)
    found = []
    for n in range(DAYS):
        q, y = told[:, :, 24 * n : 24 * n + 24], came[:, 168 + 24 * n : 192 + 24 * n]
        naive = came[:, 144:168], came[:, 24 * n : 24 * n + 24]
        known_too = np.isfinite(y) & np.isfinite(naive[0]) & np.isfinite(naive[1])
        wrong = y - naive[0]
        back = max(60 * len(hours) // every, 1)
        past = [np.nanquantile(wrong[max(i - back, 0) : i] if i else wrong[:1], P[:, 0, 0], axis=0) for i in range(len(wrong))]
        around = naive[0] + np.array(past).transpose(1, 0, 2)
        below, above = (y < q[0])[known_too].mean(), (y > q[2])[known_too].mean()
        mae = [np.abs(y - other)[known_too].mean() for other in (q[1], *naive)]
        loss = [np.maximum(P * (y - other), (P - 1) * (y - other))[:, known_too].mean() for other in (q, around)]
        found.append(
            f"day {n + 1}: within {1 - below - above:.1%} (below {below:.1%}, above {above:.1%});"
            f" MAE {mae[0]:.2f}, day before {mae[1]:.2f}, week before {mae[2]:.2f}; pinball {loss[0]:.3f}, day before {loss[1]:.3f}"
        )
    return [*found, f"{len(spent_s)} calls, {1000 * np.median(spent_s):.1f} ms each, at most {1000 * max(spent_s):.0f}"]


def _mean(known: Series, at: datetime) -> float:
    row = np.searchsorted(known.start, np.datetime64(at.replace(tzinfo=None)), side="right") - 1
    return float(known.value[row]) if row >= 0 and known.end[row] > np.datetime64(at.replace(tzinfo=None)) else np.nan


def main() -> None:
    """Read options, print lines."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecasts", description=__doc__)
    parser.add_argument("file", help="FILE:column")
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--from", dest="first", required=True, type=datetime.fromisoformat)
    parser.add_argument("--to", dest="last", required=True, type=datetime.fromisoformat)
    parser.add_argument("--hours", default="0", help="local hours at which it is asked, such as 2,8,14,20")
    parser.add_argument("--every", type=int, default=1, help="days from one to the next")
    asked = parser.parse_args()
    hours = tuple(int(hour) for hour in asked.hours.split(","))
    for line in measure(series(asked.file), ZoneInfo(asked.zone), asked.first, asked.last, hours, asked.every):
        print(line)


if __name__ == "__main__":
    main()
