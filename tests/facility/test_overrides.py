"""The overrides' desk: what is asked, what is answered, what stays."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import facility.overrides.judgement as room
from facility.bus.messages import OverrideClear, OverrideResult, OverrideSet
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.overrides.arbitrate import bounds
from facility.overrides.desk import OverrideDesk
from facility.overrides.proposal import Proposal
from facility.site import Site

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CURVE = {"points": [{"cap_w": 200, "draw_w": 180, "speed": 1}], "source": "made up"}
SITE = Site.model_validate(
    {
        "id": "test",
        "name": "Test",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "grid": {"import_limit_kw": 1000},
        "tariff": {"energy_price_per_mwh": 80},
        "weather": {"outdoor_by_hour_c": [20] * 24},
        "gpu_models": {
            "big": {"min_cap_w": 200, "max_cap_w": 700, "idle_w": 60, "curves": {"train": CURVE}},
            "small": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 40, "curves": {"train": CURVE}},
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
JOBS = {"j1": "a", "j2": "b"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def desk(journal: Journal) -> OverrideDesk:
    return OverrideDesk(SITE, journal, jobs=lambda: JOBS)


def ask(kind: Any, value: float | None = None, *, key: str = "x", by: str = "anna", **other: Any) -> OverrideSet:
    return OverrideSet(id=key, kind=kind, value=value, by=by, **other)


def drop(key: str) -> OverrideClear:
    return OverrideClear(id=key, by="bob")


def ids(proposals: tuple[Proposal, ...] | list[Proposal]) -> list[str]:
    return [proposal.id for proposal in proposals]


def test_a_cap_between_the_settable_ones_is_lowered_to_one_and_the_answer_says_so(journal: Journal) -> None:
    """In steps of 25 W 260 W becomes 250 W; a pool under the same hall that takes any watt keeps it."""
    models = SITE.gpu_models
    site = SITE.model_copy(update={"gpu_models": models | {"big": models["big"].model_copy(update={"power_step_w": 25})}})
    desk = OverrideDesk(site, journal, jobs=lambda: JOBS)
    for target, kept in (("pool/north/a", 250), ("pool/north/b", 260), ("hall/north", 260)):
        answer = desk.set(target, ask("cap_w", 260, key=target), now=NOON)
        assert (answer.status, answer.effective) == ("clamped" if kept == 250 else "accepted", kept)
        assert ("takes multiples of 25 W" in answer.reason) is (kept == 250)
    edges = [NOON, NOON + HOUR]
    bounds_w = bounds(site, desk.standing(NOON), NOON, edges).pool_cap_w
    assert (bounds_w["a"], bounds_w["b"]) == ((250,), (260,))


@pytest.mark.parametrize(
    ("target", "request_", "status", "effective", "until", "says"),
    [
        ("pool/north/a", ask("cap_w", 300), "accepted", 300, NOON + HOUR, "cap 300 W on pool/north/a by anna"),
        ("pool/north/a", ask("cap_w", 300.9), "accepted", 300, NOON + HOUR, ""),
        ("pool/north/a", ask("cap_w", 300, ttl_s=60), "accepted", 300, NOON + MINUTE, "2026-07-01 12:01 UTC"),
        ("pool/north/a", ask("cap_w", 300, end=NOON + 2 * HOUR), "accepted", 300, NOON + 2 * HOUR, ""),
        ("pool/north/a", ask("cap_w", 300, start=NOON + DAY), "accepted", 300, NOON + DAY + HOUR, ""),
        ("pool/north/a", ask("cap_w", 300, start=NOON - HOUR, end=NOON + DAY), "accepted", 300, NOON + DAY, ""),
        ("pool/north/a", ask("cap_w", 150), "clamped", 200, NOON + HOUR, "takes 200 to 700"),
        ("pool/north/a", ask("cap_w", 1e300), "clamped", 700, NOON + HOUR, "takes 200 to 700"),
        ("pool/north/b", ask("cap_w", 500), "clamped", 400, NOON + HOUR, "takes 100 to 400"),
        ("hall/south", ask("cap_w", 150), "clamped", 200, NOON + HOUR, "takes 200 to 700"),
        ("hall/north", ask("cap_w", 50), "clamped", 100, NOON + HOUR, "takes 100 to 700"),
        ("site", ask("cap_w", 900), "clamped", 700, NOON + HOUR, "takes 100 to 700"),
        ("job/j2", ask("cap_w", 500), "clamped", 400, NOON + HOUR, "takes 100 to 400"),
        ("pool/north/a", ask("cap_w", 300, ttl_s=2 * 86400), "clamped", 300, NOON + DAY, "lasts at most 1 day"),
        (
            "pool/north/a",
            ask("cap_w", 300, end=NOON + 9 * DAY, start=NOON + HOUR),
            "clamped",
            300,
            NOON + DAY + HOUR,
            "at most 1 day",
        ),
        ("grid/main", ask("import_limit_kw", 700.5), "accepted", 700.5, NOON + HOUR, "import limit 700.5 kW"),
        ("site", ask("import_limit_kw", 0), "accepted", 0, NOON + HOUR, ""),
        ("grid/main", ask("import_limit_kw", 1300), "clamped", 1000, NOON + HOUR, "takes 0 to 1000"),
        ("grid/main", ask("import_limit_kw", 1300, priority=5), "accepted", 1300, NOON + HOUR, ""),
        ("job/j1", ask("pause"), "accepted", None, NOON + HOUR, "pause on job/j1"),
        ("job/j1", ask("run"), "accepted", None, NOON + HOUR, ""),
        ("hall/north", ask("hold"), "accepted", None, NOON + HOUR, ""),
        ("site", ask("stop"), "accepted", None, NOON + HOUR, ""),
        ("site", ask("manual"), "accepted", None, NOON + HOUR, ""),
        ("hall/west", ask("hold"), "rejected", None, None, "unknown target hall/west; did you mean hall/south? known: hall/north, hall/south"),
        ("pool/south/a", ask("hold"), "rejected", None, None, "known: pool/north/a, pool/north/b, pool/south/c"),
        ("job/j9", ask("hold"), "rejected", None, None, "known: job/j1, job/j2"),
        ("grid/other", ask("import_limit_kw", 5), "rejected", None, None, "known: grid/main"),
        ("room/x", ask("hold"), "rejected", None, None, "known: site, hall/north"),
        ("", ask("hold"), "rejected", None, None, "unknown target"),
        ("site/x", ask("hold"), "rejected", None, None, "unknown target"),
        ("pool/north/a", ask("run"), "rejected", None, None, "run is not for pool/north/a; there: cap_w, hold, release"),
        ("hall/north", ask("manual"), "rejected", None, None, "manual is not for hall/north"),
        ("job/j1", ask("import_limit_kw", 5), "rejected", None, None, "is not for job/j1"),
        ("grid/main", ask("cap_w", 300), "rejected", None, None, "cap_w is not for grid/main"),
        ("site", ask("cap_w", float("nan")), "rejected", None, None, "not a finite number"),
        ("site", ask("cap_w", float("inf")), "rejected", None, None, "not a finite number"),
        ("site", ask("import_limit_kw", -1), "rejected", None, None, "not a finite number of 0 or more"),
        ("site", ask("stop", priority=0), "rejected", None, None, "priority 0 is not one of 1"),
        ("site", ask("stop", priority=17), "rejected", None, None, "priority 17"),
        ("site", ask("stop", by=" "), "rejected", None, None, "nobody signed it"),
        ("site", ask("stop", key=""), "rejected", None, None, "no id"),
        ("site", ask("stop", start=NOON + DAY + MINUTE), "rejected", None, None, "starts more than 1 day"),
        ("site", ask("stop", ttl_s=float("nan")), "rejected", None, None, "gives no end"),
        ("site", ask("stop", ttl_s=1e300), "rejected", None, None, "gives no end"),
        ("site", ask("stop", end=NOON), "expired", None, None, "has passed; it is"),
        ("site", ask("stop", start=NOON + 2 * HOUR, end=NOON + HOUR), "expired", None, None, "is not after its start"),
        ("site", ask("stop", start=NOON - DAY, end=NOON), "expired", None, None, "has passed"),
        ("site", ask("stop", start=NOON - DAY, ttl_s=3600), "expired", None, None, "has passed"),
        ("site", ask("stop", start=NOON - DAY), "expired", None, None, "has passed"),
        ("site", ask("stop", ttl_s=-1), "expired", None, None, "has passed; it is"),
        ("job/j1", ask("release"), "rejected", None, None, "nothing is held there"),
        ("job/j1", ask("release", start=NOON + HOUR), "rejected", None, None, "acts at once"),
    ],
)
def test_every_command_is_answered(
    desk: OverrideDesk,
    target: str,
    request_: OverrideSet,
    status: str,
    effective: float | None,
    until: datetime | None,
    says: str,
) -> None:
    answer = desk.set(target, request_, now=NOON)
    assert (answer.status, answer.effective, answer.until) == (status, effective, until)
    assert says in answer.reason
    assert bool(desk.standing(NOON)) == (status in {"accepted", "clamped"})
    for proposal in desk.standing(NOON):
        assert (proposal.value, proposal.end) == (effective, until)


def test_without_a_list_of_jobs_any_well_formed_job_is_taken(journal: Journal) -> None:
    desk = OverrideDesk(SITE, journal)
    assert desk.set("job/new-1", ask("cap_w", 50), now=NOON).effective == 100
    assert desk.set("job/New!", ask("hold", key="y"), now=NOON).status == "rejected"


def test_a_retained_command_is_refused_and_does_not_use_up_its_id(desk: OverrideDesk) -> None:
    answer = desk.set("site", ask("stop"), now=NOON, retained=True)
    assert (answer.status, "retained" in answer.reason, desk.active(NOON)) == ("rejected", True, ())
    assert desk.set("site", ask("stop"), now=NOON).status == "accepted"
    assert desk.clear("site", drop("x"), NOON, retained=True).status == "rejected"
    assert ids(desk.active(NOON)) == ["x"]


def test_a_repeated_id_gets_the_first_answer_and_acts_once_whatever_it_says(desk: OverrideDesk) -> None:
    desk.set("pool/north/a", ask("cap_w", 300), now=NOON)
    for again in (ask("cap_w", 300), ask("cap_w", 500), ask("stop")):
        answer = desk.set("site", again, now=NOON + MINUTE)
        assert (answer.status, answer.effective, answer.until) == ("duplicate", 300, NOON + HOUR)
    assert [(p.target, p.value) for p in desk.active(NOON)] == [("pool/north/a", 300)]


def test_a_repeated_id_does_not_act_after_its_end_or_after_it_was_refused(desk: OverrideDesk) -> None:
    desk.set("site", ask("stop", ttl_s=60), now=NOON)
    desk.set("job/new", ask("hold", key="y"), now=NOON)
    desk.expire(NOON + HOUR)
    assert desk.set("site", ask("stop", ttl_s=60), now=NOON + DAY).status == "duplicate"
    assert desk.set("job/j1", ask("hold", key="y"), now=NOON).status == "duplicate"
    assert desk.standing(NOON + DAY) == ()


def test_the_caller_may_limit_further_and_is_quoted(desk: OverrideDesk) -> None:
    answer = desk.set("pool/north/a", ask("cap_w", 600), now=NOON, limits=lambda _: (432.1, "feeder ups-1 carries no more"))
    assert (answer.status, answer.effective) == ("clamped", 432)
    assert "feeder ups-1 carries no more" in answer.reason
    assert desk.set("site", ask("cap_w", 600, key="y"), now=NOON, limits=lambda _: (None, "")).status == "accepted"
    assert desk.set("pool/north/b", ask("cap_w", 300, key="z"), now=NOON, limits=lambda _: (20, "heat")).effective == 100
    assert desk.set("pool/south/c", ask("cap_w", 300, key="w"), now=NOON, limits=lambda _: (500, "room")).effective == 300


def test_state_shows_what_was_asked_and_what_acts_the_strongest_first(desk: OverrideDesk) -> None:
    desk.set("pool/north/a", ask("cap_w", 900), now=NOON)
    desk.set("pool/north/a", ask("cap_w", 500, key="y", priority=5), now=NOON)
    desk.set("pool/north/a", ask("hold", key="later", start=NOON + HOUR), now=NOON)
    state = desk.state("pool/north/a", NOON)
    assert state is not None
    assert [(o.id, o.value, o.effective) for o in state.overrides] == [("y", 500, 500), ("x", 900, 700)]
    assert desk.state("site", NOON) is None
    assert desk.state("pool/north/a", NOON + DAY) is None


def test_an_answer_names_who_is_stronger(desk: OverrideDesk) -> None:
    desk.set("hall/north", ask("cap_w", 300, priority=5, by="chief"), now=NOON)
    assert "weaker than cap 300 W on hall/north by chief" in desk.set("job/j1", ask("cap_w", 500, key="y"), now=NOON).reason
    assert "weaker" not in desk.set("pool/south/c", ask("cap_w", 500, key="z"), now=NOON).reason
    desk.set("job/j1", ask("hold", key="h"), now=NOON)
    assert "weaker than hold" in desk.set("job/j1", ask("run", key="r"), now=NOON).reason


def test_a_newer_one_of_the_same_target_kind_and_priority_replaces_the_older(desk: OverrideDesk) -> None:
    desk.set("site", ask("cap_w", 300, key="old"), now=NOON)
    desk.set("site", ask("cap_w", 250, key="other-priority", priority=9), now=NOON)
    desk.set("hall/north", ask("cap_w", 200, key="other-target"), now=NOON)
    desk.set("site", ask("cap_w", 500, key="new"), now=NOON)
    assert ids(desk.active(NOON)) == ["other-priority", "other-target", "new"]
    [(target, told)] = desk.notices()
    assert (target, told.id, told.status) == ("site", "old", "superseded")
    assert "new" in told.reason
    assert desk.notices() == []
    assert desk.expire(NOON) == []


def test_one_that_comes_later_replaces_only_when_it_starts(desk: OverrideDesk) -> None:
    desk.set("site", ask("cap_w", 300, key="now"), now=NOON)
    desk.set("site", ask("cap_w", 250, key="soon", start=NOON + HOUR / 2), now=NOON)
    desk.set("site", ask("cap_w", 200, key="tonight", start=NOON + 8 * HOUR), now=NOON)
    assert ids(desk.active(NOON)) == ["now"]
    assert ids(desk.standing(NOON)) == ["now", "soon", "tonight"]
    assert ids(desk.active(NOON + HOUR / 2)) == ["soon"]
    assert [told.status for _, told in desk.notices()] == ["superseded"]
    assert ids(desk.standing(NOON + 2 * HOUR)) == ["tonight"]


def test_an_older_one_still_to_come_stays_where_the_newer_ends_before_it(desk: OverrideDesk) -> None:
    desk.set("site", ask("cap_w", 200, key="tonight", start=NOON + 8 * HOUR), now=NOON)
    desk.set("site", ask("cap_w", 300, key="now"), now=NOON)
    assert ids(desk.standing(NOON)) == ["tonight", "now"]


def test_an_override_ends_at_its_end_and_is_told_once(desk: OverrideDesk) -> None:
    desk.set("site", ask("stop"), now=NOON)
    end = NOON + HOUR
    assert (desk.expire(end - MINUTE / 60000), ids(desk.active(end - MINUTE / 60000))) == ([], ["x"])
    assert desk.active(end) == ()
    assert (ids(desk.expire(end)), desk.expire(end)) == (["x"], [])
    assert [(told.id, told.status) for _, told in desk.notices()] == [("x", "expired")]


def test_what_ended_does_not_come_back_when_the_clock_does(journal: Journal, desk: OverrideDesk) -> None:
    desk.set("site", ask("stop"), now=NOON)
    assert desk.active(NOON + 2 * HOUR) == ()
    assert desk.active(NOON + MINUTE) == ()
    desk.expire(NOON + MINUTE)
    assert OverrideDesk(SITE, journal).active(NOON + MINUTE) == ()


def test_what_has_begun_acts_on_where_the_clock_is_set_back_and_ends_by_the_seconds_that_really_pass(journal: Journal) -> None:
    """Accepted at noon for an hour; the clock is set back by a day at once, and right again after 40 min; or never."""
    for key, back_again in (("x", True), ("y", False)):
        passed_s = 0.0
        desk = OverrideDesk(SITE, journal, jobs=lambda: JOBS, elapsed_s=lambda: passed_s)  # noqa: B023 - asked while it is this one
        desk.set("site", ask("stop", key=key), now=NOON)
        assert desk.set("site", ask("freeze", key=f"later {key}", start=NOON + 2 * HOUR), now=NOON).status == "accepted"
        (acting,) = desk.active(NOON - DAY)
        assert (acting.id, acting.start) == (key, NOON - DAY)
        assert abs(acting.end - (NOON - DAY + HOUR)) < timedelta(seconds=5)
        passed_s = 2400.0
        if back_again:
            assert ids(desk.active(NOON + 40 * MINUTE)) == [key]
            assert desk.active(NOON + HOUR) == ()
        else:
            assert ids(desk.active(NOON - DAY + 40 * MINUTE)) == [key]
            passed_s = 3602.0
            assert desk.active(NOON - DAY + HOUR + timedelta(seconds=2)) == ()
            assert desk.active(NOON) == ()
        desk.clear("site", drop(f"later {key}"), NOON)


def test_what_was_commanded_while_the_clock_was_ahead_acts_on_when_it_is_right_again_and_not_a_day_later(journal: Journal) -> None:
    passed_s = 0.0
    desk = OverrideDesk(SITE, journal, jobs=lambda: JOBS, elapsed_s=lambda: passed_s)
    desk.set("site", ask("stop"), now=NOON + DAY)
    passed_s = 60.0
    assert ids(desk.active(NOON + MINUTE)) == ["x"]
    passed_s = 3605.0
    assert desk.active(NOON + HOUR) == ()
    passed_s = 86400.0
    assert desk.active(NOON + DAY) == ()


def test_clearing_ends_an_override_in_force_or_to_come(journal: Journal, desk: OverrideDesk) -> None:
    desk.set("site", ask("stop"), now=NOON)
    desk.set("site", ask("freeze", key="y", start=NOON + HOUR), now=NOON)
    for key in "xy":
        assert desk.clear("site", drop(key), NOON).status == "cleared"
    assert desk.clear("site", drop("x"), NOON).status == "cleared"
    assert (desk.standing(NOON), OverrideDesk(SITE, journal).standing(NOON)) == ((), ())
    assert desk.set("site", ask("stop"), now=NOON).status == "duplicate"


def test_clearing_needs_the_right_id_the_right_target_and_a_name(desk: OverrideDesk) -> None:
    desk.set("site", ask("stop"), now=NOON)
    assert "there: x" in desk.clear("site", drop("wrong"), NOON).reason
    assert desk.clear("hall/north", drop("x"), NOON).status == "rejected"
    assert desk.clear("site", OverrideClear(id="x", by=" "), NOON).status == "rejected"
    assert ids(desk.active(NOON)) == ["x"]


def test_of_two_people_of_equal_authority_both_stand_the_lower_cap_counts_and_the_other_is_told(desk: OverrideDesk) -> None:
    desk.set("pool/north/a", ask("cap_w", 300, key="ann", by="ann"), now=NOON)
    answer = desk.set("pool/north/a", ask("cap_w", 400, key="bo", by="bo"), now=NOON)
    assert "weaker than cap 300 W on pool/north/a by ann" in answer.reason
    assert desk.notices() == []
    desk.set("hall/north", ask("cap_w", 250, key="eve", by="eve"), now=NOON)
    assert [(told.id, told.status) for _, told in desk.notices()] == [("ann", "outranked"), ("bo", "outranked")]
    edges = [NOON, NOON + HOUR]
    for cleared, left in (("eve", 300), ("ann", 400), ("bo", None)):
        assert desk.clear("hall/north" if cleared == "eve" else "pool/north/a", drop(cleared), NOON).status == "cleared"
        assert bounds(SITE, desk.standing(NOON), NOON, edges).pool_cap_w["a"] == (left,)


def test_who_is_outranked_when_the_other_begins_is_told_then_and_never_again_after_a_restart(journal: Journal, desk: OverrideDesk) -> None:
    desk.set("site", ask("cap_w", 300, key="ann", by="ann"), now=NOON)
    desk.set("site", ask("cap_w", 500, key="bo", by="bo", priority=5, start=NOON + MINUTE), now=NOON)
    assert desk.notices() == []
    desk.expire(NOON + MINUTE)
    ((_, told),) = desk.notices()
    assert (told.id, told.status, "gives way to cap 500 W on site by bo" in told.reason) == ("ann", "outranked", True)
    again = OverrideDesk(SITE, journal)
    again.expire(NOON + 2 * MINUTE)
    assert again.notices() == []


def test_what_has_begun_stays_begun_when_the_clock_is_set_back(desk: OverrideDesk) -> None:
    desk.set("site", ask("cap_w", 300), now=NOON)
    assert ids(desk.active(NOON - HOUR)) == ["x"]
    assert bounds(SITE, desk.standing(NOON - HOUR), NOON - HOUR, [NOON - HOUR, NOON]).pool_cap_w["a"] == (300,)
    desk.expire(NOON + HOUR)
    assert desk.active(NOON - HOUR) == ()


def test_a_release_lets_go_what_its_priority_reaches_and_names_the_rest(journal: Journal, desk: OverrideDesk) -> None:
    desk.set("job/j1", ask("hold", key="mine"), now=NOON)
    desk.set("job/j1", ask("pause", key="weak", priority=9), now=NOON)
    desk.set("job/j1", ask("hold", key="strong", priority=5, by="chief"), now=NOON)
    desk.set("job/j1", ask("cap_w", 300, key="cap"), now=NOON)
    desk.set("hall/north", ask("hold", key="hall"), now=NOON)
    answer = desk.set("job/j1", ask("release", key="r"), now=NOON)
    assert answer.status == "cleared"
    assert "still there: hold on job/j1 by chief" in answer.reason
    assert "hold on hall/north" in answer.reason
    assert ids(desk.active(NOON)) == ids(OverrideDesk(SITE, journal).active(NOON)) == ["strong", "cap", "hall"]
    assert {(told.id, told.status) for _, told in desk.notices() if told.status != "outranked"} == {("mine", "cleared"), ("weak", "cleared")}
    assert desk.set("job/j1", ask("release", key="r"), now=NOON).status == "duplicate"
    refused = desk.set("job/j1", ask("release", key="s"), now=NOON)
    assert (refused.status, "by chief" in refused.reason) == ("rejected", True)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        desk = OverrideDesk(SITE, journal)
        desk.set("pool/north/a", ask("cap_w", 900), now=NOON)
        desk.set("site", ask("cap_w", 500, key="old"), now=NOON)
        desk.set("site", ask("cap_w", 600, key="new", start=NOON + MINUTE), now=NOON)
        before = desk.standing(NOON), desk.state("pool/north/a", NOON)
    with Journal(tmp_path / "j") as journal:
        desk = OverrideDesk(SITE, journal)
        assert (desk.standing(NOON), desk.state("pool/north/a", NOON)) == before
        assert desk.set("site", ask("cap_w", 1, key="old"), now=NOON).effective == 500
        assert ids(desk.active(NOON + MINUTE)) == ["x", "new"]


def test_an_acknowledged_override_survives_kill_minus_9(tmp_path: Path) -> None:
    program = """
import sys
from datetime import datetime
from facility.journal.journal import Journal
from facility.bus.messages import OverrideSet
from facility.overrides.desk import OverrideDesk
from facility.site import Site
desk = OverrideDesk(Site.model_validate_json(sys.argv[2]), Journal(sys.argv[1]))
now = datetime.fromisoformat(sys.argv[3])
for n in range(1_000_000):
    print(desk.set("job/j%d" % n, OverrideSet(id="id-%d" % n, kind="hold", by="anna"), now=now).status, flush=True)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "j"), SITE.model_dump_json(), NOON.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(20)]
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.read().split()
    assert child.returncode == -signal.SIGKILL
    assert set(told) == {"accepted"}
    with Journal(tmp_path / "j") as journal:
        kept = ids(OverrideDesk(SITE, journal).active(NOON))
    assert kept[: len(told)] == [f"id-{n}" for n in range(len(told))]
    assert len(kept) <= len(told) + 1


def test_what_cannot_be_looked_up_counts_as_known(journal: Journal, desk: OverrideDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a state that a broker kept is not taken for a stranger's, and withdrawn, because the disk fails."""

    def read(*_: object) -> list[tuple[Any, ...]]:
        raise StoreFault("disk I/O error")

    desk.set("site", ask("stop"), now=NOON)
    assert (desk.knows("x"), desk.knows("nobody's")) == (True, False)
    monkeypatch.setattr(journal._store, "read", read)
    assert desk.knows("nobody's")


@contextmanager
def full_disk(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    @contextmanager
    def write(**_: object) -> Iterator[sqlite3.Connection]:
        raise StoreFault("database or disk is full")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(journal._store, "write", write)
        yield


def test_what_cannot_be_stored_is_refused_and_does_not_act(
    journal: Journal, desk: OverrideDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_disk(journal, monkeypatch):
        answer = desk.set("site", ask("stop"), now=NOON)
        assert (answer.status, "disk is full" in answer.reason, desk.standing(NOON)) == ("rejected", True, ())
    assert desk.set("site", ask("stop"), now=NOON).status == "accepted"
    with full_disk(journal, monkeypatch):
        assert "still acts" in desk.clear("site", drop("x"), NOON).reason
        assert ids(desk.active(NOON)) == ["x"]


def test_an_end_that_cannot_be_stored_is_an_end_and_is_stored_later(
    journal: Journal, desk: OverrideDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.set("site", ask("stop"), now=NOON)
    with full_disk(journal, monkeypatch):
        assert ids(desk.expire(NOON + HOUR)) == ["x"]
        assert desk.active(NOON) == ()
    assert ids(journal.overrides()) == ["x"]
    assert desk.expire(NOON + HOUR) == []
    assert journal.overrides() == []


def test_one_more_than_may_stand_is_refused_until_one_is_cleared(desk: OverrideDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_STANDING", 2)
    for key, target in (("one", "pool/north/a"), ("two", "pool/north/b")):
        assert desk.set(target, ask("cap_w", 300, key=key), now=NOON).status == "accepted"
    refused = desk.set("pool/south/c", ask("cap_w", 300, key="three"), now=NOON)
    assert (refused.status, refused.reason) == ("rejected", "2 overrides stand already; clear some first")
    desk.clear("pool/north/a", drop("one"), NOON)
    assert desk.set("pool/south/c", ask("cap_w", 300, key="four"), now=NOON).status == "accepted"
    assert ids(desk.active(NOON)) == ["two", "four"]


def test_answers_fit_the_payload_whatever_was_sent(desk: OverrideDesk) -> None:
    long = "x" * 5000
    for answer in (desk.set(long, ask("hold"), now=NOON), desk.set("site", ask("stop", key="y", reason=long), now=NOON)):
        assert msgspec.json.decode(msgspec.json.encode(answer), type=OverrideResult) == answer
    assert desk.set("site", ask("stop", key="y"), now=NOON).status == "duplicate"


class DeskMachine(RuleBasedStateMachine):
    """The desk against a plain list: commands, repeats, clears, time, restarts, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now, self.sent, self.model = NOON, list[tuple[str, OverrideSet]](), dict[str, Proposal]()
        self.open()

    def open(self) -> None:
        self.journal = Journal(Path(self.folder.name) / "j")
        self.desk = OverrideDesk(SITE, self.journal)

    @rule(
        target_=st.sampled_from(["site", "hall/north", "pool/north/a"]),
        kind=st.sampled_from(["cap_w", "hold"]),
        priority=st.sampled_from([5, 8]),
        start=st.integers(-30, 60),
        ttl=st.integers(1, 60),
    )
    def command(self, target_: str, kind: str, priority: int, start: int, ttl: int) -> None:
        key, begin = f"id-{len(self.sent)}", self.now + start * MINUTE
        request = ask(kind, 300.0 if kind == "cap_w" else None, key=key, priority=priority, start=begin, ttl_s=60.0 * ttl)
        answer = self.desk.set(target_, request, now=self.now)
        assert answer.status == ("expired" if begin + ttl * MINUTE <= self.now else "accepted")
        if answer.status == "accepted":
            end = begin + ttl * MINUTE
            self.model[key] = Proposal(key, target_, request.kind, request.value, priority, begin, end, "anna", "")
        self.sent.append((target_, request))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        where, request = data.draw(st.sampled_from(self.sent))
        assert self.desk.set(where, request, now=self.now).status == "duplicate"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        where, request = data.draw(st.sampled_from(self.sent))
        assert self.desk.clear(where, drop(request.id), self.now).status == "cleared"
        self.model.pop(request.id, None)

    @rule(minutes=st.integers(1, 40))
    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        self.desk.expire(self.now)

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.open()

    @invariant()
    def in_force_is_what_the_model_says(self) -> None:
        for key, old in list(self.model.items()):
            newer = [p for p in self.model.values() if int(p.id[3:]) > int(key[3:]) and p.start <= self.now]
            alike = [p for p in newer if (p.target, p.kind, p.priority) == (old.target, old.kind, old.priority)]
            if old.end <= self.now or any(p.start < old.end and old.start < p.end for p in alike):
                del self.model[key]
        assert self.desk.standing(self.now) == tuple(self.model.values())

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestDeskMachine = DeskMachine.TestCase
TestDeskMachine.settings = settings(max_examples=40, stateful_step_count=25)
