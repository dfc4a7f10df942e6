"""Leaving: where GPUs should have left for maintenance and work still runs on them, it is told whose and until when. One alarm for each pool."""

from __future__ import annotations

from datetime import datetime, timedelta

from facility.daemon.knowledge import Knowledge
from facility.daemon.telling.alarms import Alarms
from facility.maintain.staying import Staying, staying
from facility.site import Site

SETTLED = timedelta(seconds=10)
"""How long it has to be so, for a job that ends as it should is told of as ended a moment later."""
NAMED = 5
"""Jobs that an alarm spells out."""


class Leaving:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, known: Knowledge, alarms: Alarms) -> None:
        self._site, self._known, self._alarms = site, known, alarms
        self._told: dict[str, tuple[str, ...]] = {}
        self._since: dict[str, datetime] = {}

    def look(self, now: datetime) -> None:
        """Tell what has changed."""
        if not self._site.maintenance:
            return
        found = {each.pool: each for each in staying(self._known.rented(now), self._known.jobs(), now)}
        self._since = {pool: min(self._since.get(pool, now), now) for pool in found}
        for pool, each in found.items():
            jobs = tuple(job for job, _ in each.jobs)
            if self._told.get(pool) != jobs and now - self._since[pool] >= SETTLED:
                self._alarms.clear(_alarm(pool), now)
                self._told[pool] = jobs
                self._tell(each, now)
        for pool in [pool for pool in self._told if pool not in found]:
            del self._told[pool]
            self._alarms.clear(_alarm(pool), now)

    def _tell(self, each: Staying, now: datetime) -> None:
        named = ", ".join(f"{job} until {done:%Y-%m-%d %H:%M} UTC at the earliest" for job, done in each.jobs[:NAMED])
        more = f", and {len(each.jobs) - NAMED} more" if len(each.jobs) > NAMED else ""
        cause = f"{each.gpus} of the {each.wanted} GPUs of pool {each.pool} that should have left for maintenance still work: {named}{more}"
        remedy = "wait until they are done, or hold them (`facility override`): what is held stops, and its GPUs leave"
        place = f"{self._site.pools[each.pool].hall}/pool/{each.pool}"
        self._alarms.stand(_alarm(each.pool), cause, now, place=place, remedy=remedy)


def _alarm(pool: str) -> str:
    return f"leaving-{pool}"[:64]
