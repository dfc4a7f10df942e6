"""The grid connection of a site file, with what is expected and commanded, as the model's."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from facility.forecast import Forecast
from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.steps import Edges
from facility.tariff import fees_per_mwh
from models.grid.carbon import Carbon
from models.grid.grid_connection import GridConnection
from models.grid.position import Position
from models.horizon import Floats
from models.power.feed import Feed


def feeds_of(site: Site) -> tuple[Feed, ...]:
    """The connections with limits of their own, in the order of the site file."""
    return tuple(Feed(feed_id, feed.feeder, feed.import_limit_kw) for feed_id, feed in site.grid.feeds.items())


def grid_of(site: Site, forecast: Forecast, bounds: Bounds, edges: Edges) -> GridConnection:
    """Limits and prices of each step."""
    return GridConnection(
        limit_kw=bounds.import_limit_kw,
        price_per_kwh=tuple((forecast.price_per_mwh / 1000).tolist()),
        carbon_g_per_kwh=tuple(forecast.carbon_g_per_kwh.tolist()),
        event_target_kw=bounds.event_target_kw,
        ramp_kw_per_h=site.grid.ramp_kw_per_h,
        fees_per_kwh=tuple((fees_per_mwh(site, edges, forecast.price_per_mwh) / 1000).tolist()),
        export_limit_kw=site.grid.export_limit_kw,
        export_price_per_kwh=tuple((_export_price_per_mwh(site, forecast) / 1000).tolist()),
    )


def position_of(site: Site, bounds: Bounds) -> Position:
    """What was committed a day ahead, at the site's premium."""
    return Position(bounds.position_kw, (site.tariff.imbalance_premium_per_mwh or 0.0) / 1000)


def carbon_of(site: Site, forecast: Forecast, edges: Edges) -> Carbon | None:
    """What emitting costs and how much is allowed; None where neither is said. The cap is the horizon's share of the day's."""
    cap, price = site.carbon.cap_kg_per_day, site.carbon.price_per_tonne
    if cap is None and not price:
        return None
    share = (edges[-1] - edges[0]) / timedelta(days=1)
    return Carbon(tuple((forecast.carbon_g_per_kwh / 1000).tolist()), price / 1000, None if cap is None else cap * share)


def _export_price_per_mwh(site: Site, forecast: Forecast) -> Floats:
    """What is paid for a MWh given back, shape (T,): the site's own price, else that of energy less the fee."""
    tariff = site.tariff
    if tariff.export_price_per_mwh is not None:
        return np.full(len(forecast.price_per_mwh), tariff.export_price_per_mwh)
    return forecast.price_per_mwh - (tariff.export_fee_per_mwh or 0.0)
