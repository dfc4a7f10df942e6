"""Used: what tenants and jobs have, counted as it changes, in the journal by quarter of an hour.

It is looked at with the guard and with every plan that is followed; where nothing has changed that is a few comparisons. What is counted of the
quarter under way is written down every minute and with every cycle, so that a crash loses none of it: what stood then is counted on once
somebody is there again, until its order lapses, and then as the fallback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from facility.decision import Decision
from facility.journal.journal import Journal
from facility.rental.losses import Gone
from facility.site import Site
from facility.usage.counting import Counter, Kept
from facility.usage.standing import Held, Standing
from facility.usage.usage import QUARTER, Cause, quarter_of
from facility.verify import fallback_caps

log = logging.getLogger(__name__)

FACT = "usage"
APART = timedelta(milliseconds=0.5)
"""How long no change is looked for after one, for each job that holds GPUs: some fifty times as long as it takes to count it."""

Jobs = Callable[[], tuple[Held, ...]]
"""The jobs that hold GPUs, as their schedulers report."""


class Seen(NamedTuple):
    """All that a standing depends on: the decision as it was `sent`, by a plan where that is `planned`; the site with its rentals; how often
    jobs changed; by pool the GPUs that are gone and the highest cap that is enforced; the pools that the guard holds down, or people command.
    """

    sent: Decision
    site: Site
    planned: bool
    changes: int
    gone: Gone
    enforced_w: Mapping[str, int]
    guarded: frozenset[str]
    commanded: frozenset[str]


class Used:
    """To be used under the daemon's lock. `rented` tells the site with the contracts of an instant, as they were sold."""

    def __init__(self, site: Site, journal: Journal, rented: Callable[[datetime], Site]) -> None:
        self._journal = journal
        self._counter = Counter(fallback_caps(site), rented, _kept(site, journal))
        self._seen: Seen | None = None
        self._busy_from = self._busy_until = datetime.min.replace(tzinfo=UTC)

    def look(self, seen: Seen, jobs: Jobs, now: datetime) -> None:
        """Know what stands from now on; `jobs` are asked for where anything has changed."""
        was = self._seen
        if was is not None and was.sent is seen.sent and was.site is seen.site and was[2:] == seen[2:]:
            until = self._counter.until
            if until is None or not until <= now < quarter_of(until) + QUARTER:
                self._counter.count(now)
            return
        if self._busy_from < now < self._busy_until:
            return
        self._seen = seen
        causes: dict[str, Cause] = dict.fromkeys(seen.guarded, "guard")
        standing = Standing(
            pools=seen.sent.pools,
            until=seen.sent.until,
            planned=seen.planned,
            jobs=_placed(jobs(), seen.sent),
            gone=seen.gone,
            enforced_w=seen.enforced_w,
            causes=causes | dict.fromkeys(seen.commanded, "operator"),
        )
        self._counter.stand(standing, now)
        self._busy_from, self._busy_until = now, now + APART * len(standing.jobs)

    def remember(self, now: datetime) -> None:
        """Write down what was counted up to `now`. Raises StoreFault; then it is kept here."""
        self._counter.count(now)
        kept = self._counter.kept
        if kept is not None:
            self._journal.record_usage(self._counter.finished, FACT, msgspec.json.encode(kept))
            self._counter.finished = {}


def _kept(site: Site, journal: Journal) -> Kept | None:
    """What an earlier process counted; without what stands where the site has other pools by now."""
    kept = journal.get(FACT)
    if kept is None:
        return None
    try:
        told = msgspec.json.decode(kept, type=Kept)
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("the usage counted before cannot be read: %s", error)
        return None
    if told.standing is not None and {caps.pool for caps in told.standing.pools} != site.pools.keys():
        return replace(told, standing=None)
    return told


def _placed(jobs: tuple[Held, ...], sent: Decision) -> tuple[Held, ...]:
    """Jobs in the pool in which they were sent caps: one that may run in several has them where it does."""
    where = {group.workload: caps.pool for caps in sent.pools for group in caps.groups}
    return tuple(replace(job, pool=where[job.job]) if where.get(job.job, job.pool) != job.pool else job for job in jobs)
