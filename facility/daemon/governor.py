"""Governor: what is sent, and in which mode.

    NORMAL  a fresh plan that the second opinion accepted
    HOLD    the last accepted plan goes on with its first step, until `cap_ttl_s` after it was sent
    SAFE    fallback caps: that time is over, or what would go on breaks a limit
    MANUAL  an operator drives (manual, freeze, stop): what was in force goes on, no plan is followed

In every mode what operators command is laid over it at once, without a solver. Nothing is sent that makes anything worse for
the plant than what is in force already, in the verifier's eyes. When an operator lets go, what was in force goes on until the
next plan, so that no cap jumps in between. And whatever was expected: where the meter shows more than the limit, caps give way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from facility.daemon.actuate import Actuator
from facility.daemon.overrule import commanded, import_kw, overrule, shed
from facility.daemon.standby import fallback, goes_on, lowest, present
from facility.decide import Decided, Undecided
from facility.decision import Decision
from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import Violation, verify

log = logging.getLogger(__name__)

AIM_SHARE = 0.99
"""Share of the import limit that is aimed at when the meter showed more than the limit."""
SETTLE = timedelta(seconds=15)
"""How long one cut is given to show on the meter before the next."""

Mode = Literal["NORMAL", "HOLD", "SAFE", "MANUAL"]
How = Literal["published", "held", "safe"]


@dataclass(frozen=True)
class Situation:
    """What is known and what is commanded at an instant; `asked` for at least the step that begins there."""

    now: datetime
    snapshot: Snapshot
    asked: Bounds
    outdoor_c: float


@dataclass(frozen=True)
class Outcome:
    """The mode, how the last cycle ended (published, held, safe), why, and since when the mode holds."""

    mode: Mode
    outcome: How
    reason: str
    since: datetime


class Governor:
    """To be used under the daemon's lock. `verdict` is what the second opinion said of what is `in_force`."""

    def __init__(self, site: Site, actuator: Actuator, now: datetime, reason: str) -> None:
        self._site, self._actuator = site, actuator
        self._ttl = timedelta(seconds=site.control.cap_ttl_s)
        self._base: Decision | None = None
        self.in_force: Decision | None = None
        self.verdict: tuple[Violation, ...] = ()
        self._cut_at: datetime | None = None
        self.plan: Decided | None = None
        self.plan_id = ""
        self.outcome = Outcome("SAFE", "safe", reason, now)

    def resume(self, decision: Decision) -> None:
        """Know what an earlier process published, so that it goes on while it is valid."""
        if {pool.pool for pool in decision.pools} == set(self._site.pools):
            self._base = decision

    def start(self, here: Situation, *, at_once: bool) -> None:
        """Go on with what was resumed; without that, fall back at once where it may not wait for the first plan."""
        if self._standing(here) is not None:
            self._go_on(here, "what was published before the restart goes on until the first plan")
        elif at_once:
            self.safe(here, self.outcome.reason)

    def conclude(self, found: Decided | Undecided, plan_id: str, made: Situation, here: Situation) -> None:
        """End a cycle: follow the plan that was made from `made`, else hold the last one, else fall back."""
        if here.asked.mode != "normal" or isinstance(found, Undecided):
            reason = found.reason if isinstance(found, Undecided) else f"an operator drives: {here.asked.mode}"
        elif here.now >= found.decision.until:
            reason = f"the plan came too late, {(here.now - found.decision.at).total_seconds():.0f} s after its readings"
        else:
            snapshot = _still_there(made.snapshot, here.snapshot)
            planned = replace(present(self._site, found.decision, snapshot), until=here.now + self._ttl)
            decision = overrule(self._site, snapshot, planned, here.asked, made.outdoor_c)
            verdict = verify(self._site, snapshot, decision, outdoor_c=made.outdoor_c)
            fatal = _fatal(verdict, found)
            if not fatal:
                self.plan, self.plan_id, self._base = found, plan_id, planned
                self._send(decision, verdict, here)
                said = "; ".join(v.says for v in verdict) if verdict else f"plan {plan_id} verified"
                self._enter(here, "NORMAL", "published", said)
                return
            reason = f"the verifier refused the plan: {fatal[0].rule} of {fatal[0].asset}: {fatal[0].says}"
        self._go_on(here, reason)

    def enforce(self, here: Situation) -> None:
        """Bring what operators command, or command no more, into force now."""
        if here.asked.mode != "normal":
            self._go_on(here, f"an operator drives: {here.asked.mode}")
        elif self.outcome.mode == "MANUAL" and self.in_force is not None:
            self._base = replace(self.in_force, until=here.now + self._ttl)
            self._go_on(here, "the operator let go; what was in force goes on until the next plan")
        else:
            base = self._standing(here)
            decision, verdict, worse = self._judged(base, here) if base is not None else (None, (), ())
            if decision is None or worse:
                self.safe(here, f"{worse[0].rule} of {worse[0].asset}: {worse[0].says}" if worse else self.outcome.reason)
            else:
                self._send(decision, verdict, here)

    def lapsed(self, now: datetime) -> bool:
        """Whether what is in force has lapsed and no cycle came to renew it."""
        return self.in_force is not None and now >= self.in_force.until

    def keep(self, here: Situation) -> None:
        """Go on, or fall back, because what is in force has lapsed."""
        self._go_on(here, f"no plan came in the {self._ttl.total_seconds():g} s that the last one holds")

    def guard(self, here: Situation) -> None:
        """Lower caps at once by what the meter shows above the limit, until the next plan; plans only expect, meters know."""
        measured_kw, limit_kw = here.snapshot.import_kw, here.asked.import_limit_kw[0]
        settled = self._cut_at is None or not here.now - SETTLE < self._cut_at <= here.now
        if measured_kw is None or self.in_force is None or measured_kw <= limit_kw or self.lapsed(here.now) or not settled:
            return
        self._cut_at = here.now
        now = goes_on(self._site, self.in_force, here.snapshot, here.now, self.in_force.until)
        target_kw = import_kw(self._site, now, here.snapshot, here.outdoor_c) - (measured_kw - AIM_SHARE * limit_kw)
        less = shed(self._site, here.snapshot, now, target_kw, here.outdoor_c, last=commanded(here.asked))
        said = f"the meter showed {measured_kw:.1f} of {limit_kw:g} kW"
        decision = replace(less, pools=tuple(replace(pool, reason=said) for pool in less.pools))
        log.debug("%s: caps give way", said)
        self._send(decision, verify(self._site, here.snapshot, decision, outdoor_c=here.outdoor_c), here)

    def safe(self, here: Situation, reason: str) -> None:
        """Send the fallback caps, with what operators command laid over them as far as the verifier accepts it."""
        self._base = None
        plain = fallback(self._site, here.snapshot, here.now, here.now + self._ttl)
        decision, verdict, worse = self._judged(plain, here)
        if worse:
            decision = lowest(plain, decision)
            verdict = verify(self._site, here.snapshot, decision, outdoor_c=here.outdoor_c)
        self._send(decision, verdict, here)
        self._enter(here, "SAFE", "safe", reason)

    def accepts(self, here: Situation) -> bool:
        """Whether what is commanded in `here` could be in force now."""
        base = self._standing(here) or fallback(self._site, here.snapshot, here.now, here.now + self._ttl)
        return not self._judged(base, here)[2]

    def _go_on(self, here: Situation, reason: str) -> None:
        base = self._standing(here)
        if base is not None:
            decision, verdict, worse = self._judged(base, here)
            if not worse:
                manual = here.asked.mode != "normal"
                self._send(decision, verdict, here)
                self._enter(here, "MANUAL" if manual else "HOLD", "published" if manual else "held", reason)
                return
            reason = f"{reason}; and to go on would break {worse[0].rule} of {worse[0].asset}: {worse[0].says}"
        self.safe(here, reason)

    def _standing(self, here: Situation) -> Decision | None:
        """What goes on, before anything is laid over it; None where nothing may."""
        if here.asked.mode != "normal":
            until = here.now + self._ttl
            base = self._base or self.in_force or fallback(self._site, here.snapshot, here.now, until)
            return goes_on(self._site, base, here.snapshot, here.now, until)
        if self._base is None or here.now >= self._base.until:
            return None
        return goes_on(self._site, self._base, here.snapshot, here.now, self._base.until)

    def _judged(self, base: Decision, here: Situation) -> tuple[Decision, tuple[Violation, ...], tuple[Violation, ...]]:
        """`base` with the commands laid over it, its verdict, and what of that is worse for the plant than what is in force."""
        decision = overrule(self._site, here.snapshot, base, here.asked, here.outdoor_c)
        verdict = verify(self._site, here.snapshot, decision, outdoor_c=here.outdoor_c)
        broken = [v for v in verdict if v.tier == "plant"]
        if not broken or self.in_force is None:
            return decision, verdict, tuple(broken)
        before = goes_on(self._site, self.in_force, here.snapshot, here.now, decision.until)
        return decision, verdict, _worse(broken, verify(self._site, here.snapshot, before, outdoor_c=here.outdoor_c))

    def _send(self, decision: Decision, verdict: tuple[Violation, ...], here: Situation) -> None:
        self.in_force, self.verdict = decision, verdict
        self._actuator.send(decision, here.snapshot, here.outdoor_c, here.now, self.plan_id)

    def _enter(self, here: Situation, mode: Mode, how: How, reason: str) -> None:
        changed = mode != self.outcome.mode
        if changed:
            log.info("%s -> %s: %s", self.outcome.mode, mode, reason)
        self.outcome = Outcome(mode, how, reason, here.now if changed else self.outcome.since)


def _still_there(made: Snapshot, now: Snapshot) -> Snapshot:
    """The readings a plan was made from, without the jobs that have gone since."""
    known = {job.id for job in now.jobs}
    return replace(made, jobs=tuple(job for job in made.jobs if job.id in known))


def _worse(broken: Sequence[Violation], before: Sequence[Violation]) -> tuple[Violation, ...]:
    """What is broken that was not broken before, or not as far."""
    was = {(v.rule, v.asset): v.amount for v in before}

    def same(v: Violation) -> bool:
        amount = was.get((v.rule, v.asset))
        return amount is not None and v.amount is not None and v.amount <= amount

    return tuple(v for v in broken if not same(v))


def _fatal(verdict: tuple[Violation, ...], found: Decided) -> list[Violation]:
    """What must not be sent: anything that endangers the plant, and a broken grid limit or event that the plan did not own up to."""
    breach = found.plan.account.breach
    hot = bool((breach["too_hot_k"][:, :1] > 0).any())
    told = {"grid.limit": hot or breach["over_limit_kw"][0] > 0, "grid.event": hot or breach["over_event_kw"][0] > 0}
    return [v for v in verdict if v.tier == "plant" or (v.tier == "grid" and not told.get(v.rule, False))]
