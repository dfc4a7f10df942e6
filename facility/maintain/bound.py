"""Bound: what windows cost at least, by the prices of a plan's GPUs, and the order of windows that is cheapest by that. Pure.

    cost(starts) >= constant + sum over steps k of price[k, starts[k]]                     models.telling.absence

is true of every plan's prices, so that of several plans the greatest holds. In a sum of such prices the cheapest order of steps one after
another is found exactly, from the first to the last:

    best[k, s] = min(best[k, s - 1], best[k - 1, last that is over by s] + price[k, s])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facility.forecast import hours_between
from facility.maintain.stages import Stage
from facility.maintain.wish import Wish
from facility.steps import Edges, horizon
from models.horizon import Floats
from models.telling.absence import Absence

Starts = tuple[int, ...]
"""The steps of the plan with which the windows begin, one for each step of the refresh."""
Open = NDArray[np.bool_]
"""Whether a step of the refresh may begin with a step of the plan, shape (K, T)."""


@dataclass(frozen=True)
class Bound:
    """What windows cost at least, money: `price` has shape (K, T)."""

    constant: float
    price: Floats

    def at(self, starts: Starts) -> float:
        """Of one choice of starts."""
        return self.constant + float(sum(self.price[k, s] for k, s in enumerate(starts)))


def bound(wish: Wish, stages: Sequence[Stage], edges: Edges, prices: Mapping[str, Absence], cost: float, made_at: Starts | None) -> Bound:
    """The bound by the prices of a plan that costs `cost` with windows that begin at `made_at`, None: without any."""
    steps = horizon(edges)
    old, new = prices[wish.pool], prices.get(wish.to_pool or "")
    lasts_h = wish.lasts.total_seconds() / 3600
    price = np.zeros((len(stages), len(steps)))
    for s in range(len(steps)):
        begin_h = hours_between(edges[0], edges[s])
        gone = steps.overlap(begin_h, begin_h + lasts_h if new is None else steps.end_h)
        each = _paid(old, gone)
        if new is not None:
            each += _paid(new, steps.overlap(0.0, begin_h + lasts_h)) - _paid(new, np.ones(len(steps)))
        price[:, s] = [each * stage.gpus for stage in stages]
    return Bound(cost - (0.0 if made_at is None else Bound(0.0, price).at(made_at)), price)


def _paid(prices: Absence, gone: Floats) -> float:
    """What a GPU costs that is gone for these shares of the steps."""
    return float(prices.work @ (gone > 0) + prices.power @ (gone >= 1 - 1e-9))


def highest(bounds: Sequence[Bound]) -> Bound:
    """Of one step: what it costs at least by all bounds; of several: the mean of them, which holds as well."""
    if len(bounds[0].price) == 1:
        return Bound(0.0, np.max([b.constant + b.price for b in bounds], axis=0))
    return Bound(float(np.mean([b.constant for b in bounds])), np.mean([b.price for b in bounds], axis=0))


def cheapest(by: Bound, is_open: Open, over: Sequence[int]) -> Starts | None:
    """The cheapest starts of steps one after another; `over[s]` is the first step of the plan by which a window from `s` is over."""
    stages, steps = by.price.shape
    best = np.full((stages + 1, steps + 1), np.inf)  # best[k, s]: the first k begin, and the last of them is over, by step s
    best[0] = 0.0
    chosen = np.full((stages, steps + 1), -1)
    for k in range(stages):
        for s in range(steps):
            if is_open[k, s] and (cost := best[k, s] + by.price[k, s]) < best[k + 1, over[s]]:
                best[k + 1, over[s]], chosen[k, over[s]] = cost, s
            if best[k + 1, s] < best[k + 1, s + 1]:
                best[k + 1, s + 1], chosen[k, s + 1] = best[k + 1, s], chosen[k, s]
    if not np.isfinite(best[stages, steps]):
        return None
    found, at = list[int](), steps
    for k in reversed(range(stages)):
        at = int(chosen[k, at])
        found.append(at)
    return tuple(reversed(found))
