"""What Slurm's JSON says, in the shapes of its versions, and what comments and resources say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.agents.slurm.comment import Mark, read_comment
from facility.agents.slurm.gpus import counted
from facility.agents.slurm.reading import errors_in, read_jobs

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
AT = round(NOW.timestamp())
OLD: dict[str, Any] = {
    "job_id": 7, "job_state": "PENDING", "partition": "gpu", "account": "bio", "comment": "facility", "submit_time": AT - 600,
    "eligible_time": AT + 900, "start_time": AT + 900, "time_limit": 120, "priority": 4294901750, "node_count": 2, "tasks": 4,
    "array_job_id": 0, "array_task_id": None, "array_task_string": "", "array_max_tasks": 0, "tres_per_node": "gres:gpu:4",
    "tres_req_str": "cpu=4,mem=1M,node=2,billing=4", "tres_alloc_str": "", "requeue": True, "dependency": "", "state_reason": "BeginTime",
    "suspend_time": 0, "pre_sus_time": 0, "het_job_id": 0,
}  # fmt: skip
"""As 22.05 tells a job."""


def as_later(job: dict[str, Any]) -> dict[str, Any]:
    """The same as 23.11 and later tell it: numbers that are set or not, states in a list."""
    numbers = ("submit_time", "eligible_time", "start_time", "time_limit", "priority", "node_count", "tasks", "array_job_id", "array_task_id",
               "array_max_tasks", "suspend_time", "pre_sus_time", "het_job_id")  # fmt: skip
    told = {key: {"set": job[key] is not None, "infinite": False, "number": job[key] or 0} for key in numbers if key in job}
    return job | told | {"job_state": [job["job_state"]]}


def read(job: dict[str, Any]) -> Any:
    (one,) = read_jobs({"jobs": [job]}, NOW)
    (same,) = read_jobs({"jobs": [as_later(job)]}, NOW)
    assert one == same
    return one


def test_a_job_that_waits_is_the_same_in_both_shapes():
    job = read(OLD)
    assert (job.id, job.state, job.partition, job.account, job.gpus, job.nodes, job.address) == (7, "pending", "gpu", "bio", 8, 2, "7")
    assert (job.begin, job.submit, job.limit_s) == (NOW + timedelta(seconds=900), NOW - timedelta(seconds=600), 7200.0)
    assert (job.held, job.dependent, job.requeues, job.mixed) == (False, False, True, False)


def test_how_long_a_job_ran_does_not_count_what_it_was_suspended():
    running = OLD | {"job_state": "RUNNING", "start_time": AT - 300}
    assert read(running).ran_s == 300.0
    assert read(running | {"suspend_time": AT - 100, "pre_sus_time": 150}).ran_s == 250.0
    assert read(running | {"job_state": "SUSPENDED", "suspend_time": AT - 100, "pre_sus_time": 200}).ran_s == 200.0
    assert read(OLD).ran_s == 0.0


@pytest.mark.parametrize(("limit", "read_s"), [(None, None), (0, None), (525_600, None), (60, 3600.0)])
def test_a_time_limit_that_is_none_is_none(limit: int | None, read_s: float | None):
    assert read(OLD | {"time_limit": limit}).limit_s == read_s


def test_an_array_is_its_tasks_that_have_not_started_and_a_task_is_a_job():
    array = read(OLD | {"array_job_id": 7, "array_task_string": "3-9:2,20%3", "array_max_tasks": 3})
    assert (array.address, array.tasks, array.at_once) == ("7_[3-9:2,20]", 5, 3)
    task = read(OLD | {"job_id": 12, "array_job_id": 7, "array_task_id": 1})
    assert (task.address, task.tasks, task.at_once) == ("12", 1, 1)


@pytest.mark.parametrize(
    ("words", "state"),
    [(["PENDING", "REQUEUED"], "pending"), (["RUNNING", "COMPLETING"], "ending"), (["CANCELLED"], "done"), (["RUNNING", "RESIZING"], "running"),
     ("TIMEOUT", "done"), ("SUSPENDED", "suspended"), ("OUT_OF_MEMORY", "done"), ("CONFIGURING", "running")],
)  # fmt: skip
def test_states_of_all_versions_are_known(words: Any, state: str):
    (job,) = read_jobs({"jobs": [OLD | {"job_state": words, "eligible_time": AT}]}, NOW)
    assert job.state == state


def test_one_that_was_requeued_waits_while_it_still_ends():
    assert read(OLD | {"job_state": "COMPLETING"}).state == "pending"
    assert read(OLD | {"job_state": "COMPLETING", "eligible_time": AT - 5}).state == "ending"


def test_holds_and_dependencies_are_seen():
    assert read(OLD | {"priority": 0}).held
    assert read(OLD | {"dependency": "afterok:5", "state_reason": "Dependency"}).dependent
    assert read(OLD | {"het_job_id": 7}).mixed


NO_JOBS = [None, {}, {"job_id": "x"}, OLD | {"submit_time": "now"}, OLD | {"job_state": 5}]


@pytest.mark.parametrize("told", [None, [], {}, {"jobs": 5}, {"jobs": NO_JOBS}])
def test_what_makes_no_sense_is_left_out(told: Any):
    assert read_jobs(told, NOW) == ()


def test_an_error_without_a_number_is_none():
    assert errors_in({"errors": []}) == ""
    assert errors_in({"errors": [{"description": "job array update from [localhost]:1 failed", "source": "_parse_job_list"}]}) == ""
    assert errors_in({"errors": [{"error": "Unspecified error", "error_number": -1, "description": "Failed"}]}) == "Unspecified error Failed"


@pytest.mark.parametrize(
    ("text", "gpus"),
    [("gres:gpu:8", 8), ("gpu:4", 4), ("gres/gpu=16", 16), ("gres/gpu:a100=8,gres/gpu=8,cpu=4", 8), ("gpu:a100:2", 2), ("gres:gpu:h100-80gb:4", 4),
     ("gpu", 1), ("gres:gpu:a100", 1), ("gres:gpu:1K", 1024), ("cpu=4,mem=1M", None), ("", None), ("gres:gpumem:4", None), ("gpu:8(IDX:0-7)", 8)],
)  # fmt: skip
def test_gpus_are_counted_in_every_way_that_slurm_writes_them(text: str, gpus: int | None):
    assert counted(text) == gpus


def test_gpus_per_job_go_before_those_per_node_and_what_is_allocated_before_both():
    assert read(OLD | {"tres_per_job": "gres:gpu:6"}).gpus == 6
    assert read(OLD | {"tres_per_node": "", "tres_per_task": "gres:gpu:1"}).gpus == 4
    assert read(OLD | {"tres_alloc_str": "cpu=4,gres/gpu=7"}).gpus == 7
    assert read(OLD | {"tres_per_node": ""}).gpus is None


def test_a_comment_without_the_label_is_nobodys():
    for text in ("", "work_h=4", "my-facility", "facility=no", "[facility begin=5]"):
        assert read_comment(text, "facility") is None


def test_a_mark_is_read_back_and_the_users_words_stay():
    words = 'facility work_h=4.5 note="two words"  pause=requeue'
    mark = Mark(NOW, NOW - timedelta(hours=1), None, 700)
    comment = read_comment(words, "facility")
    assert (comment.mark, comment.wishes.work_h, comment.wishes.pause) == (Mark(), 4.5, "requeue")
    marked = comment.marked(mark)
    again = read_comment(marked, "facility")
    assert marked == f"{words} [facility begin={AT} theirs={AT - 3600} done_s=700]"
    assert (again.mark, again.words, again.wishes) == (mark, words, comment.wishes)
    assert again.marked(Mark()) == words
