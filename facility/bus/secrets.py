"""Secrets in files: read only where nobody else can read them, as ssh does."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from facility.errors import Fault, InputError

MOST_BYTES = 1_000_000


def read_private(file: Path, key: str, remedy: str = "name a file that we may read") -> bytes:
    """Read a file that `key` of the site file names. Raises InputError, with `remedy` where it cannot be read, and for one that others
    may read or its group may change.

    Its group may read it, so that a service that runs as another user can be handed one.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o027:
                found = f"{file} has the mode {stat.S_IMODE(mode):04o}, so others may read or change it"
                raise InputError(Fault(key, found, f"chmod 600 {file}, and take it for known to others"))
            return opened.read(MOST_BYTES)
    except OSError as error:
        raise InputError(Fault(key, f"{file} cannot be read: {error.strerror}", remedy)) from error


def first_line(secret: bytes, key: str) -> str:
    """Return the first line of a file of secrets. Raises InputError where there is none."""
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        raise InputError(Fault(key, "bytes that are not UTF-8 text", "write one line of text")) from None
    if not (line := text.partition("\n")[0].rstrip("\r")):
        raise InputError(Fault(key, "an empty first line", "write the secret there")) from None
    return line
