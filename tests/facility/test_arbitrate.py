"""Arbitration: who decides what, in which step."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.overrides.arbitrate import Bounds, bounds, limit_at
from facility.overrides.proposal import Proposal
from facility.site import Site

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EDGES = [NOON, NOON + HOUR / 12, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
JOBS = {"j1": "a", "j2": "b"}


def site_with(**grid: Any) -> Site:
    curve = {"points": [{"cap_w": 200, "draw_w": 180, "speed": 1}], "source": "made up"}
    return Site.model_validate(
        {
            "id": "test",
            "name": "Test",
            "timezone": "Europe/Berlin",
            "currency": "EUR",
            "grid": {"import_limit_kw": 1000, **grid},
            "tariff": {"energy_price_per_mwh": 80},
            "weather": {"outdoor_by_hour_c": [20] * 24},
            "gpu_models": {
                "big": {"min_cap_w": 200, "max_cap_w": 700, "idle_w": 60, "curves": {"train": curve}},
                "small": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 40, "curves": {"train": curve}},
            },
            "feeders": {"main": {"rating_kw": 1200}},
            "halls": {"north": {"feeder": "main"}, "south": {"feeder": "main"}},
            "pools": {
                "a": {"hall": "north", "feeder": "main", "gpu_model": "big", "gpus": 100},
                "b": {"hall": "north", "feeder": "main", "gpu_model": "small", "gpus": 100},
                "c": {"hall": "south", "feeder": "main", "gpu_model": "big", "gpus": 100},
            },
            "jobs": {"curve": "train"},
        }
    )


SITE = site_with()


def wish(target: str, kind: Any, value: float | None = None, **other: Any) -> Proposal:
    base = Proposal("x", target, kind, value, 8, NOON, NOON + 24 * HOUR, "anna", "repair")
    return replace(base, **other)


def weigh(*proposals: Proposal, site: Site = SITE, now: datetime = NOON) -> Bounds:
    return bounds(site, proposals, now, EDGES, jobs=JOBS)


def test_nobody_commands_nothing() -> None:
    found = weigh()
    assert found.pool_cap_w == dict.fromkeys("abc", (None,) * 4)
    assert found.held_pools == dict.fromkeys("abc", (False,) * 4)
    assert found.import_limit_kw == (1000.0,) * 4
    assert (found.job_cap_w, found.job_orders, found.mode, found.reasons) == ({}, {}, "normal", {})


def test_what_begins_after_all_steps_leaves_them_as_where_nobody_commands() -> None:
    later = wish("site", "cap_w", 300, start=NOON + 12 * HOUR)
    windowed = site_with(limit_windows=[{"from_local": "15:59", "to_local": "16:00", "import_limit_kw": 800}])
    for site in (SITE, windowed):
        assert weigh(later, site=site) == weigh(site=site)
    assert weigh(site=SITE) != weigh(site=windowed)


@pytest.mark.parametrize(
    ("target", "pools"), [("site", "abc"), ("hall/north", "ab"), ("pool/north/a", "a"), ("pool/south/a", ""), ("hall/west", "")]
)
def test_a_cap_reaches_the_pools_under_its_target(target: str, pools: str) -> None:
    caps = weigh(wish(target, "cap_w", 300)).pool_cap_w
    assert "".join(pool for pool, cap in caps.items() if cap[0] == 300) == pools


def test_each_pool_clamps_a_cap_into_its_own_range() -> None:
    assert {pool: cap[0] for pool, cap in weigh(wish("site", "cap_w", 150)).pool_cap_w.items()} == {"a": 200, "b": 150, "c": 200}
    assert {pool: cap[0] for pool, cap in weigh(wish("site", "cap_w", 600)).pool_cap_w.items()} == {"a": 600, "b": 400, "c": 600}


def test_the_smaller_priority_number_decides_even_for_the_higher_cap_and_the_wider_target() -> None:
    found = weigh(wish("pool/north/a", "cap_w", 300), wish("site", "cap_w", 500, priority=5))
    assert found.pool_cap_w["a"][0] == 500


def test_of_equal_priorities_the_lower_cap_decides_whatever_the_target() -> None:
    assert weigh(wish("pool/north/a", "cap_w", 500), wish("hall/north", "cap_w", 300)).pool_cap_w["a"][0] == 300
    assert weigh(wish("job/j1", "cap_w", 500), wish("pool/north/a", "cap_w", 300)).job_cap_w["j1"][0] == 300
    assert weigh(wish("job/j1", "cap_w", 250), wish("pool/north/a", "cap_w", 300)).job_cap_w["j1"][0] == 250


def test_a_job_wins_over_its_pool_by_priority_only_and_clamps_into_its_range() -> None:
    found = weigh(wish("job/j2", "cap_w", 900, priority=5), wish("hall/north", "cap_w", 300))
    assert (found.job_cap_w["j2"][0], found.pool_cap_w["b"][0]) == (400, 300)


def test_a_job_whose_pool_is_unknown_is_still_under_the_site() -> None:
    found = bounds(
        SITE, [wish("job/new", "cap_w", 500), wish("site", "cap_w", 300), wish("pool/north/a", "cap_w", 200)], NOON, EDGES
    )
    assert found.job_cap_w == {"new": (300.0,) * 4}


@pytest.mark.parametrize(
    ("start_h", "end_h", "covered"),
    [
        (0, 0.01, (True, False, False, False)),
        (0.01, 0.02, (False, False, False, False)),
        (0, 1.5, (True, True, True, False)),
        (0.5, 2, (False, True, True, False)),
        (2.9, 9, (False, False, False, True)),
        (-1, 0, (False, False, False, False)),
        (3, 4, (False, False, False, False)),
    ],
)
def test_now_decides_in_step_0_and_a_touch_in_later_steps(start_h: float, end_h: float, covered: tuple[bool, ...]) -> None:
    found = weigh(wish("site", "cap_w", 300, start=NOON + start_h * HOUR, end=NOON + end_h * HOUR))
    assert tuple(cap is not None for cap in found.pool_cap_w["a"]) == covered


def test_orders_go_by_priority_and_hold_stands_before_run() -> None:
    assert weigh(wish("job/j1", "run"), wish("job/j1", "hold", id="y")).job_orders == {"j1": ("hold",) * 4}
    assert weigh(wish("job/j1", "run", priority=7), wish("job/j1", "pause")).job_orders == {"j1": ("run",) * 4}
    assert weigh(wish("job/j1", "pause", end=NOON + HOUR)).job_orders == {"j1": ("hold", "hold", None, None)}


def test_a_hold_of_a_hall_holds_its_pools_and_a_stronger_run_frees_one_job() -> None:
    hold = wish("hall/north", "hold", end=NOON + HOUR)
    assert weigh(hold).held_pools == {"a": (True, True, False, False), "b": (True, True, False, False), "c": (False,) * 4}
    assert weigh(hold, wish("job/j1", "run")).job_orders["j1"] == ("hold", "hold", "run", "run")
    assert weigh(hold, wish("job/j1", "run", priority=7)).job_orders["j1"] == ("run",) * 4


def test_an_import_limit_lowers_and_only_critical_equipment_raises() -> None:
    assert weigh(wish("grid/main", "import_limit_kw", 700)).import_limit_kw == (700,) * 4
    assert weigh(wish("site", "import_limit_kw", 700)).import_limit_kw == (700,) * 4
    assert weigh(wish("grid/other", "import_limit_kw", 700)).import_limit_kw == (1000,) * 4
    assert weigh(wish("grid/main", "import_limit_kw", 1300, priority=6)).import_limit_kw == (1000,) * 4
    assert weigh(wish("grid/main", "import_limit_kw", 1300, priority=5)).import_limit_kw == (1300,) * 4


def test_a_raised_limit_holds_only_in_steps_it_covers_whole() -> None:
    up = wish("grid/main", "import_limit_kw", 1300, priority=5, end=NOON + 1.5 * HOUR)
    assert weigh(up).import_limit_kw == (1300, 1300, 1000, 1000)
    later = wish("grid/main", "import_limit_kw", 1300, priority=5, start=NOON + 1.5 * HOUR)
    assert weigh(later).import_limit_kw == (1000, 1000, 1000, 1300)


def test_a_lowered_limit_holds_in_every_step_it_touches() -> None:
    down = wish("grid/main", "import_limit_kw", 700, start=NOON + HOUR / 2, end=NOON + 1.5 * HOUR)
    assert weigh(down).import_limit_kw == (1000, 700, 700, 1000)


def test_a_window_goes_by_the_local_clock_and_may_run_over_midnight() -> None:
    windows = [
        {"from_local": "17:00", "to_local": "20:00", "import_limit_kw": 800},
        {"from_local": "22:30", "to_local": "06:00", "import_limit_kw": 900},
        {"from_local": "23:00", "to_local": "24:00", "import_limit_kw": 5000},
    ]
    site = site_with(limit_windows=windows)
    summer = [
        datetime(2026, 7, 1, hour, minute, tzinfo=UTC)
        for hour, minute in [(14, 59), (15, 0), (17, 59), (18, 0), (20, 30), (3, 59), (4, 0)]
    ]
    assert [limit_at(site, t) for t in summer] == [1000, 800, 800, 1000, 900, 900, 1000]
    assert limit_at(site, datetime(2026, 1, 1, 15, tzinfo=UTC)) == 1000
    assert limit_at(site, datetime(2026, 1, 1, 16, tzinfo=UTC)) == 800


def test_a_window_that_opens_inside_a_step_lowers_the_whole_step() -> None:
    site = site_with(limit_windows=[{"from_local": "15:59", "to_local": "16:00", "import_limit_kw": 800}])
    assert weigh(site=site).import_limit_kw == (1000, 1000, 800, 1000)


def test_a_window_lasts_as_long_as_the_local_clock_says_when_the_clock_changes() -> None:
    site = site_with(limit_windows=[{"from_local": "02:00", "to_local": "03:00", "import_limit_kw": 800}])

    def hours(midnight: datetime) -> int:
        return sum(limit_at(site, midnight + timedelta(minutes=15 * i)) == 800 for i in range(100)) // 4

    assert hours(datetime(2026, 3, 28, 23, tzinfo=UTC)) == 0
    assert hours(datetime(2026, 6, 30, 22, tzinfo=UTC)) == 1
    assert hours(datetime(2026, 10, 24, 22, tzinfo=UTC)) == 2


@pytest.mark.parametrize(
    ("wishes", "mode"),
    [
        ([("freeze", 8)], "freeze"),
        ([("freeze", 8), ("manual", 8)], "manual"),
        ([("stop", 8), ("manual", 8), ("freeze", 8)], "stop"),
        ([("stop", 8), ("freeze", 5)], "freeze"),
    ],
)
def test_the_mode_goes_by_priority_and_the_stricter_of_equals(wishes: list[tuple[str, int]], mode: str) -> None:
    assert weigh(*(wish("site", kind, priority=priority) for kind, priority in wishes)).mode == mode
    assert weigh(*(wish("site", kind, priority=priority, start=NOON + HOUR) for kind, priority in wishes)).mode == "normal"


def test_reasons_name_who_and_until_when_and_no_one_who_lost() -> None:
    found = weigh(
        wish("hall/south", "cap_w", 300),
        wish("site", "cap_w", 500, by="bob"),
        wish("job/j1", "hold", by="carl"),
        wish("grid/main", "import_limit_kw", 700, by="dora"),
        wish("grid/main", "import_limit_kw", 800, by="loser"),
    )
    assert (
        found.reasons["c"]
        == "cap 300 W on hall/south by anna (priority 8) from 2026-07-01 12:00 until 2026-07-02 12:00 UTC: repair"
    )
    assert "carl" in found.reasons["j1"]
    assert "dora" in found.reasons["grid"]
    assert not any("loser" in reason for reason in found.reasons.values())


TARGETS = st.sampled_from(["site", "hall/north", "hall/south", "pool/north/a", "pool/north/b", "pool/south/c"])
SPANS = st.tuples(st.integers(-180, 240), st.integers(1, 300))


@st.composite
def wishes(draw: st.DrawFn, *, lowest: int = 1) -> Proposal:
    kind: Any = draw(st.sampled_from(["cap_w", "hold", "import_limit_kw", "manual", "run"]))
    target = {"import_limit_kw": "grid/main", "manual": "site", "run": "job/j1"}.get(kind) or draw(TARGETS)
    value = float(draw(st.integers(50, 1500))) if kind in {"cap_w", "import_limit_kw"} else None
    start, length = draw(SPANS)
    begin = NOON + timedelta(minutes=start)
    return Proposal(
        draw(st.uuids()).hex,
        target,
        kind,
        value,
        draw(st.integers(lowest, 16)),
        begin,
        begin + timedelta(minutes=length),
        "anna",
        "",
    )


@given(st.lists(wishes(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_proposals_does_not_matter(proposals: list[Proposal], dice: random.Random) -> None:
    shuffled = dice.sample(proposals, len(proposals))
    assert weigh(*shuffled) == weigh(*proposals)


@given(st.lists(wishes(lowest=4), max_size=12), st.integers(200, 400), TARGETS)
def test_a_new_highest_priority_decides_under_its_target_and_changes_nothing_elsewhere(
    proposals: list[Proposal], value: int, target: str
) -> None:
    before, after = weigh(*proposals), weigh(*proposals, wish(target, "cap_w", float(value), priority=3))
    for pool, hall in {"a": "north", "b": "north", "c": "south"}.items():
        reached = target in {"site", f"hall/{hall}", f"pool/{hall}/{pool}"}
        assert after.pool_cap_w[pool] == ((float(value),) * 4 if reached else before.pool_cap_w[pool])


@given(st.lists(wishes(), max_size=12), st.integers(200, 400))
def test_an_equal_never_raises_a_cap_or_a_limit(proposals: list[Proposal], value: int) -> None:
    equals = [replace(proposal, priority=8) for proposal in proposals]
    more = [wish("site", "cap_w", float(value)), wish("grid/main", "import_limit_kw", float(value))]
    before, after = weigh(*equals), weigh(*equals, *more)
    for pool, caps in before.pool_cap_w.items():
        assert after.pool_cap_w[pool] == tuple(min(value if cap is None else cap, value) for cap in caps)
    assert all(b <= min(a, value) for a, b in zip(before.import_limit_kw, after.import_limit_kw, strict=True))


@given(st.lists(wishes(), max_size=12), st.lists(wishes(), max_size=4))
def test_what_ended_never_acts(proposals: list[Proposal], others: list[Proposal]) -> None:
    ended = [replace(proposal, start=NOON - 2 * HOUR, end=NOON, priority=1) for proposal in others]
    assert weigh(*proposals, *ended) == weigh(*proposals)


@given(st.lists(wishes(), max_size=12), st.integers(6, 16), st.integers(0, 3000))
def test_no_weak_override_lifts_the_grid_limit(proposals: list[Proposal], priority: int, value: int) -> None:
    weak = [replace(proposal, priority=priority) for proposal in proposals]
    found = weigh(*weak, wish("grid/main", "import_limit_kw", float(value), priority=priority))
    assert max(found.import_limit_kw) <= 1000
