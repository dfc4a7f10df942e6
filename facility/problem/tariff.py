"""The demand charges of a site file, with what was metered, as the model's."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import Edges
from facility.tariff import billing_intervals, charges, in_window
from models.grid.demand_charge import DemandCharge, Interval


def charges_of(site: Site, snapshot: Snapshot, edges: Edges) -> tuple[DemandCharge, ...]:
    """Each demand charge over the billing intervals of its window, one for every local month that the steps touch.

    A later month starts with no peak but what a ratchet keeps. An interval of which only a part lies in the steps, and of which
    nothing was metered, is taken to go on as that part.
    """
    zone = ZoneInfo(site.timezone)
    intervals = [(start, _interval(site, snapshot, edges, start, inside)) for start, inside in billing_intervals(site, edges)]
    this_month = f"{edges[0].astimezone(zone):%Y-%m}"
    found = []
    for charge_id, charge in charges(site).items():
        kept_kw = charge.ratchet_share * charge.highest_of_year_kw
        so_far_kw = max(snapshot.peaks_so_far_kw.get(charge_id, snapshot.peak_so_far_kw), kept_kw, 0.0)
        months: dict[str, dict[Interval, None]] = {this_month: {}}
        for start, interval in intervals:
            if in_window(site, charge, start):
                months.setdefault(f"{start.astimezone(zone):%Y-%m}", {})[interval] = None
        for month, mine in months.items():
            now = month == this_month
            found.append(
                DemandCharge(
                    id=charge_id if now else f"{charge_id}:{month}",
                    price_per_kw=charge.price_per_kw,
                    so_far_kw=so_far_kw if now else kept_kw,
                    intervals=tuple(mine),
                )
            )
    return tuple(found)


def _interval(site: Site, snapshot: Snapshot, edges: Edges, start: datetime, inside: list[tuple[int, float]]) -> Interval:
    """A billing interval with what was metered in it before the steps began; steps longer than it count with a margin."""
    length_s = 60.0 * site.tariff.billing_interval_min
    coarse = any((edges[t + 1] - edges[t]).total_seconds() > length_s for t, _ in inside)
    margin = 1 + site.tariff.coarse_step_margin_share if coarse else 1.0
    planned_s = sum(seconds for _, seconds in inside)
    metered_kwh, metered_s = 0.0, 0.0
    if start < edges[0] and snapshot.interval_kwh is not None:
        metered_kwh, metered_s = snapshot.interval_kwh, snapshot.interval_s
    whole_s = planned_s + metered_s
    return Interval(metered_kwh * 3600 / whole_s, tuple((t, margin * seconds / whole_s) for t, seconds in inside))
