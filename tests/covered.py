"""Covered: which of the code's branches the tests took, in their own process and in every command that they started.

    python -m tests.covered

after `coverage run -m pytest` and `coverage combine` prints each file of which less than the bar was taken, the worst first, with its
first gaps, then what was taken of the whole and of the rooms in which nothing may be left out. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coverage import Coverage

BAR = 95.0
"""Branches that are taken of the whole, %."""
WITHOUT_GAPS = ("facility/verify/", "facility/overrides/")
"""Rooms of which every line and every branch is taken: what judges decisions, and what weighs commands."""


def measured() -> dict[str, dict[str, Any]]:
    """What coverage knows of each file."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "coverage.json")
        found = Coverage()
        found.load()
        found.json_report(outfile=str(out))
        files: dict[str, dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["files"]
    return files


def gaps(file: dict[str, Any]) -> list[str]:
    """Branches that were not taken, as from->to, and lines that were not reached."""
    return [f"{a}->{b}" for a, b in file["missing_branches"]] + [str(line) for line in file["missing_lines"]]


def main() -> int:
    """Print the table."""
    files = measured()
    for name, file in sorted(files.items(), key=lambda item: float(item[1]["summary"]["percent_covered"])):
        percent = file["summary"]["percent_covered"]
        if percent < BAR or (name.startswith(WITHOUT_GAPS) and gaps(file)):
            print(f"{percent:5.1f} %  {name:44} {', '.join(gaps(file)[:8])}{', ...' if len(gaps(file)) > 8 else ''}")
    some, every = (sum(file["summary"][key] for file in files.values()) for key in ("covered_branches", "num_branches"))
    left = {room: sum(len(gaps(file)) for name, file in files.items() if name.startswith(room)) for room in WITHOUT_GAPS}
    print(f"{some} of {every} branches were taken, {100 * some / every:.2f} %; the bar is {BAR:g} %")
    print(", ".join(f"{room} has {count or 'no'} gaps" for room, count in left.items()))
    return 1 if 100 * some < BAR * every or any(left.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
