"""What the console tells of the past: means from the daemon's history, and what the day has cost before anybody looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.clock import milliseconds
from facility.config import load_site
from facility.console.past import Past
from facility.errors import InputError
from facility.history import open_history
from facility.history.tables import GOOD

NOON = datetime(2026, 7, 15, 10, tzinfo=UTC)
SITE = load_site("site_configs/demo.yaml", ())
METER = "site/meter/main/import_kw"


def a_history(file: Path, hours: float, gap: tuple[float, float] = (0, 0)) -> Past:
    """A meter that showed 600 kW each minute of the hours before noon, but for a gap, in hours before noon."""
    history = open_history(str(file), "demo")
    readings: list[int | str | float | None] = []
    for minutes in range(int(hours * 60), 0, -1):
        if not gap[0] < minutes / 60 <= gap[1]:
            readings += [milliseconds(NOON - timedelta(minutes=minutes)), METER, 600.0, GOOD]
    history.write(readings)
    history.close()
    return Past(SITE, str(file))


@pytest.mark.parametrize(("span", "each", "count"), [("hour", 30, 120), ("day", 300, 288), ("week", 1800, 336)])
def test_an_hour_a_day_and_a_week_are_means_that_end_now(tmp_path: Path, span: str, each: int, count: int) -> None:
    past = a_history(tmp_path / "h.sqlite", 30)
    curve = past.curve(METER, span, NOON)
    assert (len(curve), curve[-1][0]) == (count, NOON - timedelta(seconds=each))
    assert {value for _, value in curve} <= {600.0, None}
    assert curve[-2][1] == 600
    assert past.points() == (METER,)


def test_a_gap_stays_one_and_a_point_that_nobody_knows_is_empty(tmp_path: Path) -> None:
    past = a_history(tmp_path / "h.sqlite", 24, gap=(5, 6))
    assert sum(value is None for _, value in past.curve(METER, "day", NOON)) == 12
    assert past.curve("no/such/point/x_kw", "day", NOON) == ()


def test_what_the_day_has_cost_is_told_where_nearly_all_of_it_was_metered(tmp_path: Path) -> None:
    midnight = NOON - timedelta(hours=12)
    found = a_history(tmp_path / "a.sqlite", 12).today(midnight, NOON)
    assert found is not None
    prices = SITE.tariff.energy_price_by_hour_per_mwh
    assert prices is not None
    assert found == (pytest.approx(0.6 * sum(prices[:12])), pytest.approx(7200))
    assert a_history(tmp_path / "b.sqlite", 12, gap=(3, 6)).today(midnight, NOON) is None


def test_a_history_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Past(SITE, str(tmp_path / "no.sqlite")).points()
