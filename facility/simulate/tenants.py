"""Tenants that come and go: a rental on the bus runs from its start to its end, on its GPUs as soon as they are free."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from facility.simulate.gpu import PoolPlant

if TYPE_CHECKING:
    from facility.bus.messages import ContractState


class Tenants:
    """The rentals that were told last, by contract, on `pools`."""

    def __init__(self, pools: Mapping[str, PoolPlant]) -> None:
        self._pools = pools
        self._told: dict[str, ContractState] = {}
        self._running: dict[str, str] = {}

    def hear(self, contract: str, state: ContractState | None) -> None:
        """Take what stands of a contract; None: it is over."""
        if state is None:
            self._told.pop(contract, None)
        elif state.gpus and state.pool is not None and state.pool in self._pools and state.curve in self._pools[state.pool].model.curves:
            self._told[contract] = state

    def step(self, now: datetime) -> None:
        """Give each rental its GPUs at its start, and take them back at its end."""
        for contract, pool in list(self._running.items()):
            state = self._told.get(contract)
            if state is None or state.pool != pool or not state.start <= now < state.end:
                self._pools[pool].stop(contract)
                del self._running[contract]
        for contract, state in self._told.items():
            if state.pool is None or state.curve is None or not state.start <= now < state.end:
                continue
            pool_plant = self._pools[state.pool]
            held = pool_plant.running[contract].gpus if contract in self._running else 0
            if state.gpus != held and state.gpus - held <= pool_plant.free:
                pool_plant.give(contract, state.gpus, state.curve)
                self._running[contract] = state.pool
