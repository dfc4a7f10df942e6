"""Each invariant tells what breaks it, and nothing of what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.bus.messages import Status
from facility.decision import CapGroup, PoolCaps
from facility.invariants import availability, contracts, integrity, people, plant
from facility.invariants.broken import Broken, above, outside
from facility.invariants.ceiling import caps_of, ceiling, part, ways
from facility.site import Site
from facility.snapshot import Job
from facility.verify import fallback_caps
from facility.verify.loads import carriers

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
S = timedelta(seconds=1)
PLANT = {
    "feeder": "main", "design_heat_kw": 20, "max_heat_kw": 30, "pump_kw": 1, "fan_kw": 1, "cop_at_25c": 4,
    "store": {"capacity_kwh": 10, "charge_kw": 5, "discharge_kw": 4},
    "set_point": {"levels_c": [16, 20], "usual_c": 16, "cop_gain_per_k": 0.1, "free_cooling_shift_per_k": 1, "approach_k_per_kw": 0.1},
}  # fmt: skip
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 100},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": [
        {"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}},
    "feeders": {"main": {"rating_kw": 10}, "a": {"rating_kw": 5, "parent": "main", "redundancy_group": "ab"},
                "b": {"rating_kw": 4, "parent": "main", "redundancy_group": "ab"}},
    "halls": {"h": {"feeder": "main", "thermal": {"cooling_plant": "c", "heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 5, "start_c": 22,
              "recommended_min_c": 18, "recommended_max_c": 27, "allowable_max_c": 32}}, "bare": {"feeder": "main"}},
    "cooling_plants": {"c": PLANT, "plain": {"feeder": "main", "design_heat_kw": 20, "max_heat_kw": 30, "pump_kw": 1, "fan_kw": 1, "cop_at_25c": 4}},
    "pools": {"p": {"hall": "h", "feeder": "a", "gpu_model": "g", "gpus": 10}}, "jobs": {"curve": "train"}, "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 2, "curve": "train", "value_per_gpu_h": 2}},
    "batteries": {"x": {"feeder": "main", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3}},
    "gensets": {"d": {"feeder": "main", "max_kw": 10, "min_load_share": 0.3, "fuel_price_per_mwh": 300}},
    "solar": {"roof": {"feeder": "main", "peak_kw": 3, "output_by_hour_kw_per_kwp": [0.5] * 24}},
}  # fmt: skip
SITE = Site.model_validate(RAW)


def numbers(found: tuple[Broken, ...]) -> list[tuple[int, str]]:
    return [(one.number, one.asset) for one in found]


def test_what_is_broken_tells_itself_in_a_line_with_and_without_numbers() -> None:
    assert str(Broken(16, "s", "two writers")) == "I16 s: two writers"
    assert str(above(1, "main", "too much", float("nan"), 5.0, "kW")[0]) == "I1 main: too much (5 kW)"
    assert [outside(3, "b", "no", value, -1.0, 2.0, "kW")[0].allowed for value in (-2.0, 3.0, float("inf"))] == [-1.0, 2.0, 2.0]
    assert outside(3, "b", "no", 2.0, -1.0, 2.0, "kW") == above(1, "b", "no", 2.0, 2.0, "kW") == ()


def test_i1_a_feeder_and_what_is_left_of_a_group_carry_what_is_drawn_and_what_may_be() -> None:
    ratings = {name: feeder.rating_kw for name, feeder in SITE.feeders.items()}
    assert plant.carried({"main": 10.0, "a": 5.0, "b": 4.0}, ratings) == ()
    assert numbers(plant.carried({"main": 10.1, "a": 5.1, "b": 4.0}, ratings)) == [(1, "main"), (1, "a")]
    assert plant.carried_at_worst(carriers(SITE), {"main": 10.0, "a": 4.0, "b": 0.0}) == ()
    assert numbers(plant.carried_at_worst(carriers(SITE), {"main": 10.0, "a": 4.0, "b": 0.1})) == [(1, "ab")]


def test_i2_no_hall_is_warmer_than_it_may_be() -> None:
    assert plant.no_warmer({"h": 32.0, "bare": 90.0}, SITE) == ()
    assert numbers(plant.no_warmer({"h": 32.1}, SITE)) == [(2, "h")]


def test_i3_caps_and_set_points_are_what_gear_can_be_set_to() -> None:
    assert plant.settable(SITE, PoolCaps("p", 100, (CapGroup("j", 10, 400),))) == ()
    assert numbers(plant.settable(SITE, PoolCaps("p", 99, (CapGroup("j", 11, 401),)))) == [(3, "p"), (3, "p/j"), (3, "p")]
    assert numbers(plant.settable(SITE, PoolCaps("nowhere", 100))) == [(3, "nowhere")]
    assert plant.battery_takes(SITE, "x", 4.0) == plant.battery_takes(SITE, "x", -3.0) == ()
    assert numbers(plant.battery_takes(SITE, "x", -3.1) + plant.battery_takes(SITE, "y", 0.0)) == [(3, "x"), (3, "y")]
    assert plant.genset_gives(SITE, "d", 0.0) == plant.genset_gives(SITE, "d", 3.0) == plant.genset_gives(SITE, "d", 10.0) == ()
    assert numbers(plant.genset_gives(SITE, "d", 2.9) + plant.genset_gives(SITE, "e", 0.0)) == [(3, "d"), (3, "e")]
    assert plant.solar_gives(SITE, "roof", None) == plant.solar_gives(SITE, "roof", 3.0) == ()
    assert numbers(plant.solar_gives(SITE, "roof", 3.1) + plant.solar_gives(SITE, "sea", None)) == [(3, "roof"), (3, "sea")]


def test_i3_a_cooling_plant_is_told_of_its_own_halls_levels_and_tank() -> None:
    assert plant.cooling_holds(SITE, "c", {"h": 27.0}, 20.0, -4.0) == plant.cooling_holds(SITE, "plain", {}, None, None) == ()
    assert numbers(plant.cooling_holds(SITE, "c", {"h": 32.1, "bare": 20.0, "no": 20.0}, 18.0, 5.1)) == [
        (3, "h"), (3, "bare"), (3, "no"), (3, "c"), (3, "c"),
    ]  # fmt: skip
    assert numbers(plant.cooling_holds(SITE, "c", {"h": float("nan")}, None, None)) == [(3, "h")]
    assert numbers(plant.cooling_holds(SITE, "plain", {}, 16.0, 1.0) + plant.cooling_holds(SITE, "none", {}, None, None)) == [
        (3, "plain"), (3, "plain"), (3, "none"),
    ]  # fmt: skip


def test_i4_no_workload_has_more_than_it_had_and_a_new_one_no_more_than_the_highest() -> None:
    had = PoolCaps("p", 200, (CapGroup("j", 2, 300), CapGroup("j", 2, 250)))
    assert plant.no_raise(PoolCaps("p", 200, (CapGroup("j", 4, 300), CapGroup("new", 2, 300))), had, "the air is not measured") == ()
    assert numbers(plant.no_raise(PoolCaps("p", 201, (CapGroup("j", 4, 301), CapGroup("new", 2, 301))), had, "")) == [
        (4, "p"), (4, "p/j"), (4, "p/new"),
    ]  # fmt: skip


def test_i5_no_gpu_gets_more_than_was_accepted() -> None:
    most = PoolCaps("p", 200, (CapGroup("j", 2, 300),))
    assert plant.accepted(PoolCaps("p", 200, (CapGroup("j", 2, 300),)), most, 10) == ()
    assert numbers(plant.accepted(PoolCaps("p", 200, (CapGroup("j", 3, 300),)), most, 10)) == [(5, "p")]
    assert numbers(plant.accepted(PoolCaps("p", 100), None, 10)) == [(5, "p")]


def test_i6_an_order_ends_in_time_and_its_fallback_fits() -> None:
    assert plant.expires("p", NOW + 901 * S, NOW, 900) == ()
    assert numbers(plant.expires("p", NOW, NOW, 900) + plant.expires("p", NOW + 902 * S, NOW, 900)) == [(6, "p"), (6, "p")]
    safe = fallback_caps(SITE)
    assert plant.falls_back(SITE, "p", safe["p"], safe) == plant.falls_back(SITE, "p", 100, safe) == ()
    assert numbers(plant.falls_back(SITE, "p", safe["p"] + 1, safe) + plant.falls_back(SITE, "p", 99, safe)) == [(6, "p"), (6, "p")]


def test_i7_a_decrease_is_sent_in_time() -> None:
    assert plant.prompt("p", NOW, NOW + 2 * S, 2 * S) == ()
    assert numbers(plant.prompt("p", NOW, NOW + 2.1 * S, 2 * S)) == [(7, "p")]


def test_i8_to_i10_a_command_acts_wins_ends_and_stays_ended() -> None:
    assert people.acts("o", NOW, NOW + 9 * S, in_force=True) == people.acts("o", NOW, NOW + 5 * S, in_force=False) == ()
    assert numbers(people.acts("o", NOW, NOW + 5.1 * S, in_force=False)) == [(8, "o")]
    assert people.wins(PoolCaps("p", 200, (CapGroup("j", 1, 250),)), 250.0) == ()
    assert numbers(people.wins(PoolCaps("p", 200, (CapGroup("j", 1, 251),)), 250.0)) == [(8, "p")]
    assert people.ends("o", NOW, NOW + 2 * S, in_force=True) == people.ends("o", NOW, NOW + 9 * S, in_force=False) == ()
    assert numbers(people.ends("o", NOW, NOW + 2.1 * S, in_force=True)) == [(9, "o")]
    assert numbers(people.durable(["o", "p"], {"o"})) == [(9, "p")]
    assert [numbers(people.not_again("o", ended=ended, in_force=True)) for ended in (True, False)] == [[(9, "o")], []]
    assert people.lower_wins("p", [], 400) == people.lower_wins("p", [300.0, 200.0], 200) == ()
    assert numbers(people.lower_wins("p", [300.0, 200.0], 201)) == [(10, "p")]


def test_i11_means_and_ramps_are_within_what_was_agreed() -> None:
    assert contracts.within_limit("main", [99.0, 100.0], 100.0) == ()
    assert numbers(contracts.within_limit("main", [100.1, 99.0], 100.0)) == [(11, "main")]
    assert contracts.within_ramps("main", [10.0, 20.0, 15.0], 60, 10.0) == ()
    assert numbers(contracts.within_ramps("main", [10.0, 20.0, 15.0], 30, 10.0)) == [(11, "main")]


def test_i12_what_may_not_wait_is_not_held_and_floors_are_kept() -> None:
    job = Job("j", "p", "train", 4, 8.0, NOW, NOW + timedelta(hours=4))
    assert contracts.may_wait(SITE, ["j"], {"j": job}) == ()
    assert numbers(contracts.may_wait(SITE, ["c", "x"], {"j": job})) == [(12, "c"), (12, "x")]
    assert contracts.in_time(job, NOW + timedelta(hours=2)) == ()
    assert numbers(contracts.in_time(job, NOW + timedelta(hours=2, seconds=1))) == [(12, "j")]
    assert contracts.floor_kept("c", 0.9, 0.9) == ()
    assert numbers(contracts.floor_kept("c", 0.89, 0.9)) == [(12, "c")]


def test_i13_caps_rise_gently_do_not_hunt_and_do_not_jump() -> None:
    assert contracts.rises_gently("main", 0.5, 0.5) == ()
    assert numbers(contracts.rises_gently("main", 0.6, 0.5)) == [(13, "main")]
    turns = [NOW - timedelta(minutes=minutes) for minutes in (70, 60, 59, 0)]
    assert contracts.does_not_hunt("p", turns, NOW, 2) == ()
    assert numbers(contracts.does_not_hunt("p", turns, NOW, 1)) == [(13, "p")]
    before = PoolCaps("p", 200, (CapGroup("j", 2, 300),))
    assert contracts.bumpless(before, PoolCaps("p", 201, (CapGroup("j", 2, 299), CapGroup("new", 1, 400)))) == ()
    assert numbers(contracts.bumpless(before, PoolCaps("p", 202, (CapGroup("j", 2, 298),)))) == [(13, "p"), (13, "p")]


def test_i14_to_i16_orders_are_newer_small_well_formed_and_of_one_writer() -> None:
    assert integrity.increases("p", (1, 1), None) == integrity.increases("p", (2, 1), (1, 9), None) == ()
    assert numbers(integrity.increases("p", (1, 9), None, (1, 9)) + integrity.increases("p", (1, 8), (1, 9))) == [(14, "p"), (14, "p")]
    assert numbers(integrity.small("t", b"x" * 65_537) + integrity.well_formed("t", b"{", Status)) == [(15, "t"), (15, "t")]
    assert integrity.small("t", b"x" * 65_536) == integrity.well_formed("t", b'{"instance":"a","mode":"SAFE"}', Status) == ()
    assert integrity.one_writer("s", []) == integrity.one_writer("s", [3, 3]) == ()
    assert numbers(integrity.one_writer("s", [3, 4])) == [(16, "s")]


def test_i17_to_i19_cycles_end_faults_are_got_over_and_nothing_grows() -> None:
    assert availability.concludes(1, "held", "no plan", 20, 22) == ()
    assert numbers(availability.concludes(1, "lost", "why", 23, 22) + availability.concludes(2, "safe", "", 1, 22)) == [
        (17, "cycle 1"), (17, "cycle 1"), (17, "cycle 2"),
    ]  # fmt: skip
    assert availability.recovers([]) == availability.recovers(["HOLD", "NORMAL", "NORMAL"]) == ()
    assert numbers(availability.recovers(["NORMAL", "HOLD"])) == [(18, "site")]
    assert numbers(availability.bounded({"threads": 9, "queue": 5}, {"threads": 9, "queue": 4})) == [(19, "queue")]


def test_i20_to_i22_bytes_are_the_same_alarms_few_and_plans_good() -> None:
    assert availability.same_bytes("t", b"1", b"1") == ()
    assert numbers(availability.same_bytes("t", b"1", b"2")) == [(20, "t")]
    raised = [NOW - S * seconds for seconds in range(0, 660, 60)]
    assert availability.few_alarms(raised, NOW) == ()
    assert numbers(availability.few_alarms([*raised, NOW], NOW)) == [(21, "alarms")]
    assert availability.one_per_cause(["a", "b"]) == ()
    assert numbers(availability.one_per_cause(["b", "a", "b"])) == [(21, "b")]
    assert availability.near_best(101.0, 100.0) == availability.near_best(-99.0, -100.0) == ()
    assert numbers(availability.near_best(101.1, 100.0)) == [(22, "plan")]


@pytest.mark.parametrize(("share", "cap_w", "group_w"), [(0.0, 100, 100), (0.5, 250, 250), (0.99, 395, 395)])
def test_a_part_of_a_rise_is_in_whole_steps_and_never_below_what_can_be_set(share: float, cap_w: int, group_w: int) -> None:
    along = ways(PoolCaps("p", 400, (CapGroup("j", 4, 400),)), [PoolCaps("p", 100)], 10)
    assert part(PoolCaps("p", 400, reason="why"), along, share, 100, 5) == PoolCaps("p", cap_w, (CapGroup("j", 4, group_w),), "why")


def test_where_no_gpu_is_left_out_of_groups_the_rest_gets_the_lowest_of_all() -> None:
    along = ways(PoolCaps("p", 300, (CapGroup("j", 10, 400),)), [PoolCaps("p", 200)], 10)
    assert part(PoolCaps("p", 300, (CapGroup("j", 10, 400),)), along, 0.0, 100, 1).cap_w == 200


def test_what_many_gpus_may_have_is_reckoned_by_runs_not_by_gpus() -> None:
    one, other = PoolCaps("p", 100, (CapGroup("j", 600_000, 400),)), PoolCaps("p", 300, (CapGroup("k", 700_000, 200),))
    assert ceiling(caps_of(one, 1_000_000), caps_of(other, 1_000_000)) == (
        ("j", ()), ("", ((400, 600_000), (300, 300_000), (200, 100_000))), ("k", ()),
    )  # fmt: skip
