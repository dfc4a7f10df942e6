"""What an API server keeps: objects with resource versions, and for a while what became of them.

Every write takes the next version of one counter, as etcd's revisions do. A patch that names a version other than the object's is a conflict; a
watch from a version that the memory no longer reaches is gone; an object that stops matching a watch's selector is told as deleted, one that
begins to as added (Kubernetes, API concepts: resource versions, efficient detection of changes, updates to existing resources).
"""

from __future__ import annotations

import copy
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


class No(Exception):
    """An answer that is no: its code, the reason of its Status and a sentence."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def status(self) -> Object:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(self), "reason": self.reason, "code": self.code,
        }  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One write: what stood there before and what does since; None: nothing."""

    version: int
    plural: str
    before: Object | None
    after: Object | None


class Store:
    """Objects by plural, namespace and name. `kinds` tells kind and apiVersion of each plural."""

    def __init__(self, kinds: dict[str, tuple[str, str]], window: int = 100_000) -> None:
        self.kinds = kinds
        self.version = 1000
        self.changed = threading.Condition(threading.RLock())
        self._objects: dict[str, dict[tuple[str, str], Object]] = {plural: {} for plural in kinds}
        self._history: deque[Change] = deque(maxlen=window)
        self._forgot = self.version

    def compact(self) -> None:
        """Forget what became of objects: whoever watches from before now must list again."""
        with self.changed:
            self._history.clear()
            self._forgot = self.version

    def create(self, plural: str, told: Object) -> Object:
        with self.changed:
            made = copy.deepcopy(told)
            meta = made.setdefault("metadata", {})
            if (where := _where(made)) in self._objects[plural]:
                raise No(409, "AlreadyExists", f"{plural} {where[1]} already exists")
            kind, version = self.kinds[plural]
            made |= {"kind": kind, "apiVersion": version}
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
            return self._keep(plural, where, made)

    def get(self, plural: str, namespace: str, name: str) -> Object:
        with self.changed:
            try:
                return copy.deepcopy(self._objects[plural][namespace, name])
            except KeyError:
                raise No(404, "NotFound", f'{plural} "{name}" not found') from None

    def merge(self, plural: str, namespace: str, name: str, change: Object) -> Object:
        """Patch as RFC 7396 says; where the patch names a resource version only an object of that version."""
        with self.changed:
            found = self.get(plural, namespace, name)
            wanted = (change.get("metadata") or {}).get("resourceVersion")
            if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
                said = f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified'
                raise No(409, "Conflict", f"{said}; please apply your changes to the latest version and try again")
            after = merged(found, change)
            if after == found:
                return found
            return self._keep(plural, (namespace, name), after)

    def change(self, plural: str, namespace: str, name: str, do: Callable[[Object], None]) -> Object:
        """Write an object anew, as a controller does that holds its newest state."""
        with self.changed:
            found = self.get(plural, namespace, name)
            before = copy.deepcopy(found)
            do(found)
            return before if found == before else self._keep(plural, (namespace, name), found)

    def delete(self, plural: str, namespace: str, name: str) -> Object:
        with self.changed:
            before = self.get(plural, namespace, name)
            del self._objects[plural][namespace, name]
            self.version += 1
            last = copy.deepcopy(before)
            last["metadata"]["resourceVersion"] = str(self.version)
            self._note(Change(self.version, plural, last, None))
            return before

    def all(self, plural: str, namespace: str = "") -> list[Object]:
        with self.changed:
            chosen = sorted(item for item in self._objects[plural].items() if not namespace or item[0][0] == namespace)
            return [copy.deepcopy(found) for _, found in chosen]

    def since(self, plural: str, version: int) -> list[Change]:
        """What became of objects after a version. Raises No where that is forgotten."""
        with self.changed:
            first = self._history[0].version - 1 if len(self._history) == self._history.maxlen else self._forgot
            if version < first:
                raise No(410, "Expired", f"too old resource version: {version} ({first})")
            found: list[Change] = []
            for change in reversed(self._history):
                if change.version <= version:
                    break
                if change.plural == plural:
                    found.append(change)
            return found[::-1]

    def _keep(self, plural: str, where: tuple[str, str], found: Object) -> Object:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        before = self._objects[plural].get(where)
        self._objects[plural][where] = found
        self._note(Change(self.version, plural, before, copy.deepcopy(found)))
        return copy.deepcopy(found)

    def _note(self, change: Change) -> None:
        self._history.append(change)
        self.changed.notify_all()


def merged(one: Any, change: Any) -> Any:
    """RFC 7396: null removes, an object is merged, anything else replaces."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(one) if isinstance(one, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def matches(selector: str, found: Object | None) -> bool:
    """Whether labels fit a selector of the forms `a=b` and `a in (b,c)`."""
    if found is None:
        return False
    labels = found["metadata"].get("labels") or {}
    for wanted in _requirements(selector):
        name, _, values = wanted.partition(" in ") if " in " in wanted else wanted.partition("=")
        if labels.get(name.strip()) not in [value.strip() for value in values.strip(" ()").split(",")]:
            return False
    return True


def _requirements(selector: str) -> Iterator[str]:
    depth, part = 0, ""
    for sign in selector:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            yield part
            part = ""
        else:
            part += sign
    if part:
        yield part


def now() -> str:
    """The present as objects tell it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _where(found: Object) -> tuple[str, str]:
    meta = found["metadata"]
    return str(meta.get("namespace", "")), str(meta["name"])
