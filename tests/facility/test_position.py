"""A position that was committed: read from an earlier plan, kept by the next one, told; another time or site is refused."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facility.commands.commit import position_of
from facility.config import load_site
from facility.decide import Undecided
from facility.errors import InputError
from facility.inputs.position import read_position
from facility.inputs.series import Series
from facility.planner import Planned, Request, plan
from facility.position import committed_kw, merged
from facility.report.summary import summary
from facility.report.tables import write_tables

DEMO = str(Path(__file__).parents[2] / "site_configs/demo.yaml")
START = datetime(2023, 7, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEAR = ("tariff.imbalance_premium_per_mwh=1000",)


def planned(hours: int = 6, start: datetime = START, **asked: object) -> Planned:
    """A plan of some hours of the demonstration site, by the hour."""
    made = plan(Request(DEMO, start.isoformat(), f"{hours}h", "1h", **asked))  # type: ignore[arg-type]
    assert not isinstance(made, Undecided)
    return made


def refusal(**asked: object) -> str:
    with pytest.raises(InputError) as caught:
        planned(**asked)  # type: ignore[arg-type]
    return str(caught.value)


def prices(tmp: Path, *told: float) -> str:
    """A file of hourly prices."""
    rows = [f"{(START + at * HOUR).isoformat()},{price}" for at, price in enumerate(told)]
    (tmp / "prices.csv").write_text("\n".join(["time,price_eur_per_mwh", *rows]) + "\n", encoding="utf-8")
    return str(tmp / "prices.csv")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan.csv of a plan at the site's own prices."""
    folder = tmp_path_factory.mktemp("day-ahead")
    write_tables(planned(), folder)
    return folder / "plan.csv"


def columns(path: Path) -> dict[str, list[float]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0] if name != "time"}


def test_a_plan_keeps_to_its_position_when_prices_turn_and_pays_where_it_does_not(committed: Path, tmp_path: Path) -> None:
    """Prices turned upside down move load at a small premium, and move none at a large one; what is told adds up by hand."""
    turned = prices(tmp_path, 300, 300, 300, 1, 1, 1)
    at = {"prices": turned, "position": str(committed)}
    cheap, dear = planned(**at, settings=("tariff.imbalance_premium_per_mwh=10",)), planned(**at, settings=DEAR)
    bought = np.array(columns(committed)["import_kw"])
    for made, premium in ((cheap, 0.01), (dear, 1.0)):
        told = summary(made)["position"]
        over = made.decided.plan.account.import_kw - bought
        assert told["energy_kwh"] == pytest.approx(bought.sum())
        assert told["short_kwh"] == pytest.approx(np.maximum(over, 0).sum())
        assert told["long_kwh"] == pytest.approx(np.maximum(-over, 0).sum())
        assert told["imbalance_cost"] == pytest.approx(premium * (told["short_kwh"] + told["long_kwh"]))
    off_kwh = [summary(made)["position"]["short_kwh"] + summary(made)["position"]["long_kwh"] for made in (cheap, dear)]
    assert off_kwh[0] > 100
    assert off_kwh[1] < 1


def test_a_limit_goes_before_the_position(committed: Path) -> None:
    """50 kW less than the most that was bought: the plan is long by what the limit takes and breaks nothing for the position."""
    bought = columns(committed)["import_kw"]
    limit = f"grid.import_limit_kw={max(bought) - 50}"
    made = planned(position=str(committed), settings=(*DEAR, limit))
    assert (made.decided.plan.account.import_kw <= max(bought) - 50 + 1e-6).all()
    assert summary(made)["position"]["long_kwh"] >= 50 - 1e-3


def test_a_position_of_part_of_the_time_is_told_and_the_rest_is_free(committed: Path, tmp_path: Path) -> None:
    made = planned(start=START + 4 * HOUR, position=str(committed), settings=DEAR)
    assert "position: 2 of 6 steps are committed, the others are free" in made.assumed
    write_tables(made, tmp_path)
    told, bought = columns(tmp_path / "plan.csv")["position_kw"], columns(committed)["import_kw"]
    assert told[:2] == pytest.approx(bought[4:])
    assert np.isnan(told[2:]).all()


def test_without_a_position_nothing_is_told_of_one(committed: Path) -> None:
    assert summary(planned())["position"] is None
    assert "position_kw" not in columns(committed)


def test_a_position_of_another_time_or_site_or_without_a_premium_is_refused(committed: Path) -> None:
    later = refusal(start=START + 48 * HOUR, position=str(committed), settings=DEAR)
    assert "covers 2023-07-02 00:00 to 2023-07-02 06:00 UTC, nothing of the time that is planned" in later
    assert "tariff.imbalance_premium_per_mwh: not given, and a position is" in refusal(position=str(committed))
    (committed.parent / "summary.json").write_text('{"site": "elsewhere"}', encoding="utf-8")
    try:
        assert "is a plan of site elsewhere, not of demo" in refusal(position=str(committed), settings=DEAR)
    finally:
        (committed.parent / "summary.json").unlink()


def test_what_is_given_back_is_part_of_the_position(tmp_path: Path) -> None:
    rows = [f"{(START + at * HOUR).isoformat()},{drawn},{given}" for at, (drawn, given) in enumerate([(5, 0), (0, 3)])]
    (tmp_path / "plan.csv").write_text("\n".join(["time,import_kw,export_kw", *rows]) + "\n", encoding="utf-8")
    read = read_position(str(tmp_path / "plan.csv"), load_site(DEMO), start=START, end=START + 2 * HOUR, timezone=None)
    assert read.value.tolist() == [5.0, -3.0]


def series(first: int, *kw: float) -> Series:
    """Hourly values from an hour after the start on."""
    begin = np.datetime64(START.replace(tzinfo=None), "s") + np.timedelta64(1, "h") * (first + np.arange(len(kw)))
    return Series("by hand", "kw", begin, begin + np.timedelta64(1, "h"), np.array(kw))


def hours(position: Series, count: int) -> tuple[float | None, ...]:
    return committed_kw(position, tuple(START + at * HOUR for at in range(count + 1)))


def test_a_newer_commitment_replaces_what_it_overlaps_and_no_more() -> None:
    old = series(0, 1, 2, 3, 4)
    assert hours(merged(old, series(1, 7, 8), START), 5) == (1.0, 7.0, 8.0, 4.0, None)
    assert hours(merged(old, series(6, 9), START + 2 * HOUR), 7) == (None, None, 3.0, 4.0, None, None, 9.0)
    assert hours(merged(None, series(0, 5), START), 1) == (5.0,)
    assert hours(merged(old, series(9, 5), START), 0) == ()


def test_a_plan_becomes_the_position_of_its_steps() -> None:
    made = planned(2)
    told = position_of(made)
    assert [point.value for point in told.points] == made.decided.plan.account.import_kw.tolist()
    assert (told.points[0].start, told.points[-1].end) == (made.edges[0], made.edges[-1])
