"""Bands: a series whose file tells quantiles - P10, P50 and P90 - beside or in place of what is expected.

The columns of a stem carry `_p10`, `_p50` and `_p90`, such as `temp_c_p90`. What is expected is then their mean by
`models.grid.uncertainty.mean_of`. All three are needed, and in no row may one lie below another that it is to lie above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from facility.inputs.series import Quantity, Series, choose, read_series, split
from facility.inputs.table import place, read_table, refused
from models.grid.uncertainty import mean_of

QUANTILES = ("p10", "p50", "p90")
QUANTILE = re.compile(rf"(.+)_({'|'.join(QUANTILES)})")


@dataclass(frozen=True)
class Band:
    """What is expected; `high` is the P90 where the file tells it, else None."""

    expected: Series
    high: Series | None = None


def read_band(argument: str, quantity: Quantity, *, start: datetime, end: datetime, timezone: str | None, currency: str) -> Band:
    """Read `argument` (`FILE`, `FILE:column` or `FILE:stem`) as `read_series` does, with its quantiles where it has any.

    Quantiles go before a column named as their stem, unless that column is picked. Raises InputError as `read_series` does,
    and where a quantile is missing or two of them cross.
    """
    path, picked = split(argument)
    names = [str(name) for name in read_table(path).columns][1:]
    found = {(told[1], told[2]): name for name in names if (told := QUANTILE.fullmatch(name))}

    def read(text: str) -> Series:
        return read_series(text, quantity, start=start, end=end, timezone=timezone, currency=currency)

    if not found or picked in names:
        return Band(read(argument))
    stems = list(dict.fromkeys(told[1] if (told := QUANTILE.fullmatch(name)) else name for name in names))
    stem = choose(path, stems, picked, quantity, currency.lower())
    columns = {q: found.get((stem, q)) for q in QUANTILES}
    if not any(columns.values()):
        return Band(read(argument))
    if missing := [f"{stem}_{q}" for q, name in columns.items() if name is None]:
        there = ", ".join(name for name in columns.values() if name)
        remedy = f"add it, or pick one column, such as {path}:{there.split(', ', 1)[0]}"
        raise refused(f"{path}, row 1", f"has {there} and no {' nor '.join(missing)}", remedy)
    low, middle, high = (read(f"{path}:{stem}_{q}") for q in QUANTILES)
    for below, above in ((low, middle), (middle, high)):
        _refuse_crossing(path, below, above)
    expected = replace(middle, name=f"{path}:{stem}", value=mean_of(low.value, middle.value, high.value))
    return Band(expected, high)


def _refuse_crossing(path: str, below: Series, above: Series) -> None:
    if (at := np.flatnonzero(above.value < below.value)).size:
        first, lower, upper = int(at[0]), *(series.name.rpartition(":")[2] for series in (below, above))
        more = f" ({at.size - 1} more such rows)" if at.size > 1 else ""
        where = place(path, above.rows[first], upper)
        found = f"{above.value[first]:g} is below the {below.value[first]:g} of {lower}{more}"
        raise refused(where, found, "mend the row: a higher quantile is never lower")
