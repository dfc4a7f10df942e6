"""Jobs: groups name work that is there, and a job runs once it was submitted, whole where rigid, in one pool, as it is ordered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from facility.decision import Decision
from facility.site import Site
from facility.snapshot import Job
from facility.verify.draw import work_of
from facility.verify.violation import Violation, over, under


def workloads(site: Site, decision: Decision, jobs: Mapping[str, Job]) -> Iterator[Violation]:
    """Find groups of work that does not belong in their pool."""
    for caps in decision.pools:
        for group in caps.groups:
            if work_of(site, caps.pool, group.workload, jobs) is None:
                says = "no contract and no job of this name runs in this pool"
                yield Violation("group.known", f"{caps.pool}/{group.workload}", group.gpus, "GPU", 0.0, says, "plant")


def jobs_run(decision: Decision, jobs: Mapping[str, Job]) -> Iterator[Violation]:
    """Find jobs whose orders and groups contradict each other, or what was submitted."""
    orders = {order.job: order for order in decision.jobs}
    grouped, pools = Counter[str](), defaultdict[str, set[str]](set)
    for caps in decision.pools:
        for group in caps.groups:
            grouped[group.workload] += group.gpus
            pools[group.workload].add(caps.pool)
    for name in jobs:
        yield from over(Violation("job.one_pool", name, len(pools[name]), "", 1.0, "a job runs in one pool at a time", "plant"))
    for name, order in orders.items():
        if name not in jobs:
            yield Violation("job.known", name, order.gpus, "GPU", 0.0, "an order for a job that nobody submitted", "plant")
        elif order.action == "hold":
            yield from over(Violation("job.holds", name, grouped[name], "GPU", 0.0, "ordered to hold, and given GPUs", "plant"))
        else:
            says = "its groups name more GPUs than were ordered"
            yield from over(Violation("job.ordered", name, grouped[name], "GPU", order.gpus, says, "plant"))
    for name, job in jobs.items():
        ordered = orders[name].gpus if name in orders and orders[name].action == "run" else 0
        yield from _job(job, {grouped[name], ordered} - {0}, decision.at)


def _job(job: Job, gpus: AbstractSet[int], at: datetime) -> Iterator[Violation]:
    """Judge one job that is given any of these numbers of GPUs."""
    for given in gpus:
        yield from over(Violation("job.size", job.id, given, "GPU", job.gpus, "more GPUs than the job can use", "plant"))
        if not job.elastic:
            says = "a rigid job runs with all its GPUs or none"
            yield from under(Violation("job.rigid", job.id, given, "GPU", job.gpus, says, "plant"))
    early_s = (job.submit - at).total_seconds()
    if gpus and early_s > 0:
        yield Violation("job.window", job.id, early_s, "s", 0.0, "it would run before it was submitted", "contract")
