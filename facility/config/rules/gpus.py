"""Rules of GPU models, curves and pools."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.rules.spans import begins, holds, span
from facility.config.strict_yaml import KeyPath

DRAW_OVER_CAP = 1.03
"""A measured draw may lie this far above its cap: a GPU's power limit is a mean that it overshoots a little."""


def curves(site: Known) -> Iterator[Breach]:
    """Curves that do not rise, or draw more than their caps let."""
    for curve in expand(site, ("gpu_models", "*", "curves", "*", "points")):
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


def curves_exist(site: Known) -> Iterator[Breach]:
    """Kinds of work that no GPU model has."""
    curves_of = {pool: site.ids("gpu_models", site.get("pools", pool, "gpu_model") or "", "curves") for pool in site.ids("pools")}
    for name in site.ids("contracts"):
        curve, pool = site.get("contracts", name, "curve"), site.get("contracts", name, "pool")
        known = curves_of.get(pool)
        if curve is not None and known and curve not in known:
            yield ("contracts", name, "curve"), f"no curve `{curve}` on the GPU model of pool `{pool}`", nearest(curve, known)
    if not all(curves_of.values()):  # a pool whose model is unknown may have any curve
        return
    known = tuple(dict.fromkeys(curve for curves in curves_of.values() for curve in curves))
    for path in (("jobs", "curve"), *expand(site, ("sample_jobs", "*", "curve"))):
        curve = site.get(*path)
        if curve is not None and known and curve not in known:
            yield path, f"no curve `{curve}` on the GPU model of any pool", nearest(curve, known)


def pools(site: Known) -> Iterator[Breach]:
    """Pools that are sold twice, or whose caps cannot be set."""
    for model in site.ids("gpu_models"):
        for key in ("min_cap_w", "max_cap_w"):
            yield from _on_step(site, model, ("gpu_models", model, key))
    for name in site.ids("pools"):
        yield from _settable(site, site.get("pools", name, "gpu_model"), ("pools", name, "fallback_cap_w"))
        yield from _on_step(site, site.get("pools", name, "gpu_model"), ("pools", name, "fallback_cap_w"))
        gpus = site.get("pools", name, "gpus")
        rentals = [contract for contract in site.ids("contracts") if site.get("contracts", contract, "pool") == name]
        spans = {contract: span(site, "contracts", contract, ("gpus_from", "gpus_until")) for contract in rentals}
        there = [[contract for contract in rentals if holds(spans[contract], at)] for at in begins(spans.values())]
        rentals = max(there, key=lambda at_once: _sold(site, at_once), default=[])
        sold = _sold(site, rentals)
        if gpus is not None and sold > gpus:
            found = f"{gpus} GPUs, but its contracts ({', '.join(rentals)}) take {sold}"
            yield ("pools", name, "gpus"), found, f"at least {sold}, or smaller contracts"
        yield from _spare(site, name, there)


def _spare(site: Known, name: str, there: list[list[str]]) -> Iterator[Breach]:
    """Find a pool that keeps GPUs as spare which are rented to somebody who may not pause; `there` are the contracts at each instant of change."""
    gpus, spare = (site.get("pools", name, key) for key in ("gpus", "spare_gpus"))
    firm = max((_sold(site, [c for c in at_once if not site.get("contracts", c, "pausable")]) for at_once in there), default=0)
    if gpus is not None and spare and gpus >= firm > gpus - spare:
        found = f"{spare} of {gpus} GPUs, but contracts that may not pause take {firm}"
        yield ("pools", name, "spare_gpus"), found, f"at most {gpus - firm}, or contracts that may pause"
    elif gpus is not None and spare is not None and spare > gpus:
        yield ("pools", name, "spare_gpus"), f"{spare} of {gpus} GPUs", f"at most {gpus}"


def _sold(site: Known, contracts: list[str]) -> int:
    return sum(site.get("contracts", contract, "gpus") or 0 for contract in contracts)
