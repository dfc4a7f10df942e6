"""Room: what a schedule leaves under every limit, and whether a little more still fits."""

from __future__ import annotations

from copy import copy

import numpy as np

from models.account import Account, account
from models.grid import reserve_down
from models.grid.demand_charge import Headroom
from models.horizon import Floats
from models.power.battery import kept_kwh, riding
from models.power.feeder import grown
from models.power.redundancy import belongs, left_kw
from models.problem import Problem
from models.schedule import Schedule
from models.sending.cell import SNAP
from models.wiring import reach_of
from models.work.pool import Pool

MARGIN = 1.02
"""Room is taken with this much to spare."""
PEAK_MORE_KW = 1.0
"""Giving back may raise a peak that is paid for by this much."""

WARMER_K = 0.5
"""A hall may get this much warmer at once than on average, and not past its allowable band."""


class Room:
    """What is left under the limits, by step: GPUs by pool; kW by electrical limit (`_watched`), at the grid and of cooling.

    Cooling is that of the plants, then of the halls above their supply.

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
        self._kg_per_kw, self._carbon_kg = _carbon(problem, state.import_kw, problem.burnt_kg(state.given_kw))
        self._peaks = Headroom(problem.demand_charges, state.import_kw, PEAK_MORE_KW)
        self._kw, self._worst_kw = _electrical_kw(problem, state)
        most_kw = [problem.margins.most_heat_kw[c.id] for c in problem.cooling_plants]
        self._heat_kw = np.reshape(most_kw, state.heat_kw.shape) - state.heat_kw
        self._hall_c, self._allowable_c = state.hall_c, np.array([z.allowable_max_c for z in problem.zones])
        if schedule.held_kw:
            down = [r for r in problem.reserves if r.direction == "down"]
            called = reserve_down.called(schedule.held_kw, down, problem.cells, reach_of(problem), len(problem.horizon))
            none = np.zeros(len(problem.horizon))
            through_kw, worst_kw = (np.array([kw.get(f.id, none) for f in problem.feeders]) for kw in (called.through_kw, called.worst_kw))
            self._kw -= _watched(problem) @ through_kw
            self._worst_kw -= _watched(problem) @ worst_kw
            self._grid_kw -= problem.at_grid @ through_kw
            self._heat_kw -= np.array([called.heat_kw[c.id] for c in problem.cooling_plants]).reshape(self._heat_kw.shape)
        self._heat_kw = np.vstack([self._heat_kw, *_above_supply_kw(problem, schedule, state)])
        self._heat_shares = {p.id: np.append(problem.heat_shares(p), _air_shares(problem, p)) for p in problem.pools}
        self._per_kw = {p.id: _per_kw(problem, p) for p in problem.pools}

    def holds_now(self, mean: Room) -> bool:
        """Whether nothing is over in the first step, or no more than it is in `mean`."""
        pairs = (
            (self._grid_kw[:1], mean._grid_kw[:1]),
            (self._kw[:, 0], mean._kw[:, 0]),
            (self._worst_kw[:, 0], mean._worst_kw[:, 0]),
            (self._heat_kw[:, 0], mean._heat_kw[:, 0]),
        )
        on_average_c = mean._hall_c[:, 0]
        most_c = np.maximum(np.minimum(on_average_c + WARMER_K, self._allowable_c), on_average_c)
        is_cool = (self._hall_c[:, 0] <= most_c + SNAP).all()
        return bool(is_cool) and all((mine >= np.minimum(theirs, 0.0) - SNAP).all() for mine, theirs in pairs)

    def lesser(self, other: Room) -> Room:
        """The room that both leave; GPUs are shared in turns, and counted as `other` does."""
        both = copy(other)
        for name in ("_grid_kw", "_kw", "_worst_kw", "_heat_kw"):
            setattr(both, name, np.minimum(getattr(self, name), getattr(other, name)))
        return both

    def take(self, pool: str, t: int, gpus: float, draw_kw: float, cap_kw: float) -> bool:
        """Take GPUs, kW of draw and kW of caps (means over the step) in a pool and step; False, and nothing, if not there."""
        load_kw, worst_kw, import_kw, heat_kw = self._needs(pool, t, draw_kw, cap_kw)
        fits = (
            gpus <= self._gpus[self._pool[pool], t] + SNAP
            and (heat_kw <= np.maximum(self._heat_kw[:, t], 0.0)).all()
            and import_kw <= max(min(self._grid_kw[t], self._peaks.kw(t)), 0.0)
            and import_kw * self._kg_per_kw[t] <= self._carbon_kg
            and (load_kw <= np.maximum(self._kw[:, t], 0.0)).all()
            and (worst_kw <= np.maximum(self._worst_kw[:, t], 0.0)).all()
        )
        if fits:
            self.put(pool, t, gpus, draw_kw, cap_kw)
        return bool(fits)

    def fits(self, pool: str, gpus: float, draw_kw: Floats, cap_kw: Floats) -> Floats:
        """How many times that much is there in each step, `draw_kw` and `cap_kw` by step, but for what ties steps together, shape (T,)."""
        above, cooling, at_grid = self._per_kw[pool]
        needs = [
            (self._gpus[self._pool[pool]][None], np.full((1, len(draw_kw)), gpus)),
            (self._heat_kw, self._heat_shares[pool][:, None] * draw_kw),
            (self._grid_kw[None], (at_grid * draw_kw)[None]),
            (self._kw, above[:, None] * draw_kw + cooling * draw_kw),
            (self._worst_kw, above[:, None] * cap_kw + cooling * draw_kw),
        ]
        left, asked = np.vstack([left for left, _ in needs]), np.vstack([asked for _, asked in needs])
        times = np.full(left.shape, np.inf)
        np.divide(np.maximum(left, 0.0), asked, out=times, where=asked > 0)
        return np.asarray(times.min(axis=0))

    def put(self, pool: str, t: int, gpus: float, draw_kw: float, cap_kw: float) -> None:
        """Take as much whether it is there or not, or give it back where it is below nothing."""
        load_kw, worst_kw, import_kw, heat_kw = self._needs(pool, t, draw_kw, cap_kw)
        self._gpus[self._pool[pool], t] -= gpus
        self._heat_kw[:, t] -= heat_kw
        self._grid_kw[t] -= import_kw
        self._peaks.take(t, import_kw)
        self._carbon_kg -= import_kw * self._kg_per_kw[t]
        self._kw[:, t] -= load_kw
        self._worst_kw[:, t] -= worst_kw

    def _needs(self, pool: str, t: int, draw_kw: float, cap_kw: float) -> tuple[Floats, Floats, float, Floats]:
        """What that is under each electrical limit, expected and in the worst case, at the grid, and of cooling, kW."""
        above, cooling, at_grid = self._per_kw[pool]
        load_kw, worst_kw = (above * kw + cooling[:, t] * draw_kw for kw in (draw_kw, cap_kw))
        return load_kw, worst_kw, float(at_grid[t] * draw_kw), self._heat_shares[pool] * draw_kw


def _above_supply_kw(problem: Problem, schedule: Schedule, state: Account) -> list[Floats]:
    """What more each zone of a set-point may give off at its temperature, kW, each shape (T,)."""
    left = []
    for zone, removed_kw in zip(problem.zones, state.removed_kw, strict=True):
        point = next(c.set_point for c in problem.cooling_plants if c.id == zone.cooling_plant)
        if point is not None:
            above_k = schedule.hall_c[zone.id] - schedule.supply_c[str(zone.cooling_plant)]
            left.append(above_k / point.approach_k_per_kw - removed_kw)
    return left


def _air_shares(problem: Problem, pool: Pool) -> list[float]:
    """What of a kW in `pool` goes into the air of each zone of a set-point."""
    zones = [z for z in problem.zones if z.cooling_plant in problem.usual_supply_c]
    return [(1 - pool.liquid_share) * float(z.id == pool.hall) for z in zones]


def _carbon(problem: Problem, import_kw: Floats, burnt_kg: Floats) -> tuple[Floats, float]:
    """What a kW more in a step emits, kg, shape (T,), and what is left under the cap, kg: any, where promises broke it already."""
    steps, carbon = len(problem.horizon), problem.carbon
    if carbon is None or carbon.cap_kg is None:
        return np.zeros(steps), 0.0
    left_kg = carbon.cap_kg - float((carbon.kg(problem.horizon, import_kw) + burnt_kg).sum())
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
