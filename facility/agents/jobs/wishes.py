"""Wishes: what people say of a job where they submit it, in words that every scheduler can carry.

| word       | means                                                                     | such as                      |
|------------|---------------------------------------------------------------------------|------------------------------|
| `deadline` | when its work is to be done                                               | `2026-07-16T06:00+02:00`     |
| `work_h`   | how long its work takes on all of its GPUs where nothing caps them, hours | `4.5`                        |
| `curve`    | kind of work, a curve of the pool's GPU model                             | `pretrain-7b`                |
| `elastic`  | it can do with fewer GPUs                                                 | `elastic`                    |
| `pause`    | how it may be stopped once it runs: `requeue`, `suspend` or `never`       | `requeue`                    |
| `wait`     | the time at which it may begin is only a wait for the first order         | `wait`                       |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, cast

Pause = Literal["requeue", "suspend", "never"]

MOST_H: Final = 24.0 * 366
"""The longest work that is believed, h."""
FLAGS: Final = ("elastic", "wait")


@dataclass(frozen=True)
class Wishes:
    """What is said of a job; None where it is silent. `faults` are words that say nothing: the word and what it should be."""

    deadline: datetime | None = None
    work_h: float | None = None
    curve: str | None = None
    elastic: bool = False
    pause: Pause = "never"
    wait: bool = False
    faults: tuple[str, ...] = ()


def read_wishes(words: Mapping[str, str]) -> Wishes:
    """Read words and their values; a flag has the value "". What is unknown is somebody else's and left alone.

    >>> read_wishes({"work_h": "4.5", "elastic": ""}).work_h, read_wishes({"pause": "at night"}).faults
    (4.5, ('pause=at night: write requeue, suspend or never',))
    """
    faults: list[str] = []
    deadline, work_h, curve, pause = words.get("deadline"), words.get("work_h"), words.get("curve"), words.get("pause", "never")
    due = None if deadline is None else _instant(deadline)
    if deadline is not None and due is None:
        faults.append(f"deadline={deadline}: write an instant with its offset, such as 2026-07-16T06:00+02:00")
    hours = None if work_h is None else _hours(work_h)
    if work_h is not None and hours is None:
        faults.append(f"work_h={work_h}: write hours above 0, such as 4.5")
    if curve is not None and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", curve):
        faults.append(f"curve={curve}: write a curve's id, such as pretrain-7b")
        curve = None
    if pause not in {"requeue", "suspend", "never"}:
        faults.append(f"pause={pause}: write requeue, suspend or never")
        pause = "never"
    elastic, wait = (words.get(flag, "no") in {"", "yes", "true", "1"} for flag in FLAGS)
    return Wishes(due, hours, curve, elastic, cast("Pause", pause), wait, tuple(faults))


def _instant(text: str) -> datetime | None:
    try:
        told = datetime.fromisoformat(text)
        return None if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _hours(text: str) -> float | None:
    try:
        hours = float(text)
    except ValueError:
        return None
    return hours if math.isfinite(hours) and 0 < hours <= MOST_H else None
