"""Kinds: the collections of the API server that the agent reads, and their paths.

Source: Kubernetes, API concepts, resource URIs; Kueue's API reference (versions v1beta1 and v1beta2 have the same fields as far as they
are read here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

Object: TypeAlias = Mapping[str, Any]
"""An object as the server tells it."""
Key: TypeAlias = tuple[str, str]
"""Namespace, empty where there is none, and name."""


@dataclass(frozen=True)
class Kind:
    """One kind of object: its group, version and plural, as they stand in paths."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of a collection, of all namespaces where none is named, or of one object.

        >>> JOB.path("team-a", "train"), QUEUE.path(name="gpus")
        ('/apis/batch/v1/namespaces/team-a/jobs/train', '/apis/kueue.x-k8s.io/v1beta1/clusterqueues/gpus')
        """
        within = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"/apis/{self.group}/{self.version}{within}/{self.plural}" + (f"/{name}" if name else "")

    def of(self, version: str) -> Kind:
        """The same kind in another version of its group."""
        return replace(self, version=version)


KUEUE: Final = "kueue.x-k8s.io"
KUEUE_VERSIONS: Final = ("v1beta1", "v1beta2")
"""Those that are understood, the first that a server has is used."""
JOB: Final = Kind("Job", "batch", "v1", "jobs")
WORKLOAD: Final = Kind("Workload", KUEUE, "v1beta1", "workloads")
LOCAL_QUEUE: Final = Kind("LocalQueue", KUEUE, "v1beta1", "localqueues")
QUEUE: Final = Kind("ClusterQueue", KUEUE, "v1beta1", "clusterqueues", namespaced=False)


def key(found: Object) -> Key:
    """Namespace and name of an object."""
    meta = found["metadata"]
    return str(meta.get("namespace", "")), str(meta["name"])


def place(where: Key) -> str:
    """A key for people.

    >>> place(("team-a", "train")), place(("", "gpus"))
    ('team-a/train', 'gpus')
    """
    return "/".join(part for part in where if part)
