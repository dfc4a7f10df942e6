"""Cluster: what is known of the cluster's objects, from what its watchers tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from facility.agents.kubernetes.kinds import Key, Kind, Object, key
from facility.agents.kubernetes.watching import Changed, News, Scope


class Cluster:
    """The objects of each scope by namespace and name."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self._objects: dict[Scope, dict[Key, Object]] = {}
        self._listed: set[Scope] = set()
        self.add(scopes)

    def add(self, scopes: Iterable[Scope]) -> None:
        """Know of more scopes."""
        self._objects |= {scope: {} for scope in scopes}

    def listed(self, kind: Kind) -> bool:
        """Whether all that is to be known of a kind was told once."""
        return all(scope in self._listed for scope in self._objects if scope.kind == kind)

    def take(self, news: News) -> tuple[Object, ...]:
        """Take in what a watcher tells; the objects that are no longer there, as they were last."""
        known = self._objects[news.scope]
        if isinstance(news, Changed):
            if not news.gone:
                known[key(news.object)] = news.object
                return ()
            gone = known.pop(key(news.object), None)
            return () if gone is None else (gone,)
        self._listed.add(news.scope)
        self._objects[news.scope] = now = {key(each): each for each in news.objects}
        return tuple(each for name, each in known.items() if name not in now)

    def put(self, kind: Kind, found: Object) -> None:
        """Know an object as the server answered it, which is newer than what its watcher told, where it is one of those that are followed."""
        for scope, known in self._objects.items():
            if scope.kind == kind and key(found) in known:
                known[key(found)] = found

    def drop(self, kind: Kind, where: Key) -> None:
        """Know that an object is gone."""
        for scope, known in self._objects.items():
            if scope.kind == kind:
                known.pop(where, None)

    def of(self, kind: Kind) -> Mapping[Key, Object]:
        """The objects of a kind."""
        found: dict[Key, Object] = {}
        for scope, known in self._objects.items():
            if scope.kind == kind:
                found |= known
        return MappingProxyType(found)
