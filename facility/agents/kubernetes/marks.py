"""Marks: how the agent knows again what it stopped itself, and the patches that stop, mark and start.

Kubernetes has no time at which a suspended job starts by itself. So each stop carries, in one write with it, the instant at which it ends:

    PREFIX/held-until: 2026-07-15T10:15:00.000Z        the order's end, renewed with each new order
    PREFIX/held-because: ...                           the order's reason, for whoever looks at the job

Whoever finds it past that instant may start the job: this agent, the next one, or a CronJob. What is stopped without a mark was stopped by
somebody else and is never started. What carries a mark and is not stopped was started by somebody else while it was held, and is theirs.

A job that is created suspended, so that it does not start before its first order, says so with PREFIX/wait: "yes".

| kind           | stopped where                        | stop, start                      |
|----------------|--------------------------------------|----------------------------------|
| `Job`          | `spec.suspend`                       | true, false                      |
| `Workload`     | not `spec.active`                    | false, true                      |
| `ClusterQueue` | `spec.stopPolicy` is not `None`      | `Hold`, `None`                   |

Source: Kubernetes, Jobs, suspending a job; Kueue, Workload (active) and ClusterQueue (stopPolicy).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from facility.agents.kubernetes.kinds import JOB, QUEUE, WORKLOAD, Kind, Object

UNTIL, BECAUSE, WAIT, CONSENT = "held-until", "held-because", "wait", "deferrable"
YES: Final = ("yes", "true")
MOST_SAID: Final = 300
NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""The end of a hold whose mark cannot be read: it is past."""

_STOPS: Final[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    JOB.name: ({"suspend": True}, {"suspend": False}),
    WORKLOAD.name: ({"active": False}, {"active": True}),
    QUEUE.name: ({"stopPolicy": "Hold"}, {"stopPolicy": "None"}),
}


def stopped(kind: Kind, found: Object) -> bool:
    """Whether an object is stopped, by whomever."""
    spec = found.get("spec") or {}
    match kind.name:
        case JOB.name:
            return bool(spec.get("suspend", False))
        case WORKLOAD.name:
            return spec.get("active", True) is False
        case _:
            return spec.get("stopPolicy", "None") not in {"None", ""}


class Marks:
    """Marks under a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    @property
    def selector(self) -> str:
        """What chooses the objects that may be deferred, for the server."""
        return f"{self.prefix}/{CONSENT} in ({','.join(YES)})"

    def consents(self, found: Object) -> bool:
        """Whether it may be deferred."""
        return (found["metadata"].get("labels") or {}).get(f"{self.prefix}/{CONSENT}") in YES

    def until(self, found: Object) -> datetime | None:
        """When a hold of ours ends; None where there is no mark."""
        told = self._annotations(found).get(f"{self.prefix}/{UNTIL}")
        if told is None:
            return None
        try:
            instant = datetime.fromisoformat(str(told))
            return NEVER if instant.tzinfo is None else instant.astimezone(UTC)
        except (ValueError, OverflowError):
            return NEVER

    def waits(self, found: Object) -> bool:
        """Whether it was created stopped, only to wait for its first order."""
        return self._annotations(found).get(f"{self.prefix}/{WAIT}") in YES

    def words(self, found: Object) -> dict[str, str]:
        """What labels and annotations under the prefix say; annotations win."""
        said = {**(found["metadata"].get("labels") or {}), **self._annotations(found)}
        start = f"{self.prefix}/"
        return {name.removeprefix(start): str(value) for name, value in said.items() if name.startswith(start)}

    def hold(self, kind: Kind, until: datetime, because: str) -> dict[str, Any]:
        """The patch that stops an object until then, or renews how long it is."""
        return {"metadata": self._noted(_told(until), because[:MOST_SAID]), "spec": dict(_STOPS[kind.name][0])}

    def release(self, kind: Kind) -> dict[str, Any]:
        """The patch that starts an object and takes our marks off."""
        return {"metadata": self._noted(None, None), "spec": dict(_STOPS[kind.name][1])}

    def _noted(self, until: str | None, because: str | None) -> dict[str, Any]:
        return {"annotations": {f"{self.prefix}/{UNTIL}": until, f"{self.prefix}/{BECAUSE}": because, f"{self.prefix}/{WAIT}": None}}

    @staticmethod
    def _annotations(found: Object) -> Mapping[str, Any]:
        return found["metadata"].get("annotations") or {}


def whole(until: datetime) -> datetime:
    """An instant as a mark can tell it, in whole ms, never later."""
    return until.replace(microsecond=until.microsecond // 1000 * 1000)


def _told(until: datetime) -> str:
    return until.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
