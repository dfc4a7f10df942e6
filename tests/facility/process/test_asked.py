"""What signals ask of a process, with real ones."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

SAYS = """
import os, signal
from facility.process.asked import by_signals
asked = by_signals()
assert not any(event.is_set() for event in (asked.stop, asked.reload, asked.report))
os.kill(os.getpid(), signal.{number})
print(*[name for name in ("stop", "reload", "report") if getattr(asked, name).is_set()])
"""


@pytest.mark.parametrize(
    ("number", "terminal", "asks"),
    [
        ("SIGTERM", False, "stop"),
        ("SIGINT", False, "stop"),
        ("SIGHUP", False, "reload"),
        ("SIGHUP", True, "stop"),
        ("SIGUSR1", False, "report"),
    ],
)
def test_each_signal_asks_for_one_thing_and_a_terminal_that_is_closed_for_the_end(number: str, terminal: bool, asks: str) -> None:
    ours, theirs = pty.openpty()
    try:
        stdin = theirs if terminal else subprocess.DEVNULL
        done = subprocess.run([sys.executable, "-c", SAYS.format(number=number)], stdin=stdin, capture_output=True, text=True, check=True)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout.strip() == asks
