"""Quoting: a rental is priced by planning with it and without it; the difference is what it costs.

    cost = objective(with) - objective(without)       energy, fees, peak, carbon, wear, work that waits, credits for flexibility

The program decides what gives way: caps, jobs that wait, the battery. A place at which more limits would be broken with the rental than without
is none. Both plans are of the same steps, so that work which they leave for later is worth the same in both.

Where a place is refused, those that it alone outdid are promising in its stead. Where there is not the time to plan with every place that is
promising, the earliest and those that look cheapest are planned with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Final

import numpy as np

from facility.decide import Optimised, Undecided, decide
from facility.ladder import Tier
from facility.planner import Brief
from facility.quote.difference import Displaced, binding, difference, worse
from facility.quote.places import CONTRACT, Place, Wish, beside, free, looks, pools_for, promising, rental, starts
from facility.rental.fit import free_gpus
from facility.rental.losses import Gone
from facility.rental.rental import Rental, leased, rented_gpus, unleased
from facility.site import Contract, Site
from facility.tariff import fees_per_mwh
from models.horizon import Floats
from models.plan import Plan
from models.solving.attempt import SolverOf

COMPARED: tuple[Tier, ...] = ("T0", "T2", "T3")
"""Tiers that every quote tells beside the one that was asked for."""
MOST_REFUSED: Final = 24
"""Places that are planned with and refused, at most."""
SLACK: Final = 1.3
"""How many times longer than the plan without it a plan with it may take."""


@dataclass(frozen=True)
class Offer:
    """A rental at a place. Money by kind in `costs`, their sum in `cost`; `speed` is the mean speed it gets, 1 at full power."""

    tier: Tier
    pool: str
    start: datetime
    end: datetime
    cost: float
    costs: Mapping[str, float]
    energy_kwh: float
    peak_kw: float
    carbon_kg: float
    speed: float
    displaced: tuple[Displaced, ...]


@dataclass(frozen=True)
class Refusal:
    """Why there is no offer, which limit binds, and what would make it fit."""

    why: str
    limits: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Quote:
    """The earliest and the cheapest offer under the tier that was asked for, and the cheapest under others."""

    wish: Wish
    earliest: Offer
    cheapest: Offer
    tiers: tuple[Offer, ...]
    plans: int
    starts: int
    """Promising places, of which as many were planned with as there was time for."""


class Quoting:
    """Quotes from what `brief` tells, each plan within `budget_s` seconds and all of them within `within_s`; `say` hears what is done."""

    def __init__(
        self, brief: Brief, budget_s: float, solver_of: SolverOf, say: Callable[[str], None] = lambda _said: None, within_s: float = inf
    ) -> None:
        self._brief, self._budget_s, self._solver_of, self._say = brief, budget_s, solver_of, say
        self._until_s = time.monotonic() + within_s
        self._own = _left(unleased(brief.site, brief.rentals), brief.snapshot.gone_gpus)
        self._made: dict[tuple[Place, Tier], Offer | str] = {}
        self._plans, self._each_s = 0, 0.0

    def quote(self, wish: Wish, tier: Tier) -> Quote | Refusal:
        """The offers for a wish, or why there is none."""
        told = self._brief
        found = list(free(self._own, told.rentals, wish, _terms(tier), told.edges))
        if not found:
            return self._no_room(wish, tier)
        began_s = time.monotonic()
        without = self._plan(None)
        self._each_s = SLACK * (time.monotonic() - began_s)
        if isinstance(without, Undecided):
            return Refusal(f"there is no plan even without it: {without.reason}", (), ())
        dear = {pool: _dear(told, pool, wish) for pool in pools_for(told.site, wish)}
        places = {place: looks(place, wish, told.edges, dear[place.pool]) for place in found}
        offers, refused = self._searched(without.plan, wish, places, tier)
        if not offers:
            return self._refused(refused, len(places), tier)
        cheapest = min(offers.values(), key=lambda offer: (offer.cost, offer.start))
        earliest = min(offers.values(), key=lambda offer: (offer.start, offer.cost))
        tiers = sorted(self._tiers(without.plan, wish, (cheapest, earliest)), key=lambda offer: offer.tier)
        count = len({*promising(places), *offers, *refused})
        return Quote(wish, earliest, cheapest, tuple(tiers), self._plans, count)

    def _searched(self, without: Plan, wish: Wish, places: Mapping[Place, float], tier: Tier) -> tuple[dict[Place, Offer], list[Place]]:
        """What is offered at promising places, and the places that are refused."""
        offers: dict[Place, Offer] = {}
        refused: list[Place] = []
        tried = self._in_time(promising(places))
        while tried:
            for place in tried:
                offer = self._offer(without, wish, place, tier)
                if isinstance(offer, Offer):
                    offers[place] = offer
                else:
                    refused.append(place)
            left = {place: cost for place, cost in places.items() if place not in refused} if offers else beside(places, refused)
            many = min(MOST_REFUSED - len(refused), self._plans_left() - (len(COMPARED) if offers else 0))
            tried = [place for place in promising(left) if place not in offers][: max(many, 0)]
        return offers, refused

    def _plans_left(self) -> int:
        """How many plans there is time for, of as many as may be refused and compared."""
        most = MOST_REFUSED + len(COMPARED)
        left_s = self._until_s - time.monotonic()
        return most if left_s >= most * self._each_s else int(left_s / self._each_s)

    def _in_time(self, places: Sequence[Place]) -> Sequence[Place]:
        """As many of `places`, each cheaper than those before it by the look of it, as there is time for beside other tiers; one at least."""
        left_s = self._until_s - time.monotonic()
        many = len(places) if left_s >= self._each_s * (len(places) + len(COMPARED)) else max(int(left_s / self._each_s) - len(COMPARED), 1)
        return places if many >= len(places) else [*places[:1], *places[len(places) - many + 1 :]]

    def _tiers(self, without: Plan, wish: Wish, asked: Sequence[Offer]) -> Iterator[Offer]:
        """The cheapest offer of each tier at the places that were found."""
        places = dict.fromkeys(Place(offer.pool, offer.start) for offer in asked)
        for tier in dict.fromkeys((asked[0].tier, *COMPARED)):
            there = (self._offer(without, wish, place, tier) for place in places if self._has_time(place, tier))
            if offers := [offer for offer in there if isinstance(offer, Offer)]:
                yield min(offers, key=lambda offer: offer.cost)

    def _has_time(self, place: Place, tier: Tier) -> bool:
        """Whether what a rental costs at a place is known, or can be found in time."""
        return (place, tier) in self._made or self._until_s - time.monotonic() > self._each_s

    def _offer(self, without: Plan, wish: Wish, place: Place, tier: Tier) -> Offer | str:
        """What a rental costs at a place, or why it cannot be there."""
        key = place, tier
        if key not in self._made:
            made = self._plan(rental(wish, place, _terms(tier)))
            if isinstance(made, Undecided):
                self._made[key] = made.reason
            elif broken := worse(made.plan, without):
                self._made[key] = f"{broken}; {binding(made.plan, self._brief.site.currency)}"
            else:
                self._made[key] = _offer(without, made.plan, wish, place, tier)
        return self._made[key]

    def _plan(self, rented: Rental | None) -> Optimised | Undecided:
        told, forecast = self._brief, self._brief.forecast
        site = told.site
        if rented is not None:
            site = leased(site, (rented,), (rented,))
            kept = {rented.contract: _kept(rented, told)}
            forecast = replace(forecast, rented_gpus={**forecast.rented_gpus, **kept})
        self._plans += 1
        self._say(f"plan {self._plans}: {'without it' if rented is None else f'{rented.terms.pool} from {rented.start:%Y-%m-%d %H:%M} UTC'}")
        budget_s = max(min(self._budget_s, self._until_s - time.monotonic()), 0.1)
        return decide(site, told.snapshot, forecast, told.asked, told.edges, budget_s, reasons=False, solver_of=self._solver_of)

    def _no_room(self, wish: Wish, tier: Tier) -> Refusal:
        """Of too few GPUs: how many there are, where and when."""
        told, terms = self._brief, _terms(tier)
        pools = pools_for(told.site, wish)
        if not pools:
            return Refusal("no pool has such GPUs with that kind of work", (), ("name another --model, --pool or --curve",))
        most = {
            pool: max(
                (free_gpus(self._own, told.rentals, rental(wish, Place(pool, start), terms), pool, start) for start in starts(wish, told.edges)),
                default=0,
            )
            for pool in pools
        }
        limits = tuple(f"{pool}: {gpus} of {told.site.pools[pool].gpus} GPUs are free as long as that" for pool, gpus in most.items())
        best = max(most, key=lambda pool: most[pool])
        remedies = [f"{most[best]} GPUs fit into {best}"] if most[best] else []
        if sum(most.values()) >= wish.gpus:
            remedies.append("several pools together have as many: ask for each of them")
        return Refusal(f"{wish.gpus} GPUs are free in no pool for {wish.lasts.total_seconds() / 3600:g} h within that time", limits, tuple(remedies))

    def _refused(self, tried: Sequence[Place], many: int, tier: Tier) -> Refusal:
        """Of limits that the plans with it, at those of `many` places that were tried, would break."""
        said = tuple(f"{place.pool} from {place.start:%Y-%m-%d %H:%M} UTC: {self._made[place, tier]}" for place in tried)
        more = ("ask for fewer GPUs or a longer --within", *(() if tier == "T3" else ("a more flexible --tier gives way where power is short",)))
        where = "" if len(tried) == many else f" at the {len(tried)} places that were tried of {many}"
        return Refusal(f"the GPUs are free, and the site cannot carry them{where}", said, more)


def _left(site: Site, gone: Gone) -> Site:
    """The site with pools of the GPUs that are not gone."""
    pools = {name: pool.model_copy(update={"gpus": max(pool.gpus - gone.get(name, 0), 0)}) for name, pool in site.pools.items()}
    return site.model_copy(update={"pools": pools}) if any(gone.values()) else site


def _terms(tier: Tier) -> Contract:
    return Contract(tenant="quoted", kind="reserved", tier=tier)


def _kept(rented: Rental, told: Brief) -> tuple[int, ...]:
    """The GPUs that are kept for a rental in each step."""
    return rented_gpus((rented,), told.edges).get(rented.contract, (rented.terms.gpus,) * (len(told.edges) - 1))


def _dear(told: Brief, pool: str, wish: Wish) -> Floats:
    """What an hour of the rental costs in a pool at full speed, by step, money: energy with fees and carbon, and cooling."""
    site = told.site
    it = site.pools[pool]
    model = site.gpu_models[it.gpu_model]
    draw_w = max(point.draw_w for point in model.curves[wish.curve].points) + it.host_run_w - model.idle_w - it.host_idle_w
    price = told.forecast.price_per_mwh + fees_per_mwh(site, told.edges, told.forecast.price_per_mwh)
    price = price + told.forecast.carbon_g_per_kwh * site.carbon.price_per_tonne / 1000
    return np.asarray(wish.gpus * draw_w / 1e6 * price, float)


def _offer(without: Plan, made: Plan, wish: Wish, place: Place, tier: Tier) -> Offer:
    index = next(i for i, firm in enumerate(made.problem.firms) if firm.id == CONTRACT)
    more = difference(without, made)
    kept_gpu_h = float(np.asarray(made.problem.firms[index].rented) @ made.problem.horizon.h)
    return Offer(
        tier,
        place.pool,
        place.start,
        place.start + wish.lasts,
        more.cost,
        more.costs,
        more.energy_kwh,
        more.peak_kw,
        more.carbon_kg,
        float(made.account.work_gpu_h[index].sum()) / kept_gpu_h,
        more.displaced,
    )
