"""A PostgreSQL server for tests: its own folder and port, run by an unprivileged user, nothing synced."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
"""Debian keeps them out of the path."""


def find(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([*(str(folder) for folder in PROGRAMS[::-1]), os.environ.get("PATH", "")]))


class Server:
    """A server that is running when it has been made."""

    def __init__(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()  # pytest's folders are closed to other users
        self.folder = folder = Path(self.temporary.name)
        self.data = folder / "data"
        self.user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if self.user is not None:
            shutil.chown(folder, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"postgresql://facility@127.0.0.1:{self.port}/postgres"
        subprocess.run(
            [str(find("initdb")), "-D", self.data, "-U", "facility", "-A", "trust", "--no-sync"],
            check=True, capture_output=True, user=self.user, cwd=folder,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off")
        command = [str(find("postgres")), "-D", self.data, "-p", str(self.port), *(part for one in settings for part in ("-c", one))]
        ready = [str(find("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 20
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
            while subprocess.run(ready, check=False).returncode:
                assert time.monotonic() < deadline
                time.sleep(0.05)
                if self.process.poll() is not None:  # what is left of one that crashed is still going
                    self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: in order with SIGINT, at once, as a crash does, with SIGQUIT."""
        self.process.send_signal(how)
        self.process.wait(10)

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        self.temporary.cleanup()
