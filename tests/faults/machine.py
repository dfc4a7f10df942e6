"""What a machine does to a process: its clock is set, one of its threads does not run, its files and its memory are bounded.

The process needs to know nothing of it, but for the clock: Python's own is replaced as it starts, by `sitecustomize`, for one that can be set.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SET_BY = """
import os, time
real = time.time
def set_by_hand():
    try:
        with open(os.environ["SET_CLOCK"]) as offset:
            return real() + float(offset.read() or 0)
    except (OSError, ValueError):
        return real()
time.time = set_by_hand
"""
CONTINUE, DETACH, SEIZE, INTERRUPT = 7, 17, 0x4206, 0x4207
FUTEX, FUTEX_OP, FUTEX_WAITS = {202, 98}, 0x7F, {0, 9, 11, 13}
"""The call's number on x86-64 and on aarch64; the part of its second argument that says what to do; what of that waits."""


def settable(folder: Path) -> dict[str, str]:
    """The environment of a process whose clock `set_clock` sets."""
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(SET_BY)
    return {"SET_CLOCK": str(folder / "clock"), "PYTHONPATH": os.pathsep.join((str(hooks), os.environ.get("PYTHONPATH", "")))}


def set_clock(folder: Path, offset_s: float) -> None:
    """Set the clock of the processes of `settable` to so many real seconds from the true time, at once."""
    new = folder / "clock.new"
    new.write_text(f"{offset_s}")
    new.replace(folder / "clock")


def state(pid: int, thread: int) -> str:
    """What the kernel says of a thread: S sleeps, t is stopped by a tracer; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def waits(thread: int) -> bool:
    """Whether the first thread of a process, stopped by a tracer, was within a call of the kernel that waits; also where it is no more."""
    try:
        number, *arguments = Path(f"/proc/{thread}/syscall").read_text().split()
    except OSError:
        return True
    if int(number) < 0:
        return False
    return int(number) not in FUTEX or int(arguments[1], 16) & FUTEX_OP in FUTEX_WAITS


@contextmanager
def stopped(thread: int) -> Iterator[None]:
    """The first thread of a process does not run; the others do. Meanwhile `Popen.poll` is told of the stop, and would take it for an end.

    It is stopped where it waits: anywhere else it might keep Python's lock, and with that all others. It may have gone on before the stop came:
    then it is let go, and stopped again.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    over, begun = threading.Event(), threading.Event()

    def hold() -> None:  # what a tracer began only the same thread may end
        libc.ptrace(SEIZE, thread, None, None)
        while True:
            while state(thread, thread) not in ("S", ""):
                pass
            libc.ptrace(INTERRUPT, thread, None, None)
            while state(thread, thread) not in ("t", ""):
                pass
            if waits(thread):
                break
            libc.ptrace(CONTINUE, thread, None, None)
        begun.set()
        over.wait()
        libc.ptrace(DETACH, thread, None, None)

    tracer = threading.Thread(target=hold)
    tracer.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        tracer.join()
