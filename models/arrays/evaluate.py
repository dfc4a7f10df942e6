"""Evaluate: a template for all its instances at once.

    an index, a Param, arithmetic of them     an array of n numbers, one for each instance of the rule
    a Var at an index                         one term for each instance: (instance, column, 1)
    a sum over a Set                          every instance once for each member, evaluated there, gathered again
    a product                                 terms times numbers; terms times terms is refused, being no linear program

| symbol    | name                                                                      |
|-----------|---------------------------------------------------------------------------|
| instance  | one index of a family, and so one row: n of them, all evaluated together  |
| term      | (instance, column, coefficient)                                           |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.param import ParamData
from pyomo.core.base.var import VarData
from pyomo.core.expr import numeric_expr as numeric
from pyomo.core.expr import relational_expr as relational
from pyomo.core.expr.template_expr import GetAttrExpression, GetItemExpression, IndexTemplate, TemplateSumExpression

from models.arrays.affine import Affine, Instances, Terms
from models.arrays.data import Data
from models.arrays.index import Domain, Ints, codes_of
from models.arrays.template import CompileError, of_constraint, of_rule
from models.horizon import Floats


@dataclass(frozen=True)
class Family:
    """A Constraint or Var of `size` rows or columns of the model, the first of them at `start`."""

    component: Any
    start: int
    size: int
    domain: Domain


class Rows(NamedTuple):
    """Rows of a family: bounds of shape (n,)."""

    terms: Terms
    lower: Floats
    upper: Floats


class Evaluator:
    """Evaluates rules over whole families; `families` are the model's Vars by id()."""

    def __init__(self, data: Data, families: dict[int, Family]) -> None:
        self._data, self._families = data, families

    def rows(self, constraint: Any, domain: Domain) -> Rows:
        """The rows of a constraint."""
        template, symbols = of_constraint(constraint)
        instances = self._instances(symbols, domain.all(), domain.size)
        try:
            low, body, high = self._sides(template, instances)
        except CompileError as error:
            raise CompileError(f"{constraint.name}: {error}, in {template}") from None
        return Rows(body.joined, _all(low - body.constant, domain.size), _all(high - body.constant, domain.size))

    def _sides(self, relation: Any, instances: Instances) -> tuple[Any, Affine, Any]:
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
        template, _ = of_rule(objective, objective.rule, None)
        try:
            found = self._affine(template, Instances(1, {}))
        except CompileError as error:
            raise CompileError(f"{objective.name}: {error}") from None
        terms = found.joined
        return np.bincount(terms.column, terms.coefficient, minlength=columns).astype(float), float(np.sum(found.constant))

    def bounds(self, var: Any, domain: Domain, positions: Ints) -> tuple[Floats, Floats]:
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
            (low, high), instances = rule(var.parent_block(), None), Instances(n, {})
        else:
            (low, high), symbols = of_rule(var, rule, var.index_set())
            instances = self._instances(symbols, domain.at(positions), n)
        try:
            for bound, side, tighter in ((low, lower, np.maximum), (high, upper, np.minimum)):
                if bound is not None:
                    tighter(side, self._number(bound, instances), out=side)
        except CompileError as error:
            raise CompileError(f"bounds of {var.name}: {error}") from None
        return lower, upper

    @staticmethod
    def _instances(symbols: tuple[Any, ...], codes: list[Ints], n: int) -> Instances:
        return Instances(n, {symbol._id: code for symbol, code in zip(symbols, codes, strict=True)})  # noqa: SLF001 - a symbol's only name

    def _number(self, expression: Any, instances: Instances) -> Any:
        """An expression without variables, or the code of a member."""
        if isinstance(expression, str):
            return self._data.codes.code(expression)
        found = self._affine(expression, instances)
        if found.terms:
            raise CompileError(f"{expression} has variables where a number must stand")
        return found.constant

    def _affine(self, expression: Any, instances: Instances) -> Affine:
        kind = expression.__class__
        if kind in (int, float) or isinstance(expression, (int, float, np.number)):
            return Affine(float(expression) if isinstance(expression, float) else expression)
        if kind is IndexTemplate:
            return Affine(instances.codes[expression._id])  # noqa: SLF001 - a symbol's only name
        if isinstance(expression, GetItemExpression):
            return self._item(expression, instances)
        if isinstance(expression, GetAttrExpression):
            return self._over_blocks(expression, instances, self._affine)
        if isinstance(expression, TemplateSumExpression):
            return self._sum(expression, instances)
        if isinstance(expression, VarData):
            return self._variable(expression.parent_component(), codes_of(expression, self._data.codes), instances)
        if isinstance(expression, ParamData):
            return Affine(float(pyo.value(expression)))
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

    def _add(self, parts: Iterable[Any], instances: Instances) -> Affine:
        constant: Any = 0
        terms: list[Terms] = []
        for part in parts:
            found = self._affine(part, instances)
            constant = constant + found.constant
            terms += found.terms
        return Affine(constant, tuple(terms))

    def _multiply(self, expression: Any, instances: Instances) -> Affine:
        one, other = (self._affine(factor, instances) for factor in expression.args)
        if one.terms and other.terms:
            raise CompileError(f"`{expression}` multiplies variables")
        return one.times(other.constant) if one.terms else other.times(one.constant)

    def _item(self, expression: Any, instances: Instances) -> Affine:
        component, *index = expression.args
        if isinstance(component, GetAttrExpression):
            return self._over_blocks(component, instances, lambda of, mine: self._member(of, index, mine))
        return self._member(component, index, instances)

    def _member(self, component: Any, index: list[Any], instances: Instances) -> Affine:
        at = [self._number(each, instances) for each in index]
        at = [each.astype(np.int64) if isinstance(each, np.ndarray) and each.dtype.kind == "f" else each for each in at]
        if component.ctype is pyo.Var:
            return self._variable(component, at, instances)
        position = self._data.domain(component).find(at)
        if np.min(position, initial=0) < 0:
            raise CompileError(f"{component.name} has no member for some index")
        return Affine(self._data.values(component)[position])

    def _over_blocks(self, attribute: Any, instances: Instances, evaluate: Callable[[Any, Instances], Affine]) -> Affine:
        """What is of that name on the block at a symbolic index, block by block."""
        item, name = attribute.args
        blocks, *index = item.args
        domain = self._data.domain(blocks)
        at = np.broadcast_to(domain.find([self._number(each, instances) for each in index]), (instances.n,))
        constant, terms = np.zeros(instances.n), []
        for position in np.unique(at).tolist():
            mine = np.flatnonzero(at == position)
            codes = {key: code[mine] if isinstance(code, np.ndarray) else code for key, code in instances.codes.items()}
            found = evaluate(getattr(blocks[domain.member(position)], name), Instances(len(mine), codes))
            constant[mine] = found.constant
            terms += [Terms(mine[t.instance], t.column, t.coefficient) for t in found.terms]
        return Affine(constant, tuple(terms))

    def _variable(self, var: Any, at: list[Any], instances: Instances) -> Affine:
        family = self._families.get(id(var))
        if family is None:
            raise CompileError(f"{var.name} is no part of the model")
        position = family.domain.find(at) if at else 0
        if np.min(position, initial=0) < 0:
            raise CompileError(f"{var.name} has no member for some index")
        column = np.broadcast_to(np.asarray(position + family.start, np.int64), (instances.n,))
        return Affine(0.0, (Terms(np.arange(instances.n), column, np.ones(instances.n)),))

    def _sum(self, expression: Any, instances: Instances) -> Affine:
        """Every instance once for each member of the Sets that are summed over, evaluated there and gathered again."""
        of = np.arange(instances.n)
        inner = instances
        for symbols in expression.template_iters():
            repeat, codes = self._members(symbols[0]._set, inner)  # noqa: SLF001 - a symbol's only way to its Set
            index = {key: code[repeat] if isinstance(code, np.ndarray) else code for key, code in inner.codes.items()}
            codes = codes if len(repeat) else [np.zeros(0, np.int64)] * len(symbols)
            index |= {symbol._id: code for symbol, code in zip(symbols, codes, strict=True)}  # noqa: SLF001
            inner, of = Instances(len(repeat), index), of[repeat]
        (body,) = expression._local_args_
        found = self._affine(body, inner)
        constant: Any = 0.0
        if np.ndim(found.constant) or found.constant:
            constant = np.bincount(of, np.broadcast_to(found.constant, (inner.n,)), minlength=instances.n)
        return Affine(constant, tuple(Terms(of[t.instance], t.column, t.coefficient) for t in found.terms))

    def _members(self, over: Any, instances: Instances) -> tuple[Ints, list[Ints]]:
        """The instances repeated once for each member of a Set, and the members' codes, one array for each dimension."""
        if isinstance(over, GetItemExpression):
            indexed, *index = over.args
            starts, members, domain = self._data.ragged(indexed)
            at = domain.find([self._number(each, instances) for each in index])
            if np.min(at, initial=0) < 0:
                raise CompileError(f"{indexed.name} has no member for some index")
            at = np.broadcast_to(at, (instances.n,))
            counts = starts[at + 1] - starts[at]
            repeat = np.repeat(np.arange(instances.n), counts)
            place = np.arange(len(repeat)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts[at], counts)
            return repeat, list(members[place].T)
        codes = self._data.members(over)
        return np.repeat(np.arange(instances.n), len(codes)), [np.tile(each, instances.n) for each in codes.T]


def _all(value: Any, n: int) -> Floats:
    return np.array(np.broadcast_to(np.asarray(value, float), (n,)))
