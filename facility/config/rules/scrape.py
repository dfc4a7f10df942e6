"""Rules of scrapes: pools that exist, each asked for once, and a metric that is power."""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.telemetry.units import POWER


def scrapes(site: Known) -> Iterator[Breach]:
    """Pools that are not there or that two scrapes tell; a unit that is no power; pages that take longer than their period."""
    told: dict[str, str] = {}
    for scrape in expand(site, ("scrape", "*")):
        for pool in site.ids(*scrape, "pools"):
            if pool not in site.ids("pools"):
                yield (*scrape, "pools", pool), f"no `{pool}` in pools", nearest(pool, site.ids("pools"))
            elif pool in told:
                yield (*scrape, "pools", pool), f"scrape `{told[pool]}` tells it too", "one scrape for a pool; it may have several urls"
            told.setdefault(pool, str(scrape[-1]))
        unit = site.get(*scrape, "unit")
        if unit is not None and unit not in POWER:
            yield (*scrape, "unit"), f"`{unit}`", nearest(unit, list(POWER))
        period_s, timeout_s = site.get(*scrape, "period_s"), site.get(*scrape, "timeout_s")
        if period_s is not None and timeout_s is not None and timeout_s > period_s:
            yield (*scrape, "timeout_s"), f"{timeout_s:g}", f"at most period_s, {period_s:g}"
