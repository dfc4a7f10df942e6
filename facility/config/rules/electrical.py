"""Rules of the feeder tree and what hangs on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from facility.config.rules.parts import Breach, Known, nearest
from facility.config.strict_yaml import KeyPath


def tree(site: Known) -> Iterator[Breach]:
    """A feeder tree without one root for each connection, or with a circle."""
    feeders = site.ids("feeders")
    parents = {name: site.get("feeders", name, "parent") for name in feeders}
    roots = [name for name in feeders if parents[name] is None and not site.malformed("feeders", name, "parent")]
    fed = {feed: site.get("grid", "feeds", feed, "feeder") for feed in site.ids("grid", "feeds")}
    yield from _feeds(fed, feeders, roots)
    if feeders and len(roots) != 1 and not (fed and roots):
        found = f"{len(roots)} roots: {', '.join(roots)}" if roots else "no root: every feeder has a parent"
        yield ("feeders",), found, "leave `parent` out at exactly one feeder, the utility's"
    told: set[str] = set()
    for name in feeders:
        walked = [name]
        while (up := parents.get(walked[-1])) is not None and up not in walked:
            walked.append(up)
        if up == name and name not in told:
            told.update(walked)
            yield ("feeders", name, "parent"), f"a circle: {' under '.join([*walked, name])}", "hang one of them elsewhere"


def _feeds(fed: dict[str, str | None], feeders: Collection[str], roots: Collection[str]) -> Iterator[Breach]:
    """Feeds, by id with their feeder where it is known: each at a root of its own, and every root on a feed."""
    known = [feeder for feeder in fed.values() if feeder is not None]
    for feed, feeder in fed.items():
        path: KeyPath = ("grid", "feeds", feed, "feeder")
        if feeder in feeders and feeder not in roots:
            yield path, f"`{feeder}` hangs under another feeder", f"a root, such as {' or '.join(roots) or 'a feeder without parent'}"
        elif feeder is not None and known.count(feeder) > 1:
            yield path, f"`{feeder}` has another feed too", "one feed for each root"
    for root in roots:
        if fed and len(known) == len(fed) and root not in known:
            yield ("feeders", root), "a root on no feed", "give it a parent, or a feed under grid.feeds"


def redundancy(site: Known) -> Iterator[Breach]:
    """Groups of feeders that cannot back each other."""
    group_of = {name: site.get("feeders", name, "redundancy_group") for name in site.ids("feeders")}
    for name, group in group_of.items():
        path = ("feeders", name, "redundancy_group")
        if group is None:
            continue
        if list(group_of.values()).count(group) == 1:
            others = sorted({str(other) for other in group_of.values() if other not in (None, group)})
            yield path, f"`{group}` has no other feeder", nearest(group, others) if others else "a group of two feeders or more"
        for up in _above(site, name):
            if group_of[up] == group:
                yield path, f"{up}, above {name}, is in `{group}` too", "feeders beside each other, none above another"


def ride_through(site: Known) -> Iterator[Breach]:
    """A feeder to ride through for no time."""
    for name in site.ids("batteries"):
        if site.get("batteries", name, "ride_through_feeder") and site.get("batteries", name, "ride_through_min") == 0:
            path = ("batteries", name, "ride_through_feeder")
            yield path, "a feeder to carry, for 0 min", "give ride_through_min, or leave this out"


def sources(site: Known) -> Iterator[Breach]:
    """Sources that share an id."""
    for name in site.ids("gensets"):
        if name in site.ids("solar"):
            yield ("gensets", name), f"`{name}` is a solar plant too", "an id of its own: plans tell generation apart by it"


def _above(site: Known, feeder: str) -> list[str]:
    """The feeders above one, as far as they are known; none twice."""
    walked = [feeder]
    while (up := site.get("feeders", walked[-1], "parent")) in site.ids("feeders") and up not in walked:
        walked.append(up)
    return walked[1:]
