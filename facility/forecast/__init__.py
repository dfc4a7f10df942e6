"""Forecast: what is expected of each step - told by files or the bus, learnt from what was seen, else the site's own stated value.

`expected` gathers it for a plan.
"""

from facility.forecast.expected import Forecast, Signals, by_local_hour, demand_of, expect, hours_between

__all__ = ["Forecast", "Signals", "by_local_hour", "demand_of", "expect", "hours_between"]
