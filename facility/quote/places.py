"""Places: where and when a rental could run. Pure.

    free      every pool of the model with the kind of work, at every step within which it may begin, that has the GPUs for all of it
    dear      price(t) * what its GPUs draw at full speed there beyond idle ones, summed over its steps
    promising of the free ones in the order of their start those that are cheaper than all before them
    beside    what is left once some were refused: at other times, and in other pools, by turns

What is promising within a span is promising within a longer one too, so that who may wait longer is never quoted more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from facility.inputs.jobterms import offered
from facility.rental.fit import free_gpus
from facility.rental.rental import Rental
from facility.site import Contract, Site
from facility.steps import Edges
from models.horizon import Floats

CONTRACT = "quoted rental"
"""What the rental is called while it is thought of; no contract of a site can have this name."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: GPUs for `lasts`, begun from `earliest` on and at the latest `within` later, UTC; None: any model or pool."""

    gpus: int
    lasts: timedelta
    earliest: datetime
    within: timedelta
    curve: str
    model: str | None = None
    pool: str | None = None


@dataclass(frozen=True)
class Place:
    """A pool, and when the rental would begin there."""

    pool: str
    start: datetime


def rental(wish: Wish, place: Place, terms: Contract) -> Rental:
    """The rental of a wish at a place; `terms` may name any pool."""
    there = terms.model_copy(update={"pool": place.pool, "gpus": wish.gpus, "curve": wish.curve})
    return Rental(CONTRACT, CONTRACT, there, place.start, place.start + wish.lasts, "quote")


def pools_for(site: Site, wish: Wish) -> list[str]:
    """The pools in which it could run at all, by their GPUs' model and kinds of work."""
    return [
        name
        for name, pool in site.pools.items()
        if wish.curve in offered(site, name) and wish.model in (None, pool.gpu_model) and wish.pool in (None, name)
    ]


def free(site: Site, others: Sequence[Rental], wish: Wish, terms: Contract, edges: Edges) -> Iterator[Place]:
    """Every place with the GPUs, by start; `others` are rentals that stand."""
    for start in starts(wish, edges):
        for pool in pools_for(site, wish):
            place = Place(pool, start)
            if free_gpus(site, others, rental(wish, place, terms), pool, start) >= wish.gpus:
                yield place


def starts(wish: Wish, edges: Edges) -> list[datetime]:
    """The steps in which it may begin and end within the plan, for what lies after it would cost nothing."""
    latest = min(wish.earliest + wish.within, edges[-1] - wish.lasts)
    return [edge for edge in edges[:-1] if wish.earliest <= edge <= latest]


def promising(places: Mapping[Place, float]) -> list[Place]:
    """The places to plan with, by start; `places` are by start too, with what each looks to cost."""
    found: list[Place] = []
    least = float("inf")
    for place, cost in places.items():
        if cost < least - 1e-9 * abs(least if found else 1.0):
            least = cost
            found.append(place)
    return found


def beside(places: Mapping[Place, float], refused: Collection[Place]) -> dict[Place, float]:
    """The places that are left; what refused one mostly refuses all of its time, or all of its pool."""
    left = {place: cost for place, cost in places.items() if place not in refused}
    starts, pools = {place.start for place in refused}, {place.pool for place in refused}
    elsewhere = {place: cost for place, cost in left.items() if (place.start not in starts if len(refused) % 2 else place.pool not in pools)}
    return elsewhere or left


def looks(place: Place, wish: Wish, edges: Edges, dear: Floats) -> float:
    """What a rental looks to cost at a place; `dear` is what an hour of it costs in that pool by step, shape (T,)."""
    end, cost = place.start + wish.lasts, 0.0
    for t, (begin, over) in enumerate(pairwise(edges)):
        hours = (min(over, end) - max(begin, place.start)).total_seconds() / 3600
        if hours > 0:
            cost += hours * float(dear[t])
    return cost
