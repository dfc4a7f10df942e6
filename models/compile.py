"""Compile: ordinary Pyomo declarations to arrays, without writing one row at a time.

A rule is called once, on symbols for its indices, and so becomes a template: a tree of sums over Sets, Params and Vars at symbolic
indices (`models.arrays.template`). The tree is then evaluated once for the whole family, on arrays of all its indices
(`models.arrays.evaluate`).

So rules must stay plain. What cannot be a template - a loop or an `if` over members, a look-up in a dict or a list, an expression that is
not linear - is refused, with the name of the rule. Pyomo itself compiles the same rules, row by row: declared without `unexpanded` the
model is an ordinary one, and the tests hold the two against each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo

from models.arrays.affine import joined
from models.arrays.data import Data
from models.arrays.evaluate import Evaluator, Family
from models.arrays.index import Ints
from models.arrays.template import PYOMO, CompileError, unexpanded
from models.sparse import sp

__all__ = ["CompileError", "Compiled", "Family", "Ints", "Place", "unexpanded"]


class Place(NamedTuple):
    """Where a row or a column belongs: a Constraint or Var, and an index of it, None where it has none."""

    component: Any
    index: Any

    @property
    def name(self) -> str:
        """As in `feeder[row].carries[3]`."""
        return str(self.component.name) if self.index is None else f"{self.component.name}[{_said(self.index)}]"


class Compiled:
    """A linear program as arrays, and where its rows and columns come from.

    minimise  cost @ x + offset   subject to   row_lower <= matrix @ x <= row_upper,   lower <= x <= upper

    Columns are those of the model that appear in a row or have a cost. `matrix` is CSR, shape (rows, columns).
    """

    def __init__(self, model: Any) -> None:
        with PYOMO:
            self._compile(model)

    def _compile(self, model: Any) -> None:
        blocks = list(model.block_data_objects(active=True))
        data = Data()
        self._vars: dict[int, Family] = {}
        evaluate, start = Evaluator(data, self._vars), 0
        for block in blocks:
            for var in block.component_map(pyo.Var).values():
                domain = data.domain(var)
                self._vars[id(var)] = Family(var, start, domain.size, domain)
                start += domain.size
        self._var_starts = [family.start for family in self._vars.values()]
        self._var_families = list(self._vars.values())

        self._rows: list[Family] = []
        row, terms, lower, upper = 0, [], [np.zeros(0)], [np.zeros(0)]
        for block in blocks:
            for constraint in block.component_map(pyo.Constraint, active=True).values():
                domain = data.domain(constraint)
                if not domain.size:
                    continue
                rows = evaluate.rows(constraint, domain)
                terms.append(rows.terms._replace(instance=rows.terms.instance + row))
                lower.append(rows.lower)
                upper.append(rows.upper)
                self._rows.append(Family(constraint, row, domain.size, domain))
                row += domain.size
        self._row_starts = [family.start for family in self._rows]
        self.row_lower, self.row_upper = np.concatenate(lower), np.concatenate(upper)
        instance, column, coefficient = joined(terms)

        there = coefficient != 0  # rungs that a ladder lacks, for one, are summed over with nothing
        instance, column, coefficient = instance[there], column[there], coefficient[there]
        full_cost, self.offset = evaluate.cost(blocks, start)
        used = full_cost != 0
        used[column] = True
        self._full = np.flatnonzero(used)
        self._column = np.where(used, np.cumsum(used) - 1, -1)
        self.cost = full_cost[self._full]
        shape = (row, len(self._full))
        self.matrix = sp.csr_matrix((coefficient, (instance, self._column[column])), shape=shape)
        self.lower, self.upper = np.empty(shape[1]), np.empty(shape[1])
        for family in self._var_families:
            first, last = np.searchsorted(self._full, (family.start, family.start + family.size))
            if first < last:
                positions = self._full[first:last] - family.start
                self.lower[first:last], self.upper[first:last] = evaluate.bounds(family.component, family.domain, positions)

    def columns(self, var: Any) -> Ints:
        """The column of each index of a Var, in the order of its index set, -1 where the program has none; shape of the set's factors."""
        family = self._vars[id(var)]
        return self._column[family.start : family.start + family.size].reshape(family.domain.shape)

    def column(self, data: Any) -> int:
        """The column of one variable, -1 where the program has none."""
        family = self._vars[id(data.parent_component())]
        return int(self._column[family.start + family.domain.position(data.index())])

    def spans(self, wanted: Callable[[Any], bool]) -> Iterator[tuple[int, int]]:
        """The columns, from the first until before the last, of each Var that is `wanted`."""
        for family in self._var_families:
            if wanted(family.component):
                first, last = np.searchsorted(self._full, (family.start, family.start + family.size)).tolist()
                yield first, last

    def column_place(self, column: int) -> Place:
        """The Var and index of a column."""
        return _place(self._var_families, self._var_starts, int(self._full[column]))

    def row_place(self, row: int) -> Place:
        """The Constraint and index of a row."""
        return _place(self._rows, self._row_starts, row)

    @property
    def row_families(self) -> list[Family]:
        """The families of rows, in order."""
        return self._rows

    @property
    def var_families(self) -> list[Family]:
        """The Vars, in order; their `start` counts the columns of the model, not of the program."""
        return self._var_families


def _place(families: list[Family], starts: list[int], at: int) -> Place:
    family = families[bisect_right(starts, at) - 1]
    return Place(family.component, family.domain.member(at - family.start))


def _said(index: Any) -> str:
    return ",".join(map(str, index)) if isinstance(index, tuple) else str(index)
