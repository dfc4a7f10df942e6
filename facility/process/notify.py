"""Notify: what a process tells the service manager that started it (sd_notify(3)).

    READY=1                                     caps are in force, or it waits as a spare
    STATUS=...                                  the mode, and why
    WATCHDOG=1                                  the loop that guards goes on
    RELOADING=1, MONOTONIC_USEC=... READY=1     the site file is read again; it has been
    STOPPING=1                                  it goes

Each is one datagram on the socket that `NOTIFY_SOCKET` names, a file or, with `@`, an abstract one. Without it nothing is said, and
a manager that does not listen delays nobody.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Self


class Notify:
    """What was said is not said again. Safe among threads."""

    def __init__(self, address: str | None) -> None:
        self._status = ""
        self._ready = False
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of_environment(cls) -> Self:
        """Speak to who started this process, and let none of our own children speak for us."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None))

    @property
    def listened_to(self) -> bool:
        """Whether there is a manager, who starts this process again when it ends."""
        return self._socket is not None

    def ready(self) -> None:
        """The process does its work."""
        if not self._ready:
            self._ready = True
            self._say("READY=1")

    def status(self, words: str) -> None:
        """Tell how it is, in a line."""
        if words != self._status:
            self._status = words
            self._say(f"STATUS={' '.join(words.split())}")

    def alive(self) -> None:
        """The manager's watchdog may begin to count anew."""
        self._say("WATCHDOG=1")

    def reloading(self) -> None:
        """The site file is being read again; `ready` says that it has been."""
        self._ready = False
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The process goes."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # nobody listens, or does not keep up
                self._socket.sendto(text.encode(), self._address)
