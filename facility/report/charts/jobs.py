"""Jobs: each one's runs in front of its time from submission to deadline.

The page holds every job once, as columns in which repeated words stand once, and draws those that its reader asks for: ten thousand jobs
are a megabyte, and one page of bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class JobBar:
    """A job: times in minutes since the start, unclipped; `spans_min` when it runs; work in GPU h.

    One that neither is `finished` nor `missed` its deadline goes on after the end.
    """

    id: str
    tenant: str
    pool: str
    gpus: int
    submit_min: float
    deadline_min: float
    spans_min: Sequence[tuple[float, float]]
    finished: bool
    missed: bool
    deferred_h: float | None
    work_gpu_h: float
    done_gpu_h: float
    cost: float
    reason: str


def columns(bars: Iterable[JobBar], colors: Mapping[str, str], currency: str) -> dict[str, Any]:
    """What the page's script draws and lists; `colors` are those of the pools."""
    shown = sorted(bars, key=lambda bar: (bar.submit_min, bar.id))
    words: dict[str, int] = {}

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    made: dict[str, Any] = {
        "currency": currency,
        "colors": dict(colors),
        "id": [bar.id for bar in shown],
        "tenant": [word(bar.tenant) for bar in shown],
        "pool": [word(bar.pool) for bar in shown],
        "reason": [word(bar.reason) for bar in shown],
        "gpus": [bar.gpus for bar in shown],
        "submit": [round(bar.submit_min, 1) for bar in shown],
        "deadline": [round(bar.deadline_min, 1) for bar in shown],
        "spans": [[round(at, 1) for span in bar.spans_min for at in span] for bar in shown],
        "finished": [int(bar.finished) for bar in shown],
        "missed": [int(bar.missed) for bar in shown],
        "deferred_h": [None if bar.deferred_h is None else round(bar.deferred_h, 2) for bar in shown],
    }
    for name in ("work_gpu_h", "done_gpu_h", "cost"):
        made[name] = [round(getattr(bar, name), 2) + 0.0 for bar in shown]
    return made | {"words": list(words)}
