"""Limits: every limit of the site as lines in the number of GPUs that are added at one place.

    feeder.carries, feeder.carries_worst     each feeder: its rating, and its margin with every GPU at its cap
    redundancy.survives, survives_worst      each group: what the others carry without its largest (N-1)
    feed.limits, grid.limits                 each feed, and the connection as a whole
    cooling_plant.heat_kw                    each plant: the heat that it removes in that hour's weather
    hall.recommended_max                     halls of plants with a set-point: what the supply can keep cool
    battery.rides_through                    each battery that is to carry a load: what it can hold

For GPUs in a new hall only the root and the connection are limits, with what their own cooling draws (`facility.capacity.gear`).
Where a plant may be supplied at several temperatures, each hour has the one at which most GPUs fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from facility.capacity.gear import at_roots_kw
from facility.capacity.lines import Limit, Lines, line
from facility.capacity.place import Place
from facility.capacity.present import Level, Present, most_removed_kw
from models.heat.cooling_plant import CoolingPlant
from models.horizon import Floats
from models.power.battery import Battery
from models.power.feeder import grown
from models.power.redundancy import left_kw
from models.problem import Problem


@dataclass(frozen=True)
class Hours:
    """The limits of the hours of a problem for GPUs at a place."""

    limits: Sequence[Limit]

    @cached_property
    def gpus(self) -> Floats:
        """How many each limit lets in, shape (C, T)."""
        return np.array([limit.gpus() for limit in self.limits])

    @cached_property
    def most(self) -> Floats:
        """How many fit, shape (T,)."""
        return np.asarray(self.gpus.min(axis=0))

    def of(self, family: str, asset: str) -> Limit:
        """One of them."""
        return next(limit for limit in self.limits if (limit.family, limit.asset) == (family, asset))


def hours(
    problem: Problem, there: Present, place: Place, draw_kw: float | Floats, could_draw_kw: float | Floats, *, all_limits: bool = True
) -> Hours:
    """The limits where each added GPU draws `draw_kw` and counts for `could_draw_kw` in sums of caps, one value or one a step.

    Without `all_limits` only those on what the added GPUs load: what the present site does elsewhere is then no matter of theirs.
    """
    touched = [c for c in problem.cooling_plants if any(_takes(problem, place, c))]
    chosen = [
        Hours([each for each in _limits(problem, there, place, draw_kw, could_draw_kw, levels) if all_limits or (each.load.beta > 0).any()])
        for levels in (dict(zip((c.id for c in touched), each, strict=True)) for each in product(*(there.levels[c.id] for c in touched)))
    ]
    if len(chosen) == 1:
        return chosen[0]
    best, steps = np.argmax([each.most for each in chosen], axis=0), np.arange(len(problem.horizon))

    def joined(same: Sequence[Limit]) -> Limit:
        alpha, beta = (np.array([getattr(limit.load, part) for limit in same])[best, :, steps].T for part in ("alpha", "beta"))
        return Limit(same[0].family, same[0].asset, Lines(alpha, beta), np.array([limit.most_kw for limit in same])[best, steps])

    return Hours([joined(same) for same in zip(*(each.limits for each in chosen), strict=True)])


def _takes(problem: Problem, place: Place, plant: CoolingPlant) -> tuple[float, float]:
    """Shares of the heat of added GPUs that a plant removes by way of the hall's air, and by its liquid loop; a new hall has its own."""
    if place.new_hall:
        return 0.0, 0.0
    inside = next(h for h in problem.halls if h.id == place.hall)
    air = float(inside.cooling_plant == plant.id) * (1 - place.liquid_share)
    return air, float(inside.liquid_plant == plant.id) * place.liquid_share


def _heat(problem: Problem, there: Present, place: Place, plant: CoolingPlant, draw_kw: float | Floats) -> Lines:
    """What a plant removes."""
    air, loop = _takes(problem, place, plant)
    flat = line(there.heat_kw[plant.id], loop * np.asarray(draw_kw))
    if not air:
        return flat
    rises = flat.alpha - there.removed_kw(place.hall) + there.surplus_kw[place.hall]
    beta = flat.beta + air * np.asarray(draw_kw)
    flat_alpha = flat.alpha - there.removed_kw(place.hall)
    return Lines(np.concatenate([flat_alpha, rises]), np.concatenate([flat.beta, beta]))


def _power(heat: Lines, level: Level) -> Lines:
    """What a plant draws for its heat: each segment of each line."""
    alpha = level.intercept_kw[:, None, :] + level.slope[:, None, :] * heat.alpha[None, :, :]
    beta = level.slope[:, None, :] * heat.beta[None, :, :]
    return Lines(alpha.reshape(-1, alpha.shape[-1]), beta.reshape(-1, beta.shape[-1]))


def _limits(
    problem: Problem, there: Present, place: Place, draw_kw: float | Floats, could_draw_kw: float | Floats, levels: Mapping[str, Level]
) -> Iterator[Limit]:
    """Every limit, with the plants that cool the place at `levels`."""
    steps = len(problem.horizon)
    plants = {c.id: c for c in problem.cooling_plants}
    heats = {c.id: _heat(problem, there, place, c, draw_kw) for c in plants.values()}
    powers = {c: _power(heats[c], level) for c, level in levels.items()}
    up = {c: grown(problem.feeders, plants[c].feeder) for c in levels}
    draws, could = (_own_kw(problem, place, draw_kw, kw) for kw in (draw_kw, could_draw_kw))

    def loaded(base_kw: Floats, per_gpu_kw: float | Floats, factor: Mapping[str, float]) -> Lines:
        """A load of `base_kw` with what added GPUs and the plants that cool them draw more of it."""
        rest = line(base_kw - sum(factor[c] * there.power_kw[c] for c in factor), per_gpu_kw)
        for c, times in factor.items():
            rest = rest.plus(powers[c].times(times))
        return rest

    def passed(names: Sequence[str], loads: Mapping[str, Floats], per_gpu_kw: Mapping[str, Floats]) -> Lines:
        """What some feeders carry together."""
        factor = {c: sum(up[c].get(f, 0.0) for f in names) for c in levels}
        through = sum((per_gpu_kw[f] for f in names if f in per_gpu_kw), np.zeros(steps))
        return loaded(sum((loads[f] for f in names), np.zeros(steps)), through, {c: k for c, k in factor.items() if k})

    for f in problem.feeders:
        yield Limit("feeder.carries", f.id, passed([f.id], there.feeder_kw, draws), np.full(steps, f.rating_kw))
        most = np.full(steps, f.rating_kw * f.worst_case_margin)
        yield Limit("feeder.carries_worst", f.id, passed([f.id], there.worst_kw, could), most)
    for group in problem.redundancies:
        left, left_worst = (np.full(steps, kw) for kw in left_kw(group, problem.feeders))
        yield Limit("redundancy.survives", group.id, passed(group.feeders, there.feeder_kw, draws), left)
        yield Limit("redundancy.survives_worst", group.id, passed(group.feeders, there.worst_kw, could), left_worst)
    for feed in problem.feeds:
        yield Limit("feed.limits", feed.id, passed([feed.feeder], there.feeder_kw, draws), np.full(steps, feed.limit_kw))
    drawn = line(np.zeros(steps))
    for root in problem.roots:
        through = passed([root.id], there.feeder_kw, draws)
        drawn = drawn.plus(through if problem.grid.may_export else through.or_nothing())
    yield Limit("grid.limits", "", drawn, np.asarray(problem.grid.limit_kw, float))
    for c in plants.values():
        yield Limit("cooling_plant.heat_kw", c.id, heats[c.id], problem.margins.most_heat_kw[c.id])
        if c.set_point is not None:
            yield from _kept_cool(problem, there, place, c, draw_kw, levels.get(c.id, there.levels[c.id][0]))
    for store in problem.batteries:
        if store.ride_through_h:
            kw = _carried_kw(problem, there, store)
            factor = {c: up[c].get(store.carried_feeder, 0.0) for c in levels}
            carried = loaded(kw, could.get(store.carried_feeder, 0.0), {c: k for c, k in factor.items() if k})
            holds_kw = store.efficiency * (store.capacity_kwh - store.least_kwh) / store.ride_through_h
            yield Limit("battery.rides_through", store.id, carried, np.full(steps, holds_kw))


def _own_kw(problem: Problem, place: Place, draw_kw: float | Floats, carried_kw: float | Floats) -> dict[str, Floats]:
    """What each added GPU that counts for `carried_kw` adds to the load of feeders by itself, in a new hall with its own cooling."""
    if place.new_hall:
        return at_roots_kw(problem, place, draw_kw, carried_kw)
    flat = np.zeros(len(problem.horizon))
    return {f: losses * np.asarray(carried_kw) + flat for f, losses in grown(problem.feeders, place.feeder).items()}


def _kept_cool(
    problem: Problem, there: Present, place: Place, plant: CoolingPlant, draw_kw: float | Floats, level: Level
) -> Iterator[Limit]:
    """What the supply of a plant can keep at the upper end of the recommended band."""
    air = _takes(problem, place, plant)[0] * np.asarray(draw_kw)
    for z in problem.plant_halls(plant):
        surplus = there.surplus_kw[z.id]
        most = np.maximum(most_removed_kw(plant, z, level), 0.0)
        yield Limit("hall.recommended_max", z.id, line(surplus, air if z.id == place.hall else 0.0), np.full(len(surplus), most))


def _carried_kw(problem: Problem, there: Present, store: Battery) -> Floats:
    """What a battery is to ride through without added GPUs: the worst case of its feeder, without batteries and generation."""
    factor = {f.id: grown(problem.feeders, f.id).get(store.carried_feeder, 0.0) for f in problem.feeders}
    steps = len(problem.horizon)
    loads = [(z.feeder, z.base(steps)) for z in problem.halls]
    loads += [(p.feeder, there.worst_pool_kw[p.id]) for p in problem.pools]
    loads += [(c.feeder, there.power_kw[c.id]) for c in problem.cooling_plants]
    return sum((factor[feeder] * kw for feeder, kw in loads), np.zeros(steps))
