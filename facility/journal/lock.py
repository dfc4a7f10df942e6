"""Lock: one writer of a store for the life of its process, which the operating system lets go however the process dies.

It is held on a file of its own beside the store. Where somebody removed that file another could begin to write, so a writer asks
`ours` before it relies on it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import weakref
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Final

from facility.errors import Fault, InputError

REMEDY: Final = "name a file in a folder that can be written"


class StoreBusyError(InputError):
    """Another process writes this store."""


class Lock:
    """The lock of the store at `path`. Raises StoreBusyError where another process has it, InputError where there can be none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = _taken(path)

    def close(self) -> None:
        """Let another writer in."""
        self._held.close()

    def ours(self) -> bool:
        """Whether we are still the only writer; a file that was removed is made again, where nobody else has done so."""
        with suppress(OSError):
            if os.path.samestat(os.stat(file_of(self._path)), os.fstat(self._held.fileno())):  # noqa: PTH116 - ten times as fast
                return True
        try:
            again = _taken(self._path)
        except InputError:
            return False
        self._held.close()
        self._held = again
        return True


def file_of(path: Path) -> str:
    """The file on which the lock of a store is held."""
    return f"{path}.lock"


def end_writer(path: Path) -> int | None:
    """Kill the process that writes a store; its id, or None where it is not on this machine, or not ours to kill.

    The file of the lock names it, and that it has this file open proves that it is the one.
    """
    try:
        pid = int(Path(file_of(path)).read_text("utf-8"))
        process = os.pidfd_open(pid)
    except (OSError, ValueError):
        return None
    try:
        lock = Path(file_of(path)).stat()
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.path.samestat(descriptor.stat(), lock):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                    return pid
    except OSError:
        return None
    finally:
        os.close(process)
    return None


def _taken(path: Path) -> IO[str]:
    try:
        held = Path(file_of(path)).open("a+", encoding="utf-8")  # noqa: SIM115 - held for the life of the process
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with closing(held):
                held.seek(0)
                found = f"process {held.read().strip() or 'unknown'} writes this store"
            raise StoreBusyError(Fault(str(path), found, "stop that daemon first, or name another store")) from error
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
    except OSError as error:
        raise InputError(Fault(str(path), f"cannot be locked ({error})", REMEDY)) from error
    ours = weakref.ref(held)

    def let_go() -> None:  # a forked child that outlives us must not keep the lock
        if (lock := ours()) is not None:
            lock.close()

    os.register_at_fork(after_in_child=let_go)
    return held
