"""The steps that a quote is planned in: whole days that hold the rental, as fine as there is time for.

    seconds of a plan = columns / COLUMNS_A_SECOND          columns = COLUMNS_EACH * (pools + rentals + jobs) * steps
    of a quote        = PLANS of them

Of the lengths that let the plans be made in time the finest is taken, among those that divide the rental if there are any; parts of an hour only
where no whole hours divide it. A rental that ends within a step counts for all of it. Measured on two cores of 2026:
a site of 201 pools and 335 rentals has 4,800 columns in each step and takes a second for 10,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, gcd
from typing import Final

from facility.steps import Edges

HOURS: Final = (1, 2, 3, 4, 6, 8, 12)
PARTS_H: Final = (0.25, 0.5)
SHORTEST: Final = timedelta(minutes=15)
"""No step is cut into shorter ones."""
COLUMNS_A_SECOND: Final = 10_000
COLUMNS_EACH: Final = 9
PLANS: Final = 5
SECOND: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=28)
"""How far ahead a quote looks at most."""


def step_h(things: int, hours: float, horizon: timedelta, within_s: float) -> float:
    """How long the steps of a quote are, h: `things` are the pools, rentals and jobs of the site, `hours` is how long the rental lasts."""
    most = within_s / PLANS * COLUMNS_A_SECOND / COLUMNS_EACH / max(things, 1)
    fit = [each for each in HOURS if horizon / timedelta(hours=each) <= most] or [HOURS[-1]]
    whole: Sequence[int] = [each for each in fit if hours % each == 0]
    parts = [each for each in PARTS_H if hours % each == 0 and horizon / timedelta(hours=each) <= most]
    return min(whole) if whole else max(parts, default=min(fit))


def dividing(step: timedelta, lasts: timedelta) -> timedelta:
    """The longest step that divides both `step` and a rental of `lasts`; `step` where that would be too short.

    >>> str(dividing(timedelta(hours=1), timedelta(hours=2.5)))
    '0:30:00'
    """
    common = timedelta(seconds=gcd(step // SECOND, lasts // SECOND))
    return common if common >= SHORTEST and not lasts % SECOND else step


def days(hours: float, within_h: float) -> timedelta:
    """Whole days that hold a rental of `hours` which begins within `within_h`."""
    return timedelta(days=ceil((hours + within_h) / 24 - 1e-9))


def edges(now: datetime, first: datetime, end: datetime, step: timedelta) -> Edges:
    """Steps from `now`: one to `first`, and equal ones from there until `end` at least, UTC."""
    count = -(-(end - first) // step)
    whole = tuple(first + i * step for i in range(count + 1))
    return whole if first == now else (now, *whole)
