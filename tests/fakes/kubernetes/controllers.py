"""The controllers behind an API server: the one of Jobs, and Kueue's.

Jobs (Kubernetes, Jobs; Suspending a Job): a job that is not suspended gets a `startTime` and its pods, which sleep as long as their command says
and succeed; a suspended one loses its pods that run, keeps what has succeeded, and gets a new `startTime` when it is resumed. A job that is over
has the condition Complete and is never started again.

Kueue (Workload, Cluster Queue, Run a Kubernetes Job): a job with a queue's label is created suspended and gets a Workload that it owns. An active
workload is admitted while its queue is not stopped and has GPUs left, and Kueue then resumes the job; one that is made inactive is evicted and its
job suspended. Who resumes such a job by hand is overruled.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from tests.fakes.kubernetes.server import FakeApi
from tests.fakes.kubernetes.store import No, Object, now

STARTS_S = 0.15
"""From a pod that is made to one that is ready."""
QUEUE = "kueue.x-k8s.io/queue-name"


class Controllers(threading.Thread):
    """Looks at every object many times a second. `started` counts how often the pods of a job became ready, by its name."""

    def __init__(self, api: FakeApi, quota_gpus: int = 10_000) -> None:
        super().__init__(daemon=True)
        self.store, self.kueue, self.quota_gpus = api.store, api.kueue, quota_gpus
        self.started: dict[str, int] = {}
        self._made: dict[str, float] = {}
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.02):
            with suppress(No):
                if self.kueue:
                    self._queue()
                for job in self.store.all("jobs"):
                    self._job(job)

    def close(self) -> None:
        self._over.set()
        self.join()

    def _job(self, job: Object) -> None:
        spec, status, uid = job["spec"], job.get("status", {}), job["metadata"]["uid"]
        if _is(status, "Complete"):
            return
        if self.kueue and QUEUE in job["metadata"].get("labels", {}) and not _workload(self, job):
            return
        if spec.get("suspend"):
            self._made.pop(uid, None)
            if not _is(status, "Suspended") or status.get("active"):
                self._status(job, active=0, ready=0, startTime=None, condition=("Suspended", "True", "JobSuspended"))
            return
        pods = min(spec.get("parallelism", 1), spec.get("completions", 1) - status.get("succeeded", 0))
        if uid not in self._made:
            self._made[uid] = time.monotonic()
            condition = ("Suspended", "False", "JobResumed") if _is(status, "Suspended") else None
            self._status(job, active=pods, ready=0, startTime=now(), condition=condition)
            return
        age_s = time.monotonic() - self._made[uid]
        if age_s >= STARTS_S and not status.get("ready"):
            self.started[job["metadata"]["name"]] = self.started.get(job["metadata"]["name"], 0) + 1
            self._status(job, active=pods, ready=pods)
        elif age_s >= STARTS_S + _sleeps_s(spec):
            del self._made[uid]
            done = status.get("succeeded", 0) + pods
            if done >= spec.get("completions", 1):
                self._status(job, active=0, ready=0, succeeded=done, completionTime=now(), condition=("Complete", "True", "CompletionsReached"))
            else:
                self._made[uid] = time.monotonic()
                self._status(job, active=min(pods, spec["completions"] - done), ready=0, succeeded=done)

    def _status(self, found: Object, plural: str = "jobs", condition: tuple[str, str, str] | None = None, **fields: Any) -> None:
        def write(job: Object) -> None:
            status = job.setdefault("status", {})
            for name, value in fields.items():
                if value is None:
                    status.pop(name, None)
                else:
                    status[name] = value
            if condition is not None:
                _set(status, *condition)

        meta = found["metadata"]
        self.store.change(plural, meta.get("namespace", ""), meta["name"], write)

    def _queue(self) -> None:
        for job in self.store.all("jobs"):
            if QUEUE in job["metadata"].get("labels", {}) and not _workload(self, job):
                self._make(job)
        jobs = {job["metadata"]["uid"]: job for job in self.store.all("jobs")}
        local = {(q["metadata"]["namespace"], q["metadata"]["name"]): q["spec"]["clusterQueue"] for q in self.store.all("localqueues")}
        stopped = {q["metadata"]["name"] for q in self.store.all("clusterqueues") if q["spec"].get("stopPolicy", "None") != "None"}
        used = sum(_gpus(each) for each in self.store.all("workloads") if _is(each.get("status", {}), "Admitted"))
        for workload in self.store.all("workloads"):
            status, meta = workload.get("status", {}), workload["metadata"]
            job = jobs.get(meta["ownerReferences"][0]["uid"])
            admitted, active = _is(status, "Admitted"), workload["spec"].get("active", True)
            if job is None or _is(status, "Finished"):
                continue
            if _is(job.get("status", {}), "Complete"):
                self._status(workload, "workloads", ("Finished", "True", "JobFinished"))
                self._status(workload, "workloads", ("Admitted", "False", "Finished"))
            elif admitted and not active:
                self._status(workload, "workloads", ("Evicted", "True", "Deactivated"), admission=None)
                self._status(workload, "workloads", ("Admitted", "False", "NoReservation"))
                self._suspend(job, suspend=True)
            elif admitted:
                self._suspend(job, suspend=False)
            else:
                self._suspend(job, suspend=True)
                queue = local.get((meta["namespace"], workload["spec"]["queueName"]))
                if active and queue is not None and queue not in stopped and used + _gpus(workload) <= self.quota_gpus:
                    used += _gpus(workload)
                    self._status(workload, "workloads", ("Admitted", "True", "Admitted"), admission={"clusterQueue": queue, "podSetAssignments": []})

    def _make(self, job: Object) -> None:
        meta = job["metadata"]
        self._suspend(job, suspend=True)
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        pods = {"name": "main", "count": job["spec"].get("parallelism", 1), "template": job["spec"]["template"]}
        made = {"name": f"job-{meta['name']}-{meta['uid'][:5]}", "namespace": meta["namespace"], "ownerReferences": [owner]}
        self.store.create("workloads", {"metadata": made, "spec": {"queueName": meta["labels"][QUEUE], "active": True, "podSets": [pods]}})

    def _suspend(self, job: Object, *, suspend: bool) -> None:
        meta = job["metadata"]
        self.store.change("jobs", meta["namespace"], meta["name"], lambda found: found["spec"].update(suspend=suspend))


def job(name: str, namespace: str = "team-a", *, gpus: int = 8, sleeps_s: float = 60.0, **more: Any) -> Object:
    """A manifest of a job that may be deferred, of one pod unless `spec` says otherwise; `labels`, `annotations` and `spec` are laid over it."""
    container = {"name": "main", "image": "busybox", "command": ["sleep", str(sleeps_s)], "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    template = {"spec": {"restartPolicy": "Never", "nodeSelector": {"facility.example/pool": "a"}, "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"facility.example/deferrable": "yes"} | more.get("labels", {}),
            "annotations": more.get("annotations", {}),
        },
        "spec": {"parallelism": 1, "completions": 1, "template": template} | more.get("spec", {}),
    }


def _workload(of: Controllers, job: Object) -> Object | None:
    uid = job["metadata"]["uid"]
    return next((each for each in of.store.all("workloads") if each["metadata"]["ownerReferences"][0]["uid"] == uid), None)


def _gpus(workload: Object) -> int:
    return sum(
        pods["count"] * int(each["resources"]["limits"].get("nvidia.com/gpu", 0))
        for pods in workload["spec"]["podSets"]
        for each in pods["template"]["spec"]["containers"]
    )


def _sleeps_s(spec: Object) -> float:
    return float(spec["template"]["spec"]["containers"][0]["command"][1])


def _is(status: Object, condition: str) -> bool:
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", []))


def _set(status: Object, condition: str, holds: str, reason: str) -> None:
    conditions = [each for each in status.get("conditions", []) if each["type"] != condition]
    status["conditions"] = [*conditions, {"type": condition, "status": holds, "reason": reason, "lastTransitionTime": now()}]
