"""Balance: what hangs on a feeder, its base load and its losses, against the feeder's own meter; the root feeders against the grid's.

    sum    = pools + cooling + batteries + feeders below + base;   through = sum + loss_share * |sum|
    broken   meter - through beyond the tolerance, to the same side, for BALANCE_S

A feeder with generation on it has no balance, for nobody measures that. Feeders of a redundancy group carry for each other: where their sum
is in balance, so is each. One that is broken blames its meter and all that hangs on it,
except a meter that agrees with what stands above it, or with what hangs on it, and except all others where one alone is left to blame
elsewhere. The greater side counts.

| figure | value | why |
|---|---|---|
| BALANCE_SHARE | 5 % of the rating | meters of class 1 on both sides, and samples that are some seconds apart |
| the base load itself | added to it | it is declared, not measured: it may be nothing, or twice as much |
| SOUND_SHARE | half of it | a meter that is nearly out of balance is no witness |
| BALANCE_S | 60 s | a job that starts is seen by one meter a period before another; noise changes sides |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from facility.site import Site
from facility.telemetry.belief import Belief
from facility.telemetry.lasting import Lasting
from facility.verdict import Verdict

BALANCE_SHARE = 0.05
BALANCE_S = 60.0
SOUND_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Balance:
    """A meter, by its sensor's key, and the keys of what hangs on it. `whole` where every load on it is measured or declared.

    Each is itself alone: they are looked up many times a second.
    """

    name: str
    meter: str
    parts: tuple[str, ...]
    base_kw: float
    loss_share: float
    rating_kw: float
    whole: bool
    group: str | None = None

    @property
    def tolerance_kw(self) -> float:
        """How far the two sides may differ, kW."""
        return BALANCE_SHARE * self.rating_kw + self.base_kw

    def through_kw(self, parts_kw: float) -> float:
        """What the meter shows where the parts draw `parts_kw` in all."""
        passes_kw = parts_kw + self.base_kw
        return passes_kw + self.loss_share * abs(passes_kw)


def balances(site: Site) -> tuple[Balance, ...]:
    """The balance of every feeder, what is below before what is above, and of the grid meter at the end."""

    def depth(feeder: str) -> int:
        parent = site.feeders[feeder].parent
        return 0 if parent is None else 1 + depth(parent)

    below = sorted(site.feeders, key=depth, reverse=True)
    roots = [name for name, feeder in site.feeders.items() if feeder.parent is None]
    keys, rating_kw = tuple(feeder_key(name) for name in roots), sum(site.feeders[name].rating_kw for name in roots)
    meter = Balance("grid", meter_key(site), keys, 0.0, 0.0, rating_kw, whole=True)
    return (*(_feeder(site, name) for name in below), meter)


def meter_key(site: Site) -> str:
    """The key of the grid meter."""
    return f"site/meter/{site.grid.feed}/import_kw"


def feeder_key(feeder: str) -> str:
    """The key of a feeder's meter."""
    return f"site/feeder/{feeder}/power_kw"


def _feeder(site: Site, name: str) -> Balance:
    feeder = site.feeders[name]
    given = name in {plant.feeder for plant in site.solar.values()} | {genset.feeder for genset in site.gensets.values()}
    base_kw = sum(hall.base_kw for hall in site.halls.values() if hall.feeder == name)
    parts, group = tuple(_on(site, name)), feeder.redundancy_group
    return Balance(name, feeder_key(name), parts, base_kw, feeder.loss_share, feeder.rating_kw, whole=not given, group=group)


def _on(site: Site, feeder: str) -> Iterator[str]:
    """The keys of what hangs on a feeder."""
    yield from (f"{pool.hall}/pool/{name}/it_power_kw" for name, pool in site.pools.items() if pool.feeder == feeder)
    yield from (f"site/cooling/{name}/power_kw" for name, plant in site.cooling_plants.items() if plant.feeder == feeder)
    yield from (f"site/battery/{name}/power_kw" for name, battery in site.batteries.items() if battery.feeder == feeder)
    yield from (feeder_key(name) for name, other in site.feeders.items() if other.parent == feeder)


class Balances:
    """The balances of a site, followed in time."""

    def __init__(self, site: Site) -> None:
        self.all = balances(site)
        self._lasting = Lasting()

    def broken(self, beliefs: Mapping[str, Belief], now: datetime) -> dict[str, Belief]:
        """What is to be thought of each meter and part that a broken balance blames."""
        both = {b: (meter_kw, b.through_kw(parts_kw)) for b in self.all if (meter_kw := _of(b.meter, beliefs)) is not None
                and (parts_kw := _parts_kw(b, beliefs)) is not None}  # fmt: skip
        shared = _shared({b: meter_kw - sum_kw for b, (meter_kw, sum_kw) in both.items()})
        lost = [b for b, (meter_kw, sum_kw) in both.items() if self._lasts(b, 0.0 if b in shared else meter_kw - sum_kw, now)]
        near = [b for b, (meter_kw, sum_kw) in both.items() if b not in lost and abs(meter_kw - sum_kw) <= SOUND_SHARE * b.tolerance_kw]
        meters = {b.meter for b in both}
        sound = {b.meter for b in near} | {part for b in near for part in b.parts if part in meters}
        suspects = {b: [key for key in (b.meter, *b.parts) if key not in sound] or [b.meter, *b.parts] for b in lost}
        alone = {keys[0] for keys in suspects.values() if len(keys) == 1}
        blamed: dict[str, Belief] = {}
        for b, keys in suspects.items():
            meter_kw, sum_kw = both[b]
            says = f"{b.name}'s meter shows {meter_kw:.4g} kW, what hangs on it {sum_kw:.4g} kW"
            for key in alone.intersection(keys) or keys:
                it = blamed.get(key) or beliefs[key]._replace(verdict=Verdict.SUSPECT, kind="balance", says=says, about=b.name)
                assert it.value is not None
                assert it.high is not None
                least_kw = sum_kw if key == b.meter else it.value
                blamed[key] = it._replace(value=max(it.value, least_kw), high=max(it.high, least_kw))
        return blamed

    def _lasts(self, balance: Balance, gap_kw: float, now: datetime) -> bool:
        """Whether a gap has been beyond the tolerance, to the same side, for BALANCE_S."""
        far, name = balance.tolerance_kw, balance.name
        more = self._lasting.lasts(f"more {name}", now, BALANCE_S, holds=gap_kw > far)
        less = self._lasting.lasts(f"less {name}", now, BALANCE_S, holds=gap_kw < -far)
        return more or less


def _shared(gaps_kw: Mapping[Balance, float]) -> frozenset[Balance]:
    """The balances of groups of feeders whose gaps, kW, make up for each other: one carries what hangs on another."""
    groups: defaultdict[str, list[Balance]] = defaultdict(list)
    for balance in gaps_kw:
        if balance.group is not None:
            groups[balance.group].append(balance)
    even = [them for them in groups.values() if abs(sum(gaps_kw[b] for b in them)) <= sum(b.tolerance_kw for b in them)]
    return frozenset(balance for them in even for balance in them)


def _of(key: str, beliefs: Mapping[str, Belief]) -> float | None:
    it = beliefs.get(key)
    return it.value if it is not None and it.measured and it.verdict != Verdict.SUBSTITUTED else None


def _parts_kw(balance: Balance, beliefs: Mapping[str, Belief]) -> float | None:
    """What the parts of a balance draw together, where each of them is measured; None otherwise."""
    if not balance.whole or not balance.parts:
        return None
    parts = [_of(part, beliefs) for part in balance.parts]
    return None if None in parts else sum(kw for kw in parts if kw is not None)
