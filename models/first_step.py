"""First step: what is sent is in force at once, and so limits hold there at every moment, not as a mean.

A job that finishes inside the first step, or an elastic one whose GPUs the program counted in part, runs at first on all the
GPUs it is sent. Where that is more than a limit allows, the jobs that run for the smallest part of the step give way: an elastic
one to the whole GPUs it had, then to lower caps for longer, then by waiting. What that costs them is given back elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from models.job import Job
from models.rounding import SNAP, Cell, Room
from models.schedule import Schedule
from models.site import Problem

Cells = dict[int, list[Cell]]


def at_once(problem: Problem, schedule: Schedule) -> Schedule:
    """`schedule` with all that runs at the start of the first step running through it."""
    groups = schedule.groups
    begins = np.array([not isinstance(w, Job) or w.arrival_h <= 0 for w in problem.workloads], bool)
    now = (groups.t == 0) & begins[groups.w] if len(groups) else np.zeros(0, bool)
    return replace(schedule, groups=replace(groups, share=np.where(now, 1.0, groups.share)))


def fits_at_once(problem: Problem, schedule: Schedule) -> bool:
    """Whether what is sent is no further over a limit at once than `schedule` is on average."""
    return Room(problem, at_once(problem, schedule)).holds_now(Room(problem, schedule))


def fit(problem: Problem, cells: Cells, schedule_of: Callable[[Cells], Schedule]) -> Room:
    """Let what is sent fit at once, in place, no further over a limit than the program is; the room that is left beside it."""
    mean = Room(problem, schedule_of(cells))

    def room() -> Room:
        return Room(problem, at_once(problem, schedule_of(cells)))

    left = room()
    if left.holds_now(mean):
        return left.lesser(mean)
    for change in (_to_whole_gpus, _to_lower_caps, _to_waiting):
        for w, cell in _partial(problem, cells):
            changed = change(problem, cell)
            if changed is cell:
                continue
            cells[w] = [c for c in (changed if c is cell else c for c in cells[w]) if c is not None]
            left = room()
            if left.holds_now(mean):
                return left.lesser(Room(problem, schedule_of(cells)))
    return left.lesser(Room(problem, schedule_of(cells)))


def _partial(problem: Problem, cells: Cells) -> Iterator[tuple[int, Cell]]:
    """What runs for a part of the first step only, the smallest part first."""
    first: Mapping[int, Cell] = {w: mine[0] for w, mine in cells.items() if mine and mine[0].t == 0}
    for w, cell in sorted(first.items(), key=lambda item: item[1].share):
        load = problem.workloads[w]
        if load.may_pause and cell.share < 1 - SNAP and not (isinstance(load, Job) and load.arrival_h > 0):
            yield w, cell


def _to_whole_gpus(problem: Problem, cell: Cell) -> Cell | None:
    """An elastic job on as many whole GPUs as it had on average."""
    load = problem.workloads[cell.w]
    fewer = int(cell.count * cell.share + SNAP)
    if load.gang or not 0 < fewer < cell.count:
        return cell
    kept, parts = fewer, []
    for n, cap_w in cell.parts:
        parts.append((min(n, kept), cap_w))
        kept -= min(n, kept)
    longer = Cell(cell.w, cell.t, 1.0, [part for part in parts if part[0]], cell.ladder)
    return replace(longer, share=min(1.0, cell.share * cell.speed / longer.speed))


def _to_lower_caps(_: Problem, cell: Cell) -> Cell | None:
    """The same GPUs at their most efficient point, as long as they need for the same work."""
    lowest = Cell(cell.w, cell.t, 1.0, [(cell.count, int(cell.ladder.cap_w[0]))], cell.ladder)
    if lowest.speed >= cell.speed or not lowest.speed:
        return cell
    return replace(lowest, share=min(1.0, cell.share * cell.speed / lowest.speed))


def _to_waiting(problem: Problem, cell: Cell) -> Cell | None:
    """Nothing, unless it is ordered to run."""
    order = problem.workloads[cell.w].order
    return cell if order and order[0] == "run" else None
