"""Rooms: the parts of a daemon, each with one task, and how they know each other. To be used under the daemon's lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random

from facility import __version__
from facility.alarms.shelves import Shelves
from facility.bus.interface import Bus
from facility.clock import Clock
from facility.daemon.answering.answers import Answers
from facility.daemon.answering.commitment import Commitment
from facility.daemon.answering.effects import Effects
from facility.daemon.answering.people import People
from facility.daemon.answering.questions import Questions
from facility.daemon.answering.rentals import Rentals
from facility.daemon.answering.shelving import Shelving
from facility.daemon.answering.tenants import Tenants
from facility.daemon.answering.thinking.inquiry import Thinker
from facility.daemon.governor import Governor, Outcome
from facility.daemon.knowledge import Knowledge
from facility.daemon.neighbours.exchange import Exchange
from facility.daemon.neighbours.pulse import Pulse
from facility.daemon.neighbours.rivals import Rivals
from facility.daemon.recording.account import Account
from facility.daemon.recording.called import Called
from facility.daemon.recording.logbook import Logbook
from facility.daemon.recording.record import decision_in
from facility.daemon.ruling import Ruling
from facility.daemon.sending.actuate import Actuator
from facility.daemon.sending.gate import Gate
from facility.daemon.situation import Situation
from facility.daemon.tally import Tally
from facility.daemon.telling.alarms import Alarms
from facility.daemon.telling.breaches import Breaches
from facility.daemon.telling.disk import Disk
from facility.daemon.telling.heeding import Heeding
from facility.daemon.telling.leaving import Leaving
from facility.daemon.telling.losses import Losses
from facility.daemon.telling.notice_board import NoticeBoard
from facility.daemon.telling.punctuality import Punctuality
from facility.daemon.telling.trust import Trust
from facility.daemon.telling.watch import Watch
from facility.decision import Decision
from facility.history import Note
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.site import Site
from facility.verify import Violation


@dataclass(frozen=True)
class Rooms:
    """What is known, who is answered, what is watched, and what is sent - all of it through `gate`."""

    epoch: int
    tally: Tally
    known: Knowledge
    account: Account
    called: Called
    alarms: Alarms
    shelving: Shelving
    watch: Watch
    people: People
    effects: Effects
    rentals: Rentals
    questions: Questions
    losses: Losses
    leaving: Leaving
    heeding: Heeding
    committed: Commitment
    tenants: Tenants
    trust: Trust
    exchange: Exchange
    rivals: Rivals
    gate: Gate
    breaches: Breaches
    book: Logbook
    disk: Disk
    actuator: Actuator
    governor: Governor
    pulse: Pulse
    punctuality: Punctuality
    board: NoticeBoard

    def release(self, here: Situation) -> bool:
        """Let caps rise as far as they may by now, and by what is measured; True where a plan may raise more."""
        wanted = self.governor.look(here)
        self.gate.see(here)
        self.actuator.release(here.site, here.snapshot, here.outdoor_c, here.now)
        return wanted

    def use(self, here: Situation) -> None:
        """Count what tenants and jobs have by what is in force."""
        governor = self.governor
        if governor.in_force is not None:
            sent, mode = self.actuator.as_sent(governor.in_force), governor.outcome.mode
            planned = mode == "NORMAL" or (mode != "SAFE" and any(caps.groups for caps in sent.pools))
            guarded = frozenset(caps.pool for cut in governor.cuts for caps in cut.kept)
            self.known.use(here, sent, guarded, planned=planned)

    def republish(self, now: datetime) -> None:
        """Tell everything that is retained again: the broker is a cable, not a memory."""
        self.pulse.connected()
        self.actuator.republish(now)
        self.people.republish(now)
        self.rentals.republish(now)
        self.committed.republish()
        self.exchange.republish()
        self.alarms.republish()
        self.tenants.republish()
        self.watch.republish()
        self.board.republish()


def rooms(
    site: Site, bus: Bus, journal: Journal, clock: Clock, instance: str, note: Note, random: Random, tally: Tally, thinker: Thinker
) -> Rooms:
    """The rooms of a daemon that begins, with what an earlier process published last; `note` takes values for the history, `random` is where
    chance comes from, `tally` counts what happens, `thinker` thinks over what people ask.
    """
    epoch = journal.next_epoch()
    book = Logbook(site, journal, epoch)
    bus = gate = Gate(site, book.over(bus), clock, epoch, tally)
    known, account = Knowledge(site, journal, clock, note), Account(journal)
    shelves = Shelves(journal)
    alarms = Alarms(site, bus, account, shelves.of, tally)
    shelves.most = alarms.longest_shelf
    answers = Answers(site, bus, alarms, account, tally)
    actuator = Actuator(site, bus, journal, epoch, random)
    lost = f"the journal was damaged and lies at {journal.put_aside}; " if journal.put_aside is not None else ""
    account.note(Entry(clock.now(), "service", "started", instance, f"{lost}version {__version__}, epoch {epoch}"), to_disk=True)

    def entered(before: Outcome, now: datetime) -> None:
        outcome = governor.outcome
        account.note(Entry(now, "mode", outcome.mode, "site", outcome.reason, result=before.mode))
        tally.entered[outcome.mode] += 1

    def ruled(ruling: Ruling, decision: Decision, verdict: tuple[Violation, ...]) -> None:
        tally.guard_steps += ruling.manner == "cut"
        book.ruled(ruling, decision, verdict)

    governor = Governor(site, actuator, clock.now(), f"{lost}no plan yet", entered, gate.accept, ruled, gate.heed, known.margin)
    last = journal.last_published()
    if last is not None and (decision := decision_in(last)) is not None:
        governor.resume(decision, clock.now())
        actuator.resume(decision, clock.now())
        gate.resume(decision, clock.now())
        known.ledger.resume(decision)
    committed = Commitment(site, bus, journal, answers)
    return Rooms(
        epoch=epoch,
        tally=tally,
        known=known,
        account=account,
        called=Called(journal),
        alarms=alarms,
        shelving=Shelving(site, shelves, alarms, answers),
        watch=Watch(site, bus, alarms),
        people=People(site, bus, known.desk, answers),
        effects=Effects(actuator, tally, clock.elapsed_s),
        rentals=Rentals(site, bus, known.rentals, answers),
        questions=Questions(site, known, governor, answers, clock, thinker, committed.kw),
        losses=Losses(site, known, alarms, account),
        leaving=Leaving(site, known, alarms),
        heeding=Heeding(site, actuator, alarms, epoch),
        committed=committed,
        tenants=Tenants(site, bus, known),
        trust=Trust(site, alarms),
        exchange=Exchange(site, bus, journal, alarms, account),
        rivals=Rivals(alarms, clock, epoch),
        gate=gate,
        breaches=Breaches(gate, alarms),
        book=book,
        disk=Disk(journal, clock, alarms, account, book),
        actuator=actuator,
        governor=governor,
        pulse=Pulse(site, bus, clock, instance),
        punctuality=Punctuality(site, alarms, clock.now()),
        board=NoticeBoard(site, bus),
    )
