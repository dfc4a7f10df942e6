"""In force: what each pool may have, by what it was sent, told and heard.

Everything that was sent since a pool's last read-back may be in force; each GPU may obey any of it. A report confirms what was sent
only where its caps are no higher. Of a pool that has not been heard of since the start every GPU may have its highest cap; what an
earlier process sent, and what agents report, is what is known of it. A battery may go on charging by any order that has not ended. What
has ended counts for `LATE` longer: whoever obeys it ends it by a clock of his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Literal

from facility.bus.messages import CapReported
from facility.decision import Decision, PoolCaps
from facility.invariants.ceiling import Caps, caps_of, ceiling, rises, sum_w
from facility.site import Site
from facility.verify import fallback_caps

LATE = timedelta(seconds=2)
MOST_IN_FORCE = 16
"""Messages of one pool that are told apart while none is read back."""


@dataclass(frozen=True)
class Sent:
    """Caps of a pool that may be in force until an instant; None: nobody knows until when."""

    caps: PoolCaps
    until: datetime | None
    basis: Literal["sent", "told", "assumed"] = "sent"
    """Sent by us; told by an agent or by the journal of an earlier process; or assumed, because nobody told."""


class InForce:
    """To be used under the daemon's lock. `epoch` is that of what is sent."""

    def __init__(self, site: Site, epoch: int) -> None:
        self._site, self._epoch = site, epoch
        self.fallback_w = fallback_caps(site)
        unknown = {pool: PoolCaps(pool, site.gpu_models[p.gpu_model].max_cap_w) for pool, p in site.pools.items()}
        self._every: dict[str, list[Sent]] = {pool: [Sent(caps, None, "assumed")] for pool, caps in unknown.items()}
        self._seq: dict[str, int] = {}
        self._reckoned: dict[str, tuple[Caps, Caps, Caps]] = {}
        self._charge: dict[str, list[tuple[float, datetime]]] = {}
        self.too_high: dict[str, str] = {}
        """By pool, what its agent reports above what was sent."""

    def resume(self, decision: Decision, now: datetime) -> None:
        """Know what an earlier process published last; whatever else it sent lapses `cap_ttl_s` from `now` or with it at the latest."""
        lapsed = max(now + timedelta(seconds=self._site.control.cap_ttl_s), decision.until)
        for order in decision.batteries:
            self.charges(order.battery, order.power_kw, decision.until)
        for caps in decision.pools:
            if caps.pool in self._every:
                assumed = [replace(sent, until=lapsed) for sent in self._every[caps.pool]]
                self._now(caps.pool, [*assumed, Sent(caps, decision.until, "told")])

    def sent(self, caps: PoolCaps, until: datetime, seq: int) -> None:
        """Know that a pool was sent caps which hold until an instant."""
        self._now(caps.pool, [*self._every[caps.pool], Sent(caps, until)])
        self._seq[caps.pool] = seq

    def charges(self, battery: str, power_kw: float, until: datetime) -> None:
        """Know that a battery was ordered a power until an instant; positive charges. One that another outlasts with no less tells nothing."""
        ordered = (max(power_kw, 0.0), until)
        every = self._charge.get(battery, [])
        if any(kw >= ordered[0] and end >= until for kw, end in every):
            return
        every = [*((kw, end) for kw, end in every if kw > ordered[0] or end > until), ordered]
        if len(every) > MOST_IN_FORCE:
            every = [(max(kw for kw, _ in every), max(end for _, end in every))]
        self._charge[battery] = every

    @property
    def charging_kw(self) -> dict[str, float]:
        """The most that each battery may be charging with, kW."""
        return {battery: max(kw for kw, _ in every) for battery, every in self._charge.items()}

    def confirmed(self, pool: str) -> bool:
        """Whether nothing but what a pool was sent last may be in force there, as its agent reported."""
        return len(self._every[pool]) == 1

    def sent_since(self, seq: int) -> frozenset[str]:
        """Pools that were sent caps by orders after the number `seq`."""
        return frozenset(pool for pool, last in self._seq.items() if last > seq)

    def lapse(self, now: datetime) -> None:
        """Forget what has ended `LATE` ago: of it nothing is left above the fallback, and the lists stay short."""
        now -= LATE
        standing = {battery: [sent for sent in every if sent[1] > now] for battery, every in self._charge.items()}
        self._charge = {battery: every for battery, every in standing.items() if every}
        for pool, (*old, newest) in self._every.items():
            ended = newest.until is not None and newest.until <= now
            if not old and not ended:
                continue
            kept = [sent for sent in old if sent.until is None or sent.until > now]
            if len(kept) < len(old):
                kept.insert(0, Sent(PoolCaps(pool, self.fallback_w[pool]), None))
            if len(kept) > MOST_IN_FORCE:
                highest_w = max(cap_w for sent in kept for cap_w in (sent.caps.cap_w, *(group.cap_w for group in sent.caps.groups)))
                kept = [Sent(PoolCaps(pool, highest_w), None)]
            last = Sent(_at_most(newest.caps, self.fallback_w[pool]), None) if ended else newest
            self._now(pool, [*dict.fromkeys(kept), last])

    def read_back(self, pool: str, report: CapReported, *, retained: bool = False) -> bool:
        """Take an agent's report; True where less may be in force because of it.

        It confirms the last message where it knows of it and has no higher caps: then only that one counts. Higher caps count as
        in force besides, as far as GPUs can be set to them. A report of earlier orders tells what a pool has, not what is still on its way
        to it: it ends what was assumed only where no earlier process is known, and where it is not retained and may be old.
        """
        last = self._seq.get(pool)
        before, reported_w = self._every[pool], self._can_be_set(pool, max([report.enforced_cap_w, *(g.cap_w for g in report.groups)]))
        if last is None or report.epoch != self._epoch or report.seq is None or report.seq < last:
            self._heard(pool, PoolCaps(pool, reported_w), retained=retained)
            return self._every[pool] != before
        newest = before[-1]
        if too_high := _above(newest.caps, report):
            self.too_high[pool] = too_high
            known = [part for part in before[:-1] if part.basis != "assumed"]
            self._now(pool, [*dict.fromkeys([Sent(PoolCaps(pool, reported_w), None), *known]), newest])
            return False
        self.too_high.pop(pool, None)
        self._now(pool, [newest])
        return len(before) > 1

    def most(self, pool: str) -> Caps:
        """The most that may be in force in a pool."""
        return self._reckon(pool)[0]

    def most_with(self, caps: PoolCaps) -> Caps:
        """The most that may be in force in a pool once it is sent `caps` too."""
        return self._ceiling(caps.pool, [*self._every[caps.pool], Sent(caps, None)])

    def known(self, pool: str) -> Caps:
        """What a pool has as far as anybody was told, the least of it; where nobody was, the most that may be in force."""
        return self._reckon(pool)[1]

    def adds(self, caps: PoolCaps) -> bool:
        """Whether more may be in force by caps than is known to be. What is no higher than one message that may be adds nothing."""
        wanted, gpus = caps_of(caps, self._site.pools[caps.pool].gpus), self._site.pools[caps.pool].gpus
        ours = (caps_of(sent.caps, gpus) for sent in self._every[caps.pool] if sent.basis == "sent")
        return rises(wanted, self.known(caps.pool)) and all(rises(wanted, earlier) for earlier in ours)

    def last(self, pool: str) -> tuple[PoolCaps, ...]:
        """What a pool was sent last; before that, everything that was told of it, for nobody knows which of it is true."""
        every = self._every[pool]
        told = tuple(sent.caps for sent in every if sent.basis == "told")
        return told if every[-1].basis == "told" else (every[-1].caps,)

    def low(self, pool: str) -> Caps:
        """The least that a pool may have: what it was sent last, or the lowest of what was told of it."""
        return self._reckon(pool)[2]

    def _reckon(self, pool: str) -> tuple[Caps, Caps, Caps]:
        if pool not in self._reckoned:
            every = self._every[pool]
            ours, told = ([sent for sent in every if sent.basis == basis] for basis in ("sent", "told"))
            bases = [[sent, *ours] for sent in told] or [ours or every]
            known = _least([self._ceiling(pool, basis) for basis in bases])
            low = _least([caps_of(caps, self._site.pools[pool].gpus) for caps in self.last(pool)])
            self._reckoned[pool] = (self._ceiling(pool, every), known, low)
        return self._reckoned[pool]

    def _ceiling(self, pool: str, several: Sequence[Sent]) -> Caps:
        """The most of several messages; one that is no higher than another adds nothing, also where nobody knows which GPUs it names."""
        highest: list[Caps] = []
        for sent in several:
            caps = caps_of(sent.caps, self._site.pools[pool].gpus)
            if all(rises(caps, other) for other in highest):
                highest = [*(other for other in highest if rises(other, caps)), caps]
        return reduce(ceiling, highest)

    def _now(self, pool: str, every: list[Sent]) -> None:
        self._every[pool] = every
        self._reckoned.pop(pool, None)

    def _can_be_set(self, pool: str, cap_w: int) -> int:
        """The nearest cap that GPUs of a pool can have: an agent may tell nonsense, and no GPU has it."""
        model = self._site.gpu_models[self._site.pools[pool].gpu_model]
        return min(max(cap_w, model.min_cap_w), model.max_cap_w)

    def _heard(self, pool: str, caps: PoolCaps, *, retained: bool) -> None:
        """Take what a pool enforces without a message of ours confirmed, while its caps are only assumed."""
        every = self._every[pool]
        assumed = [sent for sent in every if sent.basis == "assumed"]
        if assumed:
            heard = Sent(caps, assumed[0].until, "told")
            rest = [sent for sent in every if sent.basis != "assumed" and sent != heard]
            lasts = retained or heard.until is not None
            self._now(pool, [*(assumed if lasts else ()), heard, *rest])


def _at_most(caps: PoolCaps, cap_w: int) -> PoolCaps:
    groups = tuple(replace(group, cap_w=min(group.cap_w, cap_w)) for group in caps.groups)
    return replace(caps, cap_w=min(caps.cap_w, cap_w), groups=groups)


def _least(several: Sequence[Caps]) -> Caps:
    return several[0] if len(several) == 1 else min(several, key=sum_w)


def _above(caps: PoolCaps, report: CapReported) -> str:
    """Say where a report has higher caps than were sent, in the pool or for one workload; empty where it has none."""
    highest = max([caps.cap_w, *(group.cap_w for group in caps.groups)])
    if report.enforced_cap_w > highest:
        return f"pool {caps.pool} reports {report.enforced_cap_w} W enforced, {highest} W was sent"
    for group in report.groups:
        sent = max([caps.cap_w, *(part.cap_w for part in caps.groups if part.workload == group.workload)])
        if group.cap_w > sent:
            return f"pool {caps.pool} reports {group.cap_w} W enforced for {group.workload}, {sent} W was sent"
    return ""
