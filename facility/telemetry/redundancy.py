"""Redundancy: several sensors of one quantity become one belief.

| believed by themselves | used | verdict |
|---|---|---|
| three or more | the median | good where two of them are near it |
| two, within the tolerance | the mean | good |
| two, further apart | the more dangerous one | suspect, both |
| one of several | what it says | suspect: nobody contradicts it any more |
| none | as of the best one by itself | |

One of three that is further than the tolerance from the median for DRIFT_S is named: it drifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean, median

from facility.sensors import Sensor
from facility.telemetry.belief import Belief
from facility.telemetry.lasting import Lasting
from facility.verdict import RANK, Verdict

DRIFT_S = 60.0


def agreed(sensor: Sensor, told: Mapping[str, Belief]) -> Belief:
    """What several sensors of the quantity of `sensor` make known, `told` by key."""
    heard = [it for it in told.values() if it.measured]
    usable = [it for it in heard if it.verdict == Verdict.GOOD] or heard
    values, highs = ([value for it in usable if (value := pick(it)) is not None] for pick in (_value, _high))
    if not values:
        return min(told.values(), key=lambda it: RANK[it.verdict])
    if len(values) == 1:
        says = f"the only one of {len(told)} that is left"
        return Belief(values[0], highs[0], Verdict.SUSPECT, "alone", says, about=sensor.key)
    if len(values) == 2:
        if abs(values[0] - values[1]) <= sensor.tolerance:
            return Belief(fmean(values), fmean(highs))
        return Belief(sensor.conservative(*values), sensor.conservative(*highs), *_apart(sensor, values), about=sensor.key)
    middle = median(values)
    near = sum(abs(value - middle) <= sensor.tolerance for value in values)
    return Belief(middle, median(highs)) if near >= 2 else Belief(middle, median(highs), *_apart(sensor, values), about=sensor.key)


def astray(sensor: Sensor, told: Mapping[str, Belief], now: datetime, lasting: Lasting) -> dict[str, Belief]:
    """What is to be thought of each single one beside the others, where that is worse than of it alone."""
    usable = {key: it.value for key, it in told.items() if it.measured and it.value is not None}
    found: dict[str, Belief] = {}
    middle = median(usable.values()) if len(usable) > 2 else None
    two = [*usable.values()] if len(usable) == 2 else None
    for key, value in usable.items():
        far = middle is not None and abs(value - middle) > sensor.tolerance
        it = told[key]
        if lasting.lasts(f"drift {key}", now, DRIFT_S, holds=far):
            says = f"shows {value:.4g}, the median of {len(usable)} is {middle:.4g} {sensor.unit}"
            found[key] = it._replace(verdict=Verdict.SUSPECT, kind="drift", says=says)
        elif two is not None and abs(two[0] - two[1]) > sensor.tolerance:
            verdict, kind, says = _apart(sensor, two)
            found[key] = it._replace(verdict=verdict, kind=kind, says=says, about=sensor.key)
    return found


def _value(it: Belief) -> float | None:
    return it.value


def _high(it: Belief) -> float | None:
    return it.high


def _apart(sensor: Sensor, values: Sequence[float]) -> tuple[Verdict, str, str]:
    told = " and ".join(f"{value:.4g}" for value in sorted(values))
    return Verdict.SUSPECT, "disagrees", f"{told} {sensor.unit} are told of one thing"
