"""What is done with a job so that an order comes true, and what a job means to the service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.agents.slurm.comment import Mark, read_comment
from facility.agents.slurm.deferral import AS_IT_IS, Deed, deed
from facility.agents.slurm.instants import Instants
from facility.agents.slurm.job import SlurmJob
from facility.agents.slurm.meaning import Meaning
from facility.clock import ScaledClock
from facility.config import load_site

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
SOON, LATER, LAST = (NOW + timedelta(seconds=seconds) for seconds in (300, 900, 3600))
WAITS = SlurmJob(1, "pending", "h1-b", NOW - timedelta(hours=1), begin=NOW - timedelta(hours=1), gpus=8)
RUNS = replace(WAITS, state="running", ran_s=120.0, requeues=True)


def done(
    job: SlurmJob, words: str = "", mark: Mark | None = None, until: datetime | None = None, *, ordered: bool = True, heard: bool = True
) -> Deed:
    comment = read_comment(f"facility {words}".strip(), "facility")
    assert comment is not None
    return deed(job, replace(comment, mark=mark or Mark()), until, ordered=ordered, heard=heard, now=NOW)


def test_a_hold_is_a_begin_time_that_ends_with_it():
    assert done(WAITS, until=LATER) == Deed("change", Mark(LATER), LATER)
    assert done(WAITS, until=LATER + timedelta(seconds=0.9)) == Deed("change", Mark(LATER), LATER)
    held = replace(WAITS, begin=LATER)
    assert done(held, mark=Mark(LATER), until=LATER) == AS_IT_IS
    assert done(held, mark=Mark(LATER), until=LAST) == Deed("change", Mark(LAST), LAST)
    assert done(held, mark=Mark(LATER), until=SOON) == Deed("change", Mark(SOON), SOON)


def test_an_order_to_run_and_a_hold_that_is_past_let_it_begin_now_and_leave_no_mark():
    held = replace(WAITS, begin=LATER)
    assert done(held, mark=Mark(LATER)) == Deed("change", Mark(), NOW)
    assert done(held, mark=Mark(LATER), until=NOW) == Deed("change", Mark(), NOW)
    assert done(WAITS) == AS_IT_IS


def test_without_an_order_a_job_that_waits_stays_as_it_is():
    assert done(replace(WAITS, begin=LATER), mark=Mark(LATER), ordered=False) == AS_IT_IS


def test_a_users_own_time_is_kept_and_given_back():
    own = replace(WAITS, begin=LATER)
    assert done(own, until=SOON) == AS_IT_IS
    assert done(own, until=LAST) == Deed("change", Mark(LAST, LATER), LAST)
    assert "its user lets it begin at" in done(own).why
    assert done(replace(WAITS, begin=LAST), mark=Mark(LAST, LATER)) == Deed("change", Mark(), LATER)
    assert done(replace(WAITS, begin=LAST), mark=Mark(LATER), until=SOON) == AS_IT_IS  # they have set another since


def test_a_wait_for_the_first_order_is_no_time_of_the_users():
    assert done(replace(WAITS, begin=LATER), "wait", until=SOON) == Deed("change", Mark(SOON), SOON)
    assert done(replace(WAITS, begin=LATER), "wait") == Deed("change", Mark(), NOW)


def test_a_users_hold_is_left_alone():
    assert done(replace(WAITS, held=True), until=LATER) == AS_IT_IS
    assert done(replace(WAITS, held=True)) == Deed(why="it is held by its user")


def test_what_runs_waits_again_only_where_it_says_so_and_how():
    assert done(RUNS, "pause=requeue work_h=1", Mark(done_s=60), LATER) == Deed("requeue", Mark(LATER, done_s=180), LATER)
    assert done(RUNS, "pause=requeue", until=LATER) == Deed("requeue", Mark(LATER), LATER)
    assert done(RUNS, "pause=suspend", until=LATER) == Deed("suspend", Mark(suspended=LATER))
    assert "does not say that it may pause" in done(RUNS, until=LATER).why
    assert "--no-requeue" in done(replace(RUNS, requeues=False), "pause=requeue", until=LATER).why
    assert done(RUNS, "pause=requeue") == AS_IT_IS


def test_what_we_suspended_goes_on_when_nothing_holds_it_any_more():
    paused, ours = replace(RUNS, state="suspended"), Mark(suspended=LATER)
    assert done(paused, mark=ours, until=LATER) == AS_IT_IS
    assert done(paused, mark=ours, until=LAST) == Deed("change", Mark(suspended=LAST))
    assert done(paused, mark=ours) == Deed("resume", Mark())
    assert done(paused, mark=ours, ordered=False) == Deed("resume", Mark())
    assert done(paused, mark=ours, ordered=False, heard=False) == AS_IT_IS
    assert done(paused, mark=Mark(suspended=NOW), ordered=False, heard=False) == Deed("resume", Mark())
    assert done(paused) == Deed(why="somebody else has suspended it")


@pytest.mark.parametrize("state", ["ending", "done"])
def test_what_is_over_is_left_alone(state: Any):
    assert done(replace(RUNS, state=state), until=LATER) == AS_IT_IS


SITE = load_site("site_configs/demo-slurm.yaml")


def meaning(**terms: Any) -> Meaning:
    return Meaning(SITE, "slurm", SITE.schedulers.slurm["slurm"].model_copy(update=terms), Instants())


def spec(job: SlurmJob, words: str = "work_h=2", **terms: Any) -> Any:
    comment = read_comment(f"facility {words}", "facility")
    assert comment is not None
    return meaning(**terms).spec(job, comment)


def test_a_jobs_pool_terms_and_work_come_from_partition_account_and_comment():
    told = spec(replace(WAITS, account="kepler"), "work_h=2 curve=finetune-8b elastic deadline=2026-07-16T06:00Z")
    assert (told.pool, told.contract, told.gpus, told.work_gpu_h, told.curve, told.elastic) == ("h1-b", "kepler-jobs", 8, 16.0, "finetune-8b", True)
    assert told.deadline == datetime(2026, 7, 16, 6, tzinfo=UTC)


def test_without_words_the_time_limit_tells_the_work_and_the_site_the_gpus_of_a_node():
    assert spec(replace(WAITS, limit_s=5400.0), "").work_gpu_h == 12.0
    assert spec(replace(WAITS, gpus=None, nodes=3), gpus_per_node=4).gpus == 12


@pytest.mark.parametrize(
    ("job", "words", "said"),
    [
        (replace(WAITS, partition="cpu"), "work_h=1", "its partition cpu is of no pool"),
        (replace(WAITS, gpus=None), "work_h=1", "it asks for no GPUs by number"),
        (WAITS, "", "nobody knows how long it takes"),
        (WAITS, "work_h=1 curve=matmul", "curve: pool h1-b has no curve 'matmul'"),
        (WAITS, "work_h=1 deadline=2026-07-15T08:00Z", "its deadline is not after its submission"),
        (replace(WAITS, mixed=True), "work_h=1", "heterogeneous"),
    ],
)
def test_what_cannot_be_told_says_why(job: SlurmJob, words: str, said: str):
    assert said in spec(job, words)


def test_an_array_is_no_larger_at_once_than_its_pool_and_can_do_with_less():
    told = spec(replace(WAITS, tasks=100, at_once=100))
    assert (told.gpus, told.work_gpu_h, told.elastic) == (480, 1600.0, True)


def test_a_job_that_runs_always_has_something_left_and_what_it_did_before_counts():
    comment = read_comment("facility work_h=1 [facility done_s=900]", "facility")
    told = meaning().spec(RUNS, comment)
    assert meaning().report(replace(RUNS, ran_s=900.0), comment, told, None, 0).done_gpu_h == pytest.approx(4.0)
    late = meaning().report(replace(RUNS, ran_s=9000.0), comment, told, None, 0)
    assert (late.state, late.gpus, late.done_gpu_h) == ("running", 8, pytest.approx(7.84))
    assert meaning().report(replace(RUNS, state="done"), comment, told, None, 0).state == "done"


def test_names_of_jobs_lead_back_to_their_numbers():
    assert meaning().number(meaning().id(WAITS)) == 1
    assert [meaning().number(name) for name in ("other-1", "slurm-x", "slurm-1-2", "slurm")] == [None] * 4


def test_a_site_whose_clock_runs_faster_has_longer_hours():
    instants = Instants.of(ScaledClock(NOW.timestamp(), LAST, 60.0))
    assert instants.site(NOW + timedelta(seconds=2)) == LAST + timedelta(seconds=120)
    assert instants.slurm(instants.site(SOON)) == SOON
    assert instants.hours(60.0) == 1.0
