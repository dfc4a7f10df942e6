"""Planned: which charts a plan has something for, and the arrays they are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from facility.planner import Planned
from facility.report.charts.gpus import caps, running
from facility.report.charts.heat import Band, halls
from facility.report.charts.ink import IN_TURN, label
from facility.report.charts.jobs import JobBar
from facility.report.charts.money import change, told
from facility.report.charts.panel import Panel
from facility.report.charts.power import power
from facility.report.charts.stores import stores
from facility.report.charts.waterfall import waterfall
from facility.report.local_clock import Clock
from facility.report.tables import JOB_COLUMNS, job_rows, run_spans
from models.breach import TINY
from models.horizon import Floats
from models.solving.stability import drawn_kw

MOST_ROWS = 60
"""Jobs in the map of caps; rentals come first and are all there."""

GRID = ("over_limit_kw", "over_feed_kw", "over_export_kw", "over_event_kw", "over_ramp_kw", "short_reserve_kw")
POWER = (*GRID, "over_rating_kw", "over_worst_kw", "over_n1_kw", "over_worst_n1_kw")


class Charts:
    """The charts of one plan; `breaches` are those of its summary."""

    def __init__(self, planned: Planned, breaches: Sequence[Mapping[str, Any]] = ()) -> None:
        self._planned, self._breaches = planned, breaches
        self._plan = planned.decided.plan
        self._problem, self._h = self._plan.problem, self._plan.problem.horizon.h
        self.clock = Clock(planned.edges, ZoneInfo(planned.site.timezone))

    def panels(self) -> Iterator[Panel]:
        """Every chart that the plan has something for, from the top of the page down."""
        made = (self.power(), self.money(), self.gpus(), self.caps(), self.halls(), self.batteries(), self.tanks())
        yield from (panel for panel in made if panel is not None)

    def power(self) -> Panel:
        """What the site draws, generates and gives back, kW."""
        state, problem = self._plan.account, self._problem
        uses, lines = dict[str, Floats](), {"baseline import": self._plan.baseline.import_kw, "import": state.import_kw}
        drawn, firms = self._drawn_kw, len(problem.firms)
        if firms:
            uses["rentals"] = drawn[:firms].sum(axis=0)
        if problem.jobs:
            uses["jobs"] = drawn[firms:].sum(axis=0)
        uses["idle GPUs"] = np.maximum(state.it_kw - drawn.sum(axis=0), 0.0)
        cooling_kw, battery_kw = state.cooling_kw.sum(axis=0), state.battery_kw.sum(axis=0)
        given_kw = sum(state.given_kw.values(), np.zeros(len(self._h)))
        if len(state.cooling_kw):
            uses["cooling"] = cooling_kw
        rest_kw = state.import_kw - state.export_kw + given_kw - battery_kw - state.it_kw - cooling_kw
        uses["base load and losses"] = np.maximum(rest_kw, 0.0)
        if problem.batteries:
            uses["battery charges"] = np.maximum(state.battery_kw, 0.0).sum(axis=0)
        lines["import limit"] = np.asarray(problem.grid.limit_kw)
        if problem.grid.event_target_kw:
            lines["event target"] = np.array([np.nan if kw is None else kw for kw in problem.grid.event_target_kw])
        if state.given_kw:
            lines["generation"] = given_kw
        if state.export_kw.any():
            lines["export"] = state.export_kw
        unit = f"{self._planned.site.currency}/MWh"
        return power(uses, lines, np.asarray(self._planned.forecast.price_per_mwh), unit, over=self._over(*POWER))

    def money(self) -> Panel | None:
        """What the plan costs more or less than the baseline, kind by kind; None where nothing does."""
        ours, base, currency = self._plan.account.cost, self._plan.baseline.cost, self._planned.site.currency
        kinds = change(ours, base)
        if not kinds:
            return None
        return waterfall("costs", "Costs against the baseline", told(ours, base, currency), kinds, currency)

    def gpus(self) -> Panel:
        """GPUs that run by pool, stacked, under those that are there."""
        by_pool: dict[str, Floats] = defaultdict(lambda: np.zeros(len(self._h)))
        for workload, gpus in zip(self._problem.workloads, self._plan.account.running, strict=True):
            by_pool[self._label(workload.pool)] += gpus
        there = np.sum([p.available for p in self._problem.pools], axis=0)
        return running({name: by_pool[name] for name in self.colors if name in by_pool}, self.colors, there)

    def caps(self) -> Panel | None:
        """The mean cap of each workload's running GPUs, as a heat map."""
        groups, workloads, firms = self._plan.schedule.groups, self._problem.workloads, len(self._problem.firms)
        if not len(groups):
            return None
        work = np.array([job.work_gpu_h for job in self._problem.jobs])
        most = np.sort(np.argsort(-work, kind="stable")[:MOST_ROWS]) + firms
        shown = [*range(firms), *most.tolist()]
        sums = np.zeros((2, len(workloads), len(self._h)))
        np.add.at(sums[0], (groups.w, groups.t), groups.gpus * groups.cap_w)
        np.add.at(sums[1], (groups.w, groups.t), groups.gpus)
        part = sums[:, shown]
        mean_w = np.divide(part[0], part[1], out=np.full(part[0].shape, np.nan), where=part[1] > 0)
        return caps([workloads[w].id for w in shown], mean_w, of=len(workloads))

    def halls(self) -> Panel | None:
        """Hall temperatures, the weather, and heat by what takes it; None without a cooled hall."""
        zones, state = [z for z in self._problem.halls if z.cooling_plant is not None], self._plan.account
        if not zones:
            return None
        hall_c = {z.id: np.concatenate([[z.start_c], state.hall_c[i]]) for i, z in enumerate(zones)}
        bands = [Band(z.recommended_min_c, z.recommended_max_c, z.allowable_max_c) for z in zones]
        outdoor_c = np.asarray(self._problem.outdoor_c)
        plants = self._problem.supplied(self._plan.schedule.supply_c).cooling_plants
        chilled = np.array([plant.chiller.chilled_share(outdoor_c) for plant in plants])
        heat = {"free cooling": ((1 - chilled) * state.heat_kw).sum(axis=0), "chillers": (chilled * state.heat_kw).sum(axis=0)}
        return halls(hall_c, bands, outdoor_c, heat, over=self._over("too_hot_k", "uncooled_kw"))

    def batteries(self) -> Panel | None:
        """What batteries take, give and hold; None without one."""
        found, kw = self._problem.batteries, self._plan.account.battery_kw
        if not found:
            return None
        held = {b.id: np.concatenate([[b.start_kwh], b.stored_kwh(kw[i], self._h)]) for i, b in enumerate(found)}
        power_kw, most = {b.id: kw[i] for i, b in enumerate(found)}, {b.id: b.capacity_kwh for b in found}
        return stores("battery", "Battery", power_kw, held, most, over=self._over("short_ride_through_kwh"))

    def tanks(self) -> Panel | None:
        """What tanks of cold take, give and hold; None without one."""
        found, state = self._problem.thermal_stores, self._plan.account
        if not found:
            return None
        held = {name: np.concatenate([[tank.start_kwh], state.thermal_store_kwh[i]]) for i, (name, tank) in enumerate(found.items())}
        power_kw = {name: state.thermal_store_kw[i] for i, name in enumerate(found)}
        return stores("tanks", "Cold stored in tanks", power_kw, held, {name: tank.capacity_kwh for name, tank in found.items()})

    def jobs(self) -> Iterator[JobBar]:
        """The jobs that the plan knows, as bars."""
        firms, missed = len(self._problem.firms), self._plan.account.breach["unfinished_gpu_h"] > TINY
        at = {job.id: i for i, job in enumerate(self._problem.jobs)}
        for row in job_rows(self._planned):
            job = dict(zip(JOB_COLUMNS, row, strict=True))
            if job["job_id"] not in at:
                continue
            i = at[job["job_id"]]
            spans = [(60 * begins, 60 * ends) for begins, ends in run_spans(self._planned, firms + i)]
            yield JobBar(
                id=job["job_id"],
                tenant=job["tenant"],
                pool=self._label(job["pool"]),
                gpus=job["num_gpus"],
                submit_min=self._minute(job["submit"]),
                deadline_min=self._minute(job["deadline"]),
                spans_min=spans,
                finished=bool(job["finish"]),
                missed=bool(missed[i]),
                deferred_h=job["deferred_h"] if spans else None,
                work_gpu_h=job["work_gpu_h"],
                done_gpu_h=job["done_gpu_h"],
                cost=job["cost"],
                reason=job["reason"],
            )

    @cached_property
    def colors(self) -> dict[str, str]:
        """Colour by label of a pool."""
        return dict(zip(dict.fromkeys(self._label(p.id) for p in self._problem.pools), cycle(IN_TURN)))

    @cached_property
    def _drawn_kw(self) -> Floats:
        """What each workload's GPUs and hosts draw, kW, mean over the step, shape (W, T)."""
        problem, groups = self._problem, self._plan.schedule.groups
        idle_w = {p.id: p.host.idle_total_w for p in problem.pools}
        over_idle = drawn_kw(problem.pools, problem.workloads, groups, len(self._h))
        idle = np.array([idle_w[w.pool] for w in problem.workloads]).reshape(-1, 1) / 1000
        return np.asarray(over_idle + idle * self._plan.account.running)

    def _over(self, *families: str) -> Iterable[tuple[float, float]]:
        spans = {(breach["from"], breach["to"]) for breach in self._breaches if breach["family"] in families}
        return [self.clock.clipped(*span) for span in sorted(spans)]

    def _minute(self, instant: str) -> float:
        return (datetime.fromisoformat(instant) - self._planned.edges[0]) / timedelta(minutes=1)

    def _label(self, pool: str) -> str:
        """A pool's name, or that of its GPU model where the pools are more than the colours."""
        return label(pool if len(self._problem.pools) <= len(IN_TURN) else self._planned.site.pools[pool].gpu_model, full=True)
