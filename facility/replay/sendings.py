"""Sendings computed again: the base, the decision, the verdict and every order, from what the journal says they were made from.

An order of caps may be a step on the way to what was decided: a part that lowers, or a rise that is not whole yet. Then it must be no higher
than the decision, GPU by GPU, and the same bytes as what it says would be. So may an order of a battery that charges less as yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from facility.bus.messages import BatteryDesired, CapDesired, decode, encode
from facility.bus.messages.codec import Order
from facility.bus.topics import BY_NAME, Topics
from facility.daemon.recording.kept import Finder
from facility.daemon.recording.kept_cuts import cut_of, given_of
from facility.daemon.recording.logbook import KeptOrder, KeptRuling
from facility.daemon.ruling import Ruling, decision, verdict
from facility.daemon.sending.orders import Desired, Stamp, caps_in, caps_order, job_order, other_orders
from facility.decision import Decision, PoolCaps
from facility.invariants.ceiling import caps_of, rises
from facility.replay.difference import Difference, difference
from facility.site import Site
from facility.verify import fallback_caps


@dataclass(frozen=True)
class Ruled:
    """What the orders of a sending are for; `file` is the site as configured."""

    decision: Decision
    file: Site
    plan_id: str | None


def ruling_in(kept: KeptRuling, finder: Finder) -> Ruling:
    """A ruling from the journal."""
    source = None if kept.source is None else finder.thing(kept.source, Decision)
    here, site, file = finder.situation(kept.here), finder.site(kept.site), finder.site(kept.file)
    cuts, given = tuple(cut_of(cut, file) for cut in kept.cuts), tuple(given_of(it, file) for it in kept.given)
    return Ruling(kept.origin, kept.manner, source, kept.at, kept.until, site, here, kept.lid, cuts, given, kept.carried, kept.plan_id)


def ruled_again(where: str, kept: KeptRuling, finder: Finder) -> tuple[Ruled, Difference | None]:
    """What was decided, and where it is not what is computed from the ruling."""
    recorded, ruling = finder.thing(kept.decision, Decision), ruling_in(kept, finder)
    found = difference(where, "decision", recorded, decision(ruling))
    if found is None:
        found = difference(where, "verdict", kept.verdict, verdict(ruling, recorded))
    return Ruled(recorded, finder.site(kept.file), kept.plan_id or None), found


def orders_again(where: str, orders: tuple[KeptOrder, ...], ruled: Ruled, topics: Topics) -> Iterator[tuple[bool, Difference | None]]:
    """Of each order whether it is a step on the way, and where it is not what is computed from the decision."""
    for kept in orders:
        name, ids = topics.parse(kept.topic) or ("", {})
        told = decode(bytes(kept.payload), BY_NAME[name].payload)
        assert isinstance(told, Order)
        stamp = Stamp(told.epoch, told.issued_at, ruled.decision.until, ruled.plan_id)
        wanted = _wanted(ruled, topics, stamp).get(kept.topic)
        step = False
        if isinstance(told, CapDesired) and isinstance(wanted, CapDesired) and _caps(told) != _caps(wanted):
            pool = ids["pool"]
            caps, whole = caps_in(pool, told), caps_in(pool, wanted)
            gpus = ruled.file.pools[pool].gpus
            step = not rises(caps_of(caps, gpus), caps_of(whole, gpus))
            wanted = caps_order(caps, wanted.fallback_cap_w, stamp) if step else wanted
        if isinstance(told, BatteryDesired) and isinstance(wanted, BatteryDesired) and 0 <= told.power_kw < wanted.power_kw:
            step, wanted = True, msgspec.structs.replace(wanted, power_kw=told.power_kw)
        computed = None if wanted is None else msgspec.structs.replace(wanted, seq=told.seq)
        if computed is not None and encode(computed) == bytes(kept.payload):
            yield step, None
        else:
            yield step, difference(where, kept.topic, kept.payload, computed) or Difference(where, kept.topic, "other bytes", "these")


def _caps(order: CapDesired) -> tuple[object, ...]:
    return order.cap_w, order.groups


def _wanted(ruled: Ruled, topics: Topics, stamp: Stamp) -> dict[str, Desired]:
    """Every order of a decision, by topic."""
    fallback_w = fallback_caps(ruled.file)

    def caps(pool: PoolCaps) -> tuple[str, Desired]:
        return topics.cap_desired(ruled.file.pools[pool.pool].hall, pool.pool), caps_order(pool, fallback_w[pool.pool], stamp)

    return dict([
        *(caps(pool) for pool in ruled.decision.pools),
        *((topics.of("job_desired", job=order.job), job_order(order, stamp)) for order in ruled.decision.jobs),
        *other_orders(ruled.decision, topics, stamp),
    ])
