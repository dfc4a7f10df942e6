"""Ratios: what the steps of a run come to, each beside its goal; which steps a size needs, and how long each may take.

| ratio                | over                                                                                                        |
|----------------------|-------------------------------------------------------------------------------------------------------------|
| cold_over_run        | declare, compile, pass, solve with ladder rows and certificates, read / the HiGHS runs inside it            |
| overhead_over_arrays | the same without the runs / arrays by hand, pass, read: no ladder rows, no certificate, no check of a number |
| rolling_over_cold    | all of the re-solve one step later / the HiGHS runs of the cold solve                                       |
| stock_over_ours      | Pyomo expands, appsi_highs solves, without any ladder row / all of our re-solve                              |
| rss_over_appsi       | peak memory, ours / Pyomo's and appsi's                                                                     |
| certificate_share    | certificates / all of the re-solve                                                                          |
| exact_over_stock     | all of our cold solve / the better of simplex and ipm with every ladder row                                 |
| peers_over_arrays    | ours / arrays by hand, on the problem of `tests.bench.peers`                                                |

Times are CPU seconds of one thread, but for `site_100k_wall_s`. A rival that was stopped makes its ratio a bound, which is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GOALS = {
    "cold_over_run": {"M": 1.2, "L": 1.1},
    "overhead_over_arrays": {"M": 1.5, "L": 1.5},
    "rolling_over_cold": {"M": 0.30, "L": 0.30},
    "stock_over_ours": {"M": 20.0, "L": 15.0},
    "rss_over_appsi": {"L-uniform": 0.33},
    "certificate_share": {"S": 0.05, "M": 0.05, "L": 0.05},
    "exact_over_stock": {"M": 0.25, "L": 0.40},
    "peers_over_arrays": {"288 x 200": 1.5},
}
"""At most this, or for `stock_over_ours` at least."""
WALL_GOALS_S = {"rolling": 20.0, "cold": 300.0}
RATIOS = tuple(GOALS)
SAME = 1e-7
"""Objectives of the same program differ by no more than this, relative."""


@dataclass
class Step:
    """`name` on `size`: stops by itself after `budget_s` seconds of solving, and is stopped some time after."""

    name: str
    size: str
    budget_s: float


@dataclass
class Results:
    """All that was measured, by size and step, and the ratios it comes to; `notes` say what is a bound, or missing, and why."""

    found: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    ratio: dict[str, dict[str, float | None]] = field(default_factory=lambda: {name: {} for name in RATIOS})
    wall_s: dict[str, float | None] = field(default_factory=lambda: {"rolling": None, "cold": None})
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, step: Step, found: dict[str, Any]) -> list[tuple[str, float | None, str]]:
        """Take in what a step found; the ratios it makes known, each with what must be said of it."""
        mine = self.found.setdefault(step.size, {})
        mine[step.name] = found
        if "why" in found:
            self.notes.append(f"{step.size}, {step.name}: {found['why']}")
        told = {
            "ours": lambda: _of_ours(step.size, found),
            "arrays": lambda: [("overhead_over_arrays", _over(mine["ours"], "but_run_s", found, "but_run_s"), _parts(mine["ours"]))],
            "plain": lambda: _of_plain(mine["ours"], found),
            "stock": lambda: _of_stock(mine["ours"], found),
            "memory_ours": list,
            "memory_stock": lambda: [("rss_over_appsi", _over(mine["memory_ours"], "peak_mib", found, "peak_mib"), "")],
            "peers": lambda: [("peers_over_arrays", _over(found, "ours_s", found, "arrays_s"), _others(found))],
        }[step.name]()
        for name, value, _ in told:
            self.ratio[name][step.size] = value
        if step.size == "XL" and step.name == "ours":
            self.wall_s = {"rolling": found.get("rolling_wall_s"), "cold": found.get("wall_s")}
        self._compare(step, mine)
        return told

    def as_json(self) -> dict[str, Any]:
        """What `bench.json` holds."""
        return {**self.ratio, "site_100k_wall_s": self.wall_s}

    def _compare(self, step: Step, mine: dict[str, dict[str, Any]]) -> None:
        """Ours against the least that a rival claims; one without ladder rows may only be lower, and that where we needed some."""
        ours = mine.get("ours", {})
        found = mine[step.name]
        if step.name == "plain":
            self._same(step, ours.get("objective"), [found.get("ipm_objective"), found.get("simplex_objective")])
        elif step.name == "peers":
            self._same(step, found.get("ours_objective"), [found.get(f"{way}_objective") for way in ("arrays", "pyomo", "linopy")])
        elif step.name == "stock":
            mine_, theirs = ours.get("rolling_objective"), found.get("stock_objective")
            if mine_ is not None and theirs is not None and ours["rolling_ladder_rows"] and theirs <= mine_ * (1 + SAME):
                return
            self._same(step, mine_, [theirs])

    def _same(self, step: Step, ours: float | None, theirs: list[float | None]) -> None:
        known = [value for value in theirs if value is not None]
        if ours is not None and known and abs(ours - min(known)) > SAME * max(1.0, abs(ours)):
            self.wrong.append(f"{step.size}, {step.name}: our optimum is {ours!r}, theirs {min(known)!r}")


def steps(size: str) -> list[Step]:
    """What is measured on a size, in order."""
    name, _, kind = size.partition("-")
    budget_s = {"S": 60.0, "M": 120.0, "L": 300.0, "XL": 600.0}[name]
    if kind == "uniform":
        return [Step("memory_ours", size, 1.0), Step("memory_stock", size, 1.0)]
    if name == "XL":
        return [Step("ours", size, budget_s)]
    if kind:
        return [Step("ours", size, budget_s), Step("plain", size, budget_s)]
    return [Step(step, size, budget_s) for step in ("ours", "arrays", "plain", "stock")]


def limited(step: Step, results: Results) -> Step:
    """The step, its budget so many times what we took: a rival that is not done by then need not end to be slower than the goal asks."""
    ours = results.found.get(step.size, {}).get("ours", {})
    times, key = {"plain": (6, "wall_s"), "stock": (25, "rolling_wall_s")}.get(step.name, (0, ""))
    return Step(step.name, step.size, max(30.0, times * ours[key])) if key in ours else step


def _of_ours(size: str, found: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    told = [
        ("cold_over_run", _over(found, "cpu_s", found, "run_s"), f"{found.get('columns', '?')} columns, {found.get('ladder_rows', '?')} ladder rows"),
        ("certificate_share", _over(found, "rolling_certificate_s", found, "rolling_cpu_s"), ""),
    ]
    # a site of XL is not solved cold a second time only for this
    return [*told, ("rolling_over_cold", _over(found, "rolling_cpu_s", found, "run_s" if size == "XL" else "later_run_s"), "")]


def _of_plain(ours: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    done = {m: found[f"{m}_s"] for m in ("ipm", "simplex") if found.get(f"{m}_objective") is not None}
    stopped = {m: found[f"{m}_s"] for m in ("ipm", "simplex") if f"{m}_s" in found and m not in done}
    if not done and not stopped:
        return [("exact_over_stock", None, "")]
    best = min(done or stopped, key=lambda m: (done or stopped)[m])
    seconds = (done or stopped)[best]
    said = f"{best} is the better" if done else "both were stopped: at most"
    return [("exact_over_stock", ours["cpu_s"] / seconds if "cpu_s" in ours else None, said)]


def _of_stock(ours: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    said = "it was stopped: at least" if "stock_s" in found and found["stock_objective"] is None else ""
    return [("stock_over_ours", _over(found, "stock_s", ours, "rolling_cpu_s"), said)]


def _parts(ours: dict[str, Any]) -> str:
    """Where the time beside the runs goes."""
    if "but_run_s" not in ours:
        return ""
    return ", ".join(f"{100 * ours[f'{part}_s'] / ours['but_run_s']:.0f} % to {part}" for part in ("declare", "compile")) + (
        f", {100 * ours['certificate_s'] / ours['but_run_s']:.0f} % the certificates"
    )


def _others(found: dict[str, Any]) -> str:
    ways = [f"{way} {found[f'{way}_s'] / found['arrays_s']:.3g}" for way in ("pyomo", "linopy") if f"{way}_s" in found]
    return ", ".join(ways + ([] if "linopy_s" in found else ["linopy is not installed"]))


def _over(one: dict[str, Any], key: str, other: dict[str, Any], other_key: str) -> float | None:
    return one[key] / other[other_key] if key in one and other_key in other else None
