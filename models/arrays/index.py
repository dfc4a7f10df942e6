"""Index: the Sets that index a component, as arrays of codes, and where a member stands in them.

| symbol   | name                                                                                |
|----------|-------------------------------------------------------------------------------------|
| code     | what stands for a member of a Set in arrays: itself if it is a number, else a number far below zero |
| position | the place of an index in its index set, which counts through a product of Sets, the last fastest   |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

BELOW = -(1 << 40)
"""Codes of what is no number begin below this; no member that is one does."""


class Codes:
    """Numbers for the members of Sets."""

    def __init__(self) -> None:
        self._of: dict[Any, int] = {}

    def code(self, member: Any) -> int:
        """Numbers stand for themselves, anything else for the place among all that was met, below `BELOW`."""
        if isinstance(member, (int, np.integer)):
            return int(member)
        if member not in self._of:
            self._of[member] = BELOW - len(self._of)
        return self._of[member]


class Factor:
    """A Set that is no product: its members as codes, shape (n, d), and back."""

    def __init__(self, members: Any, codes: Codes, component_set: Any) -> None:
        self.set = component_set
        self.codes = members if isinstance(members, np.ndarray) else coded(members, codes)
        self.size, self.dimen = self.codes.shape
        first = self.codes[:, 0] if self.dimen else np.zeros(0, np.int64)
        self._is_range = self.dimen == 1 and self.size > 0 and bool((np.diff(first) == 1).all())
        self._first = int(first[0]) if self._is_range else 0
        self._sorted: tuple[Any, Ints, list[tuple[int, int]]] | None = None

    def find(self, at: list[Any]) -> Any:
        """The positions of members, -1 where there is none; `at` holds one code, or array of them, for each of d dimensions."""
        if self._is_range:
            position = at[0] - self._first
            return np.where((position >= 0) & (position < self.size), position, -1)
        if not self.size:
            return np.full(np.broadcast(*at).shape, -1)
        if self._sorted is None:
            spans = [(int(c.min()), int(c.max()) - int(c.min()) + 1) for c in self.codes.T]
            key = self._key([self.codes[:, d] for d in range(self.dimen)], spans)
            order = np.argsort(key, kind="stable")
            self._sorted = key[order], order, spans
        keys, order, spans = self._sorted
        key = self._key(at, spans)
        place = np.minimum(np.searchsorted(keys, key), self.size - 1)
        return np.where(keys[place] == key, order[place], -1)

    @staticmethod
    def _key(at: list[Any], spans: list[tuple[int, int]]) -> Any:
        """Codes of all dimensions as one number; -1 outside the spans."""
        key: Any = 0
        inside: Any = True
        for code, (low, span) in zip(at, spans, strict=True):
            key = key * span + (code - low)
            inside = inside & (code >= low) & (code < low + span)
        return np.where(inside, key, -1)


def coded(members: Iterable[Any], codes: Codes) -> Ints:
    """Members of a Set as codes, shape (n, d)."""
    listed = list(members)
    if not listed:
        return np.zeros((0, 1), np.int64)
    if not isinstance(listed[0], tuple):
        listed = [(member,) for member in listed]
    try:
        found = np.array(listed)
        if found.dtype.kind == "i":
            return found.astype(np.int64)
    except ValueError:
        pass
    return np.array([[codes.code(each) for each in member] for member in listed], np.int64)


class Domain:
    """The index set of a component as a product of factors; positions count through it, the last factor fastest."""

    def __init__(self, factors: list[Factor], codes: Codes) -> None:
        self._factors, self._codes = factors, codes
        self.shape = tuple(f.size for f in factors)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.dimen = sum(f.dimen for f in factors)

    def all(self) -> list[Ints]:
        """The codes of every index, one array for each dimension, shape (size,)."""
        return self.at(np.arange(self.size))

    def at(self, positions: Ints) -> list[Ints]:
        """The codes of the indices at positions, one array for each dimension."""
        if not self._factors:
            return []
        places = np.unravel_index(positions, self.shape)
        return [f.codes[place, d] for f, place in zip(self._factors, places, strict=True) for d in range(f.dimen)]

    def find(self, at: list[Any]) -> Any:
        """The positions of indices given as codes, one (array) for each dimension; -1 where there is none."""
        flat: Any = 0
        missing: Any = False
        for factor in self._factors:
            mine, at = at[: factor.dimen], at[factor.dimen :]
            place = factor.find(mine)
            missing = missing | (place < 0)
            flat = flat * factor.size + place
        return np.where(missing, -1, flat)

    def position(self, index: Any) -> int:
        """The position of one index as Pyomo has it."""
        if not self._factors:
            return 0
        return int(self.find([self._codes.code(each) for each in (index if isinstance(index, tuple) else (index,))]))

    def member(self, position: int) -> Any:
        """The index at a position, as Pyomo has it."""
        if not self._factors:
            return None
        found: tuple[Any, ...] = ()
        for factor, place in zip(self._factors, np.unravel_index(position, self.shape), strict=True):
            member = factor.set.at(int(place) + 1)
            found += member if isinstance(member, tuple) else (member,)
        return found if len(found) > 1 else found[0]


def codes_of(data: Any, codes: Codes) -> list[Any]:
    """The index of a VarData as codes."""
    index = data.index()
    if index is None:
        return []
    return [codes.code(each) for each in (index if isinstance(index, tuple) else (index,))]


