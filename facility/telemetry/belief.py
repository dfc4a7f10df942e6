"""Belief: what is used of one sensor, from its own readings alone.

| its readings | verdict | used |
|---|---|---|
| in time, moving as they can | good | the median of three |
| in time, after a leap that the next reading did not confirm yet | suspect | the more dangerous one of before and after |
| in time, after a leap that cannot be and stands | suspect | the same |
| in time, still to the last digit | suspect | what it shows, as not measured |
| refused: range, unit, quality | bad | nothing |
| older than its patience, or none | missing | nothing |

Since the process began a sensor is awaited for as long as its readings stay fresh; one that has said nothing by then was never heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from facility.telemetry.track import Track
from facility.verdict import Verdict


class Belief(NamedTuple):
    """What a plan uses of a quantity, and what a guard must reckon with, in the sensor's unit; None where nothing is known.

    `measured` is False where no sensor is behind it that is believed. `kind` and `says` tell why it is not good, `about` with which others,
    and `stands_in` what stands in.
    """

    value: float | None
    high: float | None
    verdict: Verdict = Verdict.GOOD
    kind: str = ""
    says: str = ""
    measured: bool = True
    stands_in: str = ""
    about: str = ""


def belief(track: Track, now: datetime, patience: timedelta, began: datetime) -> Belief:
    """Judge one sensor by itself at `now`; the process listens since `began`."""
    at = track.newest_at
    if at is None or now - at > patience:
        return _unheard(track, now, patience, began)
    if not track.doubtful:
        return Belief(track.used, track.high)
    unit = track.sensor.unit
    if track.stuck:
        says = f"shows {track.newest:g} {unit} to the last digit since {track.moved_at:%H:%M:%S}"
        return Belief(track.used, track.high, Verdict.SUSPECT, "stuck", says, measured=False)
    kind = "unconfirmed" if track.leapt_at == at else "leap"
    return Belief(track.used, track.high, Verdict.SUSPECT, kind, f"leapt from {track.leapt_from:g} to {track.newest:g} {unit}")


def _unheard(track: Track, now: datetime, patience: timedelta, began: datetime) -> Belief:
    if track.refused is not None and now - track.refused[1] <= patience:
        return _nothing(Verdict.BAD, "refused", track.refused[0])
    if track.newest_at is None:
        if now - began <= patience:
            return _nothing(Verdict.MISSING, "awaited", "not heard yet")
        return _nothing(Verdict.MISSING, "unheard", "never heard")
    if track.heard is not None and now - track.heard <= patience:
        return _nothing(Verdict.MISSING, "late", "its readings are old when they come: see the sender's clock")
    return _nothing(Verdict.MISSING, "silent", f"not heard since {track.newest_at:%H:%M:%S}")


def _nothing(verdict: Verdict, kind: str, says: str) -> Belief:
    return Belief(None, None, verdict, kind, says, measured=False)
