"""Compare: two plans told apart, from what their folders say: costs, figures, jobs, caps, breaches and assumptions."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from facility.errors import Fault, InputError

Row = dict[str, str]

TOTALS = {
    "objective": None,
    "energy_kwh": "kWh",
    "energy_cost": None,
    "peak_cost": None,
    "carbon_kg": "kg",
    "job_work_gpu_h": "GPU h",
    "carried_cost": None,
}
"""Figures that grow with the span, and their units; None is money."""
LEVELS = {"peak_kw": "kW", "weighted_throughput": "", "saving_pct": "%"}
NEEDED = ("site", "start", "end", "currency", "breaches", "assumed", "energy_cost")
SAME = 1e-9
SHIFT_H = 1 / 3600
"""A job that moves by less than a second did not."""
REMEDY = "give a folder that `facility plan --out` wrote, or its summary.json"


@dataclass(frozen=True)
class Told:
    """What a plan's folder says; `jobs` by id and `caps` are None where only the summary is there."""

    name: str
    summary: dict[str, Any]
    jobs: dict[str, Row] | None
    caps: list[Row] | None

    @property
    def hours(self) -> float:
        """Length of the plan, h."""
        return (datetime.fromisoformat(self.summary["end"]) - datetime.fromisoformat(self.summary["start"])) / timedelta(hours=1)


def read(path: Path) -> Told:
    """What the plan at `path`, a folder or a summary.json, says; InputError where there is none."""
    file = path / "summary.json" if path.is_dir() else path
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        lacks = [key for key in NEEDED if key not in summary] if isinstance(summary, dict) else ["an object"]
        folder = file.parent
        jobs = {row["job_id"]: row for row in _rows(folder / "jobs.csv")} if (folder / "jobs.csv").exists() else None
        caps = _rows(folder / "caps.csv") if (folder / "caps.csv").exists() else None
    except OSError as error:
        raise InputError(Fault(str(path), f"no plan can be read there: {error.strerror}: {file.name}", REMEDY)) from None
    except (ValueError, KeyError) as error:
        raise InputError(Fault(str(path), f"is no plan: {error}", REMEDY)) from None
    if lacks:
        raise InputError(Fault(str(path), f"is no plan: {file.name} lacks {', '.join(lacks)}", REMEDY))
    return Told(str(path), summary, jobs, caps)


def compare(a: Told, b: Told) -> dict[str, Any]:
    """How `b` differs from `a`, in numbers; InputError where they are of different sites or currencies.

    Where their spans differ, figures that grow with the span are per hour.
    """
    for key, what in (("site", "different sites"), ("currency", "different currencies")):
        if a.summary[key] != b.summary[key]:
            found = f"are plans of {what}, {a.summary[key]} and {b.summary[key]}"
            raise InputError(Fault(f"{a.name} and {b.name}", found, "compare two plans of one site"))
    same = all(a.summary[key] == b.summary[key] for key in ("start", "end"))
    return {
        "a": a.name,
        "b": b.name,
        "site": a.summary["site"],
        "currency": a.summary["currency"],
        "same_span": same,
        "spans": [[told.summary["start"], told.summary["end"]] for told in (a, b)],
        "status": [told.summary.get("status") for told in (a, b)],
        "figures": list(_figures(a, b, same=same)),
        "costs": list(_costs(a, b, same=same)),
        "jobs": _jobs(a, b),
        "caps": _caps(a, b),
        "breaches": _breaches(a, b),
        "assumed": {
            "only_in_a": [x for x in a.summary["assumed"] if x not in b.summary["assumed"]],
            "only_in_b": [x for x in b.summary["assumed"] if x not in a.summary["assumed"]],
        },
    }


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _change(name: str, unit: str, one: float | None, other: float | None) -> dict[str, Any]:
    change = None if one is None or other is None else other - one
    return {"name": name, "unit": unit, "a": one, "b": other, "change": change}


def _figures(a: Told, b: Told, *, same: bool) -> Iterator[dict[str, Any]]:
    currency = a.summary["currency"]
    for name, unit in (TOTALS | LEVELS).items():
        one, other = a.summary.get(name), b.summary.get(name)
        each = "" if same or name in LEVELS else "/h"
        if each:
            one, other = (None if x is None else x / told.hours for x, told in ((one, a), (other, b)))
        if one is not None or other is not None:
            yield _change(name, (currency if unit is None else unit) + each, one, other)


def _costs(a: Told, b: Told, *, same: bool) -> Iterator[dict[str, Any]]:
    one, other = a.summary.get("costs", {}), b.summary.get("costs", {})
    by = (1.0, 1.0) if same else (a.hours, b.hours)
    for kind in dict.fromkeys([*one, *other]):
        told = _change(kind, a.summary["currency"] + ("" if same else "/h"), one.get(kind, 0.0) / by[0], other.get(kind, 0.0) / by[1])
        if abs(told["a"]) > SAME or abs(told["b"]) > SAME:
            yield told


def _jobs(a: Told, b: Told) -> dict[str, Any] | None:
    """Jobs that start or finish at another time, the farthest first, and those of one plan only; None without jobs.csv."""
    if a.jobs is None or b.jobs is None:
        return None
    both = a.jobs.keys() & b.jobs.keys()
    moved = [shift for job in sorted(both) if (shift := _shift(job, a.jobs[job], b.jobs[job])) is not None]
    return {
        "both": len(both),
        "moved": sorted(moved, key=lambda x: -max(abs(x["start_later_h"] or 0.0), abs(x["finish_later_h"] or 0.0))),
        "only_in_a": sorted(a.jobs.keys() - both),
        "only_in_b": sorted(b.jobs.keys() - both),
    }


def _shift(job: str, one: Row, other: Row) -> dict[str, Any] | None:
    """How much later a job starts and finishes in `other`, h, None where it does so in one plan only; None where neither differs."""
    later = {key: _later(one[key], other[key]) for key in ("start", "finish")}
    if all(bool(one[key]) == bool(other[key]) and abs(h or 0.0) <= SHIFT_H for key, h in later.items()):
        return None
    return {
        "job": job,
        **{f"{key}_{side}": row[key] or None for key in later for side, row in (("a", one), ("b", other))},
        **{f"{key}_later_h": h for key, h in later.items()},
        "done_more_gpu_h": float(other["done_gpu_h"]) - float(one["done_gpu_h"]),
    }


def _later(one: str, other: str) -> float | None:
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)) / timedelta(hours=1) if one and other else None


def _caps(a: Told, b: Told) -> list[dict[str, Any]] | None:
    """By pool, the mean cap of running GPUs in the steps of both, W, and where it differs most, the largest first."""
    if a.caps is None or b.caps is None:
        return None
    one, other = _mean_caps(a.caps), _mean_caps(b.caps)
    found = []
    for pool in sorted({pool for pool, _ in one.keys() & other.keys()}):
        times = sorted(at for p, at in one.keys() & other.keys() if p == pool)
        most = max(times, key=lambda at: abs(other[pool, at] - one[pool, at]))
        change = other[pool, most] - one[pool, most]
        mean_a, mean_b = (sum(caps[pool, at] for at in times) / len(times) for caps in (one, other))
        if abs(change) > SAME:
            means = {"mean_a_w": mean_a, "mean_b_w": mean_b}
            found.append({"pool": pool, **means, "most_at": most, "most_a_w": one[pool, most], "most_b_w": other[pool, most]})
    return sorted(found, key=lambda x: -abs(x["most_b_w"] - x["most_a_w"]))


def _mean_caps(rows: list[Row]) -> dict[tuple[str, str], float]:
    """Mean cap of the running GPUs by pool and step, W."""
    gpus: dict[tuple[str, str], float] = defaultdict(float)
    watts: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        key = row["pool"], row["time"]
        gpus[key] += float(row["gpus"])
        watts[key] += float(row["gpus"]) * float(row["cap_w"])
    return {key: watts[key] / n for key, n in gpus.items() if n > 0}


def _breaches(a: Told, b: Told) -> dict[str, list[dict[str, Any]]]:
    """Breaches by family and asset: those of B only, those of A only, and those of both whose amount differs."""
    one, other = (_amounts(told.summary["breaches"]) for told in (a, b))
    keys = {name: (family, asset) for name, (family, asset) in {f"{k[0]} of {k[1]}": k for k in one | other}.items()}

    def told(name: str) -> dict[str, Any]:
        family, asset = keys[name]
        unit = (one | other)[family, asset][1]
        amounts = {side: found.get((family, asset), (0.0, unit))[0] for side, found in (("a", one), ("b", other))}
        return {"family": family, "asset": asset, **amounts, "unit": unit}

    return {
        "new": [told(name) for name, key in keys.items() if key not in one],
        "gone": [told(name) for name, key in keys.items() if key not in other],
        "changed": [told(name) for name, key in keys.items() if key in one and key in other and abs(one[key][0] - other[key][0]) > SAME],
    }


def _amounts(breaches: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[float, str]]:
    """The largest amount of each family and asset, and its unit."""
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for breach in breaches:
        key = breach["family"], breach["asset"]
        found[key] = max(found.get(key, (0.0, breach["unit"])), (float(breach["amount"]), breach["unit"]))
    return found
