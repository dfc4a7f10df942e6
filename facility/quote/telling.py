"""Telling: a quote as the bus says it, with what is asked for it.

The price is the greater of two:

    price_per_gpu_h(model) * GPU hours       what the asker named, else the site's list
    cost * (1 + margin_pct / 100)            where nobody named one and the site states a margin
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_high
from typing import Final

from facility.bus.messages import GivesWay, QuoteOffer, QuoteResult
from facility.planner import Brief
from facility.quote.quoting import Offer, Quote, Refusal
from facility.site import Site

MOST_TOLD: Final = 8
"""Jobs and contracts that are named among those that give way."""
SMALL: Final = 0.005
"""Money that is told as nothing."""


@dataclass(frozen=True)
class Asking:
    """Who is answered: the id of the request, and the price of a GPU hour that it names."""

    id: str
    price_per_gpu_h: float | None = None


def result(found: Quote | Refusal, asking: Asking, told: Brief, now: datetime, seconds: float) -> QuoteResult:
    """The answer to a request that came at `now`, UTC, and took so many seconds."""
    step_h = median_high(b - a for a, b in pairwise(told.edges)) / timedelta(hours=1)  # all but the first and the last are equal
    if isinstance(found, Refusal):
        return QuoteResult(
            id=asking.id,
            status="refused",
            says=found.why[:1000],
            at=now,
            currency=told.site.currency,
            limits=tuple(limit[:1000] for limit in found.limits),
            remedies=tuple(remedy[:1000] for remedy in found.remedies),
            assumed=told.assumed,
            step_h=step_h,
            seconds=seconds,
        )
    within_step = () if found.cheapest.end in told.edges else (f"steps: the rental ends within one of {step_h:g} h, and counts for all of it",)
    offers = tuple(
        _offer(offer, f"{asking.id[:60]}-{n}", found, asking, told.site) for n, offer in enumerate((found.earliest, found.cheapest, *found.tiers))
    )
    return QuoteResult(
        id=asking.id,
        status="ok",
        says=_sentence(offers[0], offers[1], told.site.currency),
        at=now,
        until=now + timedelta(minutes=told.site.quotes.valid_min),
        currency=told.site.currency,
        earliest=offers[0],
        cheapest=offers[1],
        tiers=offers[2:],
        assumed=(*told.assumed, *within_step),
        starts=found.starts,
        plans=found.plans,
        step_h=step_h,
        seconds=seconds,
    )


def offers_of(told: QuoteResult) -> tuple[QuoteOffer, ...]:
    """Every offer of an answer."""
    return tuple(offer for offer in (told.earliest, told.cheapest, *told.tiers) if offer is not None)


def _offer(offer: Offer, name: str, found: Quote, asking: Asking, site: Site) -> QuoteOffer:
    gpus = found.wish.gpus
    gpu_h = gpus * ((offer.end - offer.start) / timedelta(hours=1))
    price = _price(site, offer, gpu_h, asking.price_per_gpu_h)
    return QuoteOffer(
        id=name,
        tier=offer.tier,
        pool=offer.pool,
        gpus=gpus,
        curve=found.wish.curve,
        start=offer.start,
        end=offer.end,
        cost=offer.cost,
        costs={kind: money for kind, money in offer.costs.items() if abs(money) > SMALL},
        energy_kwh=offer.energy_kwh,
        peak_kw=offer.peak_kw,
        carbon_kg=offer.carbon_kg,
        speed=min(max(offer.speed, 0.0), 1.0),
        price=price,
        price_per_gpu_h=None if price is None else price / gpu_h,
        gives_way=tuple(
            GivesWay(kind=way.kind, id=way.id, less_gpu_h=way.less_gpu_h, undone_gpu_h=way.undone_gpu_h) for way in offer.displaced[:MOST_TOLD]
        ),
        left_out=max(len(offer.displaced) - MOST_TOLD, 0),
    )


def _price(site: Site, offer: Offer, gpu_h: float, named: float | None) -> float | None:
    """What is asked for an offer, money; None where neither the asker nor the site names a price or a margin."""
    quotes = site.quotes
    least = quotes.price_per_gpu_h.get(site.pools[offer.pool].gpu_model) if named is None else named
    asked = [] if least is None else [least * gpu_h]
    if named is None and quotes.margin_pct is not None:
        asked.append(max(offer.cost, 0.0) * (1 + quotes.margin_pct / 100))
    return max(asked, default=None)


def _sentence(earliest: QuoteOffer, cheapest: QuoteOffer, currency: str) -> str:
    def one(offer: QuoteOffer) -> str:
        return f"{offer.pool} from {offer.start:%Y-%m-%d %H:%M} UTC costs {offer.cost:,.2f} {currency}"

    price = "" if cheapest.price is None else f", offered at {cheapest.price:,.2f}"
    sooner = "" if (earliest.pool, earliest.start) == (cheapest.pool, cheapest.start) else f"; the earliest, {one(earliest)}"
    return f"{cheapest.gpus} GPUs, tier {cheapest.tier}: {one(cheapest)}{price}{sooner}"
