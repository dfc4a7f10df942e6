"""Tenants: each sees what is its own and submits jobs as nobody but itself.

A tenant's job becomes one of the site's under the tenant's name, whatever it says of itself: one that names another tenant, another's
contract or an id that is not its to use is refused. What was refused stands in the tenant's view, in words that tell of nobody else;
an id that another has is only said not to be usable.

Tenants are strangers: what they send waits behind readings and commands, and of one who floods most is dropped unread.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages import JobSpec, Rejected, TenantRefusal, TenantView, decode, encode
from facility.bus.topics import Topics
from facility.daemon.knowledge import Knowledge
from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.rental.losses import Owed
from facility.rental.view import fitting, jobs_of, rentals_of
from facility.site import Site
from facility.snapshot import Job

log = logging.getLogger(__name__)

MOST_JOBS: Final = 10_000
"""Jobs that one tenant may have, so that none takes all the room."""
AT_ONCE, PER_S = 2 * MOST_JOBS, 20.0
"""Messages that are read of one tenant in one go, such as all that is retained, and from then on by the second."""
MOST_REFUSED: Final = 20
EVERY: Final = timedelta(seconds=10)
"""How long a view may lag behind what schedulers report; behind a decision it never does."""


class Tenants:
    """To be used under the daemon's lock. `refused` counts jobs that were not taken, by tenant."""

    def __init__(self, site: Site, bus: Bus, known: Knowledge) -> None:
        self._site, self._bus, self._known = site, bus, known
        self._topics = Topics(site.bus.root, site.id)
        self._told: dict[str, TenantView] = {}
        self._refusals: dict[str, dict[str, str]] = {tenant: {} for tenant in site.tenants}
        self._left: dict[str, tuple[float, datetime]] = {}
        self._of: Decision | None = None
        self._due: datetime | None = None
        self.refused: Counter[str] = Counter()

    def submit(self, tenant: str, job: str, message: Message, now: datetime) -> None:
        """Take a tenant's job, or its end (an empty payload), or refuse it."""
        if tenant not in self._refusals:
            self.refused[""] += 1
            return
        if not self._patient(tenant, now):
            self.refused[tenant] += 1
            return
        told = self._refusals[tenant]
        told.pop(job, None)
        self._due = None
        try:
            spec = self._own(tenant, job, message, now)
        except Rejected as rejected:
            if not self.refused[tenant]:
                log.warning("tenant %s: job %s refused: %s; from now on it is told in its view", tenant, job, rejected.reason)
            self.refused[tenant] += 1
            told[job] = rejected.reason
            while len(told) > MOST_REFUSED:
                del told[next(iter(told))]
        else:
            log.debug("tenant %s: job %s %s", tenant, job, "removed" if spec is None else "taken")

    def tell(self, here: Situation, decision: Decision | None) -> None:
        """Show each tenant what it has under `decision`, where that has changed."""
        if decision is None or (decision is self._of and self._due is not None and here.now < self._due):
            return
        self._of, self._due = decision, here.now + EVERY
        jobs: dict[str, list[Job]] = {}
        for job in here.snapshot.jobs:
            jobs.setdefault(job.tenant or "", []).append(job)
        ends, owed = self._known.rentals.ends(here.now), self._known.owed(here.now)
        for tenant in self._site.tenants:
            view = fitting(partial(self._view, tenant, jobs.get(tenant, []), here, decision, ends, owed))
            before = self._told.get(tenant)
            if before is None or msgspec.structs.replace(before, issued_at=view.issued_at) != view:
                self._told[tenant] = view
                self._publish(view)

    def republish(self) -> None:
        """Say it all again: the broker is a cable, not a memory."""
        for view in self._told.values():
            self._publish(view)

    def _patient(self, tenant: str, now: datetime) -> bool:
        """Whether one more message of a tenant is read; each has a bucket that fills with time."""
        left, at = self._left.get(tenant, (float(AT_ONCE), now))
        left = min(left + PER_S * max((now - at).total_seconds(), 0.0), float(AT_ONCE))
        self._left[tenant] = (max(left - 1, 0.0), now)
        return left >= 1

    def _own(self, tenant: str, job: str, message: Message, now: datetime) -> JobSpec | None:
        """Take a job in under its tenant's name; raises Rejected, in words for that tenant."""
        mine, owner = self._known.jobs_of(tenant), self._known.owner(job)
        if not message.payload:
            if owner == tenant:
                self._known.submit(Message(self._topics.job(job, "spec"), b"", qos=1), now)
            return None
        spec = decode(message.payload, JobSpec)
        contracts = self._known.rentals.in_force(now).contracts
        if spec.tenant not in (None, tenant):
            raise Rejected("it names another tenant; leave `tenant` out")
        if (owner is not None and owner != tenant) or job in contracts:
            raise Rejected("this id cannot be used; take another")
        own = [name for name, contract in contracts.items() if contract.tenant == tenant]
        if spec.contract is not None and spec.contract not in own:
            raise Rejected(f"no contract of yours has this name; yours: {', '.join(own) or 'none'}")
        if owner is None and mine >= MOST_JOBS:
            raise Rejected(f"more than {MOST_JOBS} jobs")
        spec = msgspec.structs.replace(spec, tenant=tenant)
        if refused := self._known.submit(Message(self._topics.job(job, "spec"), encode(spec), qos=1), now):
            raise Rejected(refused)
        return spec

    def _view(
        self,
        tenant: str,
        jobs: list[Job],
        here: Situation,
        decision: Decision,
        ends: Mapping[str, datetime],
        owed: Mapping[str, Owed],
        most: int,
    ) -> TenantView:
        shown = sorted(jobs, key=lambda job: (not job.running, job.deadline, job.id))[:most]
        return TenantView(
            tenant=tenant,
            issued_at=here.now,
            valid_until=decision.until,
            rentals=rentals_of(here.site, decision, here.asked, tenant, ends, owed)[:most],
            jobs=jobs_of(here.site, decision, here.asked, shown),
            jobs_left_out=len(jobs) - len(shown),
            refused=tuple(TenantRefusal(job=job, reason=reason[:500]) for job, reason in self._refusals[tenant].items()),
        )

    def _publish(self, view: TenantView) -> None:
        self._bus.publish(Message(self._topics.of("tenant_view", tenant=view.tenant), encode(view), qos=1, retain=True))
