"""Rounding: money in whole cents that adds up, by the largest remainder.

The whole is rounded first, then its items so that they sum to it, then each item's accounts and their lines. So every sum on a bill is the sum
of what stands above it, and no amount is a cent or more from what it would be unrounded for each time that it was shared out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

WHOLE: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
THOUSANDTHS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
DIGITS: Final = dict.fromkeys(WHOLE, 0) | dict.fromkeys(THOUSANDTHS, 3) | {"CLF": 4, "UYW": 4}
"""Decimals of currencies that have not two (ISO 4217)."""


def digits_of(currency: str) -> int:
    """How many decimals a currency has.

    >>> [digits_of(currency) for currency in ("EUR", "JPY", "XOF", "TND", "CLF")]
    [2, 0, 0, 3, 4]
    """
    return DIGITS.get(currency, 2)


def rounded(amount: float, digits: int) -> int:
    """An amount in the currency's smallest unit, halves away from nought.

    >>> rounded(1.005, 2), rounded(-2.5, 0)
    (101, -3)
    """
    scaled = round(abs(amount) * 10**digits, 6)
    return int(math.copysign(math.floor(scaled + 0.5), amount))


def apportioned(total: int, amounts: Sequence[float], digits: int) -> list[int]:
    """`amounts` of money as whole units that sum to `total`: each rounded down, and what is left given to the largest remainders, first come first.

    >>> apportioned(100, [0.333, 0.333, 0.334], 2)
    [33, 33, 34]
    >>> apportioned(-1, [0.004, -0.014], 2)
    [0, -1]
    """
    if not amounts:
        return []
    scaled = [amount * 10**digits for amount in amounts]
    found = [math.floor(amount) for amount in scaled]
    left = total - sum(found)
    each, more = divmod(left, len(found))
    by_rest = sorted(range(len(found)), key=lambda i: found[i] - scaled[i])
    for place, i in enumerate(by_rest):
        found[i] += each + (place < more)
    return found
