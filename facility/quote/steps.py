"""The steps that a quote is planned in: whole days that hold the rental, as fine as there is time for.

    seconds of a plan = columns / COLUMNS_A_SECOND          columns = COLUMNS_EACH * (pools + rentals + jobs) * steps
    of a quote        = PLANS of them

Of the lengths that let the plans be made in time the finest is taken, among those that divide the rental if there are any. Measured on two
cores of 2026: a site of 201 pools and 335 rentals has 4,800 columns in each step and takes a second for 10,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from facility.steps import Edges

HOURS: Final = (1, 2, 3, 4, 6, 8, 12)
COLUMNS_A_SECOND: Final = 10_000
COLUMNS_EACH: Final = 9
PLANS: Final = 5
LONGEST: Final = timedelta(days=28)
"""How far ahead a quote looks at most."""


def step_h(things: int, hours: float, horizon: timedelta, within_s: float) -> int:
    """How long the steps of a quote are, h: `things` are the pools, rentals and jobs of the site, `hours` is how long the rental lasts."""
    most = within_s / PLANS * COLUMNS_A_SECOND / COLUMNS_EACH / max(things, 1)
    fit = [each for each in HOURS if horizon / timedelta(hours=each) <= most] or [HOURS[-1]]
    whole: Sequence[int] = [each for each in fit if hours % each == 0]
    return min(whole or fit)


def days(hours: float, within_h: float) -> timedelta:
    """Whole days that hold a rental of `hours` which begins within `within_h`."""
    return timedelta(days=ceil((hours + within_h) / 24 - 1e-9))


def edges(now: datetime, first: datetime, end: datetime, step: timedelta) -> Edges:
    """Steps from `now`: one to `first`, and equal ones from there until `end` at least, UTC."""
    count = -(-(end - first) // step)
    whole = tuple(first + i * step for i in range(count + 1))
    return whole if first == now else (now, *whole)
