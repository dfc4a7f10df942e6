"""Charging: batteries are charged less before any cap gives way. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from facility.decision import Decision
from facility.site import Site

FINENESS = 1024


def resting(decision: Decision, batteries: AbstractSet[str], most_kw: Mapping[str, float]) -> Decision:
    """`decision` in which none of `batteries` is charged with more than `most_kw`, none at all where that does not name it."""
    if not any(order.battery in batteries and order.power_kw > most_kw.get(order.battery, 0.0) for order in decision.batteries):
        return decision
    orders = tuple(
        replace(o, power_kw=min(o.power_kw, most_kw.get(o.battery, 0.0))) if o.battery in batteries else o for o in decision.batteries
    )
    return replace(decision, batteries=orders)


def charging(decision: Decision, batteries: AbstractSet[str]) -> dict[str, float]:
    """What each of `batteries` that is charged is charged with, kW."""
    return {order.battery: order.power_kw for order in decision.batteries if order.battery in batteries and order.power_kw > 0}


def charging_less(decision: Decision, batteries: AbstractSet[str], fits: Callable[[Decision], bool]) -> Decision:
    """`decision` in which `batteries` are charged with the same share of what they are, until it `fits`; with nothing where that does not do."""
    most_kw = charging(decision, batteries)
    if not most_kw or fits(decision):
        return decision

    def at(share: float) -> Decision:
        return resting(decision, batteries, {name: share * kw for name, kw in most_kw.items()})

    low, high = 0, FINENESS
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(at(middle / FINENESS)) else (low, middle)
    return at(low / FINENESS)


def below(site: Site, carriers: AbstractSet[str]) -> frozenset[str]:
    """The batteries below any of some feeders, or below a feeder of any of some groups that back each other."""

    def above(name: str | None) -> Iterator[str]:
        while name is not None:
            feeder = site.feeders[name]
            yield name
            yield feeder.redundancy_group or name
            name = feeder.parent

    return frozenset(name for name, battery in site.batteries.items() if not carriers.isdisjoint(above(battery.feeder)))
