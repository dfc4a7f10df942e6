"""Daemon: read, decide, verify, act, record - every cycle, and at once when an operator speaks.

One thread reads the bus, many messages at a time, and answers people (`attend`); it never solves. Another plans (`cycle`), woken by
the scheduler or by an override. They meet under one lock that is never held during a solve, so that an override acts while a plan is
being made.
Neither ends by an exception: a fault is logged once for each place and kind, counted in `faults`, and the next message is read.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from facility import __version__
from facility.bus.interface import Bus, Message
from facility.bus.messages import CapReported, Status
from facility.bus.topics import Topics
from facility.clock import Clock, milliseconds
from facility.daemon.account import Account
from facility.daemon.actuate import Actuator
from facility.daemon.alarms import Alarms
from facility.daemon.answers import Answers
from facility.daemon.commitment import Commitment
from facility.daemon.exchange import Exchange
from facility.daemon.governor import Governor, Outcome
from facility.daemon.knowledge import Knowledge
from facility.daemon.people import People
from facility.daemon.pulse import Pulse, last_will
from facility.daemon.record import cycle_record, decision_in, note_decision, note_plan
from facility.daemon.rentals import Rentals
from facility.daemon.rivals import Rivals
from facility.daemon.situation import Situation
from facility.daemon.tenants import Tenants
from facility.daemon.trust import Trust
from facility.daemon.watch import Watch
from facility.decide import Decided, Undecided, decide
from facility.decision import Decision
from facility.events import Event
from facility.forecast import Forecast
from facility.history import Nowhere, Recorder
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.overrides.proposal import Proposal
from facility.problem import called
from facility.rental.rental import Rental
from facility.report.current import plan_payload
from facility.signals import NAMES
from facility.site import Site
from facility.steps import Edges, rolling
from models.solving.attempt import SolverOf
from models.solving.solver import Solver

log = logging.getLogger(__name__)

FIRST_PLAN_S = 5.0
"""How long the start waits for a plan before fallback caps are sent."""
LOOK_S = 0.05
"""How often, at most, the bus thread looks at the clock; in between it only reads."""
AT_ONCE = 200
"""Messages that are taken before anything else is looked at: some milliseconds of work, also where they are large."""
GUARD_S = 0.5
"""How often the meter is held against the limit."""
UNHEARD = "the broker does not answer: what is sent may reach nobody"
FACTS_EVERY_S = 60.0
CYCLES_KEPT = timedelta(days=30)
PATTERNS = (
    "grid/#", "signal/#", "override/#", "alarm/+", "job/+/spec", "job/+/reported", "cap/+/+/reported", "svc/+/status", "position/set",
    "contract/+/set", "contract/+/clear", "contract/+/state",
)  # fmt: skip
"""What is read beside readings, below the site's root."""
STRANGERS = "tenant/+/job/+/spec"
"""What others than our own send: it must not overtake readings, as commands do."""


class Daemon:
    """One instance of the service on one site. `bus` must have been made with `facility.daemon.pulse.last_will` as its will.

    `solver_of` says where programs are solved. Where that is a `models.solving.child`, a solver that hangs or dies ends its cycle in
    time, with the last plan.
    """

    def __init__(
        self,
        site: Site,
        bus: Bus,
        journal: Journal,
        clock: Clock,
        *,
        instance: str = "daemon",
        solver_of: SolverOf = Solver,
        history: Recorder | Nowhere | None = None,
    ) -> None:
        self._site, self._bus, self._journal, self._clock, self._instance = site, bus, journal, clock, instance
        self._solver_of = solver_of
        self._topics = Topics(site.bus.root, site.id)
        self._lock = threading.RLock()
        self._planning = threading.Lock()
        self._history = history or Nowhere()
        self._known = Knowledge(site, journal, clock, self._history.note)
        self._account = Account(journal)
        self._alarms = Alarms(site, bus, self._account)
        self._watch = Watch(site, bus, self._alarms)
        answers = Answers(site, bus, self._alarms, self._account)
        self._people = People(site, bus, self._known.desk, answers)
        self._rentals = Rentals(site, bus, self._known.rentals, answers)
        self._committed = Commitment(site, bus, journal, answers)
        self._tenants, self._trust = Tenants(site, bus, self._known), Trust(site, self._alarms)
        self._exchange = Exchange(site, bus, journal, self._alarms, self._account)
        self._epoch = journal.next_epoch()
        self._rivals = Rivals(self._alarms, self._epoch)
        self._actuator = Actuator(site, bus, journal, self._epoch)
        lost = f"the journal was damaged and lies at {journal.put_aside}; " if journal.put_aside is not None else ""
        began = f"version {__version__}, epoch {self._epoch}"
        self._account.note(Entry(clock.now(), "service", "started", instance, f"{lost}{began}"), to_disk=True)
        self._governor = Governor(site, self._actuator, clock.now(), f"{lost}no plan yet", self._note_mode)
        last = journal.last_published()
        if last is not None and (decision := decision_in(last)) is not None:
            self._governor.resume(decision)
            self._actuator.resume(decision, clock.now())
            self._known.ledger.resume(decision)
        self._pulse = Pulse(site, bus, instance)
        self._cycle = self._concluded = self._connections = 0
        self._forecast: Forecast | None = None
        self._plan_told, self._closed = b"", False
        self._noted: Decision | None = None
        self._began_s = self._look_s = self._guard_s = self._facts_s = time.monotonic()
        self.faults: Counter[str] = Counter()
        self.wake: Callable[[], None] = lambda: None
        """Called when a new plan is wanted before the next cycle."""

    @property
    def outcome(self) -> Outcome:
        """The mode, and how the last cycle ended."""
        return self._governor.outcome

    def subscribe(self) -> None:
        """Ask the broker for everything the service reads."""
        own = (f"{self._site.bus.root}/{self._site.id}/{pattern}" for pattern in PATTERNS)
        for pattern in (*own, *self._known.patterns):
            self._bus.subscribe(pattern, qos=1)
        self._bus.subscribe(f"{self._site.bus.root}/{self._site.id}/{STRANGERS}", qos=0)
        for pattern, qos in self._exchange.patterns:
            self._bus.subscribe(pattern, qos=qos)

    def start(self) -> None:
        """Go on where an earlier process ended: its last plan while that holds, and the overrides that still stand."""
        with self._lock, self._survives("the start"):
            now = self._clock.now()
            standing = self._people.keep_up(now)
            self._rentals.keep_up(now)
            self._trust.look(now)
            self._known.order(self._exchange.events)
            self._governor.start(self._known.situation(now), at_once=standing or self._journal.put_aside is not None)

    def attend(self, timeout_s: float) -> None:
        """Take what came, or comes in time, and do what time asks for. The bus thread calls this for ever."""
        messages = self._bus.drain(timeout_s, AT_ONCE)
        if messages:
            with self._lock:
                for message in messages:
                    try:
                        self._take(message)
                    except Exception as error:
                        self._count(error, "a message", f" on {message.topic[:200]}")
                self._history.hand_over()
        if not messages or time.monotonic() - self._look_s >= LOOK_S:
            self._look_s = time.monotonic()
            with self._lock, self._survives("keeping time"):
                self._keep_time()

    def hear(self, message: Message) -> None:
        """Take in a message that did not come over the bus; from any thread."""
        with self._lock, self._survives("a message", f" on {message.topic[:200]}"):
            self._take(message)
            self._history.hand_over()

    def cycle(self) -> Outcome:
        """Make a plan and act on it; of two calls the second waits for the first. Never raises."""
        with self._planning, self._survives("a cycle"):
            self._one_cycle()
        return self._governor.outcome

    def close(self) -> None:
        """Write down what a restart needs, and say goodbye."""
        with self._lock:
            self._closed = True
            with self._survives("writing down what is known"):
                self._known.remember()
            self._account.note(Entry(self._clock.now(), "service", "stopped", self._instance, f"epoch {self._epoch}"), to_disk=True)
            self._bus.publish(last_will(self._site, self._instance, "stopped"))

    # --- what comes in ---------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        now = self._clock.now()
        if self._known.hear(message, now):
            return
        if self._exchange.hears(message.topic):
            if self._exchange.answer(message, now):
                self._known.order(self._exchange.events)
                self._obey(now)
            return
        found = self._topics.parse(message.topic)
        if found is None:
            return
        name, ids = found
        match name:
            case "override_set" | "override_clear":
                if self._people.answer(name, ids["target"], message, now, self._limits):
                    self._act(now)
            case "contract_set" | "contract_clear":
                if self._rentals.answer(name, ids["contract"], message, now):
                    self._act(now)
            case "contract_state":
                self._rentals.correct(ids["contract"], message, now)
            case "position_set":
                if self._committed.answer(message, now):
                    self.wake()
            case "override_state":
                self._people.correct(ids["target"], message, now)
            case "alarm":
                self._alarms.correct(ids["alarm"], message)
            case "status" if ids["instance"] == self._instance:
                if not message.retain and self._pulse.echo(message.payload):
                    self.wake()
            case "status":
                self._rivals.hear(ids["instance"], message.payload, now, retained=message.retain)
            case "tenant_job_spec":
                self._tenants.submit(ids["tenant"], ids["job"], message, now)
            case "override_result":
                pass
            case "cap_reported":
                report = self._known.reported(ids["pool"], message, now)
                if report is not None:
                    self._read_back(ids["pool"], report, message, now)
            case _:
                if self._known.accept(name, ids.get("feed"), message, now):
                    self._obey(now)
                if name in NAMES:
                    self._alarms.follow_signals(self._known.amiss(now), now)

    def _act(self, now: datetime) -> None:
        """What is commanded has changed: bring it into force now, and ask for a plan around it."""
        self.wake()
        self._governor.enforce(self._known.situation(now))

    def _obey(self, now: datetime) -> None:
        """The grid allows less or more: before the first plan that is for the plan to know."""
        self.wake()
        if self._governor.in_force is not None:
            self._governor.enforce(self._known.situation(now))

    def _read_back(self, pool: str, report: CapReported, message: Message, now: datetime) -> None:
        self._rivals.see(pool, report, now)
        told = self._actuator.read_back(pool, report, retained=message.retain)
        self._alarms.follow_cap(pool, self._actuator.too_high.get(pool), now, place=message.topic)
        if told and self._actuator.waiting:
            here = self._known.situation(now)
            self._actuator.release(here.site, here.snapshot, here.outdoor_c, now)

    def _limits(self, proposal: Proposal) -> tuple[float | None, str]:
        """The highest cap that every feeder carries, as things are; other kinds are not limited further."""
        if proposal.kind != "cap_w" or proposal.value is None:
            return None, ""
        now = self._clock.now()

        def holds(cap_w: int) -> bool:
            tried = replace(proposal, value=float(cap_w), start=now, end=now + timedelta(hours=1))
            return self._governor.accepts(self._known.situation(now, (*self._known.desk.standing(now), tried)))

        low, high = min(model.min_cap_w for model in self._site.gpu_models.values()), int(proposal.value)
        if low >= high or holds(high):
            return None, ""
        while low < high - 1:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return float(low), f"above {low} W the sum of caps would not fit under the feeders"

    def _note_mode(self, before: Outcome, now: datetime) -> None:
        outcome = self._governor.outcome
        self._account.note(Entry(now, "mode", outcome.mode, "site", outcome.reason, result=before.mode))

    # --- what time asks for ----------------------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        now, real_s = self._clock.now(), time.monotonic()
        self._known.ledger.count(now, self._governor.in_force)
        if self._people.keep_up(now) | self._rentals.keep_up(now):
            self._act(now)
        if self._governor.in_force is None and real_s - self._began_s > FIRST_PLAN_S:
            self._governor.safe(self._known.situation(now), self._governor.outcome.reason)
        elif self._governor.lapsed(now):
            self._governor.keep(self._known.situation(now))
        if real_s - self._guard_s >= GUARD_S:
            self._guard_s = real_s
            here = self._known.situation(now)
            if self._governor.look(here):
                self.wake()
            self._governor.guard(here)
            self._tenants.tell(here, self._governor.in_force)
            waiting = bool(self._actuator.waiting)
            defiant = {pool: self._known.gpus(pool) for pool in self._actuator.too_high}
            if self._exchange.follow(here, self._governor.in_force, waiting=waiting, plans=self._concluded, defiant=defiant):
                self._obey(now)
            self._alarms.follow_signals(self._known.amiss(now), now)
            self._watch.look(here.snapshot, self._known.batches)
        self._rivals.look(now)
        self._alarms.follow_history(self._history.trouble, now)
        if self._governor.in_force is not self._noted:
            self._noted = self._governor.in_force
            note_decision(self._site, self._noted, milliseconds(now), self._history.note)
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            self._pulse.connected()
            self._actuator.republish(now)
            self._people.republish(now)
            self._rentals.republish(now)
            self._committed.republish()
            self._exchange.republish()
            self._alarms.republish()
            self._tenants.republish()
            self._watch.republish()
            self._tell_plan()
        was_silent, due = self._pulse.silent, self._pulse.due()
        if self._pulse.silent and not was_silent:
            self._governor.unheard(self._known.situation(now), UNHEARD)
        if due:
            self._pulse.beat(self._status(now))
        if real_s - self._facts_s >= FACTS_EVERY_S:
            self._facts_s = real_s
            self._known.remember()
            self._trust.look(now)

    def _status(self, now: datetime) -> Status:
        outcome = self._governor.outcome
        return Status(
            instance=self._instance,
            mode=outcome.mode,
            cycle=self._cycle,
            heartbeat=int(now.timestamp() * 1000),
            since=outcome.since,
            reason=outcome.reason[:1000],
            version=__version__,
            epoch=self._epoch,
            seq=self._actuator.seq,
            plan_id=self._governor.plan_id or None,
            alarms=self._alarms.ids,
        )

    def _tell_plan(self) -> None:
        if self._plan_told:
            self._bus.publish(Message(self._topics.plan(), self._plan_told, qos=1, retain=True))

    # --- the cycle -------------------------------------------------------------------------------------------------------

    def _one_cycle(self) -> None:
        now = self._clock.now()
        edges = rolling(now)
        with self._lock:
            self._cycle += 1
            self._known.ledger.count(now, self._governor.in_force)
            proposals = self._known.desk.standing(now)
            made = self._governor.tightened(self._known.situation(now, proposals, edges))
            made = replace(made, asked=replace(made.asked, position_kw=self._committed.kw(edges)))
            (site, forecast), events = self._known.foreseen(edges), self._known.events
            rentals = self._known.rentals.standing(now)
            near_kw = self._governor.near_kw(edges)
        forecast.outdoor_c[0] = made.outdoor_c
        found = self._find(made, site, forecast, events, edges, near_kw)
        with self._lock:
            if self._closed:
                return
            if self._pulse.silent:  # since a while ago, or since it fell silent amid the solve
                found = Undecided(UNHEARD)
            self._known.ledger.count(self._clock.now(), self._governor.in_force)
            here = self._known.situation(self._clock.now())
            try:
                self._governor.conclude(found, f"{now:%Y%m%dT%H%M%SZ}-{self._epoch}-{self._cycle}", made, here)
                self._concluded = self._cycle
            except Exception as error:
                self._governor.safe(here, f"the plan could not be sent: {type(error).__name__}: {error}")
                raise
            finally:
                self._known.ledger.count(here.now, self._governor.in_force)
                if self._governor.plan is found:
                    self._forecast = forecast
                    note_plan(self._site, found.plan, milliseconds(here.now), self._history.note)
                self._write_down(made, proposals, rentals, forecast, events, near_kw, here.now)

    def _find(
        self,
        made: Situation,
        site: Site,
        forecast: Forecast,
        events: tuple[Event, ...],
        edges: Edges,
        near_kw: Mapping[str, tuple[float, ...]],
    ) -> Decided | Undecided:
        """Solve for `site`, the one foreseen; what goes wrong in there is an outcome, not the end."""
        if made.asked.mode != "normal":
            return Undecided(f"an operator drives: {made.asked.mode}")
        if self._pulse.silent:
            return Undecided(UNHEARD)
        try:
            asked = called(site, made.snapshot, forecast, made.asked, events, edges)
            budget_s = site.control.solver_budget_s
            found = decide(site, made.snapshot, forecast, asked, edges, budget_s, None, near_kw, self._solver_of)
        except Exception as error:
            log.exception("the planner failed")
            return Undecided(f"the planner failed: {type(error).__name__}: {error}")
        if isinstance(found, Decided):  # the decision has its reasons by now
            found.plan.why.forget()
        return found

    def _write_down(
        self,
        made: Situation,
        proposals: tuple[Proposal, ...],
        rentals: tuple[Rental, ...],
        forecast: Forecast,
        events: tuple[Event, ...],
        near_kw: Mapping[str, tuple[float, ...]],
        now: datetime,
    ) -> None:
        """Tell the plan, and keep the cycle in the journal."""
        governor, outcome = self._governor, self._governor.outcome
        if governor.plan is not None and self._forecast is not None:
            self._plan_told = plan_payload(
                self._site, governor.plan, self._forecast, governor.plan_id, now, outcome.mode, outcome.reason
            )
            self._tell_plan()
        with self._survives("the journal"):
            self._known.ledger.remember()
            self._journal.record_cycle(
                cycle_record(
                    self._cycle,
                    outcome,
                    made.snapshot,
                    proposals,
                    rentals,
                    forecast,
                    made.asked,
                    events,
                    near_kw,
                    governor.in_force,
                    governor.verdict,
                )
            )
            self._journal.prune(made.now - CYCLES_KEPT)

    @contextmanager
    def _survives(self, place: str, detail: str = "") -> Iterator[None]:
        """Let nothing out; say it once for each place and kind of fault, and count it."""
        try:
            yield
        except Exception as error:
            self._count(error, place, detail)

    def _count(self, error: Exception, place: str, detail: str) -> None:
        kind = f"{type(error).__name__} in {place}"
        self.faults[kind] += 1
        if self.faults[kind] == 1:
            log.error("a fault in %s%s; from now on it is only counted", place, detail, exc_info=error)


def instance_name() -> str:
    """A name for one process of the service."""
    return f"facility-{uuid.uuid4().hex[:8]}"
