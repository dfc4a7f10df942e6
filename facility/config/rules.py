"""What must hold between the parts of a site file: references that lead somewhere, curves that rise, sums that fit.

Each rule reads a site as far as it is valid (`Known`) and yields (path, found, remedy) for what breaks it. So a rule speaks
even where other keys are missing or malformed, and is silent where the keys that it needs are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib import resources
from itertools import pairwise
from typing import Any, Protocol

from facility.config.strict_yaml import KeyPath

Breach = tuple[KeyPath, str, str]

REFERENCES: tuple[tuple[KeyPath, str], ...] = (
    (("feeders", "*", "parent"), "feeders"),
    (("halls", "*", "feeder"), "feeders"),
    (("halls", "*", "thermal", "cooling_plant"), "cooling_plants"),
    (("halls", "*", "thermal", "liquid_plant"), "cooling_plants"),
    (("cooling_plants", "*", "feeder"), "feeders"),
    (("pools", "*", "hall"), "halls"),
    (("pools", "*", "feeder"), "feeders"),
    (("pools", "*", "gpu_model"), "gpu_models"),
    (("batteries", "*", "feeder"), "feeders"),
    (("batteries", "*", "ride_through_feeder"), "feeders"),
    (("grid", "feeds", "*", "feeder"), "feeders"),
    (("solar", "*", "feeder"), "feeders"),
    (("gensets", "*", "feeder"), "feeders"),
    (("contracts", "*", "tenant"), "tenants"),
    (("contracts", "*", "pool"), "pools"),
    (("jobs", "contract"), "contracts"),
    (("sample_jobs", "*", "contract"), "contracts"),
    (("maintenance", "*", "pool"), "pools"),
)
"""A key that names another part, and where that part must stand. `*` is any id or index."""

ORDERED: tuple[tuple[KeyPath, tuple[str, ...], str], ...] = (
    (("gpu_models", "*"), ("min_cap_w", "max_cap_w"), "at least"),
    (("halls", "*", "thermal"), ("recommended_min_c", "recommended_max_c", "allowable_max_c"), "above"),
    (("cooling_plants", "*"), ("free_cooling_full_below_c", "free_cooling_none_above_c"), "above"),
    (("cooling_plants", "*"), ("cop_min", "cop_at_25c"), "at least"),
    (("batteries", "*"), ("min_share", "start_share"), "at least"),
    (("grid", "limit_windows", "*"), ("from_local", "to_local"), "above"),
    (("tariff", "windows", "*"), ("from_local", "to_local"), "above"),
    (("tariff", "network_fee_windows", "*"), ("from_local", "to_local"), "above"),
    (("tariff", "demand_charges", "*"), ("from_local", "to_local"), "above"),
    (("grid", "reserves", "*", "committed", "*"), ("from_local", "to_local"), "above"),
    (("control",), ("override_default_s", "override_ceiling_s"), "at least"),
)
"""Keys of one part in the order in which their values rise, and whether each must be above the one before or at least it."""

DRAW_OVER_CAP = 1.03
"""A measured draw may lie this far above its cap: a GPU's power limit is a mean that it overshoots a little."""


class Known(Protocol):
    """A site file as far as it is valid."""

    def get(self, *path: str | int) -> Any:
        """Return the value at `path` or its default; None where it is missing or malformed."""

    def malformed(self, *path: str | int) -> bool:
        """Whether something stands at `path` that its type does not allow."""

    def ids(self, *path: str | int) -> tuple[Any, ...]:
        """Return the ids or indices at `path`, malformed parts included."""


def breaches(site: Known) -> Iterator[Breach]:
    """Every rule, in turn."""
    yield from _references(site)
    yield from _tree(site)
    yield from _redundancy(site)
    yield from _ride_through(site)
    yield from _sources(site)
    yield from _curves(site)
    yield from _curves_exist(site)
    yield from _pools(site)
    yield from _services(site)
    yield from _maintenance(site)
    yield from _ordered(site)
    yield from _grid(site)
    yield from _cooling(site)
    yield from _reserves(site)
    yield from _export(site)
    yield from _peaks(site)
    yield from _times(site)


def nearest(word: str, known: Collection[str]) -> str:
    """Return the remedy for a name that is not among the known ones.

    >>> nearest("import_limt_kw", ["feed", "import_limit_kw"])
    'did you mean `import_limit_kw`?'
    """
    if close := get_close_matches(word, known, 1):
        return f"did you mean `{close[0]}`?"
    names = [*list(known)[:12], "..."] if len(known) > 12 else known
    return f"use one of {', '.join(names)}" if known else "there is none in this file"


def _expand(site: Known, pattern: KeyPath, at: KeyPath = ()) -> Iterator[KeyPath]:
    if not pattern:
        yield at
    elif pattern[0] == "*":
        for key in site.ids(*at):
            yield from _expand(site, pattern[1:], (*at, key))
    else:
        yield from _expand(site, pattern[1:], (*at, pattern[0]))


def _references(site: Known) -> Iterator[Breach]:
    for pattern, target in REFERENCES:
        known = site.ids(target)
        for path in _expand(site, pattern):
            name = site.get(*path)
            if name is not None and name not in known:
                yield path, f"no `{name}` in {target}", nearest(name, known)


def _tree(site: Known) -> Iterator[Breach]:
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


def _redundancy(site: Known) -> Iterator[Breach]:
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


def _ride_through(site: Known) -> Iterator[Breach]:
    for name in site.ids("batteries"):
        if site.get("batteries", name, "ride_through_feeder") and site.get("batteries", name, "ride_through_min") == 0:
            path = ("batteries", name, "ride_through_feeder")
            yield path, "a feeder to carry, for 0 min", "give ride_through_min, or leave this out"


def _sources(site: Known) -> Iterator[Breach]:
    for name in site.ids("gensets"):
        if name in site.ids("solar"):
            yield ("gensets", name), f"`{name}` is a solar plant too", "an id of its own: plans tell generation apart by it"


def _above(site: Known, feeder: str) -> list[str]:
    """The feeders above one, as far as they are known; none twice."""
    walked = [feeder]
    while (up := site.get("feeders", walked[-1], "parent")) in site.ids("feeders") and up not in walked:
        walked.append(up)
    return walked[1:]


def _curves(site: Known) -> Iterator[Breach]:
    for curve in _expand(site, ("gpu_models", "*", "curves", "*", "points")):
        points = [(*curve, i) for i in site.ids(*curve)]
        for point in points:
            cap_w, draw_w = site.get(*point, "cap_w"), site.get(*point, "draw_w")
            yield from _settable(site, str(curve[1]), (*point, "cap_w"))
            if cap_w is not None and draw_w is not None and draw_w > DRAW_OVER_CAP * cap_w:
                most = f"at most {DRAW_OVER_CAP * cap_w:g}, the cap + 3 %"
                yield (*point, "draw_w"), f"{draw_w} W under a cap of {cap_w} W", most
        for before, after in pairwise(points):
            for key in ("cap_w", "draw_w", "speed"):
                a, b = site.get(*before, key), site.get(*after, key)
                if a is not None and b is not None and (b < a or (key == "cap_w" and b == a)):
                    must = "above" if key == "cap_w" else "at least"
                    yield (*after, key), f"{b} after {a}", f"{must} {a}: points stand by rising cap"
        last = site.get(*points[-1], "speed") if points else None
        if last is not None and abs(last - 1) > 1e-9:
            yield (*points[-1], "speed"), f"{last} at the highest cap", "1.0: every speed is relative to this point"


def _settable(site: Known, model: str | None, path: KeyPath) -> Iterator[Breach]:
    low_w, high_w = (site.get("gpu_models", model, key) if model else None for key in ("min_cap_w", "max_cap_w"))
    cap_w = site.get(*path)
    if None not in (cap_w, low_w, high_w) and not low_w <= cap_w <= high_w:
        yield path, f"{cap_w} W, outside what {model} lets be set", f"from {low_w} to {high_w}"


def _on_step(site: Known, model: str | None, path: KeyPath) -> Iterator[Breach]:
    """Find a cap that lies between the caps that a GPU model lets be set."""
    step_w, cap_w = site.get("gpu_models", model, "power_step_w") if model else None, site.get(*path)
    if None not in (step_w, cap_w) and cap_w % step_w:
        below_w = cap_w - cap_w % step_w
        yield path, f"{cap_w} W, no multiple of power_step_w, {step_w}", f"{below_w} or {below_w + step_w}"


def _curves_exist(site: Known) -> Iterator[Breach]:
    curves_of = {pool: site.ids("gpu_models", site.get("pools", pool, "gpu_model") or "", "curves") for pool in site.ids("pools")}
    for name in site.ids("contracts"):
        curve, pool = site.get("contracts", name, "curve"), site.get("contracts", name, "pool")
        known = curves_of.get(pool)
        if curve is not None and known and curve not in known:
            yield ("contracts", name, "curve"), f"no curve `{curve}` on the GPU model of pool `{pool}`", nearest(curve, known)
    if not all(curves_of.values()):  # a pool whose model is unknown may have any curve
        return
    known = tuple(dict.fromkeys(curve for curves in curves_of.values() for curve in curves))
    for path in (("jobs", "curve"), *_expand(site, ("sample_jobs", "*", "curve"))):
        curve = site.get(*path)
        if curve is not None and known and curve not in known:
            yield path, f"no curve `{curve}` on the GPU model of any pool", nearest(curve, known)


def _pools(site: Known) -> Iterator[Breach]:
    for model in site.ids("gpu_models"):
        for key in ("min_cap_w", "max_cap_w"):
            yield from _on_step(site, model, ("gpu_models", model, key))
    for name in site.ids("pools"):
        yield from _settable(site, site.get("pools", name, "gpu_model"), ("pools", name, "fallback_cap_w"))
        yield from _on_step(site, site.get("pools", name, "gpu_model"), ("pools", name, "fallback_cap_w"))
        gpus = site.get("pools", name, "gpus")
        rentals = [contract for contract in site.ids("contracts") if site.get("contracts", contract, "pool") == name]
        sold = sum(site.get("contracts", contract, "gpus") or 0 for contract in rentals)
        if gpus is not None and sold > gpus:
            found = f"{gpus} GPUs, but its contracts ({', '.join(rentals)}) take {sold}"
            yield ("pools", name, "gpus"), found, f"at least {sold}, or smaller contracts"


def _maintenance(site: Known) -> Iterator[Breach]:
    """No maintenance, alone or with the fixed ones that it meets, takes GPUs that a contract keeps."""
    takes = {
        name: tuple(site.get("maintenance", name, key) for key in ("pool", "gpus", "start", "end")) for name in site.ids("maintenance")
    }
    for name, (pool, gpus, start, _) in takes.items():
        has = site.get("pools", pool, "gpus") if pool else None
        if has is None or gpus is None:
            continue
        rentals = [c for c in site.ids("contracts") if site.get("contracts", c, "pool") == pool]
        kept = sum(site.get("contracts", c, "gpus") or 0 for c in rentals if not site.get("contracts", c, "pausable"))
        met = [
            other
            for other, (its, _, since, until) in takes.items()
            if other != name and its == pool and _meets(start, since, until)
        ]
        taken = gpus + sum(takes[other][1] or 0 for other in met)
        if kept + taken > has:
            beside = f" with {', '.join(met)}" if met else ""
            found = f"takes {taken} GPUs of {pool}{beside}, but its contracts leave {has - kept} of {has}"
            yield ("maintenance", name, "gpus"), found, f"at most {has - kept} at once"


def _meets(instant: Any, since: Any, until: Any) -> bool:
    """Whether `instant` lies in [since, until), all texts of instants with an offset."""
    try:
        at, first, last = (datetime.fromisoformat(text).astimezone(UTC) for text in (instant, since, until))
    except (TypeError, ValueError):
        return False
    return first <= at < last


def _services(site: Known) -> Iterator[Breach]:
    for name in site.ids("contracts"):
        gpus, demand = (site.get("contracts", name, key) for key in ("gpus", "demand_by_hour_gpus"))
        if gpus is not None and demand is not None and max(demand) > gpus:
            path, remedy = ("contracts", name, "demand_by_hour_gpus"), f"at most {gpus}, or more gpus"
            yield path, f"{max(demand)} GPUs, but the contract has {gpus}", remedy


def _ordered(site: Known) -> Iterator[Breach]:
    for pattern, keys, must in ORDERED:
        for part in _expand(site, pattern):
            for low, high in pairwise(keys):
                a, b = site.get(*part, low), site.get(*part, high)
                if a is not None and b is not None and (b < a or (b == a and must == "above")):
                    remedy = f"{must} {low}, {a}"
                    if high == "to_local":  # "HH:MM" sorts as time does
                        remedy += "; split a window over midnight in two, one until 24:00 and one from 00:00"
                    yield (*part, high), f"{b}", remedy


def _grid(site: Known) -> Iterator[Breach]:
    spans: list[tuple[str, str]] = []
    for window in _expand(site, ("grid", "limit_windows", "*")):
        begin, end = (site.get(*window, key) for key in ("from_local", "to_local"))
        if begin is None or end is None or end <= begin:
            continue
        for a, z in spans:
            if begin < z and a < end:
                yield (*window, "from_local"), f"{begin}-{end} overlaps {a}-{z}", "windows that do not overlap"
        spans.append((begin, end))


def _cooling(site: Known) -> Iterator[Breach]:
    for name in site.ids("pools"):
        share, hall = site.get("pools", name, "liquid_share"), site.get("pools", name, "hall")
        loop = ("halls", hall or "", "thermal", "liquid_plant")
        known = hall in site.ids("halls") and not any(site.malformed(*loop[:depth]) for depth in (2, 3, 4))
        if share and known and site.get(*loop) is None:
            remedy = f"give {'.'.join(loop)}, or leave liquid_share out"
            yield ("pools", name, "liquid_share"), f"{share}, but hall `{hall}` has no liquid loop", remedy
    for plant in _expand(site, ("cooling_plants", "*")):
        points = [(*plant, "capacity_by_outdoor", i) for i in site.ids(*plant, "capacity_by_outdoor")]
        for before, after in pairwise(points):
            a, b = site.get(*before, "outdoor_c"), site.get(*after, "outdoor_c")
            if a is not None and b is not None and b <= a:
                yield (*after, "outdoor_c"), f"{b} after {a}", f"above {a}: points stand by rising outdoor_c"
        yield from _set_point(site, plant)
        stages = [(*plant, "stages", i) for i in site.ids(*plant, "stages")]
        cop_min = site.get(*plant, "cop_min")
        for stage in stages:
            cop = site.get(*stage, "cop_at_25c")
            if cop is not None and cop_min is not None and cop < cop_min:
                yield (*stage, "cop_at_25c"), f"{cop}", f"at least the plant's cop_min, {cop_min}"
        most_kw, takes_kw = site.get(*plant, "max_heat_kw"), [site.get(*stage, "max_heat_kw") for stage in stages]
        if takes_kw and most_kw is not None and None not in takes_kw and sum(takes_kw) < most_kw:
            remedy = f"at most {sum(takes_kw):g}, or more or larger stages"
            yield (*plant, "max_heat_kw"), f"{most_kw}, but its stages take {sum(takes_kw):g} kW together", remedy


def _set_point(site: Known, plant: KeyPath) -> Iterator[Breach]:
    levels_c, usual_c = (site.get(*plant, "set_point", key) for key in ("levels_c", "usual_c"))
    if levels_c is None:
        return
    path = (*plant, "set_point", "levels_c")
    for before, after in pairwise(levels_c):
        if after <= before:
            yield path, f"{after:g} after {before:g}", "levels that rise"
    if usual_c is not None and usual_c not in levels_c:
        yield (*plant, "set_point", "usual_c"), f"{usual_c:g}", f"one of levels_c: {', '.join(f'{c:g}' for c in levels_c)}"
    if site.get(*plant, "store") is not None:
        yield (*plant, "set_point"), "beside a store", "one of the two: a tank holds cold for a steady supply"


def _reserves(site: Known) -> Iterator[Breach]:
    for kind, other in (("batteries", "pools"), ("cooling_plants", "pools"), ("cooling_plants", "batteries")):
        if site.ids("grid", "reserves"):
            for name in site.ids(kind):
                if name in site.ids(other):
                    yield (kind, name), f"{other} has a `{name}` too", "another id: with reserves, what holds them needs a name of its own"


def _export(site: Known) -> Iterator[Breach]:
    keys = ("export_price_per_mwh", "export_fee_per_mwh")
    price, fee = (site.get("tariff", key) for key in keys)
    if price is not None and fee is not None:
        yield ("tariff", keys[1]), f"{fee}, beside {keys[0]}", "one of the two: a price, or a fee off the energy price"
    for key, value in zip(keys, (price, fee), strict=True):
        if value is not None and site.get("grid", "export_limit_kw") == 0:
            yield ("tariff", key), f"{value}, and nothing may be given back", "a grid.export_limit_kw above 0, or leave it out"


def _peaks(site: Known) -> Iterator[Breach]:
    price = site.get("tariff", "peak_price_per_kw")
    if price and site.ids("tariff", "demand_charges"):
        yield ("tariff", "peak_price_per_kw"), f"{price}, beside demand_charges", "one of the two: a demand charge of all day is the same"
    for charge in _expand(site, ("tariff", "demand_charges", "*")):
        share, highest = (site.get(*charge, key) for key in ("ratchet_share", "highest_of_year_kw"))
        if share and highest == 0:
            yield (*charge, "ratchet_share"), f"{share} of nothing", "give highest_of_year_kw, the highest mean of the past months"


def _times(site: Known) -> Iterator[Breach]:
    zone = site.get("timezone")
    zones = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    if zone is not None and zone not in zones:
        close = get_close_matches(zone, zones, 1)
        yield ("timezone",), f"no time zone `{zone}`", f"an IANA zone such as {close[0] if close else 'Europe/Berlin'}"
    for path in _expand(site, ("sample_jobs", "*", "submit_local")):
        if site.get(*path) == "24:00":
            yield path, "24:00, which is no time of a day", "from 00:00 to 23:59"
