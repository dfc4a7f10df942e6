"""Book: what the caps that go out are held against - the decision that was accepted last, what may be in force, and what is not measured.

It is written from what went over the gate and what agents report, and shares nothing with the actuator but the arithmetic.

    a feeder, as messages go out = what it carries with all that may be in force, + what each message may add, with the losses above it
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from facility.bus.messages import CapDesired, CapReported
from facility.daemon.as_accepted import Accepted
from facility.daemon.in_force import InForce
from facility.daemon.lid import meter_lost, unmeasured_halls
from facility.daemon.orders import caps_in
from facility.daemon.overrule import commanded
from facility.daemon.situation import Situation
from facility.decision import Decision, PoolCaps
from facility.invariants import plant
from facility.invariants.broken import Broken
from facility.invariants.ceiling import caps_of, ceiling, rises, sum_w, worst_kw
from facility.site import Site
from facility.verify.loads import Carrier, carriers
from facility.verify.supply import supplied


class Book:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, epoch: int) -> None:
        self._site, self._in_force = site, InForce(site, epoch)
        self._above = {name: _way_up(site, name) for name in site.feeders}
        self._caps: dict[str, PoolCaps] = {}
        self._had: dict[str, PoolCaps] = {}
        self._free: set[str] = set()
        self._carry: tuple[Carrier, ...] = ()
        self._loads_kw: dict[str, float] = {}
        self._known_kw: Mapping[str, float] = {}
        self.accepted: Accepted | None = None

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last."""
        self._caps = {caps.pool: caps for caps in decision.pools}
        self._in_force.resume(decision, now)

    def read_back(self, pool: str, report: CapReported, *, retained: bool) -> None:
        """Take an agent's report."""
        self._in_force.read_back(pool, report, retained=retained)

    def accept(self, decision: Decision, here: Situation) -> None:
        """Know what was accepted: it is what may go out from now on."""
        self._in_force.lapse(here.now)
        self._blind(here)
        self.accepted = Accepted(decision, here.site, {job.id: job for job in here.snapshot.jobs})
        self._caps = {caps.pool: caps for caps in decision.pools}
        self.see(here)

    def see(self, here: Situation) -> None:
        """Know how things are now, before more of what was accepted goes out."""
        if self.accepted is None:
            return
        self._blind(here)
        decision = self.accepted.decision
        site = supplied(here.site, decision)
        self._carry = carriers(site)
        self._loads_kw, self._known_kw = (
            worst_kw(site, decision, here.snapshot, here.outdoor_c, {pool: of(pool) for pool in site.pools}, self._in_force.charging_kw)
            for of in (self._in_force.most, self._in_force.known)
        )

    def judge(self, pool: str, order: CapDesired) -> tuple[tuple[Broken, ...], bool]:
        """What caps that are to go out break, and whether they raise any GPU's."""
        caps = caps_in(pool, order)
        form = (*plant.settable(self._site, caps), *plant.falls_back(self._site, pool, order.fallback_cap_w, self._in_force.fallback_w))
        if pool not in self._site.pools:
            return form, True
        gpus = self._site.pools[pool].gpus
        wanted, known = caps_of(caps, gpus), self._in_force.known(pool)
        found = [*form, *plant.accepted(caps, self._caps.get(pool) if self.accepted is not None else None, gpus)]
        raises = rises(wanted, known)
        if raises:
            most = self._in_force.most(pool)
            found += plant.carried_at_worst(self._carry, self._with(pool, sum_w(ceiling(most, wanted)) - sum_w(most)), self._known_kw)
        if pool in self._had and pool not in self._free:
            found += plant.no_raise(caps, self._had[pool], "what it depends on is not measured")
        return tuple(found), raises

    def went(self, pool: str, order: CapDesired) -> None:
        """Know that caps went out."""
        gpus, caps, most = self._site.pools[pool].gpus, caps_in(pool, order), self._in_force.most(pool)
        self._loads_kw = self._with(pool, sum_w(ceiling(most, caps_of(caps, gpus))) - sum_w(most))
        self._in_force.sent(caps, order.valid_until, order.seq)

    def charges(self, battery: str, power_kw: float, until: datetime) -> None:
        """Know that an order for a battery went out."""
        self._in_force.charges(battery, power_kw, until)

    def _with(self, pool: str, more_w: int) -> dict[str, float]:
        """The loads with more in one pool: losses are of what passes, so nothing below zero makes it less."""
        loads_kw, more_kw = dict(self._loads_kw), more_w / 1000
        for name, loss_share in self._above[self._site.pools[pool].feeder]:
            more_kw *= 1 + loss_share
            loads_kw[name] = loads_kw.get(name, 0.0) + more_kw
        return loads_kw

    def _blind(self, here: Situation) -> None:
        """Follow which pools depend on what is not measured, and what they had before; what somebody commands is free meanwhile."""
        halls, dark = unmeasured_halls(self._site, here.snapshot), meter_lost(self._site, here.snapshot)
        blind = {name for name, pool in self._site.pools.items() if dark or pool.hall in halls}
        fallback_w = self._in_force.fallback_w
        self._had = {name: self._had.get(name) or self._caps.get(name) or PoolCaps(name, fallback_w[name]) for name in blind}
        self._free = (self._free | commanded(here.asked)) & blind


def _way_up(site: Site, feeder: str | None) -> tuple[tuple[str, float], ...]:
    """The feeders that carry what passes one, itself first, with their losses."""
    found = []
    while feeder is not None:
        found.append((feeder, site.feeders[feeder].loss_share))
        feeder = site.feeders[feeder].parent
    return tuple(found)
