"""Ruling: how a decision that is sent came to be, with all it was made from. Pure: `decision` and `verdict` compute both again.

| base     |                                                                                      |
|----------|--------------------------------------------------------------------------------------|
| plan     | the plan's first step, as far as its jobs and rentals are still there                |
| goes_on  | what was followed before, as it goes on                                              |
| fallback | the fallback caps                                                                    |

| decision |                                                                                      |
|----------|--------------------------------------------------------------------------------------|
| ruled    | base with the commands laid over it, no higher than the lid and what the guard allows |
| lowest   | in each pool the lowest cap of base and of that, which would make something worse    |
| cut      | what the guard makes of what is in force                                             |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from facility.daemon.guard.cuts import Cut, bounded
from facility.daemon.guard.given import Given, gave
from facility.daemon.holding.overrule import carried, commanded, overrule
from facility.daemon.holding.standby import fallback, goes_on, lowest, no_higher, present
from facility.daemon.situation import Situation
from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.verify import Violation, verify

Origin = Literal["plan", "goes_on", "fallback"]
Manner = Literal["ruled", "lowest", "cut"]


@dataclass(frozen=True)
class Ruling:
    """A decision for [at, until) in the making: `source` is the plan's, or what was followed before; None: the fallback.

    `site` is the one in force at `at`, `here` the situation by which it is judged; a plan's is as it was when the plan was asked for.
    `lid` and `cuts` are what the lid and the guard allow, and of a cut `given` is what gave way; `carried`: caps gave way until feeders carry
    them. `plan_id` is of the plan that is followed.
    """

    origin: Origin
    manner: Manner
    source: Decision | None
    at: datetime
    until: datetime
    site: Site
    here: Situation
    lid: tuple[PoolCaps, ...]
    cuts: tuple[Cut, ...]
    given: tuple[Given, ...] = ()
    carried: bool = False
    plan_id: str = ""


def base(ruling: Ruling) -> Decision:
    """What is followed, before anything is laid over it."""
    here = ruling.here
    if ruling.source is None:
        return fallback(here.site, here.snapshot, ruling.at, ruling.until)
    if ruling.origin == "plan":
        return replace(present(ruling.site, ruling.source, here.snapshot), until=ruling.until)
    return goes_on(here.site, ruling.source, here.snapshot, ruling.at, ruling.until, here.outdoor_c)


def decision(ruling: Ruling) -> Decision:
    """What is sent."""
    plain = base(ruling)
    if ruling.manner == "cut":
        return gave(ruling.given, plain, ruling.here)
    laid, here = laid_over(plain, ruling.here, ruling.lid, ruling.cuts), ruling.here
    if ruling.carried:
        laid = carried(here.site, here.snapshot, laid, here.outdoor_c, last=commanded(here.asked))
    return lowest(plain, laid) if ruling.manner == "lowest" else laid


def verdict(ruling: Ruling, sent: Decision) -> tuple[Violation, ...]:
    """What the second opinion says of what is sent."""
    return verify(ruling.here.site, ruling.here.snapshot, sent, outdoor_c=ruling.here.outdoor_c)


def laid_over(plain: Decision, here: Situation, lid: tuple[PoolCaps, ...], cuts: tuple[Cut, ...]) -> Decision:
    """`plain` with the commands laid over it, no higher than what is measured and what the guard allows."""
    return bounded(cuts, no_higher(overrule(here.site, here.snapshot, plain, here.asked, here.outdoor_c), lid), here)

