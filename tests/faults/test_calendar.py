"""Fault 50: nights in which a local clock is set, a day that four years lack, and the end of a year, lived through by the daemon.

A plan every half hour from eleven at night until four; whatever counts by the local calendar is checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from facility.daemon.margin import LEAST_SHARE
from facility.site import Site
from tests.facility.test_daemon import House
from tests.facility.test_rentals import WHOLE
from tests.faults.fault import Fault

ZONE, HALF, HOUR = ZoneInfo("Europe/Berlin"), timedelta(minutes=30), timedelta(hours=1)
LIMITED_KW = 3.0
NIGHTLY = Site.model_validate(WHOLE | {
    "timezone": "Europe/Berlin",
    "grid": {"import_limit_kw": 4, "limit_windows": [{"from_local": "02:00", "to_local": "03:00", "import_limit_kw": LIMITED_KW}]},
    "contracts": {"c": WHOLE["contracts"]["c"] | {"greatest_slowdown": 2.0, "slow_hours": 12.0, "slow_window": "day"}},
    "tariff": {"energy_price_per_mwh": 50, "demand_charges": {"peak": {"price_per_kw": 1}}},
})  # fmt: skip
"""Between two and three by the local clock 3 kW are allowed; the rental may be at half speed for twelve hours a day."""


@dataclass(frozen=True)
class Night:
    """`begins` is UTC; how many hours lie between midnight and four by the local clock, and how often the clock shows two or half past."""

    begins: datetime
    hours_to_four: int
    limited: int
    month_changes: bool = False


def local(*at: int) -> datetime:
    return datetime(*at, tzinfo=ZONE).astimezone(UTC)


NIGHTS = {
    "the night that lacks an hour": Night(local(2026, 3, 28, 23), 3, 0),
    "the night that has one twice": Night(local(2026, 10, 24, 23), 5, 4),
    "into a leap day": Night(local(2028, 2, 28, 23), 4, 2),
    "out of a leap day": Night(local(2028, 2, 29, 23), 4, 2, month_changes=True),
    "into a new year": Night(local(2026, 12, 31, 23), 4, 2, month_changes=True),
}


@dataclass(frozen=True)
class Seen:
    """What the daemon knew and planned at an instant."""

    at: datetime
    edges: tuple[datetime, ...]
    limit_kw: tuple[float, ...]
    slow_h: float
    peak_kw: float
    cap_w: int


def lived(house: House, until: datetime) -> Iterator[Seen]:
    """Go on by half hours, metered at 2 kW before midnight and at 1 kW after."""
    midnight = until.astimezone(ZONE).replace(hour=0, minute=0).astimezone(UTC)
    while house.clock.now() < until:
        for _ in range(30):
            sample = {"value": 2.0 if house.clock.now() < midnight else 1.0, "timestamp": int(house.clock.now().timestamp() * 1000)}
            house.say("tele/site/meter/main/import_kw", sample)
            house.clock.advance(60)
            house.settle()
        assert house.daemon.cycle().mode == "NORMAL", house.daemon.outcome
        assert not house.daemon.faults
        found, now = house.daemon.rooms.governor.plan, house.clock.now()
        assert found is not None
        snapshot = house.daemon.rooms.known.situation(now).snapshot
        limits_kw = tuple(float(kw) for kw in found.plan.problem.grid.limit_kw)
        yield Seen(now, found.edges, limits_kw, snapshot.slow_hours_used["c"], snapshot.peak_so_far_kw, house.caps()["c"])


@pytest.mark.parametrize("name", NIGHTS)
def test_fault_50_whatever_the_local_clock_does_hours_are_hours_and_windows_are_the_calendars(tmp_path: Path, fault: Fault, name: str) -> None:
    night = NIGHTS[name]
    begins = fault(lambda: night.begins) or local(2026, 3, 25, 23)
    until = begins.astimezone(ZONE).replace(hour=4) + timedelta(days=1)
    until = until.astimezone(UTC)
    midnight = until.astimezone(ZONE).replace(hour=0).astimezone(UTC)
    dates = (begins.astimezone(ZONE).month, begins.astimezone(ZONE).day, until.astimezone(ZONE).day)
    strange = (until - midnight != 4 * HOUR) or dates in {(2, 28, 29), (2, 29, 1), (12, 31, 1)}
    fault.proven(lambda: strange and begins == night.begins, "it is a night as any other", within_s=0)
    assert (until - midnight) // HOUR == night.hours_to_four

    house = House(tmp_path / "journal.sqlite", NIGHTLY, start=begins)
    house.say("meta/site/meter/main/import_kw", {"unit": "kW", "period_s": 60}, retain=True)
    assert house.daemon.cycle().mode == "NORMAL"
    assert house.order("pool/h/p", "cap_w", 250, ttl_s=4 * 3600)["status"] == "accepted"
    seen = list(lived(house, until))

    assert len(seen) == (until - begins) // HALF, "a cycle each half hour that there is"
    for it in seen:
        lengths = {(b - a) for a, b in pairwise(it.edges)}
        assert lengths == {timedelta(minutes=5), timedelta(minutes=15), HOUR}
        assert it.edges[-1] - it.edges[0] == 24 * HOUR
        for (a, b), limit_kw in zip(pairwise(it.edges), it.limit_kw, strict=True):
            touches = any((a + m * timedelta(minutes=5)).astimezone(ZONE).hour == 2 for m in range((b - a) // timedelta(minutes=5)))
            assert limit_kw == pytest.approx((1 - LEAST_SHARE) * (LIMITED_KW if touches else 4.0)), (a, b)
    assert sum(it.limit_kw[0] < LIMITED_KW for it in seen) == night.limited

    over = begins + 4 * HOUR
    assert {it.cap_w for it in seen if it.at < over} == {250}
    assert all(it.cap_w > 250 for it in seen if it.at >= over), "an override lasts as long as was said, not until a time by the clock"
    rate = seen[0].slow_h / (HALF / HOUR)
    assert 0.5 < rate <= 1
    for it in seen:
        if it.at < over:
            since = begins if it.at < midnight else midnight
            assert it.slow_h == pytest.approx(rate * ((it.at - since) / HOUR), abs=1e-6), "the budget of a day begins at its midnight"
    last = seen[-1]
    assert last.peak_kw == pytest.approx(1.0 if night.month_changes else 2.0), "the month's peak begins with the month"
    house.kill()
