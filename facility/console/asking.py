"""Asking: what an override would do, and why something is as it is. The daemon answers over the bus, beside its work, or it does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """An answer in words: a sentence, numbers before and after, and more lines; `ok` where it could be answered."""

    ok: bool
    sentence: str
    numbers: tuple[tuple[str, str, str], ...] = ()
    lines: tuple[str, ...] = ()


NO_PREVIEW = "No preview: this daemon cannot say beforehand what an override does. It answers what it made of it once it is set."
NO_WHY = "This daemon gives no further explanation than what stands here."
