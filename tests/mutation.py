"""Mutation check: take out each family of constraints in turn, and see which tests notice.

    python tests/mutation.py [ROOM.CONSTRAINT ...]

prints a table: family, tests that fail without it, the first of them. The tests of the family's own room are asked first, all
others only where those notice nothing. The golden files would notice every change; they do not count here. Exit code 1 where
nothing notices.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DECLARED = re.compile(r"@block\.Constraint\(.*\)\n\s+def (\w+)\(")


def families() -> list[str]:
    """`room.constraint` of every constraint that the code declares, and the rows that are added while solving."""
    found = [f"{path.stem}.{name}" for path in sorted((ROOT / "models").rglob("*.py")) for name in DECLARED.findall(path.read_text("utf-8"))]
    return [*found, "workload.climbs"]


def noticed_by(family: str) -> list[str]:
    """The tests that fail without `family`."""
    room = family.split(".", maxsplit=1)[0]
    own = [path for name in (room, room.split("_")[0]) if (path := ROOT / f"tests/models/test_{name}.py").exists()]
    return (failing(family, own[0]) if own else []) or failing(family, ROOT / "tests/models")


def failing(family: str, tests: Path) -> list[str]:
    """Those of `tests` that fail without `family`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--without", family, "-k", "not golden", str(tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)
    return [line.removeprefix("FAILED ").split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]


def main(asked: list[str]) -> int:
    """Print the table."""
    missed = 0
    print(f"{'family':32} {'noticed by':>10}  first")
    for family in asked or families():
        tests = noticed_by(family)
        missed += not tests
        print(f"{family:32} {len(tests):10}  {tests[0] if tests else 'NOTHING NOTICES'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
