"""Daemon: read, decide, verify, act, record - every cycle, and at once when an operator speaks.

One thread reads the bus, many messages at a time, and answers people (`attend`); it never solves. Another plans (`cycle`), woken by
the scheduler or by an override. They meet under one lock that is never held during a solve, so that an override acts while a plan is
being made.
Neither ends by an exception: a fault is logged once for each place and kind, counted in `faults`, and the next message is read.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TypeVar

from facility.bus.interface import Bus, Message
from facility.clock import Clock, milliseconds
from facility.daemon.answering.thinking.inquiry import Nobody, Thinker
from facility.daemon.faults import Faults
from facility.daemon.governor import Outcome
from facility.daemon.neighbours.pulse import last_will
from facility.daemon.question import UNHEARD, Question, answer, ask
from facility.daemon.reception import Reception
from facility.daemon.recording.record import cycle_record, note_plan
from facility.daemon.rooms import Rooms, rooms
from facility.daemon.set_back import NOTICED, SetBack
from facility.daemon.tally import Tally
from facility.daemon.upkeep import Upkeep
from facility.decide import Decided, Optimised, Undecided
from facility.history import Nowhere, Recorder
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.site import Site
from facility.steps import Edges, rolling
from models.solving.attempt import SolverOf
from models.solving.solver import Solver

log = logging.getLogger(__name__)

LOOK_S = 0.05
"""How often, at most, the bus thread looks at the clock; in between it only reads."""
AT_ONCE = 200
"""Messages that are taken before anything else is looked at: some milliseconds of work, also where they are large."""
CYCLES_KEPT = timedelta(days=30)
RETAINED_S = 0.5
"""How long a daemon that begins anew listens to what is retained before it goes on."""

T = TypeVar("T")

Planner = Callable[[Question], Decided | Undecided]
"""What a cycle is to do, for what it asked."""


class Daemon:
    """One instance of the service on one site. `bus` must have been made with `facility.daemon.neighbours.pulse.last_will` as its will.

    `planner` answers what a cycle asks, without the lock; without one it is `facility.daemon.question.answer`, and `solver_of` says where
    programs are solved: where that is a `models.solving.child`, a solver that hangs or dies ends its cycle in time, with the last plan.
    All that is left to chance comes from `random`. `thinker` thinks over what people ask; without one they are told that nobody does.
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
        planner: Planner | None = None,
        history: Recorder | Nowhere | None = None,
        random: Random | None = None,
        tally: Tally | None = None,
        thinker: Thinker | None = None,
    ) -> None:
        self._site, self._bus, self._journal, self._clock, self._instance = site, bus, journal, clock, instance
        self._planner = planner or partial(answer, solver_of=solver_of)
        self._history = history or Nowhere()
        self._lock, self._planning = threading.RLock(), threading.Lock()
        self._begun = self._concluded = 0
        self._closed, self._look_s = False, clock.elapsed_s()
        self._asked: Question | None = None
        self._asked_s, self._longest_s = 0.0, max(site.control.cycle_s, 2 * site.control.solver_budget_s)
        self._set_back, self._begins_s = SetBack(clock), math.inf
        self._random, self.tally, self._thinker = random or Random(), tally or Tally(), thinker or Nobody()
        self.faults = Faults()
        self._settle_in()
        self.wake: Callable[[], None] = lambda: None
        """Called when a new plan is wanted before the next cycle."""

    def _settle_in(self) -> None:
        """Furnish the rooms with what the journal knows."""
        self.rooms = rooms(
            self._site, self._bus, self._journal, self._clock, self._instance, self._history.note, self._random, self.tally, self._thinker
        )  # fmt: skip
        self._reception = Reception(self._site, self.rooms, self._instance, self._wake)
        self.upkeep = Upkeep(
            self._site, self._bus, self._clock, self.rooms, self._reception, self._history,
            instance=self._instance, cycles=lambda: (self._begun, self._concluded), wake=self._wake,
        )  # fmt: skip

    @property
    def outcome(self) -> Outcome:
        """The mode, and how the last cycle ended."""
        return self.rooms.governor.outcome

    @property
    def ready(self) -> bool:
        """Whether caps are in force: a plan's, an earlier one's, or the fallback."""
        return self.rooms.governor.in_force is not None

    def subscribe(self) -> None:
        """Ask the broker for everything the service reads."""
        for pattern, qos in self._reception.patterns:
            self._bus.subscribe(pattern, qos=qos)

    def start(self) -> None:
        """Go on where an earlier process ended: its last plan while that holds, and the overrides that still stand."""
        with self._lock, self.faults.survived("the start"):
            here, now = self.rooms, self._clock.now()
            standing = here.people.begin(now)
            here.rentals.begin(now)
            here.trust.look(now)
            here.disk.tell_lost((), now)
            here.known.order(here.exchange.events)
            here.governor.start(here.known.situation(now), at_once=standing or self._journal.put_aside is not None)
            here.book.write(now)

    def attend(self, timeout_s: float) -> None:
        """Take what came, or comes in time, and do what time asks for. The bus thread calls this for ever."""
        began_s = self._clock.elapsed_s()
        messages = self._bus.drain(timeout_s, AT_ONCE)
        with self._lock:
            self._follow_clock()
            self.rooms.effects.listened(began_s, self._clock.elapsed_s())
        if messages:
            with self._lock:
                for message in messages:
                    try:
                        self._reception.take(message, self._clock.now())
                    except Exception as error:
                        self.faults.note(error, "a message", f" on {message.topic[:200]}")
                self.rooms.book.write(self._clock.now())
                self._history.hand_over()
        if not messages or self._clock.elapsed_s() - self._look_s >= LOOK_S:
            self._look_s = self._clock.elapsed_s()
            with self._lock, self.faults.survived("keeping time"):
                if self._set_back.unseen:
                    return
                self.upkeep.keep(self._clock.now())
                self._give_up()
                self.rooms.book.write(self._clock.now())

    def hear(self, message: Message) -> None:
        """Take in a message that did not come over the bus; from any thread."""
        with self._lock, self.faults.survived("a message", f" on {message.topic[:200]}"):
            self._reception.take(message, self._clock.now())
            self.rooms.book.write(self._clock.now())
            self._history.hand_over()

    def cycle(self) -> Outcome:
        """Make a plan and act on it; of two calls the second waits for the first. Never raises.

        It ends as published, held or safe, with a reason, whatever fails in it.
        """
        if self._begins_s < math.inf or self._set_back.waits:
            return self.outcome
        with self._planning, self.faults.survived("a cycle"):
            with self._lock:
                self._begun += 1
                self._asked, self._asked_s = None, self._clock.elapsed_s()
                self.rooms.punctuality.begins(self._clock.now())
                asked = self._asked = self._ask(rolling(self._clock.now()))
                if asked is None:
                    self._concludes()
            if asked is not None:
                found = self._answered(asked)
                with self._lock:
                    self._end(asked, found)
        return self.outcome

    def missed(self, why: str) -> None:
        """Hear that a cycle did not begin in time; from any thread."""
        with self._lock, self.faults.survived("a missed cycle"):
            self.rooms.punctuality.missed(why, self._clock.now())

    def stood_still(self, seconds: float) -> None:
        """Tell people that nobody was attended to for so long."""
        with self._lock, self.faults.survived("an alarm"):
            self.upkeep.passing.stood(seconds, self._clock.now())

    def follows_a_death(self) -> None:
        """Tell people that the process before this one ended without a word."""
        with self._lock, self.faults.survived("an alarm"):
            self.upkeep.passing.died(self._clock.now())

    def within(self, do: Callable[[Rooms, datetime], T]) -> T:
        """Do something with the rooms at the present instant, under the lock; from any thread."""
        with self._lock:
            return do(self.rooms, self._clock.now())

    def retire(self) -> None:
        """Write down what a successor in this process needs; this one sends nothing any more, and says nothing of its end."""
        with self._lock:
            self._closed = True
            with self.faults.survived("writing down what is known"):
                self.rooms.book.write(self._clock.now())
                self.rooms.disk.remember(self.rooms.known.remember)

    def close(self) -> None:
        """Write down what a restart needs, and say goodbye."""
        with self._lock:
            self.retire()
            ended = Entry(self._clock.now(), "service", "stopped", self._instance, f"epoch {self.rooms.epoch}")
            self.rooms.account.note(ended, to_disk=True)
            self.rooms.gate.publish(last_will(self._site, self._instance, "stopped"))

    def _wake(self) -> None:
        self.wake()

    def _ask(self, edges: Edges) -> Question | None:
        """What to plan from; None where that cannot be told, and then what was sent goes on without."""
        known, governor = self.rooms.known, self.rooms.governor
        try:
            known.ledger.count(edges[0], governor.in_force)
            return ask(known, governor, self.rooms.committed.kw(edges), edges, unheard=self.rooms.pulse.silent)
        except Exception as error:
            self.faults.note(error, "a question")
            here = known.situation(edges[0])
            governor.conclude(_failed("what a plan is made from could not be gathered", error), "", here, here)
            return None

    def _answered(self, asked: Question) -> Decided | Undecided:
        try:
            return self._planner(asked)
        except Exception as error:
            self.faults.note(error, "the planner")
            return _failed("the planner failed", error)

    def _follow_clock(self) -> None:
        """Begin anew where somebody set the clock back: what is known, commanded and in force may be of no time that is still to come.

        While the journal cannot be written nothing can begin: what is in force goes on by the new time then, without plans.
        """
        back = self._set_back
        if back.look():
            self._asked = None
            with self.faults.survived("a clock that was set back"):
                if not self._began_anew():
                    self._go_on()
        elif back.waits and back.by <= NOTICED and not back.stored:
            back.over()
            self.wake()
        elif back.waits and not self._journal.trouble:
            with self.faults.survived("a clock that was set back"):
                self._began_anew()
        elif self._clock.elapsed_s() >= self._begins_s:
            self._begins_s = math.inf
            self.start()
            self.wake()

    def _began_anew(self) -> bool:
        """Furnish the rooms again, with what the journal knows; False where it cannot be written."""
        if not self._journal.probe():
            return False
        here, now, back = self.rooms, self._clock.now(), self._set_back.by
        with self.faults.survived("writing down what is known"):
            here.book.write(now)
            here.account.retry()
            here.known.remember()
        self._journal.set_back(back - self._set_back.stored)
        self._set_back.stored = back
        self._settle_in()
        self._set_back.over()
        self.rooms.account.note(Entry(now, "service", "clock set back", self._instance, f"by {back}"))
        self.subscribe()
        self._begins_s = self._clock.elapsed_s() + RETAINED_S
        return True

    def _go_on(self) -> None:
        """Let what is in force go on in the rooms as they are, no longer than it may by the new time, and hear anew what is measured."""
        here, now = self.rooms, self._clock.now()
        here.known.begin_anew(now)
        if here.governor.in_force is not None:
            here.governor.resume(here.actuator.as_sent(here.governor.in_force), now)
        here.governor.start(here.known.situation(now), at_once=True)
        self.subscribe()

    def _give_up(self) -> None:
        """End a cycle whose planner has not come back; what it finds after that is too late."""
        if self._asked is not None and self._clock.elapsed_s() - self._asked_s > self._longest_s:
            self._end(self._asked, Undecided(f"planning has not ended within {self._longest_s:g} s"))

    def _end(self, asked: Question, found: Decided | Undecided) -> None:
        """End a cycle, once."""
        if self._asked is asked and not self._closed and not self._set_back.unseen:
            self._asked = None
            try:
                self._conclude(asked, found)
            finally:
                self._concludes(found)

    def _concludes(self, found: Decided | Undecided | None = None) -> None:
        """A cycle is over; None: nothing was asked in it."""
        self.rooms.punctuality.concludes(self._clock.now())
        now_s = self._clock.elapsed_s()
        self.tally.concludes(self.outcome.outcome, now_s, now_s - self._asked_s)
        if isinstance(found, Optimised):
            self.tally.build.note(found.plan.record.build_s)
            self.tally.solve.note(found.plan.record.solve_s)

    def _conclude(self, asked: Question, found: Decided | Undecided) -> None:
        """Follow what was found, or what goes on without it, and write it down."""
        known, governor = self.rooms.known, self.rooms.governor
        self.rooms.questions.newest = asked
        if self.rooms.pulse.silent:  # since a while ago, or since it fell silent amid the solve
            found = Undecided(UNHEARD)
        known.ledger.count(self._clock.now(), governor.in_force)
        here = known.situation(self._clock.now())
        plan_id = f"{asked.edges[0]:%Y%m%dT%H%M%SZ}-{self.rooms.epoch}-{self._begun}"
        try:
            governor.conclude(found, plan_id, asked.made, here)
            self._concluded = self._begun
        except Exception as error:
            found = _failed("the plan could not be sent", error)  # nor could it be written down
            governor.safe(here, found.reason)
            raise
        finally:
            known.ledger.count(here.now, governor.in_force)
            self.rooms.use(here)
            if governor.plan is found:
                self.rooms.board.made_for(asked.made.snapshot.jobs, asked.forecast, asked.made.asked.kept_back_kw)
                if isinstance(found, Optimised):
                    note_plan(self._site, found.plan, milliseconds(here.now), self._history.note)
            self._write_down(asked, found, plan_id, here.now)

    def _write_down(self, asked: Question, found: Decided | Undecided, plan_id: str, now: datetime) -> None:
        """Tell the plan, and keep the cycle in the journal."""
        governor, book = self.rooms.governor, self.rooms.book
        self.rooms.board.tell(governor, now)
        with self.faults.survived("the journal"):
            kept = book.keeper.cycle(asked, found, plan_id, self.rooms.epoch)
            book.cycle(cycle_record(self._begun, governor.outcome, kept, governor.in_force, governor.verdict), now)
            book.write(now)
            self.rooms.disk.remember(self.rooms.known.ledger.remember)
            self.rooms.disk.remember(partial(self.rooms.called.look, self.rooms.known.events, now))
            self.rooms.disk.remember(partial(self.rooms.known.used.remember, now))
            usage_kept = timedelta(days=self._site.history.usage_days)
            self.rooms.disk.remember(partial(self._journal.prune, asked.edges[0] - CYCLES_KEPT, asked.edges[0] - usage_kept))


def _failed(what: str, error: Exception) -> Undecided:
    return Undecided(f"{what}: {type(error).__name__}: {error}")


def instance_name() -> str:
    """A name for one process of the service."""
    return f"facility-{uuid.uuid4().hex[:8]}"
