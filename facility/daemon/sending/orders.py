"""Orders: the messages that a decision becomes, one for each thing that is told what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from facility.bus.messages import (
    BatteryDesired,
    CapDesired,
    CoolingDesired,
    GensetDesired,
    HallSetpoint,
    JobDesired,
    SolarDesired,
)
from facility.bus.messages import CapGroup as SentGroup
from facility.bus.topics import Topics
from facility.decision import CapGroup, Decision, JobOrder, PoolCaps

Desired = CapDesired | JobDesired | CoolingDesired | BatteryDesired | GensetDesired | SolarDesired
MOST_SAID = 1000
"""Characters of a reason that are sent."""


@dataclass(frozen=True)
class Stamp:
    """What every order of one decision has in common."""

    epoch: int
    issued_at: datetime
    valid_until: datetime
    plan_id: str | None

    def fields(self) -> dict[str, Any]:
        """The fields of an order; its number it gets when it is sent."""
        return {
            "epoch": self.epoch,
            "seq": 0,
            "issued_at": self.issued_at,
            "valid_until": self.valid_until,
            "plan_id": self.plan_id,
        }


def caps_order(caps: PoolCaps, fallback_cap_w: int, stamp: Stamp) -> CapDesired:
    """The caps of a pool."""
    groups = tuple(SentGroup(workload=g.workload, gpus=g.gpus, cap_w=g.cap_w) for g in caps.groups)
    reason = caps.reason[:MOST_SAID]
    return CapDesired(cap_w=caps.cap_w, fallback_cap_w=fallback_cap_w, groups=groups, reason=reason, **stamp.fields())


def caps_in(pool: str, order: CapDesired) -> PoolCaps:
    """The caps that an order is for."""
    counts = ((g.workload, g.gpus if isinstance(g.gpus, int) else len(g.gpus), g.cap_w) for g in order.groups)
    return PoolCaps(pool, order.cap_w, tuple(CapGroup(workload, gpus, cap_w) for workload, gpus, cap_w in counts), order.reason)


def job_order(order: JobOrder, stamp: Stamp) -> JobDesired:
    """Run a job, or hold it."""
    return JobDesired(action=order.action, gpus=order.gpus, until=order.until, reason=order.reason[:MOST_SAID], **stamp.fields())


def other_orders(decision: Decision, topics: Topics, stamp: Stamp) -> Iterator[tuple[str, Desired]]:
    """What cooling plants, batteries, gensets and solar plants are told, by topic."""
    for cooling in decision.cooling:
        halls = {hall: HallSetpoint(temperature_c=c) for hall, c in cooling.hall_c}
        wishes = CoolingDesired(halls=halls, store_kw=cooling.store_kw, supply_c=cooling.supply_c, **stamp.fields())
        yield topics.of("cooling_desired", plant=cooling.plant), wishes
    for battery in decision.batteries:
        yield topics.of("battery_desired", battery=battery.battery), BatteryDesired(power_kw=battery.power_kw, **stamp.fields())
    for genset in decision.gensets:
        yield topics.of("genset_desired", genset=genset.genset), GensetDesired(power_kw=genset.power_kw, **stamp.fields())
    for plant in decision.solar:
        yield topics.of("solar_desired", solar=plant.solar), SolarDesired(limit_kw=plant.limit_kw, **stamp.fields())


def same_order(one: Desired, other: Desired) -> bool:
    """Whether two orders tell the same until the same instant, whoever made them when and after which plan."""
    plain = {"epoch": 0, "seq": 0, "issued_at": one.issued_at, "plan_id": None}
    return msgspec.structs.replace(one, **plain) == msgspec.structs.replace(other, **plain)
