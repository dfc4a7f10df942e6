"""Template: a rule called once, on symbols for its indices (`pyomo.core.expr.template_expr`).

Pyomo makes templates by changing how its Sets iterate, and the built-in `sum`, for the whole process. Here they change for the thread
that makes a template alone, and one thread makes templates at a time: a guard that adds up loads beside it must not notice.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyomo.core.base.constraint import Constraint, ScalarConstraint
from pyomo.core.base.objective import Objective, ScalarObjective
from pyomo.core.expr import template_expr
from pyomo.core.expr.template_expr import templatize_constraint, templatize_rule

PYOMO = threading.RLock()


class _InOneThread(type(template_expr._TemplateIterManager)):  # type: ignore[misc]  # noqa: SLF001 - Pyomo has no other way in
    """Pyomo's own manager of these changes, for the thread that asks for them only."""

    def acquire(self) -> None:
        """Let this thread's sums and iterations make symbols."""
        self.paused = False
        mine, symbolic = threading.get_ident(), self.context.sum_template

        def sum_(*args: Any, **start: Any) -> Any:
            if threading.get_ident() != mine or len(args) > 1 or start:
                return self.builtin_sum(*args, **start)
            try:
                return symbolic(*args)
            except StopIteration:  # over nothing, which Pyomo does not foresee
                return 0

        builtins.sum = sum_
        for each in self.iters:
            each._class.__iter__ = _iterating(mine, each._iter, each._old_iter)  # noqa: SLF001


def _iterating(mine: int, symbolic: Callable[[Any], Any], plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def iterate(over: Any) -> Any:
        return symbolic(over) if threading.get_ident() == mine else plain(over)

    return iterate


template_expr._TemplateIterManager = _InOneThread()  # noqa: SLF001


class CompileError(ValueError):
    """A rule that cannot be expanded by arrays; names the rule and what stands in the way."""


@contextmanager
def unexpanded() -> Iterator[None]:
    """Within it constraints and objectives are declared as ever, but their rules are left for `models.compile` to expand.

    No other thread declares or compiles meanwhile; any may read and solve.
    """

    def declared(component: Any, data: Any = None) -> None:  # noqa: ARG001 - Pyomo's own signature
        component._constructed = True  # noqa: SLF001 - what `construct` sets first

    with PYOMO:
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


def of_constraint(constraint: Any) -> Any:
    """The template of a constraint's rule and the symbols of its index."""
    return _made(constraint, lambda: templatize_constraint(constraint))


def of_rule(component: Any, rule: Any, index_set: Any) -> Any:
    """The template of a rule of a component, and the symbols of its index, None where it has none."""
    return _made(component, lambda: templatize_rule(component.parent_block(), rule, index_set))


def _made(component: Any, make: Callable[[], Any]) -> Any:
    try:
        with _plain_components():
            return make()
    except Exception as error:
        raise CompileError(
            f"the rule of {component.name} cannot be expanded by arrays: {error}. "
            "A rule may use sums over Sets, and Params and Vars at its indices; no loops, conditions or look-ups in dicts and lists."
        ) from error
