"""`facility compare A B`: two plans told apart in words and numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from facility.limits import rounded
from facility.report.compare import compare, read

FINE = 0
MOST_LINES = 10


def run_compare(a: Path, b: Path, *, as_json: bool) -> int:
    """Tell how plan `b` differs from plan `a`; 0 whatever the difference."""
    found = compare(read(a), read(b))
    if as_json:
        print(json.dumps(found, indent=2, allow_nan=False))
        return FINE
    console = Console()
    console.print(f"{found['site']}: A is {a}, B is {b}", highlight=False, markup=False, soft_wrap=True)
    table = Table(show_edge=False)
    table.add_column("")
    for column in ("A", "B", "B - A"):
        table.add_column(column, justify="right")
    for row in [*found["figures"], *found["costs"]]:
        name = re.sub(r"_(kwh|kw|kg|pct|gpu_h)$", "", row["name"]).replace("_", " ")
        label = f"{name}{', ' if row['unit'] else ''}{row['unit']}"
        table.add_row(f"cost: {label}" if row in found["costs"] else label, *(_number(row[key]) for key in ("a", "b", "change")))
    console.print(table)
    for sentence in sentences(found):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    return FINE


def sentences(found: dict[str, Any]) -> Iterator[str]:
    """What `compare` found, in words; long lists are cut after their first lines."""
    if not found["same_span"]:
        spans = [f"{start} to {end}" for start, end in found["spans"]]
        yield f"the spans differ, A {spans[0]}, B {spans[1]}: sums are told per hour, jobs and caps where both have them"
    if found["status"][0] != found["status"][1]:
        yield f"status: {found['status'][0]} in A, {found['status'][1]} in B"
    for key, says in (("new", "only in B"), ("gone", "only in A"), ("changed", "in both")):
        for breach in found["breaches"][key]:
            yield f"breach {says}: {breach['family']} of {breach['asset']}, {rounded(breach['a'])} in A, {rounded(breach['b'])} {breach['unit']} in B"
    if (jobs := found["jobs"]) is not None:
        yield from _cut([_moved(job) for job in jobs["moved"]], f"of {jobs['both']} jobs {len(jobs['moved'])} run at another time")
        for key, says in (("only_in_a", "A"), ("only_in_b", "B")):
            yield from _cut([], f"{len(jobs[key])} jobs are in {says} only") if jobs[key] else ()
    for cap in (found["caps"] or [])[:MOST_LINES]:
        yield (
            f"caps of {cap['pool']}: {cap['mean_a_w']:.0f} W on average in A, {cap['mean_b_w']:.0f} W in B; most at {cap['most_at']}, "
            f"{cap['most_a_w']:.0f} and {cap['most_b_w']:.0f} W"
        )
    for key, says in (("only_in_a", "A"), ("only_in_b", "B")):
        for assumption in found["assumed"][key]:
            yield f"assumed in {says} only: {assumption}"


def _moved(job: dict[str, Any]) -> str:
    start, finish = job["start_later_h"], job["finish_later_h"]
    if start is None and job["start_a"] != job["start_b"]:
        return f"  {job['job']}: {'does not run' if job['start_a'] else 'runs'} in B"
    if finish is None and job["finish_a"] != job["finish_b"]:
        return f"  {job['job']}: {'does not finish' if job['finish_a'] else 'finishes'} in B"
    parts = [f"{what} {abs(h):.2f} h {'later' if h > 0 else 'earlier'}" for what, h in (("starts", start), ("finishes", finish)) if h]
    return f"  {job['job']}: {' and '.join(parts)}"


def _cut(lines: list[str], head: str) -> Iterator[str]:
    yield head
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"  ... and {len(lines) - MOST_LINES} more (--json lists them all)"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}" if abs(value) < 10 else f"{value:,.1f}"
