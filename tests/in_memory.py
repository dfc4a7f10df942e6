"""Where files live in memory, for what is written to the disk thousands of times and kept for nobody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")
ENOUGH_BYTES: Final = 4 * 2**30
"""Containers often have 64 MiB of it."""


def in_memory() -> Path | None:
    """A folder in memory with room enough; None where there is none."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return None
    return SHARED_MEMORY if free >= ENOUGH_BYTES else None
