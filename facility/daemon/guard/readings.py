"""Readings: what every place shows at an instant, from which value on caps give way there, and how much power must go.

Of a feeder's meter the newest reading counts at once. A place that nothing measures any more is held to what caps allow at worst, and so is one
with a pool under it that draws more than its caps allow. What was never measured is left to the plan, which keeps to the ratings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf

from facility.daemon.guard.defiance import Defiance
from facility.daemon.guard.heat import Warming, over_kw
from facility.daemon.guard.places import AtWorst, Carrier, Grid, Hall, Place, at_worst_kw, worst_loads_kw
from facility.daemon.guard.tree import feeders_gone, groups, weights
from facility.daemon.holding.charging import below
from facility.daemon.holding.lid import meter_lost
from facility.daemon.holding.overrule import worst_import_kw
from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.site import Site
from facility.snapshot import Snapshot
from facility.telemetry.balance import feeder_key
from facility.telemetry.quality import NEVER
from facility.verify import expected_kw
from facility.verify.loads import carriers as limits
from facility.verify.violation import SLACK

GRID_AIM_SHARE, GRID_RELEASE_SHARE = 0.99, 0.975
"""Of the grid's limit, which is a contract's mean and no rating: plans rightly fill it, so caps give way at the limit itself."""
NAMED = {"feeder": "feeder", "redundancy": "group"}
GROUP_S = 15.0
"""How long a group of feeders must have had too much, s: no gear is in danger yet."""
NEWS_SHARE, NEWS_K = 0.02, 2.0
"""By how much more than what was answered already a reading is news, of the limit and of a hall; meters err by less."""


@dataclass(frozen=True)
class Reading:
    """`value` is in kW, of a hall it is where it is heading, degC. Above `cut_above` power must go, `over_kw` of it, where it lasts for `lasts_s`; at
    `release_below` all is well.

    `aim_kw` is what is left then, None where that is no power. A reading is `news` where it is so much above one that was answered. One that is
    `reckoned` is no measurement. `unseen_kw` is what is there and no plan expects; None: what the meter shows above what is expected.
    """

    place: Place
    value: float
    cut_above: float
    release_below: float
    over_kw: float
    says: str
    news: float
    aim_kw: float | None = None
    lasts_s: float = 0.0
    reckoned: bool = False
    unseen_kw: float | None = None


class Readings:
    """Follows the places of a site. `gone` names the feeders that are; `defiant` what pools draw that do not obey, kW."""

    def __init__(self, site: Site) -> None:
        self._site, self._constants, self.grid = site, site.control.guard, Grid(site)
        self._own, self._groups = weights(site), groups(site)
        self._worst_kw = {f"{NAMED[limit.rule]} {limit.name}": limit.worst_kw for limit in limits(site)}
        self._warming = {name: Warming() for name, hall in site.halls.items() if hall.thermal is not None}
        self.halls = {name: Hall(f"hall {name}", _air(site, name)) for name in self._warming}
        self.defiance = Defiance(site)
        self.defiant: Mapping[str, float] = {}
        self.gone: frozenset[str] = frozenset()
        self.carriers = self._carriers()

    def take(self, here: Situation, in_force: Decision, told: Collection[str]) -> Iterator[Reading]:
        """Read every place, of the feeder tree the lower ones first; the pools in `told` enforce more than they were sent."""

        def expected() -> Mapping[str, float]:
            return expected_kw(here.site, in_force, here.snapshot, here.outdoor_c)

        gone = feeders_gone(self._site, here.snapshot.feeder_kw, expected)
        if gone != self.gone:
            self.gone, self.carriers = gone, self._carriers(gone)
        self.defiant = self.defiance.look(here, in_force, told)
        yield from self._halls(here)
        for carrier in self.carriers:
            yield from self._carried(carrier, here.snapshot)
        yield from self._at_worst(here, in_force)
        yield from self._imported(here, in_force)

    def shown(self, snapshot: Snapshot) -> dict[str, float | None]:
        """What feeders, their groups and halls show by their meters alone, by name; None where nothing measures it."""
        carried = {it.name: _sum(it, snapshot) for it in self.carriers}
        return carried | {hall.name: snapshot.hall_c.get(name) for name, hall in self.halls.items()}

    def _carriers(self, gone: frozenset[str] = frozenset()) -> tuple[Carrier, ...]:
        site, now = self._site, weights(self._site, gone) if gone else self._own

        def made(name: str, feeders: tuple[str, ...], rating_kw: float) -> Carrier:
            sums, own = (_summed(by_feeder, feeders) for by_feeder in (now, self._own))
            of_lost = {pool: sums.get(pool, 0.0) - own.get(pool, 0.0) for pool in sums.keys() | own.keys()} if gone else {}
            return Carrier(name, feeders, rating_kw, sums, of_lost, _cooled(site, feeders), below(site, frozenset(feeders)))

        single = [made(f"feeder {name}", (name,), site.feeders[name].rating_kw) for name in _leaves_first(site) if name not in gone]
        backed = []
        for group, members in self._groups.items():
            left = tuple(name for name in members if name not in gone)
            ratings_kw = [site.feeders[name].rating_kw for name in left]
            if len(left) > 1:
                backed.append(made(f"group {group}", left, sum(ratings_kw) - (max(ratings_kw) if left == members else 0.0)))
        return (*single, *backed)

    def _carried(self, carrier: Carrier, snapshot: Snapshot) -> Iterator[Reading]:
        """What a feeder's meter shows, or those of a group; nothing where one is not measured.

        Feeders of a group take over from each other, and their meters are read one after another: only what settles there counts.
        """
        kw, alone = _sum(carrier, snapshot), len(carrier.feeders) == 1
        if kw is None:
            return
        rating_kw, share = carrier.rating_kw, self._constants
        yield Reading(
            carrier, kw, share.cut_share * rating_kw, share.release_share * rating_kw, kw - share.aim_share * rating_kw,
            f"{carrier.name} carried {kw:.1f} of {rating_kw:g} kW", NEWS_SHARE * rating_kw, share.aim_share * rating_kw, 0.0 if alone else GROUP_S,
        )  # fmt: skip

    def _at_worst(self, here: Situation, in_force: Decision) -> Iterator[Reading]:
        """What caps allow where no meter tells more, or where caps alone do not tell."""
        concerned = [it for it in self.carriers if not self.defiant.keys().isdisjoint(it.weights) or _dark(here.snapshot, it)]
        if not concerned:
            return
        by_caps, drawn = worst_loads_kw(here, in_force, {}), worst_loads_kw(here, in_force, self.defiant)
        for it in concerned:
            kw, most_kw = at_worst_kw(it, here, in_force, self.defiant, drawn), self._most_kw(it)
            who = f"while {', '.join(sorted(self.defiant))} draws more than caps allow" if self.defiant else "where nothing measures it"
            yield Reading(
                AtWorst(it, most_kw, self.defiant), kw, most_kw + SLACK, -inf, kw - most_kw, f"{it.name} may carry {kw:.1f} of {most_kw:g} kW {who}",
                NEWS_SHARE * most_kw, most_kw, reckoned=True, unseen_kw=kw - at_worst_kw(it, here, in_force, {}, by_caps),
            )  # fmt: skip

    def _most_kw(self, it: Carrier) -> float:
        """What a carrier may carry at worst, kW; of a group whose feeder is gone, what those that are left may."""
        feeders = [self._site.feeders[name] for name in it.feeders]
        gone = it.name.startswith("group") and len(self._groups[it.name.partition(" ")[2]]) > len(feeders)
        return sum(feeder.rating_kw * feeder.worst_case_margin for feeder in feeders) if gone else self._worst_kw[it.name]

    def _imported(self, here: Situation, in_force: Decision) -> Iterator[Reading]:
        kw, limit_kw = here.snapshot.import_high_kw, self.grid.limit_kw(here)
        if dark := kw is None and meter_lost(self._site, here.snapshot):
            kw = worst_import_kw(here.site, in_force, here.snapshot, here.outdoor_c)
        if kw is None:
            return
        says = f"nothing measures the power at the grid, where caps allow {kw:.1f}" if dark else f"the meter showed {kw:.1f}"
        aim_kw = GRID_AIM_SHARE * limit_kw
        yield Reading(
            self.grid, kw, limit_kw, GRID_RELEASE_SHARE * limit_kw, kw - aim_kw, f"{says} of {limit_kw:g} kW", inf, aim_kw, reckoned=dark
        )

    def _halls(self, here: Situation) -> Iterator[Reading]:
        for name, warming in self._warming.items():
            thermal, doubt = self._site.halls[name].thermal, here.snapshot.doubts.get(f"{name}/hall/{name}/air_temperature_c")
            assert thermal is not None
            measured_c = None if doubt is not None and not doubt.measured else here.snapshot.hall_c.get(name)
            if measured_c is None:
                warming.lost()
                continue
            rise = warming.rise_k_per_s(here.now, measured_c)
            ahead_c, most_c = measured_c + rise * self._constants.look_ahead_s, thermal.allowable_max_c
            says = f"hall {name} had {measured_c:.1f} of {most_c:g} degC, rising {60 * rise:.1f} K/min"
            yield Reading(
                self.halls[name], ahead_c, most_c, thermal.recommended_max_c, over_kw(thermal, measured_c, rise), says, NEWS_K, unseen_kw=0.0
            )


def _sum(carrier: Carrier, snapshot: Snapshot) -> float | None:
    """What a feeder's meter shows, its newest reading at once, or those of a group together, kW; None where one is not measured."""
    by_feeder = snapshot.feeder_high_kw if len(carrier.feeders) == 1 else snapshot.feeder_kw
    shown = [by_feeder[feeder] for feeder in carrier.feeders if feeder in by_feeder]
    return sum(shown) if len(shown) == len(carrier.feeders) else None


def _dark(snapshot: Snapshot, carrier: Carrier) -> bool:
    """Whether a feeder of it was measured once and is no more."""
    doubts = [snapshot.doubts.get(feeder_key(feeder)) for feeder in carrier.feeders]
    return any(doubt is not None and not doubt.measured and doubt.kind not in NEVER for doubt in doubts)


def _summed(by_feeder: Mapping[str, Mapping[str, float]], feeders: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for feeder in feeders:
        for pool, weight in by_feeder[feeder].items():
            found[pool] = found.get(pool, 0.0) + weight
    return found


def _leaves_first(site: Site) -> list[str]:
    def depth(name: str) -> int:
        parent = site.feeders[name].parent
        return 0 if parent is None else 1 + depth(parent)

    return sorted(site.feeders, key=depth, reverse=True)


def _cooled(site: Site, feeders: tuple[str, ...]) -> frozenset[str]:
    """The pools whose heat is removed by plants on `feeders`."""
    plants = {name for name, plant in site.cooling_plants.items() if plant.feeder in feeders}
    halls = {
        name for name, hall in site.halls.items() if hall.thermal is not None and plants & {hall.thermal.cooling_plant, hall.thermal.liquid_plant}
    }
    return frozenset(name for name, pool in site.pools.items() if pool.hall in halls)


def _air(site: Site, hall: str) -> dict[str, float]:
    """The share of each pool's heat that goes into the air of a hall."""
    return {name: 1 - pool.liquid_share for name, pool in site.pools.items() if pool.hall == hall}
