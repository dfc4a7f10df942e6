"""Bands: quantiles in a file are read, checked and kept by the plan; what is missing or crossed is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.decide import Undecided
from facility.errors import InputError
from facility.inputs.band import Band, read_band
from facility.inputs.series import LOAD, OUTDOOR, PRICE, Quantity
from facility.planner import Planned, Request, plan
from facility.report.summary import summary

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
DAY = datetime(2023, 7, 2, tzinfo=UTC)
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write hourly rows under a header, each row's values the same or told by hour; the file's path."""

    def write(header: str, *rows: str, name: str = "file.csv") -> str:
        lines = [f"{(DAY + timedelta(hours=at)).strftime('%Y-%m-%dT%H:%M:%SZ')},{row}" for at, row in enumerate(rows)]
        (tmp_path / name).write_text("\n".join([f"time,{header}", *lines]) + "\n", encoding="utf-8")
        return str(tmp_path / name)

    return write


def read(argument: str, quantity: Quantity = OUTDOOR) -> Band:
    return read_band(argument, quantity, start=DAY, end=DAY + timedelta(hours=2), timezone=None, currency="EUR")


def refusal(argument: str, quantity: Quantity = OUTDOOR) -> str:
    with pytest.raises(InputError) as caught:
        read(argument, quantity)
    return str(caught.value)


def test_the_mean_of_three_quantiles_is_expected_and_the_highest_kept(write: Write) -> None:
    """0.3 * 10 + 0.4 * 20 + 0.3 * 40 = 23."""
    band = read(write("temp_c_p10,temp_c_p50,temp_c_p90,rh_pct", "10,20,40,5", "20,20,20,5"))
    assert band.expected.value.tolist() == pytest.approx([23.0, 20.0])
    assert band.high is not None
    assert band.high.value.tolist() == [40.0, 20.0]


def test_a_stem_without_a_unit_is_picked_and_one_of_its_columns_is_only_that_column(write: Write) -> None:
    """-0.3 * 10 + 0.4 * 0 + 0.3 * 30 = 6."""
    file = write("price_eur_per_mwh,forecast_p10,forecast_p50,forecast_p90", "1,-10,0,30", "2,-10,0,30")
    assert read(f"{file}:forecast", PRICE).expected.value.tolist() == pytest.approx([6.0, 6.0])
    alone = read(f"{file}:forecast_p50", PRICE)
    assert (alone.expected.value.tolist(), alone.high) == ([0.0, 0.0], None)
    plain = read(file, PRICE)
    assert (plain.expected.value.tolist(), plain.high) == ([1.0, 2.0], None)


def test_quantiles_go_before_a_column_named_as_their_stem_unless_it_is_picked(write: Write) -> None:
    file = write("temp_c,temp_c_p10,temp_c_p50,temp_c_p90", "1,10,20,40", "1,10,20,40")
    assert read(file).expected.value.tolist() == pytest.approx([23.0, 23.0])
    assert read(f"{file}:temp_c").expected.value.tolist() == [1.0, 1.0]


def test_a_missing_quantile_is_named_with_a_way_out(write: Write) -> None:
    file = write("temp_c_p10,temp_c_p90", "10,40", "10,40")
    assert refusal(file) == f"{file}, row 1: has temp_c_p10, temp_c_p90 and no temp_c_p50; add it, or pick one column, such as {file}:temp_c_p10"


def test_quantiles_that_cross_are_told_with_row_and_columns(write: Write) -> None:
    file = write("temp_c_p10,temp_c_p50,temp_c_p90", "10,20,30", "10,21,20.5")
    assert refusal(file) == (
        f"{file}, row 3, column temp_c_p90: 20.5 is below the 21 of temp_c_p50; mend the row: a higher quantile is never lower"
    )


def test_quantiles_in_a_foreign_unit_and_gaps_in_one_of_them_are_refused(write: Write) -> None:
    foreign = write("price_usd_per_mwh_p10,price_usd_per_mwh_p50,price_usd_per_mwh_p90", "1,2,3", "1,2,3")
    assert "unit usd_per_mwh of column price_usd_per_mwh is not the site's eur_per_mwh" in refusal(foreign, PRICE)
    assert "row 3, column load_kw_p50: no value" in refusal(write("load_kw_p10,load_kw_p50,load_kw_p90", "1,2,3", "1,,3"), LOAD)


def planned(**asked: object) -> Planned:
    """A plan of six hours of the demonstration site, by the hour."""
    made = plan(Request(str(DEMO), "2023-07-02T00:00:00Z", "6h", "1h", **asked))  # type: ignore[arg-type]
    assert not isinstance(made, Undecided)
    return made


def test_a_plan_keeps_its_limit_at_the_pessimistic_weather_and_load_and_tells_what_that_costs(write: Write) -> None:
    """Under a limit as low as what the expected forecast alone draws. A mean base load of 43 kW falls 2 : 1, as base_kw of the halls."""
    weather = write("temp_c_p10,temp_c_p50,temp_c_p90", *["18,20,32"] * 6, name="weather.csv")
    load = write("load_kw_p10,load_kw_p50,load_kw_p90", *["30,40,60"] * 6, name="load.csv")
    prices = write("price_eur_per_mwh", *["100", "200", "300", "300", "200", "100"], name="prices.csv")
    files = {"weather": weather, "load": load, "prices": prices}
    free = planned(**files)
    limit_kw = round(float(free.decided.plan.account.import_kw.max()))
    made = planned(**files, settings=(f"grid.import_limit_kw={limit_kw}",))
    state, told = made.decided.plan.account, summary(made)
    root = made.decided.plan.problem.feeders.index(made.decided.plan.problem.roots[0])
    assert (state.import_kw + state.uncertain_kw[root] <= limit_kw + 1e-6).all()
    assert state.uncertain_kw[root].min() > 20.0
    assert told["margin_price"] > 0
    assert told["status"] != "breached"
    assert made.decided.plan.problem.outdoor_c.tolist() == pytest.approx([23.0] * 6)
    assert [h.base(6).mean() for h in made.decided.plan.problem.halls] == pytest.approx([43 * 2 / 3, 43 / 3])
    assert "outdoor temperature: the mean of P10, P50 and P90 (0.3, 0.4, 0.3) is expected; limits hold at P90" in told["assumed"]
    assert "base load: --load in place of the halls' base_kw, in proportion to it" in told["assumed"]


def test_without_quantiles_nothing_is_held_back_and_a_load_file_is_the_halls_base(write: Write) -> None:
    """Twice the site file's base load draws at least that much more."""
    own_kw = sum(hall.base_kw for hall in planned().site.halls.values())
    made, plain = planned(load=write("load_kw", *[f"{2 * own_kw}"] * 6)), planned()
    assert summary(made)["margin_price"] is None
    assert not made.decided.plan.account.uncertain_kw.any()
    more_kwh = summary(made)["energy_kwh"] - summary(plain)["energy_kwh"]
    assert more_kwh > 6 * own_kw * 0.99
