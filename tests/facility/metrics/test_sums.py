"""Energy, money and waiting, added up by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facility.decision import Decision, JobOrder
from facility.metrics.sums import LONGEST_S, Sums
from facility.site import Site
from facility.snapshot import Job, Snapshot
from tests.facility.test_daemon import NOW, SITE

HALF_S = LONGEST_S / 2


def summed(import_kw: float | None, price_per_mwh: float, site: Site = SITE, speed: float = 1.0, hours: int = 1) -> Sums:
    """So many hours in which things are as they are said to be."""
    sums, snapshot = Sums(speed), Snapshot(NOW, import_kw=import_kw)
    for i in range(int(hours * 3600 / (HALF_S * speed)) + 1):
        sums.add(i * HALF_S, site, snapshot, price_per_mwh, None)
    return sums


def test_what_is_drawn_is_paid_at_the_energy_price() -> None:
    told = summed(120.0, 50.0).told
    assert (told.drawn_kwh, told.given_kwh) == pytest.approx((120.0, 0.0))
    assert (told.paid, told.earned) == pytest.approx((6.0, 0.0))


def test_at_a_negative_price_drawing_earns_and_no_sum_falls() -> None:
    told = summed(120.0, -50.0).told
    assert (told.paid, told.earned) == pytest.approx((0.0, 6.0))


@pytest.mark.parametrize(
    ("tariff", "price", "paid", "earned"),
    [({}, 50.0, 0.0, 6.0), ({}, -50.0, 6.0, 0.0), ({"export_fee_per_mwh": 20.0}, 50.0, 0.0, 3.6), ({"export_price_per_mwh": 10.0}, 50.0, 0.0, 1.2)],
)
def test_what_is_given_back_earns_what_the_tariff_says(tariff: dict[str, float], price: float, paid: float, earned: float) -> None:
    site = SITE.model_copy(update={"tariff": SITE.tariff.model_copy(update=tariff)})
    told = summed(-120.0, price, site).told
    assert (told.drawn_kwh, told.given_kwh) == pytest.approx((0.0, 120.0))
    assert (told.paid, told.earned) == pytest.approx((paid, earned))


def test_time_without_a_meter_is_counted_and_adds_no_energy() -> None:
    told = summed(None, 50.0).told
    assert (told.drawn_kwh, told.paid) == (0.0, 0.0)
    assert told.unmetered_s == pytest.approx(3600)


def test_what_nobody_looked_at_for_long_is_not_counted() -> None:
    sums, snapshot = Sums(), Snapshot(NOW, import_kw=100.0)
    for now_s in (0.0, 10.0, 10.0 + 2 * LONGEST_S):
        sums.add(now_s, SITE, snapshot, 50.0, None)
    assert sums.told.drawn_kwh == pytest.approx(100.0 * 10 / 3600)
    assert sums.told.unmetered_s == pytest.approx(2 * LONGEST_S)


def test_on_a_faster_clock_as_much_more_is_drawn() -> None:
    assert summed(120.0, 50.0, speed=60.0).told.drawn_kwh == pytest.approx(120.0)


def test_jobs_that_are_told_to_wait_are_counted_with_their_gpus_until_they_run() -> None:
    jobs = tuple(Job(name, pool, "train", gpus, 1.0, NOW, NOW) for name, pool, gpus in (("a", "p", 2), ("b", "p", 3), ("c", "q", 5)))
    snapshot = Snapshot(NOW, jobs)
    holds = Decision(NOW, NOW, (), (JobOrder("a", "hold", 2), JobOrder("b", "run", 3), JobOrder("c", "hold", 5)))
    runs = replace(holds, jobs=tuple(replace(order, action="run") for order in holds.jobs))
    sums = Sums()
    for now_s, in_force in ((0.0, holds), (10.0, holds), (20.0, holds), (30.0, runs)):
        sums.add(now_s, SITE, snapshot, 50.0, in_force)
    assert sums.told.deferred_gpu_s == {"p": 40.0, "q": 100.0}
