"""Deferrals on a real Slurm: slurmctld, slurmd and slurmrestd on loopback, the agent as a process, a real broker."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from facility.commands.agent_slurm import run_slurm
from facility.errors import InputError
from tests.processes import end, needs_mosquitto, until
from tests.slurm import SITE, Cluster, Desk, needs_slurm

pytestmark = [needs_mosquitto, needs_slurm]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    one = Cluster()
    yield one
    one.close()


def by(way: str) -> pytest.MarkDecorator:
    """For what does not depend on the way to Slurm."""
    return pytest.mark.parametrize("desk", [way], indirect=True)


@pytest.fixture(params=["rest", "commands"])
def desk(tmp_path: Path, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path, stack, cluster, request.param)
        cluster.ask("scancel", "--user", cluster.user)


def test_twenty_jobs_of_which_eight_are_held_wait_start_when_released_and_finish_though_slurm_is_restarted(cluster: Cluster, desk: Desk) -> None:
    foreign = cluster.sleep(60, comment="mine work_h=1")
    jobs = [cluster.sleep(1) for _ in range(20)]
    assert until(lambda: all(desk.told(job, "spec") for job in jobs), 15)
    assert {(desk.told(job, "spec")["gpus"], desk.told(job, "spec")["pool"]) for job in jobs} == {(8, "h1-b")}
    held, released = jobs[:8], jobs[8:]
    desk.order(held, "hold")
    desk.order(released, "run")
    assert until(lambda: all(desk.reported(job) == "done" for job in released), 30)
    assert all(desk.obeyed(job) and cluster.states()[job] == "pending" for job in held)
    cluster.end("slurmctld")
    assert until(lambda: "Slurm does not answer" in desk.said(), 20)
    cluster.start_controller()
    assert until(lambda: "Slurm answers again" in desk.said(), 20)
    desk.order(held, "hold")
    assert until(lambda: all(desk.obeyed(job) for job in held), 15)
    assert {cluster.states()[job] for job in held} == {"pending"}
    desk.order(held, "run")
    assert until(lambda: all(desk.reported(job) == "done" for job in held), 30)
    assert {cluster.job(job)["job_state"] for job in jobs} == {"COMPLETED"}
    assert {cluster.job(job)["comment"] for job in jobs} == {"facility work_h=1 wait"}
    assert (cluster.states()[foreign], cluster.job(foreign)["comment"]) == ("running", "mine work_h=1")
    assert desk.told(foreign, "spec") is None


@by("rest")
def test_what_is_held_starts_at_the_end_of_its_order_by_slurms_own_hand_when_all_of_us_are_killed(cluster: Cluster, desk: Desk) -> None:
    jobs = [cluster.sleep(60) for _ in range(3)]
    assert until(lambda: all(desk.told(job, "spec") for job in jobs))
    desk.order(jobs, "hold", 6.0)
    ends = time.time() + 6
    assert until(lambda: all(desk.obeyed(job) for job in jobs))
    end(desk.agent)
    desk.broker.stop()
    assert all(abs(cluster.job(job)["eligible_time"] - ends) <= 2 for job in jobs)
    assert until(lambda: {cluster.states()[job] for job in jobs} == {"running"}, 15)
    assert time.time() >= ends - 2


@by("rest")
def test_a_hold_ends_at_its_own_instant_and_a_newer_order_moves_it_on(cluster: Cluster, desk: Desk) -> None:
    job = cluster.sleep(60)
    desk.order([job], "hold", 500)
    assert until(lambda: desk.obeyed(job), 15)
    first = cluster.job(job)["eligible_time"]
    desk.order([job], "hold", 900)
    assert until(lambda: cluster.job(job)["eligible_time"] >= first + 350)
    desk.order([job], "hold", 900, until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3)))
    assert until(lambda: cluster.states()[job] == "running", 15)
    assert until(lambda: desk.reported(job) == "running")


def test_a_job_that_runs_waits_again_only_where_it_says_how(cluster: Cluster, desk: Desk) -> None:
    firm, again, paused = (cluster.sleep(60, comment=f"facility work_h=1{pause}") for pause in ("", " pause=requeue", " pause=suspend"))
    jobs = [firm, again, paused]
    desk.order(jobs, "run")
    assert until(lambda: all(desk.reported(job) == "running" for job in jobs), 20)
    desk.order(jobs, "hold")
    assert until(lambda: desk.reported(again) == desk.reported(paused) == "waiting", 15)
    assert (cluster.states()[again], cluster.states()[paused], cluster.states()[firm]) == ("pending", "suspended", "running")
    assert until(lambda: f"job {firm} does not do what was ordered: it runs, and does not say that it may pause" in desk.said())
    assert (desk.reported(firm), desk.obeyed(firm)) == ("running", False)
    desk.order(jobs, "run")
    assert until(lambda: {cluster.states()[job] for job in jobs} == {"running"}, 20)
    assert desk.said().count(f"job {firm} does not do") == 1


@by("commands")
def test_what_a_killed_agent_has_suspended_the_next_one_resumes_and_so_does_one_that_is_stopped(cluster: Cluster, desk: Desk) -> None:
    job, foreign = cluster.sleep(60, comment="facility work_h=1 pause=suspend"), cluster.sleep(60, comment=None)
    desk.order([job], "run")
    assert until(lambda: desk.reported(job) == "running", 20)
    cluster.ask("scontrol", "suspend", str(foreign))
    desk.order([job], "hold", 3.0)
    assert until(lambda: cluster.states()[job] == "suspended")
    end(desk.agent)
    time.sleep(3)
    assert cluster.states()[job] == "suspended"  # nobody is there
    desk.start()
    assert until(lambda: cluster.states()[job] == "running", 15)
    desk.order([job], "hold")
    assert until(lambda: cluster.states()[job] == "suspended")
    desk.agent.send_signal(signal.SIGTERM)
    assert desk.agent.wait(10) == 0
    assert (cluster.states()[job], cluster.states()[foreign]) == ("running", "suspended")


def test_what_users_ask_for_is_theirs(cluster: Cluster, desk: Desk) -> None:
    held = cluster.sleep(60, "--hold")
    later = cluster.sleep(60, "--begin=now+1hour")
    assert until(lambda: desk.reported(held) == desk.reported(later) == "waiting", 15)
    theirs = cluster.job(later)["eligible_time"]
    desk.order([held, later], "run")
    assert until(lambda: f"job {held} does not do what was ordered: it is held by its user" in desk.said())
    assert until(lambda: f"job {later} does not do what was ordered: its user lets it begin at" in desk.said())
    desk.order([later], "hold", 7200)
    assert until(lambda: cluster.job(later)["eligible_time"] > theirs)
    desk.order([later], "run")
    assert until(lambda: cluster.job(later)["eligible_time"] == theirs)
    assert cluster.job(later)["comment"] == "facility work_h=1"
    assert {cluster.states()[job] for job in (held, later)} == {"pending"}


def test_tasks_of_an_array_that_have_not_started_are_one_job_and_a_gone_job_is_taken_off_the_bus(cluster: Cluster, desk: Desk) -> None:
    array = cluster.sleep(60, "--array=1-4%2", "--begin=now+1hour", comment="facility wait work_h=1")
    desk.order([array], "hold", 900)
    assert until(lambda: desk.obeyed(array), 15)
    assert (desk.told(array, "spec")["gpus"], desk.told(array, "spec")["work_gpu_h"]) == (16, 32.0)
    desk.order([array], "run")
    assert until(lambda: list(cluster.states().values()).count("running") >= 2, 15)
    desk.order([99_999], "hold")
    assert until(lambda: desk.ear.newest.get("facility/v1/demo-slurm/job/slurm-99999/desired") == b"")


@by("commands")
def test_what_cannot_be_told_is_said_once(cluster: Cluster, desk: Desk) -> None:
    nothing, endless = cluster.sleep(60, gpus=0), cluster.sleep(60, comment="facility")
    fault = cluster.sleep(60, comment="facility work_h=1 pause=kill")
    assert until(lambda: f"job {nothing} is not told of: it asks for no GPUs by number" in desk.said(), 15)
    assert until(lambda: f"job {endless} is not told of: nobody knows how long it takes" in desk.said())
    assert until(lambda: f"job {fault} says what nobody understands: pause=kill" in desk.said())
    assert until(lambda: desk.reported(fault) == "waiting")
    limited = cluster.sleep(60, "--time=2:00:00", comment="facility")
    assert until(lambda: desk.told(limited, "spec") is not None)
    assert desk.told(limited, "spec")["work_gpu_h"] == 16.0


@pytest.mark.parametrize(
    ("options", "scheduler", "said"),
    [
        ((), "x", "--scheduler: no `x` in schedulers.slurm; name one of slurm"),
        (("schedulers={}",), None, "schedulers.slurm: none"),
        (("schedulers.slurm.slurm.url=http://127.0.0.1:1", "schedulers.slurm.slurm.token_file=/none"), None, "/none cannot be read"),
    ],
)
def test_bad_input_is_told_with_its_place_and_a_remedy(options: tuple[str, ...], scheduler: str | None, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        run_slurm(SITE, options, "mqtt://127.0.0.1:1", "3.1.1", None, scheduler)
