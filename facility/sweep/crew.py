"""Crew: processes of this machine that make one plan after another, as many as there are processors, each with one thread.

They are started once, so that what a plan needs is imported once; they are handed a case when they have answered the one before. A
process that dies, or does not answer in time, costs the case it had, which is told, and another takes its place. They end with
their parent, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, set_start_method
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

import facility
from facility.request import Request
from facility.sweep.outcome import Outcome

GRACE_S = 120.0
BUDGETS = 4.0
"""A case may take so many of its solver's budgets and that grace: remedies and explanations are solves too."""
REAP_S = 2.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SERVES = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent, which closes this one
from facility.sweep.crew import serve
serve({descriptor})
"""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass
class Worker:
    """A process, the pipe to it, the case that it has, and until when its answer is waited for."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    case: int | None = None
    latest_s: float = 0.0


class Crew:
    """`count` processes. To be used in a `with`."""

    def __init__(self, count: int) -> None:
        self._workers = [_started() for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()  # one that waits for a case ends by itself
            if worker.case is not None:
                worker.process.kill()
        for worker in self._workers:
            _ended(worker.process)

    def outcomes(self, requests: Sequence[Request]) -> Iterator[tuple[int, Outcome]]:
        """Make all; what came of each, by its place in `requests`, as it comes."""
        waiting = list(reversed(range(len(requests))))
        while True:
            for worker in self._workers:
                if worker.case is None and waiting:
                    self._hand(worker, waiting.pop(), requests)
            busy = [worker for worker in self._workers if worker.case is not None]
            if not busy:
                return
            for worker in self._spoke(busy):
                case, told = worker.case, self._heard(worker)
                assert case is not None
                worker.case = None
                yield case, told

    def _hand(self, worker: Worker, case: int, requests: Sequence[Request]) -> None:
        worker.case = case
        worker.latest_s = time.monotonic() + GRACE_S + BUDGETS * requests[case].budget_s
        with suppress(OSError):  # it died while it waited; that is heard next
            worker.pipe.send(requests[case])

    @staticmethod
    def _spoke(busy: Sequence[Worker]) -> list[Worker]:
        """Wait for an answer, a death, or the time at which one is late; whose it is."""
        left_s = min(worker.latest_s for worker in busy) - time.monotonic()
        ready = wait([worker.pipe for worker in busy], max(left_s, 0.0))
        return [worker for worker in busy if worker.pipe in ready or worker.latest_s <= time.monotonic()]

    def _heard(self, worker: Worker) -> Outcome:
        """The answer of a worker that spoke; where it has none another one takes its place."""
        if worker.pipe.poll():
            with suppress(EOFError, OSError):
                told: Outcome = worker.pipe.recv()
                return told
            how = _how(worker.process)
        else:
            worker.process.kill()
            how = "it was killed: it did not answer in time"
        _ended(worker.process)
        worker.pipe.close()
        fresh = _started()
        worker.process, worker.pipe = fresh.process, fresh.pipe
        return Outcome("lost", why=f"the process that made it is lost: {how}")


def _started() -> Worker:
    """A process that serves; it asks nobody which program began all this, as those of multiprocessing do."""
    ours, theirs = Pipe()
    paths = [str(Path(facility.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVES.format(descriptor=theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(paths)},
        )
    return Worker(process, ours)


def serve(descriptor: int) -> None:
    """What a process does: import once, then answer each case that it is handed, until nobody hands one."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")  # where memory runs out it goes before its parent
    set_start_method("fork")  # nothing is started here: so that a lock that a library makes leaves nothing behind when this is killed
    from facility.sweep.work import outcome

    with Connection(descriptor) as pipe, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(outcome(pipe.recv()))


def _ended(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)
    process.kill()
    process.wait()


def _how(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(REAP_S)
    except subprocess.TimeoutExpired:
        return "it says nothing any more"
    return f"it died of {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
