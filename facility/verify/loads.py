"""Loads: what feeders carry, and what may be carried, in plain arithmetic: no solver, no arrays, nothing shared with the model.

    feeder      = net + loss * |net|,   net = pools + bases + cooling + batteries - generation + feeders below
    group (N-1) = sum of its feeders, on the ratings of all but the largest, which is lost; the others share it by rating

Pools are in `draw`, cooling is in `cooling`; powers are in kW.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from facility.decision import Decision
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.cooling import Drift, drifts, most_heat_kw, plant_heat_kw, steady_cooling_kw, tanks_kw
from facility.verify.draw import expected_it_kw
from facility.verify.supply import supplied


@dataclass(frozen=True)
class Carrier:
    """What carries the load of `feeders`: one by itself, or what is left of a group when its largest is lost; kW."""

    name: str
    feeders: tuple[str, ...]
    rating_kw: float
    worst_kw: float
    rule: str = "feeder"

    def load_kw(self, loads: Mapping[str, float]) -> float:
        """What it has to carry where feeders carry `loads`."""
        return sum(loads[feeder] for feeder in self.feeders)


def carriers(site: Site, share: float = 1.0) -> tuple[Carrier, ...]:
    """Every feeder, then every group of feeders that back each other; at worst at most `share` of a rating is used."""
    at_worst = {name: feeder.rating_kw * min(share, feeder.worst_case_margin) for name, feeder in site.feeders.items()}
    found = [Carrier(name, (name,), feeder.rating_kw, at_worst[name]) for name, feeder in site.feeders.items()]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, feeder in site.feeders.items():
        if feeder.redundancy_group is not None:
            groups[feeder.redundancy_group].append(name)
    for group, members in groups.items():
        rating = [site.feeders[name].rating_kw for name in members]
        worst = [at_worst[name] for name in members]
        found.append(Carrier(group, tuple(members), sum(rating) - max(rating), sum(worst) - max(worst), "redundancy"))
    return tuple(found)


def feeder_kw(
    site: Site,
    it_kw: Mapping[str, float],
    heat_it_kw: Mapping[str, float],
    battery_kw: Mapping[str, float],
    outdoor_c: float,
    moving: Mapping[str, Drift] | None = None,
    given_kw: Mapping[str, float] | None = None,
    charge_kw: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Sum the power into every feeder, kW, its own losses included.

    `it_kw` is the IT power by pool, `heat_it_kw` the one whose heat the plants remove (the same, unless a surge is quicker
    than they are), `battery_kw` the batteries' power, charging positive, `moving` the halls that are not steady, `given_kw` what is
    generated under each feeder (negative: drawn besides), `charge_kw` the heat that plants take out of their tanks. A plant removes at most what
    it can in that weather. Losses go with the size of what passes, also when it flows back.
    """
    net = dict.fromkeys(site.feeders, 0.0)
    for pool, kw in it_kw.items():
        net[site.pools[pool].feeder] += kw
    for hall in site.halls.values():
        net[hall.feeder] += hall.base_kw
    for plant_id, heat_kw in plant_heat_kw(site, heat_it_kw, outdoor_c, moving, charge_kw).items():
        plant = site.cooling_plants[plant_id]
        net[plant.feeder] += steady_cooling_kw(site, plant_id, min(heat_kw, most_heat_kw(plant, outdoor_c)), outdoor_c)
    for feeder_id, kw in (given_kw or {}).items():
        net[feeder_id] -= kw
    for battery, kw in battery_kw.items():
        net[site.batteries[battery].feeder] += kw

    below: defaultdict[str | None, list[str]] = defaultdict(list)
    for feeder_id, feeder in site.feeders.items():
        below[feeder.parent].append(feeder_id)
    loads: dict[str, float] = {}

    def into(feeder_id: str) -> float:
        passes_kw = net[feeder_id] + sum(into(child) for child in below[feeder_id])
        loads[feeder_id] = passes_kw + site.feeders[feeder_id].loss_share * abs(passes_kw)
        return loads[feeder_id]

    for root in below[None]:
        into(root)
    return loads


def expected_kw(site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float) -> dict[str, float]:
    """Sum the power expected into every feeder under a decision, kW, losses included; a discharging battery and generation lower it."""
    site = supplied(site, decision)
    battery_kw = {order.battery: order.power_kw for order in decision.batteries}
    it_kw = expected_it_kw(site, decision, snapshot)
    given_kw: defaultdict[str, float] = defaultdict(float)
    for plant in decision.solar:
        given_kw[site.solar[plant.solar].feeder] += plant.power_kw
    for genset in decision.gensets:
        given_kw[site.gensets[genset.genset].feeder] += genset.power_kw
    return feeder_kw(site, it_kw, it_kw, battery_kw, outdoor_c, drifts(site, decision, snapshot), given_kw, tanks_kw(decision))
