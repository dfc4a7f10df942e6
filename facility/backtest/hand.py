"""Hand: a decision becomes what the plant obeys, at once and without a bus; and how much caps are moved by it.

Halls are to be as warm as a plan says at the end of its first step. Where that is longer than `WALK` they are sent there in several
set-points, as one plan after another would do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from msgspec.structs import replace as renumbered

from facility.bus.messages import BatteryDesired, CoolingDesired, HallSetpoint
from facility.bus.topics import Topics
from facility.daemon.sending.orders import Stamp, caps_order, job_order, other_orders
from facility.decision import Decision, PoolCaps
from facility.simulate.plant import Plant
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import fallback_caps

WALK = timedelta(minutes=5)


class Hand:
    """The only one that tells a plant what to do; as `facility.daemon.sending.hands`. `moved_kw` is by how much caps of work that
    goes on were changed, all in all, kW.
    """

    def __init__(self, plant: Plant) -> None:
        self._plant, self._topics = plant, Topics(plant.site.bus.root, plant.site.id)
        self._fallback_w, self._seq = fallback_caps(plant.site), 0
        self._last_w: dict[str, float] = {}
        self._ahead: list[tuple[datetime, str, CoolingDesired]] = []
        self.moved_kw = 0.0
        self.refused: list[str] = []

    @property
    def too_high(self) -> Mapping[str, str]:
        """By pool, what is enforced above what was sent: here nothing is lost on the way."""
        return {}

    @property
    def own(self) -> Mapping[str, PoolCaps]:
        """By pool, what it was sent last while nobody commanded its caps: here nobody does, so nobody asks."""
        return {}

    def as_sent(self, decision: Decision) -> Decision:
        """`decision` itself, for it acts at once."""
        return decision

    def send(
        self,
        decision: Decision,
        _site: Site,
        _snapshot: Snapshot,
        _outdoor_c: float,
        now: datetime,
        plan_id: str,
        _at_once: AbstractSet[str] = frozenset(),
    ) -> None:
        """Have the plant obey `decision` from now on."""
        plant, stamp = self._plant, Stamp(1, now, decision.until, plan_id or None)
        if decision.first_step_s is not None:  # else what was decided goes on, and so does its walk
            self._ahead = []
        for job in sorted(decision.jobs, key=lambda order: order.action != "hold"):
            if job.job in plant.scheduler.jobs:
                self._note(plant.scheduler.obey(job.job, renumbered(job_order(job, stamp), seq=self._next()), now))
        for caps in decision.pools:
            order = renumbered(caps_order(caps, self._fallback_w[caps.pool], stamp), seq=self._next())
            self._note(plant.pools[caps.pool].obey(order, now))
        for topic, desired in other_orders(decision, self._topics, stamp):
            numbered, parsed = renumbered(desired, seq=self._next()), self._topics.parse(topic)
            match numbered, parsed:
                case CoolingDesired(), (_, {"plant": name}):
                    if not any(plant_ahead == name for _, plant_ahead, _ in self._ahead):
                        self._cool(name, numbered, now, timedelta(seconds=decision.first_step_s or 0.0))
                case BatteryDesired(), (_, {"battery": name}):
                    self._note(plant.batteries[name].obey(numbered, now))
        self._count(decision)

    def walk(self, now: datetime) -> None:
        """Send the set-points that are due at `now`."""
        while self._ahead and self._ahead[0][0] <= now:
            _, plant, order = self._ahead.pop(0)
            self._note(self._plant.obey_cooling(plant, renumbered(order, seq=self._next())))

    def _cool(self, plant: str, order: CoolingDesired, now: datetime, step: timedelta) -> None:
        """Send the halls of `plant` to their temperatures within `step`."""
        parts = max(1, round(step / WALK))
        begun = {hall: air.setpoint_c for hall, air in self._plant.halls_of(plant).items()}
        for part in range(1, parts + 1):
            halls = {
                hall: HallSetpoint(temperature_c=begun[hall] + (wish.temperature_c - begun[hall]) * part / parts)
                for hall, wish in order.halls.items()
            }
            self._ahead.append((now + (part - 1) * WALK, plant, renumbered(order, halls=halls)))
        self._ahead.sort(key=lambda due: due[:2])
        self.walk(now)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _note(self, refusal: str | None) -> None:
        if refusal is not None:
            self.refused.append(refusal)

    def _count(self, decision: Decision) -> None:
        """Add up by how much the caps of each workload that goes on are moved, as one: which of its GPUs has which is not told."""
        now_w: dict[str, float] = {}
        gpus: dict[str, int] = {}
        for caps in decision.pools:
            for group in caps.groups:
                now_w[group.workload] = now_w.get(group.workload, 0.0) + group.gpus * group.cap_w
                gpus[group.workload] = gpus.get(group.workload, 0) + group.gpus
        self.moved_kw += sum(abs(now_w[name] - self._last_w[name]) for name in now_w.keys() & self._last_w.keys()) / 1000
        self._last_w = now_w
