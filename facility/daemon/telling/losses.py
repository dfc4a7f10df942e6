"""Losses: GPUs that are gone are told with who goes without them, and what is owed for it stands in the account.

One alarm for each pool, a warning while every contract still has its GPUs. It says how things have been for `SETTLED`, so that an agent
that starts anew is no alarm; what is planned and what is counted follows each report at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from facility.daemon.knowledge import Knowledge
from facility.daemon.recording.account import Account
from facility.daemon.telling.alarms import Alarms
from facility.journal.entry import Entry
from facility.rental.losses import missed_gpus, price_per_gpu_h, spare_left, spare_pools
from facility.site import Site

SETTLED = timedelta(seconds=10)


@dataclass(frozen=True)
class Loss:
    """GPUs of a pool that are gone, and those that each contract misses therefore."""

    gone: int = 0
    missed: tuple[tuple[str, int], ...] = ()


class Losses:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, known: Knowledge, alarms: Alarms, account: Account) -> None:
        self._site, self._known, self._alarms, self._account = site, known, alarms, account
        self._told = dict.fromkeys(site.pools, Loss())
        self._seen: dict[str, tuple[Loss, datetime]] = {}

    def look(self, now: datetime) -> None:
        """Tell what has changed, once it has stayed so for a while."""
        site, gone = self._known.rented(now), self._known.gone(now)
        missed = missed_gpus(site, gone, now)
        for pool, told in self._told.items():
            loss = Loss(gone.get(pool, 0), tuple((name, gpus) for name, gpus in missed.items() if site.contracts[name].pool == pool))
            seen, since = self._seen.get(pool, (told, now))
            if loss != seen or now < since:
                self._seen[pool] = seen, since = loss, now
            if loss != told and now - since >= SETTLED:
                self._tell(pool, told, loss, site, now)

    def _tell(self, pool: str, before: Loss, loss: Loss, site: Site, now: datetime) -> None:
        self._told[pool] = loss
        self._alarms.clear(alarm := f"gpus-{pool}"[:64], now)
        if loss.gone:
            cause = f"{loss.gone} of {site.pools[pool].gpus} GPUs of pool {pool} are gone; {self._without(loss, site)}{_spare(site, pool, loss)}"
            remedy = "mend them; where they do not come back, lower `gpus` of the pool in the site file"
            for name, gpus in loss.missed:
                if spare := spare_pools(site, self._known.gone(now), name, gpus, now):
                    remedy += f"; {', '.join(spare)} of the same model could take the {gpus} of {name}"
            place = f"{site.pools[pool].hall}/pool/{pool}"
            self._alarms.stand(alarm, cause, now, place=place, remedy=remedy, severity="alarm" if loss.missed else "warning")
        was, is_ = dict(before.missed), dict(loss.missed)
        for name in sorted(was.keys() | is_):
            if was.get(name) != is_.get(name):
                self._account.note(self._entry(name, is_.get(name, 0), site, now))

    def _without(self, loss: Loss, site: Site) -> str:
        if not loss.missed:
            return "every contract has its GPUs, jobs give way"
        price = {name: price_per_gpu_h(site.contracts[name]) for name, _ in loss.missed}
        return "; ".join(f"{name} lacks {gpus}, {gpus * price[name]:g} {site.currency} an hour are owed" for name, gpus in loss.missed)

    def _entry(self, name: str, gpus: int, site: Site, now: datetime) -> Entry:
        owed = self._known.owed(now).get(name)
        sum_ = f"{owed.missed_gpu_h:.3f} GPU h missed this month, {owed.credit:.2f} {site.currency} owed" if owed else "nothing is owed"
        return Entry(now, "contract", "short" if gpus else "whole", name, f"{f'it lacks {gpus} GPUs' if gpus else 'it has all its GPUs'}; {sum_}")


def _spare(site: Site, pool: str, loss: Loss) -> str:
    """How many spare GPUs are left, of a pool that keeps any."""
    kept, left = site.pools[pool].spare_gpus, spare_left(site, {pool: loss.gone}, pool)
    return f"; {left or 'none'} of {kept} spare {'is' if left <= 1 else 'are'} left" if kept else ""
