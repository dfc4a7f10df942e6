"""Tenants that come and go: a rental runs from its start to its end, on its GPUs as soon as they are free. Those of the site file are there from
the beginning, those on the bus as they are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from facility.simulate.gpu import PoolPlant
from facility.site import Contract

if TYPE_CHECKING:
    from facility.bus.messages import ContractState


@dataclass(frozen=True)
class Stay:
    """GPUs of a pool for one kind of work in [start, end), UTC."""

    pool: str
    gpus: int
    curve: str
    start: datetime
    end: datetime


class Tenants:
    """The rentals on `pools`: those of `contracts`, and those that were told last, by contract."""

    def __init__(self, pools: Mapping[str, PoolPlant], contracts: Mapping[str, Contract]) -> None:
        self._pools = pools
        self._stays = {
            name: Stay(contract.pool, contract.gpus, contract.curve, *contract.has_gpus)
            for name, contract in contracts.items()
            if contract.gpus and contract.pool is not None and contract.curve is not None
        }
        self._own = frozenset(self._stays)
        self._running: dict[str, str] = {}

    def hear(self, contract: str, state: ContractState | None) -> None:
        """Take what stands of a contract on the bus; None: it is over."""
        if contract in self._own:
            return
        if state is None:
            self._stays.pop(contract, None)
        elif state.gpus and state.pool is not None and state.pool in self._pools and state.curve in self._pools[state.pool].model.curves:
            self._stays[contract] = Stay(state.pool, state.gpus, state.curve, state.start, state.end)

    def step(self, now: datetime) -> None:
        """Give each rental its GPUs at its start, and take them back at its end."""
        for contract, pool in list(self._running.items()):
            stay = self._stays.get(contract)
            if stay is None or stay.pool != pool or not stay.start <= now < stay.end:
                self._pools[pool].stop(contract)
                del self._running[contract]
        for contract, stay in self._stays.items():
            if not stay.start <= now < stay.end or (contract in self._own and contract in self._running):
                continue
            pool_plant = self._pools[stay.pool]
            held = pool_plant.running[contract].gpus if contract in self._running else 0
            if stay.gpus != held and stay.gpus - held <= pool_plant.free:
                pool_plant.give(contract, stay.gpus, stay.curve)
                self._running[contract] = stay.pool
