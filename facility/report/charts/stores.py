"""Stores: what batteries, and tanks of cold, take, give and hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from facility.report.charts.ink import IN_TURN, label
from facility.report.charts.panel import Panel, Row, broken, curve, line
from models.horizon import Floats


def stores(
    key: str,
    title: str,
    kw: Mapping[str, Floats],
    kwh: Mapping[str, Floats],
    most_kwh: Mapping[str, float],
    *,
    over: Iterable[tuple[float, float]] = (),
) -> Panel:
    """Power, positive where it is taken in, shape (T,), and what is held at the edges of the steps, shape (T + 1,), by store.

    Stores beyond the colours are drawn as their sum. `over` are the minutes between which a limit is broken.
    """
    if len(kw) > len(IN_TURN):
        name = f"{len(kw)} together"
        kw, kwh = {name: np.sum(list(kw.values()), axis=0)}, {name: np.sum(list(kwh.values()), axis=0)}
        most_kwh = {name: sum(most_kwh.values())}
    traces = []
    for (name, power), color in zip(kw.items(), IN_TURN, strict=False):
        said = label(name, full=True)
        traces.append(line(f"{said}, kW", power, color, width=1.5) | {"fill": "tozeroy", "legendgroup": said})
        traces.append(curve(f"{said}, kWh", kwh[name], color, row=1, width=2) | {"showlegend": False, "legendgroup": said})
    rows = [
        Row("kW", 1, {"hoverformat": ",.1f"}),
        Row("kWh held", 1, {"hoverformat": ",.1f", "range": [0, 1.05 * max(most_kwh.values())]}),
    ]
    holds = ", ".join(f"{name} {most:,.4g} kWh" for name, most in most_kwh.items())
    note = f"Above the zero line it takes, below it gives. Room for: {holds}."
    return Panel(key, title, note, 320, traces, rows, layout={"shapes": broken(over)})
