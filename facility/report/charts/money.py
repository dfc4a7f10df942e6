"""Money: what a plan's costs are made of, in words, and how they differ from another's.

Breaches are no money: their prices only order them. Prices that steer - a little for waiting, for warm halls, for moving caps - are
nobody's bill either, and stand together.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.breach import FAMILIES

KINDS = {
    "energy": "energy",
    "fees": "fees and taxes",
    "peak": "peak",
    "export": "export",
    "carbon": "carbon",
    "fuel": "fuel",
    "starts": "starts of gensets",
    "water": "water",
    "wear": "battery wear",
    "pauses": "pauses of jobs",
    "credit": "credits to tenants",
    "reserve": "income from reserves",
    "imbalance": "imbalance",
    "forgone": "spot work left out",
    "value": "speed of rentals",
    "carried": "work after the end",
    "carbon_wish": "less carbon, wished for",
}
"""Kinds of `models.account.Account.cost` in words; what is neither here nor a breach steers."""

STEERING = "prices that steer"
SMALL = 0.005


def change(ours: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """What `ours` costs more than `base` by kind in words, money; kinds that differ by less than half a cent are left out.

    >>> change({"energy": 90.0, "delay": 0.5, "over_limit_kw": 7.0}, {"energy": 100.0, "delay": 0.0})
    {'energy': -10.0, 'prices that steer': 0.5}
    """
    found = {words: ours.get(kind, 0.0) - base.get(kind, 0.0) for kind, words in KINDS.items()}
    steering = (set(ours) | set(base)) - set(KINDS) - set(FAMILIES)
    found[STEERING] = sum(ours.get(kind, 0.0) - base.get(kind, 0.0) for kind in steering)
    return {words: money for words, money in found.items() if abs(money) >= SMALL}


def told(ours: Mapping[str, float], base: Mapping[str, float], currency: str) -> str:
    """Both sums in a sentence, of what is billed: neither the worth of rentals' speed, nor what steers, nor breaches."""
    ours_money, base_money = (sum(cost.get(kind, 0.0) for kind in KINDS if kind != "value") for cost in (ours, base))
    said = f"The plan costs {ours_money:,.2f} {currency}, the baseline {base_money:,.2f}; the bars say which kind makes the difference."
    kinds = change(ours, base)
    if KINDS["value"] in kinds:
        said += " Speed of rentals is what their slower or faster work is worth, and on no bill."
    if STEERING in kinds:
        said += " Prices that steer (a little for waiting, for warm halls, for moving caps) are nobody's bill."
    if any(cost.get(family, 0.0) > SMALL for cost in (ours, base) for family in FAMILIES):
        said += " Broken limits are told as what they are, not as money."
    return said
