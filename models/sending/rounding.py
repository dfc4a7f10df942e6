"""Rounding: from a solution of the program to what can be sent.

A rigid job runs on all its GPUs or waits; inside a step it may start, pause or end once, so a fraction of a step is a time,
not a part of a gang. An elastic job, or a rental that may pause, runs on whole GPUs. Caps become multiples of the settable step, a watt, always
downwards: of n GPUs at a planned 250.4 W some get 251 W and the others 250 W, so that a workload gives away less than one
GPU's watt a step.

What a job lost that way it gets back where its limits leave room - by running longer in a step it shares, or by a watt more -
and the last step is then cut so that its work is met exactly, never exceeded. A rental gets back what lies below its floor.
"""

from __future__ import annotations

import numpy as np

from models.horizon import Floats
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.cell import SNAP, Cell, parts_of
from models.sending.room import Room
from models.work.job import Job
from models.work.workload import Workload


def round_down(problem: Problem, gpus: Floats) -> dict[int, list[Cell]]:
    """The sendable cells of each workload, nowhere above the program's own power; `gpus` has shape (W, K, T)."""
    index = problem.cells
    cells: dict[int, list[Cell]] = {w: [] for w in range(len(problem.workloads))}
    at_w, at_t = np.nonzero(gpus[:, 0, :] > SNAP)
    shares = gpus[at_w, :, at_t]  # in which a column is a rung
    raised = np.minimum.accumulate(np.clip(shares / shares[:, :1], 0.0, 1.0), axis=1)
    known: dict[tuple[int, int, bytes], list[tuple[int, int]]] = {}  # many steps are alike
    for w, t, running, higher in zip(at_w.tolist(), at_t.tolist(), shares[:, 0].tolist(), raised, strict=True):
        workload, ladder = problem.workloads[w], index.ladder(w, t)
        most = float(index.share[w, t]) if isinstance(workload, Job) else 1.0
        if isinstance(workload, Job) and not workload.elastic:
            count, share = workload.gpus, running / workload.gpus
        elif workload.may_pause:
            count = max(1, int(np.ceil(running / most - SNAP)))
            share = running / count
        else:
            count, share = round(running), 1.0
        if share >= most - 1e-6:
            share = most
        if count and share > SNAP:
            alike = count, id(ladder), higher.tobytes()
            if alike not in known:
                known[alike] = parts_of(count, ladder, higher[: len(ladder)])
            cells[w].append(Cell(w, t, share, list(known[alike]), ladder))
    return cells


def meet_floors(problem: Problem, cells: dict[int, list[Cell]], target_speed: Floats, room: Room) -> None:
    """Give firm workloads back what rounding took below their floors; `target_speed` by firm workload and step. In place."""
    for w, firm in enumerate(problem.firms):
        for i, cell in enumerate(cells[w]):
            mine = [cell]
            short = float(target_speed[w, cell.t]) - cell.share * cell.speed
            while short > SNAP and (gained := _raise_one(problem, firm, mine, room)) is not None:
                short -= gained / float(problem.horizon.h[cell.t])
            cells[w][i] = mine[0]


def meet_budgets(problem: Problem, cells: dict[int, list[Cell]], slow_h: Floats, room: Room) -> None:
    """Raise contracts anywhere in a window of which they would use more than is left, and than `slow_h`, shape (F, T). In place."""
    h, steps = problem.horizon.h, len(problem.horizon)
    for w, firm in enumerate(problem.firms):
        if firm.budget is None:
            continue
        demand = firm.demanded(steps)
        for window, left_h in zip(firm.budget.windows(), firm.budget.left_h, strict=True):
            most_h = max(left_h, float(slow_h[w, window.start : window.stop].sum()))
            mine = [cell for cell in cells[w] if cell.t in window]
            elsewhere = [cell for cell in cells[w] if cell.t not in window]
            while True:
                work = np.zeros(steps)
                for cell in mine:
                    work[cell.t] += float(h[cell.t]) * cell.share * cell.speed
                used_h = firm.budget.slow_h(demand, work, h)[window.start : window.stop].sum()
                if used_h <= most_h or _raise_one(problem, firm, mine, room) is None:
                    break
            cells[w] = sorted(elsewhere + mine, key=lambda cell: cell.t)


def meet_work(problem: Problem, cells: dict[int, list[Cell]], target_gpu_h: Floats, room: Room) -> None:
    """Give jobs back what rounding took, where `room` allows, and cut what is too much; `target_gpu_h` by job. In place."""
    h = problem.horizon.h
    for i, job in enumerate(problem.jobs):
        w = len(problem.firms) + i
        mine = cells[w]
        missing = float(target_gpu_h[i]) - sum(float(h[c.t]) * c.share * c.speed for c in mine)
        if missing > 0:
            missing = _extend(problem, job, mine, missing, room)
        while missing > 1e-12 * max(1.0, job.work_gpu_h):
            gained = _raise_one(problem, job, mine, room)
            if gained is None:
                missing = _run_elsewhere(problem, job, w, mine, missing, room)
                break
            missing -= gained
        _cut(problem, mine, sum(float(h[c.t]) * c.share * c.speed for c in mine) - job.work_gpu_h)


def schedule_of(cells: dict[int, list[Cell]], battery_kw: dict[str, Floats], hall_c: dict[str, Floats]) -> Schedule:
    """The schedule made of `cells`."""
    rows = [
        (cell.w, cell.t, n, cell.share, cap, draw, speed)
        for mine in cells.values()
        for cell in mine
        for n, cap, draw, speed in cell.points()
    ]
    return Schedule(Groups.of(rows), battery_kw, hall_c)


def _extend(problem: Problem, job: Job, mine: list[Cell], missing: float, room: Room) -> float:
    """Run longer in steps the job shares with nobody's limit; the work still missing, GPU h."""
    for cell in mine:
        most = float(problem.cells.share[cell.w, cell.t])
        if missing <= 0:
            break
        if cell.share < most and cell.speed > 0:
            longer = min(most - cell.share, missing / (float(problem.horizon.h[cell.t]) * cell.speed))
            if room.take(job.pool, cell.t, longer * cell.count, longer * cell.draw_kw, longer * cell.cap_kw):
                cell.share += longer
                missing -= longer * float(problem.horizon.h[cell.t]) * cell.speed
    return missing


def _raise_one(problem: Problem, load: Workload, mine: list[Cell], room: Room) -> float | None:
    """Give one GPU of one step a settable step more; the work gained (GPU h), or None where no limit leaves room."""
    for i, cell in enumerate(mine):
        higher = cell.raised()
        if higher is None:
            continue
        draw_kw, cap_kw = cell.counts * (higher.draw_kw - cell.draw_kw), cell.counts * (higher.cap_kw - cell.cap_kw)
        if room.take(load.pool, cell.t, 0.0, draw_kw, cap_kw):
            mine[i] = higher
            return float(problem.horizon.h[cell.t]) * cell.share * (higher.speed - cell.speed)
    return None


def _run_elsewhere(problem: Problem, job: Job, w: int, mine: list[Cell], missing: float, room: Room) -> float:
    """Run for a moment in a later step the job has to itself, at the first rung; the work still missing, GPU h."""
    index, taken = problem.cells, {cell.t for cell in mine}
    steps = [t for t in np.flatnonzero(index.share[w] > SNAP).tolist() if t and t not in taken]
    if job.min_run_h > 0:  # beside a run, or as the last
        steps = [t for t in steps if taken & {t - 1, t + 1} or t > max(taken, default=-1)]
    if job.pause_price_per_gpu > 0:
        steps.sort(key=lambda t: not taken & {t - 1, t + 1})
    for t in steps:
        ladder = index.ladder(w, t)
        cell = Cell(w, t, 0.0, [(job.gpus, int(ladder.cap_w[0]))], ladder)
        cell.share = min(float(index.share[w, t]), missing / (float(problem.horizon.h[t]) * cell.speed))
        if room.take(job.pool, t, cell.share * cell.count, cell.share * cell.draw_kw, cell.share * cell.cap_kw):
            mine.append(cell)
            mine.sort(key=lambda c: c.t)
            missing -= float(problem.horizon.h[t]) * cell.share * cell.speed
        if missing <= 0:
            break
    return missing


def _cut(problem: Problem, mine: list[Cell], surplus: float) -> None:
    """End earlier by `surplus` GPU hours of work."""
    while surplus > 0 and mine:
        last = mine[-1]
        rate = float(problem.horizon.h[last.t]) * last.speed
        if rate * last.share > surplus:
            last.share -= surplus / rate
            return
        surplus -= rate * last.share
        mine.pop()
