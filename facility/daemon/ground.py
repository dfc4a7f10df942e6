"""Ground: all that an override is judged by, as it is at one instant, so that it can be judged elsewhere as it would be here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from facility.daemon.bearing import Bearing
from facility.daemon.governor import Governor, Outcome
from facility.daemon.knowledge import FIRST_STEP, Knowledge
from facility.daemon.situation import Situation
from facility.overrides.allowed import Allowed
from facility.overrides.arbitrate import Bounds, bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import Edges


@dataclass(frozen=True)
class Ground:
    """`site` is the site file's, `here` how things are with the overrides that are `standing`, `outcome` the mode and why."""

    site: Site
    here: Situation
    standing: tuple[Proposal, ...]
    allowed: Allowed
    bearing: Bearing
    outcome: Outcome

    @property
    def otherwise(self) -> str:
        """That no fresh plan is in force at present and why, in words; "" where one is, or where an operator drives."""
        outcome = self.outcome
        return "" if outcome.mode in ("NORMAL", "MANUAL") else f"at present no fresh plan is in force ({outcome.mode}: {outcome.reason})"

    @property
    def jobs(self) -> dict[str, str]:
        """The jobs that are known, each with its pool."""
        return {job.id: job.pool for job in self.here.snapshot.jobs}

    def commanded(self, proposals: Sequence[Proposal], now: datetime, edges: Edges, snapshot: Snapshot) -> Bounds:
        """What `proposals` and the grid ask for in the steps between `edges`, of the jobs of a snapshot."""
        jobs = {job.id: job.pool for job in snapshot.jobs}
        return self.allowed.of(bounds(self.site, proposals, now, edges, jobs=jobs), edges, proposals)

    def accepts(self, proposals: tuple[Proposal, ...]) -> bool:
        """Whether what these proposals command could be in force now."""
        here, now = self.here, self.here.now
        asked = self.commanded(proposals, now, (now, now + FIRST_STEP), here.snapshot)
        asked = replace(asked, event_target_kw=here.asked.event_target_kw)
        return self.bearing.accepts(replace(here, asked=asked))

    def limits(self, proposal: Proposal, beside: tuple[Proposal, ...]) -> tuple[float | None, str]:
        """The highest cap that every feeder carries, as things are, beside other proposals; other kinds are not limited further."""
        return highest_cap(self.site, proposal, self.here.now, lambda tried: self.accepts((*beside, tried)))


def ground(site: Site, known: Knowledge, governor: Governor, now: datetime) -> Ground:
    """What an override is judged by at `now`; under the daemon's lock."""
    standing = known.desk.standing(now)
    return Ground(site, known.situation(now, standing), standing, known.allowed, governor.bearing, governor.outcome)


def highest_cap(
    site: Site, proposal: Proposal, now: datetime, accepts: Callable[[Proposal], bool]
) -> tuple[float | None, str]:
    """The highest cap up to that of a proposal that could be in force now, W, and why; None where its own could, and for other kinds."""
    if proposal.kind != "cap_w" or proposal.value is None:
        return None, ""

    def holds(cap_w: int) -> bool:
        return accepts(replace(proposal, value=float(cap_w), start=now, end=now + timedelta(hours=1)))

    low, high = min(model.min_cap_w for model in site.gpu_models.values()), int(proposal.value)
    if low >= high or holds(high):
        return None, ""
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return float(low), f"above {low} W the sum of caps would not fit under the feeders"
