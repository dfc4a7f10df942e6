"""The sky above a rehearsed site: its outdoor temperature at any instant, from the design day or from what was observed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from facility.simulate.gpu import through
from facility.site import Site

if TYPE_CHECKING:
    from facility.inputs.series import Series


class Sky(Protocol):
    """What tells the outdoor temperature."""

    def outdoor_c(self, now: datetime) -> float:
        """Return the outdoor temperature at `now`, degC."""


class DesignDay:
    """A smooth curve through the site's 24 values, each at its full local hour, the same every day."""

    def __init__(self, site: Site) -> None:
        self._zone = ZoneInfo(site.timezone)
        by_hour = site.weather.outdoor_by_hour_c
        self._at: Callable[[float], float] = through(range(-2, 27), [by_hour[hour % 24] for hour in range(-2, 27)])

    def outdoor_c(self, now: datetime) -> float:
        """Return the outdoor temperature at `now`, degC."""
        local = now.astimezone(self._zone)
        return self._at(local.hour + local.minute / 60 + (local.second + local.microsecond / 1e6) / 3600)


class Observed:
    """The values of a series, each in the middle of its interval and straight lines between them, so that their means stay."""

    def __init__(self, series: Series) -> None:
        begin, end = (times.astype("datetime64[s]").astype(float) for times in (series.start, series.end))
        self._middle_s, self._value = (begin + end) / 2, np.asarray(series.value, float)

    def outdoor_c(self, now: datetime) -> float:
        """Return the outdoor temperature at `now`, degC; beyond the ends that of the nearest interval."""
        return float(np.interp(now.timestamp(), self._middle_s, self._value))
