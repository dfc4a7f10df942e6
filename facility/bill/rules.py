"""Rules: to whom each metered kWh goes. Every function is pure and takes arrays: rows of shape (R,), slots of shape (T,).

| energy          | goes by                                                                    | what nobody caused      |
|-----------------|----------------------------------------------------------------------------|-------------------------|
| a pool          | what was expected of who ran there, and of GPUs that idled for a contract  | GPUs that nobody kept   |
| a base load     | GPUs that are kept, of all in the hall                                     | GPUs that nobody kept   |
| a cooling plant | the heat that it takes off each                                            | heat of the site's own  |
| losses          | the energy that each draws through its feeders, in proportion to their loss| losses of the site's own|
| a battery       | its losses by energy; what it stores and gives back is the site's          | what it stores          |
| generation      |                                                                            | all of it, as less      |

Who caused nothing gets nothing; what is left of a slot's meter is the site's own, so that nothing is lost and nothing is billed twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facility.bill.rows import Ints, Rows
from facility.problem.electrical import losses_to_meter
from facility.site import Site
from models.horizon import Floats


def shared(amount: Floats, key: Floats, group: Ints) -> Floats:
    """Share each group's amount out in proportion to a key, shape (R,); a group whose key is nought is shared out to nobody.

    >>> shared(np.array([10.0, 7.0]), np.array([1.0, 3.0, 0.0]), np.array([0, 0, 1])).tolist()
    [2.5, 7.5, 0.0]
    """
    whole = np.bincount(group, key, len(amount))
    part = np.divide(amount, whole, out=np.zeros(len(amount)), where=whole > 0)
    return np.asarray(part[group] * key, float)


def it_energy(rows: Rows, pool_kwh: Floats) -> Floats:
    """IT energy of a pool: by the expected draw of who ran there, hosts included, and of GPUs that idled for a contract. kWh, shape (R,).

    `pool_kwh` has shape (P, T). A contract pays for its GPUs that idle; those that nobody kept are rows of the site's own.
    """
    slots = pool_kwh.shape[1]
    return shared(pool_kwh.ravel(), rows.expected_kwh, rows.pool * slots + rows.slot)


def base_energy(site: Site, rows: Rows, base_kwh: Mapping[str, Floats], hours: float) -> Floats:
    """Base load of a hall: by GPU hours kept - reserved by a contract, or held by a job - of all that the hall has. kWh, shape (R,).

    The share of GPUs that nobody kept is in no row: it is left over for the site.
    """
    there = {hall: sum(pool.gpus for pool in site.pools.values() if pool.hall == hall) * hours for hall in site.halls}
    found = np.zeros(len(rows.slot))
    for i, pool in enumerate(site.pools.values()):
        mine = rows.pool == i
        found[mine] = base_kwh[pool.hall][rows.slot[mine]] * rows.kept_gpu_h[mine] / there[pool.hall]
    return found


def cooling_energy(
    site: Site, rows: Rows, it_kwh: Floats, base_row_kwh: Floats, heat: tuple[Mapping[str, Floats], Mapping[str, Floats]],
    cooling_kwh: Mapping[str, Floats],
) -> dict[str, Floats]:  # fmt: skip
    """Energy of each cooling plant: by the heat that it takes off each, which is what that drew in the plant's halls. kWh, shape (R,), by plant.

    `heat` is what pools and base loads drew, by id. Warm water takes a pool's `liquid_share` to its hall's `liquid_plant`, air the rest.
    """
    pool_kwh, base_kwh = heat
    found = {}
    for plant, kwh in cooling_kwh.items():
        shares = {name: _share(site, name, plant) for name in site.pools}
        airs = {name: hall.thermal is not None and hall.thermal.cooling_plant == plant for name, hall in site.halls.items()}
        whole = sum((share * pool_kwh[name] for name, share in shares.items()), np.zeros(len(kwh)))
        whole = sum((base_kwh[name] for name, air in airs.items() if air), whole)
        per_kwh = np.divide(kwh, whole, out=np.zeros(len(kwh)), where=whole > 0)
        by_pool = np.array(list(shares.values()))[rows.pool]
        of_base = np.array([float(airs[pool.hall]) for pool in site.pools.values()])[rows.pool]
        found[plant] = (by_pool * it_kwh + of_base * base_row_kwh) * per_kwh[rows.slot]
    return found


def _share(site: Site, pool_id: str, plant: str) -> float:
    """How much of a pool's heat a plant takes."""
    pool = site.pools[pool_id]
    thermal = site.halls[pool.hall].thermal
    if thermal is None:
        return 0.0
    liquid = pool.liquid_share if thermal.liquid_plant is not None else 0.0
    return (1 - liquid) * (thermal.cooling_plant == plant) + liquid * (thermal.liquid_plant == plant)


def lost_per_kwh(site: Site, feeder: str) -> float:
    """What of a kWh drawn under a feeder is lost on the way to it, by the site file's loss shares, kWh."""
    return losses_to_meter(site, feeder) - 1


def losses(key: Floats, energy: Floats, whole_key: Floats, whole_energy: Floats, losses_kwh: Floats, slot: Ints) -> Floats:
    """Losses of a slot: by what each loses on its way, its energy times `lost_per_kwh` (the key); where no feeder has any, by energy.

    `whole_key` and `whole_energy` are those of everything below the meter, the site's own included, shape (T,). kWh, shape (R,).
    """
    by_key = np.divide(losses_kwh, whole_key, out=np.zeros(len(losses_kwh)), where=whole_key > 0)
    bare = (whole_key <= 0) & (whole_energy > 0)
    by_energy = np.divide(losses_kwh, whole_energy, out=np.zeros(len(losses_kwh)), where=bare)
    return np.asarray(key * by_key[slot] + energy * by_energy[slot], float)


def battery_losses(site: Site, battery_kwh: Mapping[str, Floats], slots: int) -> Floats:
    """What batteries lost in each slot by their efficiency one way: (1 - n) of what went in, (1 / n - 1) of what came out. kWh, shape (T,).

    The rest of what a battery drew is stored, or given back: the site's own, so that over a time it comes to what is stored more.
    """
    found = np.zeros(slots)
    for name, kwh in battery_kwh.items():
        n = site.batteries[name].efficiency
        found = found + (1 - n) * np.maximum(kwh, 0.0) + (1 / n - 1) * np.maximum(-kwh, 0.0)
    return found


def by_energy(amount_kwh: Floats, energy: Floats, whole_energy: Floats, slot: Ints) -> Floats:
    """An amount of each slot: by energy, of all below the meter. kWh, shape (R,)."""
    return np.asarray(energy * np.divide(amount_kwh, whole_energy, out=np.zeros(len(amount_kwh)), where=whole_energy > 0)[slot], float)
