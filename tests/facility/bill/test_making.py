"""A bill out of a journal and a history that were kept: partly counted, condensed, of a month with a change of the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.bill.billed import Billed
from facility.bill.making import Request, make
from facility.clock import milliseconds
from facility.history import GOOD, default_place, open_history
from facility.history.retention import Retention
from facility.journal.journal import Journal
from facility.site import Retention as Kept
from facility.usage.usage import QUARTER, Usage
from tests.facility.bill.made import TOLD

KW = {"site/meter/main/import_kw": 20.0, "h/pool/p/it_power_kw": 4.0, "h/pool/q/it_power_kw": 6.0, "site/cooling/chill/power_kw": 3.0,
      "site/battery/b/power_kw": 2.0}  # fmt: skip
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def keep(folder: Path, start: datetime, quarters: int, *, counted: Callable[[int], bool] = lambda _: True, **told: Any) -> Request:
    """Write a site, a history with a reading every five minutes, and a journal in which `counted` quarters stand."""
    site = TOLD | told
    (folder / "site.yaml").write_text(json.dumps(site))
    history = open_history(default_place("s", folder), "s")
    for i in range(quarters * 3):
        at_ms = milliseconds(start + i * timedelta(minutes=5))
        history.write([entry for key, kw in KW.items() for entry in (at_ms, key, kw, GOOD)])
    history.close()
    with Journal(folder / "s.sqlite") as journal:
        rows = {}
        for i in range(quarters):
            at = start + i * QUARTER
            if counted(i):
                c = Usage(at, 0.25, "p", "c", "contract", "t", "c", 1.5, 1.5, 1.5, 1.5, 0.5)
                d = Usage(at, 0.25, "q", "d", "contract", "u", "d", 1.25, 1.25, 1.25, 1.25, 0.5)
                rows[at] = (c, Usage(at, 0.25, "p", "", "free", idle_kwh=0.1), d, Usage(at, 0.25, "q", "", "free", idle_kwh=0.1))
        journal.record_usage(rows, "usage", msgspec.json.encode({}))
    return Request(str(folder / "site.yaml"), start=None, end=None, state=folder / "s.sqlite")


def made(asked: Request, **more: Any) -> Billed:
    return make(replace(asked, **more), LATER, lambda *_: None)


@pytest.mark.parametrize(("month", "hours"), [("2026-03", 743), ("2026-10", 745)])
def test_a_month_with_a_change_of_the_clock_is_billed_by_its_own_hours(tmp_path: Path, month: str, hours: int) -> None:
    start = {"2026-03": datetime(2026, 2, 28, 23, tzinfo=UTC), "2026-10": datetime(2026, 9, 30, 22, tzinfo=UTC)}[month]
    hourly = {"energy_price_by_hour_per_mwh": [100.0] * 24, "standing_charge_per_month": 70.0}
    bill = made(keep(tmp_path, start, hours * 4, timezone="Europe/Berlin", tariff=hourly), month=month)
    assert bill.provisional == ()
    assert bill.whole.figures["energy_kwh"] == pytest.approx(20.0 * hours)
    assert bill.money(bill.whole.units["energy"]) == pytest.approx(2.0 * hours)
    assert bill.money(bill.whole.units["standing"]) == pytest.approx(70.0)
    assert sum(account.entry.figures["promised_gpu_h"] for account in bill.accounts) == pytest.approx(11 * hours)


def test_quarters_that_nobody_counted_are_the_site_s_own_and_said(tmp_path: Path) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    bill = made(keep(tmp_path, start, 96, counted=lambda i: i % 4 != 0), start="2026-07-01", end="2026-07-02")
    assert "usage was not wholly counted in 24 of 96 intervals" in bill.provisional
    assert any("usage: not wholly counted in 24 of 96" in gap for gap in bill.gaps)
    whole = made(keep_again(tmp_path, start), start="2026-07-01", end="2026-07-02")
    t, all_t = (next(a.entry.figures["energy_kwh"] for a in b.accounts if a.tenant == "t") for b in (bill, whole))
    assert t == pytest.approx(0.75 * all_t)
    assert bill.whole.figures["energy_kwh"] == pytest.approx(whole.whole.figures["energy_kwh"])


def test_a_redundant_meter_stands_in_for_one_that_told_nothing(tmp_path: Path) -> None:
    start, key, other = datetime(2026, 7, 1, tzinfo=UTC), "site/meter/main/import_kw", "site/meter/main-b/import_kw"
    asked = keep(tmp_path, start, 8, sensors={key: {"redundant": [other]}})
    with closing(open_history(default_place("s", tmp_path), "s")) as history:
        at_ms = milliseconds(start + timedelta(hours=2))
        history.write([entry for each, kw in (KW | {key: 28.0}).items() for entry in (at_ms + 2 * 900_000, each, kw, GOOD)])
        history.write([at_ms, other, 40.0, GOOD])
    with Journal(tmp_path / "s.sqlite") as journal:
        free = {start + i * QUARTER: tuple(Usage(start + i * QUARTER, 0.25, pool, "", "free") for pool in "pq") for i in (8, 9, 10)}
        journal.record_usage(free, "usage", msgspec.json.encode({}))
    bill = made(asked, start="2026-07-01", end="2026-07-01T02:45")
    assert f"{key}: no reading in 1 of 11 intervals; filled by {other}, redundant to it" in bill.gaps
    assert bill.provisional == ("the meter was not read in 1 of 11 intervals",)
    assert bill.whole.figures["energy_kwh"] == pytest.approx(8 * 5.0 + 10.0 + 8.5 + 7.0)


def test_usage_of_a_pool_that_the_site_file_does_not_have_is_left_out_aloud(tmp_path: Path) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    asked = keep(tmp_path, start, 8)
    span = {"start": "2026-07-01", "end": "2026-07-01T02:00"}
    before = made(asked, **span)
    assert before.gaps == ()
    with Journal(tmp_path / "s.sqlite") as journal:
        at = start + 3 * QUARTER
        rows = (*journal.usage(at, at + QUARTER), Usage(at, 0.5, "gone", "c", "contract", "t", "c", 1.5, 1.5, 1.5, 1.5, 0.5))
        journal.record_usage({at: rows}, "usage", msgspec.json.encode({}))
    after = made(asked, **span)
    assert after.gaps == ("usage: the site file has no pool gone; what was had there is left out, rent and credits with it",)
    assert after.whole == before.whole


def keep_again(folder: Path, start: datetime) -> Request:
    other = folder / "whole"
    other.mkdir()
    return keep(other, start, 96)


def test_a_history_that_was_condensed_is_billed_alike_and_short_intervals_become_quarters(tmp_path: Path) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    fine = {"energy_price_per_mwh": 100, "peak_price_per_kw": 31, "billing_interval_min": 5}
    asked = keep(tmp_path, start, 96, tariff=fine)
    before = made(asked, start="2026-07-01", end="2026-07-02")
    history = open_history(default_place("s", tmp_path), "s")
    retention = Retention(history, Kept(raw_days=1, minute_days=2))
    while retention.slice(milliseconds(LATER)):
        pass
    history.close()
    after = made(asked, start="2026-07-01", end="2026-07-02")
    assert after.whole.figures["energy_kwh"] == pytest.approx(before.whole.figures["energy_kwh"])
    assert after.whole.units == before.whole.units
    assert not any("intervals: the history keeps" in said for said in before.assumed)
    assert "intervals: the history keeps means of 15 min of that time, peaks are of those" in after.assumed
    assert (before.gaps, after.gaps) == ((), ())


def test_a_month_that_is_not_over_is_billed_until_now_and_provisional(tmp_path: Path) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    asked = replace(keep(tmp_path, start, 96), month="2026-07")
    bill = make(asked, start + timedelta(hours=12, minutes=7), lambda *_: None)
    assert bill.provisional == ("2026-07 is not over: it is billed until 2026-07-01 23:45 UTC",)  # the newest reading is of then
    assert bill.whole.figures["energy_kwh"] == pytest.approx(20.0 * 23.75)
