"""Limits in an operator's words: one line for each family of `models.marginal.LIMITS`."""

from __future__ import annotations

from dataclasses import dataclass

from models.marginal import Marginal


@dataclass(frozen=True)
class Words:
    """A limit as a noun, `{asset}` in it, and the direction in which a unit of it relieves."""

    noun: str
    change: str = "more"

    def of(self, asset: str | None) -> str:
        """The noun for one asset."""
        return self.noun.format(asset=asset)


WORDS = {
    "grid.limits": Words("the import limit"),
    "grid.exports": Words("the export limit"),
    "grid.event": Words("the grid event's target"),
    "grid.rises": Words("the ramp upward"),
    "grid.falls": Words("the ramp downward"),
    "feeder.carries": Words("the rating of feeder {asset}"),
    "feeder.carries_back": Words("the rating of feeder {asset}, for what flows back"),
    "feeder.carries_worst": Words("the rating of feeder {asset}, for the sum of caps"),
    "redundancy.survives": Words("what group {asset} carries without its largest feeder"),
    "redundancy.survives_worst": Words("what group {asset} carries without its largest feeder, for the sum of caps"),
    "pool.holds": Words("the GPUs of pool {asset}"),
    "firm.serves": Words("the floor of rental {asset}", "less"),
    "hall.recommended_min": Words("the recommended minimum of hall {asset}", "less"),
    "hall.recommended_max": Words("the recommended maximum of hall {asset}"),
    "hall.allowable_max": Words("the allowable maximum of hall {asset}"),
    "hall.ends_no_hotter": Words("the temperature at which hall {asset} must end"),
    "battery.ends_no_emptier": Words("what battery {asset} must end with", "less"),
    "battery.rides_through": Words("what battery {asset} must keep to ride through", "less"),
    "battery.stored_kwh": Words("the capacity of battery {asset}"),
    "cooling_plant.heat_kw": Words("the capacity of cooling plant {asset}"),
}


def sentence(price: Marginal, currency: str) -> str:
    """What a unit more of a limit all through the plan would have saved."""
    words = WORDS[price.family]
    return f"1 {price.unit} {words.change} of {words.of(price.asset)} in every step would have saved {price.total:,.2f} {currency}"
