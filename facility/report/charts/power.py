"""Power: what draws it, stacked, against the import limit, and what it costs at that time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from facility.report.charts.ink import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY, SOFT
from facility.report.charts.panel import Panel, Row, area, broken, line
from models.horizon import Floats

BY_USE = {
    "rentals": BLUE,
    "jobs": SKY,
    "idle GPUs": GREY,
    "cooling": GREEN,
    "base load and losses": ORANGE,
    "battery charges": PURPLE,
}
"""What draws power, from the bottom of the stack up; one that draws nothing is left out."""


def power(
    uses_kw: Mapping[str, Floats],
    lines_kw: Mapping[str, Floats],
    price: Floats,
    unit: str,
    *,
    over: Iterable[tuple[float, float]] = (),
) -> Panel:
    """Power by use and the price (in `unit`) at the same time; all arrays have shape (T,).

    `uses_kw` are keys of `BY_USE`. `lines_kw` are drawn over them: import, import limit, baseline, generation, export, or an event's
    target, NaN where there is none. `over` are the minutes between which a limit is broken.
    """
    style: dict[str, tuple[str, dict[str, Any]]] = {
        "import": (INK, {"width": 2.2}),
        "import limit": (RED, {"dash": "dash", "width": 2}),
        "event target": (RED, {"dash": "dot", "width": 2}),
        "baseline import": (SOFT, {"width": 1.2}),
        "generation": (SOFT, {"dash": "dashdot", "width": 1.5}),
        "export": (INK, {"dash": "dot", "width": 1.5}),
    }
    traces = [area(use, uses_kw[use], color, "uses") for use, color in BY_USE.items() if use in uses_kw and uses_kw[use].any()]
    traces += [line(name, kw, style[name][0], **style[name][1]) for name, kw in lines_kw.items()]
    traces.append(line("price", price, INK, row=1, width=1.8) | {"showlegend": False})
    rows = [
        Row("kW", 3, {"hoverformat": ",.1f", "rangemode": "tozero"}),
        Row(unit, 1, {"hoverformat": ",.2f", "nticks": 5}),
    ]
    said = f"What draws power, stacked; the line is what is imported, {_extent(lines_kw['import'])} kW."
    beside = [name for name in ("generation", "export") if name in lines_kw]
    if "battery charges" in uses_kw or beside:
        said += " Where the line runs below the stack, a battery or generation gives the rest."
    said += f" Below, the price: {_extent(price)} {unit}."
    shapes = broken(over)
    if shapes:
        said += " Red bands: a limit is broken."
    return Panel("power", "Power by use, limit and price", said, 470, traces, rows, layout={"shapes": shapes})


def _extent(values: Floats) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:,.4g}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:,.1f} to {high:,.1f}"
