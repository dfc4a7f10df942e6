"""Forecast: what is expected of each step - told by files or the bus, learnt from what was seen, else the site's own stated value.

`expected` gathers it for a plan. `outlook` says what comes after the last that is known of a series, with the band that it will be in;
`slots` and `learnt` are how it does. `past` remembers what it learns from.
"""

from facility.forecast.expected import Forecast, Signals, by_local_hour, demand_of, expect, hours_between
from facility.forecast.outlook import Band, outlook
from facility.forecast.past import Past

__all__ = [
    "Band",
    "Forecast",
    "Past",
    "Signals",
    "by_local_hour",
    "demand_of",
    "expect",
    "hours_between",
    "outlook",
]
