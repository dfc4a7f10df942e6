"""Beside: questions thought over in a process of their own, which may hang, die or take all memory: then they are answered so.

    with closing(Beside()) as thinker:
        thinker.ask(inquiry, 10.0)

The process is as the daemon's solver, spawned and ended alike, and of less account than both: nicer, and the first to go where memory runs out. It
begins a while after the daemon, so that the first plan has the machine for itself, or with the first question; a new one follows with the next
question where it was lost. One thread speaks to it; nobody else waits for it.
"""

from __future__ import annotations

import logging
import queue
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from facility.daemon.answering.thinking.inquiry import Answer, Inquiry, Unanswered
from models.solving import wire
from models.solving.spawn import REAP_S, ended, started

log = logging.getLogger(__name__)

MODULE: Final = "facility.daemon.answering.thinking.serve"
SETTLED_S: Final = 5.0
"""How long after its beginning the process is started, where nobody asks before."""
START_S: Final = 30.0
"""How long a process may take to begin."""
GRACE_S: Final = 2.0
"""How much longer than a question has it is waited for; then it is killed."""


class Beside:
    """A `facility.daemon.answering.thinking.inquiry.Thinker`; to be closed. `settled_s` is when its process begins without a question."""

    def __init__(self, settled_s: float = SETTLED_S) -> None:
        self._settled_s = settled_s
        self._asked: queue.SimpleQueue[tuple[Inquiry, float] | None] = queue.SimpleQueue()
        self._answered: deque[Answer | Unanswered] = deque()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process that thinks now; None where none does."""
        process = self._process
        return None if process is None else process.pid

    def ask(self, inquiry: Inquiry, within_s: float) -> None:
        """Take a question that is to be answered within so many seconds."""
        self._asked.put((inquiry, time.monotonic() + within_s))

    def answered(self) -> Sequence[Answer | Unanswered]:
        """Take what was answered since the last call."""
        return [self._answered.popleft() for _ in range(len(self._answered))]

    def close(self) -> None:
        """End the process, also amid a question."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        self._asked.put(None)
        self._thread.join(2 * REAP_S)

    def _run(self) -> None:
        try:
            asked = self._asked.get(timeout=self._settled_s)
        except queue.Empty:
            self._try("warming up", lambda: self._call(None, time.monotonic() + START_S))
            asked = self._asked.get()
        while asked is not None:
            self._answer(*asked)
            asked = self._asked.get()
        self._lose(0.0)

    def _answer(self, inquiry: Inquiry, until: float) -> None:
        left_s = until - time.monotonic()
        if left_s <= 0:
            self._answered.append(Unanswered(inquiry.id, "others had asked before", late=True))
            return
        found = self._try(inquiry.id, lambda: self._call((inquiry, left_s), until + GRACE_S))
        if found is not None:
            self._answered.append(found)

    def _call(self, call: tuple[Inquiry, float] | None, until: float) -> Answer | Unanswered | None:
        end = self._reached()
        wire.send(end, call, until)
        found: Answer | Unanswered | None = wire.receive(end, until)
        return found

    def _try(self, name: str, call: Callable[[], Answer | Unanswered | None]) -> Answer | Unanswered | None:
        """What a call returns, or why it does not; whatever ends it ends the process too, for what that would say next is the answer to this."""
        try:
            return call()
        except TimeoutError:
            self._lose(0.0)
            return Unanswered(name, "it was not found in time, and who thought about it was killed", late=True)
        except (EOFError, OSError):
            how = self._lose(REAP_S)
            return Unanswered(name, f"the process that answers questions {how}")
        except Exception as error:
            log.exception("a question could not be asked")
            self._lose(0.0)
            return Unanswered(name, f"{type(error).__name__}: {error}")

    def _reached(self) -> socket.socket:
        """The socket to the process, started where there is none. OSError where that cannot be."""
        with self._lock:
            if self._closed:
                raise OSError("closed")
            if self._end is None:
                self._process, self._end = started(MODULE)
            return self._end

    def _lose(self, patience_s: float) -> str:
        """End the process, unless it does so by itself within `patience_s`; how it ended, in words."""
        with self._lock:
            process, end = self._process, self._end
            self._process = self._end = None
        if process is None or end is None:
            return "could not be started"
        how = ended(process, end, patience_s)
        if not self._closed:
            log.warning("the process that answers questions %s; another follows with the next question", how)
        return how
