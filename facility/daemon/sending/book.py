"""Book: what the caps that go out are held against - the decision that was accepted last, what may be in force, and what is not measured.

It is written from what went over the gate and what agents report, and shares nothing with the actuator but the arithmetic (`in_force`).

    a feeder, as messages go out = what it carries with all that may be in force, the message among it, losses included
    bound                        = its margin, or what it carries with what is known to be in force already, the messages before it among that
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from facility.bus.messages import CapDesired, CapReported
from facility.daemon.holding.lid import meter_lost, unmeasured_halls
from facility.daemon.holding.overrule import at_once, commanded
from facility.daemon.sending.as_accepted import Accepted
from facility.daemon.sending.climb import Turns, most_rise_kw
from facility.daemon.sending.in_force import InForce
from facility.daemon.sending.orders import caps_in
from facility.daemon.situation import Situation
from facility.decision import Decision, PoolCaps
from facility.invariants import contracts, plant
from facility.invariants.broken import Broken
from facility.invariants.ceiling import Caps, caps_of, ceiling, charging_too, rises, sum_w, worst_kw
from facility.site import Site
from facility.verify.loads import Carrier, carriers
from facility.verify.supply import supplied


class Book:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, epoch: int) -> None:
        self._site, self._in_force = site, InForce(site, epoch)
        self._above = {name: _way_up(site, name) for name in site.feeders}
        self._caps: dict[str, PoolCaps] = {}
        self._sent: dict[str, PoolCaps] = {}
        self._had: dict[str, PoolCaps] = {}
        self._free: frozenset[str] = frozenset()
        self._commanded: frozenset[str] = frozenset()
        self._most_rise_kw = most_rise_kw(site)
        self._step_at: datetime | None = None
        self._risen_kw: defaultdict[str, float] = defaultdict(float)
        self._turns = Turns()
        self._carry: defaultdict[str, list[Carrier]] = defaultdict(list)
        self._loads_kw: dict[str, float] = {}
        self._known_kw: dict[str, float] = {}
        self._may_kw: dict[str, float] = {}
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
        self.heed(here)
        self._commanded = at_once(here.asked, here.snapshot)
        self.accepted = Accepted(decision, here.site, {job.id: job for job in here.snapshot.jobs})
        self._caps = {caps.pool: caps for caps in decision.pools}
        self.see(here)

    def see(self, here: Situation) -> None:
        """Know how things are now, before more of what was accepted goes out."""
        if self.accepted is None:
            return
        self.heed(here)
        decision = self.accepted.decision
        site = supplied(here.site, decision)
        charging_kw = self._in_force.charging_kw
        self._loads_kw, self._known_kw = (
            worst_kw(site, decision, here.snapshot, here.outdoor_c, {pool: of(pool) for pool in site.pools}, charge_kw)
            for of, charge_kw in ((self._in_force.most, charging_too(decision, charging_kw)), (self._in_force.known, charging_kw))
        )
        self._may_kw, self._carry = self._known_kw, defaultdict(list)
        for it in carriers(site):
            for name in it.feeders:
                self._carry[name].append(it)

    def heed(self, here: Situation) -> None:
        """Follow which pools depend on what is not measured, and what they had before; what somebody commands is free meanwhile."""
        halls, dark = unmeasured_halls(self._site, here.snapshot), meter_lost(self._site, here.snapshot)
        blind = {name for name, pool in self._site.pools.items() if dark or pool.hall in halls}
        fallback_w = self._in_force.fallback_w
        had = {name: self._had.get(name) or self._sent.get(name) or self._caps.get(name) or PoolCaps(name, fallback_w[name]) for name in blind}
        self._had = had
        self._free = (self._free | commanded(here.asked)) & blind

    def judge(self, pool: str, order: CapDesired) -> tuple[tuple[Broken, ...], bool]:
        """What caps that are to go out break, and whether they raise any GPU's."""
        caps = caps_in(pool, order)
        form = (*plant.settable(self._site, caps), *plant.falls_back(self._site, pool, order.fallback_cap_w, self._in_force.fallback_w))
        if pool not in self._site.pools:
            return form, True
        it, book = self._site.pools[pool], self._in_force
        wanted, low = caps_of(caps, it.gpus), book.low(pool)
        found = [*form, *plant.accepted(caps, self._caps.get(pool) if self.accepted is not None else None, it.gpus)]
        raises = rises(wanted, low)
        if book.adds(caps):
            found += self._fits(it.feeder, self._moved(self._loads_kw, pool, book.most(pool), book.most_with(caps)))
        if raises and pool not in self._commanded:
            found += self._gentle(pool, wanted, low, order.issued_at)
        if pool in self._had and pool not in self._free:
            found += plant.no_raise(caps, self._had[pool], "what it depends on is not measured")
        return tuple(found), raises

    def went(self, pool: str, order: CapDesired) -> None:
        """Know that caps went out."""
        caps, book = caps_in(pool, order), self._in_force
        low, most, known = book.low(pool), book.most(pool), book.known(pool)
        sent, free = caps_of(caps, self._site.pools[pool].gpus), pool in self._commanded
        if not free:
            recent = self._recent(order.issued_at)
            for name, rise_kw in self._rise_kw(pool, sent, low).items():
                recent[name] += rise_kw
        self._turns.follow(pool, sent, low, order.issued_at, free=free)
        book.sent(caps, order.valid_until, order.seq)
        self._sent[pool] = caps
        self._loads_kw = self._moved(self._loads_kw, pool, most, book.most(pool))
        self._known_kw = self._moved(self._known_kw, pool, known, book.known(pool))
        self._may_kw = {name: max(kw, self._known_kw[name]) for name, kw in self._may_kw.items()}

    def judge_charge(self, battery: str, power_kw: float) -> tuple[Broken, ...]:
        """I1 of an order for a battery: what is charged more than may be already fits besides all that may be in force."""
        it = self._site.batteries.get(battery)
        if it is None or self.accepted is None or power_kw <= self._in_force.charging_kw.get(battery, 0.0):
            return ()
        return self._fits(it.feeder, self._loads_kw)

    def charges(self, battery: str, power_kw: float, until: datetime) -> None:
        """Know that an order for a battery went out."""
        self._in_force.charges(battery, power_kw, until)

    def _fits(self, feeder: str, loads_kw: dict[str, float]) -> tuple[Broken, ...]:
        """I1 on the way up from a feeder."""
        above = dict.fromkeys(up for name, _ in self._above[feeder] for up in self._carry[name])
        carry = [replace(up, worst_kw=max(up.worst_kw, up.load_kw(self._may_kw))) for up in above]
        return plant.carried_at_worst(carry, loads_kw)

    def _gentle(self, pool: str, wanted: Caps, low: Caps, now: datetime) -> tuple[Broken, ...]:
        """I13: what nobody commands rises in small steps, and does not hunt."""
        recent, found = self._recent(now), tuple[Broken, ...]()
        for name, rise_kw in self._rise_kw(pool, wanted, low).items():
            found += contracts.rises_gently(name, rise_kw + recent[name], self._most_rise_kw[name])
        if self._turns.fell(pool):
            found += contracts.does_not_hunt(pool, (*self._turns.recent(pool, now), now), now, self._site.control.turns_per_h)
        return found

    def _recent(self, now: datetime) -> defaultdict[str, float]:
        """How much caps rose below each feeder in the step that `now` belongs to, or that was less than a pause ago, kW."""
        if self._step_at is None or not timedelta(0) <= now - self._step_at < timedelta(seconds=self._site.control.rise_pause_s[0]):
            self._step_at, self._risen_kw = now, defaultdict(float)
        return self._risen_kw

    def _rise_kw(self, pool: str, sent: Caps, low: Caps) -> dict[str, float]:
        """By how much caps rise, by feeder that carries them, kW."""
        rise_kw = (sum_w(ceiling(low, sent)) - sum_w(low)) / 1000
        return {name: rise_kw for name, _ in self._above[self._site.pools[pool].feeder]} if rise_kw > 0 else {}

    def _moved(self, loads_kw: dict[str, float], pool: str, before: Caps, after: Caps) -> dict[str, float]:
        """What becomes of loads where a pool has other caps; losses are in proportion, for at worst nothing flows back."""
        if (more_w := sum_w(after) - sum_w(before)) == 0:
            return loads_kw
        moved_kw, more_kw = dict(loads_kw), more_w / 1000
        for name, loss_share in self._above[self._site.pools[pool].feeder]:
            more_kw *= 1 + loss_share
            moved_kw[name] = moved_kw.get(name, 0.0) + more_kw
        return moved_kw


def _way_up(site: Site, feeder: str | None) -> tuple[tuple[str, float], ...]:
    """The feeders that carry what passes one, itself first, with their losses."""
    found = []
    while feeder is not None:
        found.append((feeder, site.feeders[feeder].loss_share))
        feeder = site.feeders[feeder].parent
    return tuple(found)
