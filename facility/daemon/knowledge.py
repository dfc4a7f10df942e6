"""Knowledge: what the meters, the outside and the operators tell, as the situation at an instant."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from facility.bus.interface import Message
from facility.bus.messages import CapReported
from facility.clock import Clock
from facility.daemon.holding.overrule import commanded
from facility.daemon.ledger import Ledger
from facility.daemon.margin import Margin
from facility.daemon.situation import Situation
from facility.daemon.used import Seen, Used
from facility.decision import Decision
from facility.errors import InputError
from facility.events import Event
from facility.forecast import Forecast, Past
from facility.forecast.past import PREFIX
from facility.history import Note
from facility.inputs.series import OUTDOOR as OUTDOOR_C
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.overrides.allowed import Allowed
from facility.overrides.arbitrate import bounds
from facility.overrides.desk import OverrideDesk
from facility.overrides.proposal import Proposal
from facility.problem.maintenance import gpus_left
from facility.rental.desk import RentalDesk
from facility.rental.losses import Gone, Owed, missed_gpus, price_per_gpu_h, served_gpus, without
from facility.rental.rental import rented_gpus
from facility.rental.spans import gpus_by_step
from facility.signals import NAMES, Signals
from facility.site import Site
from facility.snapshot import Job
from facility.steps import Edges
from facility.telemetry import Telemetry
from facility.telemetry.quality import OUTDOOR

log = logging.getLogger(__name__)

FIRST_STEP = timedelta(minutes=5)
FACT = "telemetry"
MARGIN = "margin"
SIGNAL = "signal"
ORDERS = ("grid_limit", "grid_event")
"""Signals that the grid's operator means to hold whatever becomes of feed, broker and daemon."""


class Knowledge:
    """To be used under the daemon's lock. `desk` takes the operators' commands, `rentals` those that bring contracts, `ledger` counts the
    hours that were used, `used` what tenants and jobs had, `margin` learns how far plans stay below the import limit.
    """

    def __init__(self, site: Site, journal: Journal, clock: Clock, note: Note) -> None:
        self._site, self._journal, self._clock, self._note = site, journal, clock, note
        self._past = Past(journal.get_all(PREFIX))
        self._telemetry, self._signals = Telemetry(site, note), Signals(site, self._past)
        self.desk = OverrideDesk(site, journal, jobs=self._pool_of, elapsed_s=clock.elapsed_s)
        self.rentals = RentalDesk(site, journal, self._pool_of, clock.now())
        self.ledger = Ledger(site, journal, self.rentals.in_force)
        self.used = Used(site, journal, self.rentals.in_force)
        self.margin = Margin(journal.get(MARGIN))
        self._telemetry.under(self.rentals.in_force(clock.now()))
        state = journal.get(FACT)
        if state is not None:
            self._restore(state)
        for name in ORDERS:
            if kept := journal.get(f"{SIGNAL} {name}"):
                self._signals.accept(name, kept)

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to for readings, whole topics."""
        return self._telemetry.patterns

    @property
    def batches(self) -> Mapping[str, frozenset[str]]:
        """The sensors that came together, by topic."""
        return self._telemetry.batches

    @property
    def refused(self) -> Mapping[str, int]:
        """How many readings and reports were refused so far, by why."""
        return dict(self._telemetry.refused)

    def hear(self, message: Message, now: datetime) -> bool:
        """Take in a message of readings; False where it is none."""
        return self._telemetry.hear(message, now)

    def accept(self, name: str, feed: str | None, message: Message, now: datetime) -> bool:
        """Take in a signal or a report, `name` being its topic's; True where it is a new limit of the grid."""
        if name not in NAMES:
            self._telemetry.under(self.rentals.in_force(now))
            self._telemetry.accept(message, now)
            return False
        refused = self._signals.accept(name, message.payload, feed, now)
        if name in ORDERS and not refused:
            self._keep(name, message.payload)
        return name == "grid_limit" and not refused

    def submit(self, message: Message, now: datetime) -> str | None:
        """Take in a specification of a job; the answer is None, or why it is refused."""
        self._telemetry.under(self.rentals.in_force(now))
        return self._telemetry.accept(message, now)

    def owner(self, job: str) -> str | None:
        """Name the tenant of a job that is known, "" where it has none; None where no such job is known."""
        return self._telemetry.owner(job)

    def jobs(self) -> tuple[Job, ...]:
        """The jobs with work left, as their schedulers tell of them."""
        return self._telemetry.jobs()

    def jobs_of(self, tenant: str) -> int:
        """Count the jobs of a tenant."""
        return self._telemetry.jobs_of(tenant)

    def reported(self, pool: str, message: Message, now: datetime) -> tuple[bool, CapReported | None]:
        """Take in what the agent of a pool reports; whether it is taken, and the pool's report, None where it is refused or withdrawn."""
        refused = self._telemetry.accept(message, now)
        return not refused, None if refused else self._telemetry.reported(pool)

    def situation(self, now: datetime, proposals: tuple[Proposal, ...] | None = None, edges: Edges | None = None) -> Situation:
        """What is known at `now`, and what is commanded in the steps between `edges`; in the first step alone without them."""
        steps = edges or (now, now + FIRST_STEP)
        standing = self.desk.standing(now) if proposals is None else proposals
        leased = self.rentals.in_force(now)
        self._telemetry.under(leased)
        snapshot = self._telemetry.snapshot(now)
        self.ledger.lose(snapshot.gone_gpus, now)
        snapshot = self.ledger.known(snapshot)
        site = without(self._signals.loaded(leased, steps), snapshot.gone_gpus, now)
        outdoor_c = snapshot.outdoor_c
        if outdoor_c is None:
            outdoor_c = self._signals.warmest_c(now)
            last = snapshot.doubts.get(OUTDOOR)
            if last is not None and last.value is not None:
                outdoor_c = max(outdoor_c, last.value)
        asked = bounds(self._site, standing, now, steps, jobs={job.id: job.pool for job in snapshot.jobs})
        asked = self._signals.limited(asked, steps, standing)
        if edges is None and (target_kw := self._signals.target_kw(now)) is not None:
            asked = replace(asked, event_target_kw=(target_kw,))
        return Situation(now, site, snapshot, asked, outdoor_c)

    @property
    def allowed(self) -> Allowed:
        """What may be drawn from the grid whatever people command."""
        return self._signals.allowed

    def foreseen(self, edges: Edges) -> tuple[Site, Forecast]:
        """The site with every rental of the steps between `edges`, and what is expected for them."""
        site, gone = self.rentals.foreseen(edges), self._telemetry.gone(edges[0])
        rented = {**gpus_by_step(self._site, edges), **rented_gpus(self.rentals.standing(edges[0]), edges)}
        served = served_gpus(site, gone, {pool: gpus_left(site, pool, edges)[0] for pool in gone}, rented)
        return site, replace(self._signals.forecast(edges, site), rented_gpus={**rented, **served})

    def learn(self, here: Situation) -> None:
        """Keep in mind what is measured of what is to be expected later."""
        if here.snapshot.outdoor_c is not None and not here.snapshot.doubts.get(OUTDOOR):
            self._past.measure(OUTDOOR_C, here.now, here.snapshot.outdoor_c)

    def gone(self, now: datetime) -> Gone:
        """Count the GPUs that are gone, by pool."""
        return self._telemetry.gone(now)

    def owed(self, now: datetime) -> Mapping[str, Owed]:
        """Tell what is owed for GPUs that were gone, by contract; only where anything is."""
        site, found = self.rented(now), {}
        lacks = missed_gpus(site, self._telemetry.gone(now), now)
        for name, contract in site.contracts.items():
            missed_gpu_h = self.ledger.missed_gpu_h(name, now) if contract.gpus else 0.0
            if missed_gpu_h or name in lacks:
                found[name] = Owed(lacks.get(name, 0), missed_gpu_h, missed_gpu_h * price_per_gpu_h(contract))
        return found

    def rented(self, now: datetime) -> Site:
        """The site with its contracts as they were sold, whatever is left for them."""
        return self.rentals.in_force(now)

    def price_per_mwh(self, now: datetime) -> float:
        """The energy price at `now`, money/MWh: as it is told, else the site's own."""
        return self._signals.price_per_mwh((now, now + FIRST_STEP))

    def amiss(self, now: datetime) -> Mapping[str, str]:
        """What is wrong with signals from outside, by the name of their topic."""
        return self._signals.amiss(now)

    def use(self, here: Situation, sent: Decision, guarded: frozenset[str], *, planned: bool) -> None:
        """Know what tenants and jobs have from now on: caps as they were `sent`, by a plan or not; the guard holds down those of some pools."""
        ruled = frozenset(self._site.pools) if here.asked.mode != "normal" else commanded(here.asked)
        gone, enforced_w = here.snapshot.gone_gpus, here.snapshot.enforced_cap_w
        seen = Seen(sent, self.rentals.in_force(here.now), planned, self._telemetry.changes, gone, enforced_w, guarded, ruled)
        self.used.look(seen, self._telemetry.held, here.now)

    @property
    def events(self) -> tuple[Event, ...]:
        """What the grid operator ordered."""
        return self._signals.events

    def gpus(self, pool: str) -> tuple[str, ...]:
        """Name the GPUs of a pool, as far as its agent named them."""
        return self._telemetry.gpus(pool)

    def order(self, events: tuple[Event, ...]) -> None:
        """Know the grid events that were ordered another way than by their topic, all that stand now."""
        self._signals.ordered = events

    def begin_anew(self, now: datetime) -> None:
        """Know no more of what was measured than after a restart: where the clock was set back, it may be of a time that is still to come."""
        state = self._telemetry.dump()
        self._telemetry = Telemetry(self._site, self._note)
        self._telemetry.under(self.rentals.in_force(now))
        self._restore(state)

    def remember(self) -> None:
        """Write down what a restart must not lose. Raises StoreFault."""
        self.desk.store_ends()
        self.rentals.store_ends()
        self._journal.put_all({FACT: self._telemetry.dump(), MARGIN: self.margin.kept, **self._past.changed()})
        self._past.saved()
        self.ledger.remember()
        self.used.remember(self._clock.now())

    def _keep(self, order: str, payload: bytes) -> None:
        """Write down what the grid ordered; it acts, whether or not that can be."""
        try:
            if (self._journal.get(f"{SIGNAL} {order}") or b"") != payload:
                self._journal.put(f"{SIGNAL} {order}", payload)
        except StoreFault as fault:
            log.warning("%s acts and is lost with a restart, for it cannot be written down: %s", order, fault)

    def _pool_of(self) -> dict[str, str]:
        return {job.id: job.pool for job in self._telemetry.jobs()}

    def _restore(self, state: bytes) -> None:
        try:
            for lost in self._telemetry.restore(state, self._clock.now()):
                log.warning("%s", lost)
        except InputError as error:
            log.warning("what was known before could not be read: %s", error)
