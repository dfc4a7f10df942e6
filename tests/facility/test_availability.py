"""Availability of contracts, their interruptions and slow hours, and work per kWh, each by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from facility.availability.contract import TermsAt, availabilities
from facility.availability.interruptions import by_cause, interruptions
from facility.availability.windows import slow_windows
from facility.kpi.work import by_model, by_tenant
from facility.ladder import LADDER, Flexibility
from facility.site import Contract
from facility.usage.usage import QUARTER, Cause, Lack, Usage
from tests.facility.test_daemon import SITE

BERLIN, START = ZoneInfo("Europe/Berlin"), datetime(2026, 7, 1, 22, tzinfo=UTC)
"""Midnight in Berlin."""
TERMS = {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train"}


def had(quarter: int, *, gpus: float = 6, speed: float = 1.0, lacks: tuple[Lack, ...] = (), **more: Any) -> Usage:
    """What `c`, which rents 6 GPUs, had in a quarter: so many GPUs at a mean speed."""
    told = {"start": START + quarter * QUARTER, "hours": 0.25, "pool": "p", "workload": "c", "kind": "contract", "tenant": "t", "contract": "c"}
    counted = {"promised_gpu_h": 1.5, "reserved_gpu_h": 0.25 * gpus, "gpu_h": 0.25 * gpus, "speed_gpu_h": 0.25 * gpus * speed, "lacks": lacks}
    return Usage(**(told | counted | more))


def gone(gpus: float, since: datetime, hours: float = 0.25, cause: Cause = "gone") -> Lack:
    return Lack(cause, since, hours, gpus * hours)


def known(contracts: dict[str, Contract]) -> TermsAt:
    """Terms that hold all the time."""
    return lambda name, at: contracts.get(name)


def test_a_contract_has_what_ran_of_what_was_promised_and_is_owed_what_was_missed() -> None:
    """Of 4 quarters 2 GPUs are gone in the second, from its fifth minute on, and in the third."""
    since = START + QUARTER + timedelta(minutes=5)
    rows = [
        had(0),
        had(1, lacks=(gone(2, since, 1 / 6),), gpu_h=1.5 - 1 / 3, speed_gpu_h=1.5 - 1 / 3),
        had(2, gpus=4, lacks=(gone(2, since),)),
        had(3, speed=0.8, lacks=(Lack("power", START + 3 * QUARTER, 0.25, 0.0, 0.3),)),
    ]
    terms = {"c": Contract.model_validate(TERMS | {"penalty_per_gpu_h": 30, "floor_speed": 0.9})}
    (found,) = availabilities(rows, known(terms), START, START + 4 * QUARTER, BERLIN)
    assert found.availability == pytest.approx((6 - 1 / 3 - 0.5) / 6)
    assert found.speed == pytest.approx((6 - 1 / 3 - 0.5 - 0.3) / (6 - 1 / 3 - 0.5))
    assert found.missed_credit == pytest.approx(30 * (1 / 3 + 0.5))
    assert found.short_gpu_h == pytest.approx(0.1 * 1.5), "a tenth of speed is lacking in the last quarter"
    assert (found.counted_h, found.span_h) == (1.0, 1.0)
    assert found.by_cause == {"gone": (pytest.approx(5 / 6), 0.0), "power": (0.0, pytest.approx(0.3))}
    (one,) = found.interruptions
    assert (one.since, one.until, one.cause) == (since, START + 3 * QUARTER, "gone")
    assert (one.hours, one.gpus, one.missed_gpu_h) == pytest.approx((5 / 12, 2.0, 5 / 6))


def test_two_losses_with_a_whole_time_between_are_two_interruptions_and_two_causes_are_two() -> None:
    later = START + 3 * QUARTER
    rows = [had(0, lacks=(gone(1, START), gone(1, START, cause="pause"))), had(1), had(3, lacks=(gone(1, later),))]
    assert [(one.cause, one.since) for one in interruptions(rows)] == [("gone", START), ("pause", START), ("gone", later)]
    assert by_cause(rows) == {"gone": (pytest.approx(0.5), 0.0), "pause": (pytest.approx(0.25), 0.0)}


def test_whoever_may_pause_is_owed_nothing_and_terms_that_are_not_known_leave_credits_unknown() -> None:
    rows = [had(0, gpus=0, lacks=(gone(6, START, cause="pause"),))]
    terms = {"c": Contract.model_validate(TERMS | {"pausable": True, "penalty_per_gpu_h": 9})}
    (loose,) = availabilities(rows, known(terms), START, START + QUARTER, BERLIN)
    assert (loose.availability, loose.speed, loose.credit) == (0.0, None, 0.0)
    (unknown,) = availabilities(rows, known({}), START, START + QUARTER, BERLIN)
    assert (unknown.credit, unknown.floor_speed, unknown.availability) == (None, None, 0.0)


def test_credits_go_by_the_terms_of_the_time() -> None:
    """1.5 GPU h are missed at 10 each, then 1.5 at 20."""
    rows = [had(i, gpus=0, lacks=(gone(6, START),)) for i in (0, 1)]

    def terms_at(name: str, at: datetime) -> Contract:
        return Contract.model_validate(TERMS | {"penalty_per_gpu_h": 10 if at == START else 20})

    (found,) = availabilities(rows, terms_at, START, START + 2 * QUARTER, BERLIN)
    assert found.missed_credit == pytest.approx(1.5 * 10 + 1.5 * 20)


def test_a_gap_in_the_record_is_told_and_is_no_interruption() -> None:
    (found,) = availabilities([had(0), had(3)], known({}), START, START + 4 * QUARTER, BERLIN)
    assert (found.counted_h, found.span_h, found.availability) == (0.5, 1.0, 1.0)


def test_slow_hours_are_counted_by_the_windows_of_the_site_s_clock_and_credited() -> None:
    """T1 grants one hour a day at 1.2 times slower and pays 0.02: six slow quarters on the first day are half an hour too many."""
    rows = [had(i, slow_gpu_h=1.5) for i in range(6)] + [had(96 + i, slow_gpu_h=1.5) for i in range(2)]
    terms = {"c": Contract.model_validate(TERMS | {"tier": "T1"})}
    (found,) = availabilities(rows, known(terms), START, START + timedelta(days=2), BERLIN)
    assert [(window.window, window.used_h, window.over_h) for window in found.windows] == [("2026-07-02", 1.5, 0.5), ("2026-07-03", 0.5, 0.0)]
    assert found.over_budget_h == 0.5
    assert found.slow_credit == pytest.approx(8 * 1.5 * 0.02)


def test_a_week_that_a_month_cuts_off_is_not_whole() -> None:
    """July 2026 in Berlin: the 1st is a Wednesday and the 31st a Friday."""
    july = (datetime(2026, 6, 30, 22, tzinfo=UTC), datetime(2026, 7, 31, 22, tzinfo=UTC))
    weeks = slow_windows([], Flexibility(2.0, 4.0, "week", 0.0, None), *july, BERLIN)
    assert [(week.window, week.whole) for week in weeks] == [
        ("2026-27", False), ("2026-28", True), ("2026-29", True), ("2026-30", True), ("2026-31", False),
    ]  # fmt: skip
    assert [day.whole for day in slow_windows([], LADDER["T1"], *july, BERLIN)] == [True] * 31


def test_a_day_of_25_hours_is_one_window() -> None:
    autumn = datetime(2026, 10, 24, 22, tzinfo=UTC)
    days = slow_windows([had(0, start=autumn + timedelta(hours=24.5), slow_gpu_h=1.5)], LADDER["T1"], autumn, autumn + timedelta(hours=25), BERLIN)
    assert [(day.window, day.used_h, day.whole) for day in days] == [("2026-10-25", 0.25, True)]


def test_energy_of_a_pool_is_shared_out_by_who_was_expected_to_draw_it() -> None:
    """Of 4 kWh measured a contract is expected to draw 2, a job 1 and idle GPUs 1; in the second quarter nobody measured."""
    contract = had(0, expected_kwh=2.0)
    job = Usage(START, 0.25, "p", "j", "job", "u", gpu_h=0.5, speed_gpu_h=0.4, expected_kwh=1.0)
    free = Usage(START, 0.25, "p", "", "free", idle_kwh=1.0)
    energy = {("p", START): 8.0, ("p", START + QUARTER): float("nan")}
    tenants = {work.key: work for work in by_tenant([contract, job, free, had(1, expected_kwh=2.0)], energy)}
    assert {key: work.energy_kwh for key, work in tenants.items()} == pytest.approx({"t": 4.0, "u": 2.0, "": 2.0})
    assert tenants["u"].per_kwh == pytest.approx(0.2)
    assert tenants["t"].per_kwh == pytest.approx(1.5 / 4)
    assert tenants["t"].covered == 0.5
    (model,) = by_model(SITE, [contract, job, free], energy)
    assert (model.key, model.energy_kwh, model.per_kwh) == (SITE.pools["p"].gpu_model, pytest.approx(8.0), pytest.approx(1.9 / 8))
