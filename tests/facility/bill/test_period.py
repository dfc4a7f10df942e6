"""Which span a bill is for, and what a kWh cost in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facility.bill.period import period_of
from facility.bill.prices import prices_of
from facility.errors import InputError
from facility.forecast import Past
from facility.inputs.series import PRICE, Series
from facility.steps import as_datetime64, uniform
from tests.facility.bill.made import QUARTER, START, TOLD, site

LATER = datetime(2027, 1, 1, tzinfo=UTC)
BERLIN = site(timezone="Europe/Berlin")


@pytest.mark.parametrize(("month", "hours"), [("2026-03", 743), ("2026-10", 745), ("2026-02", 672), ("2024-02", 696), ("2026-12", 744)])
def test_a_month_is_the_local_one_with_its_days_of_23_and_25_hours(month: str, hours: int) -> None:
    found = period_of(BERLIN, LATER, month, None, None)
    assert found.hours == hours
    assert found.is_over
    assert found.name == month


def test_a_month_that_is_not_over_is_billed_to_the_last_quarter_that_is() -> None:
    found = period_of(BERLIN, datetime(2026, 7, 9, 12, 8, tzinfo=UTC), "2026-07", None, None)
    assert (found.end, found.is_over) == (datetime(2026, 7, 9, 12, tzinfo=UTC), False)
    assert found.whole_end == datetime(2026, 7, 31, 22, tzinfo=UTC)


def test_a_span_has_its_days_for_a_name_and_short_intervals_short_slots() -> None:
    found = period_of(site(tariff=TOLD["tariff"] | {"billing_interval_min": 5}), LATER, None, "2026-07-03", "2026-07-05T06:15")
    assert (found.name, found.slot) == ("2026-07-03--2026-07-05T0615", timedelta(minutes=5))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("2026-13", None, None), "is no month"), (("0000-01", None, None), "is no month"), (("9999-12", None, None), "is no month"),
        (("\uff12\uff10\uff12\uff16-07", None, None), "is no month"), ((None, None, None), "give --month"),
        (("2026-07", "2026-07-01", "2026-07-02"), "give --month"),
        ((None, "2026-07-02", "2026-07-02"), "not after"), ((None, "2026-07-02T00:07", "2026-07-03"), "amid a quarter"),
        (("2027-02", None, None), "nothing of it is over"),
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused(asked: tuple[str | None, str | None, str | None], says: str) -> None:
    with pytest.raises(InputError, match=says):
        period_of(BERLIN, LATER, *asked)


def series(*rows: tuple[int, int, float]) -> Series:
    """Rows of (first minute, last minute, value)."""
    times = [as_datetime64([START + timedelta(minutes=row[i]) for row in rows]) for i in (0, 1)]
    return Series("", "", *times, np.array([row[2] for row in rows], float))


def test_a_step_has_the_mean_of_what_covers_it_wholly_and_nothing_else() -> None:
    edges = as_datetime64(uniform(START, START + 5 * QUARTER, QUARTER))
    found = series((0, 15, 10.0), (15, 20, 20.0), (20, 40, 50.0), (45, 75, 7.0)).covered(edges)
    assert found.tolist() == pytest.approx([10.0, 40.0, float("nan"), 7.0, 7.0], nan_ok=True)
    assert np.isnan(series().covered(edges)).all()


def test_what_was_told_goes_before_the_site_s_own_and_a_file_before_both(tmp_path: Path) -> None:
    edges = uniform(START, START + 4 * QUARTER, QUARTER)
    past = Past()
    past.tell(PRICE, series((0, 30, 55.0)), START)
    found = prices_of(site(), edges, past.changed())
    assert found.energy_per_mwh.tolist() == [55.0, 55.0, 100.0, 100.0]
    assert found.assumed[:2] == (
        "price: as it was told, of 2 of 4 intervals",
        "price: the site's tariff.energy_price_per_mwh, 100, of 2 of 4 intervals",
    )
    file = tmp_path / "prices.csv"
    file.write_text("time,price_eur_per_mwh\n2026-07-01T00:00Z,1\n2026-07-01T00:30Z,2\n")
    told = prices_of(site(), edges, past.changed(), prices=str(file))
    assert told.energy_per_mwh.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert told.assumed[0] == f"price: {file}:price_eur_per_mwh"


def test_fees_and_tax_come_on_top_and_what_is_sold_has_its_own_price() -> None:
    taxed = site(tariff={"energy_price_per_mwh": 100, "fees_per_mwh": 20, "tax_share": 0.5, "export_fee_per_mwh": 30})
    found = prices_of(taxed, uniform(START, START + QUARTER, QUARTER), {})
    assert found.fees_per_mwh.tolist() == pytest.approx([20 + 60])
    assert found.sold_per_mwh.tolist() == [70.0]
