"""A refresh lived through in closed loop on the plant: contracts keep their floors, no limit is broken, and no job stops as GPUs leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from facility.backtest.answers import Answers
from facility.backtest.loop import JobOutcome, Lived, live
from facility.backtest.request import Request, span_of
from facility.backtest.summary import below_floor, stopped
from facility.backtest.world import World, read_world
from facility.commands.backtest import kept_lines
from facility.config import load_site
from facility.maintain.search import Found, Search
from facility.maintain.wish import Wish
from facility.maintain.written import write
from facility.planner import Request as PlanRequest
from facility.planner import brief
from models.solving.solver import Solver
from tests.facility.backtest.world import JOBS, START, request_in


def refreshed(folder: Path, asked: Request, gpus: int, steps: int, hours: float, model: str | None) -> World:
    """The world of `asked` with the refresh that `facility maintain` finds in it."""
    plan = PlanRequest(asked.site, start=f"{START:%Y-%m-%dT%H:%MZ}", horizon="36h", step="1h", prices=asked.prices, jobs=asked.jobs)
    told = brief(plan)
    wish = Wish("p1", gpus, timedelta(hours=hours), START, timedelta(hours=36), steps, model, "p2" if model else None)
    found = Search(told, 30.0, Solver).find(wish)
    assert isinstance(found, Found), found
    write(folder / "refresh.yaml", asked.site, told.site, found.site, "a refresh")
    request = replace(asked, site=str(folder / "refresh.yaml"), cycle="30min")
    site = load_site(request.site)
    return read_world(request, site, span_of(request, site))


def lived(it: World) -> Lived:
    return live(it, "ours", 0, 48.0, Answers(None), lambda _share: None)


def kept(it: World, made: Lived, contracts: set[str]) -> None:
    assert made.breaches == ()
    assert set(made.slowest) == contracts
    assert below_floor(it.site, made.slowest) == []
    assert stopped(it, made) == []
    assert not made.refused


@pytest.mark.parametrize(
    ("gpus", "steps", "model", "contracts"), [(20, 2, None, {"rent"}), (36, 3, "g400", {"rent", "rent-p2"})], ids=["same", "new"]
)
def test_every_contract_is_at_its_floor_and_no_job_stops(tmp_path: Path, gpus: int, steps: int, model: str | None, contracts: set[str]) -> None:
    jobs = [(name, after, hours, min(many, 12)) for name, after, hours, many in JOBS]
    it = refreshed(tmp_path, request_in(tmp_path / "w", jobs=jobs), gpus, steps, 4, model)
    made = lived(it)
    kept(it, made, contracts)
    assert [job.id for job in made.jobs if job.finished is None and job.deadline <= it.span.end] == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_jobs_and_windows_none_stops_as_gpus_leave(tmp_path: Path, seed: int) -> None:
    """Windows that nobody looked for: half the GPUs twice, at any time, while there is work for nearly all."""
    some = Random(seed)
    jobs = [(f"j{n}", some.randint(0, 28), some.randint(1, 6), some.choice((4, 8, 12, 16))) for n in range(16)]
    asked = request_in(tmp_path / "w", jobs=sorted(jobs, key=lambda job: job[1]))
    maintenance = {f"m{n}": window(some.randint(2 + 14 * n, 12 + 14 * n)) for n in range(2)}
    settings = tuple(f"maintenance.{name}={window}" for name, window in maintenance.items())
    request = replace(asked, cycle="30min", settings=settings)
    site = load_site(request.site, settings)
    it = read_world(request, site, span_of(request, site))
    made = lived(it)
    kept(it, made, {"rent"})


def window(after_h: int) -> str:
    start = START + timedelta(hours=after_h)
    return f"{{pool: p1, gpus: 20, start: '{start.isoformat()}', end: '{(start + timedelta(hours=4)).isoformat()}'}}"


def test_what_was_not_kept_is_told() -> None:
    told = {"below_floor": ["rent"], "slowest": {"rent": 0.5, "other": 1.0}, "stopped_by_maintenance": ["a", "b"]}
    assert list(kept_lines("ours", told)) == ["ours: below their floors: rent at 0.500", "ours: stopped as GPUs left: a, b"]
    well = {"below_floor": [], "slowest": {"rent": 0.9}, "stopped_by_maintenance": []}
    assert list(kept_lines("ours", well)) == ["ours: 1 contracts at their floors in every cycle", "ours: no job stopped as GPUs left"]


def test_a_contract_below_its_floor_and_a_job_stopped_at_a_begin_are_found(tmp_path: Path) -> None:
    asked = replace(request_in(tmp_path / "w"), settings=(f"maintenance.m={window(2)}",))
    it = read_world(asked, (site := load_site(asked.site, asked.settings)), span_of(asked, site))
    assert below_floor(it.site, {"rent": 0.85}) == ["rent"]
    assert below_floor(it.site, {"rent": 0.9}) == []
    begin = START + timedelta(hours=2)
    ended = [JobOutcome(name, 1, 0, START, begin, None, (begin + timedelta(minutes=m),)) for name, m in (("a", 10), ("b", 90))]
    assert stopped(it, cast("Lived", SimpleNamespace(jobs=ended))) == ["a"], "b stopped in the next cycle, for another reason"
