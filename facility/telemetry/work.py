"""Jobs as their scheduler tells them: what was specified, less what was reported as done."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from facility.bus.messages import JobReported, JobSpec
from facility.inputs.jobterms import agree, allowance_h
from facility.site import Site
from facility.snapshot import Job
from facility.telemetry.readings import Refusal
from facility.usage.standing import Held

MOST_JOBS = 100_000
"""Jobs that are kept at once; a scheduler with more has a fault, and memory has an end."""


class Work:
    """Specifications, reports and tenants by job, how many jobs each tenant has, and since when each that runs was reported to run
    without a break.

    `site` is the one in force: whose contracts jobs are taken under. A job whose contract is gone is under the site's own terms.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.specs: dict[str, JobSpec] = {}
        self.reports: dict[str, JobReported] = {}
        self.running_since: dict[str, datetime] = {}
        self.owners: dict[str, str] = {}
        self.jobs_of: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}
        self.changes = 0
        """How often it changed which job holds which GPUs, or what a job is."""

    def specify(self, job: str, spec: JobSpec | None) -> None:
        """Take in a specification, or its end (None). Raises Refusal for one that this site cannot run."""
        self.changes += 1
        if spec is None:
            for kept in (self.specs, self.reports, self.running_since, self._jobs):
                kept.pop(job, None)
            self._give(job, None)
            return
        if job in self.site.contracts:
            raise Refusal("job", f"{job} is the name of a contract")
        if job not in self.specs and len(self.specs) >= MOST_JOBS:
            raise Refusal("job", f"more than {MOST_JOBS} jobs")
        terms = agree(self.site, spec.tenant or "", spec.contract or "", spec.pool, spec.curve or "")
        if terms.faults:
            raise Refusal("job", "; ".join(f"{field}: {found}" for field, found, _ in terms.faults))
        due = self._due(spec, terms.contract)
        if due <= spec.submit:
            raise Refusal("job", "its deadline is not after its submission")
        if spec.elastic and spec.min_run_h:
            raise Refusal("job", "an elastic job gives GPUs back one by one and has no minimum run")
        self.specs[job] = spec
        self._give(job, terms.tenant or "")
        self._jobs[job] = Job(
            job,
            spec.pool,
            terms.curve,
            spec.gpus,
            spec.work_gpu_h,
            spec.submit,
            due,
            terms.tenant,
            terms.contract,
            spec.elastic,
            min_run_h=spec.min_run_h,
        )

    def _give(self, job: str, tenant: str | None) -> None:
        """Note whose a job is; None: it is gone."""
        if job in self.owners:
            self.jobs_of[self.owners.pop(job)] -= 1
        if tenant is not None:
            self.owners[job] = tenant
            self.jobs_of[tenant] += 1

    def _due(self, spec: JobSpec, contract: str | None) -> datetime:
        """Give a job its uncapped duration and the wait that its contract allows, or without a deadline the site's slack."""
        wait_h = allowance_h(self.site, contract)
        if wait_h is None and spec.deadline is not None:
            return spec.deadline
        try:
            due = spec.submit + timedelta(hours=spec.work_gpu_h / spec.gpus + (self.site.jobs.slack_h if wait_h is None else wait_h))
            return due if spec.deadline is None else min(due, spec.deadline)
        except OverflowError:
            raise Refusal("job", "its work would last beyond the calendar") from None

    def report(self, job: str, report: JobReported | None) -> None:
        """Take in a report, or its withdrawal (None). Raises Refusal for one that is older than the latest."""
        if report is None:
            self.changes += 1
            self.reports.pop(job, None)
            self.running_since.pop(job, None)
            return
        known = self.reports.get(job)
        if known is not None and report.timestamp < known.timestamp:
            raise Refusal("old", f"job {job}: older than the latest report")
        if known is None and len(self.reports) >= MOST_JOBS:
            raise Refusal("job", f"reports of more than {MOST_JOBS} jobs")
        self.changes += known is None or (known.state, known.gpus) != (report.state, report.gpus)
        self.reports[job] = report
        if report.state == "running":
            self.running_since.setdefault(job, datetime.fromtimestamp(report.timestamp / 1000, UTC))
        else:
            self.running_since.pop(job, None)

    def held(self) -> tuple[Held, ...]:
        """List the jobs that are reported to run, by id, with the GPUs that they hold; all of its own where a report does not say."""
        found = []
        for name in sorted(self._jobs.keys() & self.running_since.keys()):
            job, told = self._jobs[name], self.reports[name].gpus
            gpus = (told if isinstance(told, int) else len(told)) or job.gpus
            contract = job.contract if job.contract in self.site.contracts else None
            found.append(Held(name, job.pool, job.curve, gpus, job.tenant or "", contract))
        return tuple(found)

    def jobs(self) -> tuple[Job, ...]:
        """List the jobs with work left, by id."""
        return tuple(job for name in sorted(self._jobs) if (job := self._left(self._jobs[name])) is not None)

    def _left(self, job: Job) -> Job | None:
        report = self.reports.get(job.id)
        if job.contract is not None and job.contract not in self.site.contracts:
            job = replace(job, contract=None)
        if report is None:
            return job if job.work_gpu_h > 0 else None
        left_gpu_h = job.work_gpu_h - (report.done_gpu_h or 0.0)
        if report.state == "done" or left_gpu_h <= 0:
            return None
        since = self.running_since.get(job.id)
        return replace(job, work_gpu_h=left_gpu_h, running=report.state == "running", running_since=since)
