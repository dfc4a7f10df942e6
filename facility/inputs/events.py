"""Event files: what the grid operator orders, a row an event.

Columns `start, end` and one of `target_kw` and `reduction_pct` filled in each row; `ramp_min` where the file has it, else no ramp.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from facility.errors import Fault, InputError
from facility.events import LONGEST_RAMP_MIN, Event
from facility.inputs.table import ISO_REMEDY, localise, nearest, numbers, parse_times, place, read_table, refused, text

if TYPE_CHECKING:
    import pandas as pd

    from facility.site import Site

AMOUNTS = ("target_kw", "reduction_pct")
RAMP = "ramp_min"


def read_events(path: str, site: Site, *, timezone: str | None) -> tuple[Event, ...]:
    """Read the events of `path`, by start. `timezone` is the IANA zone of times without an offset.

    Raises InputError naming file, row and column.
    """
    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    header = f"{path}, row 1"
    for needed in ("start", "end"):
        if needed not in names:
            raise refused(header, f"has no column {needed} ({nearest(needed, names)})", "an event file needs start and end")
    if not any(name in names for name in AMOUNTS):
        raise refused(header, "has neither target_kw nor reduction_pct", "say how much is ordered in one of them")
    if odd := [name for name in names if name not in {"start", "end", *AMOUNTS, RAMP}]:
        raise refused(header, f"column {odd[0]} is not known", f"use start, end, {', '.join(AMOUNTS)}, {RAMP}")
    starts, ends = _instants(path, frame["start"], timezone), _instants(path, frame["end"], timezone)
    most = {"target_kw": site.grid.import_limit_kw, "reduction_pct": 100.0, RAMP: LONGEST_RAMP_MIN}
    faults: list[Fault] = []
    given = {name: _amounts(path, frame, name, most[name], faults) for name in (*AMOUNTS, RAMP)}
    for i, row in enumerate(frame.index.tolist()):
        if ends[i] <= starts[i]:
            faults.append(Fault(place(path, row, "end"), "is not after start", "give the instant at which the event is over"))
        said = [name for name in AMOUNTS if given[name][i] is not None]
        if len(said) != 1:
            found = "target_kw and reduction_pct are both given" if said else "neither target_kw nor reduction_pct is given"
            faults.append(Fault(place(path, row, said[-1] if said else "target_kw"), found, "give exactly one of them"))
    if faults:
        raise InputError(*faults[:20])
    events = [
        Event(starts[i], ends[i], given["target_kw"][i], given["reduction_pct"][i], timedelta(minutes=given[RAMP][i] or 0.0))
        for i in range(len(frame))
    ]
    return tuple(sorted(events, key=lambda event: (event.start, event.end)))


def _instants(path: str, column: pd.Series, timezone: str | None) -> list[datetime]:
    name = str(column.name)
    times = parse_times(path, column)
    if not times.aware and not times.faults:
        if timezone is None:
            found = f"{column.iloc[0]} and the others have no offset"
            raise refused(place(path, int(column.index[0]), name), found, "say whose clock they show: --timezone ZONE")
        times = localise(path, column, times.value, timezone, in_order=False)
    if times.faults:
        raise InputError(*times.faults[:20])
    if (empty := np.flatnonzero(np.isnat(times.value))).size:
        raise refused(place(path, int(column.index[empty[0]]), name), "no time", ISO_REMEDY)
    return [at.replace(tzinfo=UTC) for at in times.value.astype("datetime64[us]").tolist()]


def _amounts(path: str, frame: pd.DataFrame, name: str, most: float, faults: list[Fault]) -> list[float | None]:
    """The column's numbers, None where a cell is empty or the column is not there; what is no number from 0 to `most` is a fault."""
    if name not in frame:
        return [None] * len(frame)
    cells, values = text(frame[name]).tolist(), numbers(frame[name]).tolist()
    found: list[float | None] = []
    for row, cell, value in zip(frame.index.tolist(), cells, values, strict=True):
        empty = cell in {"", "nan", "None", "<NA>"}
        if not empty and not 0 <= value <= most:
            faults.append(
                Fault(place(path, row, name), f"{cell} is no number from 0 to {most:g}", "mend the row, or leave it out")
            )
        found.append(None if empty else float(value))
    return found
