"""Lid: bad, stale or missing data never raises a cap (I4).

| not measured any more | which pools | their caps |
|---|---|---|
| the air of a hall | its own | no higher than when it was last measured; once it is unknown, no higher than the fallback either |
| the grid meter, nor what hangs on it | all | no higher than when it was last measured |

A substitute - the worst that a hall may have become, an emptier battery - keeps a plan careful where the doubt is, but a plan that is careful
in one hall may give to another, or change its mind: only the lid makes the rule hold cap by cap. What an operator commands is above it. A
meter that was never heard raises nothing and has no lid: the plan's limits are what is expected, as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.telemetry.balance import meter_key
from facility.telemetry.quality import NEVER
from facility.verdict import Verdict
from facility.verify import fallback_caps


def meter_lost(site: Site, snapshot: Snapshot) -> bool:
    """Whether the power at the grid was measured once and is no more."""
    doubt = snapshot.doubts.get(meter_key(site))
    return doubt is not None and not doubt.measured and doubt.kind not in NEVER


def unmeasured_halls(site: Site, snapshot: Snapshot) -> dict[str, bool]:
    """Tell the halls whose air is not measured, and of each whether its temperature is unknown altogether."""
    found = {}
    for name in site.halls:
        doubt = snapshot.doubts.get(f"{name}/hall/{name}/air_temperature_c")
        if doubt is not None and not doubt.measured:
            found[name] = doubt.verdict in (Verdict.MISSING, Verdict.BAD) and doubt.kind != "awaited"
    return found


class Lid:
    """What each pool had when what it depends on was last measured. `says` tells why caps do not rise; empty: they may."""

    def __init__(self, site: Site) -> None:
        self._site, self._fallback_w = site, fallback_caps(site)
        self._had: dict[str, PoolCaps] = {}
        self._unknown: frozenset[str] = frozenset()
        self.says = ""

    def follow(self, snapshot: Snapshot, had: Decision | None) -> bool:
        """See what is measured now; `had` is what pools have, None: nothing yet. True where caps may change by it."""
        halls, dark = unmeasured_halls(self._site, snapshot), meter_lost(self._site, snapshot)
        held = {name for name, pool in self._site.pools.items() if dark or pool.hall in halls}
        unknown = frozenset(name for name, pool in self._site.pools.items() if halls.get(pool.hall))
        changed = held != self._had.keys() or unknown != self._unknown
        caps = {pool.pool: pool for pool in had.pools} if had is not None else {}
        fallback = {name: PoolCaps(name, cap_w) for name, cap_w in self._fallback_w.items()}
        self._had = {name: self._had.get(name) or caps.get(name) or fallback[name] for name in held}
        self._unknown = unknown
        self.says = _says(halls, dark=dark)
        return changed

    def over(self, without: Iterable[str]) -> tuple[PoolCaps, ...]:
        """The most that pools may have, but for those in `without`."""
        free = set(without)
        return tuple(self._lowest(name, caps) for name, caps in self._had.items() if name not in free)

    def _lowest(self, name: str, caps: PoolCaps) -> PoolCaps:
        if name not in self._unknown:
            return caps
        most_w = self._fallback_w[name]
        groups = tuple(replace(group, cap_w=min(group.cap_w, most_w)) for group in caps.groups)
        return replace(caps, cap_w=min(caps.cap_w, most_w), groups=groups)


def _says(halls: Iterable[str], *, dark: bool) -> str:
    what = [*(f"the air of hall {name}" for name in halls), *(["the power at the grid"] if dark else [])]
    return f"{', '.join(what)} {'is' if len(what) == 1 else 'are'} not measured: caps do not rise" if what else ""
