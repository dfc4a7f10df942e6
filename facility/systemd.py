"""Words as systemd reads them in a unit (systemd.syntax(7)), and the program that it starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

SHUT: Final = """\
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native"""
"""What no service of ours needs, as lines of a unit (systemd.exec(5))."""


def quoted(word: str) -> str:
    """Write a word of a command so that systemd takes it as it is.

    >>> quoted("100% of $HOME"), quoted("--state")
    ('"100%% of $$HOME"', '--state')
    """
    told = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{told}"' if told != word or any(sign.isspace() or sign in "';" for sign in word) else word


def plain(name: str) -> str:
    """A name in one line."""
    return " ".join(name.replace("%", "%%").split())


def program() -> list[str]:
    """The words that start `facility` as it runs now."""
    script = Path(sys.prefix) / "bin" / "facility"
    return [str(script)] if script.exists() else [sys.executable, "-m", "facility"]
