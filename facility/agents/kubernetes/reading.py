"""Reading: what a Job, or a Workload of Kueue, says of itself, as a job of the service.

| the service's        | comes from                                                                                             |
|----------------------|--------------------------------------------------------------------------------------------------------|
| id                   | SCHEDULER-NAME-UID: the name cut to fit, the first eight digits of the uid, so that a namesake is another |
| GPUs                 | resource limits of a pod's containers, times the pods that run side by side                            |
| pool                 | the node selector, else the label, else the site file's `default_pool`                                 |
| tenant, contract     | the namespace, and annotations as far as it lets them                                                  |
| work                 | the annotation `work_h`, else `activeDeadlineSeconds`, else the site file's `work_h`                   |
| done                 | completions, where there are several; else how long it has run since it last started                  |

Source: batch/v1 Job and kueue.x-k8s.io Workload in their published OpenAPI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from facility.agents.jobs.wishes import Wishes, read_wishes
from facility.agents.kubernetes.kinds import JOB, KUEUE, WORKLOAD, Kind, Object, key, place
from facility.agents.kubernetes.marks import Marks
from facility.bus.messages import JobSpec
from facility.inputs.jobterms import agree
from facility.site import Kubernetes, Site

QUEUE_LABEL: Final = f"{KUEUE}/queue-name"
MOST_DONE: Final = 0.95
"""Share of its work that a job is taken to have done at most while it runs, where only its time tells."""
ROOM: Final = 64
"""Characters of an id."""


@dataclass(frozen=True)
class Found:
    """A job of the cluster. `stops` is the kind of object by which it is stopped and started, `object` that object; None: there is none yet.

    `spec` is None where it cannot be told, for the reasons in `faults`. `started` says that stopping it now would end pods that work.
    """

    id: str
    place: str
    stops: Kind
    object: Object | None
    created: datetime
    spec: JobSpec | None
    wishes: Wishes
    state: Literal["waiting", "running", "done"]
    gpus: int
    started: bool
    done_share: float | None = None
    since: datetime | None = None
    faults: tuple[str, ...] = ()

    def done_gpu_h(self, now: datetime) -> float | None:
        """How much of its work is done, GPU h at full speed; None where nothing tells."""
        if self.spec is None:
            return None
        if self.state == "done":
            return self.spec.work_gpu_h
        if self.done_share is not None:
            return self.spec.work_gpu_h * self.done_share
        if self.since is None:
            return None
        return min(max((now - self.since).total_seconds(), 0.0) / 3600 * self.gpus, MOST_DONE * self.spec.work_gpu_h)


class Reader:
    """Reads objects of one cluster, `name` in the site file."""

    def __init__(self, site: Site, name: str) -> None:
        self._site, self._name = site, name
        self._here: Kubernetes = site.schedulers.kubernetes[name]
        self.marks = Marks(self._here.prefix)

    def job(self, job: Object, workload: Object | None, kind: Kind = WORKLOAD) -> Found:
        """Read a Job, and the Workload that Kueue made of it, where there is one; `kind` is that of workloads."""
        spec, status = job["spec"], job.get("status") or {}
        pods = int(spec.get("parallelism", 1))
        completions = spec.get("completions")
        per_pod = gpus_of(spec["template"], self._here.gpu_resources)
        size = per_pod * (pods if completions is None else min(pods, int(completions)))
        ready = int(status.get("ready", status.get("active", 0)) or 0)
        queued = workload is not None or QUEUE_LABEL in (job["metadata"].get("labels") or {})
        several = completions is not None and int(completions) > 1
        state: Literal["waiting", "running", "done"] = "done" if _is(status, "Complete", "Failed") else "running" if ready else "waiting"
        limit_s = spec.get("activeDeadlineSeconds")
        told, wishes, faults = self._spec(job, size, spec["template"], None if limit_s is None else float(limit_s))
        if owner := _owner(job):
            told, faults = None, (*faults, f"it belongs to {owner}, which decides itself when it runs")
        return Found(
            id=self.id_of(job),
            place=place(key(job)),
            stops=kind if queued else JOB,
            object=workload if queued else job,
            created=_instant(job["metadata"].get("creationTimestamp")) or datetime.now(UTC),
            spec=told,
            wishes=wishes,
            state=state,
            gpus=per_pod * ready if state == "running" else 0,
            started=ready > 0,
            done_share=int(status.get("succeeded", 0) or 0) / int(completions) if several else None,
            since=_instant(status.get("startTime")) if state == "running" else None,
            faults=faults,
        )

    def workload(self, workload: Object, kind: Kind = WORKLOAD) -> Found:
        """Read a Workload that Kueue made of something else than a Job."""
        spec, status = workload["spec"], workload.get("status") or {}
        sets = spec.get("podSets") or ()
        size = sum(int(each.get("count", 1)) * gpus_of(each["template"], self._here.gpu_resources) for each in sets)
        limit_s = spec.get("maximumExecutionTimeSeconds")
        template: Mapping[str, Any] = next((each["template"] for each in sets if gpus_of(each["template"], self._here.gpu_resources)), {})
        told, wishes, faults = self._spec(workload, size, template, None if limit_s is None else float(limit_s))
        admitted = _is(status, "Admitted")
        return Found(
            id=self.id_of(workload),
            place=place(key(workload)),
            stops=kind,
            object=workload,
            created=_instant(workload["metadata"].get("creationTimestamp")) or datetime.now(UTC),
            spec=told,
            wishes=wishes,
            state="done" if _is(status, "Finished") else "running" if admitted else "waiting",
            gpus=size if admitted and not _is(status, "Finished") else 0,
            started=admitted,
            since=_since(status, "Admitted") if admitted else None,
            faults=faults,
        )

    def id_of(self, found: Object) -> str:
        """The id by which the service knows an object."""
        uid = re.sub(r"[^0-9a-f]", "", str(found["metadata"]["uid"]).lower())[:8]
        name = str(found["metadata"]["name"]).replace(".", "-")[: ROOM - len(self._name) - len(uid) - 2].rstrip("-")
        return f"{self._name}-{name}-{uid}"

    def _spec(
        self, found: Object, gpus: int, template: Mapping[str, Any], limit_s: float | None
    ) -> tuple[JobSpec | None, Wishes, tuple[str, ...]]:
        """What the service is told of it, what people wish, and what is amiss."""
        words = self.marks.words(found)
        wishes = read_wishes(words)
        faults = list(wishes.faults)
        tenant, contract = self._whose(str(found["metadata"].get("namespace", "")), words, faults)
        pool = self._pool(template, found)
        submit = _instant(found["metadata"].get("creationTimestamp"))
        if gpus < 1:
            faults.append(f"no limit of {' or '.join(self._here.gpu_resources)}, so there is no GPU to defer")
        if pool is None:
            faults.append(f"no node selector or label {self._here.pool_label} that schedulers.kubernetes.{self._name}.pools knows")
        if gpus < 1 or pool is None or submit is None:
            return None, wishes, tuple(faults)
        terms = agree(self._site, tenant or "", contract or "", pool, wishes.curve or "")
        if terms.faults:
            return None, wishes, (*faults, *(f"{field}: {said}" for field, said, _ in terms.faults))
        deadline = wishes.deadline
        if deadline is not None and deadline <= submit:
            faults.append("its deadline is not after its creation, and means nothing")
            deadline = None
        hours = wishes.work_h or (self._here.work_h if limit_s is None else limit_s / 3600)
        told = JobSpec(
            submit=submit,
            gpus=gpus,
            work_gpu_h=hours * gpus,
            pool=pool,
            deadline=deadline,
            tenant=tenant,
            contract=contract,
            curve=wishes.curve,
        )
        return told, wishes, tuple(faults)

    def _whose(self, namespace: str, words: Mapping[str, str], faults: list[str]) -> tuple[str | None, str | None]:
        """Tenant and contract. Who owns a namespace writes its annotations, so these may choose among its own contracts only."""
        wished = words.get("tenant"), words.get("contract")
        if not self._here.namespaces:
            return wished
        account = self._here.namespaces.get(namespace)
        contracts = self._site.contracts
        tenant = None if account is None else account.tenant or (contracts[account.contract].tenant if account.contract else None)
        if wished[0] not in {None, tenant}:
            faults.append(f"tenant {wished[0]}: its namespace says otherwise, and holds")
        if wished[1] is not None and (tenant is None or wished[1] not in contracts or contracts[wished[1]].tenant != tenant):
            faults.append(f"contract {wished[1]}: none of its namespace's, and means nothing")
            return tenant, None if account is None else account.contract
        return tenant, wished[1] or (None if account is None else account.contract)

    def _pool(self, template: Mapping[str, Any], found: Object) -> str | None:
        label = self._here.pool_label
        selected = ((template.get("spec") or {}).get("nodeSelector") or {}).get(label)
        told = selected if selected is not None else (found["metadata"].get("labels") or {}).get(label)
        return self._here.default_pool if told is None else self._here.pools.get(told)


def gpus_of(template: Mapping[str, Any], resources: tuple[str, ...]) -> int:
    """GPUs that one pod of a template holds: all its containers together, or the init container that needs most, whichever is more.

    GPUs are limits in whole numbers (Kubernetes, Schedule GPUs); what is no whole number counts as none.
    """
    spec = template.get("spec") or {}

    def of(container: Mapping[str, Any]) -> int:
        limits = (container.get("resources") or {}).get("limits") or {}
        return sum(int(str(limits[name])) for name in resources if str(limits.get(name, "")).isdigit())

    return max(sum(of(each) for each in spec.get("containers") or ()), max((of(each) for each in spec.get("initContainers") or ()), default=0))


def owner_uid(workload: Object) -> str | None:
    """The uid of the Job that a Workload was made of; None where it was made of something else."""
    for owner in workload["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == "Job" and str(owner.get("apiVersion", "")).startswith("batch/"):
            return str(owner["uid"])
    return None


def _owner(job: Object) -> str | None:
    """What controls a Job beside its CronJob, such as a JobSet, or in place of the server's own controller."""
    manager = job["spec"].get("managedBy")
    if manager is not None and manager != "kubernetes.io/job-controller" and not str(manager).startswith(KUEUE):
        return str(manager)
    for owner in job["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") != "CronJob":
            return f"the {owner.get('kind')} {owner.get('name')}"
    return None


def _is(status: Mapping[str, Any], *conditions: str) -> bool:
    return any(each.get("type") in conditions and each.get("status") == "True" for each in status.get("conditions") or ())


def _since(status: Mapping[str, Any], condition: str) -> datetime | None:
    return next((_instant(each.get("lastTransitionTime")) for each in status.get("conditions") or () if each.get("type") == condition), None)


def _instant(told: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(told))
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
