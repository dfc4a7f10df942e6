"""Soak: as many simulated days as are asked for, a seed each, on every core; what failed is kept, and where it ended it goes on.

    python -m tests.simulation.soak --days 1000             make soak DAYS=1000
    python -m tests.simulation.soak --seed 17 [--shrink]     one day again, with what was said last; with as few faults as still break it

The state file holds the next seed, how many days were lived, and the seeds that broke an invariant. Ctrl-C ends tidily.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tests.in_memory import in_memory
from tests.simulation.day import Day, Lived
from tests.simulation.invariants import Broken
from tests.simulation.schedule import Schedule, schedule_of
from tests.simulation.shrink import shrunk
from tests.simulation.sites import site_of

TOLD = 12
"""Messages that a failure shows, the last ones."""


@dataclass(frozen=True)
class Failure:
    """A day that broke an invariant, and all that is needed to see it again."""

    seed: int
    t: float
    broken: str
    last: tuple[str, ...]

    def __str__(self) -> str:
        """The seed, the instant, what is broken, what was said last, and the command that lives the day again."""
        told = "\n".join(f"    {line}" for line in self.last)
        return f"seed {self.seed} at {self.t:.1f} s: {self.broken}\n{told}\n    python -m tests.simulation.soak --seed {self.seed} --shrink"


def live(seed: int, schedule: Schedule | None = None) -> Lived | Failure:
    """Live the day of a seed."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        day = Day(seed, Path(folder), schedule)
        try:
            return day.run()
        except Broken as broken:
            last = [f"{t:.1f} {m.topic} {m.payload[:300].decode(errors='replace')}" for t, m in list(day.recent)[-TOLD:]]
            return Failure(seed, day.t, str(broken), tuple(last))
        finally:
            day.end()
            gc.collect()
            logging.disable(logging.NOTSET)


def days(seeds: Iterable[int], processes: int) -> Iterator[Lived | Failure]:
    """Live the days of seeds in so many processes, in the order in which they end."""
    left = iter(seeds)
    with ProcessPoolExecutor(processes) as pool:
        running: set[Future[Lived | Failure]] = set()
        try:
            while True:
                while len(running) < 2 * processes and (seed := next(left, None)) is not None:
                    running.add(pool.submit(live, seed))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


def main(words: list[str]) -> int:
    """0 where no invariant was broken."""
    parser = argparse.ArgumentParser(prog="tests.simulation.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--state", type=Path, default=Path(".soak.json"))
    asked = parser.parse_args(words)
    return _soak(asked.state, asked.days, asked.processes) if asked.seed is None else _again(asked.seed, shrink=asked.shrink)


def _again(seed: int, *, shrink: bool) -> int:
    lived = live(seed)
    print(lived)
    if isinstance(lived, Failure) and shrink:
        schedule = shrunk(schedule_of(seed, site_of(seed)), lambda tried: isinstance(live(seed, tried), Failure))
        print(*schedule.windows, *schedule.said, sep="\n")
        print(live(seed, schedule))
    return int(isinstance(lived, Failure))


def _soak(path: Path, most: int, processes: int) -> int:
    state = json.loads(path.read_text()) if path.exists() else {"next": 0, "days": 0, "failed": []}
    first, began, lived = state["next"], time.monotonic(), 0
    print(f"{state['days']} days lived before, from seed {first} on", flush=True)
    try:
        for came in days(range(first, first + most), processes):
            lived += 1
            state["days"] += 1
            state["next"] = max(state["next"], came.seed + 1)
            if isinstance(came, Failure):
                state["failed"].append(came.seed)
                print(came, flush=True)
            path.write_text(json.dumps(state))
            if lived % 10 == 0 or lived == most:
                print(f"{lived:>7} of {most} days, {len(state['failed'])} broken, {(time.monotonic() - began) / lived:.2f} s a day", flush=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
    print(f"{state['days']} days in all, {len(state['failed'])} broke an invariant: {state['failed']}")
    return int(bool(state["failed"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
