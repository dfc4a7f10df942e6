"""Feeders and the grid: what is expected and what is drawn at worst stays within ratings, also when a message or a feeder is lost.

    expected import <= limit, and through each feed <= its own;  expected export <= its limit
    expected power of a feeder <= rating;  its power at worst <= rating * margin
    the same of a group of feeders that back each other, on the ratings of all but its largest (N-1)

At worst every GPU draws the highest cap that may be in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.decision import Decision, PoolCaps
from facility.site import LimitWindow, Site
from facility.snapshot import Snapshot
from facility.verify.cooling import Drift, tanks_kw
from facility.verify.draw import worst_pool_kw
from facility.verify.loads import Carrier, carriers, expected_kw, feeder_kw
from facility.verify.violation import SLACK, Violation, over


def worst_feeders(
    site: Site,
    decision: Decision,
    outdoor_c: float,
    it_kw: Mapping[str, float],
    moving: Mapping[str, Drift],
    earlier: Mapping[str, Sequence[PoolCaps]],
) -> Iterator[Violation]:
    """Find feeders that every GPU at its highest cap would take past their margin; a discharging battery helps nobody here.

    GPUs surge within seconds and cooling follows within minutes, so the plants draw what this decision's own heat needs.
    """
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}

    def loads(in_force: Mapping[str, Sequence[PoolCaps]]) -> dict[str, float]:
        worst_kw = {pool: worst_pool_kw(site.pools[pool], messages) for pool, messages in in_force.items()}
        return feeder_kw(site, worst_kw, it_kw, charge_kw, outdoor_c, moving, charge_kw=tanks_kw(decision))

    now = {caps.pool: (caps,) for caps in decision.pools}
    alone = loads(now)
    mixed = loads({pool: (*messages, *earlier.get(pool, ())) for pool, messages in now.items()}) if earlier else alone
    before = loads({pool: earlier.get(pool) or messages for pool, messages in now.items()}) if earlier else alone
    for it in carriers(site):
        rule = f"{it.rule}.worst_case"
        says = f"every GPU at its cap, with base, cooling, charging and losses, is more than {_may_carry(it)}"
        fired = over(Violation(rule, it.name, it.load_kw(alone), "kW", it.worst_kw, says, "plant"))
        if not fired and it.load_kw(mixed) > it.load_kw(before) + SLACK:
            says = f"with some messages lost, old and new caps together are more than {_may_carry(it)}"
            fired = over(Violation(rule, it.name, it.load_kw(mixed), "kW", it.worst_kw, says, "plant"))
        yield from fired


def expected_feeders(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    """Find feeders, groups of them and the grid that what is expected would take past what they carry or allow."""
    loads = expected_kw(site, decision, snapshot, outdoor_c)
    for it in carriers(site):
        says = f"expected power is more than {_may_carry(it)}"
        yield from over(Violation(f"{it.rule}.carries", it.name, abs(it.load_kw(loads)), "kW", it.rating_kw, says, "plant"))
    roots_kw = [kw for name, kw in loads.items() if site.feeders[name].parent is None]
    net_kw = sum(roots_kw) if site.grid.export_limit_kw else sum(max(kw, 0.0) for kw in roots_kw)  # no way back, to another root neither
    import_kw, export_kw = max(net_kw, 0.0), max(-net_kw, 0.0)
    limit_kw = decision.import_limit_kw
    if limit_kw is None:
        limit_kw = import_limit_kw(site, decision.at, decision.until)
    says = "expected import is above the grid's limit"
    yield from over(Violation("grid.limit", site.grid.feed, import_kw, "kW", limit_kw, says, "grid"))
    for name, feed in site.grid.feeds.items():
        says = "expected import through this feed is above its limit"
        yield from over(Violation("grid.feed", name, loads[feed.feeder], "kW", feed.import_limit_kw, says, "grid"))
    if site.grid.export_limit_kw:
        says = "expected export is above what the grid takes back"
        yield from over(Violation("grid.export", site.grid.feed, export_kw, "kW", site.grid.export_limit_kw, says, "grid"))
    if decision.event_target_kw is not None:
        says = "expected import is above what the grid event allows"
        yield from over(Violation("grid.event", site.grid.feed, import_kw, "kW", decision.event_target_kw, says, "grid"))


def _may_carry(it: Carrier) -> str:
    return "this feeder may carry" if it.rule == "feeder" else "this group carries when it loses its largest feeder"


def import_limit_kw(site: Site, start: datetime, end: datetime) -> float:
    """Tell the site's own import limit in [start, end), kW: the lowest of the daily windows it touches, by the local clock."""
    zone = ZoneInfo(site.timezone)
    limits = [site.grid.import_limit_kw]
    instant, last = start, min(end, start + timedelta(hours=25))
    while instant < last:
        local = instant.astimezone(zone).strftime("%H:%M")
        limits += [window.import_limit_kw for window in site.grid.limit_windows if _inside(window, local)]
        instant = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return min(limits)


def _inside(window: LimitWindow, local: str) -> bool:
    opened, closed = window.from_local <= local, local < window.to_local
    return opened and closed if window.from_local < window.to_local else opened or closed
