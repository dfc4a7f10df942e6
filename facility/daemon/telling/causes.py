"""Causes: what many sensors that are not heard have in common, so that 500 of them are one alarm and not 500.

A group is what may fail at once: the site, a gateway's batches, a hall, a feeder with all below it. Where every sensor of a group is lost the
group is the cause, the largest first; what is left is told by hall where it is several, else one by one. A doubt of another kind is told
by what it is about: a balance, a quantity, the sensor itself. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from facility.alarms.naming import slug
from facility.sensors import sensors
from facility.site import Site
from facility.verdict import Doubt

LOST = frozenset({"silent", "late", "unheard", "refused"})
QUIET = frozenset({"awaited", "unconfirmed"})
"""What the next reading will tell is no cause yet."""
FEWEST = 3
"""Sensors that make a group; fewer are told one by one."""
NAMED = 5
"""Sensors that a cause spells out."""

REMEDIES = {
    "lost": "see what they have in common: gateway, switch, supply, the clock or the unit they send in",
    "silent": "see whether the sensor and its gateway have power and reach the broker",
    "unheard": "see what its gateway calls it (`facility check SITE --listen`); where there is none, say `absent` of it in the site file",
    "late": "set the sender's clock",
    "refused": "mend its unit, its range or its quality where it is sent",
    "stuck": "restart or exchange it; where the value rightly stands still, set `still_after` of it in the site file",
    "leap": "see whether it was moved or exchanged; where it may leap, set `step` of it in the site file",
    "balance": "compare the meters named, their transformer ratios, and base_kw of the halls there",
}
OTHER = "compare the sensors beside it, and exchange the one that is wrong"


@dataclass(frozen=True)
class Cause:
    """Why the sensors `keys` are not good; `id` is an alarm's. `grave` where nothing that is believed tells one of them."""

    id: str
    place: str
    says: str
    remedy: str
    keys: frozenset[str]
    grave: bool


class Groups:
    """What the sensors of a site have in common by its plan."""

    def __init__(self, site: Site) -> None:
        there = [sensor for sensor in sensors(site) if not sensor.absent]
        self.all = tuple(sensor.key for sensor in there)
        members: dict[str, list[str]] = {"site": list(self.all)}
        for sensor in there:
            hall = sensor.hall if sensor.asset_type in ("pool", "hall") else None
            if hall is not None:
                members.setdefault(f"hall {hall}", []).append(sensor.key)
            for feeder in _feeders(site, sensor.asset_type, sensor.asset):
                members.setdefault(f"feeder {feeder}", []).append(sensor.key)
        self.members: Mapping[str, frozenset[str]] = {name: frozenset(keys) for name, keys in members.items()}


def lost(doubts: Collection[Doubt]) -> frozenset[str]:
    """The keys of sensors that are not heard, or told in a way that is refused."""
    return frozenset(doubt.key for doubt in doubts if doubt.kind in LOST)


def causes(groups: Groups, doubts: Mapping[str, Doubt], batches: Mapping[str, frozenset[str]]) -> Iterator[Cause]:
    """Tell what is behind `doubts`; `batches` are the sensors that ever came together, by their topic."""
    gone = lost(doubts.values())
    left = set(gone)
    known = {**groups.members, **{f"gateway {topic}": keys for topic, keys in batches.items()}}
    for name, keys in sorted(known.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(keys) >= FEWEST and keys <= gone and len(keys & left) >= FEWEST:
            yield _group(name, keys & left, f"all {len(keys)} sensors of {name} are lost", doubts)
            left -= keys
    for name, keys in groups.members.items():
        if name.startswith("hall ") and len(keys & left) >= FEWEST:
            yield _group(name, keys & left, f"{len(keys & left)} of {len(keys)} sensors of {name} are lost", doubts)
            left -= keys
    if len(left) > NAMED:
        yield _group("site", frozenset(left), f"{len(left)} of {len(groups.all)} sensors are lost", doubts)
        left.clear()
    about: dict[str, list[Doubt]] = defaultdict(list)
    for key, doubt in doubts.items():
        if key in left or doubt.kind not in LOST | QUIET:
            about[f"{doubt.kind} {doubt.about or key}"].append(doubt)
    for doubted in about.values():
        yield _single(doubted)


def _group(name: str, keys: frozenset[str], says: str, doubts: Mapping[str, Doubt]) -> Cause:
    first = min(doubts[key].since for key in keys)
    some = ", ".join(sorted(keys)[:NAMED])
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    grave = not all(doubts[key].measured for key in keys)
    return Cause(slug(f"sensors {name}"), name, f"{says} since {first:%H:%M:%S}: {some}{more}", REMEDIES["lost"], keys, grave)


def _single(doubted: list[Doubt]) -> Cause:
    first = doubted[0]
    keys = frozenset(doubt.key for doubt in doubted)
    place = first.about or first.key
    named = ", ".join(sorted(keys)[:NAMED])
    what = f"{named}: {first.says}" if first.kind not in LOST or len(keys) == 1 else named
    used = f"; {first.stands_in} is used instead" if first.stands_in else ""
    kind = "lost" if first.kind in LOST else first.kind
    grave = not all(doubt.measured for doubt in doubted)
    return Cause(slug(f"{kind} {place}"), place, f"{what}{used}", REMEDIES.get(first.kind, OTHER), keys, grave)


def _feeders(site: Site, kind: str, asset: str) -> Iterator[str]:
    """The feeders that an asset hangs on, its own first, up to the root."""
    own = {
        "pool": {name: pool.feeder for name, pool in site.pools.items()},
        "cooling": {name: plant.feeder for name, plant in site.cooling_plants.items()},
        "battery": {name: battery.feeder for name, battery in site.batteries.items()},
        "feeder": {name: name for name in site.feeders},
    }
    node = own.get(kind, {}).get(asset)
    while node is not None:
        yield node
        node = site.feeders[node].parent
