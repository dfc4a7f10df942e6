"""Credits: what a contract is owed by its own terms, for a bill and for its availability alike. Pure.

    slow     credit per GPU hour x GPU hours at the greatest slow-down            `slow` as the contract's budget counts them
    missed   price per GPU hour x GPU hours that it missed                        price: `facility.rental.losses.price_per_gpu_h`

A contract that may pause is owed nothing for what it missed.
"""

from __future__ import annotations

from facility.rental.losses import price_per_gpu_h
from facility.site import Contract
from facility.usage.usage import Usage


def slow_credit(contract: Contract, usage: Usage) -> float:
    """What is owed for slow hours: the contract's credit for each GPU and hour at its greatest slow-down, money."""
    terms = contract.flexibility
    return 0.0 if terms is None else terms.credit_per_gpu_h * usage.slow_gpu_h


def missed_credit(contract: Contract, usage: Usage) -> float:
    """What is owed for GPU hours that were promised and did not run, money; nothing to a contract that may pause."""
    return 0.0 if contract.pausable else price_per_gpu_h(contract) * usage.missed_gpu_h
