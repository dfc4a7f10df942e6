"""Rules of contracts and of GPUs that leave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from facility.config.rules.parts import Breach, Known, nearest


def services(site: Known) -> Iterator[Breach]:
    """Services that need more GPUs than were rented."""
    for name in site.ids("contracts"):
        gpus, demand = (site.get("contracts", name, key) for key in ("gpus", "demand_by_hour_gpus"))
        if gpus is not None and demand is not None and max(demand) > gpus:
            path, remedy = ("contracts", name, "demand_by_hour_gpus"), f"at most {gpus}, or more gpus"
            yield path, f"{max(demand)} GPUs, but the contract has {gpus}", remedy


def quotes(site: Known) -> Iterator[Breach]:
    """Prices of GPU models that the site does not have."""
    known = site.ids("gpu_models")
    for model in site.get("quotes", "price_per_gpu_h") or ():
        if model not in known:
            yield ("quotes", "price_per_gpu_h", model), f"no `{model}` in gpu_models", nearest(model, known)


def maintenance(site: Known) -> Iterator[Breach]:
    """No maintenance, alone or with the fixed ones that it meets, takes GPUs that a contract keeps, or that are kept as spare."""
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
        spare = site.get("pools", pool, "spare_gpus") or 0
        taken = gpus + sum(takes[other][1] or 0 for other in met)
        if kept + spare + taken > has:
            beside, leave = f" with {', '.join(met)}" if met else "", f"contracts and its {spare} spare" if spare else "contracts"
            found = f"takes {taken} GPUs of {pool}{beside}, but its {leave} leave {max(has - kept - spare, 0)} of {has}"
            yield ("maintenance", name, "gpus"), found, f"at most {max(has - kept - spare, 0)} at once"


def _meets(instant: Any, since: Any, until: Any) -> bool:
    """Whether `instant` lies in [since, until), all texts of instants with an offset."""
    try:
        at, first, last = (datetime.fromisoformat(text).astimezone(UTC) for text in (instant, since, until))
    except (TypeError, ValueError):
        return False
    return first <= at < last
