"""Data: Pyomo's Sets and Params as arrays. A Param or Set of `models.table` is read as its array, any other member by member."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.arrays.index import Codes, Domain, Factor, Ints, coded
from models.horizon import Floats
from models.table import Ragged, Table


class Data:
    """What was read of the Sets and Params of a model: each once."""

    def __init__(self) -> None:
        self.codes = Codes()
        self._factors: dict[int, Factor] = {}
        self._domains: dict[int, Domain] = {}
        self._ragged: dict[int, tuple[Ints, Ints, Domain]] = {}
        self._params: dict[int, Any] = {}
        self._kept: list[Any] = []
        """What the dictionaries above know by id(), so that no id is used twice."""

    def domain(self, component: Any) -> Domain:
        """The index set of a component."""
        if not component.is_indexed():
            return Domain([], self.codes)
        index_set = component.index_set()
        if id(index_set) not in self._domains:
            self._kept.append(index_set)
            self._domains[id(index_set)] = Domain([self._factor(factor) for factor in index_set.subsets()], self.codes)
        return self._domains[id(index_set)]

    def values(self, param: Any) -> Floats:
        """The values of a Param by position."""
        if id(param) not in self._params:
            self._params[id(param)] = _values(param, self.domain(param))
            self._kept.append(param)
        found: Floats = self._params[id(param)]
        return found

    def members(self, index_set: Any) -> Ints:
        """All members of a Set that may be a product, shape (n, d)."""
        factors = [self._factor(factor) for factor in index_set.subsets()]
        if len(factors) == 1:
            return factors[0].codes
        return np.stack(Domain(factors, self.codes).all(), axis=1)

    def _factor(self, index_set: Any) -> Factor:
        if id(index_set) not in self._factors:
            self._kept.append(index_set)
            members: Any = index_set
            if isinstance(index_set, pyo.RangeSet) and len(index_set) and index_set.last() - index_set.first() + 1 == len(index_set):
                members = np.arange(index_set.first(), index_set.last() + 1, dtype=np.int64)[:, None]
            self._factors[id(index_set)] = Factor(members, self.codes, index_set)
        return self._factors[id(index_set)]

    def ragged(self, indexed: Any) -> tuple[Ints, Ints, Domain]:
        """An indexed Set: where the members of each index start, all members one after another, and the indices."""
        if id(indexed) not in self._ragged:
            self._kept.append(indexed)
            domain = self.domain(indexed)
            if isinstance(indexed, Ragged):
                rows, members = np.nonzero(indexed.holds.reshape(domain.size, -1))
                self._ragged[id(indexed)] = np.searchsorted(rows, np.arange(domain.size + 1)), members[:, None], domain
                return self._ragged[id(indexed)]
            of = [list(indexed[index].data()) for index in indexed.index_set()]
            members = coded((member for mine in of for member in mine), self.codes)
            self._ragged[id(indexed)] = np.cumsum([0, *map(len, of)]), members, domain
        return self._ragged[id(indexed)]


def _values(param: Any, domain: Domain) -> Floats:
    """The values of a Param by position."""
    default = param._default_val  # noqa: SLF001 - `default()` says the same, at more cost
    if isinstance(default, Table):
        return default.values.ravel()
    if not param.is_indexed():
        return np.array([float(pyo.value(param))])
    known = param._data  # noqa: SLF001 - `extract_values` would look up every member
    if len(known) == domain.size:
        return np.fromiter((known[index] for index in param.index_set()), float, domain.size)
    if isinstance(default, (int, float)):
        return np.fromiter((known.get(index, default) for index in param.index_set()), float, domain.size)
    return np.array([float(param[index]) for index in param.index_set()])
