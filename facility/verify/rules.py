"""The second opinion: every limit of a decision, recomputed from the decision itself in plain arithmetic.

It shares no code with the model that made the plan. `verify` returns what is broken; nothing means accepted. A cap is only
ever sent after this said so. What each room asks:

    feeders   what is expected and what is drawn at worst, of each feeder, of groups that back each other, of the grid
    heat      plants and halls;  stores: tanks, batteries, solar and gensets
    tenancy   a rental that may not pause has all its GPUs, a service those it needs;  its mean speed >= floor;  a job's minimum run
    jobs      a job runs inside its window, whole where rigid;  outage: maintenance has its GPUs, and no work those that are gone
    reserve   what was sold to the grid's operator is held
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.cooling import drifts
from facility.verify.draw import expected_it_kw
from facility.verify.feeders import expected_feeders, worst_feeders
from facility.verify.form import form
from facility.verify.heat import halls
from facility.verify.jobs import jobs_run, workloads
from facility.verify.outage import in_service, maintenance
from facility.verify.reserve import reserves
from facility.verify.stores import ride_through, sources, stores
from facility.verify.supply import supplied
from facility.verify.tenancy import firm, minimum_runs
from facility.verify.violation import Violation, finite

Earlier = int | PoolCaps | Sequence[int | PoolCaps]
"""Caps of one pool that may still be in force: one cap for all its GPUs (W), a message, or several of either."""


def verify(
    site: Site, snapshot: Snapshot, decision: Decision, *, outdoor_c: float, sent_cap_w: Mapping[str, Earlier] | None = None
) -> tuple[Violation, ...]:
    """Tell what `decision` breaks at `outdoor_c` (degC), the gravest kind first; an empty tuple means accepted.

    `sent_cap_w` holds, by pool, what was enforced or sent before and is not known to have ended: then every subset of this
    decision's messages may be lost. Of that, only what the decision makes worse counts: a decrease is never refused for the
    height it starts from. What is not a number is a violation, never an exception.
    """
    earlier = {pool: _messages(pool, sent) for pool, sent in (sent_cap_w or {}).items() if pool in site.pools}
    malformed = [*form(site, snapshot, decision, outdoor_c)]
    malformed += [found for messages in earlier.values() for caps in messages for found in _unusable(caps)]
    if malformed:
        return tuple(malformed)
    out = [*maintenance(site, snapshot, decision)]
    site = supplied(in_service(site, decision), decision)
    it_kw, jobs = expected_it_kw(site, decision, snapshot), {job.id: job for job in snapshot.jobs}
    moving = drifts(site, decision, snapshot)
    found = [
        *out,
        *expected_feeders(site, snapshot, decision, outdoor_c),
        *worst_feeders(site, decision, outdoor_c, it_kw, moving, earlier),
        *halls(site, snapshot, decision, it_kw, moving, outdoor_c),
        *stores(site, snapshot, decision),
        *sources(site, decision),
        *ride_through(site, snapshot, decision, outdoor_c),
        *workloads(site, decision, jobs),
        *jobs_run(decision, jobs),
        *firm(site, snapshot, decision),
        *minimum_runs(site, snapshot, decision),
        *reserves(site, snapshot, decision),
    ]
    return tuple(sorted(found, key=lambda violation: ("plant", "grid", "contract").index(violation.tier)))


def verify_worst(site: Site, snapshot: Snapshot, decision: Decision, *, outdoor_c: float) -> tuple[Violation, ...]:
    """Tell what of `verify` is about feeders where every GPU draws its cap; of what cannot be reckoned with, nothing."""
    if any(form(site, snapshot, decision, outdoor_c)):
        return ()
    site = supplied(in_service(site, decision), decision)
    it_kw, moving = expected_it_kw(site, decision, snapshot), drifts(site, decision, snapshot)
    return tuple(worst_feeders(site, decision, outdoor_c, it_kw, moving, {}))


def _messages(pool: str, sent: Earlier) -> list[PoolCaps]:
    several: Sequence[int | PoolCaps] = (sent,) if isinstance(sent, (int, float, PoolCaps)) else sent
    return [caps if isinstance(caps, PoolCaps) else PoolCaps(pool, caps) for caps in several]


def _unusable(caps: PoolCaps) -> Iterator[Violation]:
    # What agents report may lie outside the settable range; that must not stand in the way of a decrease.
    for value in (caps.cap_w, *(number for group in caps.groups for number in (group.gpus, group.cap_w))):
        if not finite(value):
            yield Violation("number.finite", f"sent/{caps.pool}", None, "W", None, "not a finite number", "plant")
