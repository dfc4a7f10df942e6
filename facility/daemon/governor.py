"""Governor: what is sent, and in which mode.

    NORMAL  a fresh plan that the second opinion accepted
    HOLD    the last accepted plan goes on with its first step, until `cap_ttl_s` after it was sent; also while the broker is silent
    SAFE    fallback caps: that time is over, or what would go on breaks a limit
    MANUAL  an operator drives (manual, freeze, stop): what was in force goes on, no plan is followed

In every mode what operators command is laid over it at once, without a solver. Nothing is sent that makes anything worse for
the plant than what is in force already, in the verifier's eyes. When an operator lets go, what was in force goes on until the
next plan, so that no cap jumps in between. And whatever was expected: where meters show more than they may, caps give way (`guard`), and
where what caps depend on is not measured any more, they do not rise (`lid`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from facility.daemon.bearing import Bearing, beyond
from facility.daemon.guard import Guard, Warned
from facility.daemon.guard.cuts import Cut
from facility.daemon.holding.lid import Lid
from facility.daemon.holding.overrule import WORST_CASE, at_once, carried, commanded
from facility.daemon.holding.standby import goes_on, lowest, no_higher, still_there
from facility.daemon.judging import fatal, told, worse_than
from facility.daemon.margin import Margin
from facility.daemon.ruling import Origin, Ruling, base, laid_over
from facility.daemon.sending.hands import Hands
from facility.daemon.situation import Situation
from facility.decide import Decided, Optimised, Undecided
from facility.decision import Decision
from facility.site import Site
from facility.stability import last_kw
from facility.steps import Edges
from facility.verify import Violation, verify, verify_worst
from facility.verify.form import form

log = logging.getLogger(__name__)


Mode = Literal["NORMAL", "HOLD", "SAFE", "MANUAL"]
How = Literal["published", "held", "safe"]


@dataclass(frozen=True)
class Outcome:
    """The mode, how the last cycle ended (published, held, safe), why, and since when the mode holds."""

    mode: Mode
    outcome: How
    reason: str
    since: datetime


class Governor:
    """To be used under the daemon's lock. `verdict` is what the second opinion said of what is `in_force`.

    `entered` is told of every change of mode, after what it sends was sent: how it was before, and when it changed; `accepted` of every
    decision before it is sent, `ruled` how it came to be, and its verdict, and `heeded` what is measured, whenever that is followed.
    `margin` is what was learnt of it so far.
    """

    def __init__(
        self,
        site: Site,
        actuator: Hands,
        now: datetime,
        reason: str,
        entered: Callable[[Outcome, datetime], None] = lambda _outcome, _now: None,
        accepted: Callable[[Decision, Situation], None] = lambda _decision, _here: None,
        ruled: Callable[[Ruling, Decision, tuple[Violation, ...]], None] = lambda _ruling, _decision, _verdict: None,
        heeded: Callable[[Situation], None] = lambda _here: None,
        margin: Margin | None = None,
    ) -> None:
        self._site, self._actuator, self._entered, self._accepted, self._ruled = site, actuator, entered, accepted, ruled
        self._heeded = heeded
        self._ttl = timedelta(seconds=site.control.cap_ttl_s)
        self._base: Decision | None = None
        self.in_force: Decision | None = None
        self.verdict: tuple[Violation, ...] = ()
        self._guard = Guard(site)
        self._margin = margin or Margin()
        self._lid = Lid(site)
        self._reason = reason
        self.plan: Decided | None = None
        self.plan_id = ""
        self.outcome = Outcome("SAFE", "safe", reason, now)

    @property
    def gives_way(self) -> bool:
        """Whether the meter makes caps give way."""
        return bool(self._guard.says)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What the guard made give way and still holds down."""
        return self._guard.cuts

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published, so that it goes on while it is valid; no longer than what is sent now, whatever its clock said."""
        if {pool.pool for pool in decision.pools} == set(self._site.pools):
            self._base = replace(decision, at=min(decision.at, now), until=min(decision.until, now + self._ttl))

    def start(self, here: Situation, *, at_once: bool) -> None:
        """Go on with what was resumed; without that, fall back at once where it may not wait for the first plan."""
        self._heed(here)
        if self._standing(here) is not None:
            self._go_on(here, "what was published before the restart goes on until the first plan")
        elif at_once:
            self.safe(here, self.outcome.reason)

    def conclude(self, found: Decided | Undecided, plan_id: str, made: Situation, here: Situation) -> None:
        """End a cycle: follow the plan that was made from `made`, else hold the last one, else fall back."""
        self._heed(here)
        if here.asked.mode != "normal" or isinstance(found, Undecided):
            reason = found.reason if isinstance(found, Undecided) else f"an operator drives: {here.asked.mode}"
        elif here.now >= found.decision.until:
            reason = f"the plan came too late, {(here.now - found.decision.at).total_seconds():.0f} s after its readings"
        else:
            then = replace(made, snapshot=still_there(made.snapshot, here.snapshot), asked=here.asked)
            self._guard.await_room(here, self.in_force and self._actuator.as_sent(self.in_force), found.decision)
            ruling = replace(self._ruling("plan", found.decision, then, here.now + self._ttl), at=here.now, site=here.site)
            planned = base(ruling)
            refused = list(form(then.site, then.snapshot, planned, then.outdoor_c))
            if not refused:
                decision = laid_over(planned, then, ruling.lid, ruling.cuts)
                verdict = verify(then.site, then.snapshot, decision, outdoor_c=then.outdoor_c)
                refused = fatal(verdict, found)
            if not refused:
                self.plan, self.plan_id, self._base = found, plan_id, planned
                self._margin.follow(found.import_kw)
                self._send(ruling, decision, verdict, here)
                self._enter(here, "NORMAL", "published", told(verdict) if verdict else f"plan {plan_id} verified")
                return
            reason = f"the verifier refused the plan: {refused[0].rule} of {refused[0].asset}: {refused[0].says}"
        self._go_on(here, reason)

    def enforce(self, here: Situation) -> None:
        """Bring what operators command, or command no more, into force now."""
        self._heed(here)
        if here.asked.mode != "normal":
            self._go_on(here, f"an operator drives: {here.asked.mode}")
        elif self.outcome.mode == "MANUAL" and self.in_force is not None:
            self._base = replace(self.in_force, until=here.now + self._ttl)
            self._go_on(here, "the operator let go; what was in force goes on until the next plan")
        else:
            ruling = self._standing(here)
            if ruling is None:
                self.safe(here, self.outcome.reason)
                return
            ruling, decision, verdict, worse = self._judged(ruling, here)
            if worse:
                self.safe(here, f"{worse[0].rule} of {worse[0].asset}: {worse[0].says}")
            else:
                self._send(ruling, decision, verdict, here)

    def lapsed(self, now: datetime) -> bool:
        """Whether what is in force has lapsed and no cycle came to renew it."""
        return self.in_force is not None and now >= self.in_force.until

    def keep(self, here: Situation) -> None:
        """Go on, or fall back, because what is in force has lapsed."""
        self._heed(here)
        self._go_on(here, f"no plan came in the {self._ttl.total_seconds():g} s that the last one holds")

    def unheard(self, here: Situation, reason: str) -> None:
        """Follow no plan while nothing shows that anybody hears it; what agents have of the last one goes on."""
        self._heed(here)
        if self.outcome.mode == "NORMAL":
            self._go_on(here, reason)

    def guard(self, here: Situation) -> None:
        """Lower caps at once where the guard says so, until it lets go; and learn from what the meter shows."""
        if not here.asked.reasons:
            self._margin.read(here.now, here.snapshot.import_high_kw, here.snapshot.import_kw, here.asked.import_limit_kw[0])
        if self.in_force is None:
            return
        sent = self._actuator.as_sent(self.in_force)
        before, cuts = self._guard.says, self._guard.cuts
        less = self._guard.look(here, sent, self._actuator.too_high, self._base)
        if less is not None:
            ruling = replace(self._ruling("goes_on", sent, here, sent.until), manner="cut", cuts=cuts, given=self._guard.given)
            self._send(ruling, less, verify(here.site, here.snapshot, less, outdoor_c=here.outdoor_c), here)
        elif self._guard.eased:
            self._give_back(here)
        if less is not None or self._guard.says != before:
            self._enter(here, self.outcome.mode, self.outcome.outcome, self._reason)

    def look(self, here: Situation) -> bool:
        """See what is measured and what is not; where caps are above what that allows, lower them now. True where a plan may raise some again."""
        if not self._heed(here) or self.in_force is None:
            return False
        log.info("%s", self._lid.says or "what caps depend on is measured again")
        if no_higher(self.in_force, self._lid.over(without=commanded(here.asked))).pools != self.in_force.pools:
            self.enforce(here)
        self._enter(here, self.outcome.mode, self.outcome.outcome, self._reason)
        return not self._lid.says

    def judge_again(self, here: Situation) -> None:
        """Lower caps where feeders do not carry what is in force any more: as it gets warmer plants draw more, and no plan may come.

        As long as a plan's first step lasts its halls move as it wants them to; after that all is steady.
        """
        now = self.in_force
        if now is None or here.now >= now.until:
            return
        if here.now >= now.at + timedelta(seconds=now.first_step_s or 0.0):
            now = goes_on(here.site, now, here.snapshot, here.now, now.until, here.outdoor_c)
        if worse_than(verify_worst(here.site, here.snapshot, now, outdoor_c=here.outdoor_c), self.verdict):
            less = carried(here.site, here.snapshot, now, here.outdoor_c)
            if less != now:  # else all are at their lowest
                self.enforce(here)

    def tightened(self, here: Situation) -> Situation:
        """As `Bearing.tightened`."""
        return self.bearing.tightened(here)

    def derated(self, site: Site) -> Site:
        """The site to plan with: feeders carry less, where the guard made caps give way."""
        return self._guard.derated(site)

    @property
    def warned(self) -> Mapping[str, Warned]:
        """What the guard found that a person must know of, by an alarm's id."""
        return self._guard.warned

    def near_kw(self, edges: Edges) -> Mapping[str, tuple[float, ...]]:
        """What the plan that is followed has each workload draw in the first steps between `edges`; {} where none is followed."""
        return last_kw(self.plan, edges) if isinstance(self.plan, Optimised) and self.outcome.mode in ("NORMAL", "HOLD") else {}

    def safe(self, here: Situation, reason: str) -> None:
        """Send the fallback caps, with what operators command laid over them as far as the verifier accepts it.

        Where that makes something worse, such as a hall that is too hot, nothing gets more than it has; else all get the lowest there is.
        """
        self._base = None
        ruling = self._ruling("fallback", None, here, here.now + self._ttl)
        ruling, decision, verdict, worse = self._judged(ruling, here)
        if worse and self.in_force is not None:
            ruling = replace(ruling, lid=(*ruling.lid, *self._actuator.as_sent(self.in_force).pools))
            ruling, decision, verdict, worse = self._judged(ruling, here)
        if worse:
            ruling, decision = replace(ruling, manner="lowest"), lowest(base(ruling), decision)
            verdict = verify(here.site, here.snapshot, decision, outdoor_c=here.outdoor_c)
        self._send(ruling, decision, verdict, here)
        self._enter(here, "SAFE", "safe", reason)

    @property
    def bearing(self) -> Bearing:
        """What holds whatever people command next, as it is now; it does not change any more."""
        return Bearing(self._base, self.in_force, self._ttl, Margin(self._margin.kept), self._guard.cuts)

    def accepts(self, here: Situation) -> bool:
        """Whether what is commanded in `here` could be in force now, also when the meter no longer makes caps give way."""
        return self.bearing.accepts(here)

    def _ruling(self, origin: Origin, source: Decision | None, here: Situation, until: datetime) -> Ruling:
        lid = self._lid.over(without=commanded(here.asked))
        return Ruling(origin, "ruled", source, here.now, until, here.site, here, lid, self._guard.cuts)

    def _heed(self, here: Situation) -> bool:
        """Follow what is measured; pools keep what they have, those that somebody commands what they had before."""
        had = self._actuator.as_sent(self.in_force) if self.in_force is not None else self._base
        if had is not None and (ruled := commanded(here.asked)):
            own = self._actuator.own
            had = replace(had, pools=tuple(own.get(pool.pool, pool) if pool.pool in ruled else pool for pool in had.pools))
        self._heeded(here)
        return self._lid.follow(here.snapshot, had)

    def _go_on(self, here: Situation, reason: str) -> None:
        if here.asked.mode != "normal" and self.outcome.mode != "MANUAL" and self.in_force is not None:
            self._base = self._actuator.as_sent(self.in_force)
        ruling = self._standing(here)
        if ruling is not None:
            ruling, decision, verdict, worse = self._judged(ruling, here)
            if not worse:
                manual = here.asked.mode != "normal"
                self._send(ruling, decision, verdict, here)
                self._enter(here, "MANUAL" if manual else "HOLD", "published" if manual else "held", reason)
                return
            reason = f"{reason}; and to go on would break {worse[0].rule} of {worse[0].asset}: {worse[0].says}"
        self.safe(here, reason)

    def _give_back(self, here: Situation) -> None:
        """Go on with what is followed, as far as the guard lets it by now; what that would make worse waits for the next plan."""
        ruling = self._standing(here) if here.asked.mode == "normal" else None
        if ruling is not None:
            ruling, decision, verdict, worse = self._judged(ruling, here)
            if not worse:
                self._send(ruling, decision, verdict, here)

    def _standing(self, here: Situation) -> Ruling | None:
        """What goes on; None where nothing may."""
        if here.asked.mode != "normal":
            source = self._base or self.in_force
            return self._ruling("fallback" if source is None else "goes_on", source, here, here.now + self._ttl)
        if self._base is None or here.now >= self._base.until:
            return None
        return self._ruling("goes_on", self._base, here, self._base.until)

    def _judged(
        self, ruling: Ruling, here: Situation
    ) -> tuple[Ruling, Decision, tuple[Violation, ...], tuple[Violation, ...]]:
        """What a ruling comes to; its verdict, and what of that is worse for the plant than what is in force.

        Where feeders would not carry that any more, caps give way, commanded ones last.
        """
        decision = laid_over(base(ruling), here, ruling.lid, ruling.cuts)
        verdict = verify(here.site, here.snapshot, decision, outdoor_c=here.outdoor_c)
        if any(v.rule.endswith(WORST_CASE) for v in verdict):
            ruling = replace(ruling, carried=True)
            decision = carried(here.site, here.snapshot, decision, here.outdoor_c, last=commanded(here.asked))
            verdict = verify(here.site, here.snapshot, decision, outdoor_c=here.outdoor_c)
        return ruling, decision, verdict, beyond(verdict, decision, self.in_force, here)

    def _send(self, ruling: Ruling, decision: Decision, verdict: tuple[Violation, ...], here: Situation) -> None:
        self._accepted(decision, here)
        self._ruled(replace(ruling, plan_id=self.plan_id), decision, verdict)
        free = at_once(here.asked, here.snapshot)
        self._actuator.send(decision, here.site, here.snapshot, here.outdoor_c, here.now, self.plan_id, free)
        self._guard.sent(self.in_force, decision, here)
        self.in_force, self.verdict = decision, verdict

    def _enter(self, here: Situation, mode: Mode, how: How, reason: str) -> None:
        self._reason, changed = reason, mode != self.outcome.mode
        reason = "; ".join(filter(None, (reason, self._guard.says, self._lid.says)))
        if mode in ("SAFE", "MANUAL"):
            self._margin.follow(None)
        before = self.outcome
        self.outcome = Outcome(mode, how, reason, here.now if changed else before.since)
        if changed:
            log.info("%s -> %s: %s", before.mode, mode, reason)
            self._entered(before, here.now)
