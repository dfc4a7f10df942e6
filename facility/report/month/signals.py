"""Signals of the past: prices and carbon intensity by quarter of an hour: of a file, as they were told on the bus, or the site file's own.

A quarter has the mean of what held in it. What of the past nobody told of all of a quarter is the site file's, and how much of it that is is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from facility.forecast import Past
from facility.inputs.series import CARBON, PRICE, Quantity, read_series
from facility.metering import QUARTER
from facility.site import Site
from facility.steps import as_datetime64, uniform
from facility.tariff import energy_price_per_mwh
from models.horizon import Floats


@dataclass(frozen=True)
class Files:
    """Files of prices and carbon that a planner hands in, and the zone of times without an offset."""

    prices: str | None = None
    carbon: str | None = None
    timezone: str | None = None


@dataclass(frozen=True)
class Signal:
    """Values by quarter, shape (N,), None where nobody knows them; `assumed` says where they are from, empty for a file."""

    value: Floats | None
    assumed: str


def carbon_g_per_kwh(site: Site, files: Files, past: Past, start: datetime, end: datetime) -> Signal:
    """Carbon intensity of the grid, g/kWh; None where neither a file, nor the bus, nor the site file tells it. Raises InputError for a bad file."""
    stated = "intensity_g_per_kwh" in site.carbon.model_fields_set
    own = f"the site's carbon.intensity_g_per_kwh, {site.carbon.intensity_g_per_kwh:g}" if stated else ""
    intensity = site.carbon.intensity_g_per_kwh if stated else np.nan
    return _signal(site, CARBON, files.carbon, files, past, (start, end), lambda count: np.full(count, intensity), own)


def price_per_mwh(site: Site, files: Files, past: Past, start: datetime, end: datetime) -> Signal:
    """Price of energy, the site's currency per MWh, without fees. Raises InputError for a bad file."""

    def own(_: int) -> Floats:
        return energy_price_per_mwh(site, uniform(start, end, QUARTER))

    return _signal(site, PRICE, files.prices, files, past, (start, end), own, "the site's tariff")


def _signal(
    site: Site,
    quantity: Quantity,
    file: str | None,
    files: Files,
    past: Past,
    span: tuple[datetime, datetime],
    own: Callable[[int], Floats],
    own_name: str,
) -> Signal:
    start, end = span
    edges = as_datetime64(uniform(start, end, QUARTER))
    if file is not None:
        told = read_series(file, quantity, start=start, end=end, timezone=files.timezone, currency=site.currency)
        return Signal(told.means(edges), "")
    heard = past.known(quantity).covered(edges)
    known = np.isfinite(heard)
    value = np.where(known, heard, own(len(heard)))
    if not np.isfinite(value).any():
        return Signal(None, f"{quantity.name}: nobody told it")
    share = float(known.mean())
    parts = [f"as told on the bus for {share:.1%} of the time"] if share > 0 else []
    parts += [own_name] if share < 1 and own_name else []
    return Signal(value, f"{quantity.name}: {', else '.join(parts)}")
