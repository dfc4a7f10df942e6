"""Position: the power that was committed a day ahead, as a schedule that outlives the plan it came from.

A newer commitment replaces an older one where they overlap and leaves the rest of it alone.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from facility.errors import InputError
from facility.inputs.series import Series
from facility.steps import Edges, as_datetime64


def committed_kw(position: Series, edges: Edges) -> tuple[float | None, ...]:
    """What is committed in each step between `edges`, kW: its mean, None in a step that is not covered whole; () where none is."""
    found: list[float | None] = []
    for t in range(len(edges) - 1):
        try:
            found.append(float(position.means(as_datetime64(edges[t : t + 2]))[0]))
        except InputError:
            found.append(None)
    return tuple(found) if any(kw is not None for kw in found) else ()


def merged(old: Series | None, new: Series, now: datetime) -> Series:
    """`new` over what of `old` lies outside of it and has not ended by `now`."""
    if old is None:
        return new
    first, last, at = new.start[0], new.end[-1], as_datetime64([now])[0]
    before, after = (old.start < first) & (old.end > at), old.end > last
    start = np.concatenate([old.start[before], new.start, np.maximum(old.start[after], last)])
    end = np.concatenate([np.minimum(old.end[before], first), new.end, old.end[after]])
    return Series(new.name, new.unit, start, end, np.concatenate([old.value[before], new.value, old.value[after]]))
