"""What is said of an invariant that does not hold."""

from __future__ import annotations

from dataclasses import dataclass

from facility.verify.violation import SLACK, finite, number


@dataclass(frozen=True)
class Broken:
    """Invariant I`number` does not hold for `asset`: `says` tells what is wrong, `amount` is what was found and `allowed` the bound, in `unit`.

    Amount and bound are None where there is no number.
    """

    number: int
    asset: str
    says: str
    amount: float | None = None
    allowed: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        """Tell it in a line.

        >>> str(Broken(1, "main", "more than it may carry", 512.25, 500.0, "kW"))
        'I1 main: more than it may carry (512.25 of 500 kW)'
        """
        numbers = [f"{value:g}" for value in (self.amount, self.allowed) if value is not None]
        told = f" ({' of '.join(numbers)}{f' {self.unit}' if self.unit else ''})" if numbers else ""
        return f"I{self.number} {self.asset}: {self.says}{told}"


def above(found: int, asset: str, says: str, amount: float, allowed: float, unit: str) -> tuple[Broken, ...]:
    """Say it where `amount` is not at most `allowed`; what is no number is never at most anything."""
    if finite(amount) and amount <= allowed + SLACK:
        return ()
    return (Broken(found, asset, says, number(amount), number(allowed), unit),)


def outside(found: int, asset: str, says: str, amount: float, low: float, high: float, unit: str) -> tuple[Broken, ...]:
    """Say it where `amount` is not in [low, high]; what is no number is nowhere."""
    if finite(amount) and low - SLACK <= amount <= high + SLACK:
        return ()
    return (Broken(found, asset, says, number(amount), low if finite(amount) and amount < low else high, unit),)
