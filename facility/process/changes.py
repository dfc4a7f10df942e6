"""Changes: what is different in a site file that was read again, and what of that is dangerous while the site runs. Pure.

Dangerous, and refused with everything else that changed, is

- another site: its id, time zone, currency, or how it is reached (`ANOTHER`);
- more room under what carries load: a rating, a temperature, a settable cap that is raised, a margin or a backup that is taken away
  (`LOOSER`). What is drawn already may be all that the gear bears, and a slip of the keyboard looks the same;
- a pool, feeder, hall, plant or battery that carries load and is removed, or hung elsewhere;
- a higher limit at the grid while the meter makes caps give way, and caps that last longer in silence;
- maintenance that takes GPUs from a rental that stands on the bus: it would end, and nobody said so;
- anything with which the caps in force, or the fallback caps, break the plant in the verifier's eyes.

What is not measured counts as loaded. A new start asks nothing of this: whoever starts the service stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facility.daemon.holding.standby import goes_on
from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.errors import Fault
from facility.rental.fit import misfits
from facility.rental.rental import Rental
from facility.site import Site
from facility.verify import fallback_caps, fits, verify

ANOTHER = ("id", "timezone", "currency", "grid.feed", "grid.feeds", "bus.root", "bus.broker", "bus.profile", "bus.dsx")
"""Keys, with all below them, that only a new start takes."""
LOOSER = {
    "rating_kw": +1, "worst_case_margin": +1, "redundancy_group": 0, "allowable_max_c": +1, "max_cap_w": +1, "min_cap_w": -1,
    "fallback_cap_w": +1, "max_heat_kw": +1, "charge_kw": +1, "discharge_kw": +1, "max_kw": +1,
}  # fmt: skip
"""Last parts of keys that give the plant room, and the direction in which they give more; 0: any other value may."""
PLACES = ("parent", "feeder", "hall", "gpu_model", "cooling_plant", "liquid_plant")
"""Last parts of keys that say on what something hangs."""
FAMILIES = ("pools", "feeders", "halls", "cooling_plants", "batteries", "gensets", "solar", "contracts", "gpu_models")
LOADED_KW = 1.0
WAIT = "stop it, or let it run empty, first; or start the service again with the file, and stand beside it"


@dataclass(frozen=True)
class Change:
    """A key of the site file, dotted, and its value before and after; None: it was not there, or is not any more."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_said(self.old)} -> {_said(self.new)}"


def changes(old: Site, new: Site) -> tuple[Change, ...]:
    """What is different, by key; what came or went as a whole is one change.

    Lists and tables of numbers are one value.
    """
    return tuple(_differences("", old.model_dump(mode="json"), new.model_dump(mode="json")))


def dangers(old: Site, new: Site, found: tuple[Change, ...], here: Situation, in_force: Decision | None, *, gives_way: bool) -> Iterator[Fault]:
    """Why `found` must not come into force now; `here` and `in_force` are by the old file, `gives_way` whether the meter makes caps give way."""
    for change in found:
        family, _, rest = change.key.partition(".")
        asset, _, leaf = rest.partition(".")
        leaf = leaf.rpartition(".")[2]
        if any(change.key == key or change.key.startswith(f"{key}.") for key in ANOTHER):
            yield Fault(change.key, f"{_said(change.old)} became {_said(change.new)}: that is another site", "start the service again for it")
        elif family in FAMILIES and not leaf:
            if change.new is None and _loaded(old, family, asset, here):
                yield Fault(change.key, "it was removed and carries load, as far as is known", WAIT)
        elif family in FAMILIES and leaf in PLACES:
            if _loaded(old, family, asset, here):
                yield Fault(change.key, f"it moved from {change.old} to {change.new} and carries load, as far as is known", WAIT)
        elif family in FAMILIES and leaf in LOOSER:
            if _looser(leaf, change.old, change.new) and _loaded(old, family, asset, here):
                yield Fault(change.key, f"{_said(change.old)} became {_said(change.new)}, which gives more room to what carries load", WAIT)
        elif change.key == "control.cap_ttl_s" and change.new > change.old:
            says = f"{change.old:g} became {change.new:g}: agents would hold their caps longer in silence"
            yield Fault(change.key, says, "start the service again for it")
        elif change.key == "grid.import_limit_kw" and gives_way and change.new > change.old:
            says = f"{change.old:g} became {change.new:g} while the meter makes caps give way"
            yield Fault(change.key, says, "wait until the meter has been within the limit for a minute")
    if found and not any(_hung_elsewhere(change) for change in found):
        yield from _unsafe(old, new, here, in_force)


def unhoused(old: Site, new: Site, found: tuple[Change, ...], rentals: Sequence[Rental]) -> Iterator[Fault]:
    """Which of the `rentals` that stand would have no GPUs with maintenance that came."""
    if not any(change.key.startswith("maintenance") for change in found):
        return
    for rental in rentals:
        misfit = misfits(new, rentals, rental, ())
        if misfit and not misfits(old, rentals, rental, ()):
            remedy = "set it anew in another pool, end it, or take fewer GPUs"
            yield Fault(f"contract {rental.contract}", f"it stands, and would not with this maintenance: {'; '.join(misfit)}", remedy)


def _unsafe(old: Site, new: Site, here: Situation, in_force: Decision | None) -> Iterator[Fault]:
    """What breaks the plant by the new file and did not by the old one."""
    for violation in fits(new, fallback_caps(new), max(new.weather.outdoor_by_hour_c)):
        if not fits(old, fallback_caps(old), max(old.weather.outdoor_by_hour_c)):
            yield Fault(violation.asset, f"the fallback caps would not fit: {violation.says}", "give them room, or lower fallback_cap_w")
    if in_force is None or in_force.until <= here.now or set(new.pools) != set(old.pools):
        return
    rented = {name: contract for name, contract in here.site.contracts.items() if name not in old.contracts}
    then = new.model_copy(update={"contracts": {**new.contracts, **rented}})
    before = _broken(here.site, here, in_force)
    for (rule, asset), (says, amount) in _broken(then, here, in_force).items():
        if (rule, asset) not in before or (amount or 0.0) > (before[rule, asset][1] or 0.0):
            yield Fault(asset, f"the caps in force would break {rule}: {says}", "lower the caps first: an override does it at once")


def _broken(site: Site, here: Situation, in_force: Decision) -> Mapping[tuple[str, str], tuple[str, float | None]]:
    decision = goes_on(site, in_force, here.snapshot, here.now, in_force.until, here.outdoor_c)
    found = verify(site, here.snapshot, decision, outdoor_c=here.outdoor_c)
    return {(v.rule, v.asset): (v.says, v.amount) for v in found if v.tier == "plant"}


def _hung_elsewhere(change: Change) -> bool:
    """Whether a change takes something away, so that what is in force cannot be judged by the new file."""
    return change.new is None and change.key.count(".") == 1 and change.key.partition(".")[0] in FAMILIES


def _looser(leaf: str, old: Any, new: Any) -> bool:
    direction = LOOSER[leaf]
    if direction == 0:
        return old is not None
    if old is None or new is None:
        return True
    return bool((new - old) * direction > 0)


def _loaded(site: Site, family: str, asset: str, here: Situation) -> bool:
    """Whether something carries load, or nobody knows."""
    snapshot = here.snapshot
    measured: dict[str, Mapping[str, float]] = {"pools": snapshot.pool_kw, "feeders": snapshot.feeder_kw, "cooling_plants": snapshot.cooling_kw}
    if family in measured:
        return measured[family].get(asset, LOADED_KW) >= LOADED_KW
    if family == "halls":
        inside = [name for name, pool in site.pools.items() if pool.hall == asset]
        return site.halls[asset].base_kw > 0 or any(_loaded(site, "pools", name, here) for name in inside)
    if family == "gpu_models":
        return any(_loaded(site, "pools", name, here) for name, pool in site.pools.items() if pool.gpu_model == asset)
    if family == "contracts":
        return site.contracts[asset].gpus > 0
    return True


def _differences(place: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(f"{place}.{key}" if place else str(key), old.get(key), new.get(key))
    elif old != new:
        yield Change(place, old, new)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping of {', '.join(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"{value}"
