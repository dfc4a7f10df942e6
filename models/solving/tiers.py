"""Tiers: what cannot all be kept is broken in the stated order, exactly.

    plant > grid limit > grid event > contract > comfort

Prices alone are a screen: a GPU that does much work a kWh makes 50 per GPU hour dearer than 1,000 per kWh above the grid limit,
and a hall that holds little heat makes a kelvin cheap beside a kilowatt. So where the priced solution breaks anything:

    minimise   amount[1]                                       the breaches of the plant alone
    minimise   amount[2]   where amount[1] <= its optimum      then those of the grid limit, and so on
    minimise   the cost    where every amount <= its optimum   last, comfort and money

    amount[i] = sum of price * hours * breach over the tier / the tier's usual price

Within a tier breaches are weighed by the prices that they have in the program: a kW above a rating for an hour as much as a kWh of
heat in a hall above its band, for an hour; work by its own penalty. Comfort is no tier of its own, being what is left to choose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from models.account import Account
from models.breach import TIERS, TINY
from models.compile import Ints
from models.horizon import Floats
from models.solving.outcome import Outcome, Solved
from models.solving.session import Session
from models.sparse import sp

SLACK = 1e-7
"""An optimum is kept to this much, relative and absolute: less than the solver's own tolerance would make the next infeasible."""


def breaks_less(one: Account, other: Account) -> bool | None:
    """Whether `one` breaks less than `other` in the highest tier in which they differ; None where they differ in none."""
    for tier in TIERS:
        ours, theirs = (sum(account.cost.get(kind, 0.0) for kind in tier.families) / tier.price for account in (one, other))
        if abs(ours - theirs) > TINY * max(1.0, ours, theirs):
            return ours < theirs
    return None


def is_better(one: Account, other: Account) -> bool:
    """Whether `one` breaks less than `other`, or no more and its runs lack less of their minimum, or no more of either and it costs less."""
    breaks = breaks_less(one, other)
    if breaks is not None:
        return breaks
    ours, theirs = (float(account.short_run_h.sum()) for account in (one, other))
    return one.objective < other.objective if abs(ours - theirs) <= TINY else ours < theirs


def breach_columns(session: Session, families: Iterable[str]) -> Ints:
    """The columns of the breaches of `families`."""
    found = [session.columns(family.component).ravel() for family in session.compiled.var_families if family.component.local_name in families]
    columns = np.concatenate([np.zeros(0, np.int64), *found])
    return columns[columns >= 0]


class Ranked:
    """Solves a session in the order of `TIERS`.

    `amounts` holds (tier, optimal amount) of each tier after the last solve that found an optimum, nothing where nothing is broken.
    `weights_stand` says why the priced solution was left as it is, None where it was not; `seconds` is what ordering took in all.
    `priced` is the optimum of the priced program, whose duals are prices.
    """

    def __init__(self, session: Session) -> None:
        self.amounts: tuple[tuple[str, float], ...] = ()
        self.weights_stand: str | None = None
        self.seconds = 0.0
        self.priced: Solved | None = None
        self._session = session
        self._cost = session.cost
        self._weights: list[tuple[str, Floats]] = []
        self._breaches = np.zeros(len(self._cost), bool)
        self._rows: list[int] = []
        for tier in TIERS:
            columns = breach_columns(session, tier.families)
            if len(columns):
                weights = np.zeros(len(self._cost))
                weights[columns] = self._cost[columns] / tier.price
                self._breaches[columns] = True
                self._weights.append((tier.name, weights))

    @property
    def told(self) -> tuple[Solved | None, tuple[tuple[str, float], ...]]:
        """What is told of the last optimum: `priced` and `amounts`; put back with the optimum that it was told of."""
        return self.priced, self.amounts

    @told.setter
    def told(self, told: tuple[Solved | None, tuple[tuple[str, float], ...]]) -> None:
        self.priced, self.amounts = told

    def solve(self, solve: Callable[[float], Outcome], deadline: float) -> Outcome:
        """The optimum in order, or the priced one where nothing is broken or time is short; `solve(deadline)` solves the session.

        The rows of an earlier call are lifted first, for what was fixed since may break more. Ordering takes at most half of
        the time left, and where it fails it is not tried again.
        """
        self._lift()
        before, self.amounts = self.amounts, ()
        priced = solve(deadline)
        if not isinstance(priced, Solved):
            self.amounts = before
            return priced
        self.priced = priced
        if not (priced.x[self._breaches] > TINY).any() or self.weights_stand is not None:
            return priced
        started = time.perf_counter()
        latest = started + (deadline - started) / 2
        outcome = self._in_order(priced, lambda: solve(latest))
        if not isinstance(outcome, Solved):
            self._lift()
            self.amounts = ()
            self.weights_stand = outcome.reason
            more_rows = self._session.shape[0] - len(priced.row_dual)
            outcome = replace(priced, row_dual=np.pad(priced.row_dual, (0, more_rows)))
            self._session.load(outcome)
        self.seconds += time.perf_counter() - started
        return outcome

    def _in_order(self, best: Solved, solve: Callable[[], Outcome]) -> Outcome:
        """Each tier alone, held at its optimum before the next; one that `best` does not break needs no solve."""
        if not self._rows:
            rows = sp.csr_matrix(np.array([-w for _, w in self._weights]))
            self._rows = list(self._session.add_rows(rows, np.full(len(self._weights), -np.inf)))
        for row, (name, weights) in zip(self._rows, self._weights, strict=True):
            if float(weights @ best.x) > TINY:
                self._session.price(weights)
                outcome = solve()
                if not isinstance(outcome, Solved):
                    return outcome
                best = outcome
            amount = max(0.0, float(weights @ best.x))
            self._session.at_least(row, -(amount * (1 + SLACK) + SLACK))
            self.amounts += ((name, amount),)
        self._session.price(self._cost)
        return solve()

    def _lift(self) -> None:
        if self._rows:
            self._session.price(self._cost)
        for row in self._rows:
            self._session.at_least(row, -np.inf)
