"""GPUs: how many run, and under which caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facility.report.charts.ink import INK, LOW_TO_HIGH, label
from facility.report.charts.panel import Panel, Row, area, line
from models.horizon import Floats

MOST_CELLS = 60_000


def running(by_pool: Mapping[str, Floats], colors: Mapping[str, str], there: Floats) -> Panel:
    """GPUs that run, mean over the step, shape (T,), stacked by pool, under those that are there."""
    traces = [area(name, gpus, colors[name], "pools") for name, gpus in by_pool.items()]
    traces.append(line("available", there, INK, dash="dash", width=1.8))
    note = "By pool, stacked, under those that are there."
    return Panel("gpus", "GPUs running", note, 260, traces, [Row("GPUs", 1, {"hoverformat": ",.1f", "rangemode": "tozero"})])


def caps(names: Sequence[str], mean_w: Floats, *, of: int) -> Panel:
    """The mean cap of each workload's running GPUs, W, shape (W, T), NaN where none runs, as a heat map; `of` are the workloads there are.

    Rows beyond 60,000 cells are left off, the last first.
    """
    shown = list(names)[: max(MOST_CELLS // mean_w.shape[1], 1)]
    each_px = min(max(840 // len(shown), 6), 20)
    rows = [label(name, full=True) for name in shown]
    heat = {
        "type": "heatmap",
        "y": rows,
        "z": [[None if np.isnan(cap) else round(cap, 1) for cap in row] for row in mean_w[: len(shown)].tolist()],
        "colorscale": LOW_TO_HIGH,
        "colorbar": {"orientation": "h", "thickness": 8, "y": 1, "yanchor": "bottom", "ticksuffix": " W", "outlinewidth": 0},
        "hovertemplate": "%{y}<br>%{customdata}<br>%{z} W<extra></extra>",
    }
    axis: dict[str, Any] = {
        "type": "category",
        "categoryarray": rows,
        "range": [len(rows) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "tickvals": rows,
        "ticktext": [label(name) for name in shown],
        "tickfont": {"size": 10},
        "showticklabels": each_px >= 11,
    }
    note = "The mean power cap of the GPUs that run; blank where none does."
    if len(shown) < of:
        note += f" Shown are {len(shown)} of {of} workloads: rentals, and the jobs with the most work."
    made = 110 + each_px * len(rows)
    return Panel("caps", "Power caps by workload", note, made, [heat], [Row("", 1, axis)], layout={"hovermode": "closest"})
