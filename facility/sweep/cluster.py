"""Cluster: the cases of a sweep on the workers of dask.distributed, on this machine or many. The only file that knows the library.

Every worker must see the same files at the same paths, and have this program installed. A worker makes one plan at a time, whatever its threads: give
it one (`dask worker tcp://host:8786 --nthreads 1`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from facility.errors import Fault, InputError
from facility.request import Request
from facility.sweep.outcome import Outcome
from facility.sweep.question import as_anywhere
from facility.sweep.work import outcome

LOCAL = "local"
PATIENCE_S = 10.0
_ONE_AT_A_TIME = threading.Lock()


def outcomes(requests: Sequence[Request], address: str, count: int) -> Iterator[tuple[int, Outcome]]:
    """Make all; what came of each, by its place in `requests`, as it comes.

    `address` is that of a scheduler, or `local` for `count` processes here. InputError where the library or the scheduler is not there.
    """
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        raise InputError(Fault("--cluster", "dask.distributed is not installed", "install it: pip install 'facility[cluster]'")) from None
    with ExitStack() as stack:
        scheduler: Any = address
        if address == LOCAL:
            scheduler = stack.enter_context(LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None))
        try:
            client = stack.enter_context(Client(scheduler, timeout=PATIENCE_S, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            remedy = "start one with `dask scheduler`, or say local"
            raise InputError(Fault(f"--cluster {address}", f"no scheduler answers ({error})", remedy)) from None
        futures = client.map(one, [as_anywhere(request) for request in requests], pure=False, retries=0)
        stack.callback(client.cancel, futures)
        place = {future.key: i for i, future in enumerate(futures)}
        for future in as_completed(futures, loop=client.loop):
            lost = future.exception()
            yield place[future.key], Outcome("lost", why=f"the worker that made it is lost: {lost}") if lost else future.result()


def one(request: Request) -> Outcome:
    """Make one plan in a worker, which may have several threads."""
    with _ONE_AT_A_TIME:
        return outcome(request)
