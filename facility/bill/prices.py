"""Prices: what a kWh cost and emitted in each slot.

    a file, where one is given  >  what was told on the bus and kept in the journal  >  the site file's own

What is told of part of the slots is used for that part. Where the site file's own values stand in, and where how many of them, is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facility.forecast import Past, by_local_hour
from facility.inputs.series import CARBON, PRICE, Quantity, read_series
from facility.site import Site
from facility.steps import Edges, as_datetime64
from facility.tariff import energy_price_per_mwh, fees_per_mwh
from models.horizon import Floats


@dataclass(frozen=True)
class Prices:
    """Per slot, shape (T,): money per MWh of energy, of fees on top of it, of what is given back; g of CO2 per kWh; and where it is from."""

    energy_per_mwh: Floats
    fees_per_mwh: Floats
    sold_per_mwh: Floats
    carbon_g_per_kwh: Floats
    assumed: tuple[str, ...]


def prices_of(
    site: Site, edges: Edges, kept: Mapping[str, bytes], prices: str | None = None, carbon: str | None = None, timezone: str | None = None
) -> Prices:
    """What each slot between `edges` cost; `kept` is what the journal has of the past, by key. InputError for a bad file."""
    past, said = Past(kept), list[str]()

    def told(quantity: Quantity, file: str | None, own: Floats, named: str) -> Floats:
        if file is not None:
            series = read_series(file, quantity, start=edges[0], end=edges[-1], timezone=timezone, currency=site.currency)
            said.append(f"{quantity.name}: {series.name}")
            return np.asarray(series.means(as_datetime64(edges)), float)
        heard = past.known(quantity).covered(as_datetime64(edges))
        lacking = int(np.isnan(heard).sum())
        if lacking < len(heard):
            said.append(f"{quantity.name}: as it was told, of {len(heard) - lacking} of {len(heard)} intervals")
        if lacking:
            said.append(f"{quantity.name}: the site's {named}, of {lacking} of {len(heard)} intervals")
        return np.where(np.isnan(heard), own, heard)

    tariff, intensity = site.tariff, site.carbon.intensity_g_per_kwh
    key = "energy_price_by_hour_per_mwh" if tariff.energy_price_per_mwh is None else f"energy_price_per_mwh, {tariff.energy_price_per_mwh:g}"
    energy = told(PRICE, prices, energy_price_per_mwh(site, edges), f"tariff.{key}{', and its tariff.windows' if tariff.windows else ''}")
    emitted = told(CARBON, carbon, by_local_hour(site, edges, [intensity] * 24), f"carbon.intensity_g_per_kwh, {intensity:g}")
    back = energy - (tariff.export_fee_per_mwh or 0.0) if tariff.export_price_per_mwh is None else np.full(len(energy), tariff.export_price_per_mwh)
    return Prices(energy, fees_per_mwh(site, edges, energy), back, emitted, tuple(said))
