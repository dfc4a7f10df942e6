"""Rounding: from a solution of the program to what can be sent.

A rigid job runs on all its GPUs or waits; inside a step it may start, pause or end once, so a fraction of a step is a time,
not a part of a gang. An elastic job runs on whole GPUs. Caps become integer watts, always downwards: of n GPUs at a planned
250.4 W some get 251 W and the others 250 W, so that a workload gives away less than one GPU's watt a step.

What a job lost that way it gets back where its limits leave room - by running longer in a step it shares, or by a watt more -
and the last step is then cut so that its work is met exactly, never exceeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.account import Account, account
from models.gpu import Ladder
from models.horizon import Floats
from models.job import Job
from models.pool import Pool
from models.schedule import Groups, Schedule
from models.site import Problem

SNAP = 1e-7
MARGIN = 1.02
"""Room is taken with this much to spare, for cooling power is not quite straight."""


@dataclass
class Cell:
    """One workload in one step: `parts` are (GPUs, cap W); the workload runs for `share` of the step."""

    w: int
    t: int
    share: float
    parts: list[tuple[int, int]]
    ladder: Ladder

    def points(self) -> list[tuple[int, int, float, float]]:
        """(GPUs, cap W, draw W, speed) of each part."""
        return [(n, cap, *self._at(cap)) for n, cap in self.parts if n]

    def _at(self, cap: int) -> tuple[float, float]:
        return self.ladder.curve.at(cap)

    @property
    def speed(self) -> float:
        """Sum of the speeds of its GPUs while it runs."""
        return sum(n * speed for n, _, _, speed in self.points())

    @property
    def count(self) -> int:
        """GPUs it runs on."""
        return sum(n for n, _ in self.parts)

    @property
    def draw_kw(self) -> float:
        """What it adds over idle GPUs while it runs, kW."""
        return sum(n * self.ladder.host.extra_w(draw) for n, _, draw, _ in self.points()) / 1000

    @property
    def cap_kw(self) -> float:
        """Sum of its caps, kW."""
        return sum(n * cap for n, cap in self.parts) / 1000

    def raised(self) -> Cell | None:
        """The same cell with one more watt on one GPU, or None at the top of its ladder or on a gap in it."""
        ladder = self.ladder
        for i, (n, cap) in enumerate(self.parts):
            at = int(np.searchsorted(ladder.cap_w, cap + 1 - SNAP))
            if n and at < len(ladder) and ladder.joined[at]:
                parts = [*self.parts[:i], (n - 1, cap), *self.parts[i + 1 :], (1, cap + 1)]
                return Cell(self.w, self.t, self.share, _merged(parts), ladder)
        return None


class Room:
    """What is left under the limits, by step: free GPUs by pool, kW by feeder (expected and worst case) and at the grid."""

    def __init__(self, problem: Problem, schedule: Schedule) -> None:
        state = account(problem, schedule)
        parent = {f.id: f.parent for f in problem.feeders}
        number = {f.id: i for i, f in enumerate(problem.feeders)}
        rating = np.array([f.rating_kw for f in problem.feeders])[:, None]
        margin = np.array([f.worst_case_margin for f in problem.feeders])[:, None]
        self._pool = {p.id: i for i, p in enumerate(problem.pools)}
        self._above: dict[str, list[int]] = {}
        for p in problem.pools:
            node: str | None = p.feeder
            self._above[p.id] = []
            while node is not None:
                self._above[p.id].append(number[node])
                node = parent[node]
        self._gpus = np.array([p.available for p in problem.pools])
        for w, workload in enumerate(problem.workloads):
            self._gpus[self._pool[workload.pool]] -= state.running[w]
        self._grid_kw = np.asarray(problem.grid.limit_kw) - state.import_kw
        if problem.grid.peak_price_per_kw:
            peak_kw = max(problem.grid.peak_so_far_kw, float(state.import_kw.max()))
            self._grid_kw = np.minimum(self._grid_kw, peak_kw + 1.0 - state.import_kw)
        self._kw = rating - state.feeder_kw
        self._worst_kw = rating * margin - state.feeder_worst_kw
        self._import_per_kw = {p.id: _import_per_kw(problem, p, state) for p in problem.pools}

    def take(self, pool: str, t: int, gpus: float, draw_kw: float, cap_kw: float) -> bool:
        """Take GPUs, kW of draw and kW of caps (means over the step) in a pool and step; False, and nothing, if not there."""
        above = self._above[pool]
        p = self._pool[pool]
        factor = float(self._import_per_kw[pool][t])
        draw_kw, cap_kw = factor * draw_kw, factor * cap_kw
        fits = (
            gpus <= self._gpus[p, t] + SNAP
            and draw_kw <= max(self._grid_kw[t], 0.0)
            and all(draw_kw <= max(self._kw[f, t], 0.0) for f in above)
            and all(cap_kw <= max(self._worst_kw[f, t], 0.0) for f in above)
        )
        if fits:
            self._gpus[p, t] -= gpus
            self._grid_kw[t] -= draw_kw
            for f in above:
                self._kw[f, t] -= draw_kw
                self._worst_kw[f, t] -= cap_kw
        return bool(fits)


def _import_per_kw(problem: Problem, pool: Pool, state: Account) -> Floats:
    """What a kW more in `pool` adds at the grid by step: its cooling and the losses on the way, shape (T,)."""
    losses = MARGIN * max(_losses(problem, f.id) for f in problem.feeders)
    plant_id = next(z.cooling_plant for z in problem.halls if z.id == pool.hall)
    for plant in problem.cooling_plants:
        if plant.id == plant_id:
            heat = sum(
                z.base_kw + sum(state.pool_kw[i] for i, p in enumerate(problem.pools) if p.hall == z.id)
                for z in problem.plant_halls(plant)
            )
            power = plant.chiller.power_kw
            return losses * (1 + (power(heat * 1.01 + 1, problem.outdoor_c) - power(heat, problem.outdoor_c)) / (heat * 0.01 + 1))
    return np.full(len(problem.horizon), losses)


def _losses(problem: Problem, feeder_id: str) -> float:
    """What a kW under a feeder has grown to at the root."""
    by_id = {f.id: f for f in problem.feeders}
    factor, node = 1.0, by_id.get(feeder_id)
    while node is not None:
        factor *= 1 + node.loss_share
        node = by_id.get(node.parent) if node.parent else None
    return factor


def round_down(problem: Problem, gpus: Floats) -> dict[int, list[Cell]]:
    """The sendable cells of each workload, nowhere above the program's own power; `gpus` has shape (W, K, T)."""
    index = problem.cells
    cells: dict[int, list[Cell]] = {w: [] for w in range(len(problem.workloads))}
    for w, t in np.argwhere(gpus[:, 0, :] > SNAP).tolist():
        workload, ladder = problem.workloads[w], index.ladder(w, t)
        running = float(gpus[w, 0, t])
        most = float(index.share[w, t])
        if isinstance(workload, Job) and not workload.elastic:
            count, share = workload.gpus, running / workload.gpus
        elif isinstance(workload, Job):
            count = max(1, int(np.ceil(running / most - SNAP)))
            share = running / count
        else:
            count, share = int(running + 1e-6), 1.0
        if share >= most - 1e-6:
            share = most
        if count and share > SNAP:
            raised = np.minimum.accumulate(np.clip(gpus[w, : len(ladder), t] / running, 0.0, 1.0))
            draw_w = float(raised @ np.diff(ladder.draw_w, prepend=0.0))
            cells[w].append(Cell(w, t, share, _parts(count, ladder, draw_w), ladder))
    return cells


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
        _cut(problem, mine, -missing)


def schedule_of(problem: Problem, cells: dict[int, list[Cell]], battery_kw: dict[str, Floats], hall_c: dict[str, Floats]) -> Schedule:
    """The schedule made of `cells`."""
    rows = [
        (cell.w, cell.t, n, cell.share, cap, draw, speed)
        for mine in cells.values()
        for cell in mine
        for n, cap, draw, speed in cell.points()
    ]
    return Schedule(Groups.of(rows), battery_kw, hall_c)


def _parts(count: int, ladder: Ladder, draw_w: float) -> list[tuple[int, int]]:
    """`count` GPUs with a mean draw of at most `draw_w`, as (GPUs, cap W) at integer caps."""
    rung = int(np.searchsorted(ladder.draw_w, draw_w + 1e-9, side="right")) - 1
    rung = min(max(rung, 0), len(ladder) - 1)
    cap = ladder.cap_w[rung]
    if rung == len(ladder) - 1:
        return [(count, int(cap + SNAP))]
    way = min(max((draw_w - ladder.draw_w[rung]) / (ladder.draw_w[rung + 1] - ladder.draw_w[rung]), 0.0), 1.0)
    if ladder.joined[rung + 1]:
        exact = cap + way * (ladder.cap_w[rung + 1] - cap)
        low = int(exact + SNAP)
        up = int(count * (exact - low) + SNAP)
        return _merged([(count - up, low), (up, low + 1)])
    up = int(count * way + SNAP)
    rest_w = (count * way - up) * (ladder.draw_w[rung + 1] - ladder.draw_w[rung])
    between = int(np.interp(ladder.draw_w[rung] + rest_w, ladder.curve.draw_w, ladder.curve.cap_w) + SNAP)
    middle = 1 if up < count and between > cap else 0
    return _merged([(count - up - middle, int(cap)), (middle, between), (up, int(ladder.cap_w[rung + 1]))])


def _merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    by_cap: dict[int, int] = {}
    for n, cap in parts:
        by_cap[cap] = by_cap.get(cap, 0) + n
    return [(n, cap) for cap, n in sorted(by_cap.items()) if n]


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


def _raise_one(problem: Problem, job: Job, mine: list[Cell], room: Room) -> float | None:
    """Give one GPU of one step a watt more; the work gained (GPU h), or None where no limit leaves room."""
    for i, cell in enumerate(mine):
        higher = cell.raised()
        if higher is None:
            continue
        draw_kw = cell.share * (higher.draw_kw - cell.draw_kw)
        if room.take(job.pool, cell.t, 0.0, draw_kw, cell.share * (higher.cap_kw - cell.cap_kw)):
            mine[i] = higher
            return float(problem.horizon.h[cell.t]) * cell.share * (higher.speed - cell.speed)
    return None


def _run_elsewhere(problem: Problem, job: Job, w: int, mine: list[Cell], missing: float, room: Room) -> float:
    """Run for a moment in a step the job has to itself, at the first rung; the work still missing, GPU h."""
    index, taken = problem.cells, {cell.t for cell in mine}
    for t in np.flatnonzero(index.share[w] > SNAP).tolist():
        if t in taken or (job.order and job.order[t] == "hold"):
            continue
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
