"""Limits in an operator's words: one line for each family of `models.telling.marginal.LIMITS`, and for what else makes a GPU dear."""

from __future__ import annotations

from dataclasses import dataclass

from models.telling.marginal import LIMITS, Marginal
from models.telling.why import SETTLED, Cause, Why


@dataclass(frozen=True)
class Words:
    """A limit as a noun, `{asset}` in it, and the direction in which a unit of it relieves."""

    noun: str
    change: str = "more"

    def a_unit(self, unit: str, amount: float = 1.0) -> str:
        """As in `200 kW more`."""
        return f"{rounded(amount)} {unit} {self.change}"

    def of(self, asset: str | None) -> str:
        """The noun for one asset."""
        return self.noun.format(asset=asset)


WORDS = {
    "grid.limits": Words("the import limit"),
    "grid.exports": Words("the export limit"),
    "grid.event": Words("the grid event's target"),
    "grid.rises": Words("the ramp upward"),
    "grid.falls": Words("the ramp downward"),
    "feed.limits": Words("the import limit of feed {asset}"),
    "carbon.keeps_cap": Words("the carbon cap"),
    "feeder.carries": Words("the rating of feeder {asset}"),
    "feeder.carries_back": Words("the rating of feeder {asset}, for what flows back"),
    "feeder.carries_worst": Words("the rating of feeder {asset}, for the sum of caps"),
    "redundancy.survives": Words("what group {asset} carries without its largest feeder"),
    "redundancy.survives_back": Words("what group {asset} carries without its largest feeder, for what flows back"),
    "redundancy.survives_worst": Words("what group {asset} carries without its largest feeder, for the sum of caps"),
    "pool.holds": Words("what pool {asset} holds"),
    "firm.serves": Words("the floor of rental {asset}", "less"),
    "budget.spends": Words("the slow hours of contract {asset}, in each of its windows,"),
    "hall.recommended_min": Words("the recommended minimum of hall {asset}", "less"),
    "hall.recommended_max": Words("the recommended maximum of hall {asset}"),
    "hall.allowable_max": Words("the allowable maximum of hall {asset}"),
    "hall.ends_no_hotter": Words("the temperature at which hall {asset} must end"),
    "genset.keeps_hours": Words("the hours left of genset {asset}"),
    "battery.ends_no_emptier": Words("what battery {asset} must end with", "less"),
    "battery.rides_through": Words("what battery {asset} must keep to ride through", "less"),
    "battery.stored_kwh": Words("the capacity of battery {asset}"),
    "cooling_plant.heat_kw": Words("the capacity of cooling plant {asset}"),
    "thermal_store.ends_no_emptier": Words("what the tank of cooling plant {asset} must end with", "less"),
    "thermal_store.stored_kwh": Words("the capacity of the tank of cooling plant {asset}"),
}


OTHERS = {
    "grid.import_kw": "energy",
    "demand_charge.peaks": "the demand charge {asset}",
    "workload.gpus": "the price of waiting",
    "start.starts": "the price of starting and stopping",
    "stops.is_on": "the price of starting and stopping",
    "stops.goes_through": "the price of starting and stopping",
    "minimum_run.keeps_on": "the minimum run of those that started",
    "minimum_run.goes_on": "the minimum run that it is in",
    "position.settles": "the position that was committed",
    "stability.moves": "the price of leaving the last plan",
    "hall.removed_kw": "the temperature of hall {asset}",
    SETTLED: "what runs whole or not at all",
}
"""Causes that are no limit; of one without a line the room is told."""


def told(cause: Cause, why: Why) -> str:
    """A cause as a noun, a limit with its amount."""
    if cause.family not in WORDS:
        return OTHERS.get(cause.family, f"what {cause.family.split('.')[0].replace('_', ' ')} asks").format(asset=cause.asset)
    amount, noun = why.limit(cause), WORDS[cause.family].of(cause.asset)
    return noun if amount is None else f"{noun} ({rounded(amount)} {LIMITS[cause.family].unit})"


def rounded(amount: float) -> str:
    """Four digits, and no exponent.

    >>> rounded(809.9919), rounded(12345.6), rounded(0.0)
    ('810', '12350', '0')
    """
    return f"{float(f'{amount:.4g}'):.12g}"


def sentence(price: Marginal, currency: str) -> str:
    """What a unit more of a limit all through the plan would have saved."""
    words = WORDS[price.family]
    return f"{words.a_unit(price.unit)} of {words.of(price.asset)} in every step would have saved {rounded(price.total)} {currency}"
