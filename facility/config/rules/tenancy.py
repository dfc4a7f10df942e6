"""Rules of contracts and of GPUs that leave."""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules.parts import Breach, Known, nearest
from facility.config.rules.spans import Span, begins, holds, span
from facility.site.maintenance import EVER_SINCE

GPU_SPAN = ("gpus_from", "gpus_until")


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
    fixed = {name: span(site, "maintenance", name, ("start", "end")) for name in site.ids("maintenance") if _is_fixed(site, name)}
    for name in site.ids("maintenance"):
        pool, gpus = site.get("maintenance", name, "pool"), site.get("maintenance", name, "gpus")
        has = site.get("pools", pool, "gpus") if pool else None
        if has is None or gpus is None:
            continue
        kept, spare = _kept(site, pool), site.get("pools", pool, "spare_gpus") or 0
        others = {other: s for other, s in fixed.items() if other != name and name in fixed and site.get("maintenance", other, "pool") == pool}
        instants = {fixed[name][0], *(at for at in begins(s for _, s in kept) if holds(fixed[name], at))} if name in fixed else {EVER_SINCE}
        for at in sorted(instants):
            met = [other for other, its in others.items() if holds(its, at)]
            keeps = spare + sum(n for n, its in kept if holds(its, at))
            taken = gpus + sum(site.get("maintenance", other, "gpus") or 0 for other in met)
            if keeps + taken > has:
                beside, leave = f" with {', '.join(met)}" if met else "", f"contracts and its {spare} spare" if spare else "contracts"
                found = f"takes {taken} GPUs of {pool}{beside}, but its {leave} leave {max(has - keeps, 0)} of {has}"
                yield ("maintenance", name, "gpus"), found, f"at most {max(has - keeps, 0)} at once"
                break


def _is_fixed(site: Known, name: str) -> bool:
    return site.get("maintenance", name, "hours") is None


def _kept(site: Known, pool: str) -> list[tuple[int, Span]]:
    """The GPUs that contracts of a pool keep from maintenance, and when."""
    names = [c for c in site.ids("contracts") if site.get("contracts", c, "pool") == pool and not site.get("contracts", c, "pausable")]
    return [(site.get("contracts", c, "gpus") or 0, span(site, "contracts", c, GPU_SPAN)) for c in names]
