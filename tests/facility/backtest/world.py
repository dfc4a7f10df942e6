"""A world small enough to live through in a test: 40 GPUs, a battery, two days of prices, seven jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facility.backtest.request import Request

START = datetime(2026, 1, 15, tzinfo=UTC)
SITE = """
id: tiny
name: Tiny
timezone: UTC
currency: EUR
grid: {import_limit_kw: 30}
tariff: {energy_price_per_mwh: 100}
weather: {outdoor_by_hour_c: [20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]}
gpu_models:
  g400:
    min_cap_w: 100
    max_cap_w: 400
    idle_w: 50
    curves:
      train:
        source: made up for this test
        points:
          - {cap_w: 100, draw_w: 100, speed: 0.20}
          - {cap_w: 200, draw_w: 197, speed: 0.70}
          - {cap_w: 300, draw_w: 294, speed: 0.92}
          - {cap_w: 400, draw_w: 371, speed: 1.0}
feeders: {main: {rating_kw: 40}}
halls: {h1: {feeder: main, base_kw: 1}}
pools: {p1: {hall: h1, feeder: main, gpu_model: g400, gpus: 40, host_idle_w: 20, host_run_w: 80}}
batteries: {b1: {feeder: main, capacity_kwh: 10, charge_kw: 4, discharge_kw: 4, efficiency: 0.95, wear_price_per_mwh: 5}}
tenants: {acme: {name: Acme}}
contracts:
  rent: {tenant: acme, kind: reserved, pool: p1, gpus: 8, curve: train, floor_speed: 0.9, value_per_gpu_h: 2, penalty_per_gpu_h: 20}
jobs: {curve: train, slack_h: 10, unfinished_penalty_per_gpu_h: 50}
"""
DAY = [60, 50, 40, 40, 50, 60, 90, 120, 140, 120, 100, 80, 60, 50, 60, 80, 120, 160, 180, 160, 130, 100, 80, 70]
OTHER_DAY = [70, 60, 60, 50, 60, 70, 80, 90, 60, 20, 5, 0, 0, 5, 20, 60, 100, 170, 200, 180, 140, 110, 90, 80]
JOBS = [("a", 1, 4, 8), ("b", 7, 3, 16), ("c", 8, 6, 8), ("d", 16, 2, 24), ("e", 19, 5, 8), ("f", 26, 3, 16), ("g", 30, 2, 8)]
"""Id, hours after the start, hours at full speed, GPUs."""


def request_in(folder: Path, prices: list[int] | None = None, jobs: list[tuple[str, int, int, int]] | None = None) -> Request:
    """Write the site and the files into `folder` and ask for 36 hours of them in cycles of an hour."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.yaml").write_text(SITE)
    hourly = [f"{START + timedelta(hours=hour - 24):%Y-%m-%dT%H:%MZ},{price}" for hour, price in enumerate(prices or [*DAY, *DAY, *OTHER_DAY, *DAY])]
    (folder / "prices.csv").write_text("\n".join(["time,price_eur_per_mwh", *hourly]) + "\n")
    rows = [f"{name},{START + timedelta(hours=after):%Y-%m-%dT%H:%MZ},{3600 * hours},{gpus}" for name, after, hours, gpus in jobs or JOBS]
    (folder / "jobs.csv").write_text("\n".join(["job_id,submit_time,duration_s,num_gpus", *rows]) + "\n")
    return Request(
        site=str(folder / "site.yaml"),
        start="2026-01-15",
        end="2026-01-16T12:00",
        prices=str(folder / "prices.csv"),
        jobs=str(folder / "jobs.csv"),
        cycle="1h",
        foresight_h=36,
    )


def only(request: Request, *controllers: str) -> Request:
    """The same of some controllers only."""
    return replace(request, controllers=controllers)
