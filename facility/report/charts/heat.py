"""Heat: temperatures of halls inside their bands, the weather, and what free cooling takes of the heat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facility.report.charts.ink import BLUE, GREEN, IN_TURN, INK, RED, SKY, label
from facility.report.charts.panel import Panel, Row, area, broken, curve, line
from models.horizon import Floats


@dataclass(frozen=True)
class Band:
    """Between which temperatures a hall should be, and the highest it may have, degC."""

    recommended_min_c: float
    recommended_max_c: float
    allowable_max_c: float


def halls(
    hall_c: Mapping[str, Floats],
    bands: Sequence[Band],
    outdoor_c: Floats,
    heat_kw: Mapping[str, Floats],
    *,
    over: Iterable[tuple[float, float]] = (),
) -> Panel:
    """Temperatures at the edges of the steps by hall, each shape (T + 1,); outdoor temperature and heat by what removes it, (T,).

    Halls beyond the colours are drawn as the hottest and the coolest of them. `over` are the minutes between which a limit is broken.
    """
    shown = dict(hall_c)
    if len(shown) > len(IN_TURN):
        together = np.array(list(shown.values()))
        shown = {f"hottest of {len(together)} halls": together.max(axis=0), f"coolest of {len(together)} halls": together.min(axis=0)}
    traces = [curve(label(name, full=True), c, color, width=2) for (name, c), color in zip(shown.items(), IN_TURN, strict=False)]
    traces.append(line("outdoor", outdoor_c, INK, row=1, width=1.8) | {"showlegend": False})
    for (name, kw), color in zip(heat_kw.items(), (SKY, BLUE), strict=True):
        traces.append(area(name, kw, color, "heat", row=2))
    inside = sorted({(b.recommended_min_c, b.recommended_max_c) for b in bands})
    shapes = [_recommended(low, high) for low, high in inside] + [_top(c) for c in sorted({b.allowable_max_c for b in bands})]
    lowest = min(*(low for low, _ in inside), *(float(np.nanmin(c)) for c in shown.values())) - 1
    highest = max(*(b.allowable_max_c for b in bands), *(float(np.nanmax(c)) for c in shown.values())) + 1
    rows = [
        Row("halls, degC", 3, {"hoverformat": ".2f", "range": [lowest, highest]}),
        Row("outdoor", 1, {"hoverformat": ".1f", "nticks": 4, "ticksuffix": "°"}),
        Row("heat, kW", 1.4, {"hoverformat": ",.1f", "rangemode": "tozero", "nticks": 4}),
    ]
    note = "Green: the recommended band. Dashed: the most that is allowable. Below, the weather, and what takes the heat away."
    shapes += broken(over)
    return Panel("halls", "Temperatures and free cooling", note, 480, traces, rows, layout={"shapes": shapes, "showlegend": True})


def _recommended(low: float, high: float) -> dict[str, Any]:
    style = {"line": {"width": 0}, "fillcolor": GREEN, "opacity": 0.13, "layer": "below"}
    return {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": low, "y1": high, **style}


def _top(at_c: float) -> dict[str, Any]:
    style = {"color": RED, "dash": "dash", "width": 1.5}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": at_c, "y1": at_c, "line": style}
