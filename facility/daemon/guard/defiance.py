"""Defiance: pools that draw more than their caps allow, or say so. What they draw is reckoned with, for their caps tell nothing.

    allowed = every GPU at the highest cap that was in force within the last LATE_S, hosts at work
    defiant   where the agent enforces more than it was sent:      every GPU at that, or at the highest that it can have
              where allowed + tolerance is drawn for a while:      what is measured

| figure | value | why |
|---|---|---|
| LATE_S | 45 s | capping past the operating system takes up to 40 s |
| tolerance | 3 % of the pool's most | as its meter may differ from another of its kind |
| a while | 3 readings of its meter, at least 15 s | what is measured is the median of three, so it follows with the second that is lower |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import datetime, timedelta

from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.sensors import PERIOD_S, POWER_TOLERANCE, busy_kw
from facility.site import Site
from facility.telemetry.lasting import Lasting
from facility.verify.draw import worst_pool_kw

LATE_S = timedelta(seconds=45)
READINGS, LASTS_S = 3, 15.0


class Defiance:
    """Which pools do as they are told. `says` tells, by pool, why one does not where only its meter knows."""

    def __init__(self, site: Site) -> None:
        self._tolerance_kw = {pool: POWER_TOLERANCE * busy_kw(site, pool) for pool in site.pools}
        self._lasting = Lasting()
        self._decision: Decision | None = None
        self._allowed: deque[tuple[datetime, dict[str, float]]] = deque()
        self.says: dict[str, str] = {}

    def look(self, here: Situation, in_force: Decision, told: Collection[str]) -> dict[str, float]:
        """What each pool that is defiant draws at most, kW; those in `told` enforce more than they were sent."""
        snapshot, pools, self.says = here.snapshot, here.site.pools, {}
        self._follow(here, in_force)
        found: dict[str, float] = {}
        for name in told:
            enforced_w = snapshot.enforced_cap_w.get(name)
            if enforced_w is not None:
                most_w = here.site.gpu_models[pools[name].gpu_model].max_cap_w
                found[name] = pools[name].gpus * (min(enforced_w, most_w) + pools[name].host_run_w) / 1000
        for name, drawn_kw in snapshot.pool_kw.items():
            allowed_kw = max(kw[name] for _, kw in self._allowed)
            over = drawn_kw > allowed_kw + self._tolerance_kw[name]
            while_s = max(READINGS * snapshot.pool_every_s.get(name, PERIOD_S), LASTS_S)
            if self._lasting.lasts(name, here.now, while_s, holds=over):
                found[name] = max(drawn_kw, found.get(name, 0.0))
                if name not in told:
                    self.says[name] = f"pool {name} draws {drawn_kw:.1f} kW, its caps allow {allowed_kw:.1f} kW"
        return found

    def _follow(self, here: Situation, in_force: Decision) -> None:
        """Know what was allowed lately: caps that are newer may not be in force yet."""
        if in_force is not self._decision:
            self._decision = in_force
            allowed = {caps.pool: worst_pool_kw(here.site.pools[caps.pool], (caps,)) for caps in in_force.pools}
            if self._allowed:  # the one before holds until now
                self._allowed[-1] = (here.now, self._allowed[-1][1])
            self._allowed.append((here.now, allowed))
        while len(self._allowed) > 1 and not here.now - LATE_S < self._allowed[0][0] <= here.now:
            self._allowed.popleft()
