"""Gaps of meters: filled as it is said, and never silently."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.facility.bill.made import metering, of, reckoned, site, usage
from tests.facility.bill.test_rules import KW, ONE

NAN = float("nan")
FIVE = {key: values * 5 for key, values in KW.items()}
"""Five quarters alike."""


def five(**more: Any) -> list[Any]:
    return [usage(slot, "p", "c", 0.4, kept=1.5, tenant="t", **more) for slot in range(5)]


def test_a_whole_meter_has_no_gap_and_is_not_provisional() -> None:
    _, energy, _ = reckoned(ONE, 1, KW)
    assert (energy.gaps, energy.provisional) == ((), ())


def test_a_gap_of_the_meter_is_filled_by_the_intervals_around_it_and_makes_the_bill_provisional() -> None:
    _, energy, bill = reckoned(five(), 5, FIVE | {"site/meter/main/import_kw": [20.0, NAN, NAN, 32.0, NAN]})
    assert energy.import_kwh.tolist() == pytest.approx([5.0, 6.0, 7.0, 8.0, 8.0])
    assert energy.provisional == ("the meter was not read in 3 of 5 intervals",)
    assert bill.document()["status"] == "provisional"
    assert "site/meter/main/import_kw: no reading in 3 of 5 intervals; filled by the intervals around the gap" in bill.gaps


def test_without_any_reading_of_the_meter_what_hangs_below_it_stands_for_it() -> None:
    """1.1 x (1 + 1.5 + 0.5) under the UPS, and 0.75 + 0.5 beside it."""
    _, energy, bill = reckoned(ONE, 1, {key: values for key, values in KW.items() if "meter" not in key})
    assert energy.import_kwh.tolist() == pytest.approx([1.1 * 3.0 + 1.25])
    assert bill.provisional == ("nothing was read of the meter",)
    assert "with losses by the site file" in bill.gaps[0]


def test_a_gap_of_a_pool_is_what_was_expected_there_and_where_nobody_counted_what_was_around_it() -> None:
    found = [row for row in five() if row.start.minute != 30]
    _, energy, bill = reckoned(found, 5, FIVE | {"h/pool/p/it_power_kw": [4.0, NAN, NAN, 8.0, 8.0]})
    assert energy.pool_kwh["p"].tolist() == pytest.approx([1.0, 0.4, 1.2, 2.0, 2.0])
    filled = [gap.rpartition("; filled by ")[2] for gap in bill.gaps]
    assert filled == ["what was expected of who ran there", "the intervals around the gap"]


def test_a_gap_of_a_pool_in_a_quarter_that_was_counted_in_part_is_no_part_of_its_energy() -> None:
    """Counted for 6 of 15 minutes, as a daemon that began amid the quarter does."""
    found = [replace(row, hours=0.1, expected_kwh=0.16) if row.start.minute == 15 else row for row in five()]
    _, energy, bill = reckoned(found, 5, FIVE | {"h/pool/p/it_power_kw": [4.0, NAN, 8.0, 8.0, 8.0]})
    assert energy.pool_kwh["p"].tolist() == pytest.approx([1.0, 1.5, 2.0, 2.0, 2.0])
    assert bill.gaps == ("h/pool/p/it_power_kw: no reading in 1 of 5 intervals; filled by the intervals around the gap",)


def test_a_plant_and_a_battery_without_a_meter_are_named_and_are_among_the_losses() -> None:
    _, energy, bill = reckoned(ONE, 1, {key: values for key, values in KW.items() if "cooling" not in key and "battery" not in key})
    assert energy.losses_kwh.tolist() == pytest.approx([2.0])
    assert "cooling plant chill: no meter tells its power; what it drew is among the losses" in bill.assumed
    assert "battery b: no meter tells its power; what it drew is among the losses" in bill.assumed
    assert any("base load of h: its base_kw, 2 kW" in said for said in bill.assumed)


def test_a_solar_plant_without_a_meter_is_named_and_makes_the_losses_less() -> None:
    plant = {"feeder": "main", "peak_kw": 20, "output_by_hour_kw_per_kwp": [0.5] * 24}
    kw = KW | {"site/meter/main/import_kw": [16.0], "site/solar/s/power_kw": [4.0]}
    said = "solar plant s: no meter tells its power; what it gave makes the losses less"
    _, metered_kwh, bill = reckoned(ONE, 1, kw, site(solar={"s": plant | {"metered": True}}))
    assert said not in bill.assumed
    _, energy, unmetered = reckoned(ONE, 1, kw, site(solar={"s": plant}))
    assert said in unmetered.assumed
    assert (metered_kwh.losses_kwh - energy.losses_kwh).tolist() == pytest.approx([1.0])


def test_where_nobody_counted_all_is_the_site_s_own() -> None:
    found, _, _ = reckoned([], 1, KW)
    assert of(found, found.energy_kwh, "") == pytest.approx(5.0)
    assert len(found.lines) == 1


def test_a_point_that_was_never_read_is_missing_and_not_nought() -> None:
    assert all(value != value for value in metering(3, {}).of("h/pool/p/it_power_kw"))  # noqa: PLR0124
