"""Arrays: the program of a bench site written by hand, straight from the figures of its Problem. The least that making it can cost.

Rows and columns stand in the order of the product's own (`models.site`), which `test_arrays` holds this against.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from models.breach import COMFORT_PRICE_PER_KWH_H, GRID_LIMIT, PLANT
from models.heat.cooling_plant import secants
from models.problem import Problem
from tests.bench.sheet import Arrays, Sheet

INF = np.inf


def by_hand(problem: Problem) -> Arrays:
    """The program of a bench site: jobs only, no export, no idle caps, nothing uncertain."""
    sheet = _Site(problem)
    sheet.jobs()
    sheet.pools()
    sheet.halls()
    sheet.plants()
    sheet.batteries()
    sheet.feeders()
    sheet.grid()
    return sheet.arrays()


class _Site(Sheet):
    """A bench site's sheet: its columns are laid out first, then each room writes its rows, in the order of the product's."""

    def __init__(self, problem: Problem) -> None:
        p, cells = problem, problem.cells
        self.p, self.h = p, p.horizon.h
        speed = cells.speed_steps[cells.ladder_of].transpose(0, 2, 1)
        there = (cells.share > 0)[:, None, :] & (speed != 0)
        self.w, self.k, self.at = np.nonzero(there)
        self.speed = speed[there]
        ladder = cells.ladder_of[self.w, self.at]
        self.draw_kw, self.cap_kw = (steps[ladder, self.k] / 1000 for steps in (cells.draw_steps_w, cells.cap_steps_w))
        number = np.full(there.shape, -1)
        number[there] = np.arange(len(self.w))
        both = there[:, 1:] & there[:, :-1]
        rungs = np.stack([number[:, :-1][both], number[:, 1:][both]], axis=1)

        position = {pool.id: i for i, pool in enumerate(p.pools)}
        self.pool_of = np.array([position[job.pool] for job in p.jobs])
        busy = np.zeros((len(p.pools), len(p.horizon)), bool)
        np.logical_or.at(busy, self.pool_of, cells.share > 0)
        self.busy = busy

        jobs, T = len(p.jobs), len(p.horizon)  # noqa: N806 - as in the formulation
        sizes = {"gpus": len(self.w), "unfinished": jobs, "carried": jobs, "import": T, "over_limit": T, "peak": 1}
        sizes |= {"pool": 2 * T * len(p.pools), "hall": (5 * T + 1) * len(p.zones), "plant": 2 * T * len(p.cooling_plants)}
        sizes |= {"battery": 3 * T, "feeder": 4 * T * len(p.feeders)}
        super().__init__(sizes, T, rungs)

    def jobs(self) -> None:
        """finishes; and the layout of the rows of the grid, which come next."""
        p, h = self.p, self.h
        figures = ("gpus", "work_gpu_h", "arrival_h", "deadline_h", "unfinished_price_per_gpu_h", "carry_price_per_gpu_h", "delay_price_per_gpu_h")
        gpus, work, arrival, deadline, undone, carry, delay = np.array(list(map(attrgetter(*figures), p.jobs))).T
        jobs, columns = np.arange(len(p.jobs)), np.arange(len(self.w))
        unfinished, carried = self.first["unfinished"] + jobs, self.first["carried"] + jobs
        work_h = h[self.at] * self.speed
        middle = (p.horizon.starts + p.horizon.ends) / 2
        self.add(self.w, columns, work_h)
        self.add(jobs, unfinished, 1.0)
        self.add(jobs, carried, 1.0)
        self.bound(jobs, work, work)
        self.rows = len(jobs)
        self.cost[columns] = delay[self.w] * (middle[self.at] - arrival[self.w]) * work_h
        self.cost[unfinished], self.cost[carried] = undone, carry
        self.upper[columns] = gpus[self.w] * p.cells.share[self.w, self.at]
        self.upper[carried] = np.minimum(work, np.maximum(0.0, deadline - np.maximum(p.horizon.end_h, arrival)) * gpus)
        self.grid_rows = self.rows + np.arange(2 * self.T)
        self.peak_rows = self.rows + 2 * self.T + np.arange(len(p.demand_charges[0].intervals))
        self.rows += len(self.grid_rows) + len(self.peak_rows)

    def pools(self) -> None:
        """holds, draws, could_draw."""
        p, T = self.p, self.T  # noqa: N806
        n_busy = self.busy.sum(axis=1)
        first = self.rows + np.cumsum([0, *(n_busy + 2 * T)])
        self.rows = int(first[-1])
        holds = first[:-1, None] + np.cumsum(self.busy, axis=1) - 1
        draws = (first[:-1] + n_busy)[:, None] + self.t
        draw, worst = (self.columns("pool", range(len(p.pools)), 2 * T, v) for v in (0, 1))
        of, columns = self.pool_of[self.w], np.arange(len(self.w))
        runs = self.k == 0
        self.add(holds[of[runs], self.at[runs]], columns[runs], 1.0)
        self.add(draws[of, self.at], columns, -self.draw_kw)
        self.add(draws[of, self.at] + T, columns, -self.cap_kw)
        self.add(draws, draw, 1.0)
        self.add(draws + T, worst, 1.0)
        available = np.array([pool.available for pool in p.pools])
        idle, lowest = (np.array([getattr(pool.host, name) for pool in p.pools])[:, None] / 1000 for name in ("idle_total_w", "lowest_worst_w"))
        self.bound(holds[self.busy], -INF, available[self.busy])
        self.bound(draws, available * idle, available * idle)
        self.bound(draws + T, available * lowest, available * lowest)
        self.lower[draw], self.lower[worst] = -INF, -INF

    def halls(self) -> None:
        """warms_first, warms, recommended_max, recommended_min, allowable_max, ends_no_hotter."""
        zones, h, T, p = self.p.zones, self.h, self.T, self.p  # noqa: N806
        figures = ("base_kw", "heat_capacity_kwh_per_k", "resistance_k_per_kw", "start_c")
        bands = ("recommended_min_c", "recommended_max_c", "allowable_max_c")
        told = np.array(list(map(attrgetter(*figures, *bands), zones))).T[:, :, None]
        base, capacity, resistance, start, least, most, limit = told
        memory = np.exp(-h / (resistance * capacity))
        keeps = (1 - memory) * resistance
        rows = self.block(len(zones), 4 * T + 1) + self.t
        celsius, removed, hot, warm, cold = (self.columns("hall", range(len(zones)), 5 * T + 1, v) for v in range(5))
        end_warm = warm[:, 0] + 2 * T
        inside = {z.id: i for i, z in enumerate(zones)}
        of = np.array([inside[pool.hall] for pool in p.pools])
        self.add(rows, celsius, 1.0)
        self.add(rows[:, 1:], celsius[:, :-1], -memory[:, 1:])
        self.add(rows, removed, keeps)
        self.add(rows[of], self.columns("pool", range(len(p.pools)), 2 * T, 0), -keeps[of])
        settles = (1 - memory) * (p.outdoor_c + resistance * base)
        settles[:, :1] += memory[:, :1] * start
        self.bound(rows, settles, settles)
        for i, (sign, slack, upper) in enumerate(((1.0, warm, most), (-1.0, cold, -least), (1.0, hot, limit)), start=1):
            self.add(rows + i * T, celsius, sign)
            self.add(rows + i * T, slack, -1.0)
            self.bound(rows + i * T, -INF, upper)
        last = rows[:, 0] + 4 * T
        self.add(last, celsius[:, -1], 1.0)
        self.add(last, end_warm, -1.0)
        self.bound(last, -INF, np.maximum(start, least)[:, 0])
        self.lower[celsius] = -INF
        self.cost[hot] = PLANT.price * capacity * h
        self.cost[warm] = self.cost[cold] = COMFORT_PRICE_PER_KWH_H * capacity * h
        self.cost[end_warm] = COMFORT_PRICE_PER_KWH_H * capacity[:, 0]

    def plants(self) -> None:
        """has_capacity, removes_heat, burns_no_more."""
        p, T, plants = self.p, self.T, self.p.cooling_plants  # noqa: N806
        curves = [secants(plant.chiller, p.outdoor_c) for plant in plants]
        slope, intercept, chord = (np.stack([curve[i] for curve in curves]) for i in range(3))
        segments = slope.shape[1]
        rows = self.block(len(plants), (segments + 2) * T) + self.t
        heat, power = (self.columns("plant", range(len(plants)), 2 * T, v) for v in (0, 1))
        position = {plant.id: i for i, plant in enumerate(plants)}
        of = np.array([position[z.cooling_plant] for z in p.zones])
        self.add(rows, heat, 1.0)
        self.add(rows[of], self.columns("hall", range(len(p.zones)), 5 * T + 1, 1), -1.0)
        self.bound(rows, 0.0, 0.0)
        secant = (rows + T)[:, None, :] + np.arange(segments)[:, None] * T
        self.add(secant, heat[:, None, :], slope)
        self.add(secant, power[:, None, :], -1.0)
        self.bound(secant, -INF, -intercept)
        above = rows + (segments + 1) * T
        self.add(above, power, 1.0)
        self.add(above, heat, -chord[:, 0])
        self.bound(above, -INF, chord[:, 1])
        self.upper[heat] = np.stack([plant.chiller.most_heat_kw(p.outdoor_c) for plant in plants])

    def batteries(self) -> None:
        """stores_first, stores, one_way, ends_no_emptier."""
        (store,), h, T = self.p.batteries, self.h, self.T  # noqa: N806
        rows = self.block(1, 2 * T + 1)[0] + self.t
        charge, discharge, stored = (self.first["battery"] + v * T + self.t for v in range(3))
        self.add(rows, stored, 1.0)
        self.add(rows[1:], stored[:-1], -1.0)
        self.add(rows, charge, -store.efficiency * h)
        self.add(rows, discharge, h / store.efficiency)
        start = np.where(self.t == 0, store.start_kwh, 0.0)
        self.bound(rows, start, start)
        self.add(rows + T, charge, store.discharge_kw / store.charge_kw)
        self.add(rows + T, discharge, 1.0)
        self.bound(rows + T, -INF, store.discharge_kw)
        self.add(rows[0] + 2 * T, stored[-1], 1.0)
        self.bound(rows[0] + 2 * T, store.start_kwh, INF)
        self.upper[charge], self.upper[discharge] = store.charge_kw, store.discharge_kw
        self.lower[stored], self.upper[stored] = store.least_kwh, store.capacity_kwh
        self.cost[discharge] = store.wear_price_per_kwh * h

    def feeders(self) -> None:
        """sums, sums_worst, carries, carries_worst."""
        p, h, T, nodes = self.p, self.h, self.T, self.p.feeders  # noqa: N806
        at = {f.id: i for i, f in enumerate(nodes)}
        rows = self.block(len(nodes), 4 * T) + self.t
        load, worst, over, over_worst = (self.columns("feeder", range(len(nodes)), 4 * T, v) for v in range(4))
        passes = np.array([1 + f.loss_share for f in nodes])[:, None]
        (store,) = p.batteries
        draw, could = (self.columns("pool", range(len(p.pools)), 2 * T, v) for v in (0, 1))
        power = self.columns("plant", range(len(p.cooling_plants)), 2 * T, 1)
        charge, discharge = self.first["battery"] + self.t, self.first["battery"] + T + self.t
        children = [i for i, f in enumerate(nodes) if f.parent is not None]
        parents = [at[f.parent] for f in nodes if f.parent is not None]
        pools, plants = [at[pool.feeder] for pool in p.pools], [at[plant.feeder] for plant in p.cooling_plants]
        for own, down, pool, taken in ((rows, load, draw, charge), (rows + T, worst, could, charge)):
            self.add(own, down, 1.0)
            self.add(own[parents], down[children], -passes[parents])
            self.add(own[pools], pool, -passes[pools])
            self.add(own[plants], power, -passes[plants])
            self.add(own[at[store.feeder]], taken, -passes[at[store.feeder]])
        self.add(rows[at[store.feeder]], discharge, passes[at[store.feeder]])
        base = np.zeros((len(nodes), 1))
        np.add.at(base[:, 0], [at[z.feeder] for z in p.halls], [z.base_kw for z in p.halls])
        self.bound(rows, passes * base, passes * base)
        self.bound(rows + T, passes * base, passes * base)
        rating = np.array([f.rating_kw for f in nodes])[:, None]
        margin = np.array([f.worst_case_margin for f in nodes])[:, None]
        for i, passing, slack, most in ((2, load, over, rating), (3, worst, over_worst, rating * margin)):
            self.add(rows + i * T, passing, 1.0)
            self.add(rows + i * T, slack, -1.0)
            self.bound(rows + i * T, -INF, most)
            self.cost[slack] = PLANT.price * h
        self.lower[worst] = -INF
        root = at[p.roots[0].id]
        self.root_kw = load[root]

    def grid(self) -> None:
        """meters, limits, peaks."""
        p, h, T = self.p, self.h, self.T  # noqa: N806
        (charge,) = p.demand_charges
        drawn, over, peak = self.first["import"] + self.t, self.first["over_limit"] + self.t, self.first["peak"]
        meters, limits = self.grid_rows[:T], self.grid_rows[T:]
        self.add(meters, drawn, 1.0)
        self.add(meters, self.root_kw, -1.0)
        self.bound(meters, 0.0, 0.0)
        self.add(limits, drawn, 1.0)
        self.add(limits, over, -1.0)
        self.bound(limits, -INF, p.grid.limit_kw)
        interval, step, share = (
            np.array(part) for part in zip(*((i, t, s) for i, x in enumerate(charge.intervals) for t, s in x.shares), strict=True)
        )
        self.add(self.peak_rows[interval], drawn[step], share)
        self.add(self.peak_rows, peak, -1.0)
        self.bound(self.peak_rows, -INF, [-x.already_kw for x in charge.intervals])
        self.cost[drawn] = np.asarray(p.grid.paid_per_kwh) * h
        self.cost[over] = GRID_LIMIT.price * h
        self.cost[peak], self.lower[peak] = charge.price_per_kw, charge.so_far_kw
