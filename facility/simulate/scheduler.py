"""The jobs of a rehearsed day: they arrive, wait for an order, run on free GPUs, and finish.

    done += h * sum over their GPUs of speed(cap)

The site's sample jobs are submitted every day at their local time, on the first day those that can still be done in time; or those of a
trace are, each at its instant. A job waits until it is told to run, or until its hold ends; a hold keeps its progress. After the last
order's `valid_until` it goes on as it was told. An elastic job takes what is free, a rigid one all of its GPUs or none. One that was
stopped reads its checkpoint and does again what was lost since: its GPUs draw, and nothing gets done, for the `pause_cost_gpu_h` of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from facility.errors import Fault, InputError
from facility.simulate.gpu import PoolPlant
from facility.simulate.obedience import Obedience
from facility.site import SampleJob, Site

if TYPE_CHECKING:
    from facility.bus.messages import JobDesired
    from facility.snapshot import Job

KEPT = timedelta(hours=1)
"""How long a finished job is still told of."""


@dataclass
class RehearsedJob:
    """One job and how far it is. Instants are UTC, work in GPU hours at speed 1."""

    id: str
    pool: str
    curve: str
    gpus: int
    work_gpu_h: float
    submit: datetime
    deadline: datetime
    contract: str | None
    elastic: bool
    pause_cost_gpu_h: float = 0.0
    state: Literal["waiting", "running", "done"] = "waiting"
    done_gpu_h: float = 0.0
    to_redo_gpu_h: float = 0.0
    """Work to do again, after a stop, before anything more gets done."""
    running_since: datetime | None = None
    finished: datetime | None = None
    stops: list[datetime] = field(default_factory=list)
    """When it lost all its GPUs before its work was done."""
    order: JobDesired | None = None
    orders: Obedience = field(default_factory=Obedience)

    @property
    def least(self) -> timedelta:
        """How long its work takes at least."""
        return timedelta(hours=self.work_gpu_h / self.gpus)

    def may_use(self, now: datetime) -> int:
        """Return how many GPUs it is allowed at `now`; 0 while it waits or is held."""
        if self.order is None:
            return 0
        if self.order.action == "run":
            return min(self.order.gpus, self.gpus) if self.elastic else self.gpus
        return self.gpus if self.order.until is not None and now >= self.order.until else 0


class Scheduler:
    """`jobs` by id, in the order of their arrival: those of `trace`, or the site's sample jobs where that is None."""

    def __init__(self, site: Site, pools: Mapping[str, PoolPlant], start: datetime, trace: Sequence[Job] | None = None) -> None:
        self.site, self.pools = site, pools
        self.jobs: dict[str, RehearsedJob] = {}
        self._arrivals: Iterator[tuple[datetime, Callable[[], RehearsedJob]]]
        if trace is None:
            self._refuse_misfits()
            self._arrivals = self._daily(start.astimezone(ZoneInfo(site.timezone)).date())
        else:
            self._arrivals = ((job.submit, partial(self._traced, job)) for job in sorted(trace, key=lambda job: job.submit))
        self._next = next(self._arrivals, None)
        self._submit_until(start)
        in_time = {name: job for name, job in self.jobs.items() if job.deadline >= start + job.least}
        self.jobs = in_time if trace is None else {name: job for name, job in self.jobs.items() if job.deadline > start}

    def _refuse_misfits(self) -> None:
        site = self.site
        misfits = [
            Fault(
                f"sample_jobs[{index}]",
                f"{sample.gpus} GPUs of {self._curve(sample)} fit in no pool",
                "lower gpus or name another curve",
            )
            for index, sample in enumerate(site.sample_jobs)
            if not self._pools_for(sample)
        ]
        if misfits:
            raise InputError(*misfits)

    def obey(self, job: str, order: JobDesired, now: datetime) -> str | None:
        """Take an order for a job; return why it was refused, None where it was taken."""
        if job not in self.jobs:
            return "no such job"
        refusal = self.jobs[job].orders.take(order, now)
        if refusal is None:
            self.jobs[job].order = order
        return refusal

    def step(self, seconds: float, now: datetime) -> None:
        """Let jobs arrive, start, stop and work during the `seconds` that end at `now`."""
        self._submit_until(now)
        for job in self.jobs.values():
            pool = self.pools[job.pool]
            self._place(job, pool, now - timedelta(seconds=seconds))
            self._work(job, pool.speed_gpus(job.id) * seconds / 3600)
            if job.state == "running" and job.done_gpu_h >= job.work_gpu_h:
                job.state, job.done_gpu_h, job.finished = "done", job.work_gpu_h, now
                pool.stop(job.id)
        self.jobs = {name: job for name, job in self.jobs.items() if job.finished is None or now < job.finished + KEPT}

    def drop(self, job: str) -> RehearsedJob:
        """Take a job away, whatever is done of it; return it."""
        gone = self.jobs.pop(job)
        if job in self.pools[gone.pool].running:
            self.pools[gone.pool].stop(job)
        return gone

    @staticmethod
    def _work(job: RehearsedJob, gpu_h: float) -> None:
        again = min(gpu_h, job.to_redo_gpu_h)
        job.to_redo_gpu_h -= again
        job.done_gpu_h += gpu_h - again

    def _place(self, job: RehearsedJob, pool: PoolPlant, now: datetime) -> None:
        """Give a job the GPUs it may use where they are free, or take them back."""
        if job.finished is not None:
            return
        held = pool.running[job.id].gpus if job.id in pool.running else 0
        allowed = job.may_use(now)
        use = min(allowed, pool.free + held) if job.elastic or allowed <= pool.free + held else 0
        if use == 0 and held:
            pool.stop(job.id)
            job.stops.append(now)
        elif use != held:
            pool.give(job.id, use, job.curve)
        job.to_redo_gpu_h += job.pause_cost_gpu_h * max(held - use, 0)
        job.running_since = (job.running_since or now) if use else None
        job.state = "running" if use else "waiting"

    def _curve(self, sample: SampleJob) -> str:
        return sample.curve or self.site.jobs.curve

    def _pools_for(self, sample: SampleJob) -> list[str]:
        firm = {
            pool: sum(contract.gpus for contract in self.site.contracts.values() if contract.pool == pool) for pool in self.pools
        }
        return [
            name
            for name, plant in self.pools.items()
            if self._curve(sample) in plant.model.curves and sample.gpus <= plant.pool.gpus - firm[name]
        ]

    def _load(self, pool: str) -> float:
        plant = self.pools[pool]
        waiting = sum(
            job.gpus for job in self.jobs.values() if job.pool == pool and job.finished is None and job.id not in plant.running
        )
        return (plant.busy + waiting) / plant.pool.gpus

    def _daily(self, day: date) -> Iterator[tuple[datetime, Callable[[], RehearsedJob]]]:
        zone = ZoneInfo(self.site.timezone)
        while self.site.sample_jobs:
            for index, sample in sorted(enumerate(self.site.sample_jobs), key=lambda item: item[1].submit_local):
                hour, minute = map(int, sample.submit_local.split(":"))
                local = datetime.combine(day + timedelta(days=hour // 24), time(hour % 24, minute), zone)
                submit = local.astimezone(UTC)
                yield submit, partial(self._sampled, f"job-{hour:02}{minute:02}-{index:02}-{day}", sample, submit)
            day += timedelta(days=1)

    def _sampled(self, job_id: str, sample: SampleJob, submit: datetime) -> RehearsedJob:
        return RehearsedJob(
            id=job_id,
            pool=min(self._pools_for(sample), key=self._load),
            curve=self._curve(sample),
            gpus=sample.gpus,
            work_gpu_h=sample.gpus * sample.duration_h,
            submit=submit,
            deadline=submit + timedelta(hours=sample.duration_h + sample.slack_h),
            contract=sample.contract or self.site.jobs.contract,
            elastic=sample.elastic,
            pause_cost_gpu_h=self.site.jobs.pause_cost_gpu_h,
        )

    def _traced(self, job: Job) -> RehearsedJob:
        lost_gpu_h = self.site.jobs.pause_cost_gpu_h if job.pause_cost_gpu_h is None else job.pause_cost_gpu_h
        return RehearsedJob(
            id=job.id,
            pool=job.pool,
            curve=job.curve,
            gpus=job.gpus,
            work_gpu_h=job.work_gpu_h,
            submit=job.submit,
            deadline=job.deadline,
            contract=job.contract,
            elastic=job.elastic,
            pause_cost_gpu_h=lost_gpu_h,
        )

    def _submit_until(self, now: datetime) -> None:
        while self._next is not None and self._next[0] <= now:
            job = self._next[1]()
            self.jobs[job.id] = job
            self._next = next(self._arrivals, None)
