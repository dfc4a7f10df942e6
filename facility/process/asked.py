"""Asked: what people and the service manager ask of the process by signals. A handler only notes it; the loop does it.

| signal          | asks it to                                                                           |
|-----------------|--------------------------------------------------------------------------------------|
| SIGTERM, SIGINT | end                                                                                  |
| SIGHUP          | read the site file, keys and certificates again; at a terminal, which is closed: end |
| SIGUSR1         | report, as a shadow; a daemon pays no heed to it                                     |
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True)
class Asked:
    """Set by signals, cleared by who did what was asked."""

    stop: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)
    report: threading.Event = field(default_factory=threading.Event)


def by_signals() -> Asked:
    """Begin to listen for signals; to be called in the main thread."""
    asked = Asked()
    hangup = asked.stop if os.isatty(0) else asked.reload
    meaning = {signal.SIGTERM: asked.stop, signal.SIGINT: asked.stop, signal.SIGHUP: hangup, signal.SIGUSR1: asked.report}

    def note(number: int, _frame: FrameType | None) -> None:
        meaning[signal.Signals(number)].set()

    for number in meaning:
        signal.signal(number, note)
    return asked
