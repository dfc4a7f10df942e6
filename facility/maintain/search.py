"""Search: the cheapest windows for a refresh. Each choice of windows is priced by planning with it and without any.

    1. the plan without, and from its prices what each window costs at least                      facility.maintain.bound
    2. the choice that costs least by all prices so far is planned, and its prices are more of them
    3. until none that is untried can cost less than the best found, or MOST_PLANS are made

The steps of a refresh come one after another; their windows are chosen together, not greedily. A choice with which more limits are broken
than without it is none. With new GPUs the prices are an estimate, for nobody has had a price for them, and say in which order to try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from facility.decide import Optimised, Undecided, decide
from facility.maintain.bound import Bound, Open, Starts, bound, cheapest, highest
from facility.maintain.free import overbooked
from facility.maintain.layout import before, laid_out, movable, successors
from facility.maintain.room import no_room, open_starts
from facility.maintain.stages import Stage, staged
from facility.maintain.wish import Refusal, Wish
from facility.planner import Brief
from facility.quote.difference import Difference, binding, difference, worse
from facility.rental.rental import spanned
from facility.site import Site
from models.plan import Plan
from models.solving.attempt import SolverOf

MOST_PLANS, MOST_BESIDE = 24, 6
"""Plans with windows that are made to find the best, and for each other choice that is told beside it."""
NEAR_SHARE, NEAR = 0.005, 0.01
"""A choice that costs less by no more than this share of the cost, or this money, is not looked for."""
TOLD = 3


@dataclass(frozen=True)
class Choice:
    """Windows that begin at `starts`, UTC, and what they cost; `than_best` is what each kind of cost is more than with the best, money."""

    starts: tuple[datetime, ...]
    more: Difference
    than_best: dict[str, float]


@dataclass(frozen=True)
class Found:
    """The best windows and the next ones that do not meet them. No others cost less than `least`, money; None: that is not known.

    `site` is the site with the best.
    """

    stages: tuple[Stage, ...]
    best: Choice
    others: tuple[Choice, ...]
    least: float | None
    plans: int
    site: Site


class Search:
    """Searches by what `brief` tells, each plan within `budget_s` seconds; `say` hears what is done."""

    def __init__(self, brief: Brief, budget_s: float, solver_of: SolverOf, say: Callable[[str], None] = lambda _said: None) -> None:
        self._brief = replace(brief, site=spanned(brief.site, brief.rentals))
        self._budget_s, self._solver_of, self._say = budget_s, solver_of, say
        self._bounds: list[Bound] = []
        self._tried: dict[Starts, tuple[float, Difference] | str] = {}
        self._snapshot = brief.snapshot
        self._plans = 0

    def find(self, wish: Wish) -> Found | Refusal:
        """The windows for a wish, or why there are none."""
        told = self._brief
        stages = staged(told.site, wish, {rental.contract for rental in told.rentals})
        if isinstance(stages, Refusal):
            return stages
        is_open = open_starts(told.site, wish, stages, told.edges)
        over = [int(np.searchsorted(_stamps(told.edges), (edge + wish.lasts).timestamp() - 1e-6)) for edge in told.edges[:-1]]
        if cheapest(Bound(0.0, np.zeros(is_open.shape)), is_open, over) is None:
            return no_room(told.site, wish, stages, told.edges, is_open)
        self._snapshot = replace(told.snapshot, jobs=movable(told.site, wish, told.snapshot.jobs))
        without = self._plan(before(told.site, wish), "without it")
        if isinstance(without, Undecided):
            return Refusal(f"there is no plan even without it: {without.reason}")
        self._learn(wish, stages, without.plan, None)
        best, least = self._best(wish, stages, without.plan, is_open, over)
        if best is None:
            return self._refused()
        return self._found(wish, stages, without.plan, is_open, over, best, None if wish.to_model else least)

    def _found(
        self, wish: Wish, stages: tuple[Stage, ...], without: Plan, is_open: Open, over: Sequence[int], best: Starts, least: float | None
    ) -> Found:
        """The best and, one after another, the cheapest that meets none of those before."""
        told, chosen = self._brief, [best]
        apart = is_open
        while len(chosen) < TOLD:
            apart = apart & ~_met(chosen[-1], over, apart.shape)
            other, _ = self._best(wish, stages, without, apart, over, MOST_BESIDE)
            if other is None:
                break
            chosen.append(other)
        made = sorted(((starts, known) for starts in chosen if not isinstance(known := self._tried[starts], str)), key=lambda each: each[1][0])
        first, objective = made[0][1], without.account.objective
        choices = [self._choice(starts, known[1], first[1]) for starts, known in made]
        return Found(
            stages,
            choices[0],
            tuple(choices[1:]),
            None if least is None else min(least - objective, first[1].cost),
            self._plans,
            laid_out(told.site, wish, stages, choices[0].starts),
        )

    def _choice(self, starts: Starts, more: Difference, best: Difference) -> Choice:
        kinds = {kind: more.costs.get(kind, 0.0) - best.costs.get(kind, 0.0) for kind in {**best.costs, **more.costs}}
        return Choice(self._instants(starts), more, {kind: money for kind, money in kinds.items() if abs(money) > NEAR})

    def _best(
        self, wish: Wish, stages: tuple[Stage, ...], without: Plan, is_open: Open, over: Sequence[int], most: int = MOST_PLANS
    ) -> tuple[Starts | None, float]:
        """The cheapest starts found among those that are open, and what all of them cost at least."""
        plans, least = 0, float("-inf")
        while True:
            best, cost = self._best_tried(is_open)
            untried, least = self._promising(is_open, over)
            near = max(NEAR, NEAR_SHARE * abs(cost - without.account.objective)) if best is not None else 0.0
            if untried is None or plans >= most or (best is not None and least >= cost - near):
                return best, least
            self._try(wish, stages, without, untried)
            plans += 1

    def _best_tried(self, is_open: Open) -> tuple[Starts | None, float]:
        """The cheapest of those that were tried, and its objective."""
        known = [(made[0], starts) for starts, made in self._tried.items() if not isinstance(made, str) and _all_open(starts, is_open)]
        cost, starts = min(known, default=(float("inf"), None))
        return starts, cost

    def _promising(self, is_open: Open, over: Sequence[int]) -> tuple[Starts | None, float]:
        """The cheapest starts by all prices that were not tried, None where there are none; and what any starts cost at least."""
        stages = len(is_open)
        mask = is_open.copy()
        if stages == 1:
            for starts in self._tried:
                mask[0, starts[0]] = False
            by = highest(self._bounds)
            found = cheapest(by, mask, over)
            return found, float("inf") if found is None else by.at(found)
        least, untried = float("-inf"), list[Starts]()
        for by in (highest(self._bounds), *reversed(self._bounds)):
            if (first := cheapest(by, mask, over)) is None:
                return None, float("inf")
            least = max(least, by.at(first))
            untried += [first] if first not in self._tried else []
        return (untried[0] if untried else None), least

    def _try(self, wish: Wish, stages: tuple[Stage, ...], without: Plan, starts: Starts) -> None:
        """Plan with windows, and keep what they cost or why they cannot be."""
        told, instants = self._brief, self._instants(starts)
        site = laid_out(told.site, wish, stages, instants)
        if any(overbooked(site, pool) for pool in (wish.pool, wish.to_pool) if pool is not None):
            self._tried[starts] = "a contract would lack GPUs then"
            return
        made = self._plan(site, f"from {', '.join(f'{instant:%d %b %H:%M}' for instant in instants)} UTC")
        if isinstance(made, Undecided):
            self._tried[starts] = made.reason
            return
        if broken := worse(made.plan, without):
            self._tried[starts] = f"{broken}; {binding(made.plan, told.site.currency)}"
        else:
            self._tried[starts] = (made.plan.account.objective, difference(without, made.plan, successors(told.site, site)))
        self._learn(wish, stages, made.plan, starts)

    def _learn(self, wish: Wish, stages: tuple[Stage, ...], plan: Plan, made_at: Starts | None) -> None:
        self._bounds.append(bound(wish, stages, self._brief.edges, plan.why.absences, plan.record.bound, made_at))
        plan.why.forget()

    def _plan(self, site: Site, which: str) -> Optimised | Undecided:
        told = self._brief
        asked = replace(told.asked, pool_cap_w={pool: told.asked.pool_cap_w.get(pool, (None,) * (len(told.edges) - 1)) for pool in site.pools})
        self._plans += 1
        self._say(f"plan {self._plans}: {which}")
        return decide(site, self._snapshot, told.forecast, asked, told.edges, self._budget_s, reasons=False, solver_of=self._solver_of)

    def _instants(self, starts: Starts) -> tuple[datetime, ...]:
        return tuple(self._brief.edges[s] for s in starts)

    def _refused(self) -> Refusal:
        """Of limits that the plans with it would break."""
        said = [f"from {self._instants(starts)[0]:%Y-%m-%d %H:%M} UTC: {made}" for starts, made in self._tried.items() if isinstance(made, str)]
        remedies = ("fewer GPUs at once (--gpus, or more --steps)", "a longer --within")
        return Refusal("the GPUs can leave, and the site cannot do its work without them", tuple(said[:TOLD]), remedies)


def _stamps(edges: Sequence[datetime]) -> list[float]:
    return [edge.timestamp() for edge in edges]


def _all_open(starts: Starts, is_open: Open) -> bool:
    return all(is_open[k, s] for k, s in enumerate(starts))


def _met(starts: Starts, over: Sequence[int], shape: tuple[int, ...]) -> Open:
    """The starts with which a window would meet the one of the same step."""
    met = np.zeros(shape, bool)
    for k, first in enumerate(starts):
        met[k] = [s < over[first] and over[s] > first for s in range(shape[1])]
    return met
