"""Charts: a plan as Plotly figures, each a panel over the same hours of the site's local clock.

Time runs in minutes since the plan's start, so that the night of 25 hours has all of them; the ticks tell the local clock.
Colours are Okabe and Ito's, which people with any kind of colour vision tell apart (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from facility.planner import Planned
from facility.report.local_clock import Clock
from facility.report.tables import JOB_COLUMNS, job_rows
from models.horizon import Floats

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a"
CLEAR = "rgba(0,0,0,0)"
BY_POOL = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
MOST_JOBS = 200
MOST_CELLS = 60_000
LONGEST_LABEL = 14

Trace = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One chart: heading, a sentence under it, height (px), traces and vertical axis; `layout` is what else it needs."""

    title: str
    note: str
    height_px: int
    traces: Sequence[Trace]
    y: dict[str, Any]
    layout: dict[str, Any] = field(default_factory=dict)


class Charts:
    """The charts of one plan."""

    def __init__(self, planned: Planned) -> None:
        self._planned = planned
        self._plan = planned.decided.plan
        self._problem = self._plan.problem
        self._clock = Clock(planned.edges, ZoneInfo(planned.site.timezone))

    def panels(self) -> Iterator[Panel]:
        """Every chart that the plan has something for, from the top of the page down."""
        for panel in (self.power(), self.price(), self.gpus(), self.halls(), self.caps(), self.jobs()):
            if panel.traces:
                yield panel

    def data(self, panels: Sequence[Panel]) -> dict[str, Any]:
        """What the page's script draws: Plotly's data and layout of each panel.

        Lines and the heat map lack their time, which stands here once: `minutes` since the start, and as `said` by the local
        clock.
        """
        figures = [{"data": list(panel.traces), "layout": self.layout(panel)} for panel in panels]
        return {"minutes": self._clock.minutes, "said": self._clock.said, "figures": figures}

    def power(self) -> Panel:
        """What the site draws, generates and gives back, kW."""
        state = self._plan.account
        said = "Battery: charging counts up, discharging down." if self._problem.batteries else ""
        traces = [
            self._line("import", state.import_kw, BLUE, width=2.5) | {"zorder": 1},
            self._line("import limit", np.asarray(self._problem.grid.limit_kw), RED, dash="dash") | {"zorder": 2},
            self._line("baseline import", self._plan.baseline.import_kw, GREY),
            self._line("IT", state.it_kw, GREEN),
        ]
        if len(state.cooling_kw):
            traces.append(self._line("cooling", state.cooling_kw.sum(axis=0), SKY))
        if len(state.battery_kw):
            traces.append(self._line("battery", state.battery_kw.sum(axis=0), PURPLE))
        if state.given_kw:
            traces.append(self._line("generation", np.sum(list(state.given_kw.values()), axis=0), ORANGE))
        if self._problem.grid.may_export:
            traces.append(self._line("export", state.export_kw, BLUE, dash="dot"))
        return Panel("Power", said, 340, traces, {"title": {"text": "kW"}, "hoverformat": ",.1f", "rangemode": "tozero"})

    def price(self) -> Panel:
        """What energy costs."""
        unit = f"{self._planned.site.currency}/MWh"
        line = self._line("price", self._planned.forecast.price_per_mwh, ORANGE, width=2)
        return Panel("Energy price", "", 180, [line], {"title": {"text": unit}, "hoverformat": ",.2f"}, {"showlegend": False})

    def gpus(self) -> Panel:
        """GPUs that run by pool, stacked, under those that are there."""
        running = self._by_pool(self._plan.account.running, [w.pool for w in self._problem.workloads])
        there = np.sum([p.available for p in self._problem.pools], axis=0)
        traces = [
            self._line(name, running[name], color, width=0) | {"stackgroup": "pools", "fillcolor": color}
            for name, color in self._colors.items()
            if name in running
        ]
        traces.append(self._line("available", there, GREY, dash="dash"))
        return Panel("GPUs running", "", 240, traces, {"title": {"text": "GPUs"}, "hoverformat": ",.1f", "rangemode": "tozero"})

    def halls(self) -> Panel:
        """Hall temperatures at the end of each step, with the recommended band and the top of the allowable one."""
        zones, hall_c = [z for z in self._problem.halls if z.cooling_plant is not None], self._plan.account.hall_c
        if not zones:
            return Panel("", "", 0, (), {})
        start = [z.start_c for z in zones]
        curves = {z.id: [start[i], *hall_c[i].tolist()] for i, z in enumerate(zones)}
        if len(zones) > len(BY_POOL):
            curves = {
                f"hottest of {len(zones)} halls": [max(start), *hall_c.max(axis=0).tolist()],
                f"coolest of {len(zones)} halls": [min(start), *hall_c.min(axis=0).tolist()],
            }
        traces: list[Trace] = [
            self._line(name, np.array(curve), color, width=2) | {"y": _short(curve)}
            for (name, curve), color in zip(curves.items(), BY_POOL, strict=False)
        ]
        for trace in traces:
            trace["line"]["shape"] = "linear"
        shapes = [_band(z, {"line": {"width": 0}, "fillcolor": GREEN, "opacity": 0.12, "layer": "below"}) for z in _bands(zones)]
        shapes += [_top(c) for c in sorted({z.allowable_max_c for z in zones})]
        lowest = min(*(z.recommended_min_c for z in zones), *map(min, curves.values())) - 1
        highest = max(*(z.allowable_max_c for z in zones), *map(max, curves.values())) + 1
        note = "Shaded: the recommended band. Dashed: the most that is allowable."
        y = {"title": {"text": "degC"}, "hoverformat": ".2f", "range": [lowest, highest]}
        return Panel("Hall temperatures", note, 260, traces, y, {"shapes": shapes, "showlegend": True})

    def caps(self) -> Panel:
        """The mean cap of each workload's running GPUs, as a heat map."""
        groups, firms = self._plan.schedule.groups, [f.id for f in self._problem.firms]
        names = [w.id for w in self._problem.workloads]
        shown = [*firms, *(job["job_id"] for job in self._jobs)][: max(MOST_CELLS // len(self._problem.horizon), 1)]
        if not shown or not len(groups):
            return Panel("", "", 0, (), {})
        sums = np.zeros((2, len(names), len(self._problem.horizon)))
        np.add.at(sums[0], (groups.w, groups.t), groups.gpus * groups.cap_w)
        np.add.at(sums[1], (groups.w, groups.t), groups.gpus)
        row = {name: w for w, name in enumerate(names)}
        part = sums[:, [row[name] for name in shown]]
        mean_w = np.divide(part[0], part[1], out=np.full(part[0].shape, np.nan), where=part[1] > 0)
        heat = {
            "type": "heatmap",
            "y": [_name(name, full=True) for name in shown],
            "z": [[None if np.isnan(cap) else round(cap, 1) for cap in caps] for caps in mean_w.tolist()],
            "colorscale": "Cividis",
            "colorbar": {"orientation": "h", "thickness": 8, "y": 1, "yanchor": "bottom", "ticksuffix": " W"},
            "hovertemplate": "%{y}<br>%{customdata}<br>%{z} W<extra></extra>",
        }
        note = "The mean power cap of the GPUs that run; blank where none does." + self._left_off(len(shown) - len(firms))
        return Panel("Power caps by workload", note, *_rows([heat], shown), {"hovermode": "closest"})

    def jobs(self) -> Panel:
        """Each job from start to finish in front of its time from submission to deadline."""
        if not self._jobs:
            return Panel("", "", 0, (), {})
        window: Trace = _bars("submit to deadline", GREY, 0.9) | {"opacity": 0.3}
        runs = {name: _bars(f"runs in {name}", color, 0.6) for name, color in self._colors.items()}
        for job in self._jobs:
            told = [job["job_id"], f"{job['num_gpus']} GPUs in {job['pool']}", job["reason"]]
            told += [f"{what} {self._clock.local(job[what])}" for what in ("submit", "start", "finish", "deadline") if job[what]]
            told.append(f"{job['done_gpu_h']:,.1f} of {job['work_gpu_h']:,.1f} GPU h done")
            text = "<br>".join(_name(line, full=True) for line in told)
            _add_bar(window, job["job_id"], self._clock.clipped(job["submit"], job["deadline"]), text)
            if job["start"]:
                ran = self._clock.clipped(job["start"], job["finish"] or job["last_run"])
                _add_bar(runs[self._label(job["pool"])], job["job_id"], ran, text)
        traces = [window, *(trace for trace in runs.values() if trace["y"])]
        note = "A bar from start to finish, pauses included; grey behind it, the time from submission to deadline."
        rows = _rows(traces, [job["job_id"] for job in self._jobs])
        return Panel("Jobs", note + self._left_off(len(self._jobs)), *rows, {"barmode": "overlay", "hovermode": "closest"})

    def layout(self, panel: Panel) -> dict[str, Any]:
        """Plotly's layout of a panel; colours of text and grid are the page's, by CSS."""
        at, text = self._clock.ticks()
        ticks = {"tickvals": at, "ticktext": text, "tickangle": 0}
        grid = {"gridcolor": GREY, "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": CLEAR}
        return {
            "height": panel.height_px,
            "margin": {"l": 56, "r": 14, "t": 32, "b": 40},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "hovermode": "x unified",
            "showlegend": len(panel.traces) > 1,
            "modebar": {"bgcolor": CLEAR, "color": GREY, "activecolor": BLUE},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {"namelength": -1},
            "xaxis": grid | ticks | {"range": [0, self._clock.minutes[-1]], "unifiedhovertitle": panel.y.get("title", {})},
            "yaxis": grid | {"zeroline": True, "zerolinecolor": GREY} | panel.y,
            **panel.layout,
        }

    @cached_property
    def _jobs(self) -> list[dict[str, Any]]:
        """The jobs of jobs.csv that are drawn: at most 200, those with the most work, by submission."""
        known = {job.id for job in self._problem.jobs}
        rows = [dict(zip(JOB_COLUMNS, row, strict=True)) for row in job_rows(self._planned)]
        rows = sorted((job for job in rows if job["job_id"] in known), key=lambda job: -job["work_gpu_h"])[:MOST_JOBS]
        ends = {w.id: i for i, w in enumerate(self._problem.workloads)}
        groups = self._plan.schedule.groups
        for job in rows:
            steps = groups.t[groups.w == ends[job["job_id"]]]
            job["last_run"] = self._planned.edges[int(steps.max()) + 1].isoformat() if len(steps) else ""
        return sorted(rows, key=lambda job: (job["submit"], job["job_id"]))

    def _left_off(self, shown: int) -> str:
        jobs = len(self._problem.jobs)
        return f" Shown are {shown} of {jobs} jobs, those with the most work." if shown < jobs else ""

    @cached_property
    def _colors(self) -> dict[str, str]:
        """Colour by label of a pool."""
        labels = dict.fromkeys(self._label(p.id) for p in self._problem.pools)
        return dict(zip(labels, cycle(BY_POOL)))

    def _label(self, pool: str) -> str:
        """A pool's name, or that of its GPU model where the pools are more than the colours."""
        return _name(pool if len(self._problem.pools) <= len(BY_POOL) else self._planned.site.pools[pool].gpu_model)

    def _by_pool(self, by_workload: Floats, pools: Sequence[str]) -> dict[str, Floats]:
        total: dict[str, Floats] = defaultdict(lambda: np.zeros(len(self._problem.horizon)))
        for values, pool in zip(by_workload, pools, strict=True):
            total[self._label(pool)] = total[self._label(pool)] + values
        return dict(total)

    def _line(self, name: str, values: Floats, color: str, **line: Any) -> Trace:
        """A step line that holds each value to the end of its step."""
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "y": _short([*values.tolist(), float(values[-1])]),
            "line": {"shape": "hv", "color": color, **line},
        }


def _rows(traces: Sequence[Trace], names: Sequence[str]) -> tuple[int, Sequence[Trace], dict[str, Any]]:
    """Height, traces and vertical axis of a chart with a row per name, the first one on top."""
    each_px = min(max(1400 // len(names), 6), 20)
    rows = [_name(name, full=True) for name in names]
    labels = {"tickvals": rows, "ticktext": [_name(name) for name in names], "tickfont": {"size": 10}}
    axis = {"type": "category", "categoryarray": rows, "range": [len(names) - 0.5, -0.5], "showgrid": False, "zeroline": False}
    return 110 + each_px * len(names), traces, axis | labels | {"showticklabels": each_px >= 11}


def _bars(name: str, color: str, width: float) -> Trace:
    empty: dict[str, list[Any]] = {"base": [], "x": [], "y": [], "text": []}
    drawn = {"type": "bar", "orientation": "h", "marker": {"color": color}, "width": width, "textposition": "none"}
    return {"name": name, **drawn, **empty, "hovertemplate": "%{text}<extra></extra>"}


def _add_bar(trace: Trace, job_id: str, span: tuple[float, float], text: str) -> None:
    trace["base"].append(round(span[0], 3))
    trace["x"].append(round(span[1] - span[0], 3))
    trace["y"].append(_name(job_id, full=True))
    trace["text"].append(text)


def _bands(zones: Sequence[Any]) -> list[tuple[float, float]]:
    return sorted({(z.recommended_min_c, z.recommended_max_c) for z in zones})


def _band(band: tuple[float, float], style: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": band[0], "y1": band[1], **style}


def _top(at_c: float) -> dict[str, Any]:
    line = {"color": RED, "dash": "dash", "width": 1.5}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at_c, "y1": at_c, "line": line}


def _short(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def _name(text: str, *, full: bool = False) -> str:
    """Text from a file, safe in Plotly's own markup, and short unless asked for in full."""
    cut = text if full or len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    return escape(cut, quote=False)
