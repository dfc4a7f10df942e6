"""Guard: plans only expect, meters know. Where the meter shows more than the limit, caps give way at once; no solver, no waiting.

Nothing that is sent raises them again before the meter has been within the limit for `CALM`. Where the meter is lost, the sum of the caps in
force counts, for any of it may be drawn. The grid's limit is a contract's mean and no rating: plans rightly fill it, so its band begins at the
limit itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from facility.daemon.lid import meter_lost
from facility.daemon.overrule import commanded, import_kw, shed, worst_import_kw
from facility.daemon.situation import Situation
from facility.daemon.standby import goes_on, no_higher
from facility.decision import Decision
from facility.site import Site

log = logging.getLogger(__name__)

AIM_SHARE = 0.99
"""Share of the import limit that is aimed at when the meter showed more than the limit."""
SETTLE = timedelta(seconds=15)
"""How long lower caps are given to show on the meter before it is believed again."""
CALM = timedelta(seconds=60)
"""How long the meter must have been within the limit before what was cut may rise again."""


@dataclass(frozen=True)
class Cut:
    """What the meter made give way: by how much it showed more than was expected, and the caps that were sent therefore.

    `commanded` are the pools whose caps were then an operator's: once the command ends, only the excess holds there.
    """

    excess_kw: float
    caps: Decision
    says: str
    commanded: frozenset[str]
    calm_since: datetime | None = None


class Guard:
    """To be used under the daemon's lock. It never sends and never raises: what is to be sent is its answer."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cut: Cut | None = None
        self._lowered_at: datetime | None = None

    @property
    def says(self) -> str:
        """Why caps give way; empty: they do not."""
        return "" if self._cut is None else f"{self._cut.says}: caps give way"

    def look(self, here: Situation, in_force: Decision) -> Decision | None:
        """Hold what is measured against the limit; the answer is what must be sent now instead of `in_force`, None: nothing."""
        measured_kw, limit_kw = here.snapshot.import_high_kw, here.asked.import_limit_kw[0]
        if dark := measured_kw is None and meter_lost(self._site, here.snapshot):
            measured_kw = worst_import_kw(here.site, in_force, here.snapshot, here.outdoor_c)
            says = f"nothing measures the power at the grid, where caps allow {measured_kw:.1f} of {limit_kw:g} kW"
        if measured_kw is None:
            return None
        if not dark:
            says = f"the meter showed {measured_kw:.1f} of {limit_kw:g} kW"
        if measured_kw <= limit_kw:
            if not dark:
                self._calm(here.now)
            return None
        cut = self._cut
        if cut is not None:
            cut = self._cut = replace(cut, calm_since=None)
        lapsed = here.now >= in_force.until
        if lapsed or (self._lowered_at is not None and here.now - SETTLE < self._lowered_at <= here.now):
            return None
        now = goes_on(here.site, in_force, here.snapshot, here.now, in_force.until, here.outdoor_c)
        expected_kw = import_kw(here.site, now, here.snapshot, here.outdoor_c)
        target_kw = expected_kw - (measured_kw - AIM_SHARE * limit_kw)
        less = shed(here.site, here.snapshot, now, target_kw, here.outdoor_c, last=commanded(here.asked))
        decision = replace(less, pools=tuple(replace(pool, reason=says) for pool in less.pools))
        log.log(logging.WARNING if cut is None else logging.DEBUG, "%s, %.1f kW were expected: caps give way", says, expected_kw)
        self._cut, self._lowered_at = Cut(limit_kw - target_kw, decision, says, commanded(here.asked)), here.now
        return decision

    def lowered(self, now: datetime) -> None:
        """Know that what is expected was lowered at `now`, by whomever: a reading from before is not held against it."""
        self._lowered_at = now

    def bounded(self, decision: Decision, here: Situation) -> Decision:
        """`decision` no higher than what the meter allows."""
        cut = self._cut
        if cut is None:
            return decision
        limit_kw, last = here.asked.import_limit_kw[0] - cut.excess_kw, commanded(here.asked)
        kept = tuple(pool for pool in cut.caps.pools if pool.pool not in cut.commanded - last)
        return no_higher(shed(here.site, here.snapshot, decision, limit_kw, here.outdoor_c, last=last), kept)

    def tightened(self, here: Situation) -> Situation:
        """What to plan with: the limit of the first step lowered by what the meter shows above what is expected."""
        if self._cut is None:
            return here
        first_kw, *later_kw = here.asked.import_limit_kw
        limits_kw = (max(first_kw - self._cut.excess_kw, 0.0), *later_kw)
        return replace(here, asked=replace(here.asked, import_limit_kw=limits_kw))

    def _calm(self, now: datetime) -> None:
        """The meter is within the limit: after a while what gave way may rise again."""
        cut = self._cut
        if cut is None:
            return
        since = cut.calm_since or now
        self._cut = replace(cut, calm_since=since)
        if now - since >= CALM:
            self._cut = None
            log.info("the meter stayed within the limit: caps may rise again")
