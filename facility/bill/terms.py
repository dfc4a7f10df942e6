"""Terms: what contracts owe and are owed by their own terms. What passes between a tenant and the site is on the site's own account as much less.

    rent     the contract's price_per_gpu_h x GPU hours kept for it,              nothing where it names no price
             or held by a job under it
    slow     what is owed for GPU hours at the greatest slow-down                 `facility.usage.credits`
    missed   what is owed for GPU hours that were promised and did not run        `facility.usage.credits`

Rent is owed to the site, the others by it. Terms are those of the site file; of a rental that came over the bus those that held at the time
(`facility.rental.sold`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from facility.rental.sold import Sold
from facility.site import Contract
from facility.usage.credits import missed_credit, slow_credit
from facility.usage.usage import Usage
from models.horizon import Floats

RENT: Final = "rent"
SLOW: Final = "slow"
MISSED: Final = "missed"
OWED: Final = (RENT, SLOW, MISSED)


class Owed:
    """Adds up what is owed, line by line. `unknown` are contracts whose terms nobody knows any more."""

    def __init__(self, sold: Sold) -> None:
        self._sold = sold
        self._sums: dict[str, dict[int, float]] = {item: {} for item in OWED}
        self.unknown: set[str] = set()

    def see(self, usage: Usage, line: int) -> None:
        """Take in a usage of a line."""
        if usage.contract is None:
            return
        contract = self._sold.terms(usage.contract, usage.start)
        if contract is None:
            self.unknown.add(usage.contract)
            return
        self._add(RENT, line, rent(contract, usage))
        self._add(SLOW, line, -slow_credit(contract, usage))
        self._add(MISSED, line, -missed_credit(contract, usage))

    def by_line(self, item: str, lines: int) -> Floats:
        """What each line owes, below nought where it is owed, shape (L,)."""
        found = np.zeros(lines)
        for line, money in self._sums[item].items():
            found[line] = money
        return found

    def _add(self, item: str, line: int, money: float) -> None:
        if money:
            self._sums[item][line] = self._sums[item].get(line, 0.0) + money


def rent(contract: Contract, usage: Usage) -> float:
    """What is paid for each GPU and hour that was kept for it, or that its job held, money; GPUs that were gone were not kept."""
    return (contract.price_per_gpu_h or 0.0) * (usage.reserved_gpu_h if usage.kind == "contract" else usage.gpu_h)
