"""Broken: what each family of broken limits is, in an operator's words."""

from __future__ import annotations

from typing import Final

from facility.bus.messages import Breach

BROKEN: Final = {
    "over_rating_kw": "feeder above its rating",
    "over_worst_kw": "sum of caps above the feeder's rating",
    "over_n1_kw": "more than the group carries without its largest feeder",
    "over_worst_n1_kw": "sum of caps above what the group carries without its largest feeder",
    "short_ride_through_kwh": "battery too empty to ride through",
    "stopped_early_h": "genset stopped before its least run",
    "cut_short_gpu_h": "job stopped before its minimum run",
    "too_hot_k": "hall above its allowable temperature",
    "uncooled_kw": "heat of chips that the warm water does not take",
    "over_limit_kw": "import above the limit",
    "over_feed_kw": "import through a feed above its limit",
    "over_export_kw": "export above the limit",
    "over_event_kw": "import above the target of a grid event",
    "over_ramp_kw": "import changes faster than the ramp",
    "short_reserve_kw": "reserve that was sold and is not there",
    "short_gpu_h": "rental below its floor",
    "unfinished_gpu_h": "job unfinished at its deadline",
    "over_budget_h": "more slow hours than the contract grants",
    "unserviced_gpu_h": "maintenance that finds no window",
    "over_carbon_kg": "emissions above the cap",
}


def in_words(breach: Breach) -> str:
    """Say which limit is broken, and whose it is."""
    return f"{BROKEN.get(breach.family, breach.family)}, {breach.asset}"
