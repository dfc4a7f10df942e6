"""The guard at the grid connection: batteries there charge less before caps give way, and what gave way comes back as the meter shows room.

The site is that of `test_guard` with a battery under the root: three pools of 20 kW, and what chillers need.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from facility.daemon.guard.cuts import tightened
from facility.daemon.holding.charging import below
from facility.daemon.holding.overrule import import_kw
from facility.decision import BatteryOrder, CoolingOrder, Decision
from facility.site import Site
from tests.facility.test_guard import RAW, Post

BATTERY = {"feeder": "root", "capacity_kwh": 400, "charge_kw": 50, "discharge_kw": 50}
LIMIT_KW = 110.0
SITE = Site.model_validate(RAW | {"grid": {"import_limit_kw": LIMIT_KW}, "batteries": {"x": BATTERY}})


class AtGrid(Post):
    """A guard where a plan that charges with `charge_kw` is followed."""

    def __init__(self, charge_kw: float) -> None:
        super().__init__(SITE)
        self.followed = self.in_force = replace(self.in_force, batteries=(BatteryOrder("x", charge_kw),))

    def look(self, seconds: float = 0.5, defiant: tuple[str, ...] = (), **seen: Any) -> dict[str, int]:
        self.now += timedelta(seconds=seconds)
        here = self.here(**seen)
        less = self.guard.look(here, self.in_force, defiant, self.followed)
        if less is None and self.guard.eased and self.now < self.followed.until:
            less = self.guard.bounded(self.followed, here)
        if less is not None:
            self.guard.sent(self.in_force, less, here)
            self.in_force = less
        return self.caps_w()

    def shows(self, kw: float, seconds: float = 20.0) -> float:
        """The meter shows `kw` after a while; what the battery is charged with then, kW."""
        self.look(seconds, import_high_kw=kw)
        return self.charge_kw

    @property
    def charge_kw(self) -> float:
        return self.in_force.batteries[0].power_kw

    @property
    def import_kw(self) -> float:
        """What is expected of what is in force."""
        return import_kw(SITE, self.in_force, self.here().snapshot, 30.0)

    def plan(self, charge_kw: float, *, shown_kw: float) -> Decision:
        """A plan that charges with so much is concluded; what is sent."""
        here = self.here(import_high_kw=shown_kw)
        self.followed = replace(self.followed, batteries=(BatteryOrder("x", charge_kw),))
        self.guard.await_room(here, self.in_force, self.followed)
        self.in_force = self.guard.bounded(self.followed, here)
        return self.in_force


def test_a_battery_charges_by_so_much_less_as_must_go_and_caps_stay() -> None:
    """5 kW above the limit: down to 97.5 % of it, 7.75 kW less."""
    post = AtGrid(40.0)
    assert post.shows(LIMIT_KW + 5) == pytest.approx(40 - 7.75, abs=0.1)
    assert set(post.caps_w().values()) == {300}


def test_where_the_battery_is_not_enough_caps_give_way_as_well() -> None:
    post = AtGrid(4.0)
    assert post.shows(LIMIT_KW + 10) == 0.0
    assert all(100 < cap_w < 300 for cap_w in post.caps_w().values())


def test_where_less_charging_does_not_show_within_15_seconds_there_is_none() -> None:
    post = AtGrid(40.0)
    post.shows(LIMIT_KW + 5)
    assert post.shows(LIMIT_KW + 5, 1.0) > 0
    assert post.shows(LIMIT_KW + 5, 14.0) == 0.0


def test_a_plan_within_the_first_minute_charges_no_more_than_was_left() -> None:
    post = AtGrid(40.0)
    left_kw = post.shows(LIMIT_KW + 5)
    post.shows(0.99 * LIMIT_KW)
    assert post.guard.bounded(post.followed, post.here()).batteries[0].power_kw == left_kw


def test_after_a_minute_of_room_as_much_comes_back_as_the_meter_has_room_for() -> None:
    post = AtGrid(40.0)
    left_kw = post.shows(LIMIT_KW + 5)
    for kw, seconds in ((0.97 * LIMIT_KW, 20.0), (0.97 * LIMIT_KW, 59.0)):
        assert post.shows(kw, seconds) == left_kw
    expected_kw = post.import_kw
    assert left_kw < post.shows(0.97 * LIMIT_KW, 1.0) < 40
    assert post.import_kw - expected_kw == pytest.approx(0.02 * LIMIT_KW, abs=0.1), "97 % are shown, 99 % aimed at"
    assert post.guard.says
    some_kw = post.charge_kw
    for seconds in (1.0, 59.0):
        assert post.shows(0.9 * LIMIT_KW, seconds) == some_kw
    assert post.shows(0.9 * LIMIT_KW, 1.0) == 40
    assert not post.guard.says


def test_no_more_comes_back_where_the_meter_stays_near_the_limit() -> None:
    post = AtGrid(40.0)
    left_kw = post.shows(LIMIT_KW + 5)
    assert [post.shows(0.98 * LIMIT_KW, 60.0) for _ in range(5)] == [left_kw] * 5


def test_caps_come_back_too() -> None:
    post = AtGrid(0.0)
    post.look(20, import_high_kw=LIMIT_KW + 10)
    assert max(post.caps_w().values()) < 300
    for _ in range(2):
        post.look(60, import_high_kw=0.7 * LIMIT_KW)
    assert set(post.caps_w().values()) == {300}
    assert not post.guard.says


def test_where_nothing_is_followed_the_cut_is_just_over() -> None:
    post = AtGrid(40.0)
    left_kw = post.shows(LIMIT_KW + 5)
    post.followed = replace(post.followed, until=post.now)
    for _ in range(2):
        post.shows(0.9 * LIMIT_KW, 60.0)
    assert (post.charge_kw, post.guard.says) == (left_kw, "")


def test_a_battery_waits_where_the_meter_has_no_room_yet_for_what_a_plan_has_it_charge_and_then_does() -> None:
    """90 kW are shown while none is charged, so that 18.9 kW go at once; when halls have warmed up and 95 kW are shown, so many more."""
    post = AtGrid(0.0)
    sent = post.plan(40.0, shown_kw=90.0)
    assert sent.batteries[0].power_kw == pytest.approx(0.99 * LIMIT_KW - 90, abs=0.1)
    assert set(post.caps_w().values()) == {300}
    assert post.guard.says == "the meter showed 90.0 of 110 kW: batteries wait for room"
    waits_kw = post.charge_kw
    assert post.shows(0.985 * LIMIT_KW) == waits_kw, "no room yet"
    assert post.shows(95.0, 1.0) == waits_kw
    assert post.shows(95.0, 15.0) == pytest.approx(waits_kw + 0.99 * LIMIT_KW - 95, abs=0.1)
    for seconds in (1.0, 14.9):
        assert post.shows(95.0, seconds) < 40.0
    assert post.shows(95.0, 0.1) == 40.0
    assert not post.guard.says


def test_what_halls_do_later_in_a_plans_first_step_is_no_room_at_once() -> None:
    """While its halls warm up by 3 K in a quarter of an hour a plan expects less of the chillers than they draw now."""
    post = AtGrid(0.0)
    shown_kw = post.import_kw
    warms = (CoolingOrder("c", (("h", 27.0), ("k", 27.0))),)
    post.followed = replace(post.followed, cooling=warms, first_step_s=900.0)
    here = post.here(import_high_kw=shown_kw, hall_c={"h": 24.0, "k": 24.0})
    wanted = replace(post.followed, batteries=(BatteryOrder("x", 36.0),))
    room_kw = 0.99 * LIMIT_KW - shown_kw
    assert import_kw(SITE, wanted, here.snapshot, 30.0) < LIMIT_KW < shown_kw + 36
    post.guard.await_room(here, post.in_force, wanted)
    assert post.guard.bounded(wanted, here).batteries[0].power_kw == pytest.approx(room_kw, abs=0.1)


def test_a_battery_that_waits_takes_nothing_from_the_next_plan() -> None:
    post = AtGrid(0.0)
    post.plan(40.0, shown_kw=90.0)
    assert tightened(post.guard.cuts, post.here()).asked.import_limit_kw[0] == LIMIT_KW
    post.plan(5.0, shown_kw=90.0)
    assert (post.charge_kw, post.guard.says) == (5.0, "")


def test_nothing_waits_where_nobody_measures_or_no_battery_charges_more() -> None:
    post = AtGrid(30.0)
    assert post.plan(20.0, shown_kw=LIMIT_KW).batteries[0].power_kw == 20.0
    post.guard.await_room(post.here(), post.in_force, replace(post.followed, batteries=(BatteryOrder("x", 40.0),)))
    assert not post.guard.says


def test_a_cut_that_was_measured_is_not_lifted_by_a_plan_that_begins() -> None:
    post = AtGrid(40.0)
    left_kw = post.shows(LIMIT_KW + 5)
    assert post.plan(40.0, shown_kw=80.0).batteries[0].power_kw == left_kw
    assert post.guard.says.endswith("caps give way")


def test_batteries_hang_below_their_feeders_and_the_groups_that_those_are_of() -> None:
    site = Site.model_validate(RAW | {"batteries": {"x": BATTERY, "y": BATTERY | {"feeder": "bus-a"}}})
    assert below(site, frozenset({"root"})) == {"x", "y"}
    assert below(site, frozenset({"ups"})) == below(site, frozenset({"a"})) == {"y"}
    assert below(site, frozenset({"b", "mech"})) == frozenset()
