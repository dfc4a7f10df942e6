"""Cuts: what gave way at a place, and how a plan is told so that it does not push against it.

While a cut is new, caps are held one by one; once its place has been within bounds for a while a plan may share out anew what fits below the
aim; and when it has been well below them for a while, the cut is over. The planner gets a place that carries less, for as long as that lasts:

Batteries that a plan has charge more wait for room at the grid, where those halls that it lets warm up are still cooled as before: a cut that
`waits` concerns them alone, and no plan.

    rating' = rating - excess        worst' = worst - unseen        excess = limit - what may be expected,  unseen = shown - expected, at least 0
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from facility.daemon.guard.giving import held
from facility.daemon.guard.places import AtWorst, Carrier, Grid, Hall, Place
from facility.daemon.holding.charging import charging_less, resting
from facility.daemon.holding.overrule import commanded, give_way
from facility.daemon.holding.standby import no_higher
from facility.daemon.situation import Situation
from facility.decision import Decision, PoolCaps
from facility.site import Site

LEAST_SHARE = 0.01
"""Of a rating that a plan is always left: what is more than that above it is not for a plan to mend."""


@dataclass(frozen=True)
class Cut:
    """What gave way. `kept` are the caps that were sent therefore, () once they may be shared out anew, `charging` what batteries were
    left to be charged with as long, kW; `held` the jobs that wait.

    `commanded` are the pools whose caps were then an operator's: once the command ends, only the excess holds there.
    """

    place: Place
    excess_kw: float
    unseen_kw: float
    kept: tuple[PoolCaps, ...]
    held: frozenset[str]
    commanded: frozenset[str]
    says: str
    reckoned: bool = False
    charging: Mapping[str, float] = field(default_factory=dict)
    waits: bool = False

    def bounded(self, decision: Decision, here: Situation) -> Decision:
        """`decision` no higher than this allows."""
        decision, last = held(decision, self.held, here.snapshot, self.says), commanded(here.asked)
        if self.kept:
            decision = resting(decision, self.place.batteries, self.charging)
        if not isinstance(self.place, Hall):
            limit_kw, reckoned = self.place.limit_kw(here) - self.excess_kw, self.place.reckon(here, decision)
            pools = self.place.pools
            if isinstance(self.place, Grid):  # what halls do in a plan's first step they do not do at once
                steady = replace(decision, first_step_s=None)
                less = charging_less(steady, self.place.batteries, lambda tried: reckoned(tried) <= limit_kw)
                decision = replace(decision, batteries=less.batteries)
            if self.waits:
                return decision
            decision = give_way(here.site, decision, lambda tried: reckoned(tried) <= limit_kw, (pools - last, pools & last))
        return no_higher(decision, [caps for caps in self.kept if caps.pool not in self.commanded - last])


def bounded(cuts: Iterable[Cut], decision: Decision, here: Situation) -> Decision:
    """`decision` no higher than the cuts allow."""
    for cut in cuts:
        decision = cut.bounded(decision, here)
    return decision


def tightened(cuts: Iterable[Cut], here: Situation) -> Situation:
    """What to plan with: in the first step less from the grid, and halls that are too warm with the caps that they got."""
    asked = here.asked
    for cut in cuts:
        if isinstance(cut.place, Grid) and not cut.waits:
            first_kw, *later_kw = asked.import_limit_kw
            asked = replace(asked, import_limit_kw=(max(first_kw - max(cut.excess_kw, 0.0), 0.0), *later_kw))
        elif isinstance(cut.place, Hall):
            caps, orders = dict(asked.pool_cap_w), dict(asked.job_orders)
            for kept in cut.kept:
                had, *later = caps[kept.pool]
                most_w = float(max([kept.cap_w, *(group.cap_w for group in kept.groups)]))
                caps[kept.pool] = (most_w if had is None else min(had, most_w), *later)
            for job in cut.held:
                steps = len(asked.import_limit_kw)
                orders[job] = ("hold", *orders.get(job, (None,) * steps)[1:])
            asked = replace(asked, pool_cap_w=caps, job_orders=orders)
    return replace(here, asked=asked)


def derated(cuts: Iterable[Cut], site: Site) -> Site:
    """The site to plan with: feeders carry less where they had too much and pools can do something about it, as long as that lasts."""
    feeders = dict(site.feeders)
    for cut in cuts:
        match cut.place:
            case Carrier() as carrier if carrier.pools:
                limit_kw = carrier.rating_kw
                carries, at_worst = 1 - max(cut.excess_kw, 0.0) / limit_kw, 1 - cut.unseen_kw / limit_kw
            case AtWorst(carrier=carrier, worst_kw=limit_kw):
                carries, at_worst = 1.0, 1 - cut.unseen_kw / limit_kw
            case _:
                continue
        for name in carrier.feeders:
            whole, left = feeders[name], max(carries, LEAST_SHARE)
            margin = max(at_worst, LEAST_SHARE) / left * whole.worst_case_margin
            feeders[name] = whole.model_copy(update={"rating_kw": whole.rating_kw * left, "worst_case_margin": margin})
    return site.model_copy(update={"feeders": feeders})
