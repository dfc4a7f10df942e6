"""Waterfall: from one sum of money to another, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping

from facility.report.charts.ink import BLUE, GREEN, RED, RULE, SOFT, label
from facility.report.charts.panel import Panel, Row


def waterfall(key: str, title: str, note: str, change: Mapping[str, float], unit: str) -> Panel:
    """What each kind adds (dearer) or takes away (cheaper), in `unit`, one under another, and their sum last."""
    kinds = [label(kind, full=True) for kind in change]
    total = sum(change.values())
    said = [f"{money:+,.2f}" for money in (*change.values(), total)]
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "y": [*kinds, "together"],
        "x": [*(round(money, 6) for money in change.values()), round(total, 6)],
        "measure": ["relative"] * len(kinds) + ["total"],
        "text": said,
        "textposition": "outside",
        "cliponaxis": False,
        "increasing": {"marker": {"color": RED}},
        "decreasing": {"marker": {"color": GREEN}},
        "totals": {"marker": {"color": BLUE}},
        "connector": {"line": {"color": SOFT, "width": 1}},
        "hovertemplate": f"%{{y}}: %{{text}} {label(unit)}<extra></extra>",
        "showlegend": False,
    }
    reached = [0.0]
    for money in change.values():
        reached.append(reached[-1] + money)
    low, high = min(reached), max(reached)
    room = 0.22 * (high - low or 1.0)  # for the numbers beside the bars
    across = {"range": [low - room, high + room], "title": {"text": unit}, "zeroline": True, "zerolinecolor": SOFT, "nticks": 6, "gridcolor": RULE}
    axis = {"autorange": "reversed", "showgrid": False, "zeroline": False}
    height = 90 + 30 * (len(kinds) + 1)
    return Panel(key, title, note, height, [trace], [Row("", 1, axis)], over_time=False, layout={"xaxis": across})
