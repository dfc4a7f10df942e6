"""Mutant: one mistake that could be made in the safety code, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """`file` with the one place that reads `old` reading `new`. `mistake` is what is then wrong; `tests`, all green without it, must fail."""

    mistake: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def places(self, root: Path = ROOT) -> int:
        """How often `old` stands in the file."""
        return (root / self.file).read_text(encoding="utf-8").count(self.old)

    def made(self, root: Path) -> str:
        """The file with the mistake in it. Raises ValueError unless there is exactly one place for it."""
        text = (root / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} places that read {self.old!r}, where {self.mistake}")
        return text.replace(self.old, self.new)
