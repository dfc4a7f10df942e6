"""`facility backup` and `facility restore`: a journal copied while its daemon runs, and put back."""

from __future__ import annotations

from pathlib import Path

from facility.clock import SystemClock
from facility.journal.backup import back_up, restore


def run_backup(state: Path, file: Path) -> int:
    """Copy a journal and say that it is whole; InputError where it is not."""
    for checked in back_up(state, file):
        print(checked)
    print(f"{state} is copied to {file}")
    return 0


def run_restore(file: Path, state: Path, by: str) -> int:
    """Put a copy in the place of a journal and say what that means for operators; InputError where that cannot be."""
    done = restore(file, state, SystemClock(), by)
    if done.put_aside is not None:
        print(f"the old journal lies at {done.put_aside}")
    if done.ended:
        print(f"overrides that ended, for nobody knows whether they still stand: {', '.join(done.ended)}; set again what should stand")
    if done.unknown:
        print(f"overrides that stood in the old journal and are not in the copy: {', '.join(done.unknown)}; set again what should stand")
    print(f"{state} is restored from {file}; the next epoch is {done.epoch + 1}")
    return 0
