"""References that lead somewhere, and keys of one part that rise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath

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
    (("bus", "mapping", "*"), ("low", "high"), "above"),
    (("bus", "set_points", "*"), ("low", "high"), "above"),
    (("control",), ("override_default_s", "override_ceiling_s"), "at least"),
    (("history",), ("raw_days", "minute_days", "quarter_days"), "at least"),
)
"""Keys of one part in the order in which their values rise, and whether each must be above the one before or at least it."""


def references(site: Known) -> Iterator[Breach]:
    """Keys that name a part that is not there."""
    for pattern, target in REFERENCES:
        known = site.ids(target)
        for path in expand(site, pattern):
            name = site.get(*path)
            if name is not None and name not in known:
                yield path, f"no `{name}` in {target}", nearest(name, known)


def ordered(site: Known) -> Iterator[Breach]:
    """Keys of one part out of order."""
    for pattern, keys, must in ORDERED:
        for part in expand(site, pattern):
            for low, high in pairwise(keys):
                a, b = site.get(*part, low), site.get(*part, high)
                if a is not None and b is not None and (b < a or (b == a and must == "above")):
                    remedy = f"{must} {low}, {a}"
                    if high == "to_local":  # "HH:MM" sorts as time does
                        remedy += "; split a window over midnight in two, one until 24:00 and one from 00:00"
                    yield (*part, high), f"{b}", remedy
