"""First step: what is sent is in force at once, and so limits hold there at every moment, not as a mean.

A job that finishes inside the first step, or an elastic one whose GPUs the program counted in part, runs at first on all the
GPUs it is sent. Where that is more than a feeder or the grid allows, the program is solved again with so much less there, and
mostly a battery charges a little less; where that does not do, the jobs that run for the smallest part of the step give way: an
elastic one to the whole GPUs it had, then to lower caps for longer, then by waiting. A job that arrives later in the step draws nothing at
first, so that more may flow back up than on average: then less is generated. The program is then solved again around both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.account import account
from models.breach import TINY
from models.power.redundancy import left_kw
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.cell import SNAP, Cell
from models.sending.room import Room
from models.solving.session import Session
from models.solving.settle import is_owed
from models.sparse import sp
from models.work.job import Job

MORE = 1.001
"""What flows back, or is drawn, is held back by a hair more than is too much."""
Cells = dict[int, list[Cell]]
TooMuch = list[tuple[tuple[str, ...], float]]
"""Feeders, and by how much all of them together carry too much, kW."""


@dataclass(frozen=True)
class GaveWay:
    """What gave way in the first step, by workload: what it has now, None where it waits; and what was `too_much` before."""

    cells: Mapping[int, Cell | None]
    too_much: TooMuch

    def __bool__(self) -> bool:
        return bool(self.cells)


def started(problem: Problem, groups: Groups) -> dict[int, int]:
    """Which workloads of `groups` are sent GPUs at once, and how many, by index.

    Jobs that share GPUs inside the first step take turns: one in its minimum run goes first, then the earlier in the problem's
    order, and the others wait for it.
    """
    free = {p.id: int(p.available[0] - problem.idle_kept(p.id)[0]) for p in problem.pools}
    needed: dict[int, int] = {}
    for w, count in zip(groups.w[groups.t == 0].tolist(), groups.count[groups.t == 0].tolist(), strict=True):
        needed[w] = needed.get(w, 0) + count
    sent: dict[int, int] = {}
    for w, gpus in sorted(needed.items(), key=lambda item: (not is_owed(problem, item[0]), item[0])):
        load = problem.workloads[w]
        if isinstance(load, Job) and (load.arrival_h > 0 or gpus > free[load.pool]):
            continue
        free[load.pool] -= gpus
        sent[w] = gpus
    return sent


def at_once(problem: Problem, schedule: Schedule) -> Schedule:
    """`schedule` with what is sent running through the first step, and what is not, not."""
    groups, sent = schedule.groups, started(problem, schedule.groups)
    runs = np.array([w in sent for w in groups.w.tolist()], float)
    return replace(schedule, groups=replace(groups, share=np.where(groups.t == 0, runs, groups.share)))


def fits_at_once(problem: Problem, schedule: Schedule) -> bool:
    """Whether what is sent is at once no further over a limit than `schedule` is on average, and gives nothing back that it may not."""
    roots_kw = account(problem, schedule).feeder_kw[problem.at_grid > 0, 0]
    if flows_back(problem, schedule) or (not problem.grid.may_export and (roots_kw < -TINY).any()):
        return False
    return Room(problem, at_once(problem, schedule), at_once=True).holds_now(Room(problem, schedule))


def flows_back(problem: Problem, schedule: Schedule) -> TooMuch:
    """What flows back at once beyond a limit, and beyond what does on average: feeders, and by how much it is too much, kW."""
    if not any(problem.may_return(f) for f in problem.feeders):
        return []
    names = [f.id for f in problem.feeders]
    roots = [root.id for root in problem.roots]
    watched: list[tuple[tuple[str, ...], float]] = [((f.id,), f.rating_kw) for f in problem.feeders]
    watched += [(group.feeders, left_kw(group, problem.feeders)[0]) for group in problem.redundancies]
    watched += [(tuple(roots), problem.grid.export_limit_kw)] if problem.grid.may_export else [((root,), 0.0) for root in roots]
    once, mean = (dict(zip(names, account(problem, s).feeder_kw[:, 0], strict=True)) for s in (at_once(problem, schedule), schedule))
    found: TooMuch = []
    for feeders, limit_kw in watched:
        at_first, on_average = (float(sum(kw[f] for f in feeders)) for kw in (once, mean))
        if at_first < min(-limit_kw, on_average) - SNAP:
            found.append((feeders, -limit_kw - at_first))
    return found


def drawn_beyond(problem: Problem, schedule: Schedule) -> TooMuch:
    """What is drawn at once beyond a limit of feeders or of the grid, and beyond what is on average."""
    states = account(problem, at_once(problem, schedule)), account(problem, schedule)
    once, mean = (dict(zip([f.id for f in problem.feeders], (s.feeder_kw + s.uncertain_kw)[:, 0], strict=True)) for s in states)
    watched: list[tuple[tuple[str, ...], float]] = [((f.id,), f.rating_kw) for f in problem.feeders]
    watched += [(group.feeders, left_kw(group, problem.feeders)[0]) for group in problem.redundancies]
    watched += [((feed.feeder,), feed.limit_kw) for feed in problem.feeds]
    watched.append((tuple(root.id for root in problem.roots), problem.grid.most_kw[0]))
    found: TooMuch = []
    for feeders, limit_kw in watched:
        at_first, on_average = (float(sum(kw[f] for f in feeders)) for kw in (once, mean))
        if at_first > max(limit_kw, on_average) + SNAP:
            found.append((feeders, at_first - max(limit_kw, on_average)))
    return found


def lower(session: Session, too_much: TooMuch) -> range:
    """Let feeders draw so much less in the first step than in the solution that `session` holds as is too much; the rows that say so."""
    model = session.model
    loads = [[model.feeder[f].load_kw[0] for f in feeders] for feeders, _ in too_much]
    most_kw = [float(session.values_of(mine).sum()) - MORE * over_kw for mine, (_, over_kw) in zip(loads, too_much, strict=True)]
    return session.add_rows(sp.vstack([session.row([(load, -1.0) for load in mine]) for mine in loads], format="csr"), np.negative(most_kw))


def hold_back(session: Session, back: TooMuch) -> None:
    """Let feeders draw so much more in the first step than in the solution that `session` holds as is too much of what flows back."""
    model = session.model
    loads = [[model.feeder[f].load_kw[0] for f in feeders] for feeders, _ in back]
    least_kw = [float(session.values_of(mine).sum()) + MORE * over_kw for mine, (_, over_kw) in zip(loads, back, strict=True)]
    session.add_rows(sp.vstack([session.row([(load, 1.0) for load in mine]) for mine in loads], format="csr"), least_kw)


def fit(problem: Problem, cells: Cells, schedule_of: Callable[[Cells], Schedule]) -> tuple[Room, GaveWay]:
    """Let what is sent fit at once, in place, no further over a limit than the program is; the room that is left and what gave way."""
    mean = Room(problem, schedule_of(cells))
    gave: dict[int, Cell | None] = {}
    too_much: TooMuch = []

    def room() -> Room:
        return Room(problem, at_once(problem, schedule_of(cells)), at_once=True)

    left = room()
    for change in (_to_whole_gpus, _to_lower_caps, _to_waiting):
        for w, cell in list(_partial(problem, cells)):
            if left.holds_now(mean):
                return left.lesser(mean if not gave else Room(problem, schedule_of(cells))), GaveWay(gave, too_much)
            changed = change(problem, cell)
            if changed is not cell:
                too_much = too_much if gave else drawn_beyond(problem, schedule_of(cells))
                gave[w] = changed
                cells[w] = [c for c in (changed if c is cell else c for c in cells[w]) if c is not None]
                left = room()
    return left.lesser(mean if not gave else Room(problem, schedule_of(cells))), GaveWay(gave, too_much)


def keep(session: Session, problem: Problem, gave: GaveWay) -> None:
    """Let the program give what `gave` way no more of the first step than it has now; GPUs that run all through it may be raised."""
    model = session.model
    for w, cell in gave.cells.items():
        rungs = range(len(problem.cells.ladder(w, 0))) if problem.cells.share[w, 0] else []
        variables = [model.workload.gpus[w, k, 0] for k in rungs]
        most = [0.0 if cell is None else cell.share * (_at_least(cell, k) if cell.share < 1 else cell.count) for k in rungs]
        session.bound(variables, [0.0] * len(most), most)


def _at_least(cell: Cell, k: int) -> int:
    """GPUs of `cell` that are at rung `k` or higher, or within the settable step below it."""
    return sum(n for n, cap in cell.parts if cap + cell.ladder.host.power_step_w > cell.ladder.cap_w[k])


def _partial(problem: Problem, cells: Cells) -> Iterator[tuple[int, Cell]]:
    """What runs for a part of the first step only, the smallest part first, what is in its minimum run last."""
    first: Mapping[int, Cell] = {w: mine[0] for w, mine in cells.items() if mine and mine[0].t == 0}
    for w, cell in sorted(first.items(), key=lambda item: (is_owed(problem, item[0]), item[1].share)):
        load = problem.workloads[w]
        if load.may_pause and cell.share < 1 - SNAP and not (isinstance(load, Job) and load.arrival_h > 0):
            yield w, cell


def _most(problem: Problem, cell: Cell) -> float:
    """The share of the first step in which it may run."""
    return float(problem.cells.share[cell.w, 0]) if isinstance(problem.workloads[cell.w], Job) else 1.0


def _to_whole_gpus(problem: Problem, cell: Cell) -> Cell | None:
    """An elastic job on as many whole GPUs as it had on average."""
    load, most = problem.workloads[cell.w], _most(problem, cell)
    fewer = int(cell.count * cell.share / most + SNAP)
    if load.gang or not 0 < fewer < cell.count:
        return cell
    kept, parts = fewer, []
    for n, cap_w in cell.parts:
        parts.append((min(n, kept), cap_w))
        kept -= min(n, kept)
    longer = Cell(cell.w, cell.t, 1.0, [part for part in parts if part[0]], cell.ladder)
    return replace(longer, share=min(most, cell.share * cell.speed / longer.speed))


def _to_lower_caps(problem: Problem, cell: Cell) -> Cell | None:
    """The same GPUs at their most efficient point, as long as they need for the same work."""
    lowest = Cell(cell.w, cell.t, 1.0, [(cell.count, int(cell.ladder.cap_w[0]))], cell.ladder)
    if lowest.speed >= cell.speed or not lowest.speed:
        return cell
    return replace(lowest, share=min(_most(problem, cell), cell.share * cell.speed / lowest.speed))


def _to_waiting(problem: Problem, cell: Cell) -> Cell | None:
    """Nothing, unless it is ordered to run."""
    order = problem.workloads[cell.w].order
    return cell if order and order[0] == "run" else None
