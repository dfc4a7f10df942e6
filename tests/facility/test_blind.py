"""I4: bad, stale or missing data never raises a cap. The daemon on a bus in memory, with the real solver and readings that can be spoilt.

The site: pools `a` in hall `h` and `b` in hall `k`, 100 GPUs each of 100 to 400 W with 100 W of hosts, all rented, under a root of 200 kW.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facility.daemon.question import Question
from facility.decide import Decided
from facility.decision import CapGroup, Decision, PoolCaps
from facility.sensors import sensors
from facility.site import Site
from tests.facility.test_daemon import House
from tests.facility.test_quality import HALL, METER, OUTDOOR, RAW

RENTAL = {"tenant": "t", "kind": "reserved", "gpus": 100, "curve": "train", "value_per_gpu_h": 2.0}
SITE = Site.model_validate(RAW | {
    "halls": dict.fromkeys("hk", RAW["halls"]["h"] | {"thermal": RAW["halls"]["h"]["thermal"] | {"heat_capacity_kwh_per_k": 0.6}}),
    "pools": {"a": RAW["pools"]["a"] | {"fallback_cap_w": 200}, "b": RAW["pools"]["b"] | {"hall": "k", "fallback_cap_w": 200}},
    "feeders": RAW["feeders"] | {"ups": RAW["feeders"]["ups"] | {"rating_kw": 140}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": RENTAL | {"pool": "a"}, "d": RENTAL | {"pool": "b"}}, "control": {"rise_share": 1.0, "rise_pause_s": (0.001, 0.001)},
})  # fmt: skip
KEYS = tuple(sensor.key for sensor in sensors(SITE))
COOL, OTHER = HALL, "k/hall/k/air_temperature_c"
TRUTH = {key: 24.0 if key.endswith("_c") else 0.0 for key in KEYS} | {
    "h/pool/a/it_power_kw": 18.0, "k/pool/b/it_power_kw": 18.0, "site/feeder/bus-a/power_kw": 18.0, "site/feeder/bus-b/power_kw": 18.0,
    "site/feeder/ups/power_kw": 45.0, "site/cooling/c/power_kw": 20.0, "site/cooling/c/stored_kwh": 20.0,
    "site/battery/x/energy_kwh": 30.0, "site/feeder/root/power_kw": 65.0, METER: 65.0, OUTDOOR: 28.0,
}  # fmt: skip


class Blind(House):
    """A house whose readings can be left out or spoilt."""

    def __init__(self, path: Path, site: Site = SITE) -> None:
        super().__init__(path, site)
        self.digit, self.truth = 0, TRUTH

    def pass_by(
        self,
        seconds: float,
        without: frozenset[str] = frozenset(),
        bad: float | None = None,
        exact: frozenset[str] = frozenset(),
        **more: float,
    ) -> None:
        """Let time pass in steps of 5 s; sensors in `without` tell nothing, or `bad`, which is in no range, those in `exact` stand still."""
        truth = self.truth | more
        for _ in range(round(seconds / 5)):
            self.clock.advance(5)
            self.digit += 1
            told: defaultdict[str, dict[str, float]] = defaultdict(dict)
            for key, value in truth.items():
                moving = value if key in exact else value * (1 + self.digit % 5 * 1e-7)
                now = moving if key not in without else bad
                hall, _, point = key.partition("/")
                if now is not None:
                    told[hall][point] = now
            for hall, values in told.items():
                if values:
                    self.say(f"tele/{hall}/batch/gw", {"values": values, "timestamp": int(self.clock.now().timestamp() * 1000)})
            self.look()

    def look(self) -> None:
        """Let the guard look now."""
        self.daemon.upkeep.guard_s -= 1
        self.settle()

    def limit(self, kw: float) -> None:
        """Let the grid's operator allow so much from now on."""
        start, end = self.clock.now(), self.clock.now() + timedelta(hours=9)
        points = [{"start": start.isoformat(), "end": end.isoformat(), "value": kw}]
        self.say("grid/main/limit", {"points": points}, retain=True)

    def highest(self) -> dict[str, int]:
        """The highest cap that each pool was sent."""
        found = {}
        for pool, hall in (("a", "h"), ("b", "k")):
            sent = self.retained(f"cap/{hall}/{pool}/desired")
            assert sent is not None
            found[pool] = max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])])
        return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Blind]:
    made = Blind(tmp_path / "journal.sqlite")
    yield made
    made.kill()


@pytest.fixture
def tight(house: Blind) -> Blind:
    """A house that was planned with a limit of 70 kW, so that more of it would raise both caps."""
    house.limit(70)
    house.pass_by(30)
    assert house.daemon.cycle().mode == "NORMAL"
    assert all(cap_w < 340 for cap_w in house.highest().values())
    return house


def test_with_good_data_more_of_the_limit_raises_every_cap(tight: Blind) -> None:
    before = tight.highest()
    tight.limit(150)
    tight.pass_by(5)
    tight.daemon.cycle()
    assert all(tight.highest()[pool] > before[pool] + 50 for pool in before)


def test_the_pools_of_a_hall_that_falls_silent_keep_their_caps_then_fall_back_and_others_go_on(tight: Blind) -> None:
    before, gone = tight.highest(), frozenset({COOL})
    tight.limit(150)
    tight.pass_by(60, without=gone)
    tight.daemon.cycle()
    assert tight.highest()["a"] <= before["a"]
    assert tight.highest()["b"] > before["b"] + 50
    assert tight.daemon.outcome.reason.endswith("the air of hall h is not measured: caps do not rise")
    alarm = tight.retained("alarm/lost-h-hall-h-air-temperature-c")
    assert alarm is not None
    assert alarm["severity"] == "alarm"


def test_a_hall_that_may_have_reached_its_allowable_end_gets_the_fallback_at_once_without_a_plan(house: Blind) -> None:
    """50 + 4 + (30 - 18) / 2 = 60 kW into 0.6 kWh/K are 100 K/h: 396 s from 24 to 35 degC."""
    house.limit(150)
    house.pass_by(30)
    house.daemon.cycle()
    before = house.highest()
    fallback = house.retained("cap/h/a/desired")
    assert fallback is not None
    assert fallback["fallback_cap_w"] < before["a"]
    house.pass_by(385, without=frozenset({COOL}))
    assert house.highest() == before
    house.pass_by(60, without=frozenset({COOL}))
    assert house.highest()["a"] <= fallback["fallback_cap_w"]
    assert house.highest()["b"] == before["b"]
    house.pass_by(10)
    assert house.wanted
    house.daemon.cycle()
    assert house.highest()["a"] > fallback["fallback_cap_w"]


def test_before_the_first_reading_of_a_hall_its_pools_have_no_more_than_the_fallback(house: Blind) -> None:
    house.limit(150)
    house.daemon.cycle()
    sent = house.retained("cap/h/a/desired")
    assert sent is not None
    assert house.highest()["a"] == sent["fallback_cap_w"]
    house.pass_by(5)
    assert house.wanted, "a plan is asked for with the first reading, at once"
    house.daemon.cycle()
    assert house.highest()["a"] > sent["fallback_cap_w"]


def test_the_guard_sees_a_spike_of_the_meter_at_once_and_one_downward_releases_nothing(tight: Blind) -> None:
    before = tight.highest()
    tight.pass_by(5, **{METER: 200.0})
    cut = tight.highest()
    assert cut == dict.fromkeys(before, 100)
    for kw in (75.0, 0.0, 75.0, 0.0, 75.0):
        tight.pass_by(15, **{METER: kw})
        assert all(tight.highest()[pool] <= cut[pool] for pool in before), kw
    tight.pass_by(90)
    tight.daemon.cycle()
    assert all(tight.highest()[pool] > cut[pool] for pool in before), "as far as the meter shows room"
    tight.pass_by(90)
    tight.daemon.cycle()
    plan = tight.retained("plan/current")
    assert plan is not None
    assert plan["steps"][0]["import_kw"] == pytest.approx(0.92 * 70, abs=0.5), "75 kW three times teach the most that plans keep back"


def test_with_everything_lost_the_sum_of_caps_is_brought_within_the_limit_and_nothing_rises(house: Blind) -> None:
    """Both pools at 400 W would draw 100 kW, with base load and losses 110 and cooling besides: the plan expected less than that."""
    house.limit(120)
    house.pass_by(30)
    house.daemon.cycle()
    before = house.highest()
    house.pass_by(15, without=frozenset(KEYS))
    assert house.highest() == before
    house.pass_by(60, without=frozenset(KEYS))
    dark = house.highest()
    assert all(dark[pool] <= before[pool] for pool in before)
    assert sum(dark.values()) < sum(before.values())
    assert "nothing measures the power at the grid" in house.daemon.outcome.reason
    house.limit(150)
    for _ in range(3):
        house.pass_by(120, without=frozenset(KEYS))
        house.daemon.cycle()
        assert all(house.highest()[pool] <= dark[pool] for pool in before)
    house.pass_by(90)
    house.daemon.cycle()
    assert (house.mode(), all(house.highest()[pool] > dark[pool] for pool in before)) == ("NORMAL", True)


def test_with_the_power_at_the_grid_lost_no_cap_rises_though_the_limit_would_allow_it(tight: Blind) -> None:
    """Nothing gives way, for all caps together are far below the new limit; thermometers are still heard."""
    before, gone = tight.highest(), frozenset(KEYS) - {COOL, OTHER}
    tight.pass_by(15, without=gone)
    tight.limit(150)
    tight.pass_by(30, without=gone)
    tight.daemon.cycle()
    assert all(tight.highest()[pool] <= before[pool] for pool in before)
    assert tight.daemon.outcome.reason.endswith("the power at the grid is not measured: caps do not rise")
    tight.pass_by(5)
    tight.daemon.cycle()
    assert all(tight.highest()[pool] > before[pool] for pool in before)


def test_an_operators_cap_is_above_what_is_not_measured_and_leaves_nothing_behind(tight: Blind) -> None:
    before, gone = tight.highest(), frozenset({COOL})
    tight.limit(150)
    tight.pass_by(40, without=gone)
    assert tight.order("pool/h/a", "cap_w", before["a"] + 20, ttl_s=60)["status"] == "accepted"
    assert tight.highest()["a"] == before["a"] + 20
    tight.pass_by(65, without=gone)
    assert tight.highest()["a"] <= before["a"]


def test_a_plan_that_kept_to_a_command_leaves_nothing_of_it_behind_in_the_dark(tight: Blind) -> None:
    """The air is lost while the command stands: what its pool had before is what it was sent by itself, not what the plan gave it."""
    before, gone = tight.highest(), frozenset({COOL})
    tight.limit(150)
    assert tight.order("pool/h/a", "cap_w", before["a"] + 20, ttl_s=120)["status"] == "accepted"
    tight.daemon.cycle()
    tight.pass_by(60, without=gone)
    assert tight.highest()["a"] == before["a"] + 20
    tight.pass_by(65, without=gone)
    assert tight.highest()["a"] <= before["a"]
    assert not tight.daemon.rooms.gate.counts


def test_what_a_command_held_down_rises_again_with_its_end_also_in_the_dark(tight: Blind) -> None:
    """Nothing is sent between the last reading and the end of the command, and the gate knows all the same that there was one."""
    before, gone = tight.highest(), frozenset({COOL})
    assert tight.order("pool/h/a", "cap_w", 150, ttl_s=60)["status"] == "accepted"
    tight.pass_by(65, without=gone)
    assert 150 < tight.highest()["a"] <= before["a"]
    assert not tight.daemon.rooms.gate.counts


def test_the_journal_keeps_what_was_doubted_in_a_cycle(tight: Blind) -> None:
    tight.pass_by(60, without=frozenset({COOL}))
    tight.daemon.cycle()
    newest = max(tight.journal.cycles(), key=lambda record: record.cycle)
    (doubt,) = msgspec.json.decode(newest.inputs)["snapshot"]["doubts"].values()
    assert (doubt["key"], doubt["verdict"], doubt["kind"]) == (COOL, "substituted", "silent")
    assert doubt["value"] > 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blind")


@settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    gone=st.frozensets(st.sampled_from(KEYS), min_size=1),
    bad=st.sampled_from([None, 1e6, -1e6]),
    events=st.lists(st.tuples(st.sampled_from(["limit", "cycle", "wait"]), st.integers(60, 150)), max_size=3),
)
def test_whichever_sensors_are_lost_or_bad_no_cap_that_depends_on_them_rises(
    folder: Path, gone: frozenset[str], bad: float | None, events: list[tuple[str, int]]
) -> None:
    """No cap is above what it was when what it depends on was last measured: the air of its hall, and for all of them the power at the grid, by
    the meter or by what is measured below it. Limits that are told and withdrawn move it only below that.
    """
    path = folder / f"{len(list(folder.iterdir()))}.sqlite"
    house: Any = Blind(path)
    try:
        house.limit(70)
        house.pass_by(30)
        house.daemon.cycle()
        house.pass_by(35, without=gone, bad=bad)
        known = house.daemon.rooms.known.situation(house.clock.now()).snapshot
        held = {pool for pool, hall in (("a", "h"), ("b", "k")) if f"{hall}/hall/{hall}/air_temperature_c" in gone or known.import_high_kw is None}
        before = house.highest()
        for what, number in [*events, ("limit", 150), ("cycle", 0)]:
            if what == "limit":
                house.limit(number)
            elif what == "cycle":
                house.daemon.cycle()
            house.pass_by(10 if what != "wait" else number, without=gone, bad=bad)
            now = house.highest()
            assert all(now[pool] <= before[pool] for pool in held), (what, number)
    finally:
        house.kill()


def test_when_the_clock_leaps_and_every_reading_is_of_long_ago_what_lapses_is_not_followed_by_higher_caps(house: Blind) -> None:
    """The plan has the lowest caps, the fallback higher ones; an hour is gone at once."""

    def lowest(asked: Question) -> Decided:
        pools = tuple(PoolCaps(pool, 100, (CapGroup(contract, 100, 100),)) for pool, contract in (("a", "c"), ("b", "d")))
        return Decided(Decision(asked.edges[0], asked.edges[1], pools), asked.edges)

    house.daemon._planner = lowest
    house.pass_by(30)
    assert house.daemon.cycle().mode == "NORMAL"
    house.clock.advance(3600)
    house.settle()
    assert house.mode() == "SAFE"
    assert house.highest() == {"a": 100, "b": 100}
    assert not house.daemon.rooms.gate.counts
