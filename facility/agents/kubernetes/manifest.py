"""Manifest: what is applied to a cluster so that the agent runs there, with no more rights than it uses.

It may read and patch jobs and, where Kueue is, workloads; nothing else, and no secrets. A CronJob looks every minute for what was held too long,
so that no job waits for an agent that is no more. Source: Kubernetes, Using RBAC Authorization, Pod Security Standards (restricted).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from facility.agents.kubernetes.kinds import KUEUE
from facility.site import Site

NAMESPACE: Final = "facility"
READS, PATCHES = ("get", "list", "watch"), ("get", "list", "watch", "patch")
SECURE: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def manifest(site: Site, name: str, namespaces: Sequence[str] = ()) -> str:
    """Write it for a cluster of a site, for some of its namespaces or all of them."""
    agent = f"facility-{site.id}-{name}"
    told = f"""\
# Made by `facility agent kubernetes SITE --manifest`.
# Before:   kubectl create namespace {NAMESPACE}
#           kubectl -n {NAMESPACE} create configmap {agent} --from-file=site.yaml=SITE   (complete in itself, and naming the broker)
#           kubectl -n {NAMESPACE} create secret generic {agent} --from-literal=password=...   (the broker's, where it asks for one)
# `image`:  one with this program in it
# Then:     kubectl apply -f this file
"""
    return told + yaml.safe_dump_all(_objects(site, name, agent, tuple(namespaces)), sort_keys=False, width=140)


def _objects(site: Site, name: str, agent: str, namespaces: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    yield _object("v1", "ServiceAccount", agent, NAMESPACE)
    jobs = [_rule("batch", ("jobs",), PATCHES), _rule(KUEUE, ("workloads",), PATCHES)]
    queues = [_rule(KUEUE, ("clusterqueues",), PATCHES)] if site.schedulers.kubernetes[name].queues else []
    if queues:
        jobs.append(_rule(KUEUE, ("localqueues",), READS))
    for namespace in namespaces:
        yield _object("rbac.authorization.k8s.io/v1", "Role", agent, namespace, rules=jobs)
        yield _binding("Role", agent, namespace)
    wide = queues if namespaces else [*jobs, *queues]
    if wide:
        yield _object("rbac.authorization.k8s.io/v1", "ClusterRole", agent, rules=wide)
        yield _binding("ClusterRole", agent)
    words = ["agent", "kubernetes", "/etc/facility/site.yaml", "--scheduler", name, *(word for each in namespaces for word in ("--namespace", each))]
    pod = _pod(agent, words)
    labels = {"app.kubernetes.io/name": agent}
    yield _object(
        "apps/v1", "Deployment", agent, NAMESPACE,
        spec={
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    )  # fmt: skip
    once = _pod(agent, [*words, "--release-expired"]) | {"restartPolicy": "Never"}
    yield _object(
        "batch/v1", "CronJob", f"{agent}-release", NAMESPACE,
        spec={
            "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {"backoffLimit": 0, "activeDeadlineSeconds": 300, "template": {"spec": once}}},
        },
    )  # fmt: skip


def _pod(agent: str, words: list[str]) -> dict[str, Any]:
    password = {"secretKeyRef": {"name": agent, "key": "password", "optional": True}}
    return {
        "serviceAccountName": agent,
        "containers": [
            {
                "name": "agent",
                "image": "facility",
                "command": ["facility", *words],
                "env": [{"name": "FACILITY_PASSWORD", "valueFrom": password}],
                "resources": {"requests": {"cpu": "50m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": SECURE,
                "volumeMounts": [{"name": "site", "mountPath": "/etc/facility", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "site", "configMap": {"name": agent}}],
    }


def _object(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}), **rest}


def _rule(group: str, resources: tuple[str, ...], verbs: tuple[str, ...]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _binding(kind: str, agent: str, namespace: str = "") -> dict[str, Any]:
    return _object(
        "rbac.authorization.k8s.io/v1", f"{kind}Binding", agent, namespace,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": agent},
        subjects=[{"kind": "ServiceAccount", "name": agent, "namespace": NAMESPACE}],
    )  # fmt: skip
