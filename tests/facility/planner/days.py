"""Days to plan: their prices and jobs as files, and plans made of them, in this process or by the command line."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report.summary import summary
from facility.report.tables import write_tables
from tests.facility.planner.promises import BERLIN, DEMO, HOUR, ROOT


def midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), BERLIN).astimezone(UTC)


def write_prices(path: Path, day: str, shape: Callable[[int], float]) -> Path:
    start = midnight(day)
    rows = [f"{start + i * HOUR:%Y-%m-%dT%H:%MZ},{shape(i):.2f}" for i in range(26)]
    path.write_text("time,price_eur_per_mwh\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_jobs(path: Path, day: str, seed: int, count: int = 40) -> Path:
    rng, start = random.Random(seed), midnight(day)
    lines = ["job_id,submit_time,duration_s,num_gpus,deadline,curve,elastic"]
    for i in range(count):
        submit = start + timedelta(seconds=rng.randint(-3600, 20 * 3600))
        duration = timedelta(seconds=rng.randint(300, 5 * 3600))
        deadline = f"{submit + duration * rng.uniform(1.0, 1.5) + rng.choice((1, 30, 300)) * timedelta(minutes=1):%FT%TZ}"
        due, curve = rng.choice(("", deadline)), rng.choice(("", "pretrain-7b", "finetune-8b", "matmul"))
        gpus = rng.choice((1, 2, 3, 4, 8, 8, 16, 32))
        row = f"{day}/{i}".replace("/", "-"), f"{submit:%FT%TZ}", duration.total_seconds(), gpus, due, curve, rng.random() < 0.2
        lines.append(",".join(map(str, row)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


DAYS: dict[str, tuple[str, int, Callable[[int], float]]] = {
    "negative": ("2023-07-02", 96, lambda i: -500.0 if 11 <= i < 15 else 60.0 - 4 * i),
    "dear": ("2022-08-26", 96, lambda i: 380.0 + 25 * abs(12 - i) + 300 * (18 <= i < 21)),
    "spring": ("2023-03-26", 92, lambda i: 90.0 + 60 * (i % 7) - 200 * (i == 13)),
    "autumn": ("2023-10-29", 100, lambda i: 5.0 + (i * 37 % 90)),
}


def request(tmp: Path, name: str, jobs: int = 40) -> tuple[Request, Path]:
    day, _, shape = DAYS[name]
    file = write_jobs(tmp / f"{name}-jobs.csv", day, seed=len(name) + jobs, count=jobs)
    prices = write_prices(tmp / f"{name}-prices.csv", day, shape)
    return Request(str(DEMO), day, prices=str(prices), jobs=str(file)), file


def planned(asked: Request) -> Planned:
    found = plan(asked)
    assert not isinstance(found, Undecided)
    return found


def write(made: Planned, folder: Path) -> Path:
    folder.mkdir()
    write_tables(made, folder)
    (folder / "summary.json").write_text(json.dumps(summary(made), allow_nan=False), encoding="utf-8")
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facility", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
