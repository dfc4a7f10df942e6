"""Bench: how much of its time the product spends beside the solver, and how it stands beside others. `make bench`.

Every step runs in a process of its own (`tests.bench.steps`), the small sizes first, and its ratios (`tests.bench.ratios`) are printed
as they are known. A run of all sizes writes `bench.json` at the end; one that is interrupted prints what it has. An optimum that is not
the rivals' fails the run.

    python -m tests.bench.bench [--quick] [--size SIZE ...] [--soak N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.ratios import GOALS, RATIOS, WALL_GOALS_S, Results, Step, limited, steps

ROOT = Path(__file__).parents[2]
EVERY = ("S", "M", "M-scarce", "M-negative", "L", "L-uniform", "XL")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A dot product of 10,000 numbers wakes the threads of numpy's library, which then wait busily: as much as all else on S."""
PEERS = Step("peers", "288 x 200", 60.0)
QUICK = [*(Step(step, "S", 30.0) for step in ("ours", "arrays", "plain", "stock")), PEERS]
QUICK += [Step("memory_ours", "S", 1.0), Step("memory_stock", "S", 1.0), Step("ours", "M", 60.0), Step("arrays", "M", 60.0)]


def main() -> int:
    """0: all is well, 1: an optimum is not the same or a soak failed, 130: interrupted."""
    parser = argparse.ArgumentParser(prog="bench", description="Ratios of the product's times and memory to the solver's, arrays' and rivals'.")
    parser.add_argument("--quick", action="store_true", help="S, and the product alone on M; bench.json stays as it is")
    parser.add_argument("--size", nargs="+", choices=EVERY, help="these only; bench.json stays as it is")
    parser.add_argument("--soak", type=int, metavar="N", help="solve N small programs in one process instead, and watch its memory")
    asked = parser.parse_args()
    if asked.soak:
        return subprocess.call([sys.executable, "-m", "tests.bench.soak", str(asked.soak)], cwd=ROOT)
    plan = QUICK if asked.quick else [step for size in asked.size or EVERY for step in steps(size)]
    plan = plan if asked.quick or asked.size else [*steps("S"), PEERS, *plan[len(steps("S")) :]]
    results = Results()
    try:
        for at, step in enumerate(plan, start=1):
            _measure(limited(step, results), results, f"{at}/{len(plan)}")
    except KeyboardInterrupt:
        print("\ninterrupted")
        _table(results)
        return 130
    _table(results)
    if not asked.quick and not asked.size:
        _write(results.as_json())
    return 1 if results.wrong else 0


def _measure(step: Step, results: Results, at: str) -> None:
    print(f"{at:>6}  {step.size:<10} {step.name} ...", end="", flush=True)
    began = time.perf_counter()
    told = results.add(step, _ran(step))
    print(f" {time.perf_counter() - began:.0f} s")
    for name, value, said in told:
        print(f"        {'':<10} {name:<20} {_shown(value):>8}   {said}")


def _ran(step: Step) -> dict[str, Any]:
    """What a step says in a process of its own; `why` where it ends before it has said all."""
    at_most_s = 600.0 + 4 * step.budget_s
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as faults:
        command = [sys.executable, "-m", "tests.bench.steps", step.name, step.size, str(step.budget_s)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=faults, env=os.environ | ONE_THREAD)
        try:
            status = child.wait(at_most_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        faults.seek(0)
        found: dict[str, Any] = {}
        for line in said:
            if line.startswith("{"):
                found |= json.loads(line)
        if status is None:
            found["why"] = f"not done in {at_most_s:.0f} s"
        elif status:
            found["why"] = (faults.read().strip().splitlines() or [f"ended with status {status}"])[-1]
        return found


def _table(results: Results) -> None:
    sizes = [size for size in (*EVERY, PEERS.size) if any(size in results.ratio[name] for name in RATIOS)]
    print(f"\n{'':<22}{''.join(f'{size:>12}' for size in sizes)}   goal")
    for name in RATIOS:
        cells = "".join(f"{_shown(results.ratio[name][size]) if size in results.ratio[name] else '':>12}" for size in sizes)
        sign = ">=" if name == "stock_over_ours" else "<="
        print(f"{name:<22}{cells}   {sign} {', '.join(f'{size} {goal:g}' for size, goal in GOALS[name].items())}")
    if "XL" in results.found:
        wall = ", ".join(f"{what} {_shown(s)} s (goal {WALL_GOALS_S[what]:g})" for what, s in results.wall_s.items())
        print(f"100,000 GPUs, wall    {wall}")
    for note in results.notes:
        print(f"not measured: {note}")
    for fault in results.wrong:
        print(f"WRONG: {fault}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _write(found: dict[str, Any]) -> None:
    """All of it or nothing, whenever it is interrupted."""
    partial = ROOT / "bench.json.part"
    partial.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(ROOT / "bench.json")
    print("written: bench.json")


if __name__ == "__main__":
    sys.exit(main())
