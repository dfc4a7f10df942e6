"""Twin: a daemon that begins anew beside the one that has lived the day, in the same situation. When faults are over both decide the same.

It has a broker and a journal of its own, hears what the other's broker retains and one reading of every meter, and is asked for one plan.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.decision import Decision, PoolCaps
from facility.journal.journal import Journal
from facility.site import Site
from tests.simulation.planner import Planner, a_try_w

if TYPE_CHECKING:
    from tests.simulation.day import Day

OURS = ("/desired", "/state", "/status", "/view", "/current")
"""How topics end on which the service itself speaks."""


def decisions(day: Day, planner: Planner) -> tuple[Decision, Decision]:
    """What the daemon of a day decides now, and what its twin does, without what names instants and reasons.

    What one of them has just read may let its planner find the next lower caps: those are the same.
    """
    assert day.daemon is not None
    broker = MemoryBroker(day.clock.now)
    world = broker.connect()
    for topic, payload in day.broker.retained.items():
        if not topic.endswith(OURS) and "/alarm/" not in topic:
            world.publish(Message(topic, payload, qos=1, retain=True))
    path = Path(day.folder) / "twin.sqlite"
    with Journal(path, clock=day.clock) as journal:
        twin = Daemon(day.site, broker.connect(last_will(day.site, "twin")), journal, day.clock, instance="twin", planner=planner)
        twin.subscribe()
        told = day.works.readings()
        for daemon, bus in ((day.daemon, day.works.bus), (twin, world)):
            for message in told:
                bus.publish(message)
            daemon.attend(0.0)
        twin.start()
        both = []
        for daemon in (day.daemon, twin):
            assert daemon.cycle().mode == "NORMAL", daemon.outcome
            both.append(_plain(daemon.rooms.governor.in_force))
    return both[0], _rounded(both[1], both[0], day.site)


def _rounded(decision: Decision, to: Decision, site: Site) -> Decision:
    """`decision` with the caps of another where they are as near as two plans can be."""
    return replace(decision, pools=tuple(_nearest(*pair, site) for pair in zip(decision.pools, to.pools, strict=True)))


def _nearest(pool: PoolCaps, to: PoolCaps, site: Site) -> PoolCaps:
    near_w = a_try_w(site.gpu_models[site.pools[pool.pool].gpu_model])
    named = {group.workload: group.cap_w for group in to.groups}
    groups = tuple(replace(g, cap_w=near) if abs((near := named.get(g.workload, g.cap_w)) - g.cap_w) <= near_w else g for g in pool.groups)
    return replace(pool, cap_w=to.cap_w if abs(to.cap_w - pool.cap_w) <= near_w else pool.cap_w, groups=groups)


def _plain(decision: Decision | None) -> Decision:
    assert decision is not None
    pools = tuple(replace(pool, reason="", groups=tuple(sorted(pool.groups, key=lambda g: g.workload))) for pool in decision.pools)
    jobs = tuple(sorted((replace(order, reason="") for order in decision.jobs), key=lambda order: order.job))
    return replace(decision, at=decision.until, pools=pools, jobs=jobs)
