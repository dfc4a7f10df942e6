"""Stages: the steps of a refresh in their order, and which contracts move to the new GPUs between them. Pure.

Where old GPUs leave for good, a contract that may not pause stays where it is as long as the old ones do for it, and moves at the end of the step
before they do not: the largest of those first that the new GPUs have a curve and room for. What may pause moves last, where the old ones do not
do for it any more. Which step a contract moves after does not hang on when the steps are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from facility.maintain.free import free_gpus
from facility.maintain.wish import Refusal, Wish
from facility.site import Contract, Site


@dataclass(frozen=True)
class Stage:
    """One step: the GPUs that leave, and the contracts that have moved before its begin (`moved`) and that move at its end (`moves`).

    `out` are all the GPUs that the pool lacks from its begin on.
    """

    gpus: int
    out: int
    moved: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()


def staged(site: Site, wish: Wish, rentals: Collection[str] = ()) -> tuple[Stage, ...] | Refusal:
    """The steps of a wish, or why its contracts cannot be kept through them; `rentals` are those that a site file cannot move."""
    if wish.to_model is None:
        return tuple(Stage(gpus, gpus) for gpus in wish.counts)
    stages: list[Stage] = []
    staying = dict(_contracts(site, wish, pausable=False))
    moved: tuple[str, ...] = ()
    out = arrived = 0
    for k, gpus in enumerate(wish.counts):
        out += gpus
        moves = _must_move(site, wish, staying, rentals, out, arrived - sum(site.contracts[name].gpus for name in moved))
        if isinstance(moves, Refusal):
            return replace(moves, why=f"step {k + 1} of {wish.steps} leaves {site.pools[wish.pool].gpus - out} GPUs of {wish.pool}: {moves.why}")
        if moves:
            stages[-1] = replace(stages[-1], moves=moves)
            moved = (*moved, *moves)
            staying = {name: contract for name, contract in staying.items() if name not in moves}
        stages.append(Stage(gpus, out, moved))
        arrived += gpus
    room = arrived - sum(site.contracts[name].gpus for name in moved)
    return (*stages[:-1], replace(stages[-1], moves=_may_move(site, wish, staying, rentals, out, room)))


def paused(site: Site, wish: Wish, stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """Contracts that may pause and have less GPUs than they rent once all is done."""
    if wish.to_model is None:
        return ()
    moved = {name for stage in stages for name in stage.moves}
    left = free_gpus(site, wish.pool, wish.latest, wish.latest, moved) - stages[-1].out
    found = []
    for name, contract in _contracts(site, wish, pausable=True):
        if name not in moved:
            left -= contract.gpus
            found += [name] if left < 0 else []
    return tuple(found)


def _contracts(site: Site, wish: Wish, *, pausable: bool) -> list[tuple[str, Contract]]:
    """The contracts of the pool that have GPUs before all is done or after it, the largest first."""
    mine = [(n, c) for n, c in site.contracts.items() if c.pool == wish.pool and c.gpus and c.pausable == pausable]
    return sorted(((n, c) for n, c in mine if c.has_gpus[1] > wish.earliest), key=lambda each: -each[1].gpus)


def _must_move(site: Site, wish: Wish, staying: dict[str, Contract], rentals: Collection[str], out: int, room: int) -> tuple[str, ...] | Refusal:
    """Which of `staying` move so that the old GPUs do for the others, into `room` new ones."""
    pool = site.pools[wish.pool]
    lacks = sum(contract.gpus for contract in staying.values()) + pool.spare_gpus - (pool.gpus - out)
    moves: list[str] = []
    for name, contract in staying.items():
        if lacks > 0 and contract.gpus <= room and name not in rentals and _runs_there(site, wish, contract):
            moves.append(name)
            lacks -= contract.gpus
            room -= contract.gpus
    if lacks <= 0:
        return tuple(moves)
    limits = [_stays(site, wish, name, contract, room, by_hand=name in rentals) for name, contract in staying.items() if name not in moves]
    remedies = [f"{wish.gpus - lacks} GPUs would do (--gpus)"] if wish.gpus > lacks else []
    if any(_runs_there(site, wish, contract) for contract in staying.values()):
        remedies.append("more, smaller steps: new GPUs are there for a contract before its old ones leave (--steps)")
    return Refusal(f"its contracts lack {lacks} of them", tuple(limits), tuple(remedies))


def _may_move(site: Site, wish: Wish, staying: dict[str, Contract], rentals: Collection[str], out: int, room: int) -> tuple[str, ...]:
    """Which contracts that may pause move at the end, for the old GPUs do not do for them."""
    left = site.pools[wish.pool].gpus - out - sum(contract.gpus for contract in staying.values())
    moves = []
    for name, contract in _contracts(site, wish, pausable=True):
        if contract.gpus <= left:
            left -= contract.gpus
        elif contract.gpus <= room and name not in rentals and _runs_there(site, wish, contract):
            moves.append(name)
            room -= contract.gpus
    return tuple(moves)


def _runs_there(site: Site, wish: Wish, contract: Contract) -> bool:
    assert wish.to_model is not None
    return contract.curve in site.gpu_models[wish.to_model].curves


def _stays(site: Site, wish: Wish, name: str, contract: Contract, room: int, *, by_hand: bool) -> str:
    keeps = f"contract {name} keeps {contract.gpus} of the {site.pools[wish.pool].gpus} GPUs of {wish.pool}"
    if by_hand:
        return f"{keeps} and is no contract of the site file: set it anew in another pool"
    if not _runs_there(site, wish, contract):
        return f"{keeps} and cannot move: {wish.to_model} has no curve {contract.curve}"
    return f"{keeps} and cannot move: {max(room, 0)} new GPUs are free for it before that step"
