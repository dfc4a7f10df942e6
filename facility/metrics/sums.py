"""Sums: energy, money and waiting since the process began, added up from what is known at each look.

    energy   += power at the grid meter * time            drawn and given back apart
    paid     += price * energy                            drawn at a price above nought, or given back below it
    earned   += -price * energy                           drawn at a price below nought, or given back above it
    deferred += GPUs of jobs that came and are told to wait * time

Price is that of energy alone, without fees and taxes, as in a plan's `energy_cost`. Time for which no meter is believed is counted apart and
adds nothing; neither does what is longer than `LONGEST_S` between two looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from facility.decision import Decision
from facility.site import Site
from facility.snapshot import Snapshot

LONGEST_S = 30.0
"""The longest time between two looks that is counted, by the machine's stopwatch: nobody knows what was in a longer one."""


@dataclass(frozen=True)
class Summed:
    """What was added up, since the process began. Money is in the site's currency; GPU seconds by pool."""

    drawn_kwh: float = 0.0
    given_kwh: float = 0.0
    paid: float = 0.0
    earned: float = 0.0
    unmetered_s: float = 0.0
    deferred_gpu_s: Mapping[str, float] = field(default_factory=dict)


class Sums:
    """Follows one site's clock, which runs `speed` times as fast as the machine's stopwatch."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._last_s: float | None = None
        self._drawn_kwh = self._given_kwh = self._paid = self._earned = self._unmetered_s = 0.0
        self._deferred_gpu_s: defaultdict[str, float] = defaultdict(float)
        self._waiting: tuple[Decision | None, Mapping[str, int]] = (None, {})

    def add(self, now_s: float, site: Site, snapshot: Snapshot, price_per_mwh: float, in_force: Decision | None) -> None:
        """Add the time since the last look, in which things were as they are now; `now_s` is the stopwatch's."""
        last_s, self._last_s = self._last_s, now_s
        if last_s is None:
            return
        seconds = self._speed * (now_s - last_s)
        if snapshot.import_kw is None or now_s - last_s > LONGEST_S:
            self._unmetered_s += seconds
        else:
            self._bill(site, snapshot.import_kw * seconds / 3600, price_per_mwh)
        if now_s - last_s <= LONGEST_S:
            for pool, gpus in self._held(in_force, snapshot).items():
                self._deferred_gpu_s[pool] += gpus * seconds

    @property
    def told(self) -> Summed:
        """As it is now."""
        return Summed(self._drawn_kwh, self._given_kwh, self._paid, self._earned, self._unmetered_s, dict(self._deferred_gpu_s))

    def _bill(self, site: Site, kwh: float, price_per_mwh: float) -> None:
        if kwh >= 0:
            self._drawn_kwh += kwh
            cost = kwh * price_per_mwh / 1000
        else:
            self._given_kwh -= kwh
            cost = kwh * export_price_per_mwh(site, price_per_mwh) / 1000
        self._paid += max(cost, 0.0)
        self._earned += max(-cost, 0.0)

    def _held(self, in_force: Decision | None, snapshot: Snapshot) -> Mapping[str, int]:
        """GPUs of the jobs that a decision holds, by pool; reckoned once for each decision."""
        if in_force is not self._waiting[0]:
            held = {order.job for order in in_force.jobs if order.action == "hold"} if in_force is not None else set()
            gpus: defaultdict[str, int] = defaultdict(int)
            for job in snapshot.jobs:
                if job.id in held:
                    gpus[job.pool] += job.gpus
            self._waiting = (in_force, gpus)
        return self._waiting[1]


def export_price_per_mwh(site: Site, price_per_mwh: float) -> float:
    """What a MWh that is given back earns at a price of energy, money."""
    tariff = site.tariff
    return price_per_mwh - (tariff.export_fee_per_mwh or 0.0) if tariff.export_price_per_mwh is None else tariff.export_price_per_mwh
