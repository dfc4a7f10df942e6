"""Fates: what becomes of each job and each contract from one plan to another of the same instant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from facility.bus.messages import ContractChange, JobChange
from facility.limits import rounded
from facility.planner import Planned
from facility.report.tables import run_times
from models.breach import TINY
from models.work.job import Job

SAME = timedelta(minutes=1)
"""Who starts or ends by less than this earlier or later does not."""
SAME_SPEED = 0.001
FATES: dict[str, tuple[str, str]] = {
    "misses-deadline": ("job misses its deadline", "jobs miss their deadlines"),
    "meets-deadline": ("job meets a deadline that it would miss", "jobs meet deadlines that they would miss"),
    "held-longer": ("job is held longer", "jobs are held longer"),
    "starts-earlier": ("job starts earlier", "jobs start earlier"),
    "ends-later": ("job ends later", "jobs end later"),
    "ends-earlier": ("job ends earlier", "jobs end earlier"),
}
"""What becomes of one and of several jobs, in words, what matters most first."""

Fate = Literal["misses-deadline", "meets-deadline", "held-longer", "starts-earlier", "ends-later", "ends-earlier"]


def job_changes(before: Planned, after: Planned) -> list[JobChange]:
    """The jobs of which something becomes, what matters most first; both plans have the same jobs."""
    found = list(_jobs(before, after))
    order = list(FATES)
    return sorted(found, key=lambda job: order.index(job.change))


def contract_changes(before: Planned, after: Planned) -> list[ContractChange]:
    """The contracts that run slower or faster, or have less or more than was promised, the most hurt first."""
    was, will = _served(before), _served(after)
    found = []
    for contract in dict.fromkeys([*was, *will]):
        (speed, short), (then, then_short) = was.get(contract, (None, 0.0)), will.get(contract, (None, 0.0))
        slower = (speed or 0.0) - (then or 0.0)
        if abs(slower) <= SAME_SPEED and abs(then_short - short) <= TINY:
            continue
        words = []
        if abs(slower) > SAME_SPEED:
            words.append(f"runs at {100 * (then or 0.0):.1f} % instead of {100 * (speed or 0.0):.1f} % of full speed")
        if abs(then_short - short) > TINY:
            words.append(f"has {rounded(then_short)} instead of {rounded(short)} GPU h less than was promised")
        found.append(
            ContractChange(
                contract=contract,
                speed_before=speed,
                speed_after=then,
                short_gpu_h_before=short,
                short_gpu_h_after=then_short,
                says=f"{contract} {' and '.join(words)}"[:1000],
            )
        )
    return sorted(found, key=lambda c: (c.short_gpu_h_before - c.short_gpu_h_after, (c.speed_after or 0.0) - (c.speed_before or 0.0)))


def _jobs(before: Planned, after: Planned) -> Iterator[JobChange]:
    plan, then = before.decided.plan, after.decided.plan
    first = len(plan.problem.firms)
    deadlines = {job.id: job.deadline for job in before.jobs}
    for i, job in enumerate(plan.problem.jobs):
        w = first + i
        late, then_late = (float(p.account.breach["unfinished_gpu_h"][i]) for p in (plan, then))
        (began, ended, _), (then_began, then_ended, _) = run_times(before, w), run_times(after, w)
        deadline = f"its deadline, {_clock(deadlines[job.id])}"
        if then_late > TINY >= late:
            yield _change(job, "misses-deadline", f"misses {deadline}: {rounded(then_late)} GPU h are left then")
        elif late > TINY >= then_late:
            yield _change(job, "meets-deadline", f"meets {deadline}, which it would miss")
        elif later := _later(began, then_began):
            change: Fate = "held-longer" if later > 0 else "starts-earlier"
            yield _change(job, change, f"{_start(then_began)} instead of {_start(began, other=True)}")
        elif later := _later(ended, then_ended):
            assert ended is not None
            assert then_ended is not None
            yield _change(job, "ends-later" if later > 0 else "ends-earlier", f"runs until {_clock(then_ended)} instead of {_clock(ended)}")


def _served(planned: Planned) -> dict[str, tuple[float | None, float]]:
    """By contract the mean speed of its rental, None without one, and what it has less than was promised, jobs' work too, GPU h."""
    plan = planned.decided.plan
    state, h, found = plan.account, plan.problem.horizon.h, dict[str, tuple[float | None, float]]()
    for w, rental in enumerate(plan.problem.firms):
        asked = float(rental.demanded(len(h)) @ h)
        if asked > 0:
            found[rental.id] = float(state.work_gpu_h[w].sum()) / asked, float(state.breach["short_gpu_h"][w].sum())
    for i, job in enumerate(planned.jobs):
        if job.contract is not None and (late := float(state.breach["unfinished_gpu_h"][i])) > TINY:
            speed, short = found.get(job.contract, (None, 0.0))
            found[job.contract] = speed, short + late
    return found


def _change(job: Job, change: Fate, says: str) -> JobChange:
    return JobChange(job=job.id, change=change, says=f"job {job.id} {says}"[:1000])


def _later(one: datetime | None, other: datetime | None) -> int:
    """1 where the other is later, -1 where it is earlier, 0 where it is neither; None is later than the plan."""
    if one is None or other is None:
        return (other is None) - (one is None)
    return (other - one > SAME) - (one - other > SAME)


def _start(at: datetime | None, *, other: bool = False) -> str:
    if at is None:
        return "in this plan not at all" if other else "waits beyond the plan"
    return _clock(at) if other else f"starts at {_clock(at)}"


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
