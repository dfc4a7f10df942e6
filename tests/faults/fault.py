"""A fault that a test makes happen, and the proof that it did.

Every test of this folder asks for `fault`, lets it happen, and proves that it did before it looks at what the product does. With
`--no-inject` nothing is made to happen, and then each test must fail at its own proof: one that passes proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Unproven(AssertionError):
    """Nothing shows that the fault happened."""


class Fault:
    def __init__(self, *, injected: bool) -> None:
        self.injected, self.proofs = injected, 0

    def __call__(self, happen: Callable[[], T]) -> T | None:
        """Let it happen; None with `--no-inject`."""
        return happen() if self.injected else None

    def proven(self, seen: Callable[[], Any], what: str, within_s: float = 2.0) -> None:
        """Wait until the fault is seen, by other means than what is tested. Raises Unproven."""
        self.proofs += 1
        deadline = time.monotonic() + within_s
        while not seen():
            if time.monotonic() > deadline:
                raise Unproven(f"the fault did not happen: {what}")
            time.sleep(0.02)
