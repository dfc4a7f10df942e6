"""Whether a rental fits, and what would. Pure.

    free(t) = GPUs of the pool - the site file's contracts there at t - rentals there at t - what maintenance may take at t
    firm(t) = GPUs of the pool - its spare GPUs - of the same contracts and rentals those that may not pause - maintenance at t
    fits      where its GPUs <= free(t) at every t of it, and <= firm(t) too where it may not pause

Maintenance takes no GPU that a contract keeps: of a window that may lie anywhere between two instants, it is reckoned with at all of
them. A rental that may pause gives way to it, so that it does not count against one. For the same reason it may have the pool's spare GPUs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from facility.inputs.jobterms import offered
from facility.inputs.table import nearest
from facility.rental.rental import Rental
from facility.site import Maintenance, Site
from facility.site.maintenance import FOR_GOOD


def misfits(site: Site, rentals: Iterable[Rental], rental: Rental, jobs: Collection[str]) -> tuple[str, ...]:
    """Say everything that keeps `rental` from coming, and what would fit; nothing where it does.

    `site` is the site file's, `rentals` are those that were accepted before. One of the same contract does not count: it is replaced.
    """
    terms, found = rental.terms, []
    if rental.contract in site.contracts:
        found.append(f"{rental.contract} is a contract of the site file; change it there, or take another name")
    if rental.contract in jobs:
        found.append(f"{rental.contract} is the name of a job; take another name")
    if terms.tenant not in site.tenants:
        found.append(f"the site has no tenant {terms.tenant} ({nearest(terms.tenant, list(site.tenants))})")
    if terms.demand_by_hour_gpus is not None and max(terms.demand_by_hour_gpus) > terms.gpus:
        found.append(f"demand_by_hour_gpus asks for {max(terms.demand_by_hour_gpus)} GPUs, it rents {terms.gpus}")
    if terms.pool is None:
        return tuple(found)
    if terms.pool not in site.pools:
        return (*found, f"the site has no pool {terms.pool} ({nearest(terms.pool, list(site.pools))})")
    curves = offered(site, terms.pool)
    if terms.curve is not None and terms.curve not in curves:
        return (*found, f"pool {terms.pool} has no curve {terms.curve} ({nearest(terms.curve, list(curves))})")
    others = [other for other in rentals if other.contract != rental.contract]
    if terms.gpus > (free := free_gpus(site, others, rental, terms.pool, rental.start)):
        found.append(f"{terms.gpus} GPUs of {terms.pool} are not free all that time, {free} are; {_would_fit(site, others, rental)}")
    return tuple(found)


def free_gpus(site: Site, others: Sequence[Rental], rental: Rental, pool: str, start: datetime) -> int:
    """The GPUs of `pool` that are free as long as `rental` lasts, were it to begin at `start`; 0 at least."""
    end = start + (rental.end - rental.start)
    every = site.pools[pool].gpus - _kept(site, others, rental, pool, start, end, firm=False)
    if rental.terms.pausable:
        return max(every, 0)
    firm = site.pools[pool].gpus - site.pools[pool].spare_gpus - _kept(site, others, rental, pool, start, end, firm=True)
    return max(min(every, firm), 0)


def _kept(site: Site, others: Sequence[Rental], rental: Rental, pool: str, start: datetime, end: datetime, *, firm: bool) -> int:
    """The most GPUs of `pool` that are kept at once for others in [start, end); where `firm`, for those that may not pause."""
    taken = [(c.gpus, *c.has_gpus) for c in site.contracts.values() if c.pool == pool and not (firm and c.pausable)]
    taken += [(r.terms.gpus, r.start, r.end) for r in others if r.terms.pool == pool and not (firm and r.terms.pausable)]
    taken += [] if rental.terms.pausable else [(m.gpus, *_span(m)) for m in site.maintenance.values() if m.pool == pool]
    instants = [start, *(begin for _, begin, _ in taken if start < begin < end)]
    return max(sum(gpus for gpus, begin, over in taken if begin <= at < over) for at in instants)


def roomiest(site: Site, others: Sequence[Rental], rental: Rental, model: str, gpus: int, curve: str | None) -> tuple[str, int] | None:
    """The pool of a GPU model, with that kind of work, that has the most GPUs free as long as `rental` lasts, and how many; None: no pool is
    of it.
    """
    pools = pools_of(site, model, curve)
    free = {name: free_gpus(site, others, rental, name, rental.start) for name in pools}
    enough = [name for name in pools if free[name] >= gpus]
    return max(((name, free[name]) for name in enough or pools), key=lambda found: found[1], default=None)


def pools_of(site: Site, model: str, curve: str | None) -> list[str]:
    """The pools of a GPU model, with that kind of work where one is named."""
    return [name for name, pool in site.pools.items() if pool.gpu_model == model and curve in (None, *offered(site, name))]


def of_another_model(site: Site, pool: str | None, model: str | None) -> str | None:
    """What is said of a pool that has not the GPU model which is asked for; None where it has, or where one of the two is not named or known."""
    there = site.pools.get(pool or "")
    return None if there is None or model in (None, there.gpu_model) else f"pool {pool} has GPUs of {there.gpu_model}, not of {model}"


def other_gpus(site: Site, model: str) -> str:
    """What may be asked for in place of GPUs of which no pool is: another model, or another of its kinds of work."""
    kinds = sorted({curve for name, pool in site.pools.items() if pool.gpu_model == model for curve in offered(site, name)})
    return f"curves of {model}: {', '.join(kinds)}" if kinds else nearest(model, list(site.gpu_models))


def _would_fit(site: Site, others: Sequence[Rental], rental: Rental) -> str:
    """Name pools that have as many GPUs for that time, and when its own pool has them."""
    terms = rental.terms
    assert terms.pool is not None
    pools = [pool for pool in site.pools if terms.curve in offered(site, pool)]
    found = [pool for pool in pools if free_gpus(site, others, rental, pool, rental.start) >= terms.gpus]
    ends = sorted(r.end for r in others if r.terms.pool == terms.pool and r.end > rental.start)
    ends += sorted(_span(m)[1] for m in site.maintenance.values() if m.pool == terms.pool and FOR_GOOD > _span(m)[1] > rental.start)
    later = next((end for end in sorted(ends) if free_gpus(site, others, rental, terms.pool, end) >= terms.gpus), None)
    said = [f"{' and '.join(found)} would take them"] if found else []
    said += [f"{terms.pool} would from {later:%Y-%m-%d %H:%M} UTC on"] if later is not None else []
    return "; ".join(said) or "no pool would take them then, at any time that is known"


def _span(m: Maintenance) -> tuple[datetime, datetime]:
    """The interval in which a maintenance may take its GPUs."""
    if m.fixed is not None:
        return m.fixed
    assert m.earliest is not None
    assert m.latest is not None
    return m.earliest, m.latest
