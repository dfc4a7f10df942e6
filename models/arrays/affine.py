"""Affine: what an expression is for all instances of a rule at once: numbers, and terms of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from models.arrays.index import Ints
from models.horizon import Floats


class Terms(NamedTuple):
    """Terms of a family: `coefficient` of `column` in `instance`."""

    instance: Ints
    column: Ints
    coefficient: Floats


class Affine(NamedTuple):
    """What an expression is for each of n instances: `constant`, a number or shape (n,), and terms that add up to the rest."""

    constant: Any
    terms: tuple[Terms, ...] = ()

    def times(self, factor: Any) -> Affine:
        """The same times a number, or numbers of shape (n,)."""
        each = (Terms(t.instance, t.column, t.coefficient * (factor if np.ndim(factor) == 0 else factor[t.instance])) for t in self.terms)
        return Affine(self.constant * factor, tuple(each))

    def plus(self, other: Affine) -> Affine:
        """The sum."""
        return Affine(self.constant + other.constant, self.terms + other.terms)

    @property
    def joined(self) -> Terms:
        """All its terms."""
        return joined(self.terms)


def joined(terms: Sequence[Terms]) -> Terms:
    """Terms one after another."""
    if not terms:
        return Terms(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Terms(*(np.concatenate(part) for part in zip(*terms, strict=True)))


class Instances(NamedTuple):
    """n instances of a rule: the codes of each index symbol, shape (n,), by the symbol's id."""

    n: int
    codes: dict[int, Any]
