"""Spawn: how the process that solves begins and ends (`models.solving.serve` is what it does in between).

Spawned, not forked, so that it begins without locks that a thread holds here, and without what is loaded here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import models
from models.solving.serve import OUT_OF_MEMORY

REAP_S = 1.0
"""How long a process that ends is waited for."""
SOLVES = "models.solving.serve"
SERVES = """
import signal
from contextlib import suppress
with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
    score.write("500")  # where the machine runs out of memory, this process goes before the one that asks
signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that asks, which closes this one
from {module} import main
main({descriptor})
"""


def started(module: str = SOLVES) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process in which the `main` of a module serves, and the socket to it."""
    ours, theirs = socket.socketpair()
    paths = [str(Path(models.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", SERVES.format(module=module, descriptor=theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
    except OSError:
        ours.close()
        raise
    return process, ours


def ended(process: subprocess.Popen[bytes], end: socket.socket, patience_s: float = 0.0) -> str:
    """Kill the process, unless it ends by itself within `patience_s`; how it ended, in words."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    process.kill()
    end.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)
    code = process.returncode
    if code is None:
        return "does not end"
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return "ran out of memory" if code == OUT_OF_MEMORY else f"ended with exit code {code}"
