"""Mutants: make each mistake of the tables in a copy of the tree, and see that its tests notice.

    python -m tests.mutants.run [--at-once 2] [WORD ...]

runs those whose file or mistake has one of the words in it, all of them without any, and prints a line each: caught, survived or, where
its tests could not be run at all, broken; then how long it took. All tests that are named are run on the unharmed copy first. Exit
code 1 unless every mutant was caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.mutants import commanding, guarding, judging, keeping, obeying, sending
from tests.mutants.mutant import ROOT, Mutant

MUTANTS: tuple[Mutant, ...] = (*judging.MUTANTS, *commanding.MUTANTS, *sending.MUTANTS, *guarding.MUTANTS, *keeping.MUTANTS, *obeying.MUTANTS)
LONGEST_S = 300.0
FAILED = 1
"""What pytest ends with where tests ran and some failed."""


def copied(place: Path) -> Path:
    """A copy of every file that git knows or would add, with its modules compiled so that a changed one is compiled anew."""
    told = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, told.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "facility", "models"]
    subprocess.run(compiled, cwd=place, check=True)
    return place


def ended(place: Path, tests: Sequence[str]) -> tuple[int, str]:
    """How pytest ended in a copy, 0 where all `tests` passed, and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    seen = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=place, env=seen, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return -1, f"its tests did not end in {LONGEST_S:g} s"
    return done.returncode, done.stdout + done.stderr


@contextmanager
def mistaken(place: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with the mistake in it, as long as the context lasts."""
    file, right = place / mutant.file, (place / mutant.file).read_text(encoding="utf-8")
    file.write_text(mutant.made(place), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(right, encoding="utf-8")


def judged(mutant: Mutant, copies: Queue[Path]) -> tuple[str, float, str]:
    """`caught`, `survived` or `broken`; how long its tests took, s; and the test that noticed, or what pytest said."""
    place, began = copies.get(), time.monotonic()
    try:
        with mistaken(place, mutant):
            code, said = ended(place, mutant.tests)
    finally:
        copies.put(place)
    took_s = time.monotonic() - began
    if code == FAILED:
        first = next((line for line in said.splitlines() if line.startswith(("FAILED tests", "ERROR tests"))), "")
        return "caught", took_s, first.split(" - ")[0].rpartition("::")[2]
    return ("survived" if code == 0 else "broken"), took_s, " ".join(said.split())[-300:]


def main(argv: Sequence[str]) -> int:
    """Print the table."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutants.run")
    asked.add_argument("--at-once", type=int, default=2)
    asked.add_argument("words", nargs="*")
    given, began = asked.parse_args(argv), time.monotonic()
    chosen = [m for m in MUTANTS if not given.words or any(word in f"{m.file} {m.mistake}" for word in given.words)]
    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(given.at_once) as pool:
        copies: Queue[Path] = Queue()
        for i in range(given.at_once):
            copies.put(copied(Path(folder, str(i))))
        first = copies.get()
        code, said = ended(first, sorted({test for mutant in chosen for test in mutant.tests}))
        if code:
            print(f"{said}\nnot all tests are green without any mistake", file=sys.stderr)
            return 1
        copies.put(first)
        print(f"{'':9} {'s':>5}  {'mistake':76} noticed by")
        missed = 0
        for mutant, (how, took_s, by) in zip(chosen, pool.map(lambda m: judged(m, copies), chosen), strict=True):
            missed += how != "caught"
            print(f"{how:9} {took_s:5.1f}  {mutant.mistake:76} {by}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mistakes are noticed, in {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
