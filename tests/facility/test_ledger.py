"""What was used of what is rationed by the hour, as the daemon counts it; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.site import Site
from tests.facility.test_daemon import NOW, SITE, House

WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
SLOW = Site.model_validate(WHOLE | {"contracts": {"c": WHOLE["contracts"]["c"] | {"greatest_slowdown": 2, "slow_hours": 1}}})


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", SLOW)
    yield made
    made.kill()


def seen(house: House) -> dict[str, Any]:
    """Make a plan; the snapshot that it was made from."""
    assert house.daemon.cycle().outcome == "published"
    record = house.journal.cycles(1)[0]
    snapshot: dict[str, Any] = msgspec.json.decode(record.inputs)["snapshot"]
    return snapshot


def cycles(house: House, count: int) -> None:
    """Let time pass, with a plan every five minutes."""
    for _ in range(count):
        house.clock.advance(300)
        house.daemon.cycle()


def restart(house: House, down_s: float) -> None:
    house.kill()
    house.clock.advance(down_s)
    house.open()
    house.daemon.start()


def test_slow_hours_are_counted_from_the_caps_that_were_sent_and_the_next_plan_has_as_much_less(slow: House) -> None:
    """250 W are speed 0.6: 0.4 of the half that twice slower withholds, so half an hour is 0.4 h of the hour of each day."""
    assert seen(slow)["slow_hours_used"] == {"c": 0.0}
    slow.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    cycles(slow, 6)
    plan = slow.daemon._governor.plan
    assert plan is not None
    budget = plan.plan.problem.firms[0].budget
    assert budget is not None
    assert budget.left_h == pytest.approx((0.6, 1.0))


def test_a_crash_forgets_no_slow_hour_and_what_was_sent_counts_until_it_lapses(slow: House) -> None:
    """0.4 h before; while nobody is there 250 W hold for the 900 s they were sent for, 0.2 h, and then the fallback's 400 W."""
    slow.daemon.cycle()
    slow.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    cycles(slow, 6)
    restart(slow, 1800)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.6)
    restart(slow, 0)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.6)


def test_a_new_day_has_all_its_slow_hours_and_the_old_one_stays_in_the_journal(slow: House) -> None:
    slow.daemon.cycle()
    slow.order("pool/h/p", "cap_w", 250, ttl_s=1800)
    cycles(slow, 6)
    slow.clock.advance(12 * 3600)
    assert seen(slow)["slow_hours_used"] == {"c": 0.0}
    kept = slow.journal.get(f"ledger slow c {NOW:%Y-%m-%d}")
    assert kept is not None
    assert msgspec.json.decode(kept) == pytest.approx(0.4)


def test_a_rental_at_full_speed_or_without_a_budget_uses_none(slow: House, tmp_path: Path) -> None:
    slow.daemon.cycle()
    cycles(slow, 3)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.0, abs=1e-6)
    plain = House(tmp_path / "other.sqlite", SITE)
    try:
        plain.order("pool/h/p", "cap_w", 250, ttl_s=7200)
        cycles(plain, 2)
        assert seen(plain)["slow_hours_used"] == {}
    finally:
        plain.kill()
