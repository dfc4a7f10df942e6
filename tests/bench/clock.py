"""Clock: what is measured - CPU seconds of this process, those of one function inside it, and memory."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Watch:
    """CPU and wall seconds that something took in all, and how often."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    times: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it time is counted."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
            self.times += 1


@contextmanager
def watched(owner: Any, name: str) -> Iterator[Watch]:
    """Within it every call of `owner.name` is counted, whoever calls it."""
    watch, call, own = Watch(), getattr(owner, name), vars(owner).get(name)

    @functools.wraps(call)
    def counted(*args: Any, **kwargs: Any) -> Any:
        with watch.running():
            return call(*args, **kwargs)

    setattr(owner, name, counted)
    try:
        yield watch
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def least(measure: Callable[[], dict[str, Any]], times: int, within_s: float) -> dict[str, Any]:
    """Of each number the least of `times` measurements, fewer once `within_s` CPU seconds have gone; the rest is the last one's."""
    began = time.process_time()
    found = measure()
    for _ in range(times - 1):
        if time.process_time() - began > within_s:
            break
        found = {key: min(found[key], value) if key.endswith("_s") else value for key, value in measure().items()}
    return found


def memory_mib(kind: str) -> float:
    """Memory of this process: `VmHWM` at its peak, `VmRSS` now."""
    (line,) = (line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024
