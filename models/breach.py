"""Breach: what reality can break, and in which order.

    plant > grid limit > grid event > contract > comfort

A limit that reality can break carries a slack with a physical meaning; a *family* is the name of such a slack in the program and
of its amount in an account. Families stand in tiers. A tier's price is what a unit of it usually costs, so high that the
priced program breaks a lower tier first wherever it can; `models.solving.tiers` makes that order exact. Comfort has a price and no
tier, being what is left to choose.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.horizon import Floats

TINY = 1e-6
"""Less than this of anything is nothing."""


@dataclass(frozen=True)
class Tier:
    """The families of one rank; `price` is the usual price of a unit of its amount, which `name` ends in."""

    name: str
    price: float
    families: tuple[str, ...]


PLANT = Tier(
    "plant_kwh",
    10_000.0,
    ("over_rating_kw", "over_worst_kw", "over_n1_kw", "over_worst_n1_kw", "short_ride_through_kwh", "too_hot_k", "uncooled_kw"),
)
"""Life and gear: kWh above a rating or what a lost feeder leaves, or of chips' heat that nothing removes; for an hour, kWh that a
battery lacks to ride through, or of heat in a hall above its band.
"""

GRID_LIMIT = Tier("grid_limit_kwh", 1_000.0, ("over_limit_kw", "over_feed_kw", "over_export_kw"))

GRID_EVENT = Tier("grid_event_kwh", 500.0, ("over_event_kw", "over_ramp_kw", "short_reserve_kw"))
"""Above the default penalty of a contract, 50 per GPU hour: a kWh more never buys 10 GPU hours back, an A100's best is 5.9."""

CONTRACT = Tier(
    "contract_gpu_h",
    50.0,
    ("short_gpu_h", "unfinished_gpu_h", "cut_short_gpu_h", "over_budget_h", "unserviced_gpu_h", "over_carbon_kg", "stopped_early_h"),
)
"""Each contract has a penalty of its own; this is the site file's default."""

CARBON_PRICE_PER_KG = 5.0
"""Above any price of carbon, and below the penalty of the work that a kg does: at 1 kg/kWh an A100's best is 5.9 GPU hours."""

COMFORT_PRICE_PER_KWH_H = 0.5

TIERS = (PLANT, GRID_LIMIT, GRID_EVENT, CONTRACT)
"""The highest first."""

FAMILIES = tuple(family for tier in TIERS for family in tier.families)


@dataclass(frozen=True)
class Bill:
    """What some assets cost and break: money by kind, amounts by family (by asset and step, by step, or by asset).

    A breach's money stands under the name of its family.
    """

    cost: dict[str, float] = field(default_factory=dict)
    breach: dict[str, Floats] = field(default_factory=dict)
