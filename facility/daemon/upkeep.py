"""Upkeep: what time asks for, whether or not anything comes in. Under the daemon's lock.

| every          | what                                                                                        |
|----------------|---------------------------------------------------------------------------------------------|
| look           | hours are counted, overrides, rentals and shelves begin and end, what has lapsed goes on or |
|                | falls back, and so does what breaks an invariant; questions that were thought over are answered |
| pause          | caps rise by a step                                                                         |
| `JUDGED_S`     | what is in force is held against what feeders carry, as things are by now                   |
| `GUARD_S`      | the meter is held against the limit, sensors are looked at, load targets and tenants are told, |
|                | what tenants and jobs have is counted                                                       |
| heartbeat      | the status is told, as with every change of mode, and the broker's silence noticed           |
| `FACTS_EVERY_S`| what a restart must not lose is written down                                                |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from facility import __version__
from facility.bus.interface import Bus
from facility.bus.messages import Status
from facility.clock import Clock, milliseconds
from facility.daemon.question import UNHEARD
from facility.daemon.reception import Reception
from facility.daemon.recording.record import note_decision
from facility.daemon.rooms import Rooms
from facility.daemon.situation import Situation
from facility.daemon.telling.passing import Passing
from facility.history import Nowhere, Recorder
from facility.rental.spans import absent
from facility.site import Site

FIRST_PLAN_S = 5.0
"""How long the start waits for a plan before fallback caps are sent."""
GUARD_S = 0.5
"""How often the meter is held against the limit."""
JUDGED_S = 10.0
"""How often what is in force is judged again; what makes feeders carry less in between, a wire or a person tells at once."""
FACTS_EVERY_S = 60.0


class Upkeep:
    """`cycles` tells how many cycles began and how many of them concluded."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        clock: Clock,
        rooms: Rooms,
        reception: Reception,
        history: Recorder | Nowhere,
        *,
        instance: str,
        cycles: Callable[[], tuple[int, int]],
        wake: Callable[[], None],
    ) -> None:
        self._site, self._bus, self._clock, self._rooms, self._reception = site, bus, clock, rooms, reception
        self._history, self._instance, self._cycles, self._wake = history, instance, cycles, wake
        self.passing = Passing(rooms.alarms, clock)
        self._connections = 0
        self._noted = 0
        self._mode: str | None = None
        self._absent = absent(site, clock.now())
        self.seen: Situation | None = None
        """How things were when the guard looked last."""
        self.began_s = self.guard_s = self.judged_s = self.facts_s = clock.elapsed_s()

    def keep(self, now: datetime) -> None:
        """Do what is due."""
        rooms, real_s = self._rooms, self._clock.elapsed_s()
        governor = rooms.governor
        rooms.known.ledger.count(now, governor.in_force)
        if rooms.people.keep_up(now) | rooms.rentals.keep_up(now) | self._moved(now):
            self._reception.act(now)
        if governor.in_force is None and real_s - self.began_s > FIRST_PLAN_S:
            governor.safe(rooms.known.situation(now), governor.outcome.reason)
        elif governor.lapsed(now):
            governor.keep(rooms.known.situation(now))
        if real_s - self.guard_s >= GUARD_S:
            self.guard_s = real_s
            self._guard(now)
        if rooms.actuator.due(now) and rooms.release(rooms.known.situation(now)):
            self._wake()
        amid = self._clock.now() < now  # a clock that was set back: what was found has to do with it, and all begins anew
        if not amid and (reason := rooms.breaches.look(now)) and governor.outcome.mode != "SAFE":
            governor.safe(rooms.known.situation(now), reason)
        rooms.rivals.look(now)
        self.passing.look(now)
        rooms.disk.look(now)
        rooms.rivals.follow(self._bus.taken_over, now)
        rooms.shelving.keep_up(now)
        rooms.questions.keep_up(now)
        rooms.punctuality.look(now)
        rooms.alarms.look(now)
        rooms.alarms.follow_history(self._history.trouble, now)
        if governor.in_force is not None and rooms.actuator.seq != self._noted:
            self._noted = rooms.actuator.seq
            sent = replace(rooms.actuator.as_sent(governor.in_force), batteries=rooms.actuator.batteries)
            note_decision(self._site, sent, milliseconds(now), self._history.note)
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            rooms.republish(now)
        was_silent, due = rooms.pulse.silent, rooms.pulse.due()
        if rooms.pulse.silent and not was_silent:
            governor.unheard(rooms.known.situation(now), UNHEARD)
        if due or governor.outcome.mode != self._mode:
            self._mode = governor.outcome.mode
            rooms.pulse.beat(self.status(now))
        if real_s - self.facts_s >= FACTS_EVERY_S:
            self.facts_s = real_s
            rooms.disk.remember(rooms.known.remember)
            rooms.disk.remember(partial(rooms.called.look, rooms.known.events, now))
            rooms.trust.look(now)

    def _moved(self, now: datetime) -> bool:
        """Whether contracts of the site file got their GPUs, or gave them back, since the last call."""
        was, self._absent = self._absent, absent(self._site, now)
        return was != self._absent

    def _guard(self, now: datetime) -> None:
        rooms = self._rooms
        governor = rooms.governor
        self._reception.miss(now)
        here = self.seen = rooms.known.situation(now)
        if governor.look(here):
            self._wake()
        governor.guard(here)
        if (real_s := self._clock.elapsed_s()) - self.judged_s >= JUDGED_S:
            self.judged_s = real_s
            governor.judge_again(here)
        rooms.alarms.follow_guard(governor.warned, now)
        rooms.tenants.tell(here, governor.in_force)
        waiting = bool(rooms.actuator.waiting)
        defiant = {pool: rooms.known.gpus(pool) for pool in rooms.actuator.too_high}
        if rooms.exchange.follow(here, governor.in_force, waiting=waiting, plans=self._cycles()[1], defiant=defiant):
            self._reception.obey(now)
        rooms.alarms.follow_signals(rooms.known.amiss(now), now)
        rooms.losses.look(now)
        rooms.leaving.look(now)
        rooms.heeding.look(now, unheard=rooms.pulse.silent)
        rooms.use(here)
        rooms.watch.look(here.snapshot, rooms.known.batches)

    def status(self, now: datetime) -> Status:
        """Tell how the service is."""
        outcome = self._rooms.governor.outcome
        return Status(
            instance=self._instance,
            mode=outcome.mode,
            cycle=self._cycles()[0],
            heartbeat=int(now.timestamp() * 1000),
            since=outcome.since,
            reason=outcome.reason[:1000],
            version=__version__,
            epoch=self._rooms.epoch,
            seq=self._rooms.actuator.seq,
            plan_id=self._rooms.governor.plan_id or None,
            alarms=self._rooms.alarms.ids,
            shelved=self._rooms.shelving.shelved,
        )
