"""Reserves of a site file as the model's."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from facility.site import Reserve as Product
from facility.site import Site
from facility.steps import Edges
from facility.windows import touched
from models.grid.reserve import Reserve


def reserves_of(site: Site, edges: Edges) -> tuple[Reserve, ...]:
    """What can be sold in each step, and what is."""
    return tuple(_reserve(site, i, product, edges) for i, product in site.grid.reserves.items())


def committed_kw(site: Site, product: Product, start: datetime, end: datetime) -> float:
    """What of a product is sold for any part of [start, end), kW."""
    windows = touched(product.committed, ZoneInfo(site.timezone), start, end)
    return max((window.committed_kw for window in windows), default=0.0)


def _reserve(site: Site, reserve_id: str, product: Product, edges: Edges) -> Reserve:
    committed = tuple(committed_kw(site, product, start, end) for start, end in pairwise(edges))
    return Reserve(
        id=reserve_id,
        direction=product.direction,
        duration_h=product.duration_min / 60,
        committed_kw=committed,
        most_kw=tuple(max(product.most_kw, kw) for kw in committed),
        price_per_kw_h=(product.price_per_mw_h / 1000,) * len(committed),
    )
