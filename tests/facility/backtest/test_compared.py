"""A backtest compares the same days under four controllers, reveals nothing early, and goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facility.backtest.answers import Answers
from facility.backtest.expectation import edges_of, expected
from facility.backtest.loop import Lived, live
from facility.backtest.request import CONTROLLERS, Request, span_of
from facility.backtest.run import backtest
from facility.backtest.world import World, read_world
from facility.config import load_site
from facility.errors import InputError
from tests.facility.backtest.world import DAY, JOBS, OTHER_DAY, START, only, request_in


def quiet(_name: str, _share: float) -> None:
    """Hear of progress."""


def world_of(request: Request) -> World:
    """Read a world."""
    site = load_site(request.site)
    return read_world(request, site, span_of(request, site))


def lived(request: Request, who: str, folder: Path | None = None) -> Lived:
    """Live through it."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return live(world_of(request), who, 0, request.foresight_h, Answers(folder), lambda _share: None)


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All four, one after another, in a folder."""
    folder = tmp_path_factory.mktemp("backtest")
    out = folder / "out"
    _, numbers = backtest(request_in(folder), out, workers=1, tell=quiet)
    return out, numbers


def test_foresight_costs_least_and_nobody_most(through: tuple[Path, dict[str, Any]]) -> None:
    cost = through[1]["cost"]
    assert cost["foresight"] <= cost["ours"] * 1.001
    assert cost["ours"] < cost["rules"] < cost["none"]
    assert 0.5 < through[1]["saving_share_of_foresight"] <= 1.001


def test_no_limit_is_broken_and_every_deadline_that_foresight_meets_is_met(through: tuple[Path, dict[str, Any]]) -> None:
    numbers = through[1]
    assert numbers["breaches"] == []
    assert numbers["by_controller"]["foresight"]["missed_deadlines"] == 0
    assert numbers["missed_deadlines"] == 0
    assert numbers["missed_that_foresight_met"] == []


def test_the_summary_is_valid_and_the_intervals_add_up_to_it(through: tuple[Path, dict[str, Any]]) -> None:
    out, numbers = through
    assert json.loads((out / "summary.json").read_text()) == numbers
    rows = pd.read_parquet(out / "intervals.parquet")
    assert set(rows["controller"]) == set(CONTROLLERS)
    for name, part in rows.groupby("controller"):
        assert len(part) == 36
        energy = (part["import_kw"].clip(lower=0) * part["hours"] / 1000 * part["price_eur_per_mwh"]).sum()
        assert energy == pytest.approx(numbers["energy_cost"][name])
        costs = numbers["by_controller"][name]["costs"]
        assert sum(costs.values()) == pytest.approx(numbers["cost"][name])


def test_side_by_side_comes_to_the_same_as_one_after_another(through: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    request = only(request_in(through[0].parent), "rules", "none")
    _, numbers = backtest(request, tmp_path / "out", workers=2, tell=quiet)
    for name in ("rules", "none"):
        assert numbers["by_controller"][name] == through[1]["by_controller"][name]


def test_what_is_not_known_yet_changes_nothing(tmp_path: Path) -> None:
    """The prices of the third day are published at 12:45 of the second, and jobs f and g are submitted then."""
    dearer = [*DAY, *DAY, *OTHER_DAY[:12], *(300 for _ in OTHER_DAY[12:]), *DAY]
    usual = lived(request_in(tmp_path / "a"), "ours")
    until = 13  # from 12:45 on the prices of the next day are known
    other = lived(request_in(tmp_path / "b", dearer, [*JOBS[:4], ("e", 19, 2, 32), ("h", 21, 9, 8)]), "ours")
    assert usual.intervals[:until] == other.intervals[:until]
    assert usual.intervals != other.intervals


def test_prices_are_known_as_they_are_published_and_then_expected_by_what_they_taught(tmp_path: Path) -> None:
    for hour, known_h in ((12, 24), (13, 48)):
        at, until = START + timedelta(hours=hour), known_h - hour
        edges = edges_of(at, timedelta(hours=1), timedelta(hours=36))
        truth = [*DAY, *OTHER_DAY, *DAY][hour : hour + 36]
        other = [*DAY, *[*DAY, *OTHER_DAY, *DAY][:known_h], *(300 for _ in range(72 - known_h))]
        worlds = world_of(request_in(tmp_path / f"{hour}")), world_of(request_in(tmp_path / f"{hour} other", other))
        assert expected(worlds[0], at, edges, foresight=True).price_per_mwh.tolist() == truth
        ours, theirs = (expected(world, at, edges).price_per_mwh.tolist() for world in worlds)
        assert ours[:until] == truth[:until]
        assert ours == theirs
        assert all(0 < price < 250 for price in ours[until:])


def test_limits_hold_at_the_p90_of_weather_that_is_not_known(tmp_path: Path) -> None:
    weather = tmp_path / "weather.csv"
    rows = [f"{START + timedelta(hours=hour - 96):%Y-%m-%dT%H:%MZ},{10 + hour % 24 + hour // 24}" for hour in range(192)]
    weather.write_text("\n".join(["time,temp_c", *rows]) + "\n")
    world = world_of(replace(request_in(tmp_path), weather=str(weather)))
    edges = edges_of(START, timedelta(hours=1), timedelta(hours=24))
    ours, knowing = expected(world, START, edges), expected(world, START, edges, foresight=True)
    assert ours.outdoor_high_c is not None
    assert (ours.outdoor_high_c[1:] > ours.outdoor_c[1:]).all()
    assert knowing.outdoor_high_c is None
    assert knowing.outdoor_c.tolist() == [14.0 + hour for hour in range(24)]


def test_what_is_whole_of_a_file_before_the_span_is_known_from_the_beginning(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    prices = Path(str(request.prices))
    rows = [f"{START + timedelta(hours=hour - 200):%Y-%m-%dT%H:%MZ},{hour % 24}" for hour in range(320) if hour != 120]
    prices.write_text("\n".join(["time,price_eur_per_mwh", *rows]) + "\n")
    world = world_of(request)
    assert "price: 3 days of the file before the span are known from the beginning" in world.assumed
    assert world.signals["price"].start[0] == np.datetime64(START.replace(tzinfo=None) - timedelta(days=3))


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(through: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    request = only(request_in(through[0].parent), "ours")
    out = tmp_path / "out"

    def stop(_name: str, share: float) -> None:
        if share > 0.8:  # in the second day
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest(request, out, workers=1, tell=stop)
    kept = list((out / "state" / "ours").iterdir())
    assert [file.suffix for file in kept] == [".answers"]
    backtest(request, out, workers=1, tell=quiet)
    assert len(list((out / "state" / "ours").glob("*.answers"))) == 2
    whole = tmp_path / "whole"
    backtest(request, whole, workers=1, tell=quiet)
    for name in ("summary.json", "intervals.parquet"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_a_folder_of_another_backtest_is_refused(through: tuple[Path, dict[str, Any]]) -> None:
    out, _ = through
    with pytest.raises(InputError, match="another seed"):
        backtest(replace(request_in(out.parent), seed=3), out, workers=1, tell=quiet)


def test_bad_options_are_told_together(tmp_path: Path) -> None:
    request = replace(request_in(tmp_path), end="2026-01-14", cycle="7min", published="noon", foresight_h=0.0, controllers=("us",))
    with pytest.raises(InputError) as error:
        span_of(request, load_site(request.site))
    assert [fault.place for fault in error.value.faults] == ["--to", "--cycle", "--foresight", "--published", "--only"]


def test_a_file_that_does_not_cover_the_span_is_refused(tmp_path: Path) -> None:
    request = replace(request_in(tmp_path), end="2026-02-15")
    with pytest.raises(InputError, match=r"prices\.csv: covers"):
        world_of(request)


def test_a_site_with_what_the_plant_has_not_is_refused(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    site = tmp_path / "site.yaml"
    site.write_text(site.read_text() + "gensets: {g1: {feeder: main, max_kw: 5, fuel_price_per_mwh: 400}}\n")
    with pytest.raises(InputError, match="gensets: the plant that a backtest runs on has none"):
        world_of(request)
