"""Ways to slurmrestd: the real one over its unix socket, and what later versions say otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from facility.agents.slurm.job import Away, Refused, SlurmJob
from facility.agents.slurm.rest import Rest
from tests.fakes.slurmrestd import Slurmrestd, number
from tests.processes import until
from tests.slurm import Cluster, needs_slurm

NOW = datetime.now(UTC)
SOON = datetime.fromtimestamp(round(NOW.timestamp()) + 900, UTC)
WAITS = SlurmJob(7, "pending", "h1-b", NOW, address="7")


@needs_slurm
def test_the_real_one_is_reached_over_its_unix_socket_too():
    cluster = Cluster()
    try:
        rest = Rest(cluster.socket_url, cluster.user, lambda: cluster.token(cluster.user))
        number = cluster.sleep(30, "--begin=now+1hour")
        (job,) = rest.jobs()
        rest.change(job, "facility work_h=1 [facility begin=5]", SOON)
        (job,) = rest.jobs()
        assert (job.id, job.begin, job.comment) == (number, SOON, "facility work_h=1 [facility begin=5]")
        rest.change(job, "facility", datetime.now(UTC))
        assert until(lambda: rest.jobs()[0].state == "running")
        with pytest.raises(Refused, match="no longer pending"):
            rest.change(job, "facility", SOON)
        with pytest.raises(Away):
            Rest(cluster.url, cluster.user, lambda: "no.such.token").jobs()
    finally:
        cluster.close()


@pytest.fixture
def later() -> Iterator[Slurmrestd]:
    one = Slurmrestd(("v0.0.39", "v0.0.41", "v0.0.40"), "secret")
    one.jobs[7] = {"job_id": 7, "job_state": ["PENDING"], "partition": "h1-b", "comment": "facility", "submit_time": number(1_784_109_600),
                   "eligible_time": number(1_784_113_200), "time_limit": number(60), "priority": number(0), "node_count": number(1)}  # fmt: skip
    yield one
    one.close()


def way(to: Slurmrestd, token: str | None = "secret") -> Rest:
    return Rest(to.url, "facility", lambda: token)


def test_the_newest_version_is_used_and_its_numbers_are_understood_and_written(later: Slurmrestd):
    rest = way(later)
    (job,) = rest.jobs()
    assert (job.held, job.limit_s, job.state) == (True, 3600.0, "pending")
    rest.change(job, "facility [facility begin=5]", SOON)
    told = {"comment": "facility [facility begin=5]", "begin_time": {"set": True, "infinite": False, "number": round(SOON.timestamp())}}
    assert later.updates == [("/slurm/v0.0.41/job/7", told)]
    rest.change(job, "facility", None)
    assert later.updates[-1][1] == {"comment": "facility"}


def test_one_that_is_too_old_or_does_not_know_us_is_away(later: Slurmrestd):
    with pytest.raises(Away, match="Authentication failure"):
        way(later, None).jobs()
    later.versions = ("v0.0.36",)
    with pytest.raises(Away, match=r"offers v0\.0\.36; v0\.0\.38 is needed"):
        way(later).jobs()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((500, {"errors": [{"error": "Unable to contact slurm controller (connect failure)", "error_number": 1800}]}), Away),
        ((503, {"errors": []}), Away),
        ((500, {"errors": [{"error": "Access/permission denied", "error_number": 2002}]}), Refused),
        ((200, {"errors": [{"error": "Job is no longer pending execution", "error_number": 2073}]}), Refused),
    ],
)
def test_who_does_not_answer_is_away_and_who_says_no_refuses(later: Slurmrestd, answer: tuple[int, Any], kind: type[Exception]):
    rest = way(later)
    rest.jobs()
    later.answer = answer
    with pytest.raises(kind):
        rest.change(WAITS, "facility", SOON)


def test_after_an_outage_it_may_be_another_version(later: Slurmrestd):
    rest = way(later)
    rest.jobs()
    later.answer = (503, {})
    with pytest.raises(Away):
        rest.jobs()
    later.answer, later.versions = None, ("v0.0.38",)
    rest.change(WAITS, "facility", SOON)
    assert later.updates[-1] == ("/slurm/v0.0.38/job/7", {"comment": "facility", "begin_time": f"uts{round(SOON.timestamp())}"})
    later.close()
    with pytest.raises(Away):
        rest.jobs()
