"""Bearing: what holds whatever people command next - what is followed, what is in force, what keeps plans tight - as it is at one instant. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from facility.daemon.guard.cuts import Cut, tightened
from facility.daemon.holding.standby import goes_on
from facility.daemon.judging import worse_than
from facility.daemon.margin import Margin
from facility.daemon.ruling import Ruling, base, laid_over
from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.verify import Violation, verify


@dataclass(frozen=True)
class Bearing:
    """`base` is what is followed, None where nothing is; `in_force` what was sent last; a decision that is sent lasts for `lasts`.

    `margin` and `cuts` are what plans keep to beside what is commanded.
    """

    base: Decision | None
    in_force: Decision | None
    lasts: timedelta
    margin: Margin
    cuts: tuple[Cut, ...]

    def accepts(self, here: Situation) -> bool:
        """Whether what is commanded in `here` could be in force now, also when the meter no longer makes caps give way."""
        source, until = self.base, here.now + self.lasts
        if here.asked.mode != "normal":
            source = self.base or self.in_force
        elif source is not None:
            source, until = (None, until) if here.now >= source.until else (source, source.until)
        ruling = Ruling("fallback" if source is None else "goes_on", "ruled", source, here.now, until, here.site, here, (), ())
        decision = laid_over(base(ruling), here, (), ())
        return not beyond(verify(here.site, here.snapshot, decision, outdoor_c=here.outdoor_c), decision, self.in_force, here)

    def tightened(self, here: Situation) -> Situation:
        """What to plan with: less from the grid, by the margin or by what the guard took where that is more, and less where it made caps give way."""
        given = tightened(self.cuts, here)
        return replace(given, asked=self.margin.below(here.now, given.asked, here.asked.import_limit_kw))


def beyond(verdict: Sequence[Violation], decision: Decision, in_force: Decision | None, here: Situation) -> tuple[Violation, ...]:
    """What of the verdict on a decision is worse for the plant than what is in force."""
    broken = [v for v in verdict if v.tier == "plant"]
    if not broken or in_force is None:
        return tuple(broken)
    before = goes_on(here.site, in_force, here.snapshot, here.now, decision.until, here.outdoor_c)
    return worse_than(broken, verify(here.site, here.snapshot, before, outdoor_c=here.outdoor_c))
