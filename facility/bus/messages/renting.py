"""Renting: contracts that come and go, and quotes of what one would cost."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as Rule
from msgspec import Struct

from facility.bus.messages.codec import Command, Count, Currency, Id, Instant, Name, NonNegative, Payload, Positive, Share, Text
from facility.ladder import Tier, Window

Patience = Annotated[float, Rule(gt=0, le=300)]
"""How long the asker waits, s; what takes longer is answered `too-late`."""


class ContractSet(Command, frozen=True, kw_only=True):
    """A rental that comes: what the site file says of a contract, key by key, and from when to when.

    One that comes again under the same topic with another `id` replaces what was told before. Without a `pool` the daemon finds one of
    GPUs of the model; `offer` is the id of the offer that is accepted, which the rental must be as it was told, and no more.
    """

    start: Instant
    end: Instant
    tenant: Id
    kind: Literal["reserved", "on-demand", "spot"]
    pool: Id | None = None
    gpu_model: Id | None = None
    gpus: Count = 0
    curve: Id | None = None
    demand_by_hour_gpus: Annotated[tuple[Count, ...], Rule(min_length=24, max_length=24)] | None = None
    releases_idle: bool = False
    floor_speed: Share = 0.0
    pausable: bool = False
    value_per_gpu_h: NonNegative = 0.0
    penalty_per_gpu_h: Positive | None = None
    weight: NonNegative | None = None
    tier: Tier | None = None
    greatest_slowdown: Annotated[float, Rule(ge=1)] | None = None
    slow_hours: NonNegative | None = None
    slow_window: Window | None = None
    credit_per_gpu_h: NonNegative | None = None
    max_defer_h: NonNegative | None = None
    price_per_gpu_h: NonNegative | None = None
    carbon_price_per_tonne: NonNegative = 0.0
    offer: Name | None = None


class ContractClear(Command, frozen=True, kw_only=True):
    """The end of a rental before its time; `id` is that of the command that set it."""


class ContractState(ContractSet, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A rental that was accepted, until its end; an empty payload where there is none. `version` counts what was accepted of its name."""

    version: Count = 1


class QuoteRequest(Command, frozen=True, kw_only=True):
    """What would a rental cost, and when could it start? It may start at `start`, at the latest `within_h` later; without one, and
    where `start` has come, from the next full hour on.
    """

    gpus: Annotated[int, Rule(ge=1, le=10_000_000)]
    hours: Annotated[float, Rule(gt=0, le=8784)]
    start: Instant | None = None
    within_h: Annotated[float, Rule(ge=0, le=8784)] = 0.0
    pool: Id | None = None
    gpu_model: Id | None = None
    curve: Id | None = None
    tier: Tier = "T0"
    price_per_gpu_h: NonNegative | None = None
    within_s: Patience = 30.0


class GivesWay(Struct, frozen=True, kw_only=True):
    """A job or contract that gets less done for it within the plan, GPU hours at full speed, and what of that is undone when a job is due."""

    kind: Literal["job", "contract"]
    id: Name
    less_gpu_h: float
    undone_gpu_h: float = 0.0


class QuoteOffer(Payload, frozen=True, kw_only=True):
    """A rental at a place. `cost` is what it costs the site, by kind in `costs`; `price` is what is asked for it, in all.

    Accept it by a `ContractSet` that names its `id` and says the same. `speed` is the mean speed that it would get, 1 at full power.
    """

    id: Name
    tier: Tier
    pool: Id
    gpus: Annotated[int, Rule(ge=1)]
    curve: Id
    start: Instant
    end: Instant
    cost: float
    costs: dict[str, float]
    energy_kwh: float
    peak_kw: float
    carbon_kg: float
    speed: Share
    price: float | None = None
    price_per_gpu_h: float | None = None
    gives_way: tuple[GivesWay, ...] = ()
    left_out: Count = 0
    """How many more give way than are told."""


class QuoteResult(Payload, frozen=True, kw_only=True):
    """The answer to a request, always; `says` is all of it in a sentence.

    `status` is refused where there is no offer, and `limits` and `remedies` then say what binds and what would make it fit; too-late where it
    took longer than the asker waits; failed where it could not be computed. Offers can be accepted before `until`. `tiers` has the cheapest
    offer under each of some tiers, so that a tenant sees what flexibility is worth. Of `starts` that were promising as many were planned
    with as there was time for, in steps of `step_h`; `plans` counts the plans.
    """

    id: str | None
    status: Literal["ok", "refused", "too-late", "failed"]
    says: Text
    at: Instant | None = None
    until: Instant | None = None
    currency: Currency | None = None
    earliest: QuoteOffer | None = None
    cheapest: QuoteOffer | None = None
    tiers: tuple[QuoteOffer, ...] = ()
    limits: tuple[Text, ...] = ()
    remedies: tuple[Text, ...] = ()
    assumed: tuple[Text, ...] = ()
    starts: Count = 0
    plans: Count = 0
    step_h: Positive | None = None
    seconds: float | None = None
