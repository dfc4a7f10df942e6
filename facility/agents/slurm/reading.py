"""Reading: Slurm's JSON of jobs, as slurmrestd and `squeue --json` give it, from 22.05 on.

Numbers are plain in 22.05 and `{"set": true, "infinite": false, "number": 5}` later; states are one word, later a list of them. 365 days
are how 22.05 tells a running job that has no time limit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from facility.agents.slurm.gpus import gpus_of
from facility.agents.slurm.job import SlurmJob, State

STATES: Final[dict[str, State]] = {
    **dict.fromkeys(("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"), "pending"),
    **dict.fromkeys(("RUNNING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"), "running"),
    **dict.fromkeys(("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"), "done"),
    **dict.fromkeys(("BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL"), "done"),
    "SUSPENDED": "suspended",
    "COMPLETING": "ending",
}
UNLIMITED_MIN: Final = 365 * 24 * 60
MOST_S: Final = 4_102_444_800
"""The year 2100; what is later was never meant."""
MOST_TASKS: Final = 4_000_000


def number(value: Any) -> int | None:
    """Read a number in either form; None where it is not set or infinite.

    >>> number(5), number({"set": True, "infinite": False, "number": 5}), number({"set": False, "number": 0}), number(None)
    (5, 5, None, None)
    """
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63 else None


def read_jobs(told: Any, now: datetime) -> tuple[SlurmJob, ...]:
    """The jobs of a whole answer at `now`; one that makes no sense is left out."""
    jobs = told.get("jobs") if isinstance(told, dict) else None
    found = (_read(job, now) for job in jobs) if isinstance(jobs, list) else ()
    return tuple(job for job in found if job is not None)


def errors_in(told: Any) -> str:
    """What an answer says went wrong; empty where nothing did. v0.0.38 tells of arrays as of an error without a number that all went well."""
    errors = told.get("errors") if isinstance(told, dict) else None
    found = [one for one in errors if not isinstance(one, dict) or one.get("error") or one.get("error_number")] if isinstance(errors, list) else []
    said = (" ".join(str(one.get(key)) for key in ("error", "description") if one.get(key)) if isinstance(one, dict) else str(one) for one in found)
    return "; ".join(said)[:500]


def _read(job: Any, now: datetime) -> SlurmJob | None:
    name = number(job.get("job_id")) if isinstance(job, dict) else None
    state, submit = (_state(job.get("job_state")), _instant(job.get("submit_time"))) if name else (None, None)
    if name is None or state is None or submit is None:
        return None
    begin = _instant(job.get("eligible_time"))
    if state == "ending" and begin is not None and begin > now:
        state = "pending"  # it was requeued
    address, tasks = _array(job, name)
    nodes = max(number(job.get("node_count")) or 1, 1)
    limit_min = number(job.get("time_limit"))
    return SlurmJob(
        id=name,
        state=state,
        partition=_text(job, "partition"),
        submit=submit,
        comment=_text(job, "comment"),
        account=_text(job, "account"),
        address=address,
        gpus=gpus_of(job, nodes, max(number(job.get("tasks")) or 1, 1)),
        nodes=nodes,
        tasks=tasks,
        at_once=min(number(job.get("array_max_tasks")) or tasks, tasks),
        begin=begin,
        ran_s=_ran_s(job, state, now),
        limit_s=None if not limit_min or limit_min >= UNLIMITED_MIN else 60.0 * limit_min,
        held=number(job.get("priority")) == 0,
        dependent=bool(_text(job, "dependency")) and _text(job, "state_reason") in {"Dependency", "DependencyNeverSatisfied"},
        requeues=job.get("requeue") is True,
        mixed=bool(number(job.get("het_job_id"))),
    )


def _text(job: dict[str, Any], key: str) -> str:
    value = job.get(key)
    return value if isinstance(value, str) else ""


def _state(told: Any) -> State | None:
    """What is most final of the states that a job has at once, but one that waits again does."""
    words = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    states = [STATES[word] for word in words if word in STATES]
    if "ending" in states:
        return "ending"
    return next((state for state in ("pending", "suspended", "done", "running") if state in states), None)


def _instant(told: Any) -> datetime | None:
    seconds = number(told)
    return datetime.fromtimestamp(seconds, UTC) if seconds and 0 < seconds < MOST_S else None


def _ran_s(job: dict[str, Any], state: State, now: datetime) -> float:
    """How long it ran: since its start or the last resumption, and what it ran before."""
    started, stopped, before_s = _instant(job.get("start_time")), _instant(job.get("suspend_time")), number(job.get("pre_sus_time")) or 0
    if state not in {"running", "suspended"} or started is None:
        return 0.0
    if state == "suspended":
        return float(before_s)
    return max((now - (stopped or started)).total_seconds(), 0.0) + (before_s if stopped else 0)


def _array(job: dict[str, Any], name: int) -> tuple[str, int]:
    """How commands name a job, and of how many tasks it is; of an array those that have not started yet are one job."""
    array, text = number(job.get("array_job_id")), _text(job, "array_task_string")
    if not array or not text or number(job.get("array_task_id")) is not None:
        return str(name), 1
    which = text.partition("%")[0]
    return (f"{array}_[{which}]", tasks) if (tasks := _tasks(which)) else (str(name), 1)


def _tasks(which: str) -> int:
    """Count the tasks of `1-5,7,10-20:2`; 0 where that is not what it is.

    >>> _tasks("1-5,7,10-20:2")
    12
    """
    count = 0
    for part in which.split(","):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", part)
        if found is None:
            return 0
        first, last, step = int(found[1]), int(found[2] or found[1]), max(int(found[3] or 1), 1)
        count += max((last - first) // step + 1, 0)
    return min(count, MOST_TASKS)
