"""Terms: what contracts owe and are owed by their own terms. What passes between a tenant and the site is on the site's own account as much less.

    rent     the contract's price_per_gpu_h x GPU hours kept for it               nothing where it names no price
    slow     credit per GPU hour x GPU hours at the greatest slow-down            `slow` as the contract's budget counts them
    missed   price per GPU hour x GPU hours that it missed                        price: `facility.rental.losses.price_per_gpu_h`

Rent is owed to the site, the others by it. A contract that may pause is owed nothing for what it missed. Terms are those of the site file; of
a rental that came over the bus those that held at the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from facility.rental.losses import price_per_gpu_h
from facility.rental.rental import Rental
from facility.site import Contract, Site
from facility.usage.usage import Usage
from models.horizon import Floats

RENT: Final = "rent"
SLOW: Final = "slow"
MISSED: Final = "missed"
OWED: Final = (RENT, SLOW, MISSED)


class Owed:
    """Adds up what is owed, line by line. `unknown` are contracts whose terms nobody knows any more."""

    def __init__(self, site: Site, rentals: Sequence[Rental]) -> None:
        self._site, self._rentals = site, rentals
        self._sums: dict[str, dict[int, float]] = {item: {} for item in OWED}
        self.unknown: set[str] = set()

    def see(self, usage: Usage, line: int) -> None:
        """Take in a usage of a line."""
        if usage.kind != "contract":
            return
        contract = self._terms(usage.workload, usage.start)
        if contract is None:
            self.unknown.add(usage.workload)
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

    def _terms(self, name: str, at: datetime) -> Contract | None:
        if name in self._site.contracts:
            return self._site.contracts[name]
        mine = [rental for rental in self._rentals if rental.contract == name]
        holding = [rental for rental in mine if rental.active(at)] or mine
        return holding[-1].terms if holding else None


def rent(contract: Contract, usage: Usage) -> float:
    """What is paid for each GPU and hour that was kept for it, money; those that were gone were not."""
    return (contract.price_per_gpu_h or 0.0) * usage.reserved_gpu_h


def slow_credit(contract: Contract, usage: Usage) -> float:
    """What is owed for slow hours: the contract's credit for each GPU and hour at its greatest slow-down, money."""
    terms = contract.flexibility
    return 0.0 if terms is None else terms.credit_per_gpu_h * usage.slow_gpu_h


def missed_credit(contract: Contract, usage: Usage) -> float:
    """What is owed for GPU hours that were promised and did not run, money; nothing to a contract that may pause."""
    return 0.0 if contract.pausable else price_per_gpu_h(contract) * usage.missed_gpu_h
