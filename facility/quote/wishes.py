"""Wishes: what is asked for, held against what the site has."""

from __future__ import annotations

from datetime import datetime, timedelta

from facility.errors import Fault, InputError
from facility.inputs.table import nearest
from facility.quote.places import Wish
from facility.site import Site


def wish_of(
    site: Site, gpus: int, lasts: timedelta, earliest: datetime, within: timedelta, curve: str | None, model: str | None, pool: str | None
) -> Wish:
    """The wish for a rental; None: the site's own kind of work, any model, any pool. InputError tells all that the site has not."""
    if faults := unknown(site, curve, model, pool):
        raise InputError(*faults)
    return Wish(gpus, lasts, earliest, within, curve or site.jobs.curve, model, pool)


def unknown(site: Site, curve: str | None, model: str | None, pool: str | None) -> list[Fault]:
    """What of it the site has not."""
    curves = {name for each in site.gpu_models.values() for name in each.curves}
    named = (("model", model, site.gpu_models), ("pool", pool, site.pools), ("curve", curve, curves))
    return [
        Fault(f"--{what}", f"the site has no {what} {name!r}", nearest(name, sorted(known)))
        for what, name, known in named
        if name and name not in known
    ]
