"""Daemon: read, decide, verify, act, record - every cycle, and at once when an operator speaks.

One thread reads the bus and answers people; it never solves. Another plans, woken by the scheduler or by an override. They
meet under one lock that is never held during a solve, so that an override acts while a plan is being made.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from facility import __version__
from facility.actuate import Actuator
from facility.arbitrate import Bounds, bounds
from facility.bus import Bus, Message
from facility.clock import Clock
from facility.decide import Decided, Undecided, decide
from facility.decision import Decision, PoolCaps
from facility.errors import InputError
from facility.forecast import by_local_hour
from facility.journal import Journal
from facility.messages import CapReported, OverrideClear, OverrideResult, OverrideSet, Rejected, Status, decode, encode
from facility.overrides import OverrideDesk
from facility.overrule import overrule
from facility.proposal import Proposal
from facility.record import cycle_record
from facility.report.current import plan_current
from facility.signals import PAYLOADS, Signals
from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import rolling
from facility.store import StoreFault
from facility.telemetry import Telemetry
from facility.topics import Topics
from facility.verify import Violation, fallback_caps, highest_cap, verify

log = logging.getLogger(__name__)

HEARTBEAT_DEAD_S = 5.0
SUBSCRIPTIONS = ("tele/#", "meta/#", "grid/#", "signal/#", "cap/+/+/reported", "job/+/spec", "job/+/reported", "cooling/+/reported")
SUBSCRIPTIONS += ("battery/+/reported", "override/#")
FACTS_EVERY_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a cycle ended."""

    mode: str
    outcome: str
    reason: str


class Daemon:
    """One instance of the service on one site. `bus` must have been made with `last_will` as its will."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, clock: Clock, *, instance: str = "daemon") -> None:
        self._site, self._bus, self._journal, self._clock, self._instance = site, bus, journal, clock, instance
        self._topics = Topics(site.bus.root, site.id)
        self._lock = threading.RLock()
        self._telemetry, self._signals = Telemetry(site), Signals(site)
        self._restore()
        self._desk = OverrideDesk(site, journal, jobs=lambda: {job.id: job.pool for job in self._telemetry.snapshot(clock.now()).jobs})
        self._actuator = Actuator(site, bus, journal, epoch := journal.next_epoch())
        self._epoch = epoch
        self._planned: Decided | None = None
        self._decision: Decision | None = None
        self._outcome = Outcome("SAFE", "safe", "no plan yet")
        self._since = clock.now()
        self._cycle = 0
        self._connections = 0
        self._beat_s = self._echo_s = self._facts_s = time.monotonic()
        self._silent = False
        self._states: dict[str, str] = {}
        self._running = threading.Lock()
        self._again = threading.Event()
        self.wake: Callable[[], None] = lambda: None
        """Called when a new plan is wanted before the next cycle."""

    def subscribe(self) -> None:
        """Ask the broker for everything the service reads."""
        for pattern in (*SUBSCRIPTIONS, f"svc/{self._instance}/status"):
            self._bus.subscribe(f"{self._site.bus.root}/{self._site.id}/{pattern}", qos=1)

    def attend(self, timeout_s: float) -> None:
        """Take one message, if one comes in time, and do what time asks for. The bus thread calls this for ever."""
        message = self._bus.receive(timeout_s)
        if message is not None:
            self._take(message)
        with self._lock:
            self._keep_time()

    def cycle(self) -> Outcome:
        """Make a plan and act on it; a call during another one makes that one go round again. Never raises."""
        if not self._running.acquire(blocking=False):
            self._again.set()
            return self._outcome
        try:
            while True:
                self._again.clear()
                outcome = self._one_cycle()
                if not self._again.is_set():
                    return outcome
        finally:
            self._running.release()

    def close(self) -> None:
        """Say goodbye and write down what a restart needs."""
        with self._lock:
            self._remember()
            self._bus.publish(last_will(self._site, self._instance, "stopped"))

    # --- what comes in ---------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        found = self._topics.parse(message.topic)
        if found is None:
            return
        name, ids = found
        now = self._clock.now()
        match name:
            case "override_set" | "override_clear":
                self._answer(name, ids["target"], message)
            case "status":
                self._echo_s = time.monotonic()
            case name if name in PAYLOADS:
                with self._lock:
                    if refused := self._signals.accept(name, message.payload):
                        log.warning("%s refused: %s", message.topic, refused)
            case "override_result" | "override_state":
                pass
            case _:
                with self._lock:
                    self._telemetry.accept(message, now)
                    if name == "cap_reported" and message.payload:
                        self._read_back(ids["pool"], message.payload, now)

    def _read_back(self, pool: str, payload: bytes, now: datetime) -> None:
        try:
            report = decode(payload, CapReported)
        except Rejected:
            return
        if pool in self._site.pools and self._actuator.read_back(pool, report) and self._actuator.waiting:
            self._actuator.release(self._telemetry.snapshot(now), self._outdoor_c(now), now)

    def _answer(self, name: str, target: str, message: Message) -> None:
        """Answer an operator and, where the command acts, bring it into force before anything else."""
        now = self._clock.now()
        with self._lock:
            try:
                if name == "override_set":
                    request = decode(message.payload, OverrideSet)
                    result = self._desk.set(target, request, now=now, retained=message.retain, limits=self._limits)
                else:
                    result = self._desk.clear(target, decode(message.payload, OverrideClear), now, retained=message.retain)
            except Rejected as rejected:
                result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason)
            self._tell(target, result, message)
            if result.status in {"accepted", "clamped", "cleared"}:
                self._enforce(now)
                self.wake()

    def _tell(self, target: str, result: OverrideResult, message: Message | None = None) -> None:
        payload = encode(result)
        self._bus.publish(Message(self._topics.override(target, "result"), payload, qos=1))
        if message is not None and message.response_topic:
            self._bus.publish(Message(message.response_topic, payload, qos=1, correlation=message.correlation))
        self._show(target)

    def _show(self, target: str) -> None:
        """Publish what is in force on a target, retained."""
        state = self._desk.state(target, self._clock.now())
        payload = encode(state) if state is not None else b""
        topic = self._topics.override(target, "state")
        if payload or topic in self._states:
            self._bus.publish(Message(topic, payload, qos=1, retain=True))
        self._states[topic] = target
        if not payload:
            del self._states[topic]

    def _limits(self, proposal: Proposal) -> tuple[float | None, str]:
        """The highest cap that keeps every feeder within its margin; other kinds are not limited further."""
        kind, _, rest = proposal.target.partition("/")
        if proposal.kind != "cap_w" or kind != "pool" or self._decision is None:
            return None, ""
        pool = rest.split("/")[-1]
        highest = highest_cap(self._site, self._decision, pool, self._outdoor_c(self._clock.now()))
        return float(highest), f"above {highest} W the sum of caps would not fit under the feeders"

    # --- what time asks for ----------------------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        now, real_s = self._clock.now(), time.monotonic()
        for proposal in self._desk.expire(now):
            log.info("override %s ended", proposal.id)
            self._enforce(now)
            self.wake()
        for target, notice in self._desk.notices():
            self._tell(target, notice)
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            self._echo_s = real_s
            self._republish(now)
        if real_s - self._beat_s >= self._site.control.heartbeat_s:
            self._beat_s = real_s
            self._bus.publish(Message(self._topics.status(self._instance), encode(self._status(now)), qos=1, retain=True))
        silent = real_s - self._echo_s > HEARTBEAT_DEAD_S
        if silent != self._silent:
            self._silent = silent
            log.log(logging.WARNING if silent else logging.INFO, "the broker %s", "does not answer" if silent else "answers again")
        if real_s - self._facts_s >= FACTS_EVERY_S:
            self._facts_s = real_s
            self._remember()

    def _status(self, now: datetime) -> Status:
        return Status(
            instance=self._instance,
            mode=self._outcome.mode,  # type: ignore[arg-type]
            cycle=self._cycle,
            heartbeat=int(now.timestamp() * 1000),
            since=self._since,
            reason=self._outcome.reason[:1000],
            version=__version__,
            epoch=self._epoch,
            seq=self._actuator.seq,
            plan_id=self._plan_id() or None,
        )

    def _republish(self, now: datetime) -> None:
        self._actuator.republish(now)
        for proposal in self._desk.active(now):
            self._states.setdefault(self._topics.override(proposal.target, "state"), proposal.target)
        for target in list(self._states.values()):
            self._show(target)
        self._publish_plan(now)

    # --- the cycle -------------------------------------------------------------------------------------------------------

    def _one_cycle(self) -> Outcome:
        started = time.monotonic()
        now = self._clock.now()
        edges = rolling(now)
        with self._lock:
            self._cycle += 1
            snapshot = self._telemetry.snapshot(now)
            proposals = self._desk.standing(now)
            asked = self._bounds(snapshot, proposals, now)
            forecast = self._signals.forecast(edges)
        if snapshot.outdoor_c is not None:
            forecast.outdoor_c[0] = snapshot.outdoor_c
        found: Decided | Undecided
        try:
            if asked.mode in {"manual", "freeze", "stop"} and self._decision is not None:
                found = Undecided(f"an operator drives: {asked.mode}")
            else:
                found = decide(self._site, snapshot, forecast, asked, edges, self._site.control.solver_budget_s)
        except Exception as error:
            log.exception("the planner failed")
            found = Undecided(f"the planner failed: {type(error).__name__}: {error}")
        with self._lock:
            outcome, decision, verdict = self._conclude(found, self._clock.now())
            self._enter(outcome)
            record = cycle_record(self._cycle, now, outcome.mode, outcome.outcome, outcome.reason, snapshot, proposals, decision, verdict)
            try:
                self._journal.record_cycle(record)
                self._journal.prune(now - timedelta(days=30))
            except StoreFault:
                log.exception("the cycle could not be recorded")
            self._publish_plan(now)
        log.debug("cycle %d: %s in %.2f s", self._cycle, outcome.outcome, time.monotonic() - started)
        return outcome

    def _conclude(self, found: Decided | Undecided, now: datetime) -> tuple[Outcome, Decision, tuple[Violation, ...]]:
        """Verify and send the new decision; else hold the last one; else fall back."""
        snapshot = self._telemetry.snapshot(now)
        asked = self._bounds(snapshot, self._desk.standing(now), now)
        mode = "MANUAL" if asked.mode != "normal" else "NORMAL"
        reason = ""
        if isinstance(found, Decided):
            decision = self._ruled(found.decision, snapshot, asked, now)
            verdict = verify(self._site, snapshot, decision, outdoor_c=self._outdoor_c(now))
            fatal = _fatal(verdict, found)
            if not fatal:
                self._planned = found
                self._send(decision, snapshot, now)
                said = "; ".join(v.says for v in verdict) if verdict else f"plan {self._plan_id()} verified"
                return Outcome(mode, "published", said), decision, verdict
            reason = f"the verifier refused the plan: {fatal[0].rule} of {fatal[0].asset}: {fatal[0].says}"
        else:
            reason = found.reason
        if self._decision is not None:
            base = self._planned.decision if self._planned is not None else self._decision
            decision = self._ruled(self._renewed(base, snapshot, now), snapshot, asked, now)
            verdict = verify(self._site, snapshot, decision, outdoor_c=self._outdoor_c(now))
            if not any(v.tier == "plant" for v in verdict):
                self._send(decision, snapshot, now)
                held = "MANUAL" if mode == "MANUAL" else "HOLD"
                return Outcome(held, "published" if mode == "MANUAL" else "held", reason), decision, verdict
        decision = self._fallback(now)
        self._send(decision, snapshot, now)
        return Outcome("SAFE", "safe", reason), decision, ()

    def _enforce(self, now: datetime) -> None:
        """Bring what operators command into force now, on the last plan's decision, without a solver."""
        if self._decision is None:
            return
        snapshot = self._telemetry.snapshot(now)
        asked = self._bounds(snapshot, self._desk.standing(now), now)
        base = self._planned.decision if self._planned is not None else self._decision
        decision = self._ruled(self._renewed(base, snapshot, now), snapshot, asked, now)
        verdict = verify(self._site, snapshot, decision, outdoor_c=self._outdoor_c(now))
        if any(v.tier == "plant" for v in verdict):
            worst = next(v for v in verdict if v.tier == "plant")
            log.warning("held back by the verifier: %s of %s: %s", worst.rule, worst.asset, worst.says)
            return
        self._send(decision, snapshot, now)
        if asked.mode != "normal" and self._outcome.mode != "MANUAL":
            self._enter(Outcome("MANUAL", "published", f"an operator drives: {asked.mode}"))

    def _send(self, decision: Decision, snapshot: Snapshot, now: datetime) -> None:
        self._decision = decision
        self._actuator.send(decision, snapshot, self._outdoor_c(now), now, self._plan_id())

    def _ruled(self, decision: Decision, snapshot: Snapshot, asked: Bounds, now: datetime) -> Decision:
        return overrule(self._site, snapshot, decision, asked, self._outdoor_c(now))

    def _bounds(self, snapshot: Snapshot, proposals: tuple[Proposal, ...], now: datetime) -> Bounds:
        edges = rolling(now)
        asked = bounds(self._site, proposals, now, edges, jobs={job.id: job.pool for job in snapshot.jobs})
        return self._signals.limited(asked, edges)

    def _renewed(self, decision: Decision, snapshot: Snapshot, now: datetime) -> Decision:
        """An earlier decision for now: jobs that are done or unknown leave it."""
        known = {job.id for job in snapshot.jobs if job.submit <= now < job.deadline} | set(self._site.contracts)
        pools = tuple(replace(pool, groups=tuple(g for g in pool.groups if g.workload in known)) for pool in decision.pools)
        jobs = tuple(order for order in decision.jobs if order.job in known)
        until = now + timedelta(seconds=self._site.control.cap_ttl_s)
        return replace(decision, at=now, until=until, pools=pools, jobs=jobs)

    def _fallback(self, now: datetime) -> Decision:
        """Caps that fit in 80 % of every feeder whatever runs under them."""
        reason = "fallback caps: no verified plan"
        pools = tuple(PoolCaps(pool, cap_w, (), reason) for pool, cap_w in fallback_caps(self._site).items())
        return Decision(now, now + timedelta(seconds=self._site.control.cap_ttl_s), pools)

    def _enter(self, outcome: Outcome) -> None:
        if outcome.mode != self._outcome.mode:
            log.info("%s -> %s: %s", self._outcome.mode, outcome.mode, outcome.reason)
            self._since = self._clock.now()
        self._outcome = outcome

    def _publish_plan(self, now: datetime) -> None:
        if self._planned is not None:
            mode = self._outcome.mode
            told = plan_current(self._site, self._planned, self._signals.forecast(self._planned.edges), self._plan_id(), now, mode, self._outcome.reason)
            self._bus.publish(Message(self._topics.of("plan"), encode(told), qos=1, retain=True))

    def _plan_id(self) -> str:
        return f"{self._planned.edges[0]:%Y%m%dT%H%M%SZ}-{self._epoch}" if self._planned is not None else ""

    def _outdoor_c(self, now: datetime) -> float:
        measured = self._telemetry.snapshot(now).outdoor_c
        if measured is not None:
            return measured
        return float(by_local_hour(self._site, (now, now + timedelta(hours=1)), self._site.weather.outdoor_by_hour_c)[0])

    def _restore(self) -> None:
        state = self._journal.get("telemetry")
        if state is not None:
            try:
                for lost in self._telemetry.restore(state):
                    log.warning("%s", lost)
            except InputError:
                log.exception("what was known before could not be read")

    def _remember(self) -> None:
        try:
            self._journal.put("telemetry", self._telemetry.dump())
        except StoreFault:
            log.exception("what is known could not be written")


def last_will(site: Site, instance: str, reason: str = "lost") -> Message:
    """What the broker says of this instance when it goes without a word."""
    status = Status(instance=instance, mode="offline", reason=reason)
    return Message(Topics(site.bus.root, site.id).status(instance), encode(status), qos=1, retain=True)


def instance_name() -> str:
    """A name for one process of the service."""
    return f"facility-{uuid.uuid4().hex[:8]}"


def _fatal(verdict: tuple[Violation, ...], found: Decided) -> list[Violation]:
    """What must not be sent: anything that endangers the plant, and a broken grid limit that the plan did not own up to."""
    told = bool((found.plan.account.breach["over_limit_kw"][0] > 0) or (found.plan.account.breach["too_hot_k"][:, :1] > 0).any())
    return [v for v in verdict if v.tier == "plant" or (v.tier == "grid" and not told)]
