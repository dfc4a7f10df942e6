"""Rounding: from a solution of the program to what can be sent.

A rigid job runs on all its GPUs or waits; inside a step it may start, pause or end once, so a fraction of a step is a time,
not a part of a gang. An elastic job, or a rental that may pause, runs on whole GPUs. Caps become integer watts, always
downwards: of n GPUs at a planned 250.4 W some get 251 W and the others 250 W, so that a workload gives away less than one
GPU's watt a step.

What a job lost that way it gets back where its limits leave room - by running longer in a step it shares, or by a watt more -
and the last step is then cut so that its work is met exactly, never exceeded. A rental gets back what lies below its floor.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from models import reserve_down
from models.account import Account, account
from models.battery import kept_kwh, riding
from models.demand_charge import Headroom
from models.feeder import grown
from models.gpu import Ladder
from models.horizon import Floats
from models.job import Job
from models.pool import Pool
from models.redundancy import belongs, left_kw
from models.schedule import Groups, Schedule
from models.site import Problem, reach_of
from models.workload import Workload

SNAP = 1e-7
MARGIN = 1.02
"""Room is taken with this much to spare."""
PEAK_MORE_KW = 1.0
"""Giving back may raise a peak that is paid for by this much."""


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
    def counts(self) -> float:
        """The share of the step that its power counts for: all of the first, where what is sent is in force at once."""
        return self.share if self.t else 1.0

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
        """The same cell with one more watt on one GPU, or None at the top of its ladder or below a gap in it."""
        ladder = self.ladder
        for i, (n, cap) in enumerate(self.parts):
            at = int(np.searchsorted(ladder.cap_w, cap + 1 - SNAP))
            if n and at < len(ladder) and (ladder.joined[at] or cap > ladder.cap_w[at - 1] + SNAP):
                parts = [*self.parts[:i], (n - 1, cap), *self.parts[i + 1 :], (1, cap + 1)]
                return Cell(self.w, self.t, self.share, _merged(parts), ladder)
        return None


class Room:
    """What is left under the limits, by step: GPUs by pool; kW by electrical limit (`_watched`), at the grid and of cooling.

    `at_once`: only under those that hold at every moment.
    """

    def __init__(self, problem: Problem, schedule: Schedule, *, at_once: bool = False) -> None:
        state = account(problem, schedule)
        self._pool = {p.id: i for i, p in enumerate(problem.pools)}
        self._gpus = np.array([np.asarray(p.available) - problem.idle_kept(p.id) for p in problem.pools])
        for w, workload in enumerate(problem.workloads):
            self._gpus[self._pool[workload.pool]] -= state.running[w]
        net_kw = state.import_kw - state.export_kw
        self._grid_kw = np.asarray(problem.grid.most_kw) - net_kw - problem.at_grid @ state.uncertain_kw
        if not at_once:  # a ramp is of means
            ramp_kw = problem.grid.ramp_kw(problem.horizon)
            beside_kw = np.minimum(np.r_[np.inf, net_kw[:-1] + ramp_kw], np.r_[net_kw[1:] + ramp_kw, np.inf])
            self._grid_kw = np.minimum(self._grid_kw, beside_kw - net_kw)
        self._kg_per_kw, self._carbon_kg = _carbon(problem, state.import_kw)
        self._peaks = Headroom(problem.demand_charges, state.import_kw, PEAK_MORE_KW)
        self._kw, self._worst_kw = _electrical_kw(problem, state)
        most_kw = [problem.margins.most_heat_kw[c.id] for c in problem.cooling_plants]
        self._heat_kw = np.reshape(most_kw, state.heat_kw.shape) - state.heat_kw
        if schedule.held_kw:
            down = [r for r in problem.reserves if r.direction == "down"]
            called = reserve_down.called(schedule.held_kw, down, problem.cells, reach_of(problem), len(problem.horizon))
            none = np.zeros(len(problem.horizon))
            through_kw, worst_kw = (np.array([kw.get(f.id, none) for f in problem.feeders]) for kw in (called.through_kw, called.worst_kw))
            self._kw -= _watched(problem) @ through_kw
            self._worst_kw -= _watched(problem) @ worst_kw
            self._grid_kw -= problem.at_grid @ through_kw
            self._heat_kw -= np.array([called.heat_kw[c.id] for c in problem.cooling_plants]).reshape(self._heat_kw.shape)
        self._heat_shares = {p.id: problem.heat_shares(p) for p in problem.pools}
        self._per_kw = {p.id: _per_kw(problem, p) for p in problem.pools}

    def holds_now(self, mean: Room) -> bool:
        """Whether nothing is over in the first step, or no more than it is in `mean`."""
        pairs = (
            (self._grid_kw[:1], mean._grid_kw[:1]),
            (self._kw[:, 0], mean._kw[:, 0]),
            (self._worst_kw[:, 0], mean._worst_kw[:, 0]),
            (self._heat_kw[:, 0], mean._heat_kw[:, 0]),
        )
        return all((mine >= np.minimum(theirs, 0.0) - SNAP).all() for mine, theirs in pairs)

    def lesser(self, other: Room) -> Room:
        """The room that both leave; GPUs are shared in turns, and counted as `other` does."""
        both = copy(other)
        for name in ("_grid_kw", "_kw", "_worst_kw", "_heat_kw"):
            setattr(both, name, np.minimum(getattr(self, name), getattr(other, name)))
        return both

    def take(self, pool: str, t: int, gpus: float, draw_kw: float, cap_kw: float) -> bool:
        """Take GPUs, kW of draw and kW of caps (means over the step) in a pool and step; False, and nothing, if not there."""
        p, (above, cooling, at_grid) = self._pool[pool], self._per_kw[pool]
        load_kw, worst_kw = (above * kw + cooling[:, t] * draw_kw for kw in (draw_kw, cap_kw))
        import_kw, heat_kw = at_grid[t] * draw_kw, self._heat_shares[pool] * draw_kw
        fits = (
            gpus <= self._gpus[p, t] + SNAP
            and (heat_kw <= np.maximum(self._heat_kw[:, t], 0.0)).all()
            and import_kw <= max(min(self._grid_kw[t], self._peaks.kw(t)), 0.0)
            and import_kw * self._kg_per_kw[t] <= self._carbon_kg
            and (load_kw <= np.maximum(self._kw[:, t], 0.0)).all()
            and (worst_kw <= np.maximum(self._worst_kw[:, t], 0.0)).all()
        )
        if fits:
            self._gpus[p, t] -= gpus
            self._heat_kw[:, t] -= heat_kw
            self._grid_kw[t] -= import_kw
            self._peaks.take(t, import_kw)
            self._carbon_kg -= import_kw * self._kg_per_kw[t]
            self._kw[:, t] -= load_kw
            self._worst_kw[:, t] -= worst_kw
        return bool(fits)


def _carbon(problem: Problem, import_kw: Floats) -> tuple[Floats, float]:
    """What a kW more in a step emits, kg, shape (T,), and what is left under the cap, kg: any, where promises broke it already."""
    steps, carbon = len(problem.horizon), problem.carbon
    if carbon is None or carbon.cap_kg is None:
        return np.zeros(steps), 0.0
    left_kg = carbon.cap_kg - float(carbon.kg(problem.horizon, import_kw).sum())
    return carbon.kg(problem.horizon, np.ones(steps)), left_kg if left_kg >= 0 else np.inf


def _per_kw(problem: Problem, pool: Pool) -> tuple[Floats, Floats, Floats]:
    """What a kW more in `pool` adds: itself under each electrical limit, shape (L,), its cooling there, (L, T), both at the grid, (T,)."""
    steps = len(problem.horizon)
    on, cooling = MARGIN * _path(problem, pool.feeder), np.zeros((len(problem.feeders), steps))
    for plant, share in zip(problem.cooling_plants, problem.heat_shares(pool).tolist(), strict=True):
        if share:
            most = plant.chiller.max_heat_kw
            power = [plant.chiller.power_kw(np.asarray(heat), problem.margins.outdoor_high_c) for heat in (0.999 * most, most)]
            cooling += MARGIN * np.outer(_path(problem, plant.feeder), share * (power[1] - power[0]) / (0.001 * most))
    watched = _watched(problem)
    return watched @ on, watched @ cooling, problem.at_grid @ on + problem.at_grid @ cooling


def _watched(problem: Problem) -> Floats:
    """The feeders whose loads each electrical limit is on (1, else 0), shape (L, F).

    Limits are each feeder's, then each group's that back each other, then each battery's that is to carry a feeder, then each feed's.
    """
    carried = [[float(f.id == problem.batteries[i].carried_feeder) for f in problem.feeders] for i in riding(problem.batteries)]
    fed = [[float(f.id == feed.feeder) for f in problem.feeders] for feed in problem.feeds]
    rows = np.reshape(carried + fed, (-1, len(problem.feeders)))
    return np.vstack([np.eye(len(problem.feeders)), belongs(problem.redundancies, problem.feeders), rows])


def _electrical_kw(problem: Problem, state: Account) -> tuple[Floats, Floats]:
    """What is left under each electrical limit, expected and in the worst case, kW, each shape (L, T)."""
    rating = np.array([f.rating_kw for f in problem.feeders])[:, None]
    margin = np.array([f.worst_case_margin for f in problem.feeders])[:, None]
    left = np.array([left_kw(group, problem.feeders) for group in problem.redundancies]).reshape(-1, 2)
    member, h = belongs(problem.redundancies, problem.feeders), problem.horizon.h
    rides = [(i, problem.batteries[i]) for i in riding(problem.batteries)]
    carries = [kept_kwh(b, state.battery_kw[i], h) / b.ride_through_h - state.carried_kw[i] for i, b in rides]
    carries_kw = np.reshape(carries, (len(rides), len(h)))
    load_kw, worst_kw = (kw + state.uncertain_kw for kw in (state.feeder_kw, state.feeder_worst_kw))
    at = dict(zip([f.id for f in problem.feeders], load_kw, strict=True))
    fed_kw = np.reshape([feed.limit_kw - at[feed.feeder] for feed in problem.feeds], (-1, len(h)))
    expected = [rating - load_kw, left[:, :1] - member @ load_kw, np.full(carries_kw.shape, np.inf), fed_kw]
    worst = [rating * margin - worst_kw, left[:, 1:] - member @ worst_kw, carries_kw, np.full(fed_kw.shape, np.inf)]
    return np.vstack(expected), np.vstack(worst)


def _path(problem: Problem, feeder_id: str) -> Floats:
    """What a kW under a feeder has grown to, losses included, on each feeder up to the root; zero elsewhere, shape (F,)."""
    above = grown(problem.feeders, feeder_id)
    return np.array([above.get(f.id, 0.0) for f in problem.feeders])


def round_down(problem: Problem, gpus: Floats) -> dict[int, list[Cell]]:
    """The sendable cells of each workload, nowhere above the program's own power; `gpus` has shape (W, K, T)."""
    index = problem.cells
    cells: dict[int, list[Cell]] = {w: [] for w in range(len(problem.workloads))}
    for w, t in np.argwhere(gpus[:, 0, :] > SNAP).tolist():
        workload, ladder = problem.workloads[w], index.ladder(w, t)
        running = float(gpus[w, 0, t])
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
            raised = np.minimum.accumulate(np.clip(gpus[w, : len(ladder), t] / running, 0.0, 1.0))
            cells[w].append(Cell(w, t, share, _parts(count, ladder, raised), ladder))
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


def _parts(count: int, ladder: Ladder, raised: Floats) -> list[tuple[int, int]]:
    """`count` GPUs, the shares `raised[k]` of them at rung k or higher, as (GPUs, cap W) at integer caps and never above."""
    low, top = int((raised >= 1 - SNAP).sum()) - 1, int((raised > SNAP).sum()) - 1
    if top == low + 1 and ladder.joined[top]:
        exact = ladder.cap_w[low] + float(raised[top]) * (ladder.cap_w[top] - ladder.cap_w[low])
        cap = int(exact + SNAP)
        up = int(count * (exact - cap) + SNAP)
        return _merged([(count - up, cap), (up, cap + 1)])
    reach = count * np.append(raised, 0.0)
    whole = np.floor(reach + SNAP).astype(int)
    parts = [(int(n), int(cap + SNAP)) for n, cap in zip(whole[:-1] - whole[1:], ladder.cap_w, strict=True)]
    for n in set(whole[low + 1 : top + 1].tolist()):
        rung = int((whole > n).sum()) - 1
        part = np.clip(reach[rung + 1 : -1] - n, 0.0, 1.0)
        draw_w = ladder.draw_w[rung] + float(part @ np.diff(ladder.draw_w)[rung:])
        cap_w = ladder.cap_w[rung] + float(part @ np.diff(ladder.cap_w)[rung:])
        between_w = min(cap_w, float(np.interp(draw_w, ladder.curve.draw_w, ladder.curve.cap_w)))
        parts += [(-1, int(ladder.cap_w[rung] + SNAP)), (1, int(between_w + SNAP))]
    return _merged(parts)


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


def _raise_one(problem: Problem, load: Workload, mine: list[Cell], room: Room) -> float | None:
    """Give one GPU of one step a watt more; the work gained (GPU h), or None where no limit leaves room."""
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
