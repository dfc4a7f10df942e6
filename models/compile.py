"""Compile: ordinary Pyomo declarations to arrays, without writing one row at a time.

A rule is called once, on symbols for its indices, and so becomes a template (`pyomo.core.expr.template_expr`): a tree of sums over Sets,
Params and Vars at symbolic indices. The tree is then evaluated once for the whole family, on arrays of all its indices at once:

    an index, a Param, arithmetic of them     an array of n numbers, one for each instance of the rule
    a Var at an index                         one term for each instance: (instance, column, 1)
    a sum over a Set                          every instance once for each member, evaluated there, gathered again
    a product                                 terms times numbers; terms times terms is refused, being no linear program

| symbol    | name                                                                              |
|-----------|-----------------------------------------------------------------------------------|
| instance  | one index of a family, and so one row: n of them, all evaluated together          |
| term      | (instance, column, coefficient)                                                   |
| code      | what stands for a member of a Set in arrays: itself if it is a number, else one   |

So rules must stay plain. What cannot be a template - a loop or an `if` over members, a look-up in a dict or a list, an expression that is
not linear - is refused, with the name of the rule. Pyomo itself compiles the same rules, row by row: declared without `unexpanded` the
model is an ordinary one, and the tests hold the two against each other.

A Param or Set of `models.table` is read as its array; anything else is read member by member.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.core.base.constraint import Constraint, ScalarConstraint
from pyomo.core.base.objective import Objective, ScalarObjective
from pyomo.core.base.param import ParamData
from pyomo.core.base.var import VarData
from pyomo.core.expr import numeric_expr as numeric
from pyomo.core.expr import relational_expr as relational
from pyomo.core.expr import template_expr
from pyomo.core.expr.template_expr import (
    GetAttrExpression,
    GetItemExpression,
    IndexTemplate,
    TemplateSumExpression,
    templatize_constraint,
    templatize_rule,
)

from models.horizon import Floats
from models.table import Ragged, Table

Ints = np.ndarray[Any, np.dtype[np.int64]]

_PYOMO = threading.RLock()
"""Templates are made by changing how Pyomo iterates, for the whole process: one at a time."""


class CompileError(ValueError):
    """A rule that cannot be expanded by arrays; names the rule and what stands in the way."""


@contextmanager
def unexpanded() -> Iterator[None]:
    """Within it constraints and objectives are declared as ever, but their rules are left for `compile_model` to expand.

    No other thread declares or compiles meanwhile; any may read and solve.
    """

    def declared(component: Any, data: Any = None) -> None:  # noqa: ARG001 - Pyomo's own signature
        component._constructed = True  # noqa: SLF001 - what `construct` sets first

    with _PYOMO:
        classes = [c for c in (Constraint, ScalarConstraint, Objective, ScalarObjective) if "construct" in vars(c)]
        own = [c.construct for c in classes]
        try:
            for c in classes:
                c.construct = declared
            yield
        finally:
            for c, construct in zip(classes, own, strict=True):
                c.construct = construct


@contextmanager
def _plain_components() -> Iterator[None]:
    """Within it a component that is looked up by a symbol is taken as it is; Pyomo walks it as a template, at a tenth of a ms each."""
    resolve = template_expr._reduce_template_to_component  # noqa: SLF001 - what `GetItemExpression` calls

    def resolved(component: Any) -> Any:
        return resolve(component) if component.is_expression_type() else component

    template_expr._reduce_template_to_component = resolved  # noqa: SLF001
    try:
        yield
    finally:
        template_expr._reduce_template_to_component = resolve  # noqa: SLF001


class Place(NamedTuple):
    """Where a row or a column belongs: a Constraint or Var, and an index of it, None where it has none."""

    component: Any
    index: Any

    @property
    def name(self) -> str:
        """As in `feeder[row].carries[3]`."""
        return str(self.component.name) if self.index is None else f"{self.component.name}[{_said(self.index)}]"


@dataclass(frozen=True)
class Family:
    """A component of `size` rows or columns of the model, the first of them at `start`; `places` has those that the program has."""

    component: Any
    start: int
    size: int
    domain: _Domain


class Compiled:
    """A linear program as arrays, and where its rows and columns come from.

    minimise  cost @ x + offset   subject to   row_lower <= matrix @ x <= row_upper,   lower <= x <= upper

    Columns are those of the model that appear in a row or have a cost. `matrix` is CSR, shape (rows, columns).
    """

    def __init__(self, model: Any) -> None:
        with _PYOMO:
            self._compile(model)

    def _compile(self, model: Any) -> None:
        blocks = list(model.block_data_objects(active=True))
        evaluate = _Evaluator()
        self._vars = evaluate.families
        start = 0
        for block in blocks:
            for var in block.component_map(pyo.Var).values():
                domain = evaluate.domain(var)
                self._vars[id(var)] = Family(var, start, domain.size, domain)
                start += domain.size
        self._var_starts = [family.start for family in self._vars.values()]
        self._var_families = list(self._vars.values())

        self._rows: list[Family] = []
        row, terms, lower, upper = 0, [], [np.zeros(0)], [np.zeros(0)]
        for block in blocks:
            for constraint in block.component_map(pyo.Constraint, active=True).values():
                domain = evaluate.domain(constraint)
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
        instance, column, coefficient = _joined(terms)

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


class _Codes:
    """Numbers for the members of Sets."""

    def __init__(self) -> None:
        self._of: dict[Any, int] = {}
        self._members: list[Any] = []

    def code(self, member: Any) -> int:
        """Numbers stand for themselves, anything else for its place among all that was met, below zero."""
        if isinstance(member, (int, np.integer)):
            return int(member)
        if member not in self._of:
            self._of[member] = -2 - len(self._members)
            self._members.append(member)
        return self._of[member]


class _Factor:
    """A Set that is no product: its members as codes, shape (n, d), and back."""

    def __init__(self, members: Any, codes: _Codes, component_set: Any) -> None:
        self.set = component_set
        self.codes = members if isinstance(members, np.ndarray) else _coded(members, codes)
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


def _coded(members: Iterable[Any], codes: _Codes) -> Ints:
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


class _Domain:
    """The index set of a component as a product of factors; positions count through it, the last factor fastest."""

    def __init__(self, factors: list[_Factor], codes: _Codes) -> None:
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


class _Terms(NamedTuple):
    """Terms of a family: `coefficient` of `column` in `instance`."""

    instance: Ints
    column: Ints
    coefficient: Floats


class _Affine(NamedTuple):
    """What an expression is for each of n instances: `constant`, a number or shape (n,), and terms that add up to the rest."""

    constant: Any
    terms: tuple[_Terms, ...] = ()

    def times(self, factor: Any) -> _Affine:
        """The same times a number, or numbers of shape (n,)."""
        each = (_Terms(t.instance, t.column, t.coefficient * (factor if np.ndim(factor) == 0 else factor[t.instance])) for t in self.terms)
        return _Affine(self.constant * factor, tuple(each))

    def plus(self, other: _Affine) -> _Affine:
        """The sum."""
        return _Affine(self.constant + other.constant, self.terms + other.terms)

    @property
    def joined(self) -> _Terms:
        """All its terms."""
        return _joined(self.terms)


def _joined(terms: Sequence[_Terms]) -> _Terms:
    if not terms:
        return _Terms(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return _Terms(*(np.concatenate(part) for part in zip(*terms, strict=True)))


class _Instances(NamedTuple):
    """n instances of a rule: the codes of each index symbol, shape (n,), by the symbol's id."""

    n: int
    codes: dict[int, Any]


class _Rows(NamedTuple):
    """Rows of a family: bounds of shape (n,)."""

    terms: _Terms
    lower: Floats
    upper: Floats


class _Evaluator:
    """Evaluates templates over whole families; remembers what it has read of Sets and Params."""

    def __init__(self) -> None:
        self.families: dict[int, Family] = {}
        self._codes = _Codes()
        self._factors: dict[int, _Factor] = {}
        self._domains: dict[int, _Domain] = {}
        self._ragged: dict[int, tuple[Ints, Ints, _Domain]] = {}
        self._params: dict[int, Any] = {}
        self._kept: list[Any] = []
        """What the dictionaries above know by id(), so that no id is used twice."""

    def domain(self, component: Any) -> _Domain:
        """The index set of a component."""
        if not component.is_indexed():
            return _Domain([], self._codes)
        index_set = component.index_set()
        if id(index_set) not in self._domains:
            self._kept.append(index_set)
            self._domains[id(index_set)] = _Domain([self._factor(factor) for factor in index_set.subsets()], self._codes)
        return self._domains[id(index_set)]

    def rows(self, constraint: Any, domain: _Domain) -> _Rows:
        """The rows of a constraint."""
        template, symbols = self._template(constraint, lambda: templatize_constraint(constraint))
        instances = self._instances(symbols, domain.all(), domain.size)
        try:
            low, body, high = self._sides(template, instances)
        except CompileError as error:
            raise CompileError(f"{constraint.name}: {error}, in {template}") from None
        return _Rows(body.joined, _all(low - body.constant, domain.size), _all(high - body.constant, domain.size))

    def _sides(self, relation: Any, instances: _Instances) -> tuple[Any, _Affine, Any]:
        """Lower bound, body and upper bound of a relation; a number to the left is a lower bound, as Pyomo has it."""
        if isinstance(relation, relational.RangedExpression):
            least, body, most = relation.args
            return self._number(least, instances), self._affine(body, instances), self._number(most, instances)
        if not isinstance(relation, (relational.EqualityExpression, relational.InequalityExpression)):
            raise CompileError("it is no equation and no inequality")
        left, right = (self._affine(side, instances) for side in relation.args)
        is_equation = isinstance(relation, relational.EqualityExpression)
        if left.terms or is_equation:
            return 0.0 if is_equation else -np.inf, left.plus(right.times(-1.0)), 0.0
        return left.constant, right, np.inf

    def cost(self, blocks: list[Any], columns: int) -> tuple[Floats, float]:
        """The objective's coefficients, shape (columns,), and its constant."""
        objectives = [o for block in blocks for o in block.component_map(pyo.Objective, active=True).values()]
        if len(objectives) != 1 or objectives[0].is_indexed() or objectives[0]._init_sense(None, None) != pyo.minimize:  # noqa: SLF001 - `sense` waits for the expansion
            raise CompileError("a program has one objective, and minimises it")
        (objective,) = objectives
        template, _ = self._template(objective, lambda: templatize_rule(objective.parent_block(), objective.rule, None))
        try:
            found = self._affine(template, _Instances(1, {}))
        except CompileError as error:
            raise CompileError(f"{objective.name}: {error}") from None
        terms = found.joined
        return np.bincount(terms.column, terms.coefficient, minlength=columns).astype(float), float(np.sum(found.constant))

    def bounds(self, var: Any, domain: _Domain, positions: Ints) -> tuple[Floats, Floats]:
        """Lower and upper bounds of a Var at positions."""
        n = len(positions)
        if not var.is_indexed():
            return _all(-np.inf if var.lb is None else var.lb, n), _all(np.inf if var.ub is None else var.ub, n)
        low, high = var._rule_domain(var.parent_block(), None, var).bounds()  # noqa: SLF001 - `domain` of an indexed Var can only be set
        lower, upper = _all(-np.inf if low is None else low, n), _all(np.inf if high is None else high, n)
        rule = var._rule_bounds  # noqa: SLF001 - Pyomo publishes a Var's bounds member by member only
        if rule is None:
            return lower, upper
        if rule.constant():
            (low, high), instances = rule(var.parent_block(), None), _Instances(n, {})
        else:
            (low, high), symbols = self._template(var, lambda: templatize_rule(var.parent_block(), rule, var.index_set()))
            instances = self._instances(symbols, domain.at(positions), n)
        try:
            for bound, side, tighter in ((low, lower, np.maximum), (high, upper, np.minimum)):
                if bound is not None:
                    tighter(side, self._number(bound, instances), out=side)
        except CompileError as error:
            raise CompileError(f"bounds of {var.name}: {error}") from None
        return lower, upper

    def _template(self, component: Any, make: Callable[[], Any]) -> Any:
        try:
            with _plain_components():
                return make()
        except Exception as error:
            raise CompileError(
                f"the rule of {component.name} cannot be expanded by arrays: {error}. "
                "A rule may use sums over Sets, and Params and Vars at its indices; no loops, conditions or look-ups in dicts and lists."
            ) from error

    @staticmethod
    def _instances(symbols: tuple[Any, ...], codes: list[Ints], n: int) -> _Instances:
        return _Instances(n, {symbol._id: code for symbol, code in zip(symbols, codes, strict=True)})  # noqa: SLF001 - a symbol's only name

    def _number(self, expression: Any, instances: _Instances) -> Any:
        """An expression without variables, or the code of a member."""
        if isinstance(expression, str):
            return self._codes.code(expression)
        found = self._affine(expression, instances)
        if found.terms:
            raise CompileError(f"{expression} has variables where a number must stand")
        return found.constant

    def _affine(self, expression: Any, instances: _Instances) -> _Affine:
        kind = expression.__class__
        if kind in (int, float) or isinstance(expression, (int, float, np.number)):
            return _Affine(float(expression) if isinstance(expression, float) else expression)
        if kind is IndexTemplate:
            return _Affine(instances.codes[expression._id])  # noqa: SLF001 - a symbol's only name
        if isinstance(expression, GetItemExpression):
            return self._item(expression, instances)
        if isinstance(expression, GetAttrExpression):
            return self._over_blocks(expression, instances, self._affine)
        if isinstance(expression, TemplateSumExpression):
            return self._sum(expression, instances)
        if isinstance(expression, VarData):
            return self._variable(expression.parent_component(), _places(expression, self._codes), instances)
        if isinstance(expression, ParamData):
            return _Affine(float(pyo.value(expression)))
        if isinstance(expression, numeric.SumExpression):
            return self._add(expression.args, instances)
        if isinstance(expression, numeric.ProductExpression):  # a monomial is one too
            return self._multiply(expression, instances)
        if isinstance(expression, numeric.DivisionExpression):
            over, under = expression.args
            return self._affine(over, instances).times(1.0 / self._number(under, instances))
        if isinstance(expression, numeric.NegationExpression):
            return self._affine(expression.args[0], instances).times(-1.0)
        raise CompileError(f"{kind.__name__} `{expression}` is not linear, or no array operation")

    def _add(self, parts: Iterable[Any], instances: _Instances) -> _Affine:
        constant: Any = 0
        terms: list[_Terms] = []
        for part in parts:
            found = self._affine(part, instances)
            constant = constant + found.constant
            terms += found.terms
        return _Affine(constant, tuple(terms))

    def _multiply(self, expression: Any, instances: _Instances) -> _Affine:
        one, other = (self._affine(factor, instances) for factor in expression.args)
        if one.terms and other.terms:
            raise CompileError(f"`{expression}` multiplies variables")
        return one.times(other.constant) if one.terms else other.times(one.constant)

    def _item(self, expression: Any, instances: _Instances) -> _Affine:
        component, *index = expression.args
        if isinstance(component, GetAttrExpression):
            return self._over_blocks(component, instances, lambda of, mine: self._member(of, index, mine))
        return self._member(component, index, instances)

    def _member(self, component: Any, index: list[Any], instances: _Instances) -> _Affine:
        at = [self._number(each, instances) for each in index]
        at = [each.astype(np.int64) if isinstance(each, np.ndarray) and each.dtype.kind == "f" else each for each in at]
        if component.ctype is pyo.Var:
            return self._variable(component, at, instances)
        return _Affine(self._param(component, at))

    def _over_blocks(self, attribute: Any, instances: _Instances, evaluate: Callable[[Any, _Instances], _Affine]) -> _Affine:
        """What is of that name on the block at a symbolic index, block by block."""
        item, name = attribute.args
        blocks, *index = item.args
        domain = self.domain(blocks)
        at = np.broadcast_to(domain.find([self._number(each, instances) for each in index]), (instances.n,))
        constant, terms = np.zeros(instances.n), []
        for position in np.unique(at).tolist():
            mine = np.flatnonzero(at == position)
            codes = {key: code[mine] if isinstance(code, np.ndarray) else code for key, code in instances.codes.items()}
            found = evaluate(getattr(blocks[domain.member(position)], name), _Instances(len(mine), codes))
            constant[mine] = found.constant
            terms += [_Terms(mine[t.instance], t.column, t.coefficient) for t in found.terms]
        return _Affine(constant, tuple(terms))

    def _variable(self, var: Any, at: list[Any], instances: _Instances) -> _Affine:
        family = self.families.get(id(var))
        if family is None:
            raise CompileError(f"{var.name} is no part of the model")
        position = family.domain.find(at) if at else 0
        if np.min(position, initial=0) < 0:
            raise CompileError(f"{var.name} has no member for some index")
        column = np.broadcast_to(np.asarray(position + family.start, np.int64), (instances.n,))
        return _Affine(0.0, (_Terms(np.arange(instances.n), column, np.ones(instances.n)),))

    def _param(self, param: Any, at: list[Any]) -> Any:
        domain = self.domain(param)
        if id(param) not in self._params:
            self._params[id(param)] = _values(param, domain)
            self._kept.append(param)
        position = domain.find(at)
        if np.min(position, initial=0) < 0:
            raise CompileError(f"{param.name} has no member for some index")
        return self._params[id(param)][position]

    def _sum(self, expression: Any, instances: _Instances) -> _Affine:
        """Every instance once for each member of the Sets that are summed over, evaluated there and gathered again."""
        of = np.arange(instances.n)
        inner = instances
        for symbols in expression.template_iters():
            repeat, codes = self._members(symbols[0]._set, inner)  # noqa: SLF001 - a symbol's only way to its Set
            index = {key: code[repeat] if isinstance(code, np.ndarray) else code for key, code in inner.codes.items()}
            codes = codes if len(repeat) else [np.zeros(0, np.int64)] * len(symbols)
            index |= {symbol._id: code for symbol, code in zip(symbols, codes, strict=True)}  # noqa: SLF001
            inner, of = _Instances(len(repeat), index), of[repeat]
        (body,) = expression._local_args_
        found = self._affine(body, inner)
        constant: Any = 0.0
        if np.ndim(found.constant) or found.constant:
            constant = np.bincount(of, np.broadcast_to(found.constant, (inner.n,)), minlength=instances.n)
        return _Affine(constant, tuple(_Terms(of[t.instance], t.column, t.coefficient) for t in found.terms))

    def _members(self, over: Any, instances: _Instances) -> tuple[Ints, list[Ints]]:
        """The instances repeated once for each member of a Set, and the members' codes, one array for each dimension."""
        if isinstance(over, GetItemExpression):
            indexed, *index = over.args
            starts, members, domain = self._ragged_of(indexed)
            at = domain.find([self._number(each, instances) for each in index])
            if np.min(at, initial=0) < 0:
                raise CompileError(f"{indexed.name} has no member for some index")
            at = np.broadcast_to(at, (instances.n,))
            counts = starts[at + 1] - starts[at]
            repeat = np.repeat(np.arange(instances.n), counts)
            place = np.arange(len(repeat)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts[at], counts)
            return repeat, list(members[place].T)
        codes = self._codes_of(over)
        return np.repeat(np.arange(instances.n), len(codes)), [np.tile(each, instances.n) for each in codes.T]

    def _codes_of(self, index_set: Any) -> Ints:
        """All members of a Set that may be a product, shape (n, d)."""
        factors = [self._factor(factor) for factor in index_set.subsets()]
        if len(factors) == 1:
            return factors[0].codes
        return np.stack(_Domain(factors, self._codes).all(), axis=1)

    def _factor(self, index_set: Any) -> _Factor:
        if id(index_set) not in self._factors:
            self._kept.append(index_set)
            members: Any = index_set
            if index_set.isdiscrete() and isinstance(index_set, pyo.RangeSet) and len(index_set):
                members = np.arange(index_set.first(), index_set.last() + 1, dtype=np.int64)[:, None]
            self._factors[id(index_set)] = _Factor(members, self._codes, index_set)
        return self._factors[id(index_set)]

    def _ragged_of(self, indexed: Any) -> tuple[Ints, Ints, _Domain]:
        """An indexed Set: where the members of each index start, all members one after another, and the indices."""
        if id(indexed) not in self._ragged:
            self._kept.append(indexed)
            domain = self.domain(indexed)
            if isinstance(indexed, Ragged):
                rows, members = np.nonzero(indexed.holds.reshape(domain.size, -1))
                self._ragged[id(indexed)] = np.searchsorted(rows, np.arange(domain.size + 1)), members[:, None], domain
                return self._ragged[id(indexed)]
            of = [list(indexed[index].data()) for index in indexed.index_set()]
            members = _coded((member for mine in of for member in mine), self._codes)
            self._ragged[id(indexed)] = np.cumsum([0, *map(len, of)]), members, domain
        return self._ragged[id(indexed)]


def _values(param: Any, domain: _Domain) -> Floats:
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


def _places(data: Any, codes: _Codes) -> list[Any]:
    """The index of a VarData as codes."""
    index = data.index()
    if index is None:
        return []
    return [codes.code(each) for each in (index if isinstance(index, tuple) else (index,))]


def _all(value: Any, n: int) -> Floats:
    return np.array(np.broadcast_to(np.asarray(value, float), (n,)))
